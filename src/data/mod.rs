//! Data.

mod batches;

pub(crate) use batches::shuffle;
pub use batches::{Input, Targets};
