//! [`ModelCheckpoint`].

use std::path::PathBuf;

use super::{Callback, CallbackState, Mode, Training, count, make_folder_of, monitor::Monitor, number};
use crate::{Error, Result, Scalar, Score, model::Epoch};

/// Saves the weights while the model trains, after each epoch or when a figure has become better: `keras.callbacks.ModelCheckpoint`.
///
/// The file is that of [`Model::save_weights`](crate::Model::save_weights), replaced as a whole. Its path may name figures, so that each epoch
/// has its own: `weights.{epoch:02d}-{val_loss:.2f}.safetensors`. `{epoch}` counts from 1, as in Keras.
///
/// ```
/// use cornu::prelude::*;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("best.safetensors");
/// let (x, y) = (Tensor::random_normal([64, 3], 0.0, 1.0, 0), Tensor::zeros([64, 1]));
/// let mut model = Sequential::new([3]).add(Dense::new(1)).compile(Adam::new(0.1), MeanSquaredError, [])?;
/// let best = ModelCheckpoint::new(&path).save_best_only(true);
/// model.fit(&x, &y, Fit::new().epochs(5).validation_split(0.5).verbose(0).callback(best))?;
/// model.load_weights(&path)?;
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModelCheckpoint {
    path: PathBuf,
    monitor: Monitor,
    save_best_only: bool,
    initial_value_threshold: Option<f64>,
    every_batches: Option<usize>,
    epoch: usize,
    /// The batches since the last file, where batches are counted.
    batches: usize,
}

const NAME: &str = "ModelCheckpoint";

impl ModelCheckpoint {
    /// Saves to this file after each epoch. Its folder is made where it is missing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        ModelCheckpoint {
            path: path.into(),
            monitor: Monitor::new("val_loss", 0.0),
            save_best_only: false,
            initial_value_threshold: None,
            every_batches: None,
            epoch: 0,
            batches: 0,
        }
    }

    /// The figure that decides what is best; `"val_loss"` by default.
    pub fn monitor(mut self, monitor: &str) -> Self {
        self.monitor.name = monitor.to_owned();
        self
    }

    /// Whether the figure gets better by falling or by rising.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.monitor.mode = mode;
        self
    }

    /// Whether an epoch is saved only when its figure is better than that of all before, those of an earlier `fit` with this callback included;
    /// every one is by default.
    pub fn save_best_only(mut self, best: bool) -> Self {
        self.save_best_only = best;
        self
    }

    /// What the figure must be better than for the first file, with [`save_best_only`](ModelCheckpoint::save_best_only).
    pub fn initial_value_threshold(mut self, threshold: f64) -> Self {
        self.initial_value_threshold = Some(threshold);
        self
    }

    /// Saves after each `n` batches, counted over all epochs, and not at the end of an epoch; at least 1. The figures are the means of the
    /// epoch so far, without those of the validation, and `{batch}` is the batch of the epoch, from 1 on.
    pub fn every_batches(mut self, n: usize) -> Self {
        self.every_batches = Some(n);
        self
    }

    /// Saves, if these figures are to be.
    fn save<T: Scalar>(
        &mut self,
        training: &Training<T>,
        batch: Option<usize>,
        get: impl Fn(&str) -> Option<f64>,
    ) -> Result<()> {
        if self.save_best_only && !self.monitor.improves(get(&self.monitor.name).unwrap_or(f64::NAN)) {
            return Ok(());
        }
        let path = self.fill(|name| match name {
            "epoch" => Some(self.epoch as f64 + 1.0),
            "batch" => batch.map(|batch| batch as f64),
            name => get(name),
        })?;
        make_folder_of(&path)?;
        training.model().save_weights(path)
    }

    /// The path with its figures.
    fn fill(&self, get: impl Fn(&str) -> Option<f64>) -> Result<PathBuf> {
        let Some(mut rest) = self.path.to_str() else {
            return Ok(self.path.clone());
        };
        let mut path = String::new();
        while let Some((before, after)) = rest.split_once('{') {
            let wrong = |message: String| Error::argument(NAME, format!("the path {}: {message}", self.path.display()));
            let (field, after) = after.split_once('}').ok_or_else(|| wrong("a { has no }".into()))?;
            let (name, format) = field.split_once(':').unwrap_or((field, ""));
            let value = get(name).ok_or_else(|| wrong(format!("there is no figure {{{name}}}")))?;
            path += before;
            path += &formatted(value, format)
                .ok_or_else(|| wrong(format!("{{{field}}}: expected a format such as .2f or 03d, got {format}")))?;
            rest = after;
        }
        Ok((path + rest).into())
    }
}

/// As Python formats it, for `.2f`, `03d` and nothing.
fn formatted(value: f64, format: &str) -> Option<String> {
    if format.is_empty() {
        return Some(value.to_string());
    }
    if let Some(digits) = format.strip_prefix('.').and_then(|format| format.strip_suffix('f')) {
        let digits: usize = digits.parse().ok().filter(|&digits| digits <= 17)?;
        return Some(format!("{value:.digits$}"));
    }
    let width = format.strip_suffix('d')?;
    let width: usize = if width.is_empty() { 0 } else { width.parse().ok().filter(|&width| width <= 17)? };
    let zeros = format.starts_with('0');
    Some(if zeros { format!("{value:0width$.0}") } else { format!("{value:width$.0}") })
}

impl<T: Scalar> Callback<T> for ModelCheckpoint {
    fn on_train_begin(&mut self, training: &mut Training<T>) -> Result<()> {
        if self.every_batches == Some(0) {
            return Err(Error::argument(NAME, "every_batches must be at least 1, got 0"));
        }
        // Batches have no figures of the validation. What cannot be had is found now rather than after an epoch.
        let usable = |name: &str| self.every_batches.is_none() || !name.starts_with("val_");
        if self.save_best_only {
            let best = self.monitor.best.or(self.initial_value_threshold);
            self.monitor.begin(NAME, training)?;
            self.monitor.best = best;
            if !usable(&self.monitor.name) {
                let message = "every_batches sees no figures of the validation; monitor \"loss\", or save after epochs";
                return Err(Error::argument(NAME, format!("monitor is \"{}\", but {message}", self.monitor.name)));
            }
        }
        self.batches = 0;
        let is_figure = |name: &str| usable(name) && training.monitors().iter().any(|monitor| monitor == name);
        let known =
            |name: &str| name == "epoch" || (name == "batch" && self.every_batches.is_some()) || is_figure(name);
        self.fill(|name| known(name).then_some(1.0)).map(|_| ()).map_err(|error| match error {
            Error::Argument { place, message } => {
                let names = training.monitors().join(", ");
                Error::Argument { place, message: format!("{message}; there are epoch, {names}") }
            }
            other => other,
        })
    }

    fn on_epoch_begin(&mut self, _: &mut Training<T>, epoch: usize) -> Result<()> {
        self.epoch = epoch;
        Ok(())
    }

    fn on_train_batch_end(&mut self, training: &mut Training<T>, batch: usize, logs: &Score) -> Result<()> {
        self.batches += 1;
        match self.every_batches {
            Some(n) if self.batches >= n => {
                self.batches = 0;
                self.save(training, Some(batch + 1), |name| logs.get(name))
            }
            _ => Ok(()),
        }
    }

    fn on_epoch_end(&mut self, training: &mut Training<T>, _: usize, logs: &Epoch) -> Result<()> {
        match self.every_batches {
            Some(_) => Ok(()),
            None => self.save(training, None, |name| logs.get(name)),
        }
    }

    fn needs_batch_logs(&self) -> bool {
        self.every_batches.is_some()
    }

    fn state(&self) -> CallbackState {
        CallbackState::from([
            ("best".to_owned(), self.monitor.best.into_iter().collect()),
            ("epoch".to_owned(), vec![self.epoch as f64]),
            ("batches".to_owned(), vec![self.batches as f64]),
        ])
    }

    fn set_state(&mut self, _: &mut Training<T>, state: &CallbackState) -> Result<()> {
        self.monitor.best = number(state, "best");
        self.epoch = count(state, "epoch").unwrap_or(0);
        self.batches = count(state, "batches").unwrap_or(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::train_with, *};
    use crate::prelude::*;

    fn files(folder: &tempfile::TempDir) -> Vec<String> {
        let name = |file: std::io::Result<fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
        files.sort();
        files
    }

    #[test]
    fn the_path_names_epochs_and_figures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("{epoch:03d}-{epoch}-{loss:.0f}");
        train_with(SGD::new(0.0), 2, ModelCheckpoint::new(path)).unwrap();
        let files = files(&folder);
        assert_eq!(files.len(), 2, "{files:?}");
        assert!(files[0].starts_with("001-1-") && files[1].starts_with("002-2-"), "{files:?}");
        assert_eq!(formatted(2.34567, ".2f").unwrap(), "2.35");
        assert_eq!(formatted(7.0, "3d").unwrap(), "  7");
        assert_eq!(formatted(7.0, "2x"), None);
    }

    #[test]
    fn only_what_is_better_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let best = |name| ModelCheckpoint::new(folder.path().join(name)).monitor("loss").save_best_only(true);
        // Without a step the loss stays what it was.
        train_with(SGD::new(0.0), 3, best("still-{epoch}")).unwrap();
        assert_eq!(files(&folder), ["still-1"]);
        train_with(SGD::new(0.0), 3, best("none-{epoch}").initial_value_threshold(-1.0)).unwrap();
        assert_eq!(files(&folder), ["still-1"]);
        train_with(SGD::new(0.01), 2, best("falling-{epoch}")).unwrap();
        assert_eq!(files(&folder), ["falling-1", "falling-2", "still-1"]);
    }

    #[test]
    fn what_cannot_work_is_an_error_before_the_first_step() {
        let error = |callback| train_with(SGD::new(0.1), 1, callback).unwrap_err().to_string();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| ModelCheckpoint::new(folder.path().join(name));
        assert!(error(at("{acc}")).contains("there is no figure {acc}; there are epoch, loss"));
        assert!(error(at("{batch}")).contains("there is no figure {batch}"));
        assert!(error(at("{epoch:x}")).contains("expected a format such as .2f or 03d, got x"));
        assert!(error(at("{epoch")).contains("a { has no }"));
        assert!(error(at("a").every_batches(0)).contains("every_batches must be at least 1"));
        assert!(error(at("a").save_best_only(true)).contains("val_loss"));
        assert!(error(at("{val_loss}").every_batches(1)).contains("there is no figure {val_loss}"));
        let batches = at("a").save_best_only(true).every_batches(1);
        assert!(error(batches).contains("val_loss"));
        assert_eq!(files(&folder), [""; 0]);
        // A folder that cannot be made.
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(error(at("file/a")).contains("file"));
    }

    #[test]
    fn the_best_of_two_trainings_stays_and_batches_count_on() {
        let folder = tempfile::tempdir().unwrap();
        let (x, y): (Tensor, Tensor) = (Tensor::ones([6, 2]), Tensor::zeros([6, 1]));
        let mut model = Sequential::new([2]).add(Dense::new(1)).compile(SGD::new(0.1), MeanSquaredError, []).unwrap();
        let options = || Fit::new().batch_size(2).verbose(0);
        let mut best = ModelCheckpoint::new(folder.path().join("new/best")).monitor("loss").save_best_only(true);
        model.fit(&x, &y, options().callback(&mut best)).unwrap();
        let saved = fs::read(folder.path().join("new/best")).unwrap();
        model.set_weights(&[Tensor::full([2, 1], 100.0), Tensor::zeros([1])]).unwrap();
        model.fit(&x, &y, options().callback(&mut best)).unwrap();
        assert_eq!(fs::read(folder.path().join("new/best")).unwrap(), saved);

        // Three steps an epoch: every fourth is in the second and in the third.
        let every_fourth = ModelCheckpoint::new(folder.path().join("{epoch}-{batch}")).every_batches(4);
        model.fit(&x, &y, options().epochs(3).callback(every_fourth)).unwrap();
        assert_eq!(files(&folder), ["2-1", "3-2", "new"]);
    }
}
