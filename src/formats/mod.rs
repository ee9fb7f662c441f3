//! What reads and writes models.

pub(crate) mod archive;
#[cfg(feature = "onnx")]
pub(crate) mod onnx;
pub(crate) mod weights;
