//! What reads and writes models.

pub(crate) mod archive;
mod weights;
