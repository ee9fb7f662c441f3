//! Pooling: the maximum or the mean of the pixels in a window, for each channel.

use std::ops::Range;

use num_traits::{Float, Zero};

use super::{Window, simd::vectorized};

/// Channels that are pooled at a time, in registers.
pub(super) const LANES: usize = 16;

/// The sizes of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The window that is pooled.
    pub window: Window,
    /// The channels.
    pub channels: usize,
}

/// The taps of one output that lie in the image.
#[derive(Clone)]
pub(super) struct Taps {
    down: Range<usize>,
    across: Range<usize>,
    /// The width of the window.
    kw: usize,
    /// Where the channels of tap `(0, 0)`, which may lie in the padding, would start; it wraps below 0 then.
    origin: usize,
    /// How far the taps are apart.
    line_stride: usize,
    pixel_stride: usize,
}

impl Taps {
    fn count(&self) -> usize {
        self.down.len() * self.across.len()
    }

    /// For each tap, the last first, where its channels start, and its number `ky * kw + kx`.
    #[inline(always)]
    pub(super) fn for_each(&self, mut visit: impl FnMut(usize, u32)) {
        for ky in self.down.clone().rev() {
            for kx in self.across.clone().rev() {
                let input = self.origin.wrapping_add(ky * self.line_stride).wrapping_add(kx * self.pixel_stride);
                visit(input, (ky * self.kw + kx) as u32);
            }
        }
    }
}

impl Pool {
    /// # Panics
    /// If `x: [n, h, w, c]` and `y: [n, oh, ow, c]` are not as long as these sizes say.
    pub(super) fn check<T>(&self, x: &[T], y: &[T]) {
        let (input, output) = (self.window.pixels() * self.channels, self.window.outputs() * self.channels);
        let n = x.len() / input;
        assert_eq!(x.len(), n * input, "a whole number of samples");
        assert_eq!(y.len(), n * output, "as many outputs as samples");
    }

    /// Calls `visit` with the taps of each output and where its channels start.
    #[inline(always)]
    pub(super) fn for_each_output(&self, outputs: usize, visit: impl FnMut(Taps, usize)) {
        // Constants, so that the compiler unrolls the loops over the taps of this most common window.
        match self.window.kernel == [2, 2] && self.window.is_packed() {
            true => self.for_each_window(outputs, |_, _| 0..2, 2, visit),
            false => self.for_each_window(
                outputs,
                |axis, output| self.window.taps_inside(axis, output),
                self.window.kernel[1],
                visit,
            ),
        }
    }

    /// [`for_each_output`](Pool::for_each_output) for windows of `kw` taps across, of which those in `inside` lie in the image.
    #[inline(always)]
    fn for_each_window(
        &self,
        outputs: usize,
        inside: impl Fn(usize, usize) -> Range<usize>,
        kw: usize,
        mut visit: impl FnMut(Taps, usize),
    ) {
        let (window, c) = (&self.window, self.channels);
        let [oh, ow] = window.output;
        let pixel = |axis: usize, output: usize| (output * window.strides[axis]).wrapping_sub(window.padding[axis]);
        for sample in 0..outputs / (window.outputs() * c) {
            for oy in 0..oh {
                let down = inside(0, oy);
                let line = pixel(0, oy).wrapping_add(sample * window.input[0]).wrapping_mul(window.input[1]);
                for ox in 0..ow {
                    let taps = Taps {
                        down: down.clone(),
                        across: inside(1, ox),
                        kw,
                        origin: line.wrapping_add(pixel(1, ox)).wrapping_mul(c),
                        line_stride: window.dilation[0] * window.input[1] * c,
                        pixel_stride: window.dilation[1] * c,
                    };
                    visit(taps, ((sample * oh + oy) * ow + ox) * c);
                }
            }
        }
    }
}

/// The maximum: overwrites `y: [n, oh, ow, c]`, and `winners`, as long, with the number `ky * kw + kx` of the tap that
/// won; prediction needs none. A tie goes to the first tap. A NaN wins. `x: [n, h, w, c]`.
pub fn max<T: Float>(pool: &Pool, x: &[T], y: &mut [T], winners: Option<&mut [u32]>) {
    pool.check(x, y);
    match winners {
        Some(winners) => maxima(pool, x, Plain, y, |at, taps| winners[at..][..taps.len()].copy_from_slice(taps)),
        None => maxima(pool, x, Plain, y, |_, _| {}),
    }
}

/// What is pooled, made of `N` channels of a pixel, from `channel` on.
pub(super) trait Map<T>: Copy {
    fn map<const N: usize>(self, x: [T; N], channel: usize) -> [T; N];
}

/// The pixel as it is.
#[derive(Clone, Copy)]
struct Plain;

impl<T> Map<T> for Plain {
    #[inline(always)]
    fn map<const N: usize>(self, x: [T; N], _: usize) -> [T; N] {
        x
    }
}

#[inline(always)]
pub(super) fn maxima<T: Float>(
    pool: &Pool,
    x: &[T],
    map: impl Map<T>,
    y: &mut [T],
    mut keep: impl FnMut(usize, &[u32]),
) {
    vectorized(
        #[inline(always)]
        || {
            pool.for_each_output(
                y.len(),
                #[inline(always)]
                |taps, output| {
                    let (lanes, rest) = y[output..][..pool.channels].as_chunks_mut::<LANES>();
                    let first = lanes.len() * LANES;
                    for (i, y) in lanes.iter_mut().enumerate() {
                        let (best, winners) = max_of::<T, u32, LANES>(&taps, x, map, i * LANES, number);
                        *y = best;
                        keep(output + i * LANES, &winners);
                    }
                    for (i, y) in rest.iter_mut().enumerate() {
                        let ([best], winner) = max_of::<T, u32, 1>(&taps, x, map, first + i, number);
                        *y = best;
                        keep(output + first + i, &winner);
                    }
                },
            );
        },
    );
}

/// The number of a tap, for `N` channels.
#[inline(always)]
pub(super) fn number<T, const N: usize>(tap: u32, _: [T; N]) -> [u32; N] {
    [tap; N]
}

/// The maxima of `N` channels from `channel` on, and what `of` tells of the taps that win, by their number and their `x`.
#[inline(always)]
pub(super) fn max_of<T: Float, W: Copy + Zero, const N: usize>(
    taps: &Taps,
    x: &[T],
    map: impl Map<T>,
    channel: usize,
    of: impl Fn(u32, [T; N]) -> [W; N],
) -> ([T; N], [W; N]) {
    let (mut best, mut winner) = ([T::neg_infinity(); N], [W::zero(); N]);
    taps.for_each(
        #[inline(always)]
        |input, tap| {
            let pixel = lanes::<T, N>(&x[input..], channel);
            let (x, of_tap) = (map.map(pixel, channel), of(tap, pixel));
            // A loop for each array, so that the compiler makes vectors of them.
            let mut wins = [false; N];
            for i in 0..N {
                // The first tap comes last and wins a tie. Even the minus infinity that all begins with has to be beaten, or
                // its winner could lie in the padding.
                wins[i] = (x[i] >= best[i]) | x[i].is_nan();
            }
            for i in 0..N {
                best[i] = if wins[i] { x[i] } else { best[i] };
            }
            for i in 0..N {
                winner[i] = if wins[i] { of_tap[i] } else { winner[i] };
            }
        },
    );
    (best, winner)
}

/// `N` channels of a pixel, from `channel` on.
#[inline(always)]
pub(super) fn lanes<T: Copy, const N: usize>(pixel: &[T], channel: usize) -> [T; N] {
    *pixel[channel..].first_chunk().expect("a pixel has all channels")
}

/// The gradient of [`max`]: overwrites `dx: [n, h, w, c]`; a winner gets the gradient `dy` of its output.
pub fn max_gradient<T: Float>(pool: &Pool, dy: &[T], winners: &[u32], dx: &mut [T]) {
    pool.check(dx, dy);
    if pool.window.is_tiling() {
        return scatter(pool, dy, winners, dx, |dx, gradient| *dx = gradient);
    }
    dx.fill(T::zero());
    scatter(pool, dy, winners, dx, |dx, gradient| *dx = *dx + gradient);
}

/// Gives each tap of each output its gradient: that of the output to the winner, 0 to the others.
#[inline(always)]
fn scatter<T: Float>(pool: &Pool, dy: &[T], winners: &[u32], dx: &mut [T], give: impl Fn(&mut T, T)) {
    vectorized(
        #[inline(always)]
        || {
            pool.for_each_output(
                dy.len(),
                #[inline(always)]
                |taps, output| {
                    let (dy, winners) = (&dy[output..][..pool.channels], &winners[output..][..pool.channels]);
                    taps.for_each(
                        #[inline(always)]
                        |input, tap| {
                            let dx = &mut dx[input..][..pool.channels];
                            for ((dx, &dy), &winner) in dx.iter_mut().zip(dy).zip(winners) {
                                give(dx, if winner == tap { dy } else { T::zero() });
                            }
                        },
                    );
                },
            );
        },
    );
}

/// The mean over the taps that lie in the image: overwrites `y: [n, oh, ow, c]`. `x: [n, h, w, c]`.
pub fn average<T: Float>(pool: &Pool, x: &[T], y: &mut [T]) {
    pool.check(x, y);
    y.fill(T::zero());
    vectorized(
        #[inline(always)]
        || {
            pool.for_each_output(
                y.len(),
                #[inline(always)]
                |taps, output| {
                    let share = reciprocal::<T>(taps.count());
                    let y = &mut y[output..][..pool.channels];
                    taps.for_each(
                        #[inline(always)]
                        |input, _| {
                            for (y, &x) in y.iter_mut().zip(&x[input..][..pool.channels]) {
                                *y = *y + x * share;
                            }
                        },
                    );
                },
            );
        },
    );
}

/// The gradient of [`average`]: overwrites `dx: [n, h, w, c]`.
pub fn average_gradient<T: Float>(pool: &Pool, dy: &[T], dx: &mut [T]) {
    pool.check(dx, dy);
    dx.fill(T::zero());
    vectorized(
        #[inline(always)]
        || {
            pool.for_each_output(
                dy.len(),
                #[inline(always)]
                |taps, output| {
                    let share = reciprocal::<T>(taps.count());
                    let dy = &dy[output..][..pool.channels];
                    taps.for_each(
                        #[inline(always)]
                        |input, _| {
                            for (dx, &dy) in dx[input..][..pool.channels].iter_mut().zip(dy) {
                                *dx = *dx + dy * share;
                            }
                        },
                    );
                },
            );
        },
    );
}

fn reciprocal<T: Float>(count: usize) -> T {
    T::one() / T::from(count).expect("a number of taps is a float")
}
