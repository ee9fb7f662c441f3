//! Callbacks: what watches a training and steers it, one file each.

mod backup_and_restore;
mod csv_logger;
mod early_stopping;
mod event_file;
mod lambda_callback;
mod learning_rate_scheduler;
mod model_checkpoint;
mod monitor;
mod reduce_lr_on_plateau;
mod tensorboard;
mod terminate_on_nan;

pub use backup_and_restore::BackupAndRestore;
pub use csv_logger::CSVLogger;
pub use early_stopping::EarlyStopping;
pub use lambda_callback::LambdaCallback;
pub use learning_rate_scheduler::LearningRateScheduler;
pub use model_checkpoint::ModelCheckpoint;
pub use monitor::Mode;
pub use reduce_lr_on_plateau::ReduceLROnPlateau;
pub use tensorboard::TensorBoard;
pub use terminate_on_nan::TerminateOnNaN;

use std::{collections::BTreeMap, fs, path::Path};

use crate::{Error, History, Model, Result, Scalar, Score, model::Epoch};

/// What watches a training: [`fit`](Model::fit) and [`fit_dataset`](Model::fit_dataset) call these methods as
/// `keras.callbacks.Callback`'s are called. Each does nothing by default; an error ends the training, and `fit` returns it.
///
/// ```
/// use cornu::prelude::*;
///
/// /// Halves the learning rate after each epoch.
/// struct Halve;
///
/// impl Callback for Halve {
///     fn on_epoch_end(&mut self, training: &mut Training, _: usize, _: &Epoch) -> cornu::Result<()> {
///         training.set_learning_rate(training.learning_rate() / 2.0)
///     }
/// }
///
/// let (x, y) = (Tensor::random_normal([64, 3], 0.0, 1.0, 0), Tensor::zeros([64, 1]));
/// let mut model = Sequential::new([3]).add(Dense::new(1)).compile(SGD::new(0.1), MeanSquaredError, [])?;
/// model.fit(&x, &y, Fit::new().epochs(3).verbose(0).callback(Halve))?;
/// assert_eq!(model.learning_rate()?, 0.1 / 8.0);
/// # Ok::<(), cornu::Error>(())
/// ```
pub trait Callback<T = f32>: Send {
    /// Before the first step.
    fn on_train_begin(&mut self, _training: &mut Training<T>) -> Result<()> {
        Ok(())
    }

    /// Before the first step of an epoch; epochs count from 0.
    fn on_epoch_begin(&mut self, _training: &mut Training<T>, _epoch: usize) -> Result<()> {
        Ok(())
    }

    /// Before a step; those of an epoch count from 0.
    fn on_train_batch_begin(&mut self, _training: &mut Training<T>, _batch: usize) -> Result<()> {
        Ok(())
    }

    /// After a step. `logs` are the means over the samples of the epoch so far.
    fn on_train_batch_end(&mut self, _training: &mut Training<T>, _batch: usize, _logs: &Score) -> Result<()> {
        Ok(())
    }

    /// Before the validation after an epoch.
    fn on_test_begin(&mut self, _training: &mut Training<T>) -> Result<()> {
        Ok(())
    }

    /// After that validation.
    fn on_test_end(&mut self, _training: &mut Training<T>, _logs: &Score) -> Result<()> {
        Ok(())
    }

    /// After an epoch and its validation.
    fn on_epoch_end(&mut self, _training: &mut Training<T>, _epoch: usize, _logs: &Epoch) -> Result<()> {
        Ok(())
    }

    /// After the last epoch, or when the training was [stopped](Training::stop_training), but not when it ends with an error.
    fn on_train_end(&mut self, _training: &mut Training<T>) -> Result<()> {
        Ok(())
    }

    /// Whether the running means have to be computed for [`on_train_batch_end`](Callback::on_train_batch_end) of each step; without
    /// them, `logs` is empty there.
    fn needs_batch_logs(&self) -> bool {
        false
    }

    /// Whether a loss, a gradient or a weight that is not finite ends the training as if it had been stopped, and not by
    /// [`Error::NotFinite`]: [`TerminateOnNaN`].
    fn terminates_on_nan(&self) -> bool {
        false
    }

    /// What the callback has to know to go on in another process: [`BackupAndRestore`] saves it. Nothing by default.
    fn state(&self) -> CallbackState {
        CallbackState::new()
    }

    /// Goes on from what [`state`](Callback::state) gave in the training that was interrupted; called after
    /// [`on_train_begin`](Callback::on_train_begin), in which [`Training::resumes`] tells of it.
    fn set_state(&mut self, _training: &mut Training<T>, _state: &CallbackState) -> Result<()> {
        Ok(())
    }

    /// Where the training is saved: [`BackupAndRestore`].
    fn backup(&self) -> Option<&BackupAndRestore> {
        None
    }
}

/// What a callback knows, as named lists of numbers.
pub type CallbackState = BTreeMap<String, Vec<f64>>;

/// Makes the folder of a file that a callback will write, where it is missing.
fn make_folder_of(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder).map_err(|error| Error::io(folder, error)),
        None => Ok(()),
    }
}

/// The first number of a list, if the state has it.
fn number(state: &CallbackState, name: &str) -> Option<f64> {
    state.get(name)?.first().copied()
}

/// The same as a whole number.
fn count(state: &CallbackState, name: &str) -> Option<usize> {
    number(state, name).map(|number| number as usize)
}

/// A callback that is looked at after the training is given by reference.
impl<T, C: Callback<T> + ?Sized> Callback<T> for &mut C {
    fn on_train_begin(&mut self, training: &mut Training<T>) -> Result<()> {
        (**self).on_train_begin(training)
    }

    fn on_epoch_begin(&mut self, training: &mut Training<T>, epoch: usize) -> Result<()> {
        (**self).on_epoch_begin(training, epoch)
    }

    fn on_train_batch_begin(&mut self, training: &mut Training<T>, batch: usize) -> Result<()> {
        (**self).on_train_batch_begin(training, batch)
    }

    fn on_train_batch_end(&mut self, training: &mut Training<T>, batch: usize, logs: &Score) -> Result<()> {
        (**self).on_train_batch_end(training, batch, logs)
    }

    fn on_test_begin(&mut self, training: &mut Training<T>) -> Result<()> {
        (**self).on_test_begin(training)
    }

    fn on_test_end(&mut self, training: &mut Training<T>, logs: &Score) -> Result<()> {
        (**self).on_test_end(training, logs)
    }

    fn on_epoch_end(&mut self, training: &mut Training<T>, epoch: usize, logs: &Epoch) -> Result<()> {
        (**self).on_epoch_end(training, epoch, logs)
    }

    fn on_train_end(&mut self, training: &mut Training<T>) -> Result<()> {
        (**self).on_train_end(training)
    }

    fn needs_batch_logs(&self) -> bool {
        (**self).needs_batch_logs()
    }

    fn terminates_on_nan(&self) -> bool {
        (**self).terminates_on_nan()
    }

    fn state(&self) -> CallbackState {
        (**self).state()
    }

    fn set_state(&mut self, training: &mut Training<T>, state: &CallbackState) -> Result<()> {
        (**self).set_state(training, state)
    }

    fn backup(&self) -> Option<&BackupAndRestore> {
        (**self).backup()
    }
}

/// A training as its callbacks see it, and what they may do to it.
pub struct Training<'a, T = f32> {
    pub(crate) model: &'a mut Model<T>,
    pub(crate) plan: &'a Plan,
    pub(crate) stop: &'a mut bool,
}

/// What is known of a training before its first step.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The epochs that were asked for.
    pub epochs: usize,
    /// The steps of an epoch, where they are known.
    pub steps: Option<usize>,
    /// What can be monitored: `loss`, the metrics, and with validation the same with `val_`.
    pub monitors: Vec<String>,
    /// Whether it goes on with one that was interrupted.
    pub resumes: bool,
}

impl<T: Scalar> Training<'_, T> {
    /// The model.
    pub fn model(&self) -> &Model<T> {
        self.model
    }

    /// The model, to be changed: its weights, what is frozen, the learning rates of its layers.
    pub fn model_mut(&mut self) -> &mut Model<T> {
        self.model
    }

    /// The epochs before this one.
    pub fn history(&self) -> &History {
        self.model.history()
    }

    /// How many epochs were asked for.
    pub fn epochs(&self) -> usize {
        self.plan.epochs
    }

    /// How many steps an epoch has; `None` where a [`Dataset`](crate::data::Dataset) does not tell.
    pub fn steps(&self) -> Option<usize> {
        self.plan.steps
    }

    /// Whether this goes on with a training that was interrupted; see [`BackupAndRestore`].
    pub fn resumes(&self) -> bool {
        self.plan.resumes
    }

    /// What [`Epoch::get`] knows: `loss`, the metrics, and with validation the same with `val_` before it.
    pub fn monitors(&self) -> &[String] {
        &self.plan.monitors
    }

    /// Whether more of a figure of [`monitors`](Training::monitors) is better: of metrics that [rise](crate::Metric::rises).
    pub fn rises(&self, monitor: &str) -> bool {
        self.model.compiled("rises").is_ok_and(|compiled| compiled.objective.rises(monitor))
    }

    /// Ends the training, as Keras's `stop_training` does: the epoch ends after the batch that is trained on, or, before the first
    /// one, after that; its validation and [`on_epoch_end`](Callback::on_epoch_end) follow, and no other epoch.
    pub fn stop_training(&mut self) {
        *self.stop = true;
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f64 {
        self.model.learning_rate().expect("a model in training is compiled")
    }

    /// Changes the learning rate from the next step on.
    ///
    /// # Errors
    /// As [`Model::set_learning_rate`].
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        self.model.set_learning_rate(rate)
    }

    /// The error of a callback that cannot monitor `monitor`, if it is not one of [`monitors`](Training::monitors).
    pub fn check_monitor(&self, callback: &'static str, monitor: &str) -> Result<()> {
        if self.monitors().iter().any(|name| name == monitor) {
            return Ok(());
        }
        let validation = monitor.starts_with("val_") && !self.monitors().iter().any(|name| name.starts_with("val_"));
        let help = if validation { "; give fit validation_data, validation_dataset or validation_split" } else { "" };
        Err(Error::argument(
            callback,
            format!("there is no \"{monitor}\" to monitor; there are {}{help}", self.monitors().join(", ")),
        ))
    }
}

/// A model after a small training with a callback.
#[cfg(test)]
fn train_with(optimizer: crate::optimizers::SGD, epochs: usize, callback: impl Callback) -> Result<Model> {
    use crate::prelude::{Dense, Fit, MeanSquaredError, Sequential, Tensor};

    let (x, y): (Tensor, Tensor) = (Tensor::ones([4, 2]), Tensor::zeros([4, 1]));
    let mut model = Sequential::new([2]).add(Dense::new(1)).compile(optimizer, MeanSquaredError, [])?;
    model.fit(&x, &y, Fit::new().verbose(0).batch_size(2).epochs(epochs).callback(callback))?;
    Ok(model)
}
