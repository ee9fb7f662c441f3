//! [`CSVLogger`].

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, ErrorKind, Write},
    path::PathBuf,
};

use super::{Callback, CallbackState, Training, number};
use crate::{Error, Result, Scalar, model::Epoch};

/// Writes the figures of each epoch to a file of comma-separated values, `keras.callbacks.CSVLogger`: a line of the columns' names, and
/// for each epoch a line with its number, counted from 0, and all figures in the order of their names. The file is complete after each epoch.
///
/// ```no_run
/// use cornu::prelude::*;
///
/// let options: Fit = Fit::new().epochs(5).callback(CSVLogger::new("training.csv"));
/// ```
///
/// ```text
/// epoch,accuracy,loss
/// 0,0.9578333333333333,0.1402345
/// ```
///
/// A training with it fails when the file cannot be written, or is to be gone on with and has other columns.
#[derive(Clone, Debug)]
pub struct CSVLogger {
    path: PathBuf,
    separator: char,
    append: bool,
}

impl CSVLogger {
    /// The file, in a folder that exists; what it holds is replaced.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        CSVLogger { path: path.into(), separator: ',', append: false }
    }

    /// What stands between two columns; a comma by default.
    pub fn separator(mut self, separator: char) -> Self {
        self.separator = separator;
        self
    }

    /// Whether lines are added to a file that is there, so that a later training goes on with it; they are not by default.
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// The columns of a file that is gone on with.
    fn header(&self, resumes: bool) -> Result<Option<String>> {
        if !self.append && !resumes {
            return Ok(None);
        }
        let mut header = String::new();
        match File::open(&self.path).and_then(|file| BufReader::new(file).read_line(&mut header)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&self.path, error)),
            Ok(_) => Ok((!header.is_empty()).then(|| header.trim_end().to_owned())),
        }
    }

    fn line(&self, cells: impl IntoIterator<Item = String>) -> String {
        cells.into_iter().collect::<Vec<_>>().join(&self.separator.to_string()) + "\n"
    }
}

impl<T: Scalar> Callback<T> for CSVLogger {
    fn on_train_begin(&mut self, training: &mut Training<T>) -> Result<()> {
        if self.separator.is_alphanumeric() || "+-._\"\r\n".contains(self.separator) {
            let message = format!("separator must be what no name and no number holds, got {:?}", self.separator);
            return Err(Error::argument("CSVLogger", message));
        }
        let columns = columns(training);
        if let Some(name) = columns.iter().find(|name| name.contains([self.separator, '\n', '\r'])) {
            let message = format!("the figure {name:?} holds the separator; choose another");
            return Err(Error::argument("CSVLogger", message));
        }
        let header = self.line(["epoch".to_owned()].into_iter().chain(columns));
        match self.header(training.resumes())? {
            None => fs::write(&self.path, header).map_err(|error| Error::io(&self.path, error)),
            Some(old) if old == header.trim_end() => Ok(()),
            Some(old) => {
                let message = format!("expected the columns {}, got {old}; give another file", header.trim_end());
                Err(Error::format(&self.path, message))
            }
        }
    }

    fn on_epoch_end(&mut self, training: &mut Training<T>, epoch: usize, logs: &Epoch) -> Result<()> {
        let figures = columns(training).into_iter().map(|name| format!("{:?}", logs.get(&name).unwrap_or(f64::NAN)));
        let line = self.line([epoch.to_string()].into_iter().chain(figures));
        let file = OpenOptions::new().append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|error| Error::io(&self.path, error))
    }

    fn state(&self) -> CallbackState {
        // Without the file nothing is known of its lines, and none is taken away.
        let bytes = fs::metadata(&self.path).map(|file| file.len() as f64);
        CallbackState::from([("bytes".to_owned(), bytes.into_iter().collect())])
    }

    /// Takes away the lines of epochs that come again.
    fn set_state(&mut self, _: &mut Training<T>, state: &CallbackState) -> Result<()> {
        let len = number(state, "bytes").unwrap_or(f64::INFINITY);
        let file = OpenOptions::new().write(true).open(&self.path);
        file.and_then(|file| if file.metadata()?.len() as f64 > len { file.set_len(len as u64) } else { Ok(()) })
            .map_err(|error| Error::io(&self.path, error))
    }
}

/// The columns after the epoch.
fn columns<T: Scalar>(training: &Training<T>) -> Vec<String> {
    let mut columns = training.monitors().to_vec();
    columns.sort();
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn train(epochs: usize, split: bool, callback: CSVLogger) -> Result<History> {
        let (x, y): (Tensor, Tensor) = (Tensor::ones([4, 2]), Tensor::zeros([4, 1]));
        let mut model = Sequential::new([2]).add(Dense::new(1)).compile(
            SGD::new(0.1),
            MeanSquaredError,
            [Metric::MeanSquaredError, Metric::MeanAbsoluteError],
        )?;
        let options = Fit::new().verbose(0).epochs(epochs).callback(callback);
        model.fit(&x, &y, if split { options.validation_split(0.5) } else { options })
    }

    fn read(path: &std::path::Path) -> Vec<String> {
        fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_for_each_epoch_with_all_figures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        fs::write(&path, "of another training").unwrap();
        let history = train(2, true, CSVLogger::new(&path).separator(';')).unwrap();
        let lines = read(&path);
        assert_eq!(lines[0], "epoch;loss;mae;mse;val_loss;val_mae;val_mse");
        assert_eq!(lines.len(), 3);
        for (i, (line, epoch)) in lines[1..].iter().zip(&history.epochs).enumerate() {
            let cells: Vec<f64> = line.split(';').map(|cell| cell.parse().unwrap()).collect();
            let figures = ["loss", "mae", "mse", "val_loss", "val_mae", "val_mse"].map(|name| epoch.get(name).unwrap());
            assert_eq!(cells[0], i as f64);
            assert_eq!(cells[1..], figures);
        }
    }

    #[test]
    fn another_training_goes_on_with_the_file_if_it_has_its_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        let logger = CSVLogger::new(&path).append(true);
        train(2, false, logger.clone()).unwrap();
        train(1, false, logger.clone()).unwrap();
        let lines = read(&path);
        let begins: Vec<_> = lines.iter().map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!(begins, ["epoch", "0", "1", "0"]);

        let error = train(1, true, logger).unwrap_err().to_string();
        for words in [
            path.to_str().unwrap(),
            "expected the columns epoch,loss,mae,mse,val_loss,val_mae,val_mse, got epoch,loss,mae,mse",
        ] {
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(read(&path), lines);
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/log.csv");
        let error = train(1, false, CSVLogger::new(&path)).unwrap_err();
        assert!(matches!(error, Error::Io { path: of, .. } if of == path));
        for separator in ['.', 'e', '\n'] {
            let error = train(1, false, CSVLogger::new(&path).separator(separator)).unwrap_err().to_string();
            assert!(error.contains(&format!(
                "CSVLogger: separator must be what no name and no number holds, got {separator:?}"
            )));
        }
    }
}
