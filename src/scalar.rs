//! The numbers that a model computes with: `f32`, and `f64` for checks of gradients.

use std::{
    fmt::{Debug, Display},
    iter::Sum,
    ops::{AddAssign, DivAssign, MulAssign, SubAssign},
};

use num_traits::Float;

use crate::{
    kernels::{gemm::Gemm, tile::HasTile},
    layers::erased::{DynLayer, Erased},
    optimizers::erased::{DynOptimizer, ErasedOptimizer},
};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// A floating-point number that tensors and models hold: `f32` or `f64`.
///
/// The trait is sealed. `f32` is the default everywhere; `f64` exists so that gradients can be checked by finite
/// differences.
pub trait Scalar:
    sealed::Sealed
    + Float
    + Gemm
    + HasTile
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
    + Default
    + Debug
    + Display
    + Send
    + Sync
    + 'static
{
    /// The nearest number of this type.
    fn of(value: f64) -> Self;

    /// This number as an `f64`, exactly.
    fn as_f64(self) -> f64;

    /// The layer's methods for this type.
    #[doc(hidden)]
    fn methods(layer: &dyn DynLayer) -> &dyn Erased<Self>;

    /// The optimizer's step for this type.
    #[doc(hidden)]
    fn optimizer(optimizer: &dyn DynOptimizer) -> &dyn ErasedOptimizer<Self>;
}

impl Scalar for f32 {
    fn of(value: f64) -> f32 {
        value as f32
    }

    fn as_f64(self) -> f64 {
        self.into()
    }

    fn methods(layer: &dyn DynLayer) -> &dyn Erased<f32> {
        layer
    }

    fn optimizer(optimizer: &dyn DynOptimizer) -> &dyn ErasedOptimizer<f32> {
        optimizer
    }
}

impl Scalar for f64 {
    fn of(value: f64) -> f64 {
        value
    }

    fn as_f64(self) -> f64 {
        self
    }

    fn methods(layer: &dyn DynLayer) -> &dyn Erased<f64> {
        layer
    }

    fn optimizer(optimizer: &dyn DynOptimizer) -> &dyn ErasedOptimizer<f64> {
        optimizer
    }
}
