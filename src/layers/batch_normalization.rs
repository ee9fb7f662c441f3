//! [`BatchNormalization`].

use std::any::Any;

use super::{
    Axes, Backward, Build, BuiltMaxPooling2D, ChannelAffine, Forward, Layer, LayerConfig, Params, Reads, Scope, State,
    Taped,
};
use crate::{
    Activation, Constraint, Initializer, Regularizer, Result, Scalar, Shape, Tensor,
    config::Arguments,
    kernels::{batch_norm, normalized_pool::NormalizedPool, strided::Strided},
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
            .or_list_of_one("axis", &mut self.axis)
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
            pooling: None,
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
#[derive(Clone, Debug)]
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
    /// A max pooling behind it.
    pooling: Option<BuiltMaxPooling2D>,
}

/// Memory to compute in.
#[derive(Debug, Default)]
pub struct NormalizationBuffers<T> {
    /// `[5, c]`: factors of a pass.
    factors: Vec<T>,
    /// The arrays with the channels last, where they are not.
    turned: [Vec<T>; 3],
}

impl Layer for BuiltBatchNormalization {
    type Work<T: Scalar> = NormalizationBuffers<T>;

    fn scope(&self) -> Scope {
        Scope::Summed { forward: batch_norm::moments_len(self.channels), backward: 2 * self.channels }
    }

    fn fuse(&self, next: &dyn Any) -> Option<Self> {
        let pooling: &BuiltMaxPooling2D = next.downcast_ref()?;
        let fits = self.order.is_none() && pooling.pool.channels == self.channels && pooling.pool.window.is_packed();
        (fits && self.pooling.is_none()).then(|| Self { pooling: Some(pooling.clone()), ..self.clone() })
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
        let [scale, shift] = parts(factors, self.channels);
        self.affine(cx.params, cx.sums(), scale, shift);
        match &self.pooling {
            Some(pooling) => {
                normalized(pooling, scale, shift).max(x, y.data);
                pooling.activation.apply(y.data, self.channels);
            }
            None => self.write(y.data, turned_y, |y| batch_norm::affine(x, scale, shift, y)),
        }
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
        let [mean, rate, scale, shift] = parts(factors, self.channels);
        for j in 0..self.channels {
            let [of_batch, variance] = round(batch_norm::moments(cx.sums(), j).expect("a batch has sums"));
            (mean[j], rate[j]) = (of_batch, self.rate(variance));
        }
        let add = |j: usize, part: [f64; 2]| {
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
        };
        match &self.pooling {
            Some(pooling) => {
                self.affine(cx.params, cx.sums[0], scale, shift);
                normalized(pooling, scale, shift).add_gradient_sums(x, dy, mean, add);
            }
            None => batch_norm::add_gradient_sums(x, dy, mean, add),
        }
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
        let [a, b, c, scale, shift] = parts(factors, self.channels);
        // With r = 1 / sqrt(variance + epsilon), dx = gamma r (dy - sum(dy) / n - (x - mean) r^2 sum(dy (x - mean)) / n), and
        // without the sums where mean and variance do not depend on x.
        for j in 0..self.channels {
            let gamma = self.gamma.map_or(T::one(), |gamma| cx.param(gamma)[j]);
            let Some(moments) = batch_norm::moments(cx.sums(), j) else {
                [a[j], b[j], c[j]] = [gamma * self.rate(variance[j]), T::zero(), T::zero()];
                continue;
            };
            let ([mean, variance], rows) = (round::<T>(moments), batch_norm::rows(cx.sums()));
            let means: &[f64; 2] = cx.gradient_sums()[2 * j..].first_chunk().expect("two sums for each channel");
            let [dy, dy_x] = round::<T>(means.map(|sum| sum / rows));
            let rate = self.rate(variance);
            a[j] = gamma * rate;
            b[j] = -a[j] * rate * rate * dy_x;
            c[j] = -a[j] * dy - b[j] * mean;
        }
        match &self.pooling {
            Some(pooling) => {
                self.affine(cx.params, cx.sums(), scale, shift);
                normalized(pooling, scale, shift).gradient(x, dy, [a, b, c], dx.data);
            }
            None => self.write(dx.data, turned_dx, |dx| batch_norm::combine(dy, x, [a, b, c], dx)),
        }
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

/// `N` arrays of `c` elements.
fn parts<T: Scalar, const N: usize>(buffer: &mut Vec<T>, c: usize) -> [&mut [T]; N] {
    buffer.resize(N * c, T::zero());
    let mut parts = buffer.chunks_exact_mut(c);
    std::array::from_fn(|_| parts.next().expect("there are N"))
}

/// The normalization by these factors, with what is behind it.
fn normalized<'a, T>(pooling: &'a BuiltMaxPooling2D, scale: &'a [T], shift: &'a [T]) -> NormalizedPool<'a, T> {
    NormalizedPool { pool: &pooling.pool, scale, shift, relu: pooling.activation == Activation::Relu }
}

fn round<T: Scalar>(pair: [f64; 2]) -> [T; 2] {
    pair.map(T::of)
}

impl BuiltBatchNormalization {
    /// Overwrites `scale` and `shift` with what makes the output `x * scale + shift`.
    fn affine<T: Scalar>(&self, params: Params<T>, sums: &[f64], scale: &mut [T], shift: &mut [T]) {
        let moving = [self.moving_mean, self.moving_variance].map(|id| params.of(id));
        for j in 0..self.channels {
            let [mean, variance] = batch_norm::moments(sums, j).map_or(moving.map(|array| array[j]), round);
            scale[j] = self.rate(variance) * self.gamma.map_or(T::one(), |gamma| params.of(gamma)[j]);
            shift[j] = self.beta.map_or(T::zero(), |beta| params.of(beta)[j]) - mean * scale[j];
        }
    }

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

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    /// A model and the same with a layer in it that keeps the normalization and the pooling apart, and changes nothing.
    fn fused_and_not(input: [usize; 3], pool: MaxPooling2D, relu: bool) -> [Model<f64>; 2] {
        [false, true].map(|apart| {
            let mut plan = Sequential::new(input).add(Conv2D::new(19, 2)).add(BatchNormalization::new());
            if apart {
                plan = plan.add(Rescaling::new(1.0));
            }
            if relu {
                plan = plan.add(Activation::Relu);
            }
            let mut model = plan.add(pool.clone()).add(Flatten::new()).add(Dense::new(3)).build_as::<f64>().unwrap();
            let weights = model.get_weights();
            let mut weights: Vec<_> = weights.iter().map(|w| Tensor::random_normal(w.shape(), 0.0, 1.0, 1)).collect();
            // The variance is positive; a gamma of 0 is no special case.
            weights[5] = weights[5].map(|x| x * x + 0.5);
            weights[2].data_mut()[3] = 0.0;
            model.set_weights(&weights).unwrap();
            model.compile(SGD::new(0.1), MeanSquaredError, []).unwrap();
            model
        })
    }

    #[test]
    fn with_a_pooling_behind_it_is_one_layer() {
        let cases = [
            ([9, 8, 2], MaxPooling2D::new(2)), // a line and a column are left over
            ([9, 9, 1], MaxPooling2D::new((2, 4))),
            ([10, 7, 1], MaxPooling2D::new(3)),
            ([6, 6, 1], MaxPooling2D::new(1)),
        ];
        for (input, pool) in cases {
            for relu in [false, true] {
                let [mut fused, mut apart] = fused_and_not(input, pool.clone(), relu);
                let x = Tensor::random_normal([21, input[0], input[1], input[2]], 0.0, 1.0, 2);
                let y = Tensor::random_normal([21, 3], 0.0, 1.0, 3);
                assert_eq!(fused.predict(&x).unwrap(), apart.predict(&x).unwrap(), "{pool:?} {relu}");
                let ((loss, gradients), (expected_loss, expected)) =
                    (fused.gradients(&x, &y).unwrap(), apart.gradients(&x, &y).unwrap());
                assert!(
                    (loss - expected_loss).abs() < 1e-12 * expected_loss,
                    "{pool:?} {relu}: {loss} {expected_loss}"
                );
                for (gradient, expected) in gradients.iter().zip(&expected) {
                    let largest = expected.data().iter().fold(1.0, |most: f64, g| most.max(g.abs()));
                    for (g, e) in gradient.data().iter().zip(expected.data()) {
                        assert!((g - e).abs() <= 1e-12 * largest, "{pool:?} {relu}: {g} {e}");
                    }
                }
                // A step moves the averages alike, and a frozen layer computes with them.
                for model in [&mut fused, &mut apart] {
                    model.fit(&x, &y, Fit::new().batch_size(21).verbose(0)).unwrap();
                    model.set_trainable("batch_normalization", false).unwrap();
                }
                let (gradients, expected) = (fused.gradients(&x, &y).unwrap().1, apart.gradients(&x, &y).unwrap().1);
                for (g, e) in gradients.iter().zip(&expected).flat_map(|(g, e)| g.data().iter().zip(e.data())) {
                    assert!((g - e).abs() <= 1e-9 * e.abs().max(1.0), "{pool:?} {relu}: {g} {e}");
                }
            }
        }
    }
}
