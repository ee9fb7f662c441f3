//! The tile of integers for AVX2, which multiplies bytes in pairs whose sum it keeps in 16 bits.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_max_epi32,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_storeu_si256,
};

use super::{
    microkernel::{self, Row},
    tile::{Steps, Tile},
};

/// It needs AVX2.
pub const TILE: Tile = Tile { name: "AVX2", column };

/// See [`ColumnFn`](super::tile::ColumnFn). A sum waits for one addition only, so few rows keep the CPU busy.
#[target_feature(enable = "avx2")]
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
    unsafe { microkernel::column::<[__m256i; 2], 5>(rows, a, steps, panel, init, sums, join) }
}

impl Row for [__m256i; 2] {
    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        // SAFETY: 16 numbers are readable, says the contract.
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: 16 numbers are writable, says the contract.
        unsafe {
            _mm256_storeu_si256(to.cast(), self[0]);
            _mm256_storeu_si256(to.add(8).cast(), self[1]);
        }
    }

    #[inline(always)]
    unsafe fn add_products(self, bytes: i32, weights: Self) -> Self {
        // SAFETY: the CPU has AVX2, says the contract.
        unsafe {
            let (bytes, ones) = (_mm256_set1_epi32(bytes), _mm256_set1_epi16(1));
            let pairs = weights.map(|weights| _mm256_maddubs_epi16(bytes, weights));
            let fours = pairs.map(|pairs| _mm256_madd_epi16(pairs, ones));
            [_mm256_add_epi32(self[0], fours[0]), _mm256_add_epi32(self[1], fours[1])]
        }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the CPU has AVX2, says the contract.
        unsafe { [_mm256_max_epi32(self[0], other[0]), _mm256_max_epi32(self[1], other[1])] }
    }
}
