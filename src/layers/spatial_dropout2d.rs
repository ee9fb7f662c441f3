//! [`SpatialDropout2D`].

use super::{Build, BuiltDropout, LayerConfig};
use crate::{Result, Shape, config::Arguments};

/// [`Dropout`](super::Dropout) of whole channels, `keras.layers.SpatialDropout2D`: in training, each channel of each image
/// is dropped with probability `rate`, and those that are kept are multiplied by `1 / (1 - rate)`. In prediction, the input
/// as it is.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, h, w, c]`
///
/// [Tompson et al., 2015](https://arxiv.org/abs/1411.4280)
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialDropout2D {
    rate: f64,
}

impl SpatialDropout2D {
    /// Drops the fraction `rate` of the channels, at least 0 and below 1.
    pub fn new(rate: f64) -> Self {
        SpatialDropout2D { rate }
    }
}

impl LayerConfig for SpatialDropout2D {
    type Built = BuiltDropout;

    fn class_name(&self) -> &'static str {
        "SpatialDropout2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("rate", &mut self.rate).fixed("data_format", "channels_last").ignored("seed");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltDropout, Shape)> {
        let [_, _, channels] = cx.input_of_rank("images are (height, width, channels)")?;
        Ok((BuiltDropout::new(cx, self.rate, channels)?, cx.input()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Sequential, Tensor, gradcheck::check_layer, layers::dropout::tests::train};

    #[test]
    fn channels_are_dropped_as_a_whole_and_the_rest_scaled() {
        let channels = 10_000;
        for rate in [0.0, 0.25, 0.5] {
            let y = train(&SpatialDropout2D::new(rate), &Tensor::ones([2, 3, channels]), 0, 0);
            let pixels: Vec<_> = y.chunks_exact(channels).collect();
            assert!(pixels.iter().all(|pixel| pixel == &pixels[0]));
            let scale = (1.0 / (1.0 - rate)) as f32;
            assert!(y.iter().all(|&y| y == 0.0 || y == scale));
            let dropped = pixels[0].iter().filter(|&&y| y == 0.0).count() as f64 / channels as f64;
            // Four standard errors.
            let error = 4.0 * (rate * (1.0 - rate) / channels as f64).sqrt();
            assert!((dropped - rate).abs() <= error, "{dropped} of {rate}");
        }
    }

    #[test]
    fn each_step_and_each_sample_has_its_mask() {
        let mask = |step, first| train(&SpatialDropout2D::new(0.5), &Tensor::ones([2, 2, 64]), step, first);
        assert_eq!(mask(1, 1), mask(1, 1));
        assert_ne!(mask(1, 1), mask(2, 1));
        assert_ne!(mask(1, 1), mask(1, 2));
    }

    #[test]
    fn prediction_is_the_identity() {
        let model = Sequential::new([2, 3, 4]).add(SpatialDropout2D::new(0.5)).build().unwrap();
        let x = Tensor::random_normal([5, 2, 3, 4], 0.0, 1.0, 0);
        assert_eq!(model.predict(&x).unwrap(), x);
    }

    #[test]
    fn rate_and_input_that_do_not_fit_are_errors() {
        let build = |shape: Shape, rate| Sequential::new(shape).add(SpatialDropout2D::new(rate)).build();
        for rate in [-0.1, 1.0, f64::NAN] {
            assert!(matches!(build([2, 2, 4].into(), rate), Err(Error::Argument { .. })), "{rate}");
        }
        assert!(matches!(build([2, 4].into(), 0.5), Err(Error::Shape { .. })));
    }

    #[test]
    fn gradients() {
        for rate in [0.0, 0.3, 0.9] {
            let report = check_layer(&SpatialDropout2D::new(rate), [3, 2, 5]).unwrap();
            assert!(report.max_relative_error < 1e-6, "{rate}: {report}");
        }
    }
}
