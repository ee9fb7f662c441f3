//! The tile of integers for AVX-512 with VNNI: one instruction multiplies four bytes of all columns and adds them to their sums.

use std::arch::x86_64::{
    __m512i, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_max_epi32, _mm512_set1_epi32, _mm512_storeu_si512,
};

use super::{
    microkernel::{self, Row},
    tile::{Steps, Tile},
};

/// It needs AVX-512F and AVX-512 VNNI.
pub const TILE: Tile = Tile { name: "AVX-512 VNNI", column };

/// See [`ColumnFn`](super::tile::ColumnFn). As many rows as the tile of `f32` has, for the same reasons.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn column(
    rows: usize,
    a: (*const u8, usize),
    steps: &Steps,
    panel: *const i8,
    init: *const i32,
    sums: *mut i32,
    join: bool,
) {
    // SAFETY: the contract is passed on unchanged.
    unsafe { microkernel::column::<__m512i, 10>(rows, a, steps, panel, init, sums, join) }
}

impl Row for __m512i {
    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: 16 numbers are readable, says the contract.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: 16 numbers are writable, says the contract.
        unsafe { _mm512_storeu_si512(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn add_products(self, bytes: i32, weights: Self) -> Self {
        // SAFETY: the CPU has AVX-512 VNNI, says the contract.
        unsafe { _mm512_dpbusd_epi32(self, _mm512_set1_epi32(bytes), weights) }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the CPU has AVX-512F, says the contract.
        unsafe { _mm512_max_epi32(self, other) }
    }
}
