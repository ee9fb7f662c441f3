//! What reads and writes models: [`load_model`], [`Model::save`] and [`Model::from_bytes`], and a file for each format.

pub(crate) mod archive;
mod by_name;
mod native;
pub(crate) mod optimizer_state;
mod quantized;
pub(crate) mod weights;

use std::{ffi::OsStr, fs, io::Write, path::Path};

pub use by_name::LoadReport;
pub(crate) use quantized::LayerWeights;

use crate::{Error, Model, Result, Scalar, atomic, config::Registry};

/// Reads a model with its weights and, if the file has them, how it is trained and where its training stands: [`fit`](Model::fit) goes on
/// from there. The format is told by what is in the file, not by its name: that of [`Model::save`].
///
/// ```
/// use cornu::prelude::*;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.safetensors");
/// let (x, y) = (Tensor::random_normal([64, 3], 0.0, 1.0, 0), Tensor::zeros([64, 1]));
/// let mut model = Sequential::new([3]).add(Dense::new(1)).compile(Adam::new(0.1), MeanSquaredError, [])?;
/// model.fit(&x, &y, Fit::new().epochs(2).verbose(0))?;
/// model.save(&path)?;
///
/// let mut same = load_model(&path)?;
/// for model in [&mut model, &mut same] {
///     model.fit(&x, &y, Fit::new().epochs(3).verbose(0))?;
/// }
/// assert_eq!(same.params(), model.params());
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// When the file cannot be read, is of no format that is known, is damaged, or holds what does not exist here: the error says what is wrong
/// and where. For layers, losses, metrics and optimizers of your own see [`load_model_with`].
pub fn load_model(path: impl AsRef<Path>) -> Result<Model> {
    load_model_with(path, &Registry::default())
}

/// [`load_model`] where there are layers, losses, metrics, optimizers or schedules of your own, or where a model is wanted
/// [uncompiled](Registry::uncompiled).
///
/// # Errors
/// As [`load_model`].
pub fn load_model_with(path: impl AsRef<Path>, registry: &Registry) -> Result<Model> {
    let path = path.as_ref();
    parse(&read(path)?, registry).map_err(|message| Error::format(path, message))
}

impl Model {
    /// [`load_model`] from memory, such as that of a program with a model in it.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// # macro_rules! include_bytes { ($path:literal) => {{
    /// #     let path = std::env::temp_dir().join(format!("cornu-{}.safetensors", std::process::id()));
    /// #     Sequential::new([28, 28]).add(Flatten::new()).add(Dense::new(10)).build()?.save(&path)?;
    /// #     let bytes = std::fs::read(&path).unwrap();
    /// #     std::fs::remove_file(path).unwrap();
    /// #     &bytes.clone()
    /// # }}}
    /// let model = Model::from_bytes(include_bytes!("digits.safetensors"))?;
    /// assert_eq!(model.predict(&Tensor::<f32>::zeros([1, 28, 28]))?.shape(), [1, 10].into());
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load_model`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Model::from_bytes_with(bytes, &Registry::default())
    }
}

impl<T: Scalar> Model<T> {
    /// [`load_model_with`] from memory, for either scalar: weights of the other are rounded, or widened.
    ///
    /// # Errors
    /// As [`load_model`].
    pub fn from_bytes_with(bytes: &[u8], registry: &Registry) -> Result<Self> {
        parse(bytes, registry).map_err(|message| Error::data("Model::from_bytes", message))
    }

    /// Writes the model to a file, in the format that the ending of its name says; [`load_model`] reads it. The file is replaced as a whole: a
    /// crash leaves the old one.
    ///
    /// | ending | what is written |
    /// | --- | --- |
    /// | `.safetensors` | the weights by their names in [`layout`](Model::layout) (`dense/kernel`), and if the model is compiled the optimizer's arrays (`optimizer/momentum`: a number for each weight that is trained, in the order of `layout`), in the format [safetensors](https://github.com/huggingface/safetensors). Its metadata has under the key `cornu` an object with the steps and epochs so far, and the layers and how they are trained as JSON in Keras's schema (`architecture`, `compile_config`) |
    ///
    /// Weights keep their precision. The [`history`](Model::history) is not written.
    ///
    /// # Errors
    /// When the ending is another, the file cannot be written, or a layer, a loss, a metric, an optimizer or a schedule of your own does not tell
    /// its arguments.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = match path.extension().and_then(OsStr::to_str) {
            Some("safetensors") => native::bytes(self)?,
            _ => {
                let message = format!("the ending of {} says no format; .safetensors does", path.display());
                return Err(Error::argument("save", message));
            }
        };
        atomic::replace(path, |file| file.write_all(&bytes))
    }
}

/// The model in a file of any format.
fn parse<T: Scalar>(bytes: &[u8], registry: &Registry) -> Result<Model<T>, String> {
    match bytes {
        [_, _, _, _, 0, 0, 0, 0, b'{', ..] => native::parse(bytes, registry),
        _ => Err("it is of no format that is known; models are read from safetensors".to_owned()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io(path, error))
}
