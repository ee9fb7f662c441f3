//! What a user of the crate sees, one module a subject. One program, since each would compile the crate's generic code again.

#[cfg(feature = "cli")]
mod cli;
mod dataset;
mod datasets;
mod errors;
mod files;
mod gradients;
mod interrupted;
mod metrics;
mod model;
#[cfg(feature = "numpy")]
mod numpy;
mod optimizers;
#[cfg(feature = "plot")]
mod plot;
mod surgery;
#[cfg(all(feature = "torch", feature = "numpy"))]
mod torch;
mod training;
mod weights;
