//! [`RandomErasing`].

use std::ops::Range;

use num_traits::clamp;
use rand::RngExt as _;
use rand_distr::StandardNormal;
use serde_json::Value;

use super::{
    augmented::{Augmentation, Augmented},
    factor::{Factor, Interval, Limits, value_range},
};
use crate::{
    Result, Scalar, Shape,
    config::{Argument, Arguments},
    layers::{Build, LayerConfig, Scratch},
    rng::Rng,
};

/// Erases a rectangle of images at random in training, `keras.layers.RandomErasing`; in prediction, images as they are.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, h, w, c]`
///
/// As Keras has it, the rectangle is `h sqrt(s)` high and `w sqrt(s)` wide, each with a number `s` of its own from `scale`, and
/// lies anywhere, not on whole pixels: it erases those with `start <= i < start + length`.
///
/// [Zhong et al., 2017](https://arxiv.org/abs/1708.04896)
#[derive(Clone, Debug, PartialEq)]
pub struct RandomErasing {
    factor: Factor,
    scale: Factor,
    fill_value: Option<Erasure>,
    value_range: (f64, f64),
}

/// What [`RandomErasing`] writes: one number, or one for each of three channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Erasure {
    /// In all channels.
    All(f64),
    /// In red, green and blue.
    Rgb([f64; 3]),
}

impl From<f64> for Erasure {
    fn from(value: f64) -> Self {
        Erasure::All(value)
    }
}

impl From<[f64; 3]> for Erasure {
    fn from(values: [f64; 3]) -> Self {
        Erasure::Rgb(values)
    }
}

impl RandomErasing {
    /// Erases with a probability that is drawn from `factor`, from 0 to 1; one number `x` stands for `(0, x)`.
    pub fn new(factor: impl Into<Factor>) -> Self {
        RandomErasing {
            factor: factor.into(),
            scale: Factor::Between(0.02, 0.33),
            fill_value: None,
            value_range: (0.0, 255.0),
        }
    }

    /// The squares of the fractions of height and width, from 0 to 1; `(0.02, 0.33)` by default. One number `x` stands for
    /// `(0, x)`.
    pub fn scale(mut self, scale: impl Into<Factor>) -> Self {
        self.scale = scale.into();
        self
    }

    /// What is written, clipped to the range of values. Without it, noise: normal numbers times the highest value.
    pub fn fill_value(mut self, fill_value: impl Into<Erasure>) -> Self {
        self.fill_value = Some(fill_value.into());
        self
    }

    /// The lowest and the highest value of the images; `(0.0, 255.0)` by default.
    pub fn value_range(mut self, value_range: (f64, f64)) -> Self {
        self.value_range = value_range;
        self
    }
}

impl Default for RandomErasing {
    /// A factor of 1, as in Keras.
    fn default() -> Self {
        RandomErasing::new(1.0)
    }
}

impl LayerConfig for RandomErasing {
    type Built = Augmented<BuiltRandomErasing>;

    fn class_name(&self) -> &'static str {
        "RandomErasing"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("factor", &mut self.factor)
            .argument("scale", &mut self.scale)
            .argument("fill_value", &mut self.fill_value)
            .argument("value_range", &mut self.value_range)
            .fixed("data_format", "channels_last")
            .ignored("seed");
    }

    fn build(&self, cx: &mut Build) -> Result<(Self::Built, Shape)> {
        let image = cx.input_of_rank("images are (height, width, channels)")?;
        let probability = self.factor.interval(cx, "factor", Limits::FromZero)?;
        let scale = self.scale.interval(cx, "scale", Limits::FromZero)?;
        let range = value_range(cx, self.value_range)?;
        let fill = match self.fill_value {
            None => None,
            Some(Erasure::All(value)) => Some(vec![value]),
            Some(Erasure::Rgb(values)) if image[2] == 3 => Some(values.to_vec()),
            Some(Erasure::Rgb(_)) => {
                return Err(
                    cx.shape_error("images of 3 channels", "a fill_value of three numbers is for red, green and blue")
                );
            }
        };
        if let Some(value) = fill.iter().flatten().find(|value| !value.is_finite()) {
            return Err(cx.argument_error(format!("fill_value must be finite, got {value}")));
        }
        Ok((Augmented::new(BuiltRandomErasing { image, probability, scale, fill, range }, image), cx.input()))
    }
}

/// A built [`RandomErasing`].
#[derive(Debug)]
pub struct BuiltRandomErasing {
    image: [usize; 3],
    probability: Interval,
    scale: Interval,
    /// What is written into the channels, again and again; noise without it.
    fill: Option<Vec<f64>>,
    range: Interval,
}

/// The rows and the columns of a rectangle.
#[derive(Debug)]
pub struct Rectangle {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl BuiltRandomErasing {
    fn draw(&self, rng: &mut Rng) -> Option<Rectangle> {
        let [h, w, _] = self.image;
        let erases = rng.random::<f64>() < self.probability.draw(rng);
        let mut side = |length: usize| {
            let extent = self.scale.draw(rng).sqrt() * length as f64;
            let start = rng.random::<f64>() * (length as f64 - extent);
            start.ceil() as usize..((start + extent).ceil() as usize).min(length)
        };
        erases.then(|| Rectangle { rows: side(h), columns: side(w) })
    }

    /// The elements of an image inside a rectangle, row by row.
    fn inside<'a, T>(&self, rectangle: &Rectangle, image: &'a mut [T]) -> impl Iterator<Item = &'a mut [T]> {
        let [_, w, c] = self.image;
        let Rectangle { rows, columns } = rectangle;
        let elements = columns.start * c..columns.end * c;
        image[rows.start * w * c..rows.end * w * c].chunks_exact_mut(w * c).map(move |row| &mut row[elements.clone()])
    }
}

impl Augmentation for BuiltRandomErasing {
    /// What is erased, if anything.
    type Draw = Option<Rectangle>;

    fn forward<T: Scalar>(&self, rng: &mut Rng, _: &mut Scratch<T>, x: &[T], y: &mut [T]) -> Option<Rectangle> {
        let rectangle = self.draw(rng);
        y.copy_from_slice(x);
        let Interval { lower, upper } = self.range;
        if let Some(rectangle) = &rectangle {
            for row in self.inside(rectangle, y) {
                match &self.fill {
                    Some(values) => {
                        for (y, &value) in row.iter_mut().zip(values.iter().cycle()) {
                            *y = T::of(clamp(value, lower, upper));
                        }
                    }
                    None => row.fill_with(|| T::of(clamp(rng.sample::<f64, _>(StandardNormal) * upper, lower, upper))),
                }
            }
        }
        rectangle
    }

    fn backward<T: Scalar>(&self, draw: &Option<Rectangle>, _: &mut Scratch<T>, _: &[T], dy: &[T], dx: &mut [T]) {
        dx.copy_from_slice(dy);
        if let Some(rectangle) = draw {
            self.inside(rectangle, dx).for_each(|row| row.fill(T::zero()));
        }
    }
}

impl Argument for Erasure {
    fn to_json(&self) -> Value {
        match self {
            Erasure::All(value) => value.to_json(),
            Erasure::Rgb(values) => values.to_vec().to_json(),
        }
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        match Vec::from_json(json)?[..] {
            [value] => Ok(Erasure::All(value)),
            [r, g, b] => Ok(Erasure::Rgb([r, g, b])),
            _ => Err(format!("expected a number or three, got {json}")),
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

    /// The fraction of the images that are erased, when each is drawn as `layer` says.
    fn erased(layer: RandomErasing) -> f64 {
        let y = train(&layer.scale((1.0, 1.0)).fill_value(0.0), &Tensor::ones([4000, 2, 2, 1]), 0, 0);
        assert!(y.data().chunks_exact(4).all(|image| image.iter().all(|y| *y == image[0])));
        y.data().iter().step_by(4).filter(|&&y| y == 0.0).count() as f64 / 4000.0
    }

    #[test]
    fn the_factor_is_a_probability() {
        for (factor, expected) in [
            (Factor::from(0.0), 0.0),
            (Factor::from((1.0, 1.0)), 1.0),
            (Factor::from((0.3, 0.3)), 0.3),
            (Factor::from(1.0), 0.5),
        ] {
            // Four standard errors.
            let error = (erased(RandomErasing::new(factor)) - expected).abs();
            assert!(error <= 4.0 * (expected * (1.0 - expected) / 4000.0).sqrt(), "{factor:?}: off by {error}");
        }
    }

    #[test]
    fn noise_lies_in_the_range_of_values() {
        let x = Tensor::full([1, 20, 20, 1], 9.0);
        let y = train(&RandomErasing::new((1.0, 1.0)).scale((1.0, 1.0)).value_range((-1.0, 1.0)), &x, 0, 0);
        // Within one sigma of 0 are 68 %, the others are clipped.
        let clipped = y.data().iter().filter(|y| y.abs() == 1.0).count();
        assert!(y.data().iter().all(|y| y.abs() <= 1.0) && (90..165).contains(&clipped), "{clipped}");
    }

    #[test]
    fn values_are_of_their_channels() {
        let layer = RandomErasing::new((1.0, 1.0)).scale((1.0, 1.0)).fill_value([1.0, 2.0, 300.0]);
        assert_eq!(train(&layer, &Tensor::zeros([1, 1, 2, 3]), 0, 0).data(), [1.0, 2.0, 255.0, 1.0, 2.0, 255.0]);
    }

    #[test]
    fn gradients() {
        assert_gradients(&RandomErasing::new((0.7, 1.0)));
        assert_gradients(&RandomErasing::new((1.0, 1.0)).scale((0.3, 0.6)).fill_value(0.1));
    }

    #[test]
    fn arguments_out_of_range() {
        assert_fails(RandomErasing::new(1.1), "factor must be from 0 to 1, got 1.1");
        assert_fails(RandomErasing::new(1.0).scale((-0.1, 0.1)), "scale must be from 0 to 1, got -0.1");
        assert_fails(RandomErasing::new(1.0).scale((0.2, 0.1)), "scale must be (lower, upper)");
        assert_fails(RandomErasing::new(1.0).value_range((1.0, 0.0)), "value_range must be finite numbers (low, high)");
        assert_fails(RandomErasing::new(1.0).fill_value(f64::NAN), "fill_value must be finite, got NaN");
        let plan = crate::Sequential::new([2, 2, 1]).add(RandomErasing::new(1.0).fill_value([0.0; 3]));
        assert!(plan.build().unwrap_err().to_string().contains("images of 3 channels"));
    }
}
