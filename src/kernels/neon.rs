//! The register tile for NEON, which all of AArch64 has: 6 rows of 4 vectors of 4, 24 of the 32 registers.

use std::{
    arch::aarch64::{float32x4_t, vfmaq_n_f32, vld1q_f32, vst1q_f32},
    array,
};

use super::{
    microkernel::{self, Row},
    tile::Tile,
};

const ROWS: usize = 6;

pub const TILE: Tile<f32> = Tile {
    rows: ROWS,
    column: microkernel::column::<[float32x4_t; 4], ROWS>,
    peak: microkernel::peak::<[float32x4_t; 4], ROWS>,
};

impl Row for [float32x4_t; 4] {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: 16 elements are readable, says the contract.
        array::from_fn(|v| unsafe { vld1q_f32(from.add(4 * v)) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for (v, vector) in self.into_iter().enumerate() {
            // SAFETY: 16 elements are writable, says the contract.
            unsafe { vst1q_f32(to.add(4 * v), vector) };
        }
    }

    #[inline(always)]
    unsafe fn add_product(self, factor: f32, row: Self) -> Self {
        // SAFETY: every AArch64 CPU has NEON.
        array::from_fn(|v| unsafe { vfmaq_n_f32(self[v], row[v], factor) })
    }
}
