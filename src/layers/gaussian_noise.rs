//! [`GaussianNoise`].

use rand::RngExt as _;
use rand_distr::StandardNormal;

use super::{Backward, Build, Forward, Layer, LayerConfig, Reads, Taped};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    tensor::{View, ViewMut},
};

/// Adds noise in training, `keras.layers.GaussianNoise`: to each element a number of the normal distribution with mean 0 and
/// standard deviation `stddev`. In prediction, the input as it is.
///
/// - input: `[n, ..]`
/// - output: `[n, ..]`
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianNoise {
    stddev: f64,
}

impl GaussianNoise {
    /// Noise of a standard deviation from 0 to 1.
    pub fn new(stddev: f64) -> Self {
        GaussianNoise { stddev }
    }
}

impl LayerConfig for GaussianNoise {
    type Built = Self;

    fn class_name(&self) -> &'static str {
        "GaussianNoise"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("stddev", &mut self.stddev).ignored("seed");
    }

    fn build(&self, cx: &mut Build) -> Result<(Self, Shape)> {
        if !(0.0..=1.0).contains(&self.stddev) {
            return Err(cx.argument_error(format!("stddev must lie in [0, 1], got {}", self.stddev)));
        }
        Ok((self.clone(), cx.input()))
    }
}

impl Layer for GaussianNoise {
    type Work<T: Scalar> = ();

    fn is_idle_in_prediction(&self) -> bool {
        true
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        y.data.copy_from_slice(x.data);
        for (i, y) in y.data.chunks_exact_mut(x.shape.sample().size()).enumerate() {
            let Some(mut rng) = cx.rng(i) else {
                return;
            };
            for y in y {
                *y += T::of(self.stddev * rng.sample::<f64, _>(StandardNormal));
            }
        }
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        if let Some(dx) = dx {
            dx.data.copy_from_slice(taped.dy.data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sequential, Tensor, gradcheck::check_layer, layers::dropout::tests::train};

    #[test]
    fn the_noise_is_normal() {
        let n = 100_000;
        for stddev in [0.1, 1.0] {
            let y = train(&GaussianNoise::new(stddev), &Tensor::full(n, 2.0), 0, 0);
            let moment = |power| y.iter().map(|&y| ((f64::from(y) - 2.0) / stddev).powi(power)).sum::<f64>() / n as f64;
            // Four standard errors of the mean, the variance, the skewness and the kurtosis.
            for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
                let error = 4.0 * f64::sqrt(variance / n as f64);
                assert!((moment(power) - expected).abs() < error, "{stddev}: moment {power} is {}", moment(power));
            }
        }
        assert_eq!(train(&GaussianNoise::new(0.0), &Tensor::full(9, 2.0), 0, 0), [2.0; 9]);
    }

    #[test]
    fn each_step_and_each_sample_has_its_noise() {
        let noise = |step, first| train(&GaussianNoise::new(0.5), &Tensor::zeros(64), step, first);
        assert_eq!(noise(1, 1), noise(1, 1));
        assert_ne!(noise(1, 1), noise(2, 1));
        assert_ne!(noise(1, 1), noise(1, 2));
    }

    #[test]
    fn prediction_is_the_identity() {
        let model = Sequential::new([8]).add(GaussianNoise::new(0.5)).build().unwrap();
        let x = Tensor::random_normal([5, 8], 0.0, 1.0, 0);
        assert_eq!(model.predict(&x).unwrap(), x);
    }

    #[test]
    fn the_deviation_lies_in_its_range() {
        for stddev in [-0.1, 1.1, f64::NAN] {
            assert!(Sequential::new([8]).add(GaussianNoise::new(stddev)).build().is_err(), "{stddev}");
        }
    }

    #[test]
    fn gradients() {
        for stddev in [0.0, 0.5] {
            let report = check_layer(&GaussianNoise::new(stddev), [3, 4, 2]).unwrap();
            assert!(report.max_relative_error < 1e-6, "{stddev}: {report}");
        }
    }
}
