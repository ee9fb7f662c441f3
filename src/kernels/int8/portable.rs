//! The tile of integers for any CPU, as loops that the compiler makes vectors of.

use std::array;

use super::{
    microkernel::{self, Row},
    tile::{GROUP, NR, Tile},
};

pub const TILE: Tile = Tile { name: "portable", column: microkernel::column::<[i32; NR], 2> };

impl Row for [i32; NR] {
    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: 16 numbers are readable, says the contract. A panel of bytes need not be aligned as numbers are.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: 16 numbers are writable, says the contract.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn add_products(self, bytes: i32, weights: Self) -> Self {
        let bytes: [i32; GROUP] = bytes.to_ne_bytes().map(i32::from);
        array::from_fn(|j| {
            let weights = weights[j].to_ne_bytes();
            (0..GROUP).fold(self[j], |sum, i| sum.wrapping_add(bytes[i] * i32::from(weights[i] as i8)))
        })
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        array::from_fn(|j| self[j].max(other[j]))
    }
}
