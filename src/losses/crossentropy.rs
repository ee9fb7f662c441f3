use super::{Loss, Target, TargetKind, mean};
use crate::{Activation, Shape, config::Arguments};

/// `-ln p[label]`: the crossentropy of integer labels with the predicted probabilities `p`, as
/// `keras.losses.SparseCategoricalCrossentropy`.
///
/// Behind a softmax it is computed on the logits. Bare probabilities are clipped to `[1e-7, 1 - 1e-7]` (in single
/// precision, 1 - 1.2e-7) and then divided by their sum.
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
    fn class_name(&self) -> &'static str {
        "SparseCategoricalCrossentropy"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("from_logits", &mut self.from_logits);
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
/// `[1e-7, 1 - 1e-7]` (in single precision, 1 - 1.2e-7). More axes are averaged.
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
    fn class_name(&self) -> &'static str {
        "CategoricalCrossentropy"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("from_logits", &mut self.from_logits)
            .argument("label_smoothing", &mut self.label_smoothing)
            .fixed("axis", -1);
    }

    fn check(&self, output: Shape) -> Result<(), String> {
        check_smoothing(self.label_smoothing)?;
        check_classes(output)
    }

    fn check_target(&self, target: Target) -> Result<(), String> {
        check_probabilities(target)
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
/// Behind a sigmoid it is computed on the logits. Bare probabilities are clipped to `[1e-7, 1 - 1e-7]` (in single
/// precision, 1 - 1.2e-7).
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
    fn class_name(&self) -> &'static str {
        "BinaryCrossentropy"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("from_logits", &mut self.from_logits)
            .argument("label_smoothing", &mut self.label_smoothing)
            .fixed("axis", -1);
    }

    fn check(&self, _output: Shape) -> Result<(), String> {
        check_smoothing(self.label_smoothing)
    }

    fn check_target(&self, target: Target) -> Result<(), String> {
        check_probabilities(target)
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

/// Keras's `epsilon()`, and 1 minus that as float32 holds it.
const CLIP: [f64; 2] = [1e-7, (1.0 - 1e-7) as f32 as f64];

fn clip(p: f64) -> f64 {
    p.clamp(CLIP[0], CLIP[1])
}

/// Whether [`clip`] stops the gradient.
fn is_clipped(p: f64) -> bool {
    !(CLIP[0]..=CLIP[1]).contains(&p)
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

/// Crossentropy has no least value for a target that is no probability.
fn check_probabilities(target: Target) -> Result<(), String> {
    match target.values().iter().find(|value| !(0.0..=1.0).contains(*value)) {
        None => Ok(()),
        Some(value) => Err(format!("a target must be a probability from 0 to 1, got {value}")),
    }
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
    use super::{
        super::testing::{Case, check_case, check_gradient, sample},
        *,
    };

    const SCCE: SparseCategoricalCrossentropy = SparseCategoricalCrossentropy { from_logits: false };
    const CCE: CategoricalCrossentropy = CategoricalCrossentropy { from_logits: false, label_smoothing: 0.0 };
    const BCE: BinaryCrossentropy = BinaryCrossentropy { from_logits: false, label_smoothing: 0.0 };

    #[test]
    fn gradients_are_those_of_central_differences() {
        let one_hot = Target::Values(&[1.0, 0.0, 0.0, 1.0]);
        let soft = Target::Values(&[0.2, 0.3, 0.6, 0.7]);
        let probabilities = [0.3, 0.6, 0.85, 0.25];
        let logits = [-1.5, 0.3, 2.5, -0.7];
        let cases: [(&dyn Loss, Target, [f64; 4]); 12] = [
            (&SCCE, Target::Label(2), probabilities),
            (&SCCE.from_logits(true), Target::Label(2), logits),
            (&CCE, one_hot, probabilities),
            (&CCE, soft, probabilities),
            (&CCE.label_smoothing(0.3), one_hot, probabilities),
            (&CCE.from_logits(true), one_hot, logits),
            (&CCE.from_logits(true), soft, logits),
            (&CCE.from_logits(true).label_smoothing(0.3), one_hot, logits),
            (&BCE, one_hot, probabilities),
            (&BCE.label_smoothing(0.3), one_hot, probabilities),
            (&BCE.from_logits(true), one_hot, logits),
            (&BCE.from_logits(true).label_smoothing(0.3), soft, logits),
        ];
        for (loss, target, prediction) in cases {
            check_gradient(loss, target, &prediction, 2);
        }
    }

    /// Keras 3.15 in float64, and for the probability of 1 its formula with the limit of float32.
    #[test]
    fn losses_and_gradients_are_those_of_keras() {
        let (p, clipped, z) = ([0.2, 0.7, 0.3], [0.0, 0.7, 0.3], [-1.0, 2.0, 0.5]);
        let third = Target::Values(&[0.0, 0.0, 1.0]);
        let binary = Target::Values(&[1.0, 0.0, 1.0]);
        let cases: [Case; 14] = [
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
            (&BCE, binary, [CLIP[1], 1e-7, 1.0], 1.1280619941992769e-07, [-0.3333333730697679, 0.33333336666667, 0.0]),
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
        ];
        cases.into_iter().for_each(check_case);
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

        let losses: [&dyn Loss; 4] = [&CCE, &CCE.from_logits(true), &BCE, &BCE.from_logits(true)];
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
    }

    #[test]
    fn arguments_and_shapes_are_checked() {
        let wrong: [(&dyn Loss, Shape); 6] = [
            (&SCCE, [1].into()),
            (&SCCE, [4, 4, 10].into()),
            (&SCCE, ().into()),
            (&CCE, [5, 1].into()),
            (&CCE.label_smoothing(1.1), [10].into()),
            (&BCE.label_smoothing(f64::NAN), [1].into()),
        ];
        for (loss, output) in wrong {
            assert!(loss.check(output).is_err(), "{loss:?} on {output}");
        }
        let right: [(&dyn Loss, Shape); 3] =
            [(&SCCE, [2].into()), (&CCE.label_smoothing(1.0), [4, 4, 2].into()), (&BCE, [1].into())];
        for (loss, output) in right {
            assert_eq!(loss.check(output), Ok(()), "{loss:?} on {output}");
        }
    }
}
