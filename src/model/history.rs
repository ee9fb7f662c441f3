//! What training and evaluation report.

use std::{fmt, time::Duration};

/// Loss and metrics over a set of samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// The mean loss.
    pub loss: f64,
    /// Each metric's name and mean, in the order in which they were compiled.
    pub metrics: Vec<(String, f64)>,
}

impl Score {
    /// The loss or a metric by its name: `"loss"`, `"accuracy"`, `"mse"`.
    pub fn get(&self, name: &str) -> Option<f64> {
        if name == "loss" {
            return Some(self.loss);
        }
        self.metrics.iter().find(|(metric, _)| metric == name).map(|&(_, value)| value)
    }

    /// The accuracy, when the model was compiled with it.
    pub fn accuracy(&self) -> Option<f64> {
        self.get("accuracy")
    }
}

/// As Keras prints it: `loss: 0.0432 - accuracy: 0.9866`.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loss: {}", Significant(self.loss))?;
        for (name, value) in &self.metrics {
            write!(f, " - {name}: {}", Significant(*value))?;
        }
        Ok(())
    }
}

/// Four decimals, or an exponent where those would show nothing.
pub(super) struct Significant(pub f64);

impl fmt::Display for Significant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value != 0.0 && value.is_finite() && (value.abs() < 1e-3 || value.abs() >= 1e6) {
            write!(f, "{value:.4e}")
        } else {
            write!(f, "{value:.4}")
        }
    }
}

/// What one epoch of training gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// Means over the samples of the epoch, while the weights moved.
    pub train: Score,
    /// Over the validation data, after the epoch.
    pub validation: Option<Score>,
    /// How long it took, validation included.
    pub time: Duration,
}

impl Epoch {
    /// A figure by its Keras name: `"loss"`, `"val_loss"`, `"accuracy"`, `"val_accuracy"`. `None` when there is no such figure.
    pub fn get(&self, name: &str) -> Option<f64> {
        match name.strip_prefix("val_") {
            Some(name) => self.validation.as_ref()?.get(name),
            None => self.train.get(name),
        }
    }
}

/// What [`fit`](crate::Model::fit) gave, epoch by epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The epochs in their order.
    pub epochs: Vec<Epoch>,
    /// What looked suspicious in the data, and where [`TerminateOnNaN`](crate::callbacks::TerminateOnNaN) ended the training.
    pub warnings: Vec<String>,
}

impl History {
    /// A curve by its Keras name: `"loss"`, `"val_loss"`, `"accuracy"`, `"val_accuracy"`.
    ///
    /// `None` when there is no such figure.
    pub fn get(&self, name: &str) -> Option<Vec<f64>> {
        self.epochs.iter().map(|epoch| epoch.get(name)).collect::<Option<Vec<_>>>().filter(|curve| !curve.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_have_the_names_of_keras() {
        let score = |loss, accuracy| Score { loss, metrics: vec![("accuracy".to_owned(), accuracy)] };
        let epoch = |loss| Epoch {
            train: score(loss, 0.5),
            validation: Some(score(2.0 * loss, 0.25)),
            time: Duration::from_secs(1),
        };
        let history = History { epochs: vec![epoch(1.0), epoch(0.5)], warnings: Vec::new() };
        assert_eq!(history.get("loss"), Some(vec![1.0, 0.5]));
        assert_eq!(history.get("val_loss"), Some(vec![2.0, 1.0]));
        assert_eq!(history.get("val_accuracy"), Some(vec![0.25, 0.25]));
        assert_eq!(history.get("mse"), None);
        assert_eq!(History::default().get("loss"), None);
    }

    #[test]
    fn small_figures_are_not_rounded_to_nothing() {
        let score = Score { loss: 1.5e-5, metrics: vec![("mse".to_owned(), 0.25)] };
        assert_eq!(score.to_string(), "loss: 1.5000e-5 - mse: 0.2500");
    }
}
