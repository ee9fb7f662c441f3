//! [`Dropout`].

use rand::Rng as _;

use super::{Backward, Build, Forward, Layer, LayerConfig, Reads, Taped};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    tensor::{View, ViewMut},
};

/// Zeros at random in training, `keras.layers.Dropout`: each element is dropped with probability `rate`, and those that
/// are kept are multiplied by `1 / (1 - rate)`, so that the expectation stays. In prediction, the input as it is.
///
/// - input: `[n, ..]`
/// - output: `[n, ..]`
///
/// [Srivastava et al., 2014](https://jmlr.org/papers/v15/srivastava14a.html)
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// Drops the fraction `rate` of the elements, at least 0 and below 1.
    pub fn new(rate: f64) -> Self {
        Dropout { rate }
    }
}

impl LayerConfig for Dropout {
    type Built = BuiltDropout;

    fn class_name(&self) -> &'static str {
        "Dropout"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("rate", &mut self.rate).ignored("seed");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltDropout, Shape)> {
        Ok((BuiltDropout::new(cx, self.rate, cx.input().size())?, cx.input()))
    }
}

/// A built [`Dropout`] or [`SpatialDropout2D`](super::SpatialDropout2D).
#[derive(Debug)]
pub struct BuiltDropout {
    /// How many of the 2^32 numbers that are drawn for an element drop it.
    dropped: u32,
    scale: f64,
    /// For how many elements of a sample numbers are drawn.
    draws: usize,
    /// How often those repeat in the sample.
    repeats: usize,
}

impl BuiltDropout {
    /// Draws for the first `draws` elements of a sample; what they are holds for the next as many as well.
    pub(super) fn new(cx: &Build, rate: f64, draws: usize) -> Result<Self> {
        if !(0.0..1.0).contains(&rate) {
            return Err(cx.argument_error(format!("rate must be at least 0 and below 1, got {rate}")));
        }
        let numbers = f64::from(u32::MAX) + 1.0;
        let repeats = cx.input().size() / draws;
        Ok(BuiltDropout { dropped: (rate * numbers) as u32, scale: 1.0 / (1.0 - rate), draws, repeats })
    }
}

impl Layer for BuiltDropout {
    /// Whether each element that is drawn for is kept; empty outside training.
    type Work<T: Scalar> = Vec<bool>;

    fn is_idle_in_prediction(&self) -> bool {
        true
    }

    fn work_bytes<T: Scalar>(&self, outputs: usize) -> usize {
        outputs / self.repeats * size_of::<bool>()
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, kept: &mut Vec<bool>, x: View<T>, y: ViewMut<T>) {
        kept.clear();
        if !cx.training() {
            y.data.copy_from_slice(x.data);
            return;
        }
        for i in 0..x.samples().len() {
            let mut rng = cx.rng(i).expect("a step of training has random numbers");
            kept.extend((0..self.draws).map(|_| rng.next_u32() >= self.dropped));
        }
        self.mask(kept, x.data, y.data);
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, kept: &mut Vec<bool>, taped: Taped<T>, dx: Option<ViewMut<T>>) {
        match dx {
            // As the forward pass did, outside training.
            Some(dx) if kept.is_empty() => dx.data.copy_from_slice(taped.dy.data),
            Some(dx) => self.mask(kept, taped.dy.data, dx.data),
            None => {}
        }
    }
}

impl BuiltDropout {
    /// Overwrites `to` with the elements of `from` that are kept, scaled, and zeros.
    fn mask<T: Scalar>(&self, kept: &[bool], from: &[T], to: &mut [T]) {
        let (scale, size) = (T::of(self.scale), self.draws * self.repeats);
        let samples = from.chunks_exact(size).zip(to.chunks_exact_mut(size));
        for ((from, to), kept) in samples.zip(kept.chunks_exact(self.draws)) {
            for (from, to) in from.chunks_exact(self.draws).zip(to.chunks_exact_mut(self.draws)) {
                for ((to, &from), &kept) in to.iter_mut().zip(from).zip(kept) {
                    *to = if kept { from * scale } else { T::zero() };
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        Sequential, Tensor,
        gradcheck::check_layer,
        layers::{Mode, Params, Scratch},
        params::ParamLayout,
    };

    /// What a layer without weights makes in a step of training of one sample after `first` others.
    pub(crate) fn train(layer: &impl LayerConfig, x: &Tensor, step: u64, first: usize) -> Vec<f32> {
        let mut layout = ParamLayout::default();
        let mut build = Build::new(layer.class_name(), "layer", 0, x.shape(), &mut layout);
        let (layer, output) = layer.build(&mut build).unwrap();
        let mut cx = Forward {
            scratch: &mut Scratch::default(),
            packed: &[],
            params: Params { values: &[], layout: &layout },
            sums: &[],
            mode: Mode::Train { seed: 3, step },
            trainable: true,
            stream: 0,
            first_sample: first,
        };
        let mut y = Tensor::zeros(output.batch(1));
        layer.forward(&mut cx, &mut Default::default(), View::new(x.shape().batch(1), x.data()), y.view_mut());
        y.into_data()
    }

    #[test]
    fn the_rate_is_dropped_and_the_rest_scaled() {
        let n = 100_000;
        for rate in [0.0, 0.25, 0.5, 0.999] {
            let y = train(&Dropout::new(rate), &Tensor::ones(n), 0, 0);
            let scale = (1.0 / (1.0 - rate)) as f32;
            assert!(y.iter().all(|&y| y == 0.0 || y == scale));
            let dropped = y.iter().filter(|&&y| y == 0.0).count() as f64 / n as f64;
            // Four standard errors.
            let error = 4.0 * (rate * (1.0 - rate) / n as f64).sqrt();
            assert!((dropped - rate).abs() <= error, "{dropped} of {rate}");
        }
    }

    #[test]
    fn each_step_and_each_sample_has_its_mask() {
        let mask = |step, first| train(&Dropout::new(0.5), &Tensor::ones(64), step, first);
        assert_eq!(mask(1, 1), mask(1, 1));
        assert_ne!(mask(1, 1), mask(2, 1));
        assert_ne!(mask(1, 1), mask(1, 2));
    }

    #[test]
    fn prediction_is_the_identity() {
        let model = Sequential::new([8]).add(Dropout::new(0.5)).build().unwrap();
        let x = Tensor::random_normal([5, 8], 0.0, 1.0, 0);
        assert_eq!(model.predict(&x).unwrap(), x);
    }

    #[test]
    fn the_rate_lies_in_its_range() {
        for rate in [-0.1, 1.0, f64::NAN] {
            assert!(Sequential::new([8]).add(Dropout::new(rate)).build().is_err(), "{rate}");
        }
    }

    #[test]
    fn gradients() {
        for rate in [0.0, 0.3, 0.9] {
            let report = check_layer(&Dropout::new(rate), [3, 4, 2]).unwrap();
            assert!(report.max_relative_error < 1e-6, "{rate}: {report}");
        }
    }
}
