//! How weights start.

use rand::RngExt as _;
use rand_distr::StandardNormal;

use crate::{
    Scalar, Shape,
    config::{self, Arguments},
    rng::Rng,
};

/// How a weight starts, as in `keras.initializers`.
///
/// `fan_in` and `fan_out` are the numbers of inputs and outputs that a weight's element connects: `n` and `n` for a
/// weight of shape `(n,)`, `in` and `out` for `(in, out)`, `kh * kw * cin` and `kh * kw * cout` for a convolution's
/// kernel `(kh, kw, cin, cout)`. Normal distributions but `RandomNormal` are truncated: values further than two
/// standard deviations from the mean are drawn again.
///
/// Numbers are drawn in `f64`, so a model of one seed starts alike in `f32` and `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All `value`.
    Constant(f64),
    /// Normal; [`Initializer::random_normal`] has Keras's defaults.
    RandomNormal {
        /// The mean.
        mean: f64,
        /// The standard deviation, at least 0.
        stddev: f64,
    },
    /// Uniform on `[min, max)`; [`Initializer::random_uniform`] has Keras's defaults.
    RandomUniform {
        /// The lower limit.
        min: f64,
        /// The upper limit, at least `min`.
        max: f64,
    },
    /// Normal, truncated; [`Initializer::truncated_normal`] has Keras's defaults.
    TruncatedNormal {
        /// The mean.
        mean: f64,
        /// The standard deviation before truncation, at least 0.
        stddev: f64,
    },
    /// Uniform of variance `2 / (fan_in + fan_out)`: the default of kernels.
    /// [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html)
    GlorotUniform,
    /// Truncated normal of variance `2 / (fan_in + fan_out)`.
    GlorotNormal,
    /// Uniform of variance `2 / fan_in`, for layers that end in a ReLU.
    /// [He et al., 2015](https://arxiv.org/abs/1502.01852)
    HeUniform,
    /// Truncated normal of variance `2 / fan_in`, for layers that end in a ReLU.
    HeNormal,
    /// Uniform of variance `1 / fan_in`.
    /// [LeCun et al., 1998](http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf)
    LecunUniform,
    /// Truncated normal of variance `1 / fan_in`, for layers that end in a SELU.
    LecunNormal,
}

/// The standard deviation of a standard normal distribution that is truncated at two.
const TRUNCATED_STDDEV: f64 = 0.8796256610342398;

impl Initializer {
    /// [`RandomNormal`](Initializer::RandomNormal) with mean 0 and standard deviation 0.05.
    pub fn random_normal() -> Self {
        Initializer::RandomNormal { mean: 0.0, stddev: 0.05 }
    }

    /// [`RandomUniform`](Initializer::RandomUniform) on `[-0.05, 0.05)`.
    pub fn random_uniform() -> Self {
        Initializer::RandomUniform { min: -0.05, max: 0.05 }
    }

    /// [`TruncatedNormal`](Initializer::TruncatedNormal) with mean 0 and standard deviation 0.05.
    pub fn truncated_normal() -> Self {
        Initializer::TruncatedNormal { mean: 0.0, stddev: 0.05 }
    }

    /// Whether the arguments lie in their ranges; if not, which does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        match *self {
            Initializer::Constant(value) if !value.is_finite() => {
                Err(format!("a constant initializer must be a finite number, got {value}"))
            }
            Initializer::RandomUniform { min, max } if !(min <= max && (max - min).is_finite()) => {
                Err(format!("a uniform initializer needs finite limits min <= max, got {min} and {max}"))
            }
            Initializer::RandomNormal { mean, stddev } | Initializer::TruncatedNormal { mean, stddev }
                if !(mean.is_finite() && stddev >= 0.0 && stddev.is_finite()) =>
            {
                Err(format!(
                    "a normal initializer needs a finite mean and a finite stddev of at least 0, got {mean} and {stddev}"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Overwrites `values`, a weight of `shape`.
    pub(crate) fn fill<T: Scalar>(&self, shape: Shape, rng: &mut Rng, values: &mut [T]) {
        let (fan_in, fan_out) = fans(shape);
        let fan_average = (fan_in + fan_out) / 2.0;
        match *self {
            Initializer::Zeros => values.fill(T::zero()),
            Initializer::Ones => values.fill(T::one()),
            Initializer::Constant(value) => values.fill(T::of(value)),
            Initializer::RandomNormal { mean, stddev } => {
                values.fill_with(|| T::of(mean + stddev * rng.sample::<f64, _>(StandardNormal)));
            }
            Initializer::RandomUniform { min, max } => {
                values.fill_with(|| T::of(min + (max - min) * rng.random::<f64>()));
            }
            Initializer::TruncatedNormal { mean, stddev } => {
                values.fill_with(|| T::of(mean + stddev * truncated_standard_normal(rng)));
            }
            Initializer::GlorotUniform => uniform(1.0 / fan_average).fill(shape, rng, values),
            Initializer::GlorotNormal => truncated_normal(1.0 / fan_average).fill(shape, rng, values),
            Initializer::HeUniform => uniform(2.0 / fan_in).fill(shape, rng, values),
            Initializer::HeNormal => truncated_normal(2.0 / fan_in).fill(shape, rng, values),
            Initializer::LecunUniform => uniform(1.0 / fan_in).fill(shape, rng, values),
            Initializer::LecunNormal => truncated_normal(1.0 / fan_in).fill(shape, rng, values),
        }
    }
}

/// `(fan_in, fan_out)`, as Keras's `compute_fans`; at least 1.
fn fans(shape: Shape) -> (f64, f64) {
    let (fan_in, fan_out) = match *shape.dims() {
        [] => (1, 1),
        [n] => (n, n),
        [ref receptive_field @ .., cin, cout] => {
            let size: usize = receptive_field.iter().product();
            (size * cin, size * cout)
        }
    };
    (fan_in.max(1) as f64, fan_out.max(1) as f64)
}

fn uniform(variance: f64) -> Initializer {
    let limit = (3.0 * variance).sqrt();
    Initializer::RandomUniform { min: -limit, max: limit }
}

fn truncated_normal(variance: f64) -> Initializer {
    Initializer::TruncatedNormal { mean: 0.0, stddev: variance.sqrt() / TRUNCATED_STDDEV }
}

fn truncated_standard_normal(rng: &mut Rng) -> f64 {
    loop {
        let z: f64 = rng.sample(StandardNormal);
        if z.abs() <= 2.0 {
            return z;
        }
    }
}

impl config::Object for Initializer {
    const MODULE: &'static str = "keras.initializers";

    fn class_name(&self) -> &'static str {
        match self {
            Initializer::Zeros => "Zeros",
            Initializer::Ones => "Ones",
            Initializer::Constant(_) => "Constant",
            Initializer::RandomNormal { .. } => "RandomNormal",
            Initializer::RandomUniform { .. } => "RandomUniform",
            Initializer::TruncatedNormal { .. } => "TruncatedNormal",
            Initializer::GlorotUniform => "GlorotUniform",
            Initializer::GlorotNormal => "GlorotNormal",
            Initializer::HeUniform => "HeUniform",
            Initializer::HeNormal => "HeNormal",
            Initializer::LecunUniform => "LecunUniform",
            Initializer::LecunNormal => "LecunNormal",
        }
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        match self {
            Initializer::Constant(value) => arguments.argument("value", value),
            Initializer::RandomNormal { mean, stddev } | Initializer::TruncatedNormal { mean, stddev } => {
                arguments.argument("mean", mean).argument("stddev", stddev)
            }
            Initializer::RandomUniform { min, max } => arguments.argument("minval", min).argument("maxval", max),
            _ => arguments,
        }
        .ignored("seed");
    }
}

impl config::OfClass for Initializer {
    fn of_class(class: &str) -> Option<Self> {
        Some(match class {
            "Zeros" | "zeros" => Initializer::Zeros,
            "Ones" | "ones" => Initializer::Ones,
            "Constant" | "constant" => Initializer::Constant(0.0),
            "RandomNormal" | "random_normal" => Initializer::random_normal(),
            "RandomUniform" | "random_uniform" => Initializer::random_uniform(),
            "TruncatedNormal" | "truncated_normal" => Initializer::truncated_normal(),
            "GlorotUniform" | "glorot_uniform" => Initializer::GlorotUniform,
            "GlorotNormal" | "glorot_normal" => Initializer::GlorotNormal,
            "HeUniform" | "he_uniform" => Initializer::HeUniform,
            "HeNormal" | "he_normal" => Initializer::HeNormal,
            "LecunUniform" | "lecun_uniform" => Initializer::LecunUniform,
            "LecunNormal" | "lecun_normal" => Initializer::LecunNormal,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    /// `fan_in` 288, `fan_out` 576.
    const KERNEL: [usize; 4] = [3, 3, 32, 64];

    fn draw<T: Scalar>(initializer: Initializer) -> Vec<T> {
        let shape = Shape::from(KERNEL);
        let mut values = vec![T::of(9.0); shape.size()];
        initializer.fill(shape, &mut rng::stream(1, rng::WEIGHTS, 0, 0), &mut values);
        values
    }

    #[test]
    fn fans_are_those_of_keras() {
        assert_eq!(fans(().into()), (1.0, 1.0));
        assert_eq!(fans([7].into()), (7.0, 7.0));
        assert_eq!(fans([100, 10].into()), (100.0, 10.0));
        assert_eq!(fans([5, 3, 8].into()), (15.0, 40.0));
        assert_eq!(fans(KERNEL.into()), (288.0, 576.0));
    }

    #[test]
    fn constants() {
        assert!(draw::<f32>(Initializer::Zeros).iter().all(|&w| w == 0.0));
        assert!(draw::<f32>(Initializer::Ones).iter().all(|&w| w == 1.0));
        assert!(draw::<f32>(Initializer::Constant(0.3)).iter().all(|&w| w == 0.3));
    }

    #[test]
    fn distributions_have_their_limits_and_moments() {
        // The kurtosis tells the distributions apart: of a normal one, one truncated at two sigma, a uniform one.
        let (normal, truncated, uniform) = (3.0, 2.3655, 1.8);
        let random_normal = Initializer::RandomNormal { mean: 1.0, stddev: 2.0 };
        let random_uniform = Initializer::RandomUniform { min: -1.0, max: 3.0 };
        let truncated_normal = Initializer::TruncatedNormal { mean: 5.0, stddev: 0.5 };
        let of_variance = |initializer, variance: f64, kurtosis| {
            let to_limit = if kurtosis == uniform { 3f64.sqrt() } else { 2.0 / TRUNCATED_STDDEV };
            (initializer, 0.0, variance.sqrt(), kurtosis, variance.sqrt() * to_limit)
        };
        for (initializer, mean, stddev, kurtosis, limit) in [
            (random_normal, 1.0, 2.0, normal, f64::INFINITY),
            (Initializer::random_normal(), 0.0, 0.05, normal, f64::INFINITY),
            (random_uniform, 1.0, 2.0 / 3f64.sqrt(), uniform, 2.0),
            (Initializer::random_uniform(), 0.0, 0.05 / 3f64.sqrt(), uniform, 0.05),
            (truncated_normal, 5.0, 0.5 * TRUNCATED_STDDEV, truncated, 1.0),
            (Initializer::truncated_normal(), 0.0, 0.05 * TRUNCATED_STDDEV, truncated, 0.1),
            of_variance(Initializer::GlorotUniform, 2.0 / 864.0, uniform),
            of_variance(Initializer::GlorotNormal, 2.0 / 864.0, truncated),
            of_variance(Initializer::HeUniform, 2.0 / 288.0, uniform),
            of_variance(Initializer::HeNormal, 2.0 / 288.0, truncated),
            of_variance(Initializer::LecunUniform, 1.0 / 288.0, uniform),
            of_variance(Initializer::LecunNormal, 1.0 / 288.0, truncated),
        ] {
            let values = draw::<f64>(initializer);
            let n = values.len() as f64;
            let moment = |power| values.iter().map(|w| ((w - mean) / stddev).powi(power)).sum::<f64>() / n;
            // Within four standard errors.
            assert!(moment(1).abs() < 4.0 / n.sqrt(), "{initializer:?}: mean off by {} sigma", moment(1));
            let error = 4.0 * ((kurtosis - 1.0) / n).sqrt();
            assert!((moment(2) - 1.0).abs() < error, "{initializer:?}: variance {}", moment(2));
            assert!((moment(4) - kurtosis).abs() < 0.3, "{initializer:?}: kurtosis {}", moment(4));

            let farthest = values.iter().map(|w| (w - mean).abs()).fold(0.0, f64::max);
            assert!(farthest <= limit, "{initializer:?}: {farthest} is past {limit}");
            assert!(limit.is_infinite() || farthest > 0.99 * limit, "{initializer:?}: {farthest} of {limit}");
        }
    }

    #[test]
    fn both_scalars_start_alike() {
        for initializer in [Initializer::GlorotUniform, Initializer::HeNormal, Initializer::random_normal()] {
            let singles = draw::<f32>(initializer);
            assert!(singles.iter().zip(draw::<f64>(initializer)).all(|(&single, double)| single == double as f32));
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        for initializer in [
            Initializer::Constant(f64::NAN),
            Initializer::RandomNormal { mean: f64::INFINITY, stddev: 1.0 },
            Initializer::TruncatedNormal { mean: 0.0, stddev: -1.0 },
            Initializer::RandomNormal { mean: 0.0, stddev: f64::NAN },
            Initializer::RandomUniform { min: 1.0, max: 0.0 },
            Initializer::RandomUniform { min: f64::MIN, max: f64::MAX },
            Initializer::RandomUniform { min: f64::NAN, max: 1.0 },
        ] {
            assert!(initializer.check().is_err(), "{initializer:?}");
        }
        assert!(Initializer::RandomUniform { min: 1.0, max: 1.0 }.check().is_ok());
        assert!(Initializer::GlorotUniform.check().is_ok());
    }
}
