//! [`Model::save_weights`] and [`Model::load_weights`].

use std::path::Path;

use super::archive::{Archive, Array};
use crate::{Error, Model, Result, Scalar};

impl<T: Scalar> Model<T> {
    /// Writes all weights to a file in the format [safetensors](https://github.com/huggingface/safetensors), by their names in
    /// [`layout`](Model::layout): `conv2d/kernel`. The file is replaced as a whole: a crash leaves the old one.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let plan = Sequential::new([4]).add(Dense::new(2));
    /// let (model, mut other) = (plan.clone().build()?, plan.seed(1).build()?);
    /// let path = std::env::temp_dir().join(format!("cornu-{}.safetensors", std::process::id()));
    /// model.save_weights(&path)?;
    /// other.load_weights(&path)?;
    /// assert_eq!(other.params(), model.params());
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut archive = Archive::default();
        add_weights(self, &mut archive);
        archive.write(path.as_ref())
    }

    /// Replaces all weights by those of a file that [`save_weights`](Model::save_weights) wrote. A file of `f64` is rounded for a
    /// model of `f32`.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or its weights have not just the names and the shapes of the model's; then no weight
    /// has changed.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let archive = Archive::read(path)?;
        let params = weights(self, &archive).map_err(|message| Error::format(path, message))?;
        self.set_params(&params);
        Ok(())
    }
}

/// Adds all weights of a model.
pub(crate) fn add_weights<T: Scalar>(model: &Model<T>, archive: &mut Archive) {
    for info in model.layout().infos() {
        archive.arrays.insert(info.name.clone(), Array::new(info.shape, &model.params()[info.range()]));
    }
}

/// The weights in the archive as [`Model::params`], if it has those of the model and no others.
fn weights<T: Scalar>(model: &Model<T>, archive: &Archive) -> Result<Vec<T>, String> {
    let infos = model.layout().infos();
    if let Some(name) = archive.arrays.keys().find(|name| infos.iter().all(|info| info.name != **name)) {
        return Err(format!("it holds {name}, which the model has not; no weight was changed"));
    }
    model_weights(model, archive)
}

/// The weights of the model in the archive, as [`Model::params`].
pub(crate) fn model_weights<T: Scalar>(model: &Model<T>, archive: &Archive) -> Result<Vec<T>, String> {
    let mut params = Vec::with_capacity(model.params().len());
    for info in model.layout().infos() {
        let array = archive.arrays.get(&info.name);
        let array = array.ok_or_else(|| format!("it lacks {}; no weight was changed", info.name))?;
        if array.shape != info.shape.dims() {
            let (name, expected, got) = (&info.name, info.shape, &array.shape);
            return Err(format!("{name}: expected shape {expected}, got {got:?}; no weight was changed"));
        }
        params.extend(array.values::<T>());
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn weights_of_another_model_are_errors_and_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let model = |units: usize| Sequential::new([4]).add(Dense::new(units)).build().unwrap();
        model(3).save_weights(&path).unwrap();
        for (mut other, words) in [
            (model(2), "dense/kernel: expected shape (4, 2), got [4, 3]"),
            (Sequential::new([4]).add(Dense::new(3).use_bias(false)).build().unwrap(), "it holds dense/bias, which"),
            (Sequential::new([4]).add(Dense::new(3)).add(Dense::new(3)).build().unwrap(), "it lacks dense_1/kernel"),
        ] {
            let before = other.params().to_vec();
            let error = other.load_weights(&path).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("no weight was changed"), "{error}");
            assert_eq!(other.params(), before);
        }
    }

    #[test]
    fn weights_go_into_a_model_of_the_other_precision() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let plan = Sequential::new([4]).add(Dense::new(3));
        plan.clone().build().unwrap().save_weights(&path).unwrap();
        let mut double = plan.clone().seed(1).build_as::<f64>().unwrap();
        double.load_weights(&path).unwrap();
        let rounded: Vec<f32> = double.params().iter().map(|&x| x as f32).collect();
        assert_eq!(rounded, plan.build().unwrap().params());
    }
}
