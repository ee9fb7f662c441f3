//! Pure functions on slices: the arithmetic below the layers.
//!
//! A kernel knows no layer and no tensor. It cannot fail: its caller has checked the sizes, and a size that does not
//! fit is a bug of the caller, which panics. All `unsafe` code of the crate lives here.
//!
//! Images are channels-last, `[n, h, w, c]`, and the kernels of a convolution `[kh, kw, cin / groups, cout]`, as in
//! Keras.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod batch_norm;
pub mod conv;
pub mod conv_direct;
pub mod conv_im2col;
pub mod conv_winograd;
pub mod dense;
pub mod depthwise;
pub mod gemm;
mod im2col;
pub mod int8;
mod microkernel;
#[cfg(test)]
mod naive;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod normalized_pool;
mod panel;
pub mod pool;
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod portable;
pub mod reduce;
pub mod simd;
#[cfg(target_arch = "x86_64")]
mod sse2;
pub mod strided;
mod taps;
#[cfg(test)]
mod tests;
pub mod tile;
mod window;
mod winograd_transforms;

pub use window::Window;

/// Through which pass a layer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// From the input to the output.
    Forward,
    /// From the gradient to the output, to the gradients to the input and to the weights.
    Backward,
}
