//! What a user of the crate sees, one module a subject. One program, since each would compile the crate's generic code again.

mod dataset;
mod datasets;
mod errors;
mod files;
mod gradients;
mod interrupted;
mod metrics;
mod model;
mod optimizers;
#[cfg(feature = "plot")]
mod plot;
mod quantized;
mod surgery;
mod training;
mod weights;
