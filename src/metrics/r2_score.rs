//! [`R2Score`]: how much of the targets' variance is explained.

use super::StatefulMetric;
use crate::{
    Shape,
    config::Arguments,
    losses::{Target, TargetKind},
};

/// The coefficient of determination, as `keras.metrics.R2Score` with its uniform average:
/// `1 - sum((t - p)^2) / sum((t - mean(t))^2)` of each output, and of these the mean.
///
/// 1 is perfect, 0 is as good as the targets' mean, and there is no worst. An output whose targets are all equal counts as 0.
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([1]).add(Activation::Linear);
/// let model = model.compile(SGD::default(), MeanSquaredError, [R2Score::new().into()])?;
/// let score = model.evaluate(&Tensor::from([[1.0], [2.0], [4.0]]), &Tensor::from([[1.0], [2.0], [3.0]]))?;
/// assert_eq!(score.get("r2_score"), Some(0.5));
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct R2Score {
    name: String,
}

impl R2Score {
    /// The mean over the outputs.
    pub fn new() -> Self {
        R2Score { name: "r2_score".into() }
    }

    /// The key in a history; `"r2_score"` by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl Default for R2Score {
    fn default() -> Self {
        R2Score::new()
    }
}

impl StatefulMetric for R2Score {
    fn name(&self) -> &str {
        &self.name
    }
    fn class_name(&self) -> &'static str {
        "R2Score"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("name", &mut self.name)
            .fixed("class_aggregation", "uniform_average")
            .fixed("num_regressors", 0);
    }

    fn rises(&self) -> bool {
        true
    }

    fn check(&self, targets: TargetKind, output: Shape) -> Result<(), String> {
        if targets == TargetKind::Labels {
            return Err("the loss takes labels, which have no variance; use Accuracy".into());
        }
        if output.size() != output.last() {
            return Err(format!("expected an output of shape (values,), got {output}; a Flatten makes one"));
        }
        Ok(())
    }

    /// Of each output: how many targets, their mean, the sum of the squared distances to it, that of the squared errors.
    fn state(&self, output: Shape) -> Vec<f64> {
        vec![0.0; 4 * output.last()]
    }

    fn update(&self, state: &mut [f64], target: Target, prediction: &[f64], _: usize) {
        let elements = target.values().iter().zip(prediction);
        for ([n, mean, squares, errors], (t, p)) in state.as_chunks_mut::<4>().0.iter_mut().zip(elements) {
            // Welford's update, which loses nothing where the mean is large.
            let distance = t - *mean;
            *n += 1.0;
            *mean += distance / *n;
            *squares += distance * (t - *mean);
            *errors += (t - p) * (t - p);
        }
    }

    fn result(&self, state: &[f64]) -> f64 {
        let score = |[_, _, squares, errors]: &[f64; 4]| if *squares == 0.0 { 0.0 } else { 1.0 - errors / squares };
        let (outputs, _) = state.as_chunks::<4>();
        outputs.iter().map(score).sum::<f64>() / outputs.len() as f64
    }
}
