//! [`BatchNormalization`].

use super::{Axes, Backward, Build, ChannelAffine, Forward, Layer, LayerConfig, Reads, Scope, State, Taped};
use crate::{
    Constraint, Initializer, Regularizer, Result, Scalar, Shape, Tensor,
    config::Arguments,
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

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("axis", &mut self.axis)
            .argument("momentum", &mut self.momentum)
            .argument("epsilon", &mut self.epsilon)
            .argument("center", &mut self.center)
            .argument("scale", &mut self.scale)
            .weight("beta", &mut self.beta)
            .weight("gamma", &mut self.gamma)
            .argument("moving_mean_initializer", &mut self.moving_mean_initializer)
            .argument("moving_variance_initializer", &mut self.moving_variance_initializer)
            .ignored("renorm_momentum");
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

    fn channel_affine(&self, input: Shape, weights: &[Tensor<f64>]) -> Option<ChannelAffine> {
        let axes = Axes::from(self.axis).of_sample(input.rank());
        axes.filter(|axes| axes[0] + 1 == input.rank())?;
        let channels = input.last();
        let (learned, moving) = weights.split_at(weights.len() - 2);
        let mut learned = learned.iter();
        let gamma = if self.scale { learned.next() } else { None };
        let beta = learned.next();
        let (mean, variance) = (moving[0].data(), moving[1].data());
        let scale: Vec<f64> = (0..channels)
            .map(|j| gamma.map_or(1.0, |gamma| gamma.data()[j]) / (variance[j] + self.epsilon).sqrt())
            .collect();
        let shift = (0..channels).map(|j| beta.map_or(0.0, |beta| beta.data()[j]) - mean[j] * scale[j]).collect();
        Some(ChannelAffine { scale, shift })
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

/// Memory to compute in.
#[derive(Debug, Default)]
pub struct NormalizationBuffers<T> {
    /// `[3, c]`: factors of a pass.
    factors: Vec<T>,
    /// The arrays with the channels last, where they are not.
    turned: [Vec<T>; 3],
}

impl Layer for BuiltBatchNormalization {
    type Work<T: Scalar> = NormalizationBuffers<T>;

    fn scope(&self) -> Scope {
        Scope::Summed { forward: batch_norm::moments_len(self.channels), backward: 2 * self.channels }
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }

    fn sum<T: Scalar>(&self, work: &mut NormalizationBuffers<T>, x: View<T>, sums: &mut [f64]) {
        batch_norm::add_moments(self.channels_last(x.data, &mut work.turned[0]), self.channels, sums);
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, work: &mut NormalizationBuffers<T>, x: View<T>, y: ViewMut<T>) {
        let NormalizationBuffers { factors, turned: [turned_x, turned_y, _] } = work;
        let x = self.channels_last(x.data, turned_x);
        let moving = [self.moving_mean, self.moving_variance].map(|id| cx.param(id));
        let [scale, shift, _] = thirds(factors, self.channels);
        for j in 0..self.channels {
            let [mean, variance] = batch_norm::moments(cx.sums(), j).map_or(moving.map(|array| array[j]), round);
            scale[j] = self.rate(variance) * self.gamma.map_or(T::one(), |gamma| cx.param(gamma)[j]);
            shift[j] = self.beta.map_or(T::zero(), |beta| cx.param(beta)[j]) - mean * scale[j];
        }
        self.write(y.data, turned_y, |y| batch_norm::affine(x, scale, shift, y));
    }

    fn sum_gradient<T: Scalar>(
        &self,
        cx: &mut Backward<T>,
        work: &mut NormalizationBuffers<T>,
        x: View<T>,
        dy: View<T>,
        sums: &mut [f64],
    ) {
        let NormalizationBuffers { factors, turned: [turned_x, turned_y, _] } = work;
        let (x, dy) = (self.channels_last(x.data, turned_x), self.channels_last(dy.data, turned_y));
        let [mean, rate, _] = thirds(factors, self.channels);
        for j in 0..self.channels {
            let [of_batch, variance] = round(batch_norm::moments(cx.sums(), j).expect("a batch has sums"));
            (mean[j], rate[j]) = (of_batch, self.rate(variance));
        }
        batch_norm::add_gradient_sums(x, dy, mean, |j, part| {
            for (sum, part) in sums[2 * j..].iter_mut().zip(part) {
                *sum += part;
            }
            let [dy, dy_x] = round(part);
            if let Some(beta) = self.beta {
                cx.grads.of(beta)[j] += dy;
            }
            if let Some(gamma) = self.gamma {
                cx.grads.of(gamma)[j] += dy_x * rate[j];
            }
        });
    }

    fn backward<T: Scalar>(
        &self,
        cx: &mut Backward<T>,
        work: &mut NormalizationBuffers<T>,
        taped: Taped<T>,
        dx: Option<ViewMut<T>>,
    ) {
        let Some(dx) = dx else {
            return;
        };
        let NormalizationBuffers { factors, turned: [turned_x, turned_y, turned_dx] } = work;
        let x = self.channels_last(taped.x.data, turned_x);
        let dy = self.channels_last(taped.dy.data, turned_y);
        let variance = cx.param(self.moving_variance);
        let [a, b, shift] = thirds(factors, self.channels);
        // With r = 1 / sqrt(variance + epsilon), dx = gamma r (dy - sum(dy) / n - (x - mean) r^2 sum(dy (x - mean)) / n), and
        // without the sums where mean and variance do not depend on x.
        for j in 0..self.channels {
            let gamma = self.gamma.map_or(T::one(), |gamma| cx.param(gamma)[j]);
            let Some(moments) = batch_norm::moments(cx.sums(), j) else {
                [a[j], b[j], shift[j]] = [gamma * self.rate(variance[j]), T::zero(), T::zero()];
                continue;
            };
            let ([mean, variance], rows) = (round::<T>(moments), batch_norm::rows(cx.sums()));
            let means: &[f64; 2] = cx.gradient_sums()[2 * j..].first_chunk().expect("two sums for each channel");
            let [dy, dy_x] = round::<T>(means.map(|sum| sum / rows));
            let rate = self.rate(variance);
            a[j] = gamma * rate;
            b[j] = -a[j] * rate * rate * dy_x;
            shift[j] = -a[j] * dy - b[j] * mean;
        }
        self.write(dx.data, turned_dx, |dx| batch_norm::combine(dy, x, [a, b, shift], dx));
    }

    fn store<T: Scalar>(&self, sums: &[f64], state: &mut State<T>) {
        let (keep, take) = (T::of(self.momentum), T::of(1.0 - self.momentum));
        for j in 0..self.channels {
            let of_batch = round::<T>(batch_norm::moments(sums, j).expect("a step has sums"));
            for (moving, of_batch) in [self.moving_mean, self.moving_variance].into_iter().zip(of_batch) {
                let moving = &mut state.of(moving)[j];
                *moving = *moving * keep + of_batch * take;
            }
        }
    }
}

/// Three arrays of `c` elements.
fn thirds<T: Scalar>(buffer: &mut Vec<T>, c: usize) -> [&mut [T]; 3] {
    buffer.resize(3 * c, T::zero());
    let (first, rest) = buffer.split_at_mut(c);
    let (second, third) = rest.split_at_mut(c);
    [first, second, third]
}

fn round<T: Scalar>(pair: [f64; 2]) -> [T; 2] {
    pair.map(T::of)
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
