//! [`PReLU`].

use super::{Axes, Backward, Build, Forward, Layer, LayerConfig, Reads, Taped};
use crate::{
    Constraint, Initializer, Regularizer, Result, Scalar, Shape,
    config::Arguments,
    kernels::strided::Strided,
    params::{ParamId, WeightSpec},
    tensor::{View, ViewMut},
};

/// A ReLU whose slope below 0 is learned, `keras.layers.PReLU`: `y = x` where `x > 0`, `alpha * x` elsewhere.
///
/// - input: `[n, ..]`
/// - output: `[n, ..]`
/// - weights: `alpha: [..]`, as a sample, but 1 long along `shared_axes`
///
/// The gradient at 0 is 0, as in Keras.
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 1]).add(Conv2D::new(32, 3)).add(PReLU::new().shared_axes([1, 2])).build()?;
/// assert_eq!(model.get_layer("p_re_lu")?.count_params(), 32);
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// [He et al., 2015](https://arxiv.org/abs/1502.01852)
#[derive(Clone, Debug, PartialEq)]
pub struct PReLU {
    alpha: WeightSpec,
    shared_axes: Axes,
}

impl PReLU {
    /// A slope for each element of a sample, all 0 at first.
    pub fn new() -> Self {
        PReLU { alpha: Initializer::Zeros.into(), shared_axes: [].into() }
    }

    /// How `alpha` starts; [`Initializer::Zeros`] by default.
    pub fn alpha_initializer(mut self, initializer: Initializer) -> Self {
        self.alpha.initializer = initializer;
        self
    }

    /// The axes along which all elements have the same slope, counted with the batch, which is 0; none by default. Behind a
    /// convolution, `[1, 2]` leaves a slope for each channel.
    pub fn shared_axes(mut self, shared_axes: impl Into<Axes>) -> Self {
        self.shared_axes = shared_axes.into();
        self
    }

    /// A penalty on the size of `alpha`; none by default.
    pub fn alpha_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.alpha.regularizer = Some(regularizer);
        self
    }

    /// What `alpha` is brought back to after each step; nothing by default.
    pub fn alpha_constraint(mut self, constraint: Constraint) -> Self {
        self.alpha.constraint = Some(constraint);
        self
    }
}

impl Default for PReLU {
    fn default() -> Self {
        PReLU::new()
    }
}

impl LayerConfig for PReLU {
    type Built = BuiltPReLU;

    fn class_name(&self) -> &'static str {
        "PReLU"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.weight("alpha", &mut self.alpha).argument("shared_axes", &mut self.shared_axes);
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltPReLU, Shape)> {
        let (input, rank) = (cx.input(), cx.input().rank());
        // Keras takes negative axes, for others than one would think.
        let Some(shared) = self.shared_axes.of_sample(rank).filter(|_| self.shared_axes.0.iter().all(|&axis| axis > 0))
        else {
            return Err(cx.argument_error(format!(
                "shared_axes must be some of the {rank} axes after the batch, 1 to {rank}; got {:?}",
                self.shared_axes.0
            )));
        };
        let mut dims = input.dims().to_vec();
        for axis in shared {
            dims[axis] = 1;
        }
        let alpha = cx.weight("alpha", Shape::new(&dims)?, &self.alpha)?;
        Ok((BuiltPReLU { alpha, size: input.size(), slopes: Strided::broadcast(&dims, input.dims()) }, input))
    }
}

/// A built [`PReLU`].
#[derive(Debug)]
pub struct BuiltPReLU {
    alpha: ParamId,
    /// The elements of a sample.
    size: usize,
    /// The slope of each element, in `alpha`.
    slopes: Strided,
}

impl Layer for BuiltPReLU {
    type Work<T: Scalar> = ();

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        let (alpha, slopes) = (cx.param(self.alpha), cx.scratch.take(self.size));
        self.slopes.gather(alpha, slopes);
        for (x, y) in x.samples().zip(y.data.chunks_exact_mut(self.size)) {
            for ((y, &x), &slope) in y.iter_mut().zip(x.data).zip(&*slopes) {
                *y = if x > T::zero() { x } else { slope * x };
            }
        }
    }

    fn backward<T: Scalar>(&self, cx: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        let alpha = cx.param(self.alpha);
        let (slopes, dslopes) = cx.scratch.take(2 * self.size).split_at_mut(self.size);
        if cx.trainable {
            dslopes.fill(T::zero());
            for (x, dy) in taped.x.samples().zip(taped.dy.data.chunks_exact(self.size)) {
                for ((dslope, &x), &dy) in dslopes.iter_mut().zip(x.data).zip(dy) {
                    *dslope += if x < T::zero() { x * dy } else { T::zero() };
                }
            }
            self.slopes.scatter(dslopes, cx.grads.of(self.alpha), |dalpha, dslope| *dalpha += dslope);
        }
        let Some(dx) = dx else {
            return;
        };
        self.slopes.gather(alpha, slopes);
        let samples = taped.x.samples().zip(taped.dy.data.chunks_exact(self.size));
        for ((x, dy), dx) in samples.zip(dx.data.chunks_exact_mut(self.size)) {
            for (((dx, &x), &dy), &slope) in dx.iter_mut().zip(x.data).zip(dy).zip(&*slopes) {
                let below = if x < T::zero() { slope * dy } else { T::zero() };
                *dx = if x > T::zero() { dy } else { below };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Sequential, Tensor, gradcheck::check_layer};

    #[test]
    fn each_channel_has_its_slope() {
        let mut model = Sequential::new([2, 2]).add(PReLU::new().shared_axes(1)).build().unwrap();
        model.set_weights(&[Tensor::from([[0.5, -2.0]])]).unwrap();
        let x = Tensor::new([1, 2, 2], vec![-1.0, -1.0, 3.0, f32::NAN]).unwrap();
        let y = model.predict(&x).unwrap();
        assert!(y.data()[..3] == [-0.5, 2.0, 3.0] && y.data()[3].is_nan(), "{y}");
    }

    #[test]
    fn the_shape_of_alpha_follows_the_shared_axes() {
        let alpha = |layer| Sequential::new([4, 5, 3]).add(layer).build().unwrap().get_weights()[0].clone();
        let layer = PReLU::new().alpha_initializer(Initializer::Constant(0.25));
        assert_eq!(alpha(layer.clone()), Tensor::full([4, 5, 3], 0.25));
        assert_eq!(alpha(layer.clone().shared_axes([1, 2])), Tensor::full([1, 1, 3], 0.25));
        assert_eq!(alpha(layer.shared_axes([3, 1, 2])), Tensor::full([1, 1, 1], 0.25));
    }

    #[test]
    fn axes_that_are_none_are_errors() {
        for axes in [Axes::from(0), 3.into(), (-1).into(), [1, 7].into()] {
            let error = Sequential::new([4, 5]).add(PReLU::new().shared_axes(axes)).build().unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
        }
    }

    #[test]
    fn gradients() {
        for shared_axes in [Axes::from([]), 1.into(), 2.into(), [1, 2].into(), [2, 3].into(), [1, 2, 3].into()] {
            let layer = PReLU::new().shared_axes(shared_axes);
            let report = check_layer(&layer, [3, 2, 4]).unwrap();
            assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
        }
        let report = check_layer(&PReLU::new(), ()).unwrap();
        assert!(report.max_relative_error < 1e-6, "{report}");
    }
}
