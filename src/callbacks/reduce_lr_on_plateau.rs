//! [`ReduceLROnPlateau`].

use super::{Callback, CallbackState, Mode, Training, count, monitor::Monitor, number};
use crate::{Error, Result, Scalar, model::Epoch};

/// Lowers the learning rate when a figure has stopped becoming better, `keras.callbacks.ReduceLROnPlateau`: after `patience` epochs
/// that are not better, `rate = max(rate * factor, min_lr)`.
///
/// ```
/// use cornu::prelude::*;
///
/// let options: Fit =
///     Fit::new().epochs(100).validation_split(0.1).callback(ReduceLROnPlateau::new().factor(0.2).patience(5).min_lr(1e-5));
/// ```
///
/// A training with it fails before its first step when an argument is out of its range or the rate follows a schedule.
#[derive(Clone, Debug)]
pub struct ReduceLROnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: usize,
    cooldown: usize,
    min_lr: f64,
    /// Epochs since the figure was best, or since the rate was lowered.
    wait: usize,
    /// Epochs that do not count yet.
    cooling: usize,
}

const NAME: &str = "ReduceLROnPlateau";

impl ReduceLROnPlateau {
    /// Monitors `val_loss`, and divides the rate by 10 after 10 epochs in which it was not better by more than 1e-4.
    pub fn new() -> Self {
        ReduceLROnPlateau {
            monitor: Monitor::new("val_loss", 1e-4),
            factor: 0.1,
            patience: 10,
            cooldown: 0,
            min_lr: 0.0,
            wait: 0,
            cooling: 0,
        }
    }

    /// The figure: `val_loss` by default.
    pub fn monitor(mut self, monitor: &str) -> Self {
        self.monitor.name = monitor.to_owned();
        self
    }

    /// What the rate is multiplied by, at least 0 and below 1; 0.1 by default.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// After how many epochs that are not better the rate is lowered; 10 by default.
    pub fn patience(mut self, patience: usize) -> Self {
        self.patience = patience;
        self
    }

    /// Whether the figure should fall or rise; [`Mode::Auto`] by default.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.monitor.mode = mode;
        self
    }

    /// How much better the figure must be to count as better; 1e-4 by default.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta = min_delta.abs();
        self
    }

    /// How many epochs after a change of the rate do not count; 0 by default.
    pub fn cooldown(mut self, cooldown: usize) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// What the rate never falls below; 0 by default.
    pub fn min_lr(mut self, min_lr: f64) -> Self {
        self.min_lr = min_lr;
        self
    }
}

impl Default for ReduceLROnPlateau {
    fn default() -> Self {
        ReduceLROnPlateau::new()
    }
}

impl<T: Scalar> Callback<T> for ReduceLROnPlateau {
    fn on_train_begin(&mut self, training: &mut Training<T>) -> Result<()> {
        let ReduceLROnPlateau { factor, min_lr, .. } = *self;
        if !(0.0..1.0).contains(&factor) {
            return Err(Error::argument(NAME, format!("factor must be at least 0 and below 1, got {factor}")));
        }
        if !(min_lr >= 0.0 && min_lr.is_finite()) {
            return Err(Error::argument(NAME, format!("min_lr must be a finite number of at least 0, got {min_lr}")));
        }
        // Found now rather than when the rate is first lowered.
        training.set_learning_rate(training.learning_rate())?;
        (self.wait, self.cooling) = (0, 0);
        self.monitor.begin(NAME, training)
    }

    fn on_epoch_end(&mut self, training: &mut Training<T>, _epoch: usize, logs: &Epoch) -> Result<()> {
        if self.cooling > 0 {
            self.cooling -= 1;
            self.wait = 0;
        }
        if self.monitor.improves(self.monitor.value(logs)) {
            self.wait = 0;
        } else if self.cooling == 0 {
            self.wait += 1;
            let rate = training.learning_rate();
            if self.wait >= self.patience && rate > self.min_lr {
                training.set_learning_rate((rate * self.factor).max(self.min_lr))?;
                (self.wait, self.cooling) = (0, self.cooldown);
            }
        }
        Ok(())
    }

    fn state(&self) -> CallbackState {
        CallbackState::from([
            ("wait".to_owned(), vec![self.wait as f64]),
            ("cooling".to_owned(), vec![self.cooling as f64]),
            ("best".to_owned(), self.monitor.best.into_iter().collect()),
        ])
    }

    fn set_state(&mut self, _: &mut Training<T>, state: &CallbackState) -> Result<()> {
        self.wait = count(state, "wait").unwrap_or(0);
        self.cooling = count(state, "cooling").unwrap_or(0);
        self.monitor.best = number(state, "best");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::train_with, *};
    use crate::prelude::*;

    /// The rate after 7 epochs none of which is better than the first.
    fn train(optimizer: SGD, callback: ReduceLROnPlateau) -> Result<f64> {
        train_with(optimizer, 7, callback.monitor("loss").min_delta(1e9))?.learning_rate()
    }

    #[test]
    fn the_rate_falls_down_to_its_least() {
        let plateau = || ReduceLROnPlateau::new().factor(0.5).patience(2);
        assert_eq!(train(SGD::new(0.5), plateau()).unwrap(), 0.5 / 8.0);
        assert_eq!(train(SGD::new(0.5), plateau().min_lr(0.2)).unwrap(), 0.2);
        assert_eq!(train(SGD::new(0.5), plateau().min_lr(0.7)).unwrap(), 0.5);
        assert_eq!(train(SGD::new(0.5), plateau().cooldown(3)).unwrap(), 0.5 / 4.0);
    }

    #[test]
    fn what_cannot_work_is_an_error_before_the_first_step() {
        let fails = |optimizer, callback, words: &str| {
            let error = train(optimizer, callback).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        for factor in [1.0, -0.1, f64::NAN] {
            let words = format!("ReduceLROnPlateau: factor must be at least 0 and below 1, got {factor}");
            fails(SGD::new(0.1), ReduceLROnPlateau::new().factor(factor), &words);
        }
        fails(SGD::new(0.1), ReduceLROnPlateau::new().min_lr(-1.0), "min_lr must be a finite number");
        let falling = SGD::new(ExponentialDecay::new(0.1, 10, 0.5));
        fails(falling, ReduceLROnPlateau::new(), "set_learning_rate: sgd: the learning rate follows a schedule");
    }
}
