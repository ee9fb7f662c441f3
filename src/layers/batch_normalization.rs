//! [`BatchNormalization`].

use super::{Axes, Backward, Build, Forward, Layer, LayerConfig, Reads, Scope, State, Taped};
use crate::{
    Constraint, Initializer, Regularizer, Result, Scalar, Shape,
    kernels::{batch_norm, strided::Strided},
    params::{ParamId, WeightSpec},
    tensor::{View, ViewMut},
};

/// Batch normalization, `keras.layers.BatchNormalization`: each channel is brought to a mean of 0 and a variance of 1 over the batch, and
/// then to a mean and a variance that are learned.
///
/// ```text
/// y = gamma * (x - mean) / sqrt(variance + epsilon) + beta
/// ```
///
/// In training, `mean` and `variance` (the biased one) are those of the batch, and move the averages
/// `moving = moving * momentum + batch * (1 - momentum)`; in prediction, and while the layer is frozen, they are those averages.
///
/// - input: `[n, ..]`
/// - output: `[n, ..]`
/// - weights: `gamma: [c]` with `scale`, `beta: [c]` with `center`, and `moving_mean: [c]` and `moving_variance: [c]`, which no
///   gradient moves; `c` is the length of `axis`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 1])
///     .add(Conv2D::new(32, 3).use_bias(false))
///     .add(BatchNormalization::new())
///     .add(Activation::Relu)
///     .build()?;
/// assert_eq!(model.get_layer("batch_normalization")?.count_params(), 4 * 32);
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167)
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormalization {
    axis: isize,
    momentum: f64,
    epsilon: f64,
    center: bool,
    scale: bool,
    beta: WeightSpec,
    gamma: WeightSpec,
    moving_mean_initializer: Initializer,
    moving_variance_initializer: Initializer,
}

impl BatchNormalization {
    /// Over the last axis, with Keras's defaults.
    pub fn new() -> Self {
        BatchNormalization {
            axis: -1,
            momentum: 0.99,
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta: Initializer::Zeros.into(),
            gamma: Initializer::Ones.into(),
            moving_mean_initializer: Initializer::Zeros,
            moving_variance_initializer: Initializer::Ones,
        }
    }

    /// The axis of the channels, counted with the batch, which is 0, or from the end; -1 by default.
    pub fn axis(mut self, axis: isize) -> Self {
        self.axis = axis;
        self
    }

    /// How much of the moving averages a step keeps, in `[0, 1]`; 0.99 by default.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// What is added to the variance, above 0; 0.001 by default.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether `beta` is added; it is by default.
    pub fn center(mut self, center: bool) -> Self {
        self.center = center;
        self
    }

    /// Whether `gamma` multiplies; it does by default.
    pub fn scale(mut self, scale: bool) -> Self {
        self.scale = scale;
        self
    }

    /// How `beta` starts; [`Initializer::Zeros`] by default.
    pub fn beta_initializer(mut self, initializer: Initializer) -> Self {
        self.beta.initializer = initializer;
        self
    }

    /// How `gamma` starts; [`Initializer::Ones`] by default.
    pub fn gamma_initializer(mut self, initializer: Initializer) -> Self {
        self.gamma.initializer = initializer;
        self
    }

    /// How the moving mean starts; [`Initializer::Zeros`] by default.
    pub fn moving_mean_initializer(mut self, initializer: Initializer) -> Self {
        self.moving_mean_initializer = initializer;
        self
    }

    /// How the moving variance starts; [`Initializer::Ones`] by default.
    pub fn moving_variance_initializer(mut self, initializer: Initializer) -> Self {
        self.moving_variance_initializer = initializer;
        self
    }

    /// A penalty on the size of `beta`; none by default.
    pub fn beta_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.beta.regularizer = Some(regularizer);
        self
    }

    /// A penalty on the size of `gamma`; none by default.
    pub fn gamma_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.gamma.regularizer = Some(regularizer);
        self
    }

    /// What `beta` is brought back to after each step; nothing by default.
    pub fn beta_constraint(mut self, constraint: Constraint) -> Self {
        self.beta.constraint = Some(constraint);
        self
    }

    /// What `gamma` is brought back to after each step; nothing by default.
    pub fn gamma_constraint(mut self, constraint: Constraint) -> Self {
        self.gamma.constraint = Some(constraint);
        self
    }
}

impl Default for BatchNormalization {
    fn default() -> Self {
        BatchNormalization::new()
    }
}

impl LayerConfig for BatchNormalization {
    type Built = BuiltBatchNormalization;

    fn class_name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltBatchNormalization, Shape)> {
        let input = cx.input();
        let (dims, rank) = (input.dims(), input.rank());
        let Some(axes) = Axes::from(self.axis).of_sample(rank) else {
            return Err(cx.argument_error(format!(
                "axis must be one of the {rank} axes after the batch, 1 to {rank}, or -1 for the last; got {}",
                self.axis
            )));
        };
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(cx.argument_error(format!("momentum must lie in [0, 1], got {}", self.momentum)));
        }
        if !(self.epsilon >= f32::MIN_POSITIVE.into() && self.epsilon.is_finite()) {
            return Err(cx.argument_error(format!("epsilon must be a finite number above 0, got {}", self.epsilon)));
        }
        let channels = dims[axes[0]];
        let others: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
        let layer = BuiltBatchNormalization {
            size: input.size(),
            channels,
            order: Some(Strided::permuted(dims, &[others, axes].concat())).filter(|order| !order.is_identity()),
            momentum: self.momentum,
            epsilon: self.epsilon,
            gamma: self.scale.then(|| cx.weight("gamma", channels, &self.gamma)).transpose()?,
            beta: self.center.then(|| cx.weight("beta", channels, &self.beta)).transpose()?,
            moving_mean: cx.constant("moving_mean", channels, self.moving_mean_initializer)?,
            moving_variance: cx.constant("moving_variance", channels, self.moving_variance_initializer)?,
        };
        Ok((layer, input))
    }
}

/// A built [`BatchNormalization`].
#[derive(Debug)]
pub struct BuiltBatchNormalization {
    /// The elements of a sample.
    size: usize,
    channels: usize,
    /// A sample with its channels last, where they are not last as it is.
    order: Option<Strided>,
    momentum: f64,
    epsilon: f64,
    gamma: Option<ParamId>,
    beta: Option<ParamId>,
    moving_mean: ParamId,
    moving_variance: ParamId,
}

/// What a forward pass leaves for the backward pass, and memory to compute in.
#[derive(Debug, Default)]
pub struct BatchStatistics<T> {
    /// Whether they are those of the batch, not the moving ones.
    of_batch: bool,
    /// `[c]`
    mean: Vec<T>,
    variance: Vec<T>,
    /// `[3, c]`: factors of a pass.
    factors: Vec<T>,
    /// Sums over blocks of rows.
    partial: Vec<T>,
    /// The arrays with the channels last, where they are not: that of `x` is kept.
    turned: [Vec<T>; 3],
}

impl Layer for BuiltBatchNormalization {
    type Work<T: Scalar> = BatchStatistics<T>;

    fn scope(&self) -> Scope {
        Scope::WholeBatch
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, work: &mut BatchStatistics<T>, x: View<T>, y: ViewMut<T>) {
        let c = self.channels;
        let BatchStatistics { of_batch, mean, variance, factors, partial, turned: [turned_x, turned_y, _] } = work;
        let x = self.channels_last(x.data, turned_x);
        *of_batch = cx.training() && cx.trainable();
        for array in [&mut *mean, &mut *variance] {
            array.resize(c, T::zero());
        }
        if *of_batch {
            batch_norm::moments(x, mean, variance, partial);
        } else {
            mean.copy_from_slice(cx.param(self.moving_mean));
            variance.copy_from_slice(cx.param(self.moving_variance));
        }
        factors.resize(3 * c, T::zero());
        let (scale, shift) = factors.split_at_mut(c);
        for j in 0..c {
            scale[j] = self.rate(variance[j]) * self.gamma.map_or(T::one(), |gamma| cx.param(gamma)[j]);
            shift[j] = self.beta.map_or(T::zero(), |beta| cx.param(beta)[j]) - mean[j] * scale[j];
        }
        self.write(y.data, turned_y, |y| batch_norm::affine(x, scale, &shift[..c], y));
    }

    fn backward<T: Scalar>(
        &self,
        cx: &mut Backward<T>,
        work: &mut BatchStatistics<T>,
        taped: Taped<T>,
        dx: Option<ViewMut<T>>,
    ) {
        let c = self.channels;
        let BatchStatistics { of_batch, mean, variance, factors, partial, turned: [turned_x, turned_y, turned_dx] } =
            work;
        let x = self.channels_last(taped.x.data, turned_x);
        let dy = self.channels_last(taped.dy.data, turned_y);
        let rows = T::of((x.len() / c) as f64);
        let (a, rest) = factors.split_at_mut(c);
        let (b, shift) = rest.split_at_mut(c);
        // With r = 1 / sqrt(variance + epsilon), dx = gamma r (dy - sum(dy) / n - (x - mean) r^2 sum(dy (x - mean)) / n), and
        // without the sums where mean and variance do not depend on x.
        batch_norm::gradient_sums(x, dy, mean, partial, |j, [sum, product]| {
            let (sum, product, rate) = (T::of(sum), T::of(product), self.rate(variance[j]));
            if let Some(beta) = self.beta {
                cx.grads.of(beta)[j] += sum;
            }
            if let Some(gamma) = self.gamma {
                cx.grads.of(gamma)[j] += product * rate;
            }
            a[j] = rate * self.gamma.map_or(T::one(), |gamma| cx.param(gamma)[j]);
            b[j] = if *of_batch { -a[j] * rate * rate * product / rows } else { T::zero() };
            shift[j] = if *of_batch { -a[j] * sum / rows - b[j] * mean[j] } else { T::zero() };
        });
        if let Some(dx) = dx {
            self.write(dx.data, turned_dx, |dx| batch_norm::combine(dy, x, [a, b, shift], dx));
        }
    }

    fn store<T: Scalar>(&self, work: &BatchStatistics<T>, state: &mut State<T>) {
        let (keep, take) = (T::of(self.momentum), T::of(1.0 - self.momentum));
        for (moving, of_batch) in [(self.moving_mean, &work.mean), (self.moving_variance, &work.variance)] {
            for (moving, &of_batch) in state.of(moving).iter_mut().zip(of_batch) {
                *moving = *moving * keep + of_batch * take;
            }
        }
    }
}

impl BuiltBatchNormalization {
    /// `1 / sqrt(variance + epsilon)`
    fn rate<T: Scalar>(&self, variance: T) -> T {
        (variance + T::of(self.epsilon)).sqrt().recip()
    }

    /// `x` with the channels last.
    fn channels_last<'a, T: Scalar>(&self, x: &'a [T], turned: &'a mut Vec<T>) -> &'a [T] {
        let Some(order) = &self.order else {
            return x;
        };
        turned.resize(x.len(), T::zero());
        for (x, turned) in x.chunks_exact(self.size).zip(turned.chunks_exact_mut(self.size)) {
            order.gather(x, turned);
        }
        turned
    }

    /// Overwrites `y` with what `compute` makes with the channels last.
    fn write<T: Scalar>(&self, y: &mut [T], turned: &mut Vec<T>, compute: impl FnOnce(&mut [T])) {
        let Some(order) = &self.order else {
            return compute(y);
        };
        turned.resize(y.len(), T::zero());
        compute(turned);
        for (turned, y) in turned.chunks_exact(self.size).zip(y.chunks_exact_mut(self.size)) {
            order.scatter(turned, y, |y, turned| *y = turned);
        }
    }
}
