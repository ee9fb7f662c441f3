//! The register tile for any x86-64: 2 rows of 4 vectors of 4, 8 of the 16 registers. The others hold a row of B, the factors
//! and the products; with a third row, sums would go through memory.
//!
//! There is no fused multiply-add in SSE2, so its bits are not those of the other tiles.

use std::{
    arch::x86_64::{__m128, _mm_add_ps, _mm_loadu_ps, _mm_mul_ps, _mm_set1_ps, _mm_storeu_ps},
    array,
};

use super::{
    microkernel::{self, Row},
    tile::Tile,
};

const ROWS: usize = 2;

pub const TILE: Tile<f32> = Tile {
    rows: ROWS,
    column: microkernel::column::<[__m128; 4], ROWS>,
    // Without a row of B there is room for a third row of sums, which the latency of a multiplication and an addition needs.
    peak: microkernel::peak::<[__m128; 4], 3>,
};

impl Row for [__m128; 4] {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: 16 elements are readable, says the contract.
        array::from_fn(|v| unsafe { _mm_loadu_ps(from.add(4 * v)) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for (v, vector) in self.into_iter().enumerate() {
            // SAFETY: 16 elements are writable, says the contract.
            unsafe { _mm_storeu_ps(to.add(4 * v), vector) };
        }
    }

    #[inline(always)]
    unsafe fn add_product(self, factor: f32, row: Self) -> Self {
        // SAFETY: every x86-64 CPU has SSE2.
        unsafe {
            let factor = _mm_set1_ps(factor);
            array::from_fn(|v| _mm_add_ps(self[v], _mm_mul_ps(factor, row[v])))
        }
    }
}
