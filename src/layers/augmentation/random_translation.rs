//! [`RandomTranslation`].

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

/// Moves images at random in training, `keras.layers.RandomTranslation`; in prediction, images as they are.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, h, w, c]`
///
/// Each image moves by parts of a pixel, too, and by a distance of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomTranslation {
    height_factor: Factor,
    width_factor: Factor,
    sampling: Sampling,
}

impl RandomTranslation {
    /// Down by `height_factor` of the height and to the right by `width_factor` of the width, each from -1 to 1: `0.1` stands
    /// for up to a tenth either way.
    pub fn new(height_factor: impl Into<Factor>, width_factor: impl Into<Factor>) -> Self {
        RandomTranslation {
            height_factor: height_factor.into(),
            width_factor: width_factor.into(),
            sampling: Sampling::default(),
        }
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

impl LayerConfig for RandomTranslation {
    type Built = Augmented<BuiltRandomTranslation>;

    fn class_name(&self) -> &'static str {
        "RandomTranslation"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("height_factor", &mut self.height_factor).required("width_factor", &mut self.width_factor);
        self.sampling.arguments(arguments);
        arguments.fixed("data_format", "channels_last").ignored("seed");
    }

    fn build(&self, cx: &mut Build) -> Result<(Self::Built, Shape)> {
        let sampler = self.sampling.build(cx)?;
        let height = self.height_factor.interval(cx, "height_factor", Limits::FromMinusOne)?;
        let width = self.width_factor.interval(cx, "width_factor", Limits::FromMinusOne)?;
        let image = sampler.image;
        Ok((Augmented::new(BuiltRandomTranslation { height, width, sampler }, image), cx.input()))
    }
}

/// A built [`RandomTranslation`].
#[derive(Debug)]
pub struct BuiltRandomTranslation {
    height: Interval,
    width: Interval,
    sampler: Sampler,
}

impl Augmentation for BuiltRandomTranslation {
    type Draw = Affine;

    fn forward<T: Scalar>(&self, rng: &mut Rng, scratch: &mut Scratch<T>, x: &[T], y: &mut [T]) -> Affine {
        let [h, w, _] = self.sampler.image;
        let down = self.height.draw(rng) * h as f64;
        let right = self.width.draw(rng) * w as f64;
        let map = Affine::translation(down, right);
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
    fn images_move_down_and_to_the_right() {
        let x = Tensor::from([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]).reshape([1, 2, 4, 1]).unwrap();
        let layer = RandomTranslation::new((0.5, 0.5), (0.25, 0.25));
        let y = |fill_mode| train(&layer.clone().fill_mode(fill_mode).fill_value(9.0), &x, 0, 0).into_data();
        assert_eq!(y(FillMode::Constant), [9.0, 9.0, 9.0, 9.0, 9.0, 1.0, 2.0, 3.0]);
        assert_eq!(y(FillMode::Nearest), [1.0, 1.0, 2.0, 3.0, 1.0, 1.0, 2.0, 3.0]);
        assert_eq!(y(FillMode::Reflect), [1.0, 1.0, 2.0, 3.0, 1.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn gradients() {
        for fill_mode in [FillMode::Reflect, FillMode::Wrap, FillMode::Constant, FillMode::Nearest] {
            for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
                let layer = RandomTranslation::new(1.0, (-0.3, 0.2)).fill_mode(fill_mode).interpolation(interpolation);
                assert_gradients(&layer.fill_value(0.3));
            }
        }
    }

    #[test]
    fn arguments_out_of_range() {
        assert_fails(RandomTranslation::new(1.1, 0.1), "height_factor must be from -1 to 1, got 1.1");
        assert_fails(RandomTranslation::new(0.1, (0.2, 0.1)), "width_factor must be (lower, upper)");
        assert_fails(RandomTranslation::new(0.1, 0.1).fill_value(f64::INFINITY), "fill_value must be a finite number");
    }
}
