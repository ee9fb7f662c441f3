//! Data: file formats.

mod atomic;
pub mod idx;
