//! Checks of gradients by finite differences, for the layers of this crate and for your own.
//!
//! A gradient is compared with `(L(w + h) - L(w - h)) / 2h` in `f64`, one coordinate at a time. ReLU and max-pooling have
//! kinks, where that quotient is no derivative: a coordinate whose step crosses one is skipped and counted.
//!
//! ```
//! use cornu::{gradcheck, prelude::*};
//!
//! let report = gradcheck::check_layer(&Conv2D::new(2, 3).activation(Activation::Silu), [5, 5, 2])?;
//! assert!(report.max_relative_error < 1e-6, "{report}");
//! # Ok::<(), cornu::Error>(())
//! ```

use std::fmt;

use crate::{
    Error, Initializer, MAX_RANK, Model, Result, Shape, Tensor,
    data::{Input, Targets},
    layers::{Backward, Build, Forward, Grads, Layer, LayerConfig, Mode, Scope, Scratch, Taped},
    params::ParamLayout,
    rng,
    tensor::{View, ViewMut},
};

/// What a check of gradients found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The coordinates that were compared.
    pub checked: usize,
    /// The coordinates that were left out, since a kink lies within their step.
    pub skipped: usize,
    /// The largest `|a - n| / max(|a|, |n|, floor)` of a gradient `a` and its finite difference `n`; infinite where `a` is
    /// NaN. The floor is a hundredth of the largest `|n|` of the same array, and what the rounding of `L` allows.
    pub max_relative_error: f64,
    /// Where that is.
    pub worst: Coordinate,
}

/// One coordinate of a gradient, by both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinate {
    /// The array and the index in it: `dx[1, 2, 0]`, `kernel[0, 3]`.
    pub place: String,
    /// What the backward pass gave.
    pub analytic: f64,
    /// What the finite differences gave.
    pub numeric: f64,
    /// The relative error between the two.
    pub relative_error: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { checked, skipped, max_relative_error, worst } = self;
        write!(
            f,
            "{checked} coordinates checked, {skipped} skipped at kinks; the largest relative error is \
             {max_relative_error:.1e}, at {}: {} by the backward pass, {} by differences",
            worst.place, worst.analytic, worst.numeric
        )
    }
}

/// The samples, weights and gradients are the same in each run.
const SEED: u64 = 1;
const SAMPLES: usize = 3;

/// Checks a layer on a batch of 3 random samples of shape `input`, with random weights; see [`check_layer_at`].
///
/// # Errors
/// As [`check_layer_at`].
pub fn check_layer<C: LayerConfig>(config: &C, input: impl Into<Shape>) -> Result<Report> {
    let input = input.into();
    if input.rank() >= MAX_RANK {
        return Err(Error::shape("check_layer", format!("a sample of fewer than {MAX_RANK} dimensions"), input, ""));
    }
    check_layer_at(config, &Tensor::random_normal(input.batch(SAMPLES), 0.0, 1.0, SEED))
}

/// Checks a layer at the samples `x: [n, ..input]`, with random weights: the gradients of `L = sum(dy * y)`, for a random
/// `dy`, to `x` and to each weight that gradients move. The layer runs as in training, in the same step each time, so
/// a dropout's mask stays.
///
/// The layer's contract is checked besides. An element of `dx` that is left as it was, and gradients that
/// are stored instead of added, show up in the report.
///
/// # Errors
/// When the layer cannot be built; when it breaks its contract so that there is nothing to compare: an element of `y` is
/// left as it was or is not finite, the gradients to the weights depend on whether `dx` is wanted, or a sample of
/// [`Scope::PerSample`] depends on the others; when more than a tenth of the coordinates lie at kinks.
pub fn check_layer_at<C: LayerConfig>(config: &C, x: &Tensor<f64>) -> Result<Report> {
    let mut trial = Trial::new(config, x)?;
    let y = trial.output()?;
    let noise = noise(trial.dy.iter().zip(&y).map(|(dy, y)| (dy * y).powi(2)).sum::<f64>().sqrt());
    let gradient = trial.gradient()?;

    let mut comparison = Comparison::default();
    for (name, shape, start) in trial.arrays() {
        let gradient = &gradient[start..start + shape.size()];
        comparison.compare(&name, shape, gradient, noise, |i, step| Ok(trial.rise(start + i, step, &y)))?;
    }
    comparison.report(trial.class)
}

/// Checks [`Model::gradients`] of a compiled model on the samples `x` and their targets `y`: the gradient of the loss to
/// each weight that gradients move, through all layers.
///
/// # Errors
/// As [`Model::gradients`]; when more than a tenth of the coordinates lie at kinks.
pub fn check_model<'a>(
    model: &Model<f64>,
    x: impl Into<Input<'a, f64>>,
    y: impl Into<Targets<'a, f64>>,
) -> Result<Report> {
    let (x, y) = (x.into(), y.into());
    let (loss, gradients) = model.gradients(x, y)?;
    let mut model = model.clone();
    let mut weights = model.get_weights();
    let infos = model.layout().infos().to_vec();

    let mut comparison = Comparison::default();
    for (k, info) in infos.iter().enumerate().filter(|(_, info)| info.trainable) {
        comparison.compare(&info.name, info.shape, gradients[k].data(), noise(loss), |i, step| {
            let weight = weights[k].data()[i];
            weights[k].data_mut()[i] = weight + step;
            model.set_weights(&weights)?;
            weights[k].data_mut()[i] = weight;
            Ok(model.gradients(x, y)?.0 - loss)
        })?;
    }
    comparison.report("check_model")
}

/// The step. Its square, about 1e-9, times a third derivative is what separates the quotients at `h` and `h / 2`, and has
/// to stay below [`KINK`]; a rounding of `L`, 2e-16, divided by it is 7e-12, which has to stay far below 1e-6. A power of
/// two, so halving is exact.
const STEP: f64 = 1.0 / 32768.0;

/// How far quotients that should agree may differ, relatively. A kink that goes unnoticed spoils the result by at
/// most 1.2 times as much, which is below the 1e-6 that gradients are held to.
const KINK: f64 = 5e-7;

/// How much the rounding of an `L` of this size moves a quotient.
fn noise(loss: f64) -> f64 {
    loss.abs() * f64::EPSILON / STEP
}

/// The derivative of a function by its rises from 0 to `step`.
struct Slope {
    /// Richardson's extrapolation of the central quotients at `h` and `h / 2`, in which the errors of order `h^2` cancel.
    value: f64,
    /// How far the quotients are from those of a smooth function: the central ones should be equal; and so, since they
    /// miss a kink at 0 itself, should be the differences between the slopes on both sides once divided by the step.
    doubt: f64,
}

impl Slope {
    fn of(mut rise: impl FnMut(f64) -> Result<f64>) -> Result<Slope> {
        let mut quotients = |h: f64| -> Result<(f64, f64)> {
            let (up, down) = (rise(h)?, rise(-h)?);
            Ok(((up - down) / (2.0 * h), (up + down) / h))
        };
        let (central, bend) = quotients(STEP)?;
        let (half_central, half_bend) = quotients(STEP / 2.0)?;
        let doubt = (central - half_central).abs().max((bend - 2.0 * half_bend).abs());
        Ok(Slope { value: (4.0 * half_central - central) / 3.0, doubt })
    }
}

/// The coordinates compared so far.
#[derive(Default)]
struct Comparison {
    checked: Vec<Coordinate>,
    skipped: usize,
}

impl Comparison {
    /// Compares the gradient to one array with the slopes of `rise(i, step)`, by how much `L` grows when element `i` does.
    fn compare(
        &mut self,
        name: &str,
        shape: Shape,
        gradient: &[f64],
        noise: f64,
        mut rise: impl FnMut(usize, f64) -> Result<f64>,
    ) -> Result<()> {
        let slopes = (0..gradient.len()).map(|i| Slope::of(|step| rise(i, step))).collect::<Result<Vec<_>>>()?;
        // A gradient far below the others of its array is a sum in which terms of their size cancel, so its error is of
        // their size too; and noise shall stay below 1e-8.
        let largest = slopes.iter().fold(0.0, |largest, slope| slope.value.abs().max(largest));
        let floor = (1e-2 * largest).max(1e8 * noise).max(f64::MIN_POSITIVE);
        for (i, (slope, &analytic)) in slopes.iter().zip(gradient).enumerate() {
            let numeric = slope.value;
            if slope.doubt > KINK * numeric.abs().max(floor) {
                self.skipped += 1;
                continue;
            }
            let error = (analytic - numeric).abs() / analytic.abs().max(numeric.abs()).max(floor);
            let relative_error = if error.is_nan() { f64::INFINITY } else { error };
            self.checked.push(Coordinate { place: place(name, shape, i), analytic, numeric, relative_error });
        }
        Ok(())
    }

    fn report(self, place: &str) -> Result<Report> {
        let (checked, skipped) = (self.checked.len(), self.skipped);
        if skipped * 10 > checked + skipped {
            let all = checked + skipped;
            return Err(Error::data(
                place,
                format!("{skipped} of {all} coordinates lie at a kink, too many for a check; take other samples"),
            ));
        }
        let worst = self.checked.into_iter().max_by(|a, b| a.relative_error.total_cmp(&b.relative_error));
        let worst = worst.ok_or_else(|| Error::data(place, "there is no coordinate to check"))?;
        Ok(Report { checked, skipped, max_relative_error: worst.relative_error, worst })
    }
}

/// `kernel[0, 3]`.
fn place(name: &str, shape: Shape, mut flat: usize) -> String {
    let mut index = shape.dims().to_vec();
    for i in index.iter_mut().rev() {
        (*i, flat) = (flat % *i, flat / *i);
    }
    format!("{name}{index:?}")
}

/// A layer that can be run at any point.
struct Trial<L: Layer> {
    class: &'static str,
    layer: L,
    layout: ParamLayout,
    input: Shape,
    output: Shape,
    samples: usize,
    /// Where the layer stands: `x`, then all weights.
    point: Vec<f64>,
    /// The gradient to the output.
    dy: Vec<f64>,
    work: L::Work<f64>,
    scratch: Scratch<f64>,
}

impl<L: Layer> Trial<L> {
    fn new<C: LayerConfig<Built = L>>(config: &C, x: &Tensor<f64>) -> Result<Self> {
        let class = config.class_name();
        let (input, samples) = (x.shape().sample(), x.shape().dims().first().copied().unwrap_or(0));
        if x.is_empty() || x.rank() == 0 {
            return Err(Error::shape("check_layer", "samples (n, ..input), none of the dimensions 0", x.shape(), ""));
        }
        let mut layout = ParamLayout::default();
        let (layer, output) = config.build(&mut Build::new(class, "checked", 0, input, &mut layout))?;
        if output.size() == 0 || output.rank() >= MAX_RANK {
            let expected = format!("an output of fewer than {MAX_RANK} dimensions, none of them 0");
            return Err(Error::shape(class, expected, output, ""));
        }
        // Not as the weights start: the zeros of a bias would hide mistakes. This keeps the outputs near 1.
        let mut params = layout.initialize(SEED);
        for (i, info) in layout.infos().iter().enumerate().filter(|(_, info)| info.trainable) {
            let mut rng = rng::stream(SEED, rng::WEIGHTS, i as u64, 0);
            Initializer::LecunNormal.fill(info.shape, &mut rng, &mut params[info.range()]);
        }
        Ok(Trial {
            class,
            layer,
            layout,
            input,
            output,
            samples,
            point: [x.data(), &params].concat(),
            dy: Tensor::random_normal(output.batch(samples), 0.0, 1.0, SEED + 1).into_data(),
            work: Default::default(),
            scratch: Scratch::default(),
        })
    }

    /// Name, shape and place in the point of what has a gradient.
    fn arrays(&self) -> Vec<(String, Shape, usize)> {
        let x_len = self.samples * self.input.size();
        let weights = self.layout.infos().iter().filter(|info| info.trainable).map(|info| {
            let name = info.name.rsplit('/').next().unwrap_or(&info.name);
            (name.to_owned(), info.shape, x_len + info.range().start)
        });
        [("dx".to_owned(), self.input.batch(self.samples), 0)].into_iter().chain(weights).collect()
    }

    /// Overwrites `y`, the output of as many samples, from sample `first` on.
    fn forward(&mut self, first: usize, y: &mut [f64]) {
        let n = y.len() / self.output.size().max(1);
        let (x, params) = self.point.split_at(self.samples * self.input.size());
        let mut cx = Forward {
            scratch: &mut self.scratch,
            params,
            layout: &self.layout,
            mode: Mode::Train { seed: SEED, step: 0 },
            stream: 0,
            first_sample: first,
        };
        let x = View::new(self.input.batch(n), &x[first * self.input.size()..][..n * self.input.size()]);
        self.layer.forward(&mut cx, &mut self.work, x, ViewMut::new(self.output.batch(n), y));
    }

    /// The output at the point, on which the contract of a forward pass is checked.
    fn output(&mut self) -> Result<Vec<f64>> {
        let class = self.class;
        let broken = |message: String| Err(Error::data(class, message));
        let len = self.output.size();
        let mut y = vec![f64::NAN; self.samples * len];
        self.poison_scratch();
        self.forward(0, &mut y);
        if let Some(i) = y.iter().position(|y| !y.is_finite()) {
            let place = place("y", self.output.batch(self.samples), i);
            return broken(format!("forward does not overwrite {place}, or with NaN or infinity"));
        }
        if self.layer.scope() == Scope::PerSample {
            let mut alone = vec![f64::NAN; len];
            for (i, y) in y.chunks_exact(len).enumerate() {
                self.forward(i, &mut alone);
                // A kernel may add in another order for a smaller batch.
                if !alone.iter().zip(y).all(|(a, y)| (a - y).abs() <= 1e-9 * y.abs().max(1.0)) {
                    return broken(format!(
                        "the output for sample {i} depends on the other samples; a layer like that has Scope::WholeBatch"
                    ));
                }
            }
        }
        Ok(y)
    }

    /// By how much `sum(dy * y)` grows when a coordinate does; `y` is the output at the point. The differences are taken
    /// before they are summed, so outputs that do not move add no rounding.
    fn rise(&mut self, coordinate: usize, step: f64, y: &[f64]) -> f64 {
        let old = self.point[coordinate];
        self.point[coordinate] = old + step;
        let mut moved = vec![f64::NAN; y.len()];
        self.forward(0, &mut moved);
        self.point[coordinate] = old;
        moved.iter().zip(y).zip(&self.dy).map(|((moved, y), dy)| dy * (moved - y)).sum()
    }

    /// The gradient to the point by the backward pass, on which its contract is checked.
    fn gradient(&mut self) -> Result<Vec<f64>> {
        let mut dx = vec![f64::NAN; self.samples * self.input.size()];
        let grads = self.backward(Some(&mut dx));
        let bits = |grads: &[f64]| grads.iter().map(|grad| grad.to_bits()).collect::<Vec<_>>();
        if bits(&grads) != bits(&self.backward(None)) {
            return Err(Error::data(
                self.class,
                "the gradients to the weights change when dx is None, as it is for the first layer of a model",
            ));
        }
        Ok([dx, grads].concat())
    }

    /// The gradients to the weights.
    fn backward(&mut self, dx: Option<&mut [f64]>) -> Vec<f64> {
        let mut y = vec![f64::NAN; self.dy.len()];
        let x_len = self.samples * self.input.size();
        // A work that has seen other samples before, as in training.
        self.work = Default::default();
        self.point[..x_len].reverse();
        self.forward(0, &mut y);
        self.point[..x_len].reverse();
        self.forward(0, &mut y);
        self.poison_scratch();
        // Not zeros, to which storing would be as good as adding.
        let before = Tensor::random_normal(self.layout.len(), 0.0, 1.0, SEED + 2).into_data();
        let mut grads = before.clone();
        let mut dy = self.dy.clone();
        let (x, params) = self.point.split_at(x_len);
        let (input, output) = (self.input.batch(self.samples), self.output.batch(self.samples));
        let mut cx = Backward {
            grads: Grads { values: &mut grads, offset: 0, layout: &self.layout },
            scratch: &mut self.scratch,
            params,
            layout: &self.layout,
        };
        let taped = Taped { x: View::new(input, x), y: View::new(output, &y), dy: ViewMut::new(output, &mut dy) };
        self.layer.backward(&mut cx, &mut self.work, taped, dx.map(|dx| ViewMut::new(input, dx)));
        grads.iter().zip(before).map(|(grad, before)| grad - before).collect()
    }

    /// Scratch is of any value.
    fn poison_scratch(&mut self) {
        self.scratch.take(1 << 12).fill(f64::NAN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Scalar, layers::MaxPooling2D, params::ParamId};

    /// `y = x * w + b`, for each feature, with a mistake.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Affine {
        Right,
        WrongInputGradient,
        WrongWeightGradient,
        ForgetsBias,
        Overwrites,
        LeavesInputGradient,
        LeavesOutput,
        NeedsInputGradient,
        MixesSamples,
        KeepsWork,
        TrustsScratch,
    }

    #[derive(Debug)]
    struct Built {
        w: ParamId,
        b: ParamId,
        mistake: Affine,
    }

    impl LayerConfig for Affine {
        type Built = Built;

        fn class_name(&self) -> &'static str {
            "Affine"
        }

        fn build(&self, cx: &mut Build) -> Result<(Built, Shape)> {
            let [features] = cx.input_of_rank("")?;
            let (w, b) = (cx.weight("w", features, Initializer::Ones)?, cx.weight("b", features, Initializer::Zeros)?);
            Ok((Built { w, b, mistake: *self }, cx.input()))
        }
    }

    impl Layer for Built {
        /// A copy of the input.
        type Work<T: Scalar> = Vec<T>;

        fn forward<T: Scalar>(&self, cx: &mut Forward<T>, work: &mut Vec<T>, x: View<T>, y: ViewMut<T>) {
            let (w, b) = (cx.param(self.w), cx.param(self.b));
            if self.mistake != Affine::KeepsWork {
                work.clear();
            }
            work.extend_from_slice(x.data);
            for (i, (y, &x)) in y.data.iter_mut().zip(x.data).enumerate() {
                let first = if self.mistake == Affine::MixesSamples { work[0] } else { T::zero() };
                *y = x * w[i % w.len()] + b[i % w.len()] + first;
            }
            if self.mistake == Affine::LeavesOutput {
                y.data[1] = T::nan();
            }
        }

        fn backward<T: Scalar>(
            &self,
            cx: &mut Backward<T>,
            work: &mut Vec<T>,
            taped: Taped<T>,
            dx: Option<ViewMut<T>>,
        ) {
            let (w, mistake) = (cx.param(self.w), self.mistake);
            if dx.is_none() && mistake == Affine::NeedsInputGradient {
                return;
            }
            let noise = if mistake == Affine::TrustsScratch { cx.scratch.take(1)[0] } else { T::zero() };
            if mistake == Affine::Overwrites {
                cx.grads.of(self.w).fill(T::zero());
            }
            for (i, (&dy, &x)) in taped.dy.data.iter().zip(&*work).enumerate() {
                let slope = if mistake == Affine::WrongWeightGradient { T::of(1.000_01) } else { T::one() };
                cx.grads.of(self.w)[i % w.len()] += dy * x * slope;
                if mistake != Affine::ForgetsBias {
                    cx.grads.of(self.b)[i % w.len()] += dy + noise;
                }
            }
            for (i, (dx, &dy)) in dx.into_iter().flat_map(|dx| dx.data).zip(&*taped.dy.data).enumerate() {
                match mistake {
                    Affine::WrongInputGradient => *dx = dy,
                    Affine::LeavesInputGradient if i == 5 => {}
                    _ => *dx = dy * w[i % w.len()],
                }
            }
        }
    }

    #[test]
    fn a_right_gradient_passes() {
        let report = check_layer(&Affine::Right, 4).unwrap();
        assert_eq!((report.checked, report.skipped), (12 + 4 + 4, 0));
        assert!(report.max_relative_error < 1e-9, "{report}");
    }

    #[test]
    fn wrong_gradients_are_found() {
        for (mistake, array, least) in [
            (Affine::WrongInputGradient, "dx[", 1e-2),
            (Affine::WrongWeightGradient, "w[", 0.9e-5),
            (Affine::ForgetsBias, "b[", 0.5),
            (Affine::Overwrites, "w[", 1e-2),
            (Affine::LeavesInputGradient, "dx[1, 1]", f64::INFINITY),
            (Affine::KeepsWork, "w[", 1e-2),
            (Affine::TrustsScratch, "b[", f64::INFINITY),
        ] {
            let report = check_layer(&mistake, 4).unwrap();
            assert!(report.max_relative_error >= least, "{mistake:?}: {report}");
            assert!(report.worst.place.starts_with(array), "{mistake:?}: {report}");
            assert!(report.to_string().contains(&report.worst.place));
        }
    }

    #[test]
    fn a_broken_contract_is_an_error() {
        for (mistake, part) in [
            (Affine::LeavesOutput, "y[0, 1]"),
            (Affine::NeedsInputGradient, "dx is None"),
            (Affine::MixesSamples, "sample 1 depends on the other"),
        ] {
            let error = check_layer(&mistake, 4).unwrap_err().to_string();
            assert!(error.contains(part), "{mistake:?}: {error}");
        }
    }

    #[test]
    fn kinks_are_skipped() {
        let mut x = Tensor::random_normal([2, 20], 0.0, 1.0, 7);
        for (i, distance) in [0.0, 0.1, 0.25, 1.0 / 3.0].into_iter().enumerate() {
            x[[0, i]] = distance * STEP;
        }
        let report = check_layer_at(&Activation::Relu, &x).unwrap();
        assert_eq!((report.checked, report.skipped), (36, 4), "{report}");
        assert!(report.max_relative_error < 1e-9, "{report}");
        assert!(Slope::of(|step| Ok((step - 0.75 * STEP).max(0.0))).unwrap().doubt > KINK);

        let ties = check_layer_at(&MaxPooling2D::new(2), &Tensor::ones([1, 4, 4, 1]));
        assert!(ties.unwrap_err().to_string().contains("16 of 16 coordinates"));
    }

    #[test]
    fn what_cannot_be_checked_is_an_error() {
        for x in [Tensor::zeros(()), Tensor::zeros([0, 4]), Tensor::zeros([3, 0]), Tensor::zeros([3, 2, 2])] {
            assert!(check_layer_at(&Affine::Right, &x).is_err(), "{x:?}");
        }
        assert!(check_layer(&Affine::Right, [1; 6]).is_err());
    }
}
