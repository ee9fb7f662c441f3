//! [`AveragePooling2D`].

use super::{Backward, Build, Forward, Layer, LayerConfig, Padding, Pair, Reads, Taped, window};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    kernels::pool::{self, Pool},
    tensor::{View, ViewMut},
};

/// The mean of each window, for each channel, `keras.layers.AveragePooling2D`.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, oh, ow, c]`; see [`Padding`] for `oh` and `ow`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([4, 4, 1]).add(AveragePooling2D::new(2)).build()?;
/// let y = model.predict(&Tensor::from_fn([1, 4, 4, 1], |[_, _, x, _]| x as f32))?;
/// assert_eq!(y.data(), [0.5, 2.5, 0.5, 2.5]);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AveragePooling2D {
    pool_size: Pair,
    strides: Option<Pair>,
    padding: Padding,
}

impl AveragePooling2D {
    /// Windows of `pool_size` (height, width), one beside the other.
    pub fn new(pool_size: impl Into<Pair>) -> Self {
        AveragePooling2D { pool_size: pool_size.into(), strides: None, padding: Padding::Valid }
    }

    /// How far the window moves; `pool_size` by default.
    pub fn strides(mut self, strides: impl Into<Pair>) -> Self {
        self.strides = Some(strides.into());
        self
    }

    /// What happens at the border; [`Padding::Valid`] by default. The padding does not count: the mean is that of the
    /// pixels.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }
}

impl Default for AveragePooling2D {
    /// Windows of 2 by 2, as in Keras.
    fn default() -> Self {
        AveragePooling2D::new(2)
    }
}

impl LayerConfig for AveragePooling2D {
    type Built = BuiltAveragePooling2D;

    fn class_name(&self) -> &'static str {
        "AveragePooling2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("pool_size", &mut self.pool_size)
            .argument("strides", &mut self.strides)
            .argument("padding", &mut self.padding)
            .fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltAveragePooling2D, Shape)> {
        let (pool, output) = window::pool(cx, self.pool_size, self.strides, self.padding)?;
        Ok((BuiltAveragePooling2D(pool), output))
    }
}

/// A built average pooling of any kind: of windows or of all, of images or of sequences.
#[derive(Debug)]
pub struct BuiltAveragePooling2D(pub(super) Pool);

impl Layer for BuiltAveragePooling2D {
    type Work<T: Scalar> = ();

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        pool::average(&self.0, x.data, y.data);
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        if let Some(dx) = dx {
            pool::average_gradient(&self.0, taped.dy.data, dx.data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sequential, Tensor, gradcheck::check_layer};

    /// Keras 3.15 on the pixels 1 to 9.
    #[test]
    fn values_are_those_of_keras() {
        let same = AveragePooling2D::default().padding(Padding::Same);
        for (layer, y) in [
            (same.clone(), &[3.0, 4.5, 7.5, 9.0][..]),
            (same.strides(1), &[3.0, 4.0, 4.5, 6.0, 7.0, 7.5, 7.5, 8.5, 9.0]),
            (AveragePooling2D::new((2, 1)).strides((1, 2)), &[2.5, 4.5, 5.5, 7.5]),
        ] {
            let model = Sequential::new([3, 3, 1]).add(layer).build().unwrap();
            let x = Tensor::from_fn([1, 3, 3, 1], |[_, y, x, _]| (3 * y + x + 1) as f32);
            assert_eq!(model.predict(&x).unwrap().data(), y);
        }
    }

    #[test]
    fn gradients() {
        for padding in [Padding::Valid, Padding::Same] {
            for layer in [
                AveragePooling2D::default(),
                AveragePooling2D::new((3, 2)),
                AveragePooling2D::new((2, 3)).strides((1, 2)),
                AveragePooling2D::new(1).strides(2),
            ] {
                let layer = layer.padding(padding);
                let report = check_layer(&layer, [5, 4, 2]).unwrap();
                assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
            }
        }
    }
}
