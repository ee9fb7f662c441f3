//! What a user reads off a training: metrics.

mod auc;
mod configuration;
mod confusion_matrix;
mod f1_score;
mod mean_iou;
mod precision_recall;
mod r2_score;
mod stateful;

use std::sync::Arc;

pub use auc::{AUC, Curve};
pub use confusion_matrix::{ClassificationReport, ConfusionMatrix};
pub use f1_score::{Averaging, F1Score};
pub use mean_iou::MeanIoU;
pub use precision_recall::{Precision, Recall};
pub use r2_score::R2Score;
pub use stateful::StatefulMetric;

use crate::{
    Shape,
    losses::{Target, TargetKind},
};

/// A metric, as in `keras.metrics`: what it is over all samples is reported for each epoch and by `evaluate`. Sample weights do
/// not count.
///
/// Those that are listed here are means over the samples. Where the model's output has more axes than the last one (its
/// classes), a sample's metric is the mean over them. Of equal predictions the first is the largest.
///
/// The others are types of their own, which become metrics by `into()`, as do yours: see [`StatefulMetric`].
///
/// ```
/// use cornu::prelude::*;
///
/// let plan = Sequential::new([8]).add(Dense::new(1).activation(Activation::Sigmoid));
/// let metrics = [Metric::Accuracy, Precision::new().into(), Recall::new().threshold(0.2).into(), AUC::new().into()];
/// plan.compile(Adam::default(), BinaryCrossentropy::default(), metrics)?;
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Metric {
    /// How many are right: [`BinaryAccuracy`](Metric::BinaryAccuracy) where the output's last axis is 1,
    /// [`SparseCategoricalAccuracy`](Metric::SparseCategoricalAccuracy) for labels, and otherwise
    /// [`CategoricalAccuracy`](Metric::CategoricalAccuracy).
    Accuracy,
    /// How many predictions are largest for the label.
    SparseCategoricalAccuracy,
    /// How many predictions are largest where the target is.
    CategoricalAccuracy,
    /// How many targets of 0 and 1 lie on their prediction's side; a prediction above 0.5 stands for 1.
    BinaryAccuracy,
    /// How many predictions have fewer than this number of classes above the target's: Keras's
    /// `SparseTopKCategoricalAccuracy` for labels, and otherwise `TopKCategoricalAccuracy`.
    ///
    /// As in TensorFlow's `in_top_k`, equal predictions are all in, and a row with a NaN or an infinity is wrong.
    TopKAccuracy(usize),
    /// The mean of `(prediction - target)^2`.
    MeanSquaredError,
    /// The mean of `|prediction - target|`.
    MeanAbsoluteError,
    /// The cosine of the angle between prediction and target, along the output's last axis; 0 where one of them is 0.
    CosineSimilarity,
    /// Not a mean over the samples.
    Stateful(Arc<dyn StatefulMetric>),
}

impl Metric {
    /// The key in a history: `"accuracy"`, `"top_5_accuracy"`, `"mse"`, `"precision"`.
    pub fn name(&self) -> String {
        match self {
            Metric::Accuracy => "accuracy".into(),
            Metric::SparseCategoricalAccuracy => "sparse_categorical_accuracy".into(),
            Metric::CategoricalAccuracy => "categorical_accuracy".into(),
            Metric::BinaryAccuracy => "binary_accuracy".into(),
            Metric::TopKAccuracy(k) => format!("top_{k}_accuracy"),
            Metric::MeanSquaredError => "mse".into(),
            Metric::MeanAbsoluteError => "mae".into(),
            Metric::CosineSimilarity => "cosine_similarity".into(),
            Metric::Stateful(metric) => metric.name().into(),
        }
    }

    /// Whether more is better.
    pub fn rises(&self) -> bool {
        match self {
            Metric::MeanSquaredError | Metric::MeanAbsoluteError => false,
            Metric::Stateful(metric) => metric.rises(),
            _ => true,
        }
    }

    /// Whether the metric can compare targets of this kind with `output`, the shape of one sample of the model's
    /// output; if not, what was expected and how to mend it.
    pub(crate) fn check(&self, kind: TargetKind, output: Shape) -> Result<(), String> {
        let name = self.name();
        let classes = output.last();
        match (self, kind) {
            (Metric::Stateful(metric), _) => metric.check(kind, output).map_err(|message| format!("{name}: {message}")),
            (&Metric::TopKAccuracy(k), _) if k == 0 || k > classes => {
                Err(format!("{name}: k must be at least 1 and at most the number of classes, {classes}; got {k}"))
            }
            (Metric::SparseCategoricalAccuracy, TargetKind::Values) => {
                Err(format!("{name}: the loss takes one-hot targets, not labels; use Accuracy or CategoricalAccuracy"))
            }
            (Metric::CategoricalAccuracy, TargetKind::Labels) => {
                Err(format!("{name}: the loss takes labels, not one-hot targets; use Accuracy"))
            }
            (Metric::CosineSimilarity, TargetKind::Labels) => {
                Err(format!("{name}: the loss takes labels, which have no direction; use Accuracy"))
            }
            (Metric::SparseCategoricalAccuracy | Metric::CategoricalAccuracy, _) if classes < 2 => Err(format!(
                "{name}: expected an output with at least 2 classes in its last axis, got {output}; use Accuracy or \
                 BinaryAccuracy"
            )),
            (Metric::BinaryAccuracy | Metric::MeanSquaredError | Metric::MeanAbsoluteError, TargetKind::Labels)
                if output.size() != 1 =>
            {
                Err(format!(
                    "{name}: expected an output of one value to compare a label with, got {output}; use Accuracy"
                ))
            }
            (_, TargetKind::Labels) if output.size() != classes => {
                Err(format!("{name}: expected an output of shape (classes,), for one label a sample, got {output}"))
            }
            _ => Ok(()),
        }
    }

    /// What [`update`](Metric::update) changes, before the first sample.
    pub(crate) fn state(&self, output: Shape) -> Vec<f64> {
        match self {
            Metric::Stateful(metric) => metric.state(output),
            // The sum and the number of the samples.
            _ => vec![0.0; 2],
        }
    }

    /// Adds a sample, whose `prediction` are rows of `classes` values (the output's last axis).
    pub(crate) fn update(&self, state: &mut [f64], target: Target, prediction: &[f64], classes: usize) {
        let binary = |t, p| f64::from(f64::from(p > 0.5) == t);
        let sample = match self {
            Metric::Accuracy if classes == 1 => mean_of_elements(target, prediction, binary),
            Metric::BinaryAccuracy => mean_of_elements(target, prediction, binary),
            Metric::Accuracy | Metric::SparseCategoricalAccuracy | Metric::CategoricalAccuracy => {
                mean_of_rows(target, prediction, classes, |label, row| argmax(row) == label)
            }
            Metric::TopKAccuracy(k) => mean_of_rows(target, prediction, classes, |label, row| in_top_k(label, row, *k)),
            Metric::MeanSquaredError => mean_of_elements(target, prediction, |t, p| (p - t) * (p - t)),
            Metric::MeanAbsoluteError => mean_of_elements(target, prediction, |t, p| (p - t).abs()),
            Metric::CosineSimilarity => cosine_similarity(target.values(), prediction, classes),
            Metric::Stateful(metric) => return metric.update(state, target, prediction, classes),
        };
        state[0] += sample;
        state[1] += 1.0;
    }

    /// The metric of the samples so far.
    pub(crate) fn result(&self, state: &[f64]) -> f64 {
        match self {
            Metric::Stateful(metric) => metric.result(state),
            _ => state[0] / state[1],
        }
    }
}

impl<M: StatefulMetric> From<M> for Metric {
    fn from(metric: M) -> Self {
        Metric::Stateful(Arc::new(metric))
    }
}

fn mean_of_elements(target: Target, prediction: &[f64], f: fn(f64, f64) -> f64) -> f64 {
    let sum: f64 = match target {
        Target::Label(label) => prediction.iter().map(|&p| f(label as f64, p)).sum(),
        Target::Values(values) => {
            assert_eq!(values.len(), prediction.len(), "one target for each prediction");
            values.iter().zip(prediction).map(|(&t, &p)| f(t, p)).sum()
        }
    };
    sum / prediction.len() as f64
}

fn mean_of_rows(target: Target, prediction: &[f64], classes: usize, right: impl Fn(usize, &[f64]) -> bool) -> f64 {
    let rows = prediction.chunks_exact(classes);
    let n = rows.len() as f64;
    let count = match target {
        Target::Label(label) => rows.filter(|row| right(label, row)).count(),
        Target::Values(values) => {
            assert_eq!(values.len(), prediction.len(), "one target for each prediction");
            rows.zip(values.chunks_exact(classes)).filter(|(row, values)| right(argmax(values), row)).count()
        }
    };
    count as f64 / n
}

/// The index of the first of the largest values; NaN is not one of them.
fn argmax(row: &[f64]) -> usize {
    let first = (0, f64::NEG_INFINITY);
    row.iter().enumerate().fold(first, |best, (i, &p)| if p > best.1 { (i, p) } else { best }).0
}

fn in_top_k(label: usize, row: &[f64], k: usize) -> bool {
    row.iter().all(|p| p.is_finite()) && row.iter().filter(|&&p| p > row[label]).count() < k
}

/// Norms smaller than this count as this: Keras's epsilon.
const EPSILON: f64 = 1e-7;

/// The mean over the rows.
fn cosine_similarity(target: &[f64], prediction: &[f64], classes: usize) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norm = |row: &[f64]| dot(row, row).sqrt().max(EPSILON);
    let rows = target.chunks_exact(classes).zip(prediction.chunks_exact(classes));
    let n = rows.len() as f64;
    rows.map(|(t, p)| dot(t, p) / (norm(t) * norm(p))).sum::<f64>() / n
}

/// `a / b`, and 0 where nothing was counted.
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// The target of an element of the prediction; that of a label is its one-hot row.
fn target_of(target: Target, element: usize) -> f64 {
    match target {
        Target::Label(label) => f64::from(u8::from(element == label)),
        Target::Values(values) => values[element],
    }
}

/// Whether each element of `output` can be compared with [`target_of`] it; if not, how to mend it.
fn check_one_hot(kind: TargetKind, output: Shape) -> Result<(), String> {
    match kind {
        TargetKind::Values => Ok(()),
        TargetKind::Labels if output.size() == output.last() && output.last() > 1 => Ok(()),
        TargetKind::Labels => Err(format!(
            "expected an output of shape (classes,) with at least 2 classes, for one label a sample, got {output}; a loss \
             that takes values, such as BinaryCrossentropy, allows any other"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(metric: Metric, target: Target, prediction: &[f64], classes: usize) -> f64 {
        let mut state = metric.state([classes].into());
        metric.update(&mut state, target, prediction, classes);
        metric.result(&state)
    }

    fn top_k(label: usize, prediction: &[f64; 4]) -> [f64; 4] {
        [1, 2, 3, 4].map(|k| sample(Metric::TopKAccuracy(k), Target::Label(label), prediction, 4))
    }

    #[test]
    fn accuracy_follows_the_target_and_the_output() {
        let accuracy = |target, prediction: &[f64], classes| sample(Metric::Accuracy, target, prediction, classes);
        assert_eq!(accuracy(Target::Label(2), &[0.1, 0.2, 0.7], 3), 1.0);
        assert_eq!(accuracy(Target::Label(1), &[0.1, 0.2, 0.7], 3), 0.0);
        assert_eq!(accuracy(Target::Values(&[0.0, 0.4, 0.6]), &[0.1, 0.2, 0.7], 3), 1.0);
        assert_eq!(accuracy(Target::Values(&[1.0, 0.0, 0.0]), &[0.1, 0.2, 0.7], 3), 0.0);
        assert_eq!(accuracy(Target::Values(&[1.0]), &[0.7], 1), 1.0);
        assert_eq!(accuracy(Target::Values(&[0.0]), &[0.7], 1), 0.0);
        assert_eq!(accuracy(Target::Label(0), &[0.2], 1), 1.0);
        assert_eq!(accuracy(Target::Label(2), &[0.7], 1), 0.0);
        // Two of three rows.
        let targets = Target::Values(&[1.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(accuracy(targets, &[0.9, 0.1, 0.2, 0.8, 0.6, 0.4], 2), 2.0 / 3.0);
    }

    #[test]
    fn ties_go_to_the_first() {
        let right = |label| sample(Metric::SparseCategoricalAccuracy, Target::Label(label), &[0.1, 0.5, 0.5], 3);
        assert_eq!([0, 1, 2].map(right), [0.0, 1.0, 0.0]);
        let one_hot = Target::Values(&[0.0, 1.0, 1.0]);
        assert_eq!(sample(Metric::CategoricalAccuracy, one_hot, &[0.1, 0.5, 0.4], 3), 1.0);
        assert_eq!([[f64::NAN, 1.0, 2.0], [1.0, f64::NAN, 2.0], [f64::NAN; 3]].map(|row| argmax(&row)), [2, 2, 0]);
    }

    #[test]
    fn binary_accuracy_is_strict_at_one_half() {
        // Wrong is only the last: a target of 0.3 is neither 0 nor 1.
        let targets = Target::Values(&[0.0, 0.0, 1.0, 0.3]);
        assert_eq!(sample(Metric::BinaryAccuracy, targets, &[0.5, 0.5, 0.51, 0.2], 4), 0.75);
    }

    /// TensorFlow's `in_top_k`.
    #[test]
    fn all_of_a_tie_are_in_the_top_k() {
        let tied = [0.3, 0.5, 0.5, 0.1];
        assert_eq!(top_k(0, &tied), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(top_k(1, &tied), [1.0, 1.0, 1.0, 1.0]);
        assert_eq!(top_k(2, &tied), [1.0, 1.0, 1.0, 1.0]);
        assert_eq!(top_k(3, &tied), [0.0, 0.0, 0.0, 1.0]);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(top_k(0, &[0.9, bad, 0.2, 0.1]), [0.0; 4]);
        }
        let one_hot = Target::Values(&[1.0, 0.0, 0.0, 0.0]);
        assert_eq!(sample(Metric::TopKAccuracy(2), one_hot, &tied, 4), 0.0);
        assert_eq!(sample(Metric::TopKAccuracy(3), one_hot, &tied, 4), 1.0);
    }

    #[test]
    fn errors_of_a_regression() {
        let targets = Target::Values(&[1.0, 2.0, 3.0, 4.0]);
        let prediction = [1.5, 2.0, 1.0, 4.0];
        assert_eq!(sample(Metric::MeanSquaredError, targets, &prediction, 2), 4.25 / 4.0);
        assert_eq!(sample(Metric::MeanAbsoluteError, targets, &prediction, 2), 2.5 / 4.0);
        assert_eq!(sample(Metric::MeanSquaredError, Target::Label(3), &[1.0], 1), 4.0);
    }

    #[test]
    fn metrics_that_do_not_fit_are_errors() {
        use TargetKind::{Labels, Values};
        let f1 = F1Score::new(Averaging::Macro).threshold(0.5);
        let wrong: [(_, _, Shape); 16] = [
            (Metric::TopKAccuracy(0), Labels, [10].into()),
            (Metric::TopKAccuracy(11), Labels, [10].into()),
            (Metric::TopKAccuracy(5), Labels, [4, 10].into()),
            (Metric::SparseCategoricalAccuracy, Values, [10].into()),
            (Metric::SparseCategoricalAccuracy, Labels, [1].into()),
            (Metric::CategoricalAccuracy, Labels, [10].into()),
            (Metric::CategoricalAccuracy, Values, [3, 1].into()),
            (Metric::BinaryAccuracy, Labels, [10].into()),
            (Metric::MeanSquaredError, Labels, [10].into()),
            (Metric::MeanAbsoluteError, Labels, [2].into()),
            (Metric::Accuracy, Labels, [4, 10].into()),
            (Precision::new().into(), Labels, [1].into()),
            (AUC::new().into(), Labels, [1].into()),
            (f1.clone().into(), Labels, [1].into()),
            (Recall::new().into(), Labels, [2, 2, 4].into()),
            (MeanIoU::new(4).into(), Labels, [2, 4].into()),
        ];
        for (metric, kind, output) in wrong {
            assert!(metric.check(kind, output).is_err(), "{metric:?} of {kind:?} on {output}");
        }
        let right: [(_, _, Shape); 15] = [
            (Metric::Accuracy, Labels, [10].into()),
            (Metric::Accuracy, Labels, [1].into()),
            (Metric::Accuracy, Values, [4, 10].into()),
            (Metric::Accuracy, Values, ().into()),
            (Metric::TopKAccuracy(10), Labels, [10].into()),
            (Metric::TopKAccuracy(1), Values, [3, 10].into()),
            (Metric::SparseCategoricalAccuracy, Labels, [2].into()),
            (Metric::CategoricalAccuracy, Values, [2, 2].into()),
            (Metric::BinaryAccuracy, Values, [5].into()),
            (Metric::MeanSquaredError, Values, [4, 4, 3].into()),
            (f1.into(), Values, [1].into()),
            (Precision::new().class_id(1).into(), Labels, [2].into()),
            (AUC::new().into(), Values, [2, 2, 4].into()),
            (MeanIoU::new(4).into(), Values, [2, 4].into()),
            (R2Score::new().into(), Values, ().into()),
        ];
        for (metric, kind, output) in right {
            assert_eq!(metric.check(kind, output), Ok(()), "{metric:?} of {kind:?} on {output}");
        }
    }

    #[test]
    fn names_are_keys_of_a_history() {
        assert_eq!(Metric::TopKAccuracy(3).name(), "top_3_accuracy");
        assert_eq!(Metric::MeanSquaredError.name(), "mse");
    }
}
