//! [`RandomBrightness`].

use num_traits::clamp;

use super::{
    augmented::{Augmentation, Augmented},
    factor::{Factor, Interval, Limits, value_range},
};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    layers::{Build, LayerConfig, Scratch},
    rng::Rng,
};

/// Makes images brighter or darker at random in training, `keras.layers.RandomBrightness`; in prediction, images as they are.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, h, w, c]`
///
/// `y = clip(x + factor (high - low), low, high)`, with a factor for each image. Where the clip acts, no gradient passes.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomBrightness {
    factor: Factor,
    value_range: (f64, f64),
}

impl RandomBrightness {
    /// Adds `factor`, from -1 to 1, of the range of values: `0.2` stands for up to a fifth either way.
    pub fn new(factor: impl Into<Factor>) -> Self {
        RandomBrightness { factor: factor.into(), value_range: (0.0, 255.0) }
    }

    /// The lowest and the highest value of the images; `(0.0, 255.0)` by default.
    pub fn value_range(mut self, value_range: (f64, f64)) -> Self {
        self.value_range = value_range;
        self
    }
}

impl LayerConfig for RandomBrightness {
    type Built = Augmented<BuiltRandomBrightness>;

    fn class_name(&self) -> &'static str {
        "RandomBrightness"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("factor", &mut self.factor)
            .argument("value_range", &mut self.value_range)
            .fixed("data_format", "channels_last")
            .ignored("seed");
    }

    fn build(&self, cx: &mut Build) -> Result<(Self::Built, Shape)> {
        let image = cx.input_of_rank("images are (height, width, channels)")?;
        let factor = self.factor.interval(cx, "factor", Limits::FromMinusOne)?;
        let range = value_range(cx, self.value_range)?;
        Ok((Augmented::new(BuiltRandomBrightness { factor, range }, image), cx.input()))
    }
}

/// A built [`RandomBrightness`].
#[derive(Debug)]
pub struct BuiltRandomBrightness {
    factor: Interval,
    range: Interval,
}

impl Augmentation for BuiltRandomBrightness {
    /// What is added.
    type Draw = f64;

    const READS_IMAGE: bool = true;

    fn forward<T: Scalar>(&self, rng: &mut Rng, _: &mut Scratch<T>, x: &[T], y: &mut [T]) -> f64 {
        let delta = self.factor.draw(rng) * (self.range.upper - self.range.lower);
        let (added, low, high) = (T::of(delta), T::of(self.range.lower), T::of(self.range.upper));
        for (y, &x) in y.iter_mut().zip(x) {
            *y = clamp(x + added, low, high);
        }
        delta
    }

    fn backward<T: Scalar>(&self, &delta: &f64, _: &mut Scratch<T>, x: &[T], dy: &[T], dx: &mut [T]) {
        let (added, low, high) = (T::of(delta), T::of(self.range.lower), T::of(self.range.upper));
        for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
            *dx = if x + added >= low && x + added <= high { dy } else { T::zero() };
        }
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
    fn a_part_of_the_range_is_added() {
        let x = Tensor::new([1, 1, 3, 1], vec![10.0, 200.0, 250.0]).unwrap();
        assert_eq!(train(&RandomBrightness::new((0.2, 0.2)), &x, 0, 0).data(), [61.0, 251.0, 255.0]);
        assert_eq!(train(&RandomBrightness::new((-0.2, -0.2)), &x, 0, 0).data(), [0.0, 149.0, 199.0]);
    }

    #[test]
    fn gradients() {
        for range in [(-0.5, 0.8), (-10.0, 10.0)] {
            assert_gradients(&RandomBrightness::new(0.3).value_range(range));
        }
    }

    #[test]
    fn arguments_out_of_range() {
        assert_fails(RandomBrightness::new(-1.1), "factor must be from -1 to 1, got -1.1");
        assert_fails(
            RandomBrightness::new(0.1).value_range((1.0, 0.0)),
            "value_range must be finite numbers (low, high)",
        );
    }
}
