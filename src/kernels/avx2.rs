//! The register tile for AVX2 and FMA: 6 rows of 2 vectors of 8, 12 of the 16 registers.

use std::arch::x86_64::{__m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps};

use super::{
    microkernel::{self, Row},
    tile::{Steps, Strided, Tile},
};

const ROWS: usize = 6;

/// It needs AVX2 and FMA.
pub const TILE: Tile<f32> = Tile { rows: ROWS, column, peak };

/// See [`ColumnFn`](super::tile::ColumnFn).
#[target_feature(enable = "avx2,fma")]
unsafe fn column(
    rows: usize,
    a: Strided<*const f32>,
    steps: &Steps,
    b: *const f32,
    init: *const f32,
    c: Strided<*mut f32>,
) {
    // SAFETY: the contract is passed on unchanged.
    unsafe { microkernel::column::<[__m256; 2], ROWS>(rows, a, steps, b, init, c) }
}

/// See [`PeakFn`](super::tile::PeakFn).
#[target_feature(enable = "avx2,fma")]
unsafe fn peak(steps: usize) -> usize {
    // SAFETY: the contract is passed on unchanged.
    unsafe { microkernel::peak::<[__m256; 2], ROWS>(steps) }
}

impl Row for [__m256; 2] {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: 16 elements are readable, says the contract.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: 16 elements are writable, says the contract.
        unsafe {
            _mm256_storeu_ps(to, self[0]);
            _mm256_storeu_ps(to.add(8), self[1]);
        }
    }

    #[inline(always)]
    unsafe fn add_product(self, factor: f32, row: Self) -> Self {
        // SAFETY: the CPU has AVX2 and FMA, says the contract.
        unsafe {
            let factor = _mm256_set1_ps(factor);
            [_mm256_fmadd_ps(factor, row[0], self[0]), _mm256_fmadd_ps(factor, row[1], self[1])]
        }
    }
}
