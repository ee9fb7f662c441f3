//! Tensors of random numbers.

use rand_distr::{Distribution, StandardNormal, StandardUniform};

use super::Tensor;
use crate::{Scalar, Shape, rng};

impl<T: Scalar> Tensor<T> {
    /// A tensor of random numbers `low + (high - low) u` with `u` uniform in `[0, 1)`, the same for the same seed.
    ///
    /// ```
    /// use cornu::Tensor;
    ///
    /// let noise = Tensor::random_uniform([8, 28, 28, 1], 0.0, 1.0, 42);
    /// assert_eq!(noise, Tensor::random_uniform([8, 28, 28, 1], 0.0, 1.0, 42));
    /// ```
    pub fn random_uniform(shape: impl Into<Shape>, low: T, high: T, seed: u64) -> Self {
        let (low, high) = (low.as_f64(), high.as_f64());
        Self::random(shape.into(), seed, UNIFORM, StandardUniform.map(|u: f64| low + (high - low) * u))
    }

    /// A tensor of random numbers `mean + std z` with `z` of the standard normal distribution, the same for the same
    /// seed.
    pub fn random_normal(shape: impl Into<Shape>, mean: T, std: T, seed: u64) -> Self {
        let (mean, std) = (mean.as_f64(), std.as_f64());
        Self::random(shape.into(), seed, NORMAL, StandardNormal.map(|z: f64| mean + std * z))
    }

    fn random(shape: Shape, seed: u64, step: u64, distribution: impl Distribution<f64>) -> Self {
        let rng = rng::stream(seed, rng::TENSOR, step, 0);
        Tensor { shape, data: distribution.sample_iter(rng).take(shape.size()).map(T::of).collect() }
    }
}

/// The steps of the random stream of tensors: with one seed for both, uniform and normal numbers are independent.
const UNIFORM: u64 = 0;
const NORMAL: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_follow_their_distribution_and_seed() {
        let moments = |t: &Tensor<f64>| {
            let mean = t.mean().unwrap();
            (mean, t.map(|x| (x - mean).powi(2)).mean().unwrap())
        };
        let uniform = Tensor::random_uniform([100, 1000], -1.0, 3.0, 7);
        assert!(uniform.data().iter().all(|x| (-1.0..3.0).contains(x)));
        let (mean, variance) = moments(&uniform);
        // Within 4 standard errors of 1 and 16 / 12.
        assert!((mean - 1.0).abs() < 0.015 && (variance - 16.0 / 12.0).abs() < 0.015, "{mean} {variance}");

        let normal = Tensor::random_normal([100, 1000], 2.0, 0.5, 7);
        let (mean, variance) = moments(&normal);
        assert!((mean - 2.0).abs() < 0.007 && (variance - 0.25).abs() < 0.005, "{mean} {variance}");

        assert_eq!(normal, Tensor::random_normal([100, 1000], 2.0, 0.5, 7));
        assert_eq!(normal.cast::<f32>(), Tensor::random_normal([100, 1000], 2.0, 0.5, 7));
        assert_ne!(normal, Tensor::random_normal([100, 1000], 2.0, 0.5, 8));
    }

    #[test]
    fn uniform_and_normal_numbers_of_one_seed_are_independent() {
        // Drawn from one stream, the first numbers of both, until a normal one is rejected, would have equal signs.
        let uniform = Tensor::random_uniform(8, -1.0, 1.0, 7);
        let normal = Tensor::random_normal(8, 0.0, 1.0, 7);
        assert!((&uniform * &normal).unwrap().data().iter().any(|&product| product < 0.0));
    }
}
