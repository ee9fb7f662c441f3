//! Data: batches of samples, file formats and data sets.

mod atomic;
mod batches;
pub mod datasets;
pub mod idx;

pub(crate) use atomic::replace as replace_file;
pub(crate) use batches::shuffle;
pub use batches::{Input, Targets};
