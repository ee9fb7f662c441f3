//! [`Finish`]: from sums to what is stored.

use super::{
    quantize::{LEVELS, to_byte},
    tile::{NR, Sums},
};
use crate::kernels::simd::vectorized;

/// What becomes of a sum: `min(max(sum * scale[f] + shift[f], low), high)`, for a byte rounded to the nearest, to even on a tie.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    scale: Vec<[f32; NR]>,
    shift: Vec<[f32; NR]>,
    low: f32,
    high: f32,
}

impl Finish {
    /// A scale and a shift for each filter. The scales must be at least 0, so that the largest sum gives the largest result.
    pub fn new(scale: &[f32], shift: &[f32], [low, high]: [f32; 2]) -> Self {
        assert!(scale.len() == shift.len() && scale.iter().all(|&scale| scale >= 0.0), "a scale for each filter");
        let padded = |values: &[f32]| {
            let part = |values: &[f32]| {
                let mut padded = [0.0; NR];
                padded[..values.len()].copy_from_slice(values);
                padded
            };
            values.chunks(NR).map(part).collect()
        };
        Finish { scale: padded(scale), shift: padded(shift), low, high }
    }

    /// Overwrites `columns <= NR` columns of `y`, whose rows are `stride` apart, with the results of the largest of every `join` sums.
    /// `part` says which columns, counted in [`NR`].
    pub(super) fn store<O: Output>(
        &self,
        part: usize,
        sums: &[Sums],
        join: usize,
        y: &mut [O],
        stride: usize,
        columns: usize,
    ) {
        let (scale, shift, low, high) = (&self.scale[part], &self.shift[part], self.low, self.high);
        vectorized(
            #[inline(always)]
            || {
                for (sums, y) in sums.chunks_exact(join).zip(y.chunks_mut(stride)) {
                    let mut largest = sums[0];
                    for sums in &sums[1..] {
                        for (largest, sum) in largest.iter_mut().zip(sums) {
                            *largest = (*largest).max(*sum);
                        }
                    }
                    let mut results = [O::default(); NR];
                    for (j, result) in results.iter_mut().enumerate() {
                        *result = O::of(largest[j] as f32 * scale[j] + shift[j], low, high);
                    }
                    if columns == NR {
                        y[..NR].copy_from_slice(&results);
                    } else {
                        y[..columns].copy_from_slice(&results[..columns]);
                    }
                }
            },
        );
    }
}

/// What sums become: bytes for the next layer, or numbers.
pub trait Output: Copy + Default {
    /// The number between two bounds.
    fn of(x: f32, low: f32, high: f32) -> Self;
}

impl Output for u8 {
    /// The bounds are bytes from 0 to 127.
    #[inline(always)]
    fn of(x: f32, low: f32, high: f32) -> u8 {
        debug_assert!(low >= 0.0 && high <= f32::from(LEVELS));
        to_byte(x, low, high)
    }
}

impl Output for f32 {
    #[inline(always)]
    fn of(x: f32, low: f32, high: f32) -> f32 {
        x.max(low).min(high)
    }
}
