//! The tile of integers for AVX-VNNI: one instruction multiplies four bytes of eight columns and adds them to their sums.

use std::arch::x86_64::{__m256i, _mm256_dpbusd_avx_epi32, _mm256_set1_epi32};

use super::{
    microkernel::{self, Row},
    tile::{Steps, Tile},
};

/// It needs AVX2 and AVX-VNNI.
pub const TILE: Tile = Tile { name: "AVX-VNNI", column };

/// See [`ColumnFn`](super::tile::ColumnFn). 12 of the 16 registers hold sums.
#[target_feature(enable = "avx2,avxvnni")]
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
    unsafe { microkernel::column::<Vnni, 6>(rows, a, steps, panel, init, sums, join) }
}

/// The row for AVX2, but for its products.
#[derive(Clone, Copy)]
struct Vnni([__m256i; 2]);

impl Row for Vnni {
    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: the contract is passed on unchanged.
        unsafe { Vnni(Row::load(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: the contract is passed on unchanged.
        unsafe { self.0.store(to) }
    }

    #[inline(always)]
    unsafe fn add_products(self, bytes: i32, weights: Self) -> Self {
        let (Vnni([low, high]), Vnni(weights)) = (self, weights);
        // SAFETY: the CPU has AVX-VNNI, says the contract.
        unsafe {
            let bytes = _mm256_set1_epi32(bytes);
            Vnni([_mm256_dpbusd_avx_epi32(low, bytes, weights[0]), _mm256_dpbusd_avx_epi32(high, bytes, weights[1])])
        }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the contract is passed on unchanged.
        unsafe { Vnni(self.0.max(other.0)) }
    }
}
