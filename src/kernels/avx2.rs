//! The register tile for AVX2 and FMA: 6 rows of 2 vectors of 8, 12 of the 16 registers.

use std::arch::x86_64::{_mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps};

use super::tile::{MR, Steps};

/// See [`TileFn`](super::tile::TileFn).
///
/// # Safety
/// As there; the CPU must have AVX2 and FMA.
pub unsafe fn tile(
    rows: usize,
    a: &[*const f32; MR],
    steps: &Steps,
    b: *const f32,
    init: *const f32,
    c: &[*mut f32; MR],
) {
    // SAFETY: the contract is passed on unchanged.
    unsafe {
        match rows {
            1 => rows_of::<1>(a, steps, b, init, c),
            2 => rows_of::<2>(a, steps, b, init, c),
            3 => rows_of::<3>(a, steps, b, init, c),
            4 => rows_of::<4>(a, steps, b, init, c),
            5 => rows_of::<5>(a, steps, b, init, c),
            _ => rows_of::<6>(a, steps, b, init, c),
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn rows_of<const ROWS: usize>(
    a: &[*const f32; MR],
    steps: &Steps,
    b: *const f32,
    init: *const f32,
    c: &[*mut f32; MR],
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    // SAFETY: `init` or the rows of C are readable for 16 elements, says the contract.
    unsafe {
        for r in 0..ROWS {
            let from = if init.is_null() { c[r].cast_const() } else { init };
            sums[r] = [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))];
        }
    }
    let [outer, middle, inner] = steps.count;
    for i in 0..outer {
        for j in 0..middle {
            let mut at_a = i * steps.a[0] + j * steps.a[1];
            let mut at_b = i * steps.b[0] + j * steps.b[1];
            for _ in 0..inner {
                // SAFETY: these are the offsets of a step, which the contract says are readable: one element for each row
                // of A, 16 for B.
                unsafe {
                    let row = [_mm256_loadu_ps(b.add(at_b)), _mm256_loadu_ps(b.add(at_b + 8))];
                    for r in 0..ROWS {
                        let factor = _mm256_broadcast_ss(&*a[r].add(at_a));
                        sums[r][0] = _mm256_fmadd_ps(factor, row[0], sums[r][0]);
                        sums[r][1] = _mm256_fmadd_ps(factor, row[1], sums[r][1]);
                    }
                }
                at_a += steps.a[2];
                at_b += steps.b[2];
            }
        }
    }
    // SAFETY: the rows of C are writable for 16 elements, says the contract.
    unsafe {
        for r in 0..ROWS {
            _mm256_storeu_ps(c[r], sums[r][0]);
            _mm256_storeu_ps(c[r].add(8), sums[r][1]);
        }
    }
}
