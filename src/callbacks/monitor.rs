//! [`Monitor`]: a figure of each epoch, and whether it has become better.

use super::Training;
use crate::{Error, Result, Scalar, model::Epoch};

/// Whether a figure should fall or rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Fall for the loss, and for a metric as it [says](crate::Metric::rises): accuracies rise, errors fall.
    #[default]
    Auto,
    /// Fall.
    Min,
    /// Rise.
    Max,
}

/// A figure, the best that it was, and how much better the next must be.
#[derive(Clone, Debug)]
pub(super) struct Monitor {
    pub name: String,
    pub mode: Mode,
    /// What the mode means for this figure.
    rises: bool,
    /// At least 0.
    pub min_delta: f64,
    pub best: Option<f64>,
}

impl Monitor {
    pub fn new(name: &str, min_delta: f64) -> Self {
        Monitor { name: name.to_owned(), mode: Mode::Auto, rises: false, min_delta, best: None }
    }

    /// Forgets what was, and checks that the figure exists.
    pub fn begin<T: Scalar>(&mut self, callback: &'static str, training: &Training<T>) -> Result<()> {
        if !self.min_delta.is_finite() {
            return Err(Error::argument(
                callback,
                format!("min_delta must be a finite number, got {}", self.min_delta),
            ));
        }
        self.best = None;
        training.check_monitor(callback, &self.name)?;
        self.rises = match self.mode {
            Mode::Auto => training.rises(&self.name),
            Mode::Min => false,
            Mode::Max => true,
        };
        Ok(())
    }

    /// The figure of an epoch.
    pub fn value(&self, logs: &Epoch) -> f64 {
        logs.get(&self.name).unwrap_or(f64::NAN)
    }

    /// Whether `value` is better than `than` by more than `min_delta`. A NaN never is.
    pub fn is_better(&self, value: f64, than: f64) -> bool {
        if self.rises { value - self.min_delta > than } else { value + self.min_delta < than }
    }

    /// Notes `value` as the best if it is; the first number that is one is.
    pub fn improves(&mut self, value: f64) -> bool {
        let improves = !value.is_nan() && self.best.is_none_or(|best| self.is_better(value, best));
        if improves {
            self.best = Some(value);
        }
        improves
    }
}
