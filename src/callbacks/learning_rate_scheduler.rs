//! [`LearningRateScheduler`].

use std::fmt;

use super::{Callback, Training};
use crate::{Result, Scalar};

/// Sets the learning rate before each epoch, `keras.callbacks.LearningRateScheduler`.
///
/// What it is made of is given the epoch, counted from 0, and the rate so far:
///
/// ```
/// use cornu::prelude::*;
///
/// let callback = LearningRateScheduler::new(|epoch, rate| if epoch < 10 { rate } else { rate * 0.9 });
/// let options: Fit = Fit::new().epochs(20).callback(callback);
/// ```
///
/// A training with it fails when the rate follows a [schedule](crate::optimizers::schedules), or is to be no finite number of at least 0.
#[derive(Clone)]
pub struct LearningRateScheduler<F> {
    schedule: F,
}

impl<F: FnMut(usize, f64) -> f64> LearningRateScheduler<F> {
    /// The rate of an epoch is `schedule(epoch, rate)`.
    pub fn new(schedule: F) -> Self {
        LearningRateScheduler { schedule }
    }
}

impl<T: Scalar, F: FnMut(usize, f64) -> f64 + Send> Callback<T> for LearningRateScheduler<F> {
    fn on_epoch_begin(&mut self, training: &mut Training<T>, epoch: usize) -> Result<()> {
        training.set_learning_rate((self.schedule)(epoch, training.learning_rate()))
    }
}

impl<F> fmt::Debug for LearningRateScheduler<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearningRateScheduler").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::train_with, *};
    use crate::prelude::*;

    #[test]
    fn each_epoch_has_the_rate_that_is_made_of_the_last() {
        let mut seen = Vec::new();
        let schedule = LearningRateScheduler::new(|epoch, rate| {
            seen.push((epoch, rate));
            rate / 2.0
        });
        let model = train_with(SGD::new(0.5), 3, schedule).unwrap();
        assert_eq!(model.learning_rate().unwrap(), 0.5 / 8.0);
        assert_eq!(seen, [(0, 0.5), (1, 0.25), (2, 0.125)]);
    }

    #[test]
    fn a_rate_that_cannot_be_set_is_an_error() {
        let halve = || LearningRateScheduler::new(|_, rate| rate / 2.0);
        let falling = SGD::new(ExponentialDecay::new(0.1, 10, 0.5));
        let error = train_with(falling, 1, halve()).unwrap_err().to_string();
        assert!(error.contains("follows a schedule"), "{error}");
        let error = train_with(SGD::new(0.1), 1, LearningRateScheduler::new(|_, _| -1.0)).unwrap_err().to_string();
        assert!(error.contains("learning_rate") && error.contains("-1"), "{error}");
    }
}
