//! [`UpSampling2D`].

use super::{Backward, Build, Forward, Interpolation, Layer, LayerConfig, Pair, Reads, Taped};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    tensor::{View, ViewMut},
};

/// An image enlarged, `keras.layers.UpSampling2D`.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, h * sh, w * sw, c]`, where `size` is `(sh, sw)`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([1, 2, 1]).add(UpSampling2D::new((1, 2))).build()?;
/// let x = Tensor::new([1, 1, 2, 1], vec![1.0, 2.0])?;
/// assert_eq!(model.predict(&x)?.data(), [1.0, 1.0, 2.0, 2.0]);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpSampling2D {
    size: Pair,
    interpolation: Interpolation,
}

impl UpSampling2D {
    /// `size` times (height, width) as large.
    pub fn new(size: impl Into<Pair>) -> Self {
        UpSampling2D { size: size.into(), interpolation: Interpolation::Nearest }
    }

    /// What the new pixels are; [`Interpolation::Nearest`] by default. The centre of output `i` lies at `(i + 1/2) / size - 1/2`; beyond
    /// the outermost pixels, those go on.
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = interpolation;
        self
    }
}

impl Default for UpSampling2D {
    /// Twice as high and as wide, as in Keras.
    fn default() -> Self {
        UpSampling2D::new(2)
    }
}

impl LayerConfig for UpSampling2D {
    type Built = BuiltUpSampling2D;

    fn class_name(&self) -> &'static str {
        "UpSampling2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("size", &mut self.size)
            .argument("interpolation", &mut self.interpolation)
            .fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltUpSampling2D, Shape)> {
        let [h, w, channels] = cx.input_of_rank("images are (height, width, channels)")?;
        let Pair { height, width } = self.size;
        if height == 0 || width == 0 {
            return Err(cx.argument_error(format!("size must be at least 1, got ({height}, {width})")));
        }
        let output = h.checked_mul(height).zip(w.checked_mul(width)).map(|(oh, ow)| Shape::from([oh, ow, channels]));
        let Some(output) = output.filter(|output| output.size() < usize::MAX) else {
            return Err(cx.argument_error(format!("size ({height}, {width}) makes the image larger than any memory")));
        };
        let layer = BuiltUpSampling2D {
            axes: [(h, height), (w, width)].map(|(input, size)| Axis { input, size }),
            channels,
            interpolation: self.interpolation,
        };
        Ok((layer, output))
    }
}

/// A built [`UpSampling2D`].
#[derive(Debug)]
pub struct BuiltUpSampling2D {
    /// Down and across.
    axes: [Axis; 2],
    channels: usize,
    interpolation: Interpolation,
}

#[derive(Debug)]
struct Axis {
    input: usize,
    size: usize,
}

impl Layer for BuiltUpSampling2D {
    type Work<T: Scalar> = ();

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        y.data.fill(T::zero());
        self.for_each_tap(y.data.len(), |output, input, weight| {
            let weight = T::of(weight);
            for (y, &x) in y.data[output..][..self.channels].iter_mut().zip(&x.data[input..]) {
                *y += weight * x;
            }
        });
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        let (dy, Some(dx)) = (taped.dy.data, dx) else {
            return;
        };
        dx.data.fill(T::zero());
        self.for_each_tap(dy.len(), |output, input, weight| {
            let weight = T::of(weight);
            for (dx, &dy) in dx.data[input..][..self.channels].iter_mut().zip(&dy[output..]) {
                *dx += weight * dy;
            }
        });
    }
}

impl BuiltUpSampling2D {
    /// Calls `visit` for each pixel of the output and each pixel of the input that it is made of, with where the channels
    /// of both start, and the weight.
    fn for_each_tap(&self, outputs: usize, mut visit: impl FnMut(usize, usize, f64)) {
        let ([down, across], c) = (&self.axes, self.channels);
        let [rows, columns] = [down, across].map(|axis| axis.input * axis.size);
        for row in 0..outputs / (columns * c) {
            let sample = row / rows;
            for (y, y_weight) in down.taps(row % rows, self.interpolation) {
                let line = (sample * down.input + y) * across.input;
                for column in 0..columns {
                    for (x, x_weight) in across.taps(column, self.interpolation) {
                        visit((row * columns + column) * c, (line + x) * c, y_weight * x_weight);
                    }
                }
            }
        }
    }
}

impl Axis {
    /// The pixels that an output is made of, and their weights, which sum to 1.
    fn taps(&self, output: usize, interpolation: Interpolation) -> impl Iterator<Item = (usize, f64)> + use<> {
        let (last, size) = (self.input - 1, self.size);
        let taps = match interpolation {
            Interpolation::Nearest => [(output / size, 1.0), (last, 0.0)],
            Interpolation::Bilinear => {
                let place = ((output as f64 + 0.5) / size as f64 - 0.5).clamp(0.0, last as f64);
                let before = place as usize;
                let share = place.fract();
                [(before, 1.0 - share), ((before + 1).min(last), share)]
            }
        };
        // What weighs nothing shall not turn an infinity into NaN.
        taps.into_iter().filter(|&(_, weight)| weight > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Sequential, Tensor, gradcheck::check_layer};

    #[test]
    fn pixels_are_repeated() {
        let x = Tensor::random_normal([2, 3, 2, 2], 0.0, 1.0, 0);
        let model = Sequential::new([3, 2, 2]).add(UpSampling2D::new((2, 3))).build().unwrap();
        let expected = Tensor::from_fn([2, 6, 6, 2], |[n, y, x_, c]| x[[n, y / 2, x_ / 3, c]]);
        assert_eq!(model.predict(&x).unwrap(), expected);
    }

    #[test]
    fn pixels_between_are_weighted_by_their_distance() {
        let layer = UpSampling2D::new((1, 2)).interpolation(Interpolation::Bilinear);
        let model = Sequential::new([1, 3, 1]).add(layer).build().unwrap();
        let x = Tensor::new([1, 1, 3, 1], vec![0.0, 4.0, f32::INFINITY]).unwrap();
        let infinity = f32::INFINITY;
        assert_eq!(model.predict(&x).unwrap().data(), [0.0, 1.0, 3.0, infinity, infinity, infinity]);
    }

    #[test]
    fn sizes_out_of_range_are_errors() {
        for size in [(0, 2), (2, 0), (usize::MAX, 1), (1 << 32, 1 << 32), (1 << 40, 1)] {
            let error = Sequential::new([2, 2, 1]).add(UpSampling2D::new(size)).build().unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
        }
        assert!(Sequential::new([2, 2]).add(UpSampling2D::default()).build().is_err());
    }

    #[test]
    fn gradients() {
        for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
            for size in [(1, 1), (2, 2), (1, 3), (4, 2)] {
                let layer = UpSampling2D::new(size).interpolation(interpolation);
                for input in [[3, 2, 2], [1, 4, 1]] {
                    let report = check_layer(&layer, input).unwrap();
                    assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
                }
            }
        }
    }
}
