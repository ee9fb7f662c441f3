//! Data: batches of samples, data sets that are larger than the memory, file formats and data sets to download.

mod batches;
pub mod dataset;
pub mod datasets;
pub mod idx;
#[cfg(feature = "image")]
mod image_folder;
#[cfg(feature = "image")]
mod image_input;
mod order;
mod prefetch;
mod tensor_dataset;
mod unpacked;

pub use batches::{Input, Targets};
pub use dataset::{Batch, Dataset, OwnedInput, OwnedTargets};
#[cfg(feature = "image")]
pub use image_folder::ImageFolder;
#[cfg(feature = "image")]
pub use image_input::{ColorMode, ImageInput};
pub(crate) use order::Order;
pub(crate) use prefetch::prefetch;
pub use tensor_dataset::TensorDataset;

/// How many samples are predicted or trained on at a time by default, as in Keras.
pub const DEFAULT_BATCH_SIZE: usize = 32;
