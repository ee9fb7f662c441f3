//! Pure functions on slices: the arithmetic below the layers.
//!
//! A kernel knows no layer and no tensor. It cannot fail: its caller has checked the sizes, and a size that does not
//! fit is a bug of the caller, which panics. All `unsafe` code of the crate lives here.

pub mod gemm;
