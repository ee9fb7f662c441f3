//! The register tile for AVX-512: 10 rows of one vector of 16.
//!
//! The vectors would allow 30 rows. But each multiply-add reads its factor from memory, so of 2 loads a cycle the rows of A take
//! nearly all, and what else is loaded costs time: B once a step, and, beyond 10 rows, the pointers to rows for which there is no
//! general register left. 10 rows take 11 loads, 5.5 cycles for 5 cycles of arithmetic on CPUs that make 2 multiply-adds of 16 a
//! cycle; 12 take 16 loads, 8 cycles for 6. It is also more than the 8 chains that hide the latency of 4 cycles.

use std::arch::x86_64::{__m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps};

use super::{
    microkernel::{self, Row},
    tile::{Steps, Strided, Tile},
};

const ROWS: usize = 10;

/// It needs AVX-512F.
pub const TILE: Tile<f32> = Tile { rows: ROWS, column, peak };

/// See [`ColumnFn`](super::tile::ColumnFn).
#[target_feature(enable = "avx512f")]
unsafe fn column(
    rows: usize,
    a: Strided<*const f32>,
    steps: &Steps,
    b: *const f32,
    init: *const f32,
    c: Strided<*mut f32>,
) {
    // SAFETY: the contract is passed on unchanged.
    unsafe { microkernel::column::<__m512, ROWS>(rows, a, steps, b, init, c) }
}

/// See [`PeakFn`](super::tile::PeakFn).
#[target_feature(enable = "avx512f")]
unsafe fn peak(steps: usize) -> usize {
    // SAFETY: the contract is passed on unchanged.
    unsafe { microkernel::peak::<__m512, ROWS>(steps) }
}

impl Row for __m512 {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: 16 elements are readable, says the contract.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: 16 elements are writable, says the contract.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn add_product(self, factor: f32, row: Self) -> Self {
        // SAFETY: the CPU has AVX-512F, says the contract.
        unsafe { _mm512_fmadd_ps(_mm512_set1_ps(factor), row, self) }
    }
}
