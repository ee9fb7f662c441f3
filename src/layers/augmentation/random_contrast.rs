//! [`RandomContrast`].

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

/// Changes the contrast of images at random in training, `keras.layers.RandomContrast`; in prediction, images as they are.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, h, w, c]`
///
/// `y = clip((x - mean) f + mean, low, high)`, with the mean of each channel of the image and a factor `f` for each image. Where
/// the clip acts, no gradient passes.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomContrast {
    factor: Factor,
    value_range: (f64, f64),
}

impl RandomContrast {
    /// For a `factor` of `(lower, upper)`, each from 0 to 1, `f` lies between `1 - lower` and `1 + upper`. One number `x`
    /// stands for `(0, x)`, that is for more contrast only: this is what Keras does, though it documents `(x, x)`.
    pub fn new(factor: impl Into<Factor>) -> Self {
        RandomContrast { factor: factor.into(), value_range: (0.0, 255.0) }
    }

    /// The lowest and the highest value of the images; `(0.0, 255.0)` by default.
    pub fn value_range(mut self, value_range: (f64, f64)) -> Self {
        self.value_range = value_range;
        self
    }
}

impl LayerConfig for RandomContrast {
    type Built = Augmented<BuiltRandomContrast>;

    fn class_name(&self) -> &'static str {
        "RandomContrast"
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
        let Interval { lower, upper } = self.factor.interval(cx, "factor", Limits::FromZero)?;
        let factor = Interval { lower: 1.0 - lower, upper: 1.0 + upper };
        let range = value_range(cx, self.value_range)?;
        Ok((Augmented::new(BuiltRandomContrast { image, factor, range }, image), cx.input()))
    }
}

/// A built [`RandomContrast`].
#[derive(Debug)]
pub struct BuiltRandomContrast {
    image: [usize; 3],
    factor: Interval,
    range: Interval,
}

impl BuiltRandomContrast {
    /// A row `[w, c]` of the means of an image's channels.
    fn means<'a, T: Scalar>(&self, scratch: &'a mut Scratch<T>, image: &[T]) -> &'a [T] {
        let [h, w, c] = self.image;
        let row = scratch.take(w * c);
        row.fill(T::zero());
        for pixels in image.chunks_exact(w * c) {
            for (sum, &pixel) in row.iter_mut().zip(pixels) {
                *sum += pixel;
            }
        }
        for channel in 0..c {
            let sum: T = row[channel..].iter().step_by(c).copied().sum();
            row[channel..].iter_mut().step_by(c).for_each(|mean| *mean = sum / T::of((h * w) as f64));
        }
        row
    }
}

impl Augmentation for BuiltRandomContrast {
    /// The factor.
    type Draw = f64;

    const READS_IMAGE: bool = true;

    fn forward<T: Scalar>(&self, rng: &mut Rng, scratch: &mut Scratch<T>, x: &[T], y: &mut [T]) -> f64 {
        let draw = self.factor.draw(rng);
        let (factor, low, high) = (T::of(draw), T::of(self.range.lower), T::of(self.range.upper));
        let means = self.means(scratch, x);
        for (y, x) in y.chunks_exact_mut(means.len()).zip(x.chunks_exact(means.len())) {
            for ((y, &x), &mean) in y.iter_mut().zip(x).zip(means) {
                *y = clamp((x - mean) * factor + mean, low, high);
            }
        }
        draw
    }

    fn backward<T: Scalar>(&self, &draw: &f64, scratch: &mut Scratch<T>, x: &[T], dy: &[T], dx: &mut [T]) {
        let (factor, low, high) = (T::of(draw), T::of(self.range.lower), T::of(self.range.upper));
        let means = self.means(scratch, x);
        let rows = x.chunks_exact(means.len()).zip(dy.chunks_exact(means.len()));
        for (dx, (x, dy)) in dx.chunks_exact_mut(means.len()).zip(rows) {
            for (((dx, &x), &dy), &mean) in dx.iter_mut().zip(x).zip(dy).zip(means) {
                let y = (x - mean) * factor + mean;
                *dx = if y >= low && y <= high { dy } else { T::zero() };
            }
        }
        // Each pixel of the channel is in the mean, too.
        let means = self.means(scratch, dx);
        for dx in dx.chunks_exact_mut(means.len()) {
            for (dx, &mean) in dx.iter_mut().zip(means) {
                *dx = *dx * factor + mean * (T::one() - factor);
            }
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
    fn each_channel_keeps_its_mean() {
        let x = Tensor::random_uniform([200, 4, 3, 2], 100.0, 150.0, 0);
        let y = train(&RandomContrast::new((0.5, 1.0)), &x, 0, 0);
        let mut factors = Vec::new();
        for (x, y) in x.data().chunks_exact(24).zip(y.data().chunks_exact(24)) {
            let mean = |image: &[f32], channel| image[channel..].iter().step_by(2).sum::<f32>() / 12.0;
            let factor = (y[0] - y[2]) / (x[0] - x[2]);
            for (i, (x_i, y_i)) in x.iter().zip(y).enumerate() {
                let expected = (x_i - mean(x, i % 2)) * factor + mean(x, i % 2);
                assert!((y_i - expected).abs() < 0.05, "{y_i}, not {expected}");
            }
            factors.push(factor);
        }
        assert!(factors.iter().all(|f| (0.499..2.001).contains(f)));
        assert!(factors.iter().any(|&f| f < 0.55) && factors.iter().any(|&f| f > 1.9));
    }

    #[test]
    fn values_are_clipped() {
        let x = Tensor::new([1, 1, 4, 1], vec![0.0, 100.0, 155.0, 255.0]).unwrap();
        let y = train(&RandomContrast::new((0.0, 1.0)), &x, 0, 0).into_data();
        assert!(y[0] == 0.0 && y[3] == 255.0 && y[1] < 100.0 && y[2] > 155.0, "{y:?}");
    }

    #[test]
    fn gradients() {
        for range in [(-0.5, 0.8), (-10.0, 10.0)] {
            assert_gradients(&RandomContrast::new((0.5, 0.9)).value_range(range));
        }
    }

    #[test]
    fn arguments_out_of_range() {
        assert_fails(RandomContrast::new(-0.1), "factor must be from 0 to 1, got -0.1");
        assert_fails(RandomContrast::new((0.2, 0.1)), "factor must be (lower, upper)");
        assert_fails(RandomContrast::new(0.1).value_range((0.0, f64::NAN)), "value_range must be finite numbers");
    }
}
