//! What reads and writes models: [`load_model`], [`Model::save`] and [`Model::from_bytes`], and a file for each format.

pub(crate) mod archive;
mod by_name;
#[cfg(any(feature = "torch", feature = "numpy"))]
mod dtype;
#[cfg(any(feature = "keras", feature = "torch", feature = "numpy"))]
mod entries;
// It calls all readers.
#[cfg(all(
    any(test, fuzzing),
    feature = "image",
    feature = "keras",
    feature = "numpy",
    feature = "onnx",
    feature = "torch"
))]
pub mod fuzzing;
#[cfg(feature = "keras")]
mod hdf5;
#[cfg(feature = "keras")]
mod keras;
mod native;
#[cfg(feature = "numpy")]
pub mod numpy;
#[cfg(feature = "onnx")]
mod onnx;
pub(crate) mod optimizer_state;
#[cfg(test)]
mod own;
mod quantized;
#[cfg(feature = "torch")]
pub mod torch;
pub(crate) mod weights;

use std::{ffi::OsStr, fs, io::Write, path::Path};

pub use by_name::LoadReport;
pub(crate) use quantized::LayerWeights;

use crate::{Error, Model, Result, Scalar, atomic, config::Registry};

/// How a zip begins.
const ZIP: &[u8] = b"PK\x03\x04";

/// How a file of HDF5 begins.
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Reads a model with its weights and, if the file has them, how it is trained and where its training stands: [`fit`](Model::fit) goes on
/// from there. The format is told by what is in the file, not by its name: those of [`Model::save`], and with the feature `keras` also Keras's `.h5`.
///
/// Of Keras are read models that are `Sequential`, or functional with layers that follow one another, of layers, losses, metrics and optimizers that exist
/// here. Nothing in a file is ever executed: a `Lambda` layer is an error.
///
/// Of ONNX, models whose layers follow one another are read, such as `torch.onnx.export` writes of an `nn.Sequential`, uncompiled. Where
/// images are `[n, c, h, w]` there, which the first convolution or pooling tells, those of the model are `[n, h, w, c]`, as all of cornu's,
/// and its weights are brought into that order. The operators are those that the layers compute: `Conv`, `ConvTranspose`, `Gemm`, `MatMul` with
/// `Add`, the poolings and normalizations, `Flatten`, `Reshape`, `Transpose`, `Pad`, `Slice`, `Resize`, `Gather` of an embedding, `PRelu`, `Clip`, the
/// activations, and with a constant number `Add`, `Sub`, `Mul` and `Div`. Of any other, and of branches, the error names the nodes.
/// Reading it takes memory of at most 40 times the file and 100 MiB, if somebody has made it to take as much as can be; one with weights in
/// `f32` takes about 6 times its size.
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
    /// #     &*bytes.leak()
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
    /// | `.keras`, with the feature `keras` | what `keras.saving.load_model` of Keras 3 reads, predicts the same with and goes on training: the layers, the weights, how the model is trained and the optimizer's state. In single precision, and without the count of epochs, on which the order of the samples depends |
    /// | `.onnx` | with the feature `onnx`, what [`predict`](Model::predict) computes, in `f32`, for onnxruntime and others ([ONNX](https://onnx.ai), operators of version 17): from `input: [N, ..]` to `output: [N, ..]`, for any number `N` of samples, with the channels last as in the model. Layers that work in training alone are left out; there are no operators for a layer of your own. A `LayerNormalization` with `rms_scaling`, more than 2000 layers and names of more than 4 KiB are written for others, but not read back |
    ///
    /// Weights keep their precision where nothing else is said. The [`history`](Model::history) is not written.
    ///
    /// # Errors
    /// When the ending is another, the file cannot be written, it is none of ONNX and [`load_model`] would not read it (it reads 10,000 layers, and
    /// 16 MiB of names and arguments), or a layer, a loss, a metric, an optimizer or a schedule of your own does not tell its arguments.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = match path.extension().and_then(OsStr::to_str) {
            Some("safetensors") => native::bytes(self)?,
            #[cfg(feature = "keras")]
            Some("keras") => keras::bytes(self)?,
            #[cfg(feature = "onnx")]
            Some("onnx") => onnx::bytes(self)?,
            _ => {
                let message = format!(
                    "the ending of {} says no format; .safetensors does, with the feature keras .keras, and with onnx .onnx",
                    path.display()
                );
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
        #[cfg(feature = "keras")]
        bytes if keras::is(bytes) => keras::parse(bytes, registry),
        // ONNX has no mark; the version of its messages is what a file begins with.
        #[cfg(feature = "onnx")]
        [0x08, 1..0x80, ..] => onnx::parse(bytes),
        _ => Err(
            "it is of no format that is known; models are read from safetensors, with the feature keras from .keras and .h5, and \
             with onnx from ONNX"
                .to_owned(),
        ),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io(path, error))
}
