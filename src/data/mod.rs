//! Data: batches of samples, file formats and data sets.

mod batches;
pub mod datasets;
pub mod idx;

pub(crate) use batches::shuffle;
pub use batches::{Input, Targets};
