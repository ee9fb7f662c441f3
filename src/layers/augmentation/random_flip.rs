//! [`RandomFlip`].

use rand::RngExt as _;
use serde_json::Value;

use super::augmented::{Augmentation, Augmented};
use crate::{
    Result, Scalar, Shape,
    config::{self, Argument, Arguments},
    layers::{Build, LayerConfig, Scratch},
    rng::Rng,
};

/// Flips images at random in training, `keras.layers.RandomFlip`: each with a probability of one half. In prediction, images
/// as they are.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, h, w, c]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RandomFlip {
    mode: FlipMode,
}

/// How [`RandomFlip`] flips an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlipMode {
    /// Left and right.
    Horizontal,
    /// Top and bottom.
    Vertical,
    /// Both at once, which is half a turn: as in Keras, an image is not flipped in one direction only.
    #[default]
    HorizontalAndVertical,
}

impl RandomFlip {
    /// Flips as `mode` says.
    pub fn new(mode: FlipMode) -> Self {
        RandomFlip { mode }
    }
}

impl LayerConfig for RandomFlip {
    type Built = Augmented<BuiltRandomFlip>;

    fn class_name(&self) -> &'static str {
        "RandomFlip"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("mode", &mut self.mode).fixed("data_format", "channels_last").ignored("seed");
    }

    fn build(&self, cx: &mut Build) -> Result<(Self::Built, Shape)> {
        let image = cx.input_of_rank("images are (height, width, channels)")?;
        Ok((Augmented::new(BuiltRandomFlip { image, mode: self.mode }, image), cx.input()))
    }
}

/// A built [`RandomFlip`].
#[derive(Debug)]
pub struct BuiltRandomFlip {
    image: [usize; 3],
    mode: FlipMode,
}

impl BuiltRandomFlip {
    /// Overwrites `y` with `x`, flipped or not.
    fn flip<T: Scalar>(&self, flips: bool, x: &[T], y: &mut [T]) {
        let [h, w, c] = self.image;
        let (vertical, horizontal) =
            (flips && self.mode != FlipMode::Horizontal, flips && self.mode != FlipMode::Vertical);
        for (i, y) in y.chunks_exact_mut(w * c).enumerate() {
            let row = if vertical { h - 1 - i } else { i };
            y.copy_from_slice(&x[row * w * c..][..w * c]);
            if horizontal {
                y.reverse();
                y.chunks_exact_mut(c).for_each(<[T]>::reverse);
            }
        }
    }
}

impl Augmentation for BuiltRandomFlip {
    /// Whether the image is flipped.
    type Draw = bool;

    fn forward<T: Scalar>(&self, rng: &mut Rng, _: &mut Scratch<T>, x: &[T], y: &mut [T]) -> bool {
        let flips = rng.random();
        self.flip(flips, x, y);
        flips
    }

    fn backward<T: Scalar>(&self, &flips: &bool, _: &mut Scratch<T>, _: &[T], dy: &[T], dx: &mut [T]) {
        self.flip(flips, dy, dx);
    }
}

const FLIP_MODES: [(&str, FlipMode); 3] = [
    ("horizontal", FlipMode::Horizontal),
    ("vertical", FlipMode::Vertical),
    ("horizontal_and_vertical", FlipMode::HorizontalAndVertical),
];

impl Argument for FlipMode {
    fn to_json(&self) -> Value {
        config::named(self, &FLIP_MODES)
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        config::choice(json, &FLIP_MODES)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::augmented::tests::{assert_gradients, train},
        *,
    };
    use crate::Tensor;

    #[test]
    fn half_of_the_images_are_flipped() {
        let x = Tensor::from_fn([1000, 2, 2, 2], |[_, y, x, c]| (4 * y + 2 * x + c) as f32);
        for (mode, flipped) in [
            (FlipMode::Horizontal, [2.0, 3.0, 0.0, 1.0, 6.0, 7.0, 4.0, 5.0]),
            (FlipMode::Vertical, [4.0, 5.0, 6.0, 7.0, 0.0, 1.0, 2.0, 3.0]),
            (FlipMode::HorizontalAndVertical, [6.0, 7.0, 4.0, 5.0, 2.0, 3.0, 0.0, 1.0]),
        ] {
            let y = train(&RandomFlip::new(mode), &x, 0, 0);
            let flips = y.data().chunks_exact(8).filter(|y| *y == flipped).count();
            let rest = y.data().chunks_exact(8).filter(|y| *y == &x.data()[..8]).count();
            assert_eq!(flips + rest, 1000);
            // Four standard errors.
            assert!((437..=563).contains(&flips), "{flips}");
        }
    }

    #[test]
    fn gradients() {
        for mode in [FlipMode::Horizontal, FlipMode::Vertical, FlipMode::HorizontalAndVertical] {
            assert_gradients(&RandomFlip::new(mode));
        }
    }
}
