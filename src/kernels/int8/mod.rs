//! Convolutions and dense layers of 8-bit integers, for prediction.
//!
//! A real number `x` is held as the byte `q`, `x = scale * (q - zero)`, where `0 <= q <= 127`; a weight as the signed byte
//! `w`, `scale[f] * w`, with a scale for each filter `f`. So a sum of products of real numbers is a sum of products of integers:
//!
//! ```text
//! sum of x * weight = scale * scale[f] * (sum of q * w  -  zero * sum of w)
//! ```
//!
//! The integers are added in 32 bits. What lies behind the `-` depends on the weights alone, and is where the sum begins.
//! A bias, the scale of the output, its zero and a relu are one multiplication, one addition and two comparisons of `f32` at the end
//! ([`Finish`]). Integers can be added in any order, and the four operations are rounded as IEEE 754 says, so the results are the same bits on every
//! CPU.
//!
//! Bytes have 7 bits so that the products of AVX2, which adds two of them in 16 bits, cannot overflow there:
//! `2 * 127 * 128 < 2^15`.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod conv;
mod finish;
mod microkernel;
mod pool;
mod portable;
mod quantize;
#[cfg(test)]
mod tests;
mod tile;

use crate::kernels::tile::NR;
pub use conv::{Conv, Scratch, Weights};
pub use finish::{Finish, Output};
pub use pool::max_pool;
pub use quantize::{LEVELS, Quantizer};
pub use tile::Tile;
use tile::{GROUP, STEP};

/// The bytes that may be read beyond the last one of an image: four are read at a time.
pub const SLACK: usize = 3;

/// The most products that one sum may have, so that 32 bits hold it.
pub const MAX_PRODUCTS: usize = i32::MAX as usize / (127 * 128);
