//! What reads and writes models.

pub(crate) mod archive;
#[cfg(any(feature = "torch", feature = "numpy"))]
mod dtype;
#[cfg(any(feature = "torch", feature = "numpy"))]
mod entries;
#[cfg(feature = "numpy")]
pub mod numpy;
#[cfg(feature = "torch")]
pub mod torch;
pub(crate) mod weights;
