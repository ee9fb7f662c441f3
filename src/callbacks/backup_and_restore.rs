//! [`BackupAndRestore`].

use std::{fs, io::ErrorKind, path::PathBuf};

use super::{Callback, Training, make_folder_of};
use crate::{Error, Result, Scalar, formats::archive::Archive, model::Checkpoint};

/// Saves a training, so that it goes on when it was interrupted: `keras.callbacks.BackupAndRestore`.
///
/// After each epoch, and with [`every_batches`](BackupAndRestore::every_batches) also within one, a file takes all that the training
/// consists of: the weights, the optimizer, the epoch and the batch, the metrics so far, the history, and the
/// [state](Callback::state) of the other callbacks. When `fit` begins and the file is there, it goes on from there, in another process, too.
/// Given the same model, data and arguments it ends **with the same bits** as a training that was never interrupted, the order of the
/// samples, dropout and augmentation included; Keras begins the epoch anew, with other random numbers. The number of epochs may be another, as long as it
/// is not below the epoch in which the training was interrupted.
///
/// Two things are not in the file: what a closure of yours remembers, such as one of a
/// [`LearningRateScheduler`](super::LearningRateScheduler), and the weights of the step before, which a loss that is not finite gives back: at
/// the first step after a restart it gives back those of the file.
///
/// The file is replaced as a whole: however the process ends, the last or the one before is there.
///
/// ```
/// use cornu::prelude::*;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("backup");
/// let (x, y) = (Tensor::random_normal([64, 3], 0.0, 1.0, 0), Tensor::zeros([64, 1]));
/// let model = || Sequential::new([3]).add(Dense::new(1)).compile(Adam::default(), MeanSquaredError, []);
/// let options = |epochs| Fit::new().epochs(epochs).verbose(0);
///
/// let backup = BackupAndRestore::new(&path).delete_checkpoint(false);
/// model()?.fit(&x, &y, options(2).callback(backup.clone()))?;
/// let mut resumed = model()?;
/// assert_eq!(resumed.fit(&x, &y, options(5).callback(backup))?.epochs.len(), 5);
///
/// let mut whole = model()?;
/// whole.fit(&x, &y, options(5))?;
/// assert_eq!(resumed.params(), whole.params());
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BackupAndRestore {
    path: PathBuf,
    every_batches: Option<usize>,
    delete_checkpoint: bool,
}

impl BackupAndRestore {
    /// Saves to this file after each epoch. Its folder is made where it is missing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        BackupAndRestore { path: path.into(), every_batches: None, delete_checkpoint: true }
    }

    /// Also saves after each `n` batches of an epoch; at least 1.
    pub fn every_batches(mut self, n: usize) -> Self {
        self.every_batches = Some(n);
        self
    }

    /// Whether the file is deleted when the training has ended without an error; it is by default.
    pub fn delete_checkpoint(mut self, delete: bool) -> Self {
        self.delete_checkpoint = delete;
        self
    }

    /// Whether the training is to be saved after this many batches of an epoch, 0 between two epochs.
    pub(crate) fn is_due(&self, batches: usize) -> bool {
        batches == 0 || self.every_batches.is_some_and(|n| batches.is_multiple_of(n))
    }

    /// The training that was interrupted, if one was.
    pub(crate) fn read(&self) -> Result<Option<Checkpoint>> {
        match self.path.try_exists() {
            Ok(true) => Checkpoint::read(&self.path).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(Error::io(&self.path, error)),
        }
    }

    pub(crate) fn write(&self, checkpoint: &Archive) -> Result<()> {
        checkpoint.write(&self.path)
    }

    /// What is done when the training has ended.
    pub(crate) fn end(&self) -> Result<()> {
        if !self.delete_checkpoint {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(&self.path, error)),
            _ => Ok(()),
        }
    }
}

impl<T: Scalar> Callback<T> for BackupAndRestore {
    fn on_train_begin(&mut self, _: &mut Training<T>) -> Result<()> {
        match self.every_batches {
            Some(0) => Err(Error::argument("BackupAndRestore", "every_batches must be at least 1, got 0")),
            _ => make_folder_of(&self.path),
        }
    }

    fn backup(&self) -> Option<&BackupAndRestore> {
        Some(self)
    }
}
