//! What training makes small: losses and their gradients.
//!
//! A loss is small next to the network, so it is computed in `f64` whatever the model computes in.

use std::fmt::Debug;

use crate::{Activation, Shape};

/// What a sample's prediction should have been.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target<'a> {
    /// The sample's class.
    Label(usize),
    /// As many values as the model's output has: the rows of a regression, one-hot classes, probabilities.
    Values(&'a [f64]),
}

/// Which [`Target`] a loss takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// [`Target::Label`].
    Labels,
    /// [`Target::Values`].
    Values,
}

impl<'a> Target<'a> {
    /// The class.
    ///
    /// # Panics
    /// If these are values: the caller has not asked for [`Loss::target_kind`].
    pub fn label(self) -> usize {
        match self {
            Target::Label(label) => label,
            Target::Values(_) => panic!("the loss takes labels"),
        }
    }

    /// The values.
    ///
    /// # Panics
    /// If this is a label: the caller has not asked for [`Loss::target_kind`].
    pub fn values(self) -> &'a [f64] {
        match self {
            Target::Values(values) => values,
            Target::Label(_) => panic!("the loss takes values"),
        }
    }
}

/// A loss. To write one of your own, say what it is for one sample; it is averaged over the batch.
///
/// ```
/// use cornu::losses::{Loss, Target};
///
/// /// The mean of `ln(cosh(prediction - target))`.
/// #[derive(Debug)]
/// struct LogCosh;
///
/// impl Loss for LogCosh {
///     fn name(&self) -> &'static str {
///         "log_cosh"
///     }
///
///     fn sample(&self, target: Target, prediction: &[f64], _: usize, gradient: Option<&mut [f64]>) -> f64 {
///         let n = prediction.len() as f64;
///         let errors = prediction.iter().zip(target.values()).map(|(p, t)| p - t);
///         if let Some(gradient) = gradient {
///             for (g, error) in gradient.iter_mut().zip(errors.clone()) {
///                 *g = error.tanh() / n;
///             }
///         }
///         errors.map(|error| error.cosh().ln()).sum::<f64>() / n
///     }
/// }
///
/// let mut gradient = [0.0; 2];
/// let loss = LogCosh.sample(Target::Values(&[1.0, 2.0]), &[1.0, 2.0], 2, Some(&mut gradient));
/// assert_eq!((loss, gradient), (0.0, [0.0, 0.0]));
/// ```
pub trait Loss: Debug + Send + Sync + 'static {
    /// Keras's name: `"sparse_categorical_crossentropy"`.
    fn name(&self) -> &'static str;

    /// Which target the loss takes.
    fn target_kind(&self) -> TargetKind {
        TargetKind::Values
    }

    /// Whether the arguments lie in their ranges and the loss can take `output`, the shape of one sample of the
    /// model's output. `compile` asks, and adds the place.
    ///
    /// # Errors
    /// If not: what came, what was expected and how to mend it.
    fn check(&self, _output: Shape) -> Result<(), String> {
        Ok(())
    }

    /// This loss as a function of what goes into `activation`, the model's last, where that form is more stable.
    fn on_logits(&self, _activation: Activation) -> Option<Box<dyn Loss>> {
        None
    }

    /// The loss of one sample.
    ///
    /// `prediction` is the model's output, rows of `classes` values (its last axis). `gradient`, as long as the
    /// prediction, is overwritten with the gradient of the result to it.
    fn sample(&self, target: Target, prediction: &[f64], classes: usize, gradient: Option<&mut [f64]>) -> f64;
}

/// `-ln p[label]`: the crossentropy of integer labels with the predicted probabilities `p`, as
/// `keras.losses.SparseCategoricalCrossentropy`.
///
/// Behind a softmax it is computed on the logits. Bare probabilities are clipped to `[1e-7, 1 - 1e-7]` and then divided
/// by their sum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseCategoricalCrossentropy {
    from_logits: bool,
}

impl SparseCategoricalCrossentropy {
    /// Whether the model's output are logits, to which a softmax is still to be applied; default false.
    #[allow(clippy::wrong_self_convention, reason = "Keras's name")]
    pub fn from_logits(mut self, from_logits: bool) -> Self {
        self.from_logits = from_logits;
        self
    }
}

impl Loss for SparseCategoricalCrossentropy {
    fn name(&self) -> &'static str {
        "sparse_categorical_crossentropy"
    }

    fn target_kind(&self) -> TargetKind {
        TargetKind::Labels
    }

    fn check(&self, output: Shape) -> Result<(), String> {
        if output.rank() != 1 {
            return Err(format!(
                "expected an output of shape (classes,), for one label a sample, got {output}; end the model with \
                 Flatten or a global pooling and Dense, or use CategoricalCrossentropy with one-hot targets"
            ));
        }
        check_classes(output)
    }

    fn on_logits(&self, activation: Activation) -> Option<Box<dyn Loss>> {
        (activation == Activation::Softmax).then(|| Box::new(self.clone().from_logits(true)) as Box<dyn Loss>)
    }

    fn sample(&self, target: Target, prediction: &[f64], _classes: usize, gradient: Option<&mut [f64]>) -> f64 {
        let label = target.label();
        if self.from_logits {
            let log_sum = log_sum_exp(prediction);
            if let Some(gradient) = gradient {
                fill(gradient, prediction, |z| (z - log_sum).exp());
                gradient[label] -= 1.0;
            }
            log_sum - prediction[label]
        } else {
            let sum: f64 = prediction.iter().map(|&p| clip(p)).sum();
            if let Some(gradient) = gradient {
                fill(gradient, prediction, |p| if is_clipped(p) { 0.0 } else { 1.0 / sum });
                if !is_clipped(prediction[label]) {
                    gradient[label] -= 1.0 / prediction[label];
                }
            }
            sum.ln() - clip(prediction[label]).ln()
        }
    }
}

/// `-sum_i t_i ln p_i`: the crossentropy of one-hot targets (or probabilities) `t` with the predicted probabilities
/// `p`, over the last axis, as `keras.losses.CategoricalCrossentropy`.
///
/// Behind a softmax it is computed on the logits. Bare probabilities are divided by their sum and then clipped to
/// `[1e-7, 1 - 1e-7]`. More axes are averaged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CategoricalCrossentropy {
    from_logits: bool,
    label_smoothing: f64,
}

impl CategoricalCrossentropy {
    /// Whether the model's output are logits, to which a softmax is still to be applied; default false.
    #[allow(clippy::wrong_self_convention, reason = "Keras's name")]
    pub fn from_logits(mut self, from_logits: bool) -> Self {
        self.from_logits = from_logits;
        self
    }

    /// How much of each target is spread evenly over all classes, in `[0, 1]`; default 0.
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// The loss of one row; its gradient is multiplied by `scale`.
    fn row(&self, targets: &[f64], prediction: &[f64], scale: f64, gradient: Option<&mut [f64]>) -> f64 {
        let uniform = self.label_smoothing / targets.len() as f64;
        let smooth = |t: f64| t * (1.0 - self.label_smoothing) + uniform;
        let pairs = targets.iter().map(|&t| smooth(t)).zip(prediction.iter().copied());
        if self.from_logits {
            let log_sum = log_sum_exp(prediction);
            if let Some(gradient) = gradient {
                let total: f64 = pairs.clone().map(|(t, _)| t).sum();
                for (g, (t, z)) in gradient.iter_mut().zip(pairs.clone()) {
                    *g = scale * (total * (z - log_sum).exp() - t);
                }
            }
            pairs.map(|(t, z)| t * (log_sum - z)).sum()
        } else {
            let sum: f64 = prediction.iter().sum();
            if let Some(gradient) = gradient {
                // With q = p / sum: d loss / d q_i = -t_i / q_i, and d q_i / d p_j = ([i = j] - q_i) / sum.
                let kept = |(t, p): (f64, f64)| if is_clipped(p / sum) { 0.0 } else { t };
                let total: f64 = pairs.clone().map(kept).sum();
                for (g, (t, p)) in gradient.iter_mut().zip(pairs.clone()) {
                    let own = if is_clipped(p / sum) { 0.0 } else { t / p };
                    *g = scale * (total / sum - own);
                }
            }
            -pairs.map(|(t, p)| t * clip(p / sum).ln()).sum::<f64>()
        }
    }
}

impl Loss for CategoricalCrossentropy {
    fn name(&self) -> &'static str {
        "categorical_crossentropy"
    }

    fn check(&self, output: Shape) -> Result<(), String> {
        check_smoothing(self.label_smoothing)?;
        check_classes(output)
    }

    fn on_logits(&self, activation: Activation) -> Option<Box<dyn Loss>> {
        (activation == Activation::Softmax).then(|| Box::new(self.clone().from_logits(true)) as Box<dyn Loss>)
    }

    fn sample(&self, target: Target, prediction: &[f64], classes: usize, mut gradient: Option<&mut [f64]>) -> f64 {
        let scale = classes as f64 / prediction.len() as f64;
        let rows = target.values().chunks_exact(classes).zip(prediction.chunks_exact(classes));
        let losses = rows.enumerate().map(|(i, (targets, prediction))| {
            let gradient = gradient.as_deref_mut().map(|gradient| &mut gradient[i * classes..][..classes]);
            self.row(targets, prediction, scale, gradient)
        });
        scale * losses.sum::<f64>()
    }
}

/// The mean of `-t ln p - (1 - t) ln(1 - p)`, for targets `t` of 0 and 1 (or probabilities) and predicted
/// probabilities `p`, as `keras.losses.BinaryCrossentropy`.
///
/// Behind a sigmoid it is computed on the logits. Bare probabilities are clipped to `[1e-7, 1 - 1e-7]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BinaryCrossentropy {
    from_logits: bool,
    label_smoothing: f64,
}

impl BinaryCrossentropy {
    /// Whether the model's output are logits, to which a sigmoid is still to be applied; default false.
    #[allow(clippy::wrong_self_convention, reason = "Keras's name")]
    pub fn from_logits(mut self, from_logits: bool) -> Self {
        self.from_logits = from_logits;
        self
    }

    /// How far targets are moved to 1/2, in `[0, 1]`; default 0.
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }
}

impl Loss for BinaryCrossentropy {
    fn name(&self) -> &'static str {
        "binary_crossentropy"
    }

    fn check(&self, _output: Shape) -> Result<(), String> {
        check_smoothing(self.label_smoothing)
    }

    fn on_logits(&self, activation: Activation) -> Option<Box<dyn Loss>> {
        (activation == Activation::Sigmoid).then(|| Box::new(self.clone().from_logits(true)) as Box<dyn Loss>)
    }

    fn sample(&self, target: Target, prediction: &[f64], _classes: usize, gradient: Option<&mut [f64]>) -> f64 {
        let smooth = |t: f64| t * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing;
        if self.from_logits {
            mean(target, prediction, gradient, |t, z| {
                let t = smooth(t);
                (z.max(0.0) - z * t + (-z.abs()).exp().ln_1p(), 1.0 / (1.0 + (-z).exp()) - t)
            })
        } else {
            mean(target, prediction, gradient, |t, p| {
                let (t, q) = (smooth(t), clip(p));
                let slope = if is_clipped(p) { 0.0 } else { (1.0 - t) / (1.0 - p) - t / p };
                (-t * q.ln() - (1.0 - t) * (1.0 - q).ln(), slope)
            })
        }
    }
}

/// The mean of `(prediction - target)^2`, as `keras.losses.MeanSquaredError`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeanSquaredError;

impl Loss for MeanSquaredError {
    fn name(&self) -> &'static str {
        "mean_squared_error"
    }

    fn sample(&self, target: Target, prediction: &[f64], _classes: usize, gradient: Option<&mut [f64]>) -> f64 {
        mean(target, prediction, gradient, |t, p| ((p - t) * (p - t), 2.0 * (p - t)))
    }
}

/// The mean of `|prediction - target|`, as `keras.losses.MeanAbsoluteError`; its gradient at 0 is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeanAbsoluteError;

impl Loss for MeanAbsoluteError {
    fn name(&self) -> &'static str {
        "mean_absolute_error"
    }

    fn sample(&self, target: Target, prediction: &[f64], _classes: usize, gradient: Option<&mut [f64]>) -> f64 {
        mean(target, prediction, gradient, |t, p| ((p - t).abs(), if p == t { 0.0 } else { (p - t).signum() }))
    }
}

/// The mean of `error^2 / 2` where `|error| <= delta`, and of `delta |error| - delta^2 / 2` elsewhere, with
/// `error = prediction - target`, as `keras.losses.Huber`.
#[derive(Clone, Debug, PartialEq)]
pub struct Huber {
    delta: f64,
}

impl Huber {
    /// Where the loss turns from a square into a line, above 0; default 1.
    pub fn delta(mut self, delta: f64) -> Self {
        self.delta = delta;
        self
    }
}

impl Default for Huber {
    fn default() -> Self {
        Huber { delta: 1.0 }
    }
}

impl Loss for Huber {
    fn name(&self) -> &'static str {
        "huber_loss"
    }

    fn check(&self, _output: Shape) -> Result<(), String> {
        if self.delta > 0.0 && self.delta.is_finite() {
            Ok(())
        } else {
            Err(format!("delta must be a finite number above 0, got {}", self.delta))
        }
    }

    fn sample(&self, target: Target, prediction: &[f64], _classes: usize, gradient: Option<&mut [f64]>) -> f64 {
        let delta = self.delta;
        mean(target, prediction, gradient, |t, p| {
            let error = p - t;
            if error.abs() <= delta {
                (0.5 * error * error, error)
            } else {
                (delta * error.abs() - 0.5 * delta * delta, delta * error.signum())
            }
        })
    }
}

/// The mean of the losses that `f(target, prediction)` gives, each with its derivative to the prediction.
fn mean(target: Target, prediction: &[f64], gradient: Option<&mut [f64]>, f: impl Fn(f64, f64) -> (f64, f64)) -> f64 {
    let target = target.values();
    assert_eq!(target.len(), prediction.len(), "one target for each prediction");
    let n = prediction.len() as f64;
    let losses = target.iter().zip(prediction).map(|(&t, &p)| f(t, p));
    if let Some(gradient) = gradient {
        for (g, (_, slope)) in gradient.iter_mut().zip(losses.clone()) {
            *g = slope / n;
        }
    }
    losses.map(|(loss, _)| loss).sum::<f64>() / n
}

fn fill(gradient: &mut [f64], prediction: &[f64], f: impl Fn(f64) -> f64) {
    for (g, &p) in gradient.iter_mut().zip(prediction) {
        *g = f(p);
    }
}

/// `ln sum_i exp(z_i)`.
fn log_sum_exp(z: &[f64]) -> f64 {
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + z.iter().map(|z| (z - max).exp()).sum::<f64>().ln()
}

/// Keras's `epsilon()`.
const EPSILON: f64 = 1e-7;

fn clip(p: f64) -> f64 {
    p.clamp(EPSILON, 1.0 - EPSILON)
}

/// Whether [`clip`] stops the gradient.
fn is_clipped(p: f64) -> bool {
    !(EPSILON..=1.0 - EPSILON).contains(&p)
}

fn check_classes(output: Shape) -> Result<(), String> {
    if output.last() >= 2 {
        return Ok(());
    }
    Err(format!(
        "expected an output with at least 2 classes in its last axis, got {output}; give the last layer as many units \
         as there are classes, or use BinaryCrossentropy with one unit and a sigmoid"
    ))
}

fn check_smoothing(label_smoothing: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&label_smoothing) {
        Ok(())
    } else {
        Err(format!("label_smoothing must lie in [0, 1], got {label_smoothing}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCCE: SparseCategoricalCrossentropy = SparseCategoricalCrossentropy { from_logits: false };
    const CCE: CategoricalCrossentropy = CategoricalCrossentropy { from_logits: false, label_smoothing: 0.0 };
    const BCE: BinaryCrossentropy = BinaryCrossentropy { from_logits: false, label_smoothing: 0.0 };

    /// The loss and its gradient.
    fn sample(loss: &dyn Loss, target: Target, prediction: &[f64], classes: usize) -> (f64, Vec<f64>) {
        let mut gradient = vec![9.0; prediction.len()];
        let value = loss.sample(target, prediction, classes, Some(&mut gradient));
        assert_eq!(loss.sample(target, prediction, classes, None), value);
        (value, gradient)
    }

    #[test]
    fn gradients_are_those_of_central_differences() {
        // Two rows of two classes, no element near 0.5 and 1 from its target, the kinks of Huber.
        let one_hot = Target::Values(&[1.0, 0.0, 0.0, 1.0]);
        let soft = Target::Values(&[0.2, 0.3, 0.6, 0.7]);
        let probabilities = [0.3, 0.6, 0.85, 0.25];
        let logits = [-1.5, 0.3, 2.5, -0.7];
        let cases: [(&dyn Loss, Target, &[f64]); 16] = [
            (&SCCE, Target::Label(2), &probabilities),
            (&SCCE.from_logits(true), Target::Label(2), &logits),
            (&CCE, one_hot, &probabilities),
            (&CCE, soft, &probabilities),
            (&CCE.label_smoothing(0.3), one_hot, &probabilities),
            (&CCE.from_logits(true), one_hot, &logits),
            (&CCE.from_logits(true), soft, &logits),
            (&CCE.from_logits(true).label_smoothing(0.3), one_hot, &logits),
            (&BCE, one_hot, &probabilities),
            (&BCE.label_smoothing(0.3), one_hot, &probabilities),
            (&BCE.from_logits(true), one_hot, &logits),
            (&BCE.from_logits(true).label_smoothing(0.3), soft, &logits),
            (&MeanSquaredError, one_hot, &logits),
            (&MeanAbsoluteError, one_hot, &logits),
            (&Huber::default(), one_hot, &logits),
            (&Huber::default().delta(0.5), one_hot, &logits),
        ];
        for (loss, target, prediction) in cases {
            let (_, gradient) = sample(loss, target, prediction, 2);
            for i in 0..prediction.len() {
                let at = |h: f64| {
                    let mut prediction = prediction.to_vec();
                    prediction[i] += h;
                    loss.sample(target, &prediction, 2, None)
                };
                let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                let error = (gradient[i] - numeric).abs() / numeric.abs().max(1e-2);
                assert!(error < 1e-6, "{loss:?}, element {i}: {} is not {numeric}", gradient[i]);
            }
        }
    }

    /// Keras 3.15 in float64.
    #[test]
    fn losses_and_gradients_are_those_of_keras() {
        let (p, clipped, z) = ([0.2, 0.7, 0.3], [0.0, 0.7, 0.3], [-1.0, 2.0, 0.5]);
        let third = Target::Values(&[0.0, 0.0, 1.0]);
        let binary = Target::Values(&[1.0, 0.0, 1.0]);
        let rows = Target::Values(&[1.0, 0.0, 0.5]);
        let cases: [(&dyn Loss, Target, [f64; 3], f64, [f64; 3]); 18] = [
            (&SCCE, Target::Label(2), p, 1.3862943611198908, [0.8333333333333335, 0.8333333333333333, -2.5]),
            (&SCCE, Target::Label(2), clipped, 1.203972904325931, [0.0, 0.99999990000001, -2.3333334333333235]),
            (&SCCE, Target::Label(0), clipped, 16.118095750958314, [0.0, 0.99999990000001, 0.99999990000001]),
            (
                &SCCE.from_logits(true),
                Target::Label(2),
                z,
                1.7413112966571571,
                [0.039112573270687456, 0.7855970345892759, -0.8247096078599633],
            ),
            (&CCE, third, p, 1.3862943611198906, [0.8333333333333334, 0.8333333333333334, -2.5]),
            (&CCE, third, clipped, 1.2039728043259361, [1.0, 1.0, -2.3333333333333335]),
            (
                &CCE.label_smoothing(0.1),
                third,
                clipped,
                1.672866970534109,
                [0.9666666666666667, 0.9190476190476191, -2.1444444444444444],
            ),
            (
                &CCE.from_logits(true),
                third,
                z,
                1.7413112966571571,
                [0.039112573270687456, 0.7855970345892759, -0.8247096078599633],
            ),
            (
                &CCE.from_logits(true).label_smoothing(0.25),
                third,
                [-1.0, 2.0, 1.5],
                1.1712635690089501,
                [-0.05327444576375931, 0.5204155628152924, -0.46714111705153316],
            ),
            (&BCE, binary, p, 1.3391278403619908, [-1.6666666666666665, 1.111111111111111, -1.1111111111111112]),
            (&BCE, binary, clipped, 6.175347086536731, [0.0, 1.111111111111111, -1.1111111111111112]),
            (&BCE, binary, [1.0 - 1e-7, 1e-7, 1.0], 1.0000000494736474e-07, [-0.33333336666667, 0.33333336666667, 0.0]),
            (
                &BCE.label_smoothing(0.1),
                binary,
                p,
                1.2877796723304191,
                [-1.5625, 1.0317460317460316, -1.0317460317460319],
            ),
            (
                &BCE.from_logits(true).label_smoothing(0.1),
                binary,
                z,
                1.2630888942471008,
                [-0.2270195262100016, 0.27693235932596083, -0.10918022293271515],
            ),
            (&MeanSquaredError, rows, z, 2.6666666666666665, [-1.3333333333333333, 1.3333333333333333, 0.0]),
            (&MeanAbsoluteError, rows, z, 1.3333333333333333, [-0.3333333333333333, 0.3333333333333333, 0.0]),
            (
                &Huber::default(),
                rows,
                [2.0, -0.25, 1.75],
                0.4270833333333333,
                [0.3333333333333333, -0.08333333333333333, 0.3333333333333333],
            ),
            (
                &Huber::default().delta(0.5),
                rows,
                z,
                0.5833333333333334,
                [-0.16666666666666666, 0.16666666666666666, 0.0],
            ),
        ];
        for (loss, target, prediction, value, gradient) in cases {
            let actual = sample(loss, target, &prediction, 3);
            approx::assert_relative_eq!(actual.0, value, max_relative = 1e-13);
            for (actual, expected) in actual.1.into_iter().zip(gradient) {
                approx::assert_relative_eq!(actual, expected, epsilon = 1e-15, max_relative = 1e-13);
            }
        }
    }

    #[test]
    fn rows_are_averaged() {
        let targets = Target::Values(&[1.0, 0.0, 0.0, 1.0]);
        let (loss, gradient) = sample(&CCE, targets, &[0.6, 0.4, 0.3, 0.7], 2);
        approx::assert_relative_eq!(loss, 0.4337502838523616, max_relative = 1e-14);
        for (actual, expected) in gradient.into_iter().zip([-1.0 / 3.0, 0.5, 0.5, -3.0 / 14.0]) {
            approx::assert_relative_eq!(actual, expected, max_relative = 1e-14);
        }
    }

    #[test]
    fn large_logits_stay_finite_and_nan_stays_nan() {
        let z = [1e4, -1e4, 0.0];
        let target = Target::Values(&[0.0, 1.0, 0.0]);
        assert_eq!(sample(&SCCE.from_logits(true), Target::Label(1), &z, 3), (2e4, vec![1.0, -1.0, 0.0]));
        assert_eq!(sample(&CCE.from_logits(true), target, &z, 3), (2e4, vec![1.0, -1.0, 0.0]));
        let (loss, gradient) = sample(&BCE.from_logits(true), target, &z, 3);
        assert_eq!(gradient, [1.0 / 3.0, -1.0 / 3.0, 0.5 / 3.0]);
        approx::assert_relative_eq!(loss, (2e4 + std::f64::consts::LN_2) / 3.0);

        let losses: [&dyn Loss; 7] = [
            &CCE,
            &CCE.from_logits(true),
            &BCE,
            &BCE.from_logits(true),
            &MeanSquaredError,
            &MeanAbsoluteError,
            &Huber::default(),
        ];
        for loss in losses {
            assert!(loss.sample(target, &[f64::NAN, 0.5, 0.5], 3, None).is_nan(), "{loss:?}");
        }
        for loss in [SCCE, SCCE.from_logits(true)] {
            assert!(loss.sample(Target::Label(1), &[f64::NAN, 0.5, 0.5], 3, None).is_nan(), "{loss:?}");
        }
    }

    #[test]
    fn the_last_activation_is_fused_where_it_belongs() {
        let fused = |loss: &dyn Loss, activation| loss.on_logits(activation).map(|loss| format!("{loss:?}"));
        let smoothed = CCE.label_smoothing(0.1);
        assert_eq!(fused(&SCCE, Activation::Softmax), Some(format!("{:?}", SCCE.from_logits(true))));
        assert_eq!(fused(&smoothed, Activation::Softmax), Some(format!("{:?}", smoothed.clone().from_logits(true))));
        assert_eq!(fused(&BCE, Activation::Sigmoid), Some(format!("{:?}", BCE.from_logits(true))));
        assert_eq!(fused(&SCCE, Activation::Sigmoid), None);
        assert_eq!(fused(&BCE, Activation::Softmax), None);
        assert_eq!(fused(&MeanSquaredError, Activation::Sigmoid), None);
    }

    #[test]
    fn arguments_and_shapes_are_checked() {
        let wrong: [(&dyn Loss, Shape); 9] = [
            (&SCCE, [1].into()),
            (&SCCE, [4, 4, 10].into()),
            (&SCCE, ().into()),
            (&CCE, [5, 1].into()),
            (&CCE.label_smoothing(1.1), [10].into()),
            (&BCE.label_smoothing(f64::NAN), [1].into()),
            (&Huber::default().delta(0.0), [1].into()),
            (&Huber::default().delta(f64::NAN), [1].into()),
            (&Huber::default().delta(f64::INFINITY), [1].into()),
        ];
        for (loss, output) in wrong {
            assert!(loss.check(output).is_err(), "{loss:?} on {output}");
        }
        let right: [(&dyn Loss, Shape); 5] = [
            (&SCCE, [2].into()),
            (&CCE.label_smoothing(1.0), [4, 4, 2].into()),
            (&BCE, [1].into()),
            (&MeanSquaredError, ().into()),
            (&Huber::default(), [3].into()),
        ];
        for (loss, output) in right {
            assert_eq!(loss.check(output), Ok(()), "{loss:?} on {output}");
        }
    }
}
