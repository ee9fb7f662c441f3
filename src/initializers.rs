//! How weights start.

use crate::{Scalar, Shape, rng::Rng};

/// How a weight starts, as in `keras.initializers`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All `value`.
    Constant(f64),
}

impl Initializer {
    /// Whether the arguments lie in their ranges; if not, which does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Overwrites `values`, a weight of `shape`.
    pub(crate) fn fill<T: Scalar>(&self, _shape: Shape, _rng: &mut Rng, values: &mut [T]) {
        values.fill(T::zero());
    }
}
