//! [`Precision`] and [`Recall`]: how many of the predicted, and of the wanted, are right.

use super::{StatefulMetric, check_one_hot, ratio, target_of};
use crate::{
    Shape,
    config::Arguments,
    losses::{Target, TargetKind},
};

/// How many of those that are predicted are wanted, as `keras.metrics.Precision`: `tp / (tp + fp)`, 0 where nothing is predicted.
///
/// Each element of the output counts on its own: it is predicted if it is above the threshold, and wanted if the target is not 0.
/// Labels are read as one-hot rows.
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([1]).add(Activation::Linear);
/// let model = model.compile(SGD::default(), MeanSquaredError, [Precision::new().into(), Recall::new().into()])?;
/// let (y_true, y_pred) = (Labels::from(vec![0u8, 1, 1, 1]), Tensor::from([[0.8], [0.3], [0.9], [0.6]]));
/// let score = model.evaluate(&y_pred, &y_true)?;
/// assert_eq!(score.get("precision"), Some(2.0 / 3.0));
/// assert_eq!(score.get("recall"), Some(2.0 / 3.0));
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Precision(Counts);

impl Precision {
    /// With a threshold of 0.5, over all classes.
    pub fn new() -> Self {
        Precision(Counts::new("precision"))
    }

    /// What a prediction must be above, in `[0, 1]`; 0.5 by default. 0 is for logits.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.0.threshold = Some(threshold);
        self
    }

    /// Only the largest `top_k` of each row can be predicted; of equal ones, the first. Then there is no threshold by default.
    pub fn top_k(mut self, top_k: usize) -> Self {
        self.0.top_k = Some(top_k);
        self
    }

    /// The one class that counts.
    pub fn class_id(mut self, class_id: usize) -> Self {
        self.0.class_id = Some(class_id);
        self
    }

    /// The key in a history; `"precision"` by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.name = name.into();
        self
    }
}

impl Default for Precision {
    fn default() -> Self {
        Precision::new()
    }
}

impl StatefulMetric for Precision {
    fn name(&self) -> &str {
        &self.0.name
    }
    fn class_name(&self) -> &'static str {
        "Precision"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        self.0.arguments(arguments);
    }

    fn rises(&self) -> bool {
        true
    }

    fn check(&self, targets: TargetKind, output: Shape) -> Result<(), String> {
        self.0.check(targets, output)
    }

    fn state(&self, _: Shape) -> Vec<f64> {
        vec![0.0; 3]
    }

    fn update(&self, state: &mut [f64], target: Target, prediction: &[f64], classes: usize) {
        self.0.update(state, target, prediction, classes);
    }

    fn result(&self, state: &[f64]) -> f64 {
        ratio(state[BOTH], state[BOTH] + state[PREDICTED])
    }
}

/// How many of those that are wanted are predicted, as `keras.metrics.Recall`: `tp / (tp + fn)`, 0 where nothing is wanted.
///
/// What is predicted and wanted is as for [`Precision`].
#[derive(Clone, Debug)]
pub struct Recall(Counts);

impl Recall {
    /// With a threshold of 0.5, over all classes.
    pub fn new() -> Self {
        Recall(Counts::new("recall"))
    }

    /// As [`Precision::threshold`].
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.0.threshold = Some(threshold);
        self
    }

    /// As [`Precision::top_k`].
    pub fn top_k(mut self, top_k: usize) -> Self {
        self.0.top_k = Some(top_k);
        self
    }

    /// The one class that counts.
    pub fn class_id(mut self, class_id: usize) -> Self {
        self.0.class_id = Some(class_id);
        self
    }

    /// The key in a history; `"recall"` by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.name = name.into();
        self
    }
}

impl Default for Recall {
    fn default() -> Self {
        Recall::new()
    }
}

impl StatefulMetric for Recall {
    fn name(&self) -> &str {
        &self.0.name
    }
    fn class_name(&self) -> &'static str {
        "Recall"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        self.0.arguments(arguments);
    }

    fn rises(&self) -> bool {
        true
    }

    fn check(&self, targets: TargetKind, output: Shape) -> Result<(), String> {
        self.0.check(targets, output)
    }

    fn state(&self, _: Shape) -> Vec<f64> {
        vec![0.0; 3]
    }

    fn update(&self, state: &mut [f64], target: Target, prediction: &[f64], classes: usize) {
        self.0.update(state, target, prediction, classes);
    }

    fn result(&self, state: &[f64]) -> f64 {
        ratio(state[BOTH], state[BOTH] + state[WANTED])
    }
}

/// Where the state counts the elements that are predicted and wanted, only predicted, and only wanted.
const BOTH: usize = 0;
const PREDICTED: usize = 1;
const WANTED: usize = 2;

#[derive(Clone, Debug)]
struct Counts {
    name: String,
    threshold: Option<f64>,
    top_k: Option<usize>,
    class_id: Option<usize>,
}

impl Counts {
    fn new(name: &str) -> Self {
        Counts { name: name.into(), threshold: None, top_k: None, class_id: None }
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("name", &mut self.name)
            .argument("thresholds", &mut self.threshold)
            .argument("top_k", &mut self.top_k)
            .argument("class_id", &mut self.class_id);
    }

    fn check(&self, targets: TargetKind, output: Shape) -> Result<(), String> {
        let classes = output.last();
        if let Some(threshold) = self.threshold.filter(|threshold| !(0.0..=1.0).contains(threshold)) {
            return Err(format!("threshold must lie in [0, 1], got {threshold}"));
        }
        if let Some(k) = self.top_k.filter(|&k| k == 0 || k > classes) {
            return Err(format!("top_k must be at least 1 and at most the number of classes, {classes}; got {k}"));
        }
        if let Some(class) = self.class_id.filter(|&class| class >= classes) {
            return Err(format!("class_id must be below the number of classes, {classes}; got {class}"));
        }
        check_one_hot(targets, output)
    }

    fn update(&self, state: &mut [f64], target: Target, prediction: &[f64], classes: usize) {
        let threshold = self.threshold.unwrap_or(if self.top_k.is_some() { f64::NEG_INFINITY } else { 0.5 });
        for (i, row) in prediction.chunks_exact(classes).enumerate() {
            for class in self.class_id.map_or(0..classes, |class| class..class + 1) {
                // In the precision of the prediction, or one on the threshold would lie beside it.
                let predicted = row[class] as f32 > threshold as f32 && self.top_k.is_none_or(|k| rank(row, class) < k);
                let wanted = target_of(target, i * classes + class) != 0.0;
                match (predicted, wanted) {
                    (true, true) => state[BOTH] += 1.0,
                    (true, false) => state[PREDICTED] += 1.0,
                    (false, true) => state[WANTED] += 1.0,
                    (false, false) => {}
                }
            }
        }
    }
}

/// How many classes come before this one, the largest first, and of equal ones the first.
fn rank(row: &[f64], class: usize) -> usize {
    let before = |&(i, &p): &(usize, &f64)| p > row[class] || (p == row[class] && i < class);
    row.iter().enumerate().filter(before).count()
}
