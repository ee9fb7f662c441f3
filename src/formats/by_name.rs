//! [`Model::load_weights_by_name`].

use std::{fmt, path::Path};

use super::{
    archive::Archive,
    read,
    weights::{check_shape, leave_weights},
};
use crate::{Error, Model, Result, Scalar};

/// What [`Model::load_weights_by_name`] did with each weight.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LoadReport {
    /// The weights that the model now has from the file.
    pub loaded: Vec<String>,
    /// The weights of the file that went nowhere, and why.
    pub skipped: Vec<(String, String)>,
    /// The weights of the model that are as they were.
    pub kept: Vec<String>,
}

impl<T: Scalar> Model<T> {
    /// Replaces those weights that a file has under the same name and in the same shape, and says which did not fit: for a model that shares
    /// layers with the one whose weights were saved. The file is in the format safetensors, whoever wrote it. Keras's files have other names
    /// for weights: [`load_model`](crate::load_model) reads such a model, and what it [saves](Model::save) as `.safetensors` can be read here.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("digits.safetensors");
    /// let digits = Sequential::new([8]).add(Dense::new(6)).add(Dense::new(10).named("digits")).build()?;
    /// digits.save(&path)?;
    ///
    /// let mut letters = Sequential::new([8]).add(Dense::new(6)).add(Dense::new(26).named("letters")).seed(1).build()?;
    /// let report = letters.load_weights_by_name(&path)?;
    /// assert_eq!(report.loaded, ["dense/kernel", "dense/bias"]);
    /// assert_eq!(report.kept, ["letters/kernel", "letters/bias"]);
    /// println!("{report}");
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read, is in another format or is damaged; then no weight has changed.
    pub fn load_weights_by_name(&mut self, path: impl AsRef<Path>) -> Result<LoadReport> {
        let path = path.as_ref();
        let (mut archive, skipped) =
            Archive::parse_any(&read(path)?).map_err(|message| Error::format(path, message))?;
        leave_weights(self.layout(), &mut archive);
        let mut report = LoadReport { skipped, ..LoadReport::default() };
        let mut params = self.params().to_vec();
        for info in self.layout().infos() {
            let name = info.name.clone();
            match archive.arrays.remove(&name).map(|array| check_shape(info, &array).map(|()| array)) {
                Some(Ok(array)) => {
                    params[info.range()].copy_from_slice(&array.values());
                    report.loaded.push(name);
                }
                Some(Err(reason)) => {
                    report.skipped.push((name.clone(), reason));
                    report.kept.push(name);
                }
                None => report.kept.push(name),
            }
        }
        let others = archive.arrays.into_keys().map(|name| (name, "the model has no weight of this name".to_owned()));
        report.skipped.extend(others);
        self.set_params(&params);
        Ok(report)
    }
}

/// A line for each weight that is not in both.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LoadReport { loaded, skipped, kept } = self;
        write!(f, "{} weights loaded, {} skipped, {} kept", loaded.len(), skipped.len(), kept.len())?;
        for (name, reason) in skipped {
            write!(f, "\n  skipped {name}: {reason}")?;
        }
        for name in kept {
            write!(f, "\n  kept {name}")?;
        }
        Ok(())
    }
}
