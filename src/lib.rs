//! cornu: convolutional networks on CPUs.
#![warn(missing_docs)]

pub mod activations;
pub mod data;
mod error;
pub mod initializers;
pub mod kernels;
mod labels;
pub mod layers;
pub mod params;
pub mod rng;
mod scalar;
mod shape;
pub mod tensor;

pub use activations::Activation;
pub use data::datasets;
pub use error::{Error, Result};
pub use initializers::Initializer;
pub use labels::Labels;
pub use scalar::Scalar;
pub use shape::{MAX_RANK, Shape};
pub use tensor::Tensor;
