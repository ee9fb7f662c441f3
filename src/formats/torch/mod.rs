//! Weights of PyTorch: [`Model::load_torch`].

mod layout;
mod mapping;
mod pickle;
mod report;
mod state_dict;

use std::path::Path;

use self::state_dict::StateDict;
pub use self::{
    mapping::TorchMapping,
    report::{Assigned, TorchReport},
};
use crate::{Error, Model, Result, Scalar};

impl<T: Scalar> Model<T> {
    /// Replaces all weights by those of a model of PyTorch with the same layers: of a file that `torch.save(model.state_dict(), path)` has
    /// written, or of safetensors with PyTorch's names. It gives a report of which tensor went where, which prints as a table.
    ///
    /// ```no_run
    /// use cornu::prelude::*;
    ///
    /// let mut model = Sequential::new([28, 28, 1])
    ///     .add(Conv2D::new(32, 3).activation(Activation::Relu))
    ///     .add(BatchNormalization::new().epsilon(1e-5))
    ///     .add(MaxPooling2D::new(2))
    ///     .add(Flatten::new())
    ///     .add(Dense::new(10).activation(Activation::Softmax))
    ///     .build()?;
    /// println!("{}", model.load_torch("mnist.pt")?);
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// Modules and layers with weights are paired by their order and their shapes: in order if all fit so, and otherwise each layer takes
    /// the first module left that fits. A file of safetensors has no order, so modules that fit the same layer must differ in numbers only,
    /// as `conv1` and `conv2` do. [`load_torch_with`](Model::load_torch_with) is told what cannot be guessed.
    ///
    /// Weights are turned as PyTorch's images are, which have their channels first:
    ///
    /// | PyTorch | cornu |
    /// | --- | --- |
    /// | `Conv2d.weight [o, i, h, w]`, `Conv1d.weight [o, i, k]` | `kernel (h, w, i, o)`, `(k, i, o)` |
    /// | the same with `groups=c`, `[c * m, 1, h, w]` | `DepthwiseConv2D`: `kernel (h, w, c, m)` |
    /// | two `Conv2d`, the first with `groups=c, bias=False`, the second 1x1 | `SeparableConv2D` |
    /// | `ConvTranspose2d.weight [i, o, h, w]` | `kernel (h, w, o, i)` |
    /// | `Linear.weight [out, in]` | `kernel (in, out)` |
    /// | `weight`, `bias`, `running_mean`, `running_var` of a `BatchNorm` | `gamma`, `beta`, `moving_mean`, `moving_variance` |
    /// | `weight`, `bias` of a `LayerNorm` | `gamma`, `beta` |
    /// | `Embedding.weight`, `PReLU.weight` | `embeddings`, `alpha` |
    ///
    /// The features that a `Flatten` makes of an image, or a `Reshape` makes an image of, are in another order there, too, and so are the
    /// weights of the layers next to them.
    ///
    /// What is no weight must be the same in both. Where their defaults differ: the `epsilon` of `BatchNormalization` and
    /// `LayerNormalization` is 1e-3, PyTorch's 1e-5, and to go on training, PyTorch's `momentum` of 0.1 is one of 0.9; where a
    /// convolution has strides, `padding=1` of PyTorch is a [`ZeroPadding2D`](crate::layers::ZeroPadding2D) before it and not
    /// [`Padding::Same`](crate::layers::Padding::Same).
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, refers to what a `state_dict` does not need (nothing in a file is ever run), or its modules
    /// do not fit the layers one to one; then no weight has changed.
    pub fn load_torch(&mut self, path: impl AsRef<Path>) -> Result<TorchReport> {
        self.load_torch_with(path, &TorchMapping::default())
    }

    /// [`load_torch`](Model::load_torch) with what it cannot guess.
    ///
    /// ```no_run
    /// # use cornu::prelude::*;
    /// # let mut model = Sequential::new([8]).add(Dense::new(6)).build()?;
    /// let mapping = TorchMapping::new().within("model").map("stem.conv", "conv2d").ignore("auxiliary").keep("dense");
    /// println!("{}", model.load_torch_with("checkpoint.pt", &mapping)?);
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load_torch`](Model::load_torch), and when there is no module or layer of a name in `mapping`.
    pub fn load_torch_with(&mut self, path: impl AsRef<Path>, mapping: &TorchMapping) -> Result<TorchReport> {
        let path = path.as_ref();
        let bytes = super::read(path)?;
        let (params, report) = weights(self, &bytes, mapping)
            .map_err(|message| Error::format(path, format!("{message}; no weight was changed")))?;
        self.set_params(&params);
        Ok(report)
    }
}

/// The weights of the model, as [`Model::params`], in a file.
pub(super) fn weights<T: Scalar>(
    model: &Model<T>,
    bytes: &[u8],
    mapping: &TorchMapping,
) -> Result<(Vec<T>, TorchReport), String> {
    mapping.apply(model, &StateDict::parse(bytes, mapping.within.as_deref())?)
}

/// The first few of some names, for an error.
fn few(names: impl ExactSizeIterator<Item = String>) -> String {
    const FEW: usize = 8;
    let more = names.len().saturating_sub(FEW);
    let shown = names.take(FEW).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
