//! [`GlobalMaxPooling2D`].

use super::{Backward, Build, Forward, Layer, LayerConfig, Taped, window};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    tensor::{View, ViewMut},
};

/// The maximum of an image, for each channel, `keras.layers.GlobalMaxPooling2D`.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, c]`, or with `keepdims(true)` `[n, 1, 1, c]`
///
/// The gradient of a tie is shared equally among the maxima, as in Keras on TensorFlow, unlike that of
/// [`MaxPooling2D`](super::MaxPooling2D).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalMaxPooling2D {
    keepdims: bool,
}

impl GlobalMaxPooling2D {
    /// The maximum over height and width.
    pub fn new() -> Self {
        GlobalMaxPooling2D::default()
    }

    /// Whether height and width stay, as dimensions of 1; they do not by default.
    pub fn keepdims(mut self, keepdims: bool) -> Self {
        self.keepdims = keepdims;
        self
    }
}

impl LayerConfig for GlobalMaxPooling2D {
    type Built = BuiltGlobalMaxPooling2D;

    fn class_name(&self) -> &'static str {
        "GlobalMaxPooling2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("keepdims", &mut self.keepdims).fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltGlobalMaxPooling2D, Shape)> {
        let (pool, output) = window::global_pool(cx, self.keepdims)?;
        Ok((BuiltGlobalMaxPooling2D { channels: pool.channels }, output))
    }
}

/// A built [`GlobalMaxPooling2D`] or [`GlobalMaxPooling1D`](super::GlobalMaxPooling1D).
#[derive(Debug)]
pub struct BuiltGlobalMaxPooling2D {
    pub(super) channels: usize,
}

impl Layer for BuiltGlobalMaxPooling2D {
    type Work<T: Scalar> = ();

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        for (image, y) in x.samples().zip(y.data.chunks_exact_mut(self.channels)) {
            y.fill(T::neg_infinity());
            for pixel in image.data.chunks_exact(self.channels) {
                for (y, &x) in y.iter_mut().zip(pixel) {
                    *y = if x > *y || x.is_nan() { x } else { *y };
                }
            }
        }
    }

    fn backward<T: Scalar>(&self, cx: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        let Some(dx) = dx else {
            return;
        };
        let channels = self.channels;
        let rows = taped.y.data.chunks_exact(channels).zip(taped.dy.data.chunks_exact(channels));
        let images = taped.x.samples().zip(dx.data.chunks_exact_mut(taped.x.shape.sample().size()));
        let maxima = cx.scratch.take(channels);
        for ((y, dy), (image, dx)) in rows.zip(images) {
            maxima.fill(T::zero());
            for pixel in image.data.chunks_exact(channels) {
                for ((count, &x), &y) in maxima.iter_mut().zip(pixel).zip(y) {
                    *count += if x == y { T::one() } else { T::zero() };
                }
            }
            for (pixel, dx) in image.data.chunks_exact(channels).zip(dx.chunks_exact_mut(channels)) {
                for (c, (dx, &x)) in dx.iter_mut().zip(pixel).enumerate() {
                    *dx = if x == y[c] { dy[c] / maxima[c] } else { T::zero() };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Sequential, Tensor,
        gradcheck::check_layer,
        layers::{Grads, Params, Scratch},
        params::ParamLayout,
    };

    #[test]
    fn the_maximum_of_each_channel() {
        let model = |layer| Sequential::new([2, 2, 2]).add(layer).build().unwrap();
        let x = Tensor::new([1, 2, 2, 2], vec![1.0, -5.0, 3.0, -2.0, 3.0, f32::NAN, 2.0, -3.0]).unwrap();
        let y = model(GlobalMaxPooling2D::new()).predict(&x).unwrap();
        assert!(y[[0, 0]] == 3.0 && y[[0, 1]].is_nan(), "{y}");
        assert_eq!(model(GlobalMaxPooling2D::new().keepdims(true)).output_shape(), [1, 1, 2].into());
    }

    #[test]
    fn a_tie_is_shared() {
        let layer = BuiltGlobalMaxPooling2D { channels: 1 };
        let (x, y) = (Tensor::new([1, 2, 2, 1], vec![1.0, 3.0, 3.0, 2.0]).unwrap(), Tensor::from([[3.0]]));
        let (mut dy, mut dx) = (Tensor::from([[1.0]]), Tensor::ones([1, 2, 2, 1]));
        let layout = ParamLayout::default();
        let mut cx = Backward {
            grads: Grads { values: &mut [], offset: 0, layout: &layout },
            scratch: &mut Scratch::default(),
            packed: &[],
            params: Params { values: &[], layout: &layout },
            sums: [&[], &[]],
            trainable: true,
        };
        let taped = Taped { x: x.view(), y: y.view(), dy: dy.view_mut() };
        layer.backward(&mut cx, &mut (), taped, Some(dx.view_mut()));
        assert_eq!(dx.data(), [0.0, 0.5, 0.5, 0.0]);
    }

    #[test]
    fn gradients() {
        for input in [[3, 4, 2], [1, 1, 3], [5, 1, 1]] {
            for keepdims in [false, true] {
                let report = check_layer(&GlobalMaxPooling2D::new().keepdims(keepdims), input).unwrap();
                assert!(report.max_relative_error < 1e-6, "{input:?}: {report}");
            }
        }
        assert!(check_layer(&GlobalMaxPooling2D::new(), 4).is_err());
    }
}
