//! What reads and writes models.

pub(crate) mod archive;
pub(crate) mod weights;
