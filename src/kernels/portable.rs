//! The register tile for CPUs without one of their own, as loops that the compiler makes vectors of. Its bits are those of the tile for
//! SSE2, since it has no fused multiply-add either.

use std::array;

use super::{
    microkernel::{self, Row},
    tile::{NR, Tile},
};

const ROWS: usize = 2;

pub const TILE: Tile<f32> =
    Tile { rows: ROWS, column: microkernel::column::<[f32; NR], ROWS>, peak: microkernel::peak::<[f32; NR], ROWS> };

impl Row for [f32; NR] {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: 16 elements are readable, says the contract; an array of them is aligned as they are.
        unsafe { from.cast::<Self>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: 16 elements are writable, says the contract; an array of them is aligned as they are.
        unsafe { to.cast::<Self>().write(self) }
    }

    #[inline(always)]
    unsafe fn add_product(self, factor: f32, row: Self) -> Self {
        array::from_fn(|i| self[i] + factor * row[i])
    }
}
