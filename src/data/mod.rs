//! Data: file formats and data sets.

mod atomic;
pub mod datasets;
pub mod idx;
