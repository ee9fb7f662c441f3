//! The register tile for AVX2 and FMA: 6 rows of 2 vectors of 8, 12 of the 16 registers.

use std::arch::x86_64::{_mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps};
use std::array;

use super::tile::{MAX_ROWS, Steps, Strided, Tile};

const ROWS: usize = 6;

/// Both functions need AVX2 and FMA.
pub const TILE: Tile<f32> = Tile { rows: ROWS, scattered, column };

/// See [`ScatteredFn`](super::tile::ScatteredFn).
#[target_feature(enable = "avx2,fma")]
unsafe fn scattered(
    rows: usize,
    a: &[*const f32; MAX_ROWS],
    steps: &Steps,
    b: *const f32,
    init: *const f32,
    c: &[*mut f32; MAX_ROWS],
) {
    // SAFETY: the contract is passed on unchanged.
    unsafe {
        match rows {
            1 => tile::<1>(array::from_fn(|r| a[r]), steps, b, init, array::from_fn(|r| c[r])),
            2 => tile::<2>(array::from_fn(|r| a[r]), steps, b, init, array::from_fn(|r| c[r])),
            3 => tile::<3>(array::from_fn(|r| a[r]), steps, b, init, array::from_fn(|r| c[r])),
            4 => tile::<4>(array::from_fn(|r| a[r]), steps, b, init, array::from_fn(|r| c[r])),
            5 => tile::<5>(array::from_fn(|r| a[r]), steps, b, init, array::from_fn(|r| c[r])),
            _ => tile::<6>(array::from_fn(|r| a[r]), steps, b, init, array::from_fn(|r| c[r])),
        }
    }
}

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
    let mut done = 0;
    while done < rows {
        // Tiles as equal as can be: a small last one would waste its time waiting for itself.
        let left = rows - done;
        let take = left.div_ceil(left.div_ceil(ROWS));
        // SAFETY: rows `done..done + take` are among those of the contract.
        unsafe {
            let a = Strided { start: a.start.add(done * a.stride), ..a };
            let c = Strided { start: c.start.add(done * c.stride), ..c };
            match take {
                1 => below::<1>(a, steps, b, init, c),
                2 => below::<2>(a, steps, b, init, c),
                3 => below::<3>(a, steps, b, init, c),
                4 => below::<4>(a, steps, b, init, c),
                5 => below::<5>(a, steps, b, init, c),
                _ => below::<6>(a, steps, b, init, c),
            }
        }
        done += take;
    }
}

/// A tile whose rows are a constant distance apart.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn below<const ROWS: usize>(
    a: Strided<*const f32>,
    steps: &Steps,
    b: *const f32,
    init: *const f32,
    c: Strided<*mut f32>,
) {
    // SAFETY: the contract is passed on; its rows are readable, and so within one allocation.
    unsafe {
        let c = array::from_fn(|r| c.start.add(r * c.stride));
        tile::<ROWS>(array::from_fn(|r| a.start.add(r * a.stride)), steps, b, init, c);
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn tile<const ROWS: usize>(
    a: [*const f32; ROWS],
    steps: &Steps,
    b: *const f32,
    init: *const f32,
    c: [*mut f32; ROWS],
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
