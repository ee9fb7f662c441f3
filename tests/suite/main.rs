//! What a user of the crate sees, one module a subject. One program, since each would compile the crate's generic code again.

#[cfg(feature = "cli")]
mod cli;
mod dataset;
mod datasets;
mod errors;
mod files;
mod gradients;
mod interrupted;
#[cfg(feature = "keras")]
mod keras;
#[cfg(feature = "keras")]
mod keras_hostile;
mod metrics;
mod model;
#[cfg(feature = "numpy")]
mod numpy;
#[cfg(feature = "onnx")]
mod onnx;
mod optimizers;
#[cfg(feature = "plot")]
mod plot;
mod quantized;
mod surgery;
#[cfg(all(feature = "torch", feature = "numpy"))]
mod torch;
mod training;
mod weights;
