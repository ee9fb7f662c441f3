//! [`ZeroPadding2D`].

use serde_json::Value;

use super::{Backward, Build, Forward, Layer, LayerConfig, Pair, Reads, Taped};
use crate::{
    Result, Scalar, Shape,
    config::{Argument, Arguments},
    tensor::{View, ViewMut},
};

/// Zeros around an image, `keras.layers.ZeroPadding2D`.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, top + h + bottom, left + w + right, c]`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 1]).add(ZeroPadding2D::new(((1, 2), (0, 3)))).build()?;
/// assert_eq!(model.output_shape(), [31, 31, 1].into());
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeroPadding2D {
    padding: Border,
}

impl ZeroPadding2D {
    /// A border of `padding` pixels: `1` on all sides, `(1, 2)` above and below, left and right, or
    /// `((top, bottom), (left, right))`.
    pub fn new(padding: impl Into<Border>) -> Self {
        ZeroPadding2D { padding: padding.into() }
    }
}

impl Default for ZeroPadding2D {
    /// One pixel on all sides, as in Keras.
    fn default() -> Self {
        ZeroPadding2D::new(1)
    }
}

/// Pixels around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Border {
    /// Rows above the image.
    pub top: usize,
    /// Rows below it.
    pub bottom: usize,
    /// Columns to its left.
    pub left: usize,
    /// Columns to its right.
    pub right: usize,
}

impl From<usize> for Border {
    fn from(all: usize) -> Self {
        (all, all).into()
    }
}

impl From<(usize, usize)> for Border {
    fn from((vertical, horizontal): (usize, usize)) -> Self {
        ((vertical, vertical), (horizontal, horizontal)).into()
    }
}

impl From<((usize, usize), (usize, usize))> for Border {
    fn from(((top, bottom), (left, right)): ((usize, usize), (usize, usize))) -> Self {
        Border { top, bottom, left, right }
    }
}

impl LayerConfig for ZeroPadding2D {
    type Built = BuiltZeroPadding2D;

    fn class_name(&self) -> &'static str {
        "ZeroPadding2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("padding", &mut self.padding).fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltZeroPadding2D, Shape)> {
        let [h, w, c] = cx.input_of_rank("images are (height, width, channels)")?;
        let Border { top, bottom, left, right } = self.padding;
        let sum = |before, length: usize, after| length.checked_add(before)?.checked_add(after);
        let output = sum(top, h, bottom).zip(sum(left, w, right)).map(|(oh, ow)| Shape::from([oh, ow, c]));
        let Some(output) = output.filter(|output| output.size() < usize::MAX) else {
            return Err(
                cx.argument_error(format!("padding makes the image larger than any memory: {:?}", self.padding))
            );
        };
        Ok((BuiltZeroPadding2D(Framed { border: self.padding, inner: [h, w], channels: c }), output))
    }
}

/// A built [`ZeroPadding2D`].
#[derive(Debug)]
pub struct BuiltZeroPadding2D(Framed);

impl Layer for BuiltZeroPadding2D {
    type Work<T: Scalar> = ();

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        self.0.pad(x.data, y.data);
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        if let Some(dx) = dx {
            self.0.crop(taped.dy.data, dx.data);
        }
    }
}

/// Images in borders.
#[derive(Debug)]
pub(super) struct Framed {
    pub border: Border,
    /// Height and width of the images without their borders.
    pub inner: [usize; 2],
    pub channels: usize,
}

impl Framed {
    /// Overwrites `padded` with the images `inner: [n, h, w, c]` in zeros.
    pub fn pad<T: Scalar>(&self, inner: &[T], padded: &mut [T]) {
        padded.fill(T::zero());
        let len = self.inner[1] * self.channels;
        for (row, start) in inner.chunks_exact(len).zip(self.rows()) {
            padded[start..][..len].copy_from_slice(row);
        }
    }

    /// Overwrites `inner: [n, h, w, c]` with what stands in the borders of `padded`.
    pub fn crop<T: Scalar>(&self, padded: &[T], inner: &mut [T]) {
        let len = self.inner[1] * self.channels;
        for (row, start) in inner.chunks_exact_mut(len).zip(self.rows()) {
            row.copy_from_slice(&padded[start..][..len]);
        }
    }

    /// Where the rows of the inner images start in the padded ones.
    fn rows(&self) -> impl Iterator<Item = usize> {
        let (Border { top, bottom, left, right }, [h, w]) = (self.border, self.inner);
        (0..).map(move |i| ((i / h * (top + h + bottom) + top + i % h) * (left + w + right) + left) * self.channels)
    }
}

impl Argument for Border {
    fn to_json(&self) -> Value {
        ((self.top, self.bottom), (self.left, self.right)).to_json()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        <((usize, usize), (usize, usize))>::from_json(json)
            .map(Border::from)
            .or_else(|_| Pair::from_json(json).map(|pair| (pair.height, pair.width).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Sequential, Tensor, gradcheck::check_layer};

    #[test]
    fn the_image_stands_in_zeros() {
        let model = Sequential::new([2, 2, 1]).add(ZeroPadding2D::new(((1, 0), (0, 2)))).build().unwrap();
        let x = Tensor::from_fn([2, 2, 2, 1], |[n, y, x, _]| (1 + 4 * n + 2 * y + x) as f32);
        let y = model.predict(&x).unwrap();
        assert_eq!(y.shape(), [2, 3, 4, 1].into());
        let first = [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0];
        let second = [0.0, 0.0, 0.0, 0.0, 5.0, 6.0, 0.0, 0.0, 7.0, 8.0, 0.0, 0.0];
        assert_eq!(y.data(), [first, second].concat());
    }

    #[test]
    fn borders_are_those_of_keras() {
        let border = |top, bottom, left, right| Border { top, bottom, left, right };
        assert_eq!(Border::from(1), border(1, 1, 1, 1));
        assert_eq!(Border::from((1, 2)), border(1, 1, 2, 2));
        assert_eq!(Border::from(((1, 2), (3, 4))), border(1, 2, 3, 4));
    }

    #[test]
    fn a_border_larger_than_any_memory_is_an_error() {
        for padding in [(usize::MAX, 0), (usize::MAX / 2 - 1, 4)] {
            let error = Sequential::new([2, 2, 1]).add(ZeroPadding2D::new(padding)).build().unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
        }
    }

    #[test]
    fn gradients() {
        for layer in [
            ZeroPadding2D::default(),
            ZeroPadding2D::new(0),
            ZeroPadding2D::new((1, 2)),
            ZeroPadding2D::new(((0, 2), (1, 0))),
        ] {
            let report = check_layer(&layer, [2, 3, 2]).unwrap();
            assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
        }
    }
}
