//! Batch normalization with max pooling behind it, in one pass over `x: [n, h, w, c]` each.
//!
//! The gradient to the normalization's output is 0 but for the winners, and who has won is found again from `x`, which every pass
//! reads anyway: so neither that gradient nor the output itself, each as large as `x`, goes through memory.

use num_traits::Float;

use super::{
    batch_norm::double,
    pool::{LANES, Map, Pool, Taps, lanes, max_of, maxima, number},
    simd::vectorized,
};

/// The normalization and what is behind it: the maximum over windows of `x * scale + shift`, and a relu.
#[derive(Clone, Copy, Debug)]
pub struct NormalizedPool<'a, T> {
    /// The windows, which lie side by side.
    pub pool: &'a Pool,
    /// The factor of each channel.
    pub scale: &'a [T],
    /// What is added to each channel.
    pub shift: &'a [T],
    /// Whether a relu follows.
    pub relu: bool,
}

impl<T: Float> Map<T> for NormalizedPool<'_, T> {
    #[inline(always)]
    fn map<const N: usize>(self, mut x: [T; N], channel: usize) -> [T; N] {
        let (scale, shift) = (lanes::<T, N>(self.scale, channel), lanes::<T, N>(self.shift, channel));
        for i in 0..N {
            x[i] = x[i] * scale[i] + shift[i];
        }
        x
    }
}

/// Groups of channels whose sums are added up in one pass over a sample.
const GROUP: usize = 4;

/// No tap.
const NOBODY: u32 = u32::MAX;

impl<T: Float> NormalizedPool<'_, T> {
    /// Overwrites `y: [n, oh, ow, c]` with the maxima; the relu is the caller's.
    pub fn max(&self, x: &[T], y: &mut [T]) {
        self.pool.check(x, y);
        maxima(self.pool, x, *self, y, |_, _| {});
    }

    /// `sum(dz)` and `sum(dz * (x - mean))` for each channel, where `dz` is the gradient to the normalization's output that follows from
    /// `dy: [n, oh, ow, c]`: calls `each` with the channel and its sums, for each sample.
    pub fn add_gradient_sums(&self, x: &[T], dy: &[T], mean: &[T], mut each: impl FnMut(usize, [f64; 2])) {
        self.pool.check(x, dy);
        let c = self.pool.channels;
        let (inputs, outputs) = (self.pool.window.pixels() * c, self.pool.window.outputs() * c);
        for (x, dy) in x.chunks_exact(inputs).zip(dy.chunks_exact(outputs)) {
            let whole = c - c % LANES;
            for first in (0..whole).step_by(GROUP * LANES) {
                let last = (first + GROUP * LANES).min(whole);
                let mut sums = [[[T::zero(); LANES]; 2]; GROUP];
                vectorized(
                    #[inline(always)]
                    || self.add_sums(x, dy, mean, first, &mut sums[..(last - first) / LANES]),
                );
                for channel in first..last {
                    let i = channel - first;
                    each(channel, sums[i / LANES].map(|sums| double(sums[i % LANES])));
                }
            }
            for channel in whole..c {
                let mut sums = [[[T::zero(); 1]; 2]];
                self.add_sums(x, dy, mean, channel, &mut sums);
                each(channel, sums[0].map(|[sum]| double(sum)));
            }
        }
    }

    /// Overwrites `dx: [n, h, w, c]` with `a dz + b x + shift`, for each channel.
    pub fn gradient(&self, x: &[T], dy: &[T], [a, b, shift]: [&[T]; 3], dx: &mut [T]) {
        self.pool.check(x, dy);
        assert_eq!(x.len(), dx.len(), "a gradient for each number");
        let c = self.pool.channels;
        let whole = c - c % LANES;
        vectorized(
            #[inline(always)]
            || {
                self.pool.for_each_output(
                    dy.len(),
                    #[inline(always)]
                    |taps, output| {
                        for channel in (0..whole).step_by(LANES) {
                            self.gradient_of::<LANES>(&taps, x, &dy[output..], [a, b, shift], dx, channel);
                        }
                        for channel in whole..c {
                            self.gradient_of::<1>(&taps, x, &dy[output..], [a, b, shift], dx, channel);
                        }
                    },
                );
            },
        );
        self.leftover_gradient(x, [b, shift], dx);
    }

    /// The gradient to `N` channels of the pixels of a window.
    #[inline(always)]
    fn gradient_of<const N: usize>(
        &self,
        taps: &Taps,
        x: &[T],
        dy: &[T],
        [a, b, shift]: [&[T]; 3],
        dx: &mut [T],
        channel: usize,
    ) {
        let winner = self.winners::<N>(taps, x, channel);
        let (mut dz, a) = (lanes::<T, N>(dy, channel), lanes::<T, N>(a, channel));
        let (b, shift) = (lanes::<T, N>(b, channel), lanes::<T, N>(shift, channel));
        for i in 0..N {
            dz[i] = a[i] * dz[i];
        }
        taps.for_each(
            #[inline(always)]
            |input, tap| {
                let x = lanes::<T, N>(&x[input..], channel);
                let dx = dx[input + channel..].first_chunk_mut::<N>().expect("a pixel has all channels");
                for i in 0..N {
                    let dz = if winner[i] == tap { dz[i] } else { T::zero() };
                    dx[i] = dz + b[i] * x[i] + shift[i];
                }
            },
        );
    }

    /// The gradient to the pixels that no window covers.
    fn leftover_gradient(&self, x: &[T], [b, shift]: [&[T]; 2], dx: &mut [T]) {
        let ([h, w], [covered_h, covered_w], c) =
            (self.pool.window.input, self.pool.window.covered(), self.pool.channels);
        let lines = x.chunks_exact(w * c).zip(dx.chunks_exact_mut(w * c));
        for (line, (x, dx)) in lines.enumerate() {
            let first = if line % h < covered_h { covered_w * c } else { 0 };
            for (dx, x) in dx[first..].chunks_exact_mut(c).zip(x[first..].chunks_exact(c)) {
                for (((dx, &x), &b), &shift) in dx.iter_mut().zip(x).zip(b).zip(shift) {
                    *dx = b * x + shift;
                }
            }
        }
    }

    /// Adds up over a sample, for groups of `N` channels from `first` on. All channels of a pixel are read before the next pixel is.
    #[inline(always)]
    fn add_sums<const N: usize>(&self, x: &[T], dy: &[T], mean: &[T], first: usize, sums: &mut [[[T; N]; 2]]) {
        self.pool.for_each_output(
            dy.len(),
            #[inline(always)]
            |taps, output| {
                for (group, sums) in sums.iter_mut().enumerate() {
                    let channel = first + group * N;
                    let (best, of_winner) = max_of::<T, T, N>(
                        &taps,
                        x,
                        *self,
                        channel,
                        #[inline(always)]
                        |_, x| x,
                    );
                    let (dy, mean) = (lanes::<T, N>(&dy[output..], channel), lanes::<T, N>(mean, channel));
                    for i in 0..N {
                        // Nobody has won where the relu gives 0.
                        let dz = if !self.relu || best[i] > T::zero() { dy[i] } else { T::zero() };
                        sums[0][i] = sums[0][i] + dz;
                        sums[1][i] = sums[1][i] + dz * (of_winner[i] - mean[i]);
                    }
                }
            },
        );
    }

    /// The taps that win in `N` channels of a window; nobody where the relu gives 0.
    #[inline(always)]
    fn winners<const N: usize>(&self, taps: &Taps, x: &[T], channel: usize) -> [u32; N] {
        let (best, mut winner) = max_of::<T, u32, N>(taps, x, *self, channel, number);
        if self.relu {
            for i in 0..N {
                winner[i] = if best[i] > T::zero() { winner[i] } else { NOBODY };
            }
        }
        winner
    }
}
