//! The passes of batch normalization over `x: [rows, c]`, a part of a batch.

use num_traits::Float;

use super::simd::vectorized;

/// Elements that are summed in their own precision, before the sums go on in double precision.
const BLOCK: usize = 1 << 15;

/// Channels that are summed at a time, in registers.
const LANES: usize = 16;

/// How many sums [`add_moments`] adds: the rows, and for each channel `sum(x)` and `sum(x^2)`.
pub fn moments_len(c: usize) -> usize {
    1 + 2 * c
}

/// Adds the part's rows, `sum(x)` and `sum(x^2)` to `sums: [1 + 2c]`.
///
/// A block is summed as differences to its first row, which are as small as the spread of a channel. In double precision the squares
/// about zero then lose less than the rounding of an `f32` did.
pub fn add_moments<T: Float>(x: &[T], c: usize, sums: &mut [f64]) {
    sums[0] += (x.len() / c) as f64;
    for x in x.chunks(rows_of_block(c) * c) {
        let (rows, center) = ((x.len() / c) as f64, &x[..c]);
        block_sums(
            x,
            x,
            center,
            |x, _, center| [x - center, (x - center) * (x - center)],
            |j, [first, second]| {
                let center = double(center[j]);
                sums[1 + 2 * j] += first + rows * center;
                sums[2 + 2 * j] += second + center * (2.0 * first + rows * center);
            },
        );
    }
}

/// The rows that were summed.
pub fn rows(sums: &[f64]) -> f64 {
    sums[0]
}

/// The mean and the (biased) variance of channel `j`, if there are sums.
pub fn moments(sums: &[f64], j: usize) -> Option<[f64; 2]> {
    let rows = sums.first()?;
    let [mean, square] = [sums[1 + 2 * j], sums[2 + 2 * j]].map(|sum| sum / rows);
    let variance = square - mean * mean;
    // Rounding must not make it negative; a NaN stays.
    Some([mean, if variance < 0.0 { 0.0 } else { variance }])
}

/// `sum(dy)` and `sum(dy * (x - mean))` over the rows, for each channel: calls `each` with the channel and its sums, for each block.
pub fn add_gradient_sums<T: Float>(x: &[T], dy: &[T], mean: &[T], mut each: impl FnMut(usize, [f64; 2])) {
    let block = rows_of_block(mean.len()) * mean.len();
    for (x, dy) in x.chunks(block).zip(dy.chunks(block)) {
        block_sums(x, dy, mean, |x, dy, mean| [dy, dy * (x - mean)], &mut each);
    }
}

/// Overwrites `y` with `x * scale + shift`, for each channel.
pub fn affine<T: Float>(x: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
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
}

/// Overwrites `dx` with `a dy + b x + shift`, for each channel.
pub fn combine<T: Float>(dy: &[T], x: &[T], [a, b, shift]: [&[T]; 3], dx: &mut [T]) {
    let c = shift.len();
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
}

fn rows_of_block(c: usize) -> usize {
    (BLOCK / c).max(1)
}

/// The sums of two terms over the rows: calls `each` with a channel and its sums.
fn block_sums<T: Float>(
    x: &[T],
    dy: &[T],
    center: &[T],
    terms: impl Fn(T, T, T) -> [T; 2],
    mut each: impl FnMut(usize, [f64; 2]),
) {
    let c = center.len();
    assert_eq!((x.len() % c, dy.len()), (0, x.len()), "whole rows of channels");
    let whole = c - c % LANES;
    for start in (0..whole).step_by(LANES) {
        let mut sums = [[T::zero(); LANES]; 2];
        vectorized(
            #[inline(always)]
            || sums = channel_sums(x, dy, center, start, &terms),
        );
        for (l, (&first, &second)) in sums[0].iter().zip(&sums[1]).enumerate() {
            each(start + l, [first, second].map(double));
        }
    }
    for j in whole..c {
        let [[first], [second]] = channel_sums(x, dy, center, j, &terms);
        each(j, [first, second].map(double));
    }
}

/// The sums of `N` channels from `start` on.
#[inline(always)]
fn channel_sums<T: Float, const N: usize>(
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

pub(super) fn double<T: Float>(value: T) -> f64 {
    value.to_f64().expect("a float")
}
