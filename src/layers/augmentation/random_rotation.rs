//! [`RandomRotation`].

use std::f64::consts::TAU;

use super::{
    affine::{Affine, FillMode, Sampler, Sampling},
    augmented::{Augmentation, Augmented},
    factor::{Factor, Interval, Limits},
};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    layers::{Build, Interpolation, LayerConfig, Scratch},
    rng::Rng,
};

/// Rotates images at random in training, `keras.layers.RandomRotation`; in prediction, images as they are.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, h, w, c]`
///
/// Each image turns by an angle of its own about its middle.
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 1])
///     .add(RandomRotation::new(0.05).fill_mode(FillMode::Constant))
///     .add(RandomTranslation::new(0.1, 0.1).fill_mode(FillMode::Constant))
///     .build()?;
/// let x = Tensor::random_uniform([2, 28, 28, 1], 0.0, 1.0, 0);
/// assert_eq!(model.predict(&x)?, x);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RandomRotation {
    factor: Factor,
    sampling: Sampling,
}

impl RandomRotation {
    /// By `factor` of a full turn, counterclockwise, from -1 to 1: `0.1` stands for up to 36 degrees either way.
    pub fn new(factor: impl Into<Factor>) -> Self {
        RandomRotation { factor: factor.into(), sampling: Sampling::default() }
    }

    /// What pixels from outside the image show; [`FillMode::Reflect`] by default.
    pub fn fill_mode(mut self, fill_mode: FillMode) -> Self {
        self.sampling.fill_mode = fill_mode;
        self
    }

    /// What pixels from between pixels show; [`Interpolation::Bilinear`] by default.
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.sampling.interpolation = interpolation;
        self
    }

    /// The value outside the image with [`FillMode::Constant`]; 0 by default.
    pub fn fill_value(mut self, fill_value: f64) -> Self {
        self.sampling.fill_value = fill_value;
        self
    }
}

impl LayerConfig for RandomRotation {
    type Built = Augmented<BuiltRandomRotation>;

    fn class_name(&self) -> &'static str {
        "RandomRotation"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("factor", &mut self.factor);
        self.sampling.arguments(arguments);
        arguments.fixed("data_format", "channels_last").ignored("seed");
    }

    fn build(&self, cx: &mut Build) -> Result<(Self::Built, Shape)> {
        let sampler = self.sampling.build(cx)?;
        let turns = self.factor.interval(cx, "factor", Limits::FromMinusOne)?;
        let image = sampler.image;
        Ok((Augmented::new(BuiltRandomRotation { turns, sampler }, image), cx.input()))
    }
}

/// A built [`RandomRotation`].
#[derive(Debug)]
pub struct BuiltRandomRotation {
    turns: Interval,
    sampler: Sampler,
}

impl Augmentation for BuiltRandomRotation {
    type Draw = Affine;

    fn forward<T: Scalar>(&self, rng: &mut Rng, scratch: &mut Scratch<T>, x: &[T], y: &mut [T]) -> Affine {
        let (sin, cos) = (TAU * self.turns.draw(rng)).sin_cos();
        let map = Affine::about_middle([[cos, -sin], [sin, cos]], self.sampler.image);
        self.sampler.sample(&map, scratch, x, y);
        map
    }

    fn backward<T: Scalar>(&self, map: &Affine, scratch: &mut Scratch<T>, _: &[T], dy: &[T], dx: &mut [T]) {
        self.sampler.adjoint(map, scratch, dy, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::augmented::tests::{assert_fails, assert_gradients, train},
        *,
    };
    use crate::Tensor;

    #[test]
    fn a_quarter_turn_is_counterclockwise() {
        let x = Tensor::from([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]).reshape([1, 3, 3, 1]).unwrap();
        let y = train(&RandomRotation::new((0.25, 0.25)), &x, 0, 0);
        let expected = [3.0, 6.0, 9.0, 2.0, 5.0, 8.0, 1.0, 4.0, 7.0];
        assert!(y.data().iter().zip(expected).all(|(y, expected)| (y - expected).abs() < 1e-5), "{y}");
        assert_eq!(train(&RandomRotation::new(0.0), &x, 0, 0), x);
    }

    #[test]
    fn gradients() {
        for fill_mode in [FillMode::Reflect, FillMode::Wrap, FillMode::Constant, FillMode::Nearest] {
            for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
                let layer = RandomRotation::new(0.5).fill_mode(fill_mode).interpolation(interpolation).fill_value(0.3);
                assert_gradients(&layer);
            }
        }
    }

    #[test]
    fn arguments_out_of_range() {
        assert_fails(RandomRotation::new(1.1), "factor must be from -1 to 1, got 1.1");
        assert_fails(RandomRotation::new((0.2, 0.1)), "factor must be (lower, upper)");
        assert_fails(RandomRotation::new(0.1).fill_value(f64::NAN), "fill_value must be a finite number, got NaN");
        let plan = crate::Sequential::new([1 << 23, 1, 1]).add(RandomRotation::new(0.1));
        assert!(plan.build().unwrap_err().to_string().contains("fewer than 8388608 pixels a side"));
    }
}
