//! [`RandomZoom`].

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

/// Zooms images at random in training, `keras.layers.RandomZoom`; in prediction, images as they are.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, h, w, c]`
///
/// Each image grows or shrinks about its middle by a factor of its own, and is cut or filled to its size.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomZoom {
    height_factor: Factor,
    width_factor: Option<Factor>,
    sampling: Sampling,
}

impl RandomZoom {
    /// Shows `1 + height_factor` of the image, above -1 and up to 1: `(-0.3, -0.2)` zooms in, `(0.2, 0.3)` out, and `0.2` stands
    /// for `(-0.2, 0.2)`.
    pub fn new(height_factor: impl Into<Factor>) -> Self {
        RandomZoom { height_factor: height_factor.into(), width_factor: None, sampling: Sampling::default() }
    }

    /// The same for the width; without it, that zooms as the height does.
    pub fn width_factor(mut self, width_factor: impl Into<Factor>) -> Self {
        self.width_factor = Some(width_factor.into());
        self
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

impl LayerConfig for RandomZoom {
    type Built = Augmented<BuiltRandomZoom>;

    fn class_name(&self) -> &'static str {
        "RandomZoom"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("height_factor", &mut self.height_factor).argument("width_factor", &mut self.width_factor);
        self.sampling.arguments(arguments);
        arguments.fixed("data_format", "channels_last").ignored("seed");
    }

    fn build(&self, cx: &mut Build) -> Result<(Self::Built, Shape)> {
        let sampler = self.sampling.build(cx)?;
        let height = self.height_factor.interval(cx, "height_factor", Limits::AboveMinusOne)?;
        let width = self.width_factor.map(|factor| factor.interval(cx, "width_factor", Limits::AboveMinusOne));
        let (width, image) = (width.transpose()?, sampler.image);
        Ok((Augmented::new(BuiltRandomZoom { height, width, sampler }, image), cx.input()))
    }
}

/// A built [`RandomZoom`].
#[derive(Debug)]
pub struct BuiltRandomZoom {
    height: Interval,
    width: Option<Interval>,
    sampler: Sampler,
}

impl Augmentation for BuiltRandomZoom {
    type Draw = Affine;

    fn forward<T: Scalar>(&self, rng: &mut Rng, scratch: &mut Scratch<T>, x: &[T], y: &mut [T]) -> Affine {
        let height = 1.0 + self.height.draw(rng);
        let width = self.width.map_or(height, |width| 1.0 + width.draw(rng));
        let map = Affine::about_middle([[width, 0.0], [0.0, height]], self.sampler.image);
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
    fn positive_factors_zoom_out() {
        let x = Tensor::from([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]).reshape([1, 3, 3, 1]).unwrap();
        let y = |layer: RandomZoom| train(&layer.fill_mode(FillMode::Constant), &x, 0, 0).into_data();
        assert_eq!(y(RandomZoom::new((1.0, 1.0))), [0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(y(RandomZoom::new((-0.5, -0.5))), [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0]);
        let across = RandomZoom::new(0.0).width_factor((-0.5, -0.5));
        assert_eq!(y(across), [1.5, 2.0, 2.5, 4.5, 5.0, 5.5, 7.5, 8.0, 8.5]);
    }

    #[test]
    fn gradients() {
        for fill_mode in [FillMode::Reflect, FillMode::Wrap, FillMode::Constant, FillMode::Nearest] {
            for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
                let layer = RandomZoom::new(0.9).fill_mode(fill_mode).interpolation(interpolation).fill_value(0.3);
                assert_gradients(&layer.clone());
                assert_gradients(&layer.width_factor((0.1, 0.2)));
            }
        }
    }

    #[test]
    fn arguments_out_of_range() {
        assert_fails(RandomZoom::new(-1.0), "height_factor must be above -1 and up to 1, got -1");
        assert_fails(
            RandomZoom::new(0.1).width_factor((0.0, 1.1)),
            "width_factor must be above -1 and up to 1, got 1.1",
        );
        assert_fails(RandomZoom::new(0.1).width_factor((0.2, 0.1)), "width_factor must be (lower, upper)");
        assert_fails(RandomZoom::new(0.1).fill_value(f64::NAN), "fill_value must be a finite number");
    }
}
