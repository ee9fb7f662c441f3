//! [`AUC`]: the area under a curve of two rates, over all thresholds.

use serde_json::Value;

use super::{StatefulMetric, check_one_hot, ratio, target_of};
use crate::{
    Activation, Shape,
    config::{Argument, Arguments, choice, named},
    losses::{Target, TargetKind},
};

/// The curve of an [`AUC`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// Recall over the false positives' share of what is not wanted.
    Roc,
    /// Precision over recall.
    Pr,
}

/// By Keras's names.
const CURVES: [(&str, Curve); 2] = [("ROC", Curve::Roc), ("PR", Curve::Pr)];

impl Argument for Curve {
    fn to_json(&self) -> Value {
        named(self, &CURVES)
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        choice(json, &CURVES)
    }
}

/// The area under the ROC or the precision-recall curve, as `keras.metrics.AUC`: how well the predictions order what is wanted before
/// what is not, whatever the threshold.
///
/// The curve is known at thresholds of equal distance from 0 to 1. Between them ROC is a straight line, and precision is
/// interpolated as by [Davis and Goadrich, 2006](https://doi.org/10.1145/1143844.1143874).
///
/// Each element of the output counts on its own; it is wanted if the target is not 0. Labels are read as one-hot rows.
///
/// ```
/// use cornu::prelude::*;
///
/// let plan = Sequential::new([8]).add(Dense::new(1).activation(Activation::Sigmoid));
/// let metrics = [AUC::new().into(), AUC::new().curve(Curve::Pr).name("auc_pr").into()];
/// plan.compile(Adam::default(), BinaryCrossentropy::default(), metrics)?;
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AUC {
    name: String,
    num_thresholds: usize,
    curve: Curve,
    from_logits: bool,
}

impl AUC {
    /// Under the ROC curve of probabilities, with 200 thresholds.
    pub fn new() -> Self {
        AUC { name: "auc".into(), num_thresholds: 200, curve: Curve::Roc, from_logits: false }
    }

    /// How many thresholds, at least 2; 200 by default.
    pub fn num_thresholds(mut self, num_thresholds: usize) -> Self {
        self.num_thresholds = num_thresholds;
        self
    }

    /// Which curve; [`Curve::Roc`] by default.
    pub fn curve(mut self, curve: Curve) -> Self {
        self.curve = curve;
        self
    }

    /// Whether the model gives logits, of which the sigmoid is taken; it does not by default. What it gives otherwise is
    /// limited to `[0, 1]`.
    pub fn from_logits(mut self, from_logits: bool) -> Self {
        self.from_logits = from_logits;
        self
    }

    /// The key in a history; `"auc"` by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl Default for AUC {
    fn default() -> Self {
        AUC::new()
    }
}

impl StatefulMetric for AUC {
    fn name(&self) -> &str {
        &self.name
    }
    fn class_name(&self) -> &'static str {
        "AUC"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("name", &mut self.name)
            .argument("num_thresholds", &mut self.num_thresholds)
            .argument("curve", &mut self.curve)
            .fixed("summation_method", "interpolation")
            .fixed("multi_label", false)
            .argument("from_logits", &mut self.from_logits);
    }

    fn rises(&self) -> bool {
        true
    }

    fn check(&self, targets: TargetKind, output: Shape) -> Result<(), String> {
        if self.num_thresholds < 2 {
            return Err(format!("num_thresholds must be at least 2, got {}", self.num_thresholds));
        }
        if self.num_thresholds > 1 << 20 {
            return Err(format!("num_thresholds must be at most {}, got {}", 1 << 20, self.num_thresholds));
        }
        check_one_hot(targets, output)
    }

    /// For each interval between thresholds, how many predictions in it are wanted and how many not.
    fn state(&self, _: Shape) -> Vec<f64> {
        vec![0.0; 2 * (self.num_thresholds - 1)]
    }

    fn update(&self, state: &mut [f64], target: Target, prediction: &[f64], _: usize) {
        let intervals = (self.num_thresholds - 1) as f32;
        for (i, &p) in prediction.iter().enumerate() {
            let mut p = [p];
            if self.from_logits {
                Activation::Sigmoid.apply(&mut p, 1);
            }
            // A threshold belongs to the interval below, but 0 to the first. In the precision of the prediction, or one on a threshold
            // would lie beside it.
            let interval = ((p[0] as f32).clamp(0.0, 1.0) * intervals).ceil() - 1.0;
            let interval = interval.max(0.0) as usize;
            let wanted = target_of(target, i) != 0.0;
            state[2 * interval + usize::from(!wanted)] += 1.0;
        }
    }

    fn result(&self, state: &[f64]) -> f64 {
        let intervals = state.as_chunks::<2>().0;
        let [wanted, unwanted] = intervals.iter().fold([0.0; 2], |[t, f], [dt, df]| [t + dt, f + df]);
        // Above the threshold, which falls; first nothing is.
        let (mut tp, mut fp, mut area) = (0.0, 0.0, 0.0);
        for &[dt, df] in intervals.iter().rev() {
            area += match self.curve {
                Curve::Roc => ratio(df, unwanted) * ratio(tp + 0.5 * dt, wanted),
                Curve::Pr => {
                    let (p, dp) = (tp + fp, dt + df);
                    let slope = ratio(dt, dp);
                    let log = if p > 0.0 { ((p + dp) / p).ln() } else { 0.0 };
                    ratio(slope * (dt + (tp - slope * p) * log), wanted)
                }
            };
            tp += dt;
            fp += df;
        }
        area
    }
}
