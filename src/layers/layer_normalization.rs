//! [`LayerNormalization`].

use super::{Axes, Backward, Build, Forward, Grads, Layer, LayerConfig, Reads, Taped};
use crate::{
    Constraint, Initializer, Regularizer, Result, Scalar, Shape,
    config::Arguments,
    kernels::{reduce, strided::Strided},
    params::{ParamId, WeightSpec},
    tensor::{View, ViewMut},
};

/// Layer normalization, `keras.layers.LayerNormalization`: the elements along `axis`, a row, are brought to a mean of 0 and
/// a variance of 1, each row of each sample by itself, and then to a mean and a variance that are learned.
///
/// ```text
/// y = gamma * (x - mean) / sqrt(variance + epsilon) + beta
/// ```
///
/// `mean` and `variance` (the biased one) are those of the row, in training as in prediction.
///
/// - input: `[n, ..]`
/// - output: `[n, ..]`
/// - weights: `gamma: [..axis]` with `scale`, and `beta: [..axis]` with `center`; `..axis` are the lengths of the axes
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([3]).add(LayerNormalization::new().epsilon(0.0)).build()?;
/// let y = model.predict(&Tensor::from([[1.0, 2.0, 3.0]]))?;
/// assert!((y[[0, 0]] + 1.5f32.sqrt()).abs() < 1e-6 && y[[0, 1]] == 0.0);
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// [Ba et al., 2016](https://arxiv.org/abs/1607.06450)
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormalization {
    axis: Axes,
    epsilon: f64,
    center: bool,
    scale: bool,
    rms_scaling: bool,
    beta: WeightSpec,
    gamma: WeightSpec,
}

impl LayerNormalization {
    /// Over the last axis, with Keras's defaults.
    pub fn new() -> Self {
        LayerNormalization {
            axis: (-1).into(),
            epsilon: 1e-3,
            center: true,
            scale: true,
            rms_scaling: false,
            beta: Initializer::Zeros.into(),
            gamma: Initializer::Ones.into(),
        }
    }

    /// The axes that make a row, counted with the batch, which is 0, or from the end: `-1`, which is the default, or
    /// `[1, 2, 3]`.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = axis.into();
        self
    }

    /// What is added to the variance, at least 0; 0.001 by default.
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

    /// Whether the mean stays in: `y = gamma * x / sqrt(variance + epsilon)`, with a `gamma` and without a `beta` whatever
    /// the other arguments say. It does not by default. Deprecated in Keras, since it divides by the standard deviation and
    /// not by the root mean square.
    pub fn rms_scaling(mut self, rms_scaling: bool) -> Self {
        self.rms_scaling = rms_scaling;
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

impl Default for LayerNormalization {
    fn default() -> Self {
        LayerNormalization::new()
    }
}

impl LayerConfig for LayerNormalization {
    type Built = BuiltLayerNormalization;

    fn class_name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("axis", &mut self.axis)
            .argument("epsilon", &mut self.epsilon)
            .argument("center", &mut self.center)
            .argument("scale", &mut self.scale)
            .argument("rms_scaling", &mut self.rms_scaling)
            .weight("beta", &mut self.beta)
            .weight("gamma", &mut self.gamma);
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltLayerNormalization, Shape)> {
        let input = cx.input();
        let (dims, rank) = (input.dims(), input.rank());
        let Some(axes) = self.axis.of_sample(rank).filter(|axes| !axes.is_empty()) else {
            return Err(cx.argument_error(format!(
                "axis must name some of the {rank} axes after the batch, 1 to {rank}, or -1 for the last; got {:?}",
                self.axis.0
            )));
        };
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            return Err(
                cx.argument_error(format!("epsilon must be a finite number of at least 0, got {}", self.epsilon))
            );
        }
        let row: Vec<usize> = axes.iter().map(|&axis| dims[axis]).collect();
        let others: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
        let shape = Shape::new(&row)?;
        let (scale, center) = (self.scale || self.rms_scaling, self.center && !self.rms_scaling);
        let layer = BuiltLayerNormalization {
            size: input.size(),
            row: shape.size(),
            order: Some(Strided::permuted(dims, &[others, axes].concat())).filter(|order| !order.is_identity()),
            epsilon: self.epsilon,
            centered: !self.rms_scaling,
            gamma: scale.then(|| cx.weight("gamma", shape, &self.gamma)).transpose()?,
            beta: center.then(|| cx.weight("beta", shape, &self.beta)).transpose()?,
        };
        Ok((layer, input))
    }
}

/// A built [`LayerNormalization`].
#[derive(Debug)]
pub struct BuiltLayerNormalization {
    /// The elements of a sample.
    size: usize,
    /// The elements of a row.
    row: usize,
    /// A sample as its rows, one after the other, where it is not that as it is.
    order: Option<Strided>,
    epsilon: f64,
    /// Whether the mean is subtracted.
    centered: bool,
    gamma: Option<ParamId>,
    beta: Option<ParamId>,
}

/// The statistics of a row.
#[derive(Clone, Copy, Debug)]
pub struct RowStatistics<T> {
    mean: T,
    /// `1 / sqrt(variance + epsilon)`
    rate: T,
}

impl Layer for BuiltLayerNormalization {
    /// Those of each row.
    type Work<T: Scalar> = Vec<RowStatistics<T>>;

    fn work_bytes<T: Scalar>(&self, outputs: usize) -> usize {
        outputs / self.row * size_of::<RowStatistics<T>>()
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, work: &mut Vec<RowStatistics<T>>, x: View<T>, y: ViewMut<T>) {
        let [gamma, beta] = [self.gamma, self.beta].map(|id| id.map(|id| cx.param(id)));
        work.clear();
        for (x, y) in x.samples().zip(y.data.chunks_exact_mut(self.size)) {
            match &self.order {
                None => {
                    y.copy_from_slice(x.data);
                    self.normalize(y, gamma, beta, work);
                }
                Some(order) => {
                    let rows = cx.scratch.take(self.size);
                    order.gather(x.data, rows);
                    self.normalize(rows, gamma, beta, work);
                    order.scatter(rows, y, |y, row| *y = row);
                }
            }
        }
    }

    fn backward<T: Scalar>(
        &self,
        cx: &mut Backward<T>,
        work: &mut Vec<RowStatistics<T>>,
        taped: Taped<T>,
        mut dx: Option<ViewMut<T>>,
    ) {
        let gamma = self.gamma.map(|gamma| cx.param(gamma));
        let mut grads = cx.trainable.then_some(&mut cx.grads);
        let samples = taped.x.samples().zip(taped.dy.data.chunks_exact_mut(self.size));
        for (i, ((x, dy), statistics)) in samples.zip(work.chunks_exact(self.size / self.row)).enumerate() {
            let dx = dx.as_mut().map(|dx| &mut dx.data[i * self.size..][..self.size]);
            match &self.order {
                None => {
                    self.gradients(x.data, dy, gamma, grads.as_deref_mut(), statistics);
                    if let Some(dx) = dx {
                        dx.copy_from_slice(dy);
                    }
                }
                Some(order) => {
                    let (x_rows, dy_rows) = cx.scratch.take(2 * self.size).split_at_mut(self.size);
                    order.gather(x.data, x_rows);
                    order.gather(dy, dy_rows);
                    self.gradients(x_rows, dy_rows, gamma, grads.as_deref_mut(), statistics);
                    if let Some(dx) = dx {
                        order.scatter(dy_rows, dx, |dx, row| *dx = row);
                    }
                }
            }
        }
    }
}

impl BuiltLayerNormalization {
    /// Normalizes the rows, and appends their statistics.
    fn normalize<T: Scalar>(
        &self,
        rows: &mut [T],
        gamma: Option<&[T]>,
        beta: Option<&[T]>,
        statistics: &mut Vec<RowStatistics<T>>,
    ) {
        let n = T::of(self.row as f64);
        for row in rows.chunks_exact_mut(self.row) {
            let mean = reduce::sum([&*row], |[x]| x) / n;
            let variance = reduce::sum([&*row], |[x]| (x - mean) * (x - mean)) / n;
            let rate = (variance + T::of(self.epsilon)).sqrt().recip();
            let shift = self.shift(mean);
            for y in &mut *row {
                *y = (*y - shift) * rate;
            }
            for (y, &gamma) in row.iter_mut().zip(gamma.into_iter().flatten()) {
                *y *= gamma;
            }
            for (y, &beta) in row.iter_mut().zip(beta.into_iter().flatten()) {
                *y += beta;
            }
            statistics.push(RowStatistics { mean, rate });
        }
    }

    /// Adds the gradients to the weights, if anybody needs them, and overwrites `dy`, the gradient to the output, with that
    /// to the input.
    fn gradients<T: Scalar>(
        &self,
        x: &[T],
        dy: &mut [T],
        gamma: Option<&[T]>,
        mut grads: Option<&mut Grads<T>>,
        statistics: &[RowStatistics<T>],
    ) {
        let n = T::of(self.row as f64);
        let rows = x.chunks_exact(self.row).zip(dy.chunks_exact_mut(self.row));
        for ((x, dy), &RowStatistics { mean, rate }) in rows.zip(statistics) {
            let shift = self.shift(mean);
            if let (Some(gamma), Some(grads)) = (self.gamma, &mut grads) {
                for ((dgamma, &dy), &x) in grads.of(gamma).iter_mut().zip(&*dy).zip(x) {
                    *dgamma += dy * (x - shift) * rate;
                }
            }
            if let (Some(beta), Some(grads)) = (self.beta, &mut grads) {
                for (dbeta, &dy) in grads.of(beta).iter_mut().zip(&*dy) {
                    *dbeta += dy;
                }
            }
            for (dy, &gamma) in dy.iter_mut().zip(gamma.into_iter().flatten()) {
                *dy *= gamma;
            }
            // An element moves its own output, all of them by the mean, and all by the variance.
            let by_mean = if self.centered { reduce::sum([&*dy], |[dy]| dy) / n } else { T::zero() };
            let by_variance = reduce::sum([&*dy, x], |[dy, x]| dy * (x - shift)) / n * rate * rate;
            for (dx, &x) in dy.iter_mut().zip(x) {
                *dx = rate * (*dx - by_mean - by_variance * (x - mean));
            }
        }
    }

    /// What is subtracted from a row.
    fn shift<T: Scalar>(&self, mean: T) -> T {
        if self.centered { mean } else { T::zero() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Sequential, Tensor, gradcheck::check_layer};

    fn predict(layer: LayerNormalization, x: &Tensor) -> Tensor {
        Sequential::new(x.shape().sample()).add(layer).build().unwrap().predict(x).unwrap()
    }

    #[test]
    fn each_row_has_mean_0_and_variance_1() {
        let x = Tensor::random_normal([3, 4, 50], 5.0, 2.0, 0);
        let y = predict(LayerNormalization::new().epsilon(0.0), &x);
        for row in y.data().chunks_exact(50) {
            let mean = row.iter().sum::<f32>() / 50.0;
            let variance = row.iter().map(|y| y * y).sum::<f32>() / 50.0;
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
        }
    }

    #[test]
    fn axes_in_any_order_and_place_are_the_same_rows() {
        let x = Tensor::random_normal([2, 3, 4, 5], 0.0, 1.0, 0);
        let layer = LayerNormalization::new();
        assert_eq!(predict(layer.clone().axis([-1, 2]), &x), predict(layer.clone().axis([2, 3]), &x));
        // With the other axes at the end, the rows lie one after the other.
        let turned = Tensor::from_fn([2, 5, 3, 4], |[n, c, y, x_]| x[[n, y, x_, c]]);
        let y = predict(layer.clone().axis([2, 3]), &turned);
        let turned_y = Tensor::from_fn([2, 3, 4, 5], |[n, a, b, c]| y[[n, c, a, b]]);
        assert_eq!(predict(layer.axis([1, 2]), &x), turned_y);
    }

    #[test]
    fn a_mean_far_from_0_costs_no_accuracy() {
        let x = Tensor::from_fn([1, 1000], |[_, i]| 4096.0 + (i % 5) as f32);
        let y = predict(LayerNormalization::new().epsilon(0.0), &x);
        for (i, y) in y.data()[..5].iter().enumerate() {
            assert!((y - (i as f32 - 2.0) / 2f32.sqrt()).abs() < 1e-6, "{y}");
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        let build = |layer| Sequential::new([4, 3]).add(layer).build();
        for axes in [Axes::from(0), 3.into(), (-3).into(), [1, 3].into(), [].into()] {
            let error = build(LayerNormalization::new().axis(axes)).unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
        }
        for epsilon in [-1e-3, f64::NAN, f64::INFINITY] {
            assert!(build(LayerNormalization::new().epsilon(epsilon)).is_err(), "{epsilon}");
        }
        assert!(Sequential::new(()).add(LayerNormalization::new()).build().is_err());
    }

    #[test]
    fn gradients() {
        let layer = LayerNormalization::new();
        for layer in [layer.clone(), layer.clone().scale(false), layer.clone().center(false), layer.rms_scaling(true)] {
            for axis in [Axes::from(-1), 1.into(), [1, 3].into(), [1, 2, 3].into()] {
                let layer = layer.clone().axis(axis);
                let report = check_layer(&layer, [3, 2, 4]).unwrap();
                assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
            }
        }
        let report = check_layer(&LayerNormalization::new().scale(false).center(false), 70).unwrap();
        assert!(report.max_relative_error < 1e-6, "{report}");
    }
}
