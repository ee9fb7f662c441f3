//! [`Cropping2D`].

use super::{
    Backward, Build, Forward, Layer, LayerConfig, Reads, Taped,
    zero_padding2d::{Border, Framed},
};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    tensor::{View, ViewMut},
};

/// The inner part of an image, `keras.layers.Cropping2D`.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, h - top - bottom, w - left - right, c]`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 3]).add(Cropping2D::new(((2, 2), (4, 4)))).build()?;
/// assert_eq!(model.output_shape(), [24, 20, 3].into());
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cropping2D {
    cropping: Border,
}

impl Cropping2D {
    /// Cuts off `cropping` pixels: `1` on all sides, `(1, 2)` above and below, left and right, or
    /// `((top, bottom), (left, right))`.
    pub fn new(cropping: impl Into<Border>) -> Self {
        Cropping2D { cropping: cropping.into() }
    }
}

impl Default for Cropping2D {
    /// Nothing is cut off, as in Keras.
    fn default() -> Self {
        Cropping2D::new(0)
    }
}

impl LayerConfig for Cropping2D {
    type Built = BuiltCropping2D;

    fn class_name(&self) -> &'static str {
        "Cropping2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("cropping", &mut self.cropping).fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltCropping2D, Shape)> {
        let [h, w, channels] = cx.input_of_rank("images are (height, width, channels)")?;
        let Border { top, bottom, left, right } = self.cropping;
        let (vertical, horizontal) = (top.saturating_add(bottom), left.saturating_add(right));
        if vertical >= h || horizontal >= w {
            return Err(cx.shape_error(
                format!("an image of more than {vertical} by {horizontal} pixels, which are cut off"),
                "crop less",
            ));
        }
        let inner = [h - vertical, w - horizontal];
        let output = [inner[0], inner[1], channels].into();
        Ok((BuiltCropping2D(Framed { border: self.cropping, inner, channels }), output))
    }
}

/// A built [`Cropping2D`].
#[derive(Debug)]
pub struct BuiltCropping2D(Framed);

impl Layer for BuiltCropping2D {
    type Work<T: Scalar> = ();

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        self.0.crop(x.data, y.data);
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        if let Some(dx) = dx {
            self.0.pad(taped.dy.data, dx.data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Sequential, Tensor, gradcheck::check_layer};

    #[test]
    fn the_inside_stays() {
        let x = Tensor::random_normal([2, 5, 6, 2], 0.0, 1.0, 0);
        let model = Sequential::new([5, 6, 2]).add(Cropping2D::new(((1, 2), (0, 3)))).build().unwrap();
        let expected = Tensor::from_fn([2, 2, 3, 2], |[n, y, x_, c]| x[[n, y + 1, x_, c]]);
        assert_eq!(model.predict(&x).unwrap(), expected);
    }

    #[test]
    fn an_image_that_is_cut_off_whole_is_an_error() {
        for cropping in [((1, 2), (0, 0)), ((0, 0), (4, 0)), ((usize::MAX, 2), (0, 0))] {
            let error = Sequential::new([3, 4, 1]).add(Cropping2D::new(cropping)).build().unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{error}");
        }
    }

    #[test]
    fn gradients() {
        for layer in [Cropping2D::default(), Cropping2D::new(1), Cropping2D::new(((0, 2), (1, 0)))] {
            let report = check_layer(&layer, [4, 3, 2]).unwrap();
            assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
        }
    }
}
