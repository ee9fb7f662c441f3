//! The passes of batch normalization over `x: [rows, c]`, in parallel over fixed blocks of rows, so that the bits do not depend
//! on the threads.

use num_traits::Float;
use rayon::prelude::*;

use super::simd::vectorized;

/// Elements of a block: with those of a second array they fit in the L2 cache.
const BLOCK: usize = 1 << 15;

/// Channels that are summed at a time, in registers.
const LANES: usize = 16;

/// The mean and the (biased) variance of each channel, `[c]`: overwrites both. `partial` is memory to compute in, that grows as needed.
///
/// Both are computed in one pass, from the differences to the first row, which are as small as the spread of the channel: their
/// squares cancel few digits.
pub fn moments<T: Float + Send + Sync>(x: &[T], mean: &mut [T], variance: &mut [T], partial: &mut Vec<T>) {
    let c = mean.len();
    mean.copy_from_slice(&x[..c]);
    sums(x, x, mean, partial, |x, _, center| [x - center, (x - center) * (x - center)]);
    let rows = (x.len() / c) as f64;
    for (j, (mean, variance)) in mean.iter_mut().zip(variance).enumerate() {
        let [first, second] = total(partial, c, j).map(|sum| sum / rows);
        *mean = *mean + of(first);
        // Rounding must not make it negative; a NaN stays.
        let spread = second - first * first;
        *variance = of(if spread < 0.0 { 0.0 } else { spread });
    }
}

/// `sum(dy)` and `sum(dy * (x - mean))` over the rows, for each channel: calls `each` with the channel and its sums.
pub fn gradient_sums<T: Float + Send + Sync>(
    x: &[T],
    dy: &[T],
    mean: &[T],
    partial: &mut Vec<T>,
    mut each: impl FnMut(usize, [f64; 2]),
) {
    sums(x, dy, mean, partial, |x, dy, mean| [dy, dy * (x - mean)]);
    for j in 0..mean.len() {
        each(j, total(partial, mean.len(), j));
    }
}

/// Overwrites `y` with `x * scale + shift`, for each channel.
pub fn affine<T: Float + Send + Sync>(x: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
    let block = rows_of_block(scale.len()) * scale.len();
    y.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(y, x)| {
        vectorized(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(scale.len()).zip(x.chunks_exact(scale.len())) {
                    for (((y, &x), &scale), &shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                        *y = x * scale + shift;
                    }
                }
            },
        );
    });
}

/// Overwrites `dx` with `a dy + b x + shift`, for each channel.
pub fn combine<T: Float + Send + Sync>(dy: &[T], x: &[T], [a, b, shift]: [&[T]; 3], dx: &mut [T]) {
    let c = shift.len();
    let block = rows_of_block(c) * c;
    dx.par_chunks_mut(block).zip(dy.par_chunks(block)).zip(x.par_chunks(block)).for_each(|((dx, dy), x)| {
        vectorized(
            #[inline(always)]
            || {
                for ((dx, dy), x) in dx.chunks_exact_mut(c).zip(dy.chunks_exact(c)).zip(x.chunks_exact(c)) {
                    let factors = a.iter().zip(b).zip(shift);
                    for (((dx, &dy), &x), ((&a, &b), &shift)) in dx.iter_mut().zip(dy).zip(x).zip(factors) {
                        *dx = a * dy + b * x + shift;
                    }
                }
            },
        );
    });
}

fn rows_of_block(c: usize) -> usize {
    (BLOCK / c).max(1)
}

/// Fills `partial: [blocks, 2, c]` with the sums of two terms over the rows of each block.
fn sums<T: Float + Send + Sync>(
    x: &[T],
    dy: &[T],
    center: &[T],
    partial: &mut Vec<T>,
    terms: impl Fn(T, T, T) -> [T; 2] + Sync,
) {
    let c = center.len();
    let rows = x.len() / c;
    assert_eq!((x.len(), dy.len()), (rows * c, rows * c), "whole rows of channels");
    let block = rows_of_block(c);
    partial.clear();
    partial.resize(rows.div_ceil(block) * 2 * c, T::zero());
    let blocks = x.par_chunks(block * c).zip(dy.par_chunks(block * c));
    partial.par_chunks_mut(2 * c).zip(blocks).for_each(|(partial, (x, dy))| {
        let [first, second] = partial.split_at_mut(c).into();
        vectorized(
            #[inline(always)]
            || {
                let whole = c - c % LANES;
                for start in (0..whole).step_by(LANES) {
                    let sums = block_sums::<T, LANES>(x, dy, center, start, &terms);
                    first[start..][..LANES].copy_from_slice(&sums[0]);
                    second[start..][..LANES].copy_from_slice(&sums[1]);
                }
                for j in whole..c {
                    [[first[j]], [second[j]]] = block_sums::<T, 1>(x, dy, center, j, &terms);
                }
            },
        );
    });
}

/// The sums of `N` channels from `start` on.
#[inline(always)]
fn block_sums<T: Float, const N: usize>(
    x: &[T],
    dy: &[T],
    center: &[T],
    start: usize,
    terms: &impl Fn(T, T, T) -> [T; 2],
) -> [[T; N]; 2] {
    let lanes = |row: &[T]| *row[start..].first_chunk::<N>().expect("a row has all channels");
    let (c, center) = (center.len(), lanes(center));
    let (mut first, mut second) = ([T::zero(); N], [T::zero(); N]);
    for (x, dy) in x.chunks_exact(c).zip(dy.chunks_exact(c)) {
        let (x, dy) = (lanes(x), lanes(dy));
        for l in 0..N {
            let [one, two] = terms(x[l], dy[l], center[l]);
            first[l] = first[l] + one;
            second[l] = second[l] + two;
        }
    }
    [first, second]
}

/// The sums of channel `j` over all blocks, in their order.
fn total<T: Float>(partial: &[T], c: usize, j: usize) -> [f64; 2] {
    let sum = |at: usize| partial[at..].iter().step_by(2 * c).map(|sum| sum.to_f64().expect("a float")).sum();
    [sum(j), sum(c + j)]
}

fn of<T: Float>(value: f64) -> T {
    T::from(value).expect("a float")
}
