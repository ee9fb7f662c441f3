//! What reads and writes models.

pub(crate) mod archive;
#[cfg(feature = "keras")]
pub(crate) mod hdf5;
pub(crate) mod weights;
