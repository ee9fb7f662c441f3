//! The register tile: the innermost loop of every product that has a hand-written kernel.
//!
//! A tile computes `MR` rows by `NR` columns of a product `C += A B`,
//!
//! ```text
//! C[r][j] += sum over steps k of A[r][k] B[k][j]        r < rows <= MR, j < NR
//! ```
//!
//! with all of C in registers. Row `r` of A starts at a pointer of its own, and the steps are a nest of three loops with
//! strides in A and in B. This is enough for a convolution and both its gradients to read their operands where they are,
//! without im2col: the nest walks the taps of a window for the output, the pixels of a batch for the gradient to the kernel,
//! and the filters for the gradient to the input.
//!
//! The additions of an element are made one after the other in the order of the steps, whatever tile it is in, so the bits
//! do not depend on how a batch is cut.

/// The most rows of a tile.
pub const MR: usize = 6;
/// The columns of a tile.
pub const NR: usize = 16;

/// A nest of three loops, outermost first, and how far each step of a loop moves in A and in B.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// How often each loop runs.
    pub count: [usize; 3],
    /// The strides in A.
    pub a: [usize; 3],
    /// The strides in B.
    pub b: [usize; 3],
}

/// Computes a tile of `rows` rows, from 1 to [`MR`]: `C = init + A B`, where `init: [NR]` is added to every row, or, when it
/// is null, `C += A B`.
///
/// # Safety
/// `rows` must lie in `1..=MR`. For each row `r < rows` and each step, `a[r]` plus the step's offset in A must be readable, and so must be [`NR`]
/// elements at `b` plus its offset in B. `c[r]` must be readable and writable for `NR` elements that overlap neither A nor B,
/// and rows of C must not overlap. `init`, unless null, must be readable for `NR` elements. The CPU must have the features
/// of the kernel.
pub type TileFn<T> =
    unsafe fn(rows: usize, a: &[*const T; MR], steps: &Steps, b: *const T, init: *const T, c: &[*mut T; MR]);

/// Numbers that may have a hand-written tile.
///
/// # Safety
/// Safe code runs the tile that is given here, so it must be sound on this CPU whenever the contract of [`TileFn`] is kept.
pub unsafe trait Tile: Sized {
    /// The fastest tile that this CPU can run; `None` when products go through `matrixmultiply`.
    fn tile() -> Option<TileFn<Self>>;
}

// SAFETY: there is no tile.
unsafe impl Tile for f64 {
    fn tile() -> Option<TileFn<f64>> {
        None
    }
}

// SAFETY: the tile asks for nothing but AVX2 and FMA, which the CPU has.
unsafe impl Tile for f32 {
    fn tile() -> Option<TileFn<f32>> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Some(super::avx2::tile);
        }
        None
    }
}
