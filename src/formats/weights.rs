//! [`Model::save_weights`] and [`Model::load_weights`].

use std::{collections::HashSet, path::Path};

#[cfg(feature = "keras")]
use super::keras;
use super::{
    archive::{Archive, Array},
    native, optimizer_state, quantized, read,
};
use crate::{
    Error, Model, Result, Scalar,
    params::{ParamInfo, ParamLayout},
};

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
    /// When the file cannot be written, or the names have so many bytes (16 MiB) that it could not be read.
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut archive = Archive::default();
        add_weights(self, &mut archive);
        archive.write(path.as_ref())
    }

    /// Replaces all weights by those of a file that [`save_weights`](Model::save_weights) or [`save`](Model::save) wrote, or another program
    /// in the format safetensors, with the names and shapes of [`layout`](Model::layout). A file of `f64` is rounded for a model of `f32`.
    /// With the feature `keras`, Keras's `.weights.h5`, `.h5` and `.keras` are read, too, whose weights are told by the classes of the layers or their order, not
    /// by names.
    /// Weights of some layers only: [`load_weights_by_name`](Model::load_weights_by_name).
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or its weights have not just the names and the shapes of the model's; then no weight
    /// has changed.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let params = of_file(self, &read(path)?).map_err(|message| Error::format(path, message))?;
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

/// The weights in a file as [`Model::params`], if it has those of the model and no others.
pub(super) fn of_file<T: Scalar>(model: &Model<T>, bytes: &[u8]) -> Result<Vec<T>, String> {
    #[cfg(feature = "keras")]
    if keras::is(bytes) {
        return keras::weights(model, bytes).map_err(|message| format!("{message}; no weight was changed"));
    }
    let (mut archive, others) = Archive::parse_any(bytes)?;
    quantized::refuse(&archive).map_err(|message| format!("{message}; no weight was changed"))?;
    if let Some((name, reason)) = others.first() {
        return Err(format!("{name}: {reason}; no weight was changed"));
    }
    leave_weights(model.layout(), &mut archive);
    let names = names(model.layout());
    if let Some(name) = archive.arrays.keys().find(|name| !names.contains(name.as_str())) {
        return Err(format!("it holds {name}, which the model has not; no weight was changed"));
    }
    all(model.layout(), &archive).map_err(|message| format!("{message}; no weight was changed"))
}

/// Takes away what the file of a model holds besides its weights.
pub(super) fn leave_weights(layout: &ParamLayout, archive: &mut Archive) {
    if archive.strings.contains_key(native::ARCHITECTURE) {
        let names = names(layout);
        archive.arrays.retain(|name, _| !optimizer_state::holds(name) || names.contains(name.as_str()));
    }
}

/// The names of the weights.
pub(super) fn names(layout: &ParamLayout) -> HashSet<&str> {
    layout.infos().iter().map(|info| info.name.as_str()).collect()
}

/// All weights of a layout, one after the other.
pub(crate) fn all<T: Scalar>(layout: &ParamLayout, archive: &Archive) -> Result<Vec<T>, String> {
    for info in layout.infos() {
        check_shape(info, archive.array(&info.name)?).map_err(|message| format!("{}: {message}", info.name))?;
    }
    Ok(layout.infos().iter().flat_map(|info| archive.arrays[&info.name].values::<T>()).collect())
}

/// Whether an array has the shape of a weight; if not, what it has.
pub(super) fn check_shape(info: &ParamInfo, array: &Array) -> Result<(), String> {
    if array.shape == info.shape.dims() {
        return Ok(());
    }
    Err(format!("expected shape {}, got {:?}", info.shape, array.shape))
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
