//! cornu: convolutional networks on CPUs.
#![warn(missing_docs)]

pub mod activations;
pub mod data;
mod error;
pub mod gradcheck;
pub mod initializers;
pub mod kernels;
mod labels;
pub mod layers;
pub mod losses;
pub mod metrics;
pub mod model;
pub mod optimizers;
pub mod params;
pub mod prelude;
pub mod rng;
mod scalar;
mod shape;
pub mod tensor;

pub use activations::Activation;
pub use data::datasets;
pub use error::{Error, Result};
pub use initializers::Initializer;
pub use labels::Labels;
pub use metrics::Metric;
pub use model::{Fit, History, Model, Score, Sequential};
pub use scalar::Scalar;
pub use shape::{MAX_RANK, Shape};
pub use tensor::Tensor;
