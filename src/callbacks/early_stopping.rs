//! [`EarlyStopping`].

use super::{Callback, CallbackState, Mode, Training, count, monitor::Monitor, number};
use crate::{Result, Scalar, model::Epoch};

/// Ends a training when a figure has stopped becoming better, `keras.callbacks.EarlyStopping`.
///
/// ```
/// use cornu::prelude::*;
///
/// let options: Fit = Fit::new()
///     .epochs(100)
///     .validation_split(0.1)
///     .callback(EarlyStopping::new().patience(3).restore_best_weights(true));
/// ```
#[derive(Clone, Debug)]
pub struct EarlyStopping<T = f32> {
    monitor: Monitor,
    patience: usize,
    baseline: Option<f64>,
    restore_best_weights: bool,
    start_from_epoch: usize,
    /// Epochs since the figure was best.
    wait: usize,
    best_epoch: Option<usize>,
    best_weights: Option<Vec<T>>,
    stopped_epoch: Option<usize>,
}

impl<T> EarlyStopping<T> {
    /// Monitors `val_loss`, and ends with the first epoch that is not better.
    pub fn new() -> Self {
        EarlyStopping {
            monitor: Monitor::new("val_loss", 0.0),
            patience: 0,
            baseline: None,
            restore_best_weights: false,
            start_from_epoch: 0,
            wait: 0,
            best_epoch: None,
            best_weights: None,
            stopped_epoch: None,
        }
    }

    /// The figure: `val_loss` by default.
    pub fn monitor(mut self, monitor: &str) -> Self {
        self.monitor.name = monitor.to_owned();
        self
    }

    /// How much better the figure must be to count as better; 0 by default.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta = min_delta.abs();
        self
    }

    /// How many epochs it may fail to be better; 0 by default.
    pub fn patience(mut self, patience: usize) -> Self {
        self.patience = patience;
        self
    }

    /// Whether it should fall or rise; [`Mode::Auto`] by default.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.monitor.mode = mode;
        self
    }

    /// What the figure must be better than to count at all.
    pub fn baseline(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// Whether the model ends with the weights of the best epoch, also when it was not stopped; it does not by default.
    pub fn restore_best_weights(mut self, restore: bool) -> Self {
        self.restore_best_weights = restore;
        self
    }

    /// The epochs before the first that is watched; 0 by default.
    pub fn start_from_epoch(mut self, epoch: usize) -> Self {
        self.start_from_epoch = epoch;
        self
    }

    /// The epoch, counted from 0, after which the last training was stopped.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.stopped_epoch
    }

    /// The best epoch of the last training, counted from 0.
    pub fn best_epoch(&self) -> Option<usize> {
        self.best_epoch
    }
}

impl<T> Default for EarlyStopping<T> {
    fn default() -> Self {
        EarlyStopping::new()
    }
}

impl<T: Scalar> Callback<T> for EarlyStopping<T> {
    fn on_train_begin(&mut self, training: &mut Training<T>) -> Result<()> {
        (self.wait, self.best_epoch, self.best_weights, self.stopped_epoch) = (0, None, None, None);
        self.monitor.begin("EarlyStopping", training)
    }

    fn on_epoch_end(&mut self, training: &mut Training<T>, epoch: usize, logs: &Epoch) -> Result<()> {
        if epoch < self.start_from_epoch {
            return Ok(());
        }
        let value = self.monitor.value(logs);
        self.wait += 1;
        if self.monitor.improves(value) {
            self.best_epoch = Some(epoch);
            if self.restore_best_weights {
                match &mut self.best_weights {
                    Some(weights) => weights.copy_from_slice(training.model().params()),
                    None => self.best_weights = Some(training.model().params().to_vec()),
                }
            }
            if self.baseline.is_none_or(|baseline| self.monitor.is_better(value, baseline)) {
                self.wait = 0;
            }
        } else if self.wait >= self.patience && epoch > 0 {
            self.stopped_epoch = Some(epoch);
            training.stop_training();
        }
        Ok(())
    }

    fn state(&self) -> CallbackState {
        let list = |number: Option<usize>| number.map(|number| number as f64).into_iter().collect();
        let weights = self.best_weights.iter().flatten().map(|weight| weight.as_f64()).collect();
        CallbackState::from([
            ("wait".to_owned(), vec![self.wait as f64]),
            ("best".to_owned(), self.monitor.best.into_iter().collect()),
            ("best_epoch".to_owned(), list(self.best_epoch)),
            ("stopped_epoch".to_owned(), list(self.stopped_epoch)),
            ("best_weights".to_owned(), weights),
        ])
    }

    fn set_state(&mut self, training: &mut Training<T>, state: &CallbackState) -> Result<()> {
        self.wait = count(state, "wait").unwrap_or(0);
        self.monitor.best = number(state, "best");
        self.best_epoch = count(state, "best_epoch");
        self.stopped_epoch = count(state, "stopped_epoch");
        let weights = state.get("best_weights").filter(|weights| weights.len() == training.model().count_params());
        self.best_weights = weights.map(|weights| weights.iter().map(|&weight| T::of(weight)).collect());
        Ok(())
    }

    fn on_train_end(&mut self, training: &mut Training<T>) -> Result<()> {
        if let Some(weights) = self.best_weights.take() {
            training.model_mut().set_params(&weights);
        }
        Ok(())
    }
}
