//! [`TensorBoard`].

use std::path::PathBuf;

use super::{Callback, Training, event_file::EventFile};
use crate::{Result, Scalar, Score, model::Epoch};

/// Writes the figures of each epoch for TensorBoard, `keras.callbacks.TensorBoard`: `epoch_loss` and `epoch_` with the name of each metric,
/// of the training and of its validation, and `epoch_learning_rate`.
///
/// ```no_run
/// use cornu::prelude::*;
///
/// // Then: tensorboard --logdir logs
/// let options: Fit = Fit::new().epochs(5).validation_split(0.1).callback(TensorBoard::new("logs"));
/// ```
///
/// The files are in the folders `train` and `validation` of the one given, which are made; each training adds new ones, so trainings that
/// shall be told apart need a folder each. They are complete after each epoch. A training with it fails when they cannot be written.
#[derive(Debug)]
pub struct TensorBoard {
    log_dir: PathBuf,
    train: Option<EventFile>,
    validation: Option<EventFile>,
}

impl TensorBoard {
    /// Writes to folders in this one; Keras's is `logs`.
    pub fn new(log_dir: impl Into<PathBuf>) -> Self {
        TensorBoard { log_dir: log_dir.into(), train: None, validation: None }
    }
}

impl<T: Scalar> Callback<T> for TensorBoard {
    fn on_train_begin(&mut self, training: &mut Training<T>) -> Result<()> {
        let validates = training.monitors().iter().any(|name| name.starts_with("val_"));
        self.train = Some(EventFile::create(&self.log_dir.join("train"))?);
        self.validation = validates.then(|| EventFile::create(&self.log_dir.join("validation"))).transpose()?;
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut Training<T>, epoch: usize, logs: &Epoch) -> Result<()> {
        if let Some(file) = &mut self.train {
            let rate = ("epoch_learning_rate".to_owned(), training.learning_rate());
            file.add(epoch, scalars(&logs.train).chain([rate]))?;
        }
        if let (Some(file), Some(score)) = (&mut self.validation, &logs.validation) {
            file.add(epoch, scalars(score))?;
        }
        Ok(())
    }

    fn on_train_end(&mut self, _training: &mut Training<T>) -> Result<()> {
        (self.train, self.validation) = (None, None);
        Ok(())
    }
}

/// The figures with the names that Keras gives them.
fn scalars(score: &Score) -> impl Iterator<Item = (String, f64)> {
    let metrics = score.metrics.iter().map(|(name, value)| (format!("epoch_{name}"), *value));
    [("epoch_loss".to_owned(), score.loss)].into_iter().chain(metrics)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::prelude::*;

    fn train(log_dir: &Path, options: Fit) -> Result<History> {
        let (x, y): (Tensor, Tensor) = (Tensor::ones([4, 2]), Tensor::zeros([4, 1]));
        let plan = Sequential::new([2]).add(Dense::new(1));
        let mut model = plan.compile(SGD::new(0.25), MeanSquaredError, [Metric::MeanAbsoluteError])?;
        model.fit(&x, &y, options.verbose(0).callback(TensorBoard::new(log_dir)))
    }

    /// The values with this tag in the files of a folder: each is behind the tag and the key of its field.
    fn values(folder: &Path, tag: &str) -> Vec<f64> {
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let bytes: Vec<u8> = files.flat_map(|file| fs::read(file).unwrap()).collect();
        let ends = (0..bytes.len()).filter(|&end| bytes[..end].ends_with(tag.as_bytes()));
        ends.map(|end| f32::from_le_bytes(bytes[end + 1..end + 5].try_into().unwrap()).into()).collect()
    }

    #[test]
    fn figures_have_the_places_that_keras_gives_them() {
        let folder = tempfile::tempdir().unwrap();
        let history = train(folder.path(), Fit::new().epochs(3).validation_split(0.5)).unwrap();
        for name in ["loss", "mae"] {
            for (part, prefix) in [("train", ""), ("validation", "val_")] {
                let curve = history.get(&format!("{prefix}{name}")).unwrap();
                let expected: Vec<f64> = curve.iter().map(|&x| f64::from(x as f32)).collect();
                assert_eq!(values(&folder.path().join(part), &format!("epoch_{name}")), expected);
            }
        }
        assert_eq!(values(&folder.path().join("train"), "epoch_learning_rate"), [0.25; 3]);
        assert_eq!(values(&folder.path().join("validation"), "epoch_learning_rate"), [0.0; 0]);
    }

    #[test]
    fn each_training_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            train(folder.path(), Fit::new()).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path().join("train")).unwrap().count(), 2);
        assert!(!folder.path().join("validation").exists());
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = train(&file, Fit::new()).unwrap_err();
        assert!(matches!(error, Error::Io { path, .. } if path.starts_with(file.join("train"))));
    }
}
