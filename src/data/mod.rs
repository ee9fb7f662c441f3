//! Data: batches of samples, file formats and data sets.

mod atomic;
mod batches;
pub mod datasets;
pub mod idx;
mod unpacked;

pub(crate) use batches::shuffle;
pub use batches::{Input, Targets};
