//! The register tile: the innermost loop of every product that has a hand-written kernel.
//!
//! A tile computes a few rows by [`NR`] columns of a product `C += A B`,
//!
//! ```text
//! C[r][j] += sum over steps k of A[r][k] B[k][j]        r < rows, j < NR
//! ```
//!
//! with all of C in registers. The steps are a nest of three loops with strides in A and in B, and row `r` of A starts where the
//! caller says. This is enough for a convolution and both its gradients to read their operands where they are,
//! without im2col: the nest walks the taps of a window for the output, the pixels of a batch for the gradient to the kernel,
//! and the filters for the gradient to the input.
//!
//! The additions of an element are made one after the other in the order of the steps, each fused with its multiplication,
//! whatever tile it is in. So the bits depend neither on how a batch is cut nor on which of the tiles the CPU has.

/// The most rows of any tile.
pub const MAX_ROWS: usize = 12;
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

/// A register tile for one kind of CPU.
#[derive(Clone, Copy, Debug)]
pub struct Tile<T> {
    /// The most rows of a tile, at most [`MAX_ROWS`].
    pub rows: usize,
    /// A tile whose rows stand anywhere.
    pub scattered: ScatteredFn<T>,
    /// Tiles below each other, whose rows are a constant distance apart.
    pub column: ColumnFn<T>,
}

/// Computes a tile of `rows` rows: `C = init + A B`, where `init: [NR]` is added to every row, or, when it is null,
/// `C += A B`.
///
/// # Safety
/// `rows` must lie in `1..=Tile::rows`. For each row `r < rows` and each step, `a[r]` plus the step's offset in A must be readable, and so must
/// be [`NR`] elements at `b` plus its offset in B. `c[r]` must be readable and writable for `NR` elements that overlap neither A
/// nor B, and rows of C must not overlap. `init`, unless null, must be readable for `NR` elements. The CPU must have the features
/// of the kernel.
pub type ScatteredFn<T> = unsafe fn(
    rows: usize,
    a: &[*const T; MAX_ROWS],
    steps: &Steps,
    b: *const T,
    init: *const T,
    c: &[*mut T; MAX_ROWS],
);

/// Computes any number of `rows` by [`NR`] columns, tile by tile.
///
/// # Safety
/// As for [`ScatteredFn`].
pub type ColumnFn<T> =
    unsafe fn(rows: usize, a: Strided<*const T>, steps: &Steps, b: *const T, init: *const T, c: Strided<*mut T>);

/// Rows a constant distance apart: row `r` starts at `start + r * stride`.
#[derive(Clone, Copy, Debug)]
pub struct Strided<P> {
    /// The first row.
    pub start: P,
    /// How many elements further the next one is.
    pub stride: usize,
}

/// Numbers that may have a hand-written tile.
///
/// # Safety
/// Safe code runs the tile that is given here, so it must be sound on this CPU whenever the contract of [`ScatteredFn`] is kept.
pub unsafe trait HasTile: Sized {
    /// The fastest tile that this CPU can run; `None` when products go through `matrixmultiply`.
    fn tile() -> Option<Tile<Self>>;
}

// SAFETY: there is no tile.
unsafe impl HasTile for f64 {
    fn tile() -> Option<Tile<f64>> {
        None
    }
}

// SAFETY: the tile asks for nothing but AVX2 and FMA, which the CPU has.
unsafe impl HasTile for f32 {
    fn tile() -> Option<Tile<f32>> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Some(super::avx2::TILE);
        }
        None
    }
}
