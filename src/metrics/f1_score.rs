//! [`F1Score`]: the harmonic mean of precision and recall.

use serde_json::Value;

use super::{StatefulMetric, check_one_hot, ratio, target_of};
use crate::{
    Shape,
    config::{Argument, Arguments, choice, named},
    losses::{Target, TargetKind},
};

/// How the scores of the classes become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Averaging {
    /// The score of all classes' counts together.
    Micro,
    /// The mean over the classes.
    Macro,
    /// The mean over the classes, each weighted by how often it is wanted.
    Weighted,
}

/// By Keras's names.
const AVERAGES: [(&str, Averaging); 3] =
    [("micro", Averaging::Micro), ("macro", Averaging::Macro), ("weighted", Averaging::Weighted)];

impl Argument for Averaging {
    fn to_json(&self) -> Value {
        named(self, &AVERAGES)
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        choice(json, &AVERAGES)
    }
}

/// The harmonic mean of precision and recall, as `keras.metrics.F1Score`: `2 tp / (2 tp + fp + fn)` of each class, 0 where a class is
/// neither predicted nor wanted, and of the classes an average.
///
/// Of each sample the largest class is predicted (all of them, where several are equal, unless they are 0), or with a
/// [threshold](F1Score::threshold) all that are above it. Labels are read as one-hot rows.
///
/// ```
/// use cornu::prelude::*;
///
/// let plan = Sequential::new([8]).add(Dense::new(3).activation(Activation::Softmax));
/// plan.compile(Adam::default(), SparseCategoricalCrossentropy::default(), [F1Score::new(Averaging::Macro).into()])?;
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct F1Score {
    name: String,
    average: Averaging,
    threshold: Option<f64>,
}

impl F1Score {
    /// With this average, and no threshold.
    pub fn new(average: Averaging) -> Self {
        F1Score { name: "f1_score".into(), average, threshold: None }
    }

    /// What a prediction must be above, in `(0, 1]`: for outputs that can be of several classes, or of a single one.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// The key in a history; `"f1_score"` by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl StatefulMetric for F1Score {
    fn name(&self) -> &str {
        &self.name
    }
    fn class_name(&self) -> &'static str {
        "F1Score"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("name", &mut self.name)
            .argument("average", &mut self.average)
            .argument("threshold", &mut self.threshold);
    }

    fn rises(&self) -> bool {
        true
    }

    fn check(&self, targets: TargetKind, output: Shape) -> Result<(), String> {
        match self.threshold {
            Some(threshold) if !(threshold > 0.0 && threshold <= 1.0) => {
                return Err(format!("threshold must lie in (0, 1], got {threshold}"));
            }
            None if output.last() < 2 => {
                return Err("the largest of a single class is always predicted; give a threshold, such as 0.5".into());
            }
            _ => {}
        }
        if output.size() != output.last() {
            return Err(format!("expected an output of shape (classes,), got {output}; a Flatten makes one"));
        }
        check_one_hot(targets, output)
    }

    /// Of each class: true positives, false positives, false negatives.
    fn state(&self, output: Shape) -> Vec<f64> {
        vec![0.0; 3 * output.last()]
    }

    fn update(&self, state: &mut [f64], target: Target, prediction: &[f64], _: usize) {
        let largest = prediction.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (class, (counts, &p)) in state.as_chunks_mut::<3>().0.iter_mut().zip(prediction).enumerate() {
            let wanted = target_of(target, class);
            // Keras's limit for what is not 0.
            if self.threshold.map_or(p >= largest && p.abs() > 1e-9, |threshold| p as f32 > threshold as f32) {
                counts[0] += wanted;
                counts[1] += 1.0 - wanted;
            } else {
                counts[2] += wanted;
            }
        }
    }

    fn result(&self, state: &[f64]) -> f64 {
        let score = |[tp, fp, fn_]: [f64; 3]| ratio(2.0 * tp, 2.0 * tp + fp + fn_);
        let classes = state.as_chunks::<3>().0;
        let wanted = |[tp, _, fn_]: [f64; 3]| tp + fn_;
        match self.average {
            Averaging::Micro => score(classes.iter().fold([0.0; 3], |[a, b, c], [x, y, z]| [a + x, b + y, c + z])),
            Averaging::Macro => classes.iter().map(|&counts| score(counts)).sum::<f64>() / classes.len() as f64,
            Averaging::Weighted => {
                let sum: f64 = classes.iter().map(|&counts| score(counts) * wanted(counts)).sum();
                ratio(sum, classes.iter().map(|&counts| wanted(counts)).sum())
            }
        }
    }
}
