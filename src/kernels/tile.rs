//! The register tile: the innermost loop of every product that has a hand-written kernel.
//!
//! A tile computes a few rows by [`NR`] columns of a product `C += A B`,
//!
//! ```text
//! C[r][j] += sum over steps k of A[r][k] B[k][j]        r < rows, j < NR
//! ```
//!
//! with all of C in registers. The steps are a nest of three loops with strides in A and in B, and the rows of A are a constant
//! distance apart. This is enough for a convolution and both its gradients to read their operands where they are,
//! without im2col: the nest walks the taps of a window for the output, the pixels of a batch for the gradient to the kernel,
//! and the filters for the gradient to the input.
//!
//! The additions of an element are made one after the other in the order of the steps, each fused with its multiplication,
//! whatever tile it is in. So the bits do not depend on how a batch is cut, nor on which of the tiles with a fused multiply-add the CPU has.

/// The most rows of any tile.
pub const MAX_ROWS: usize = 10;
/// The columns of a tile.
pub const NR: usize = 16;

/// A nest of three loops, outermost first, and how far each step of a loop moves in A and in B.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// How often each loop runs.
    pub(super) count: [usize; 3],
    /// The strides in A.
    pub(super) a: [usize; 3],
    /// The strides in B.
    pub(super) b: [usize; 3],
    /// How many elements lie between the first step and the one furthest from it, in A and in B; `None` where there is no step.
    pub(super) reach: Option<[usize; 2]>,
}

impl Steps {
    /// Loops that run `count` times each and move by `a` in A and by `b` in B.
    ///
    /// # Panics
    /// When a step lies further than any memory reaches.
    pub fn new(count: [usize; 3], a: [usize; 3], b: [usize; 3]) -> Self {
        let far = |strides: [usize; 3]| {
            let mut loops =
                count.iter().zip(strides).map(|(&count, stride)| count.saturating_sub(1).checked_mul(stride));
            loops.try_fold(0_usize, |sum, distance| sum.checked_add(distance?)).expect("steps within memory")
        };
        let reach = count.iter().all(|&count| count > 0).then(|| [far(a), far(b)]);
        Steps { count, a, b, reach }
    }
}

/// A register tile for one kind of CPU.
#[derive(Clone, Copy, Debug)]
pub struct Tile<T> {
    /// The most rows that it holds in registers, at most [`MAX_ROWS`].
    pub(super) rows: usize,
    /// Computes tiles below each other.
    pub(super) column: ColumnFn<T>,
    /// Computes as fast as the CPU can.
    pub(super) peak: PeakFn,
}

/// Computes any number of `rows` by [`NR`] columns, tile by tile: `C = init + A B`, where `init: [NR]` is added to every row,
/// or, when it is null, `C += A B`.
///
/// # Safety
/// For each row and each step, the start of the row in A plus the step's offset must be readable, and so must be [`NR`] elements at
/// `b` plus its offset in B. Each row of C must be readable and writable for `NR` elements that overlap neither A nor B, and rows of C
/// must not overlap. `init`, unless null, must be readable for `NR` elements. The CPU must have the features of the kernel.
pub type ColumnFn<T> =
    unsafe fn(rows: usize, a: Strided<*const T>, steps: &Steps, b: *const T, init: *const T, c: Strided<*mut T>);

/// Makes multiply-adds on registers alone, enough independent ones that none waits for another, and returns how many floating-point
/// operations they were.
///
/// # Safety
/// The CPU must have the features of the kernel.
pub type PeakFn = unsafe fn(steps: usize) -> usize;

/// Computes for `steps` steps as fast as one core can: multiply-adds of `f32` on registers alone. Returns how many floating-point
/// operations they were, two for each multiply-add; by the time it takes, they are the peak that no product exceeds.
pub fn peak_flops(steps: usize) -> usize {
    let tile = f32::tile().expect("every CPU has a tile for f32");
    // SAFETY: `HasTile` gives a tile that is sound on this CPU.
    unsafe { (tile.peak)(steps) }
}

/// Rows a constant distance apart: row `r` starts at `start + r * stride`.
#[derive(Clone, Copy, Debug)]
pub struct Strided<P> {
    /// The first row.
    pub start: P,
    /// How many elements further the next one is.
    pub stride: usize,
}

/// Numbers that may have a register tile.
///
/// # Safety
/// Safe code runs the tile that is given here, so it must be sound on this CPU whenever the contracts of [`ColumnFn`]
/// and [`PeakFn`] are kept.
pub unsafe trait HasTile: Sized {
    /// The fastest tile that this CPU can run; `None` for `f64`, whose products go through `matrixmultiply`.
    fn tile() -> Option<Tile<Self>>;
}

// SAFETY: there is no tile.
unsafe impl HasTile for f64 {
    fn tile() -> Option<Tile<f64>> {
        None
    }
}

// SAFETY: a tile is given only where the CPU has what it asks for. The last of each architecture asks for what it always has.
unsafe impl HasTile for f32 {
    #[cfg(target_arch = "x86_64")]
    fn tile() -> Option<Tile<f32>> {
        Some(if is_x86_feature_detected!("avx512f") {
            super::avx512::TILE
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            super::avx2::TILE
        } else {
            super::sse2::TILE
        })
    }

    #[cfg(target_arch = "aarch64")]
    fn tile() -> Option<Tile<f32>> {
        Some(super::neon::TILE)
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn tile() -> Option<Tile<f32>> {
        Some(super::portable::TILE)
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use rand::RngExt;

    use super::*;
    use crate::rng;

    const COUNTS: [[usize; 3]; 3] = [[2, 3, 5], [1, 1, 40], [4, 0, 3]];

    /// Where no CPU with AVX-512 is at hand, an emulator does: Bochs has a model of Skylake-X.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_avx512_tile_computes_the_product() {
        if is_x86_feature_detected!("avx512f") {
            check(crate::kernels::avx512::TILE, true);
        } else {
            eprintln!("skipped: this CPU has no AVX-512");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_avx2_tile_computes_the_product() {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            check(crate::kernels::avx2::TILE, true);
        } else {
            eprintln!("skipped: this CPU has no AVX2 and FMA");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_sse2_tile_computes_the_product() {
        check(crate::kernels::sse2::TILE, false);
    }

    #[test]
    fn the_portable_tile_computes_the_product() {
        check(crate::kernels::portable::TILE, false);
    }

    #[cfg(target_arch = "aarch64")]
    #[test]
    fn the_neon_tile_computes_the_product() {
        check(crate::kernels::neon::TILE, true);
    }

    fn check(tile: Tile<f32>, fused: bool) {
        for count in COUNTS {
            for finite in [true, false] {
                for begun in [true, false] {
                    let case = Case::new(count, finite, begun, fused);
                    (1..=30).for_each(|rows| case.check_column(tile, rows));
                }
            }
        }
    }

    #[test]
    fn the_peak_counts_two_operations_for_each_multiply_add() {
        // SAFETY: every CPU can run the portable tile.
        assert_eq!(unsafe { (crate::kernels::portable::TILE.peak)(1000) }, 1000 * 2 * NR * 2, "2 rows of {NR} columns");
        assert_eq!(peak_flops(1000), 1000 * peak_flops(1));
        assert_eq!(peak_flops(1) % (2 * NR), 0, "whole rows");
    }

    /// Operands of a product of up to 30 rows, whose rows of A start less than 100 elements into it.
    struct Case {
        steps: Steps,
        a: Vec<f32>,
        b: Vec<f32>,
        init: Option<Vec<f32>>,
        c: Vec<f32>,
        fused: bool,
    }

    impl Case {
        fn new(count: [usize; 3], finite: bool, begun: bool, fused: bool) -> Self {
            let steps = Steps::new(count, [50, 7, 2], [100, 31, 17]);
            let [last_a, last_b] = [steps.a, steps.b].map(|strides| {
                strides.into_iter().zip(count).map(|(stride, count)| stride * count.saturating_sub(1)).sum::<usize>()
            });
            let mut rng = rng::stream(1, 0, 0, 0);
            let mut random = |len| (0..len).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>();
            let (mut a, mut b) = (random(100 + last_a), random(last_b + NR));
            if !finite {
                (a[9], a[60], b[5], b[last_b + 2]) = (f32::INFINITY, f32::NAN, f32::NEG_INFINITY, f32::INFINITY);
            }
            Case { steps, a, b, init: begun.then(|| random(NR)), c: random(30 * 20), fused }
        }

        fn check_column(&self, tile: Tile<f32>, rows: usize) {
            let places = (0..rows).map(|r| (r * 3, r * 20)).collect::<Vec<_>>();
            let mut c = self.c.clone();
            let a = Strided { start: self.a.as_ptr(), stride: 3 };
            let c_rows = Strided { start: c.as_mut_ptr(), stride: 20 };
            // SAFETY: the caller has asked the CPU; the operands hold all steps of each row.
            unsafe { (tile.column)(rows, a, &self.steps, self.b.as_ptr(), self.init(), c_rows) };
            assert_same(&c, &self.naive(&places), rows);
        }

        fn init(&self) -> *const f32 {
            self.init.as_ref().map_or(ptr::null(), |init| init.as_ptr())
        }

        /// C after the product, whose rows stand at these places in A and in C.
        fn naive(&self, places: &[(usize, usize)]) -> Vec<f32> {
            let mut c = self.c.clone();
            for &(at_a, at_c) in places {
                for j in 0..NR {
                    let sum = &mut c[at_c + j];
                    if let Some(init) = &self.init {
                        *sum = init[j];
                    }
                    for (step_a, step_b) in self.offsets() {
                        let (a, b) = (self.a[at_a + step_a], self.b[step_b + j]);
                        *sum = if self.fused { a.mul_add(b, *sum) } else { *sum + a * b };
                    }
                }
            }
            c
        }

        /// The offsets of the steps in A and in B.
        fn offsets(&self) -> impl Iterator<Item = (usize, usize)> {
            let Steps { count: [outer, middle, inner], a, b, .. } = self.steps;
            (0..outer * middle * inner).map(move |step| {
                let at = [step / inner / middle, step / inner % middle, step % inner];
                let offset = |strides: [usize; 3]| at.iter().zip(strides).map(|(i, stride)| i * stride).sum();
                (offset(a), offset(b))
            })
        }
    }

    /// The same bits, but for those of a NaN, which Rust leaves open.
    fn assert_same(actual: &[f32], expected: &[f32], rows: usize) {
        for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
            let same = actual.to_bits() == expected.to_bits() || actual.is_nan() && expected.is_nan();
            assert!(same, "{rows} rows, element {i} of C: {actual:e} instead of {expected:e}");
        }
    }
}
