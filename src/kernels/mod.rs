//! Pure functions on slices: the arithmetic below the layers.
//!
//! A kernel knows no layer and no tensor. It cannot fail: its caller has checked the sizes, and a size that does not
//! fit is a bug of the caller, which panics. All `unsafe` code of the crate lives here.
//!
//! Images are channels-last, `[n, h, w, c]`, and the kernels of a convolution `[kh, kw, cin / groups, cout]`, as in
//! Keras.

pub mod conv;
pub mod dense;
pub mod gemm;
pub mod im2col;
#[cfg(test)]
mod naive;
pub mod pool;
pub mod reduce;
#[cfg(test)]
mod tests;
mod window;

pub use window::Window;
