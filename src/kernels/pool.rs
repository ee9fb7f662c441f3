//! Pooling: the maximum or the mean of the pixels in a window, for each channel.

use num_traits::Float;

use super::Window;

/// The sizes of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The window that is pooled.
    pub window: Window,
    /// The channels.
    pub channels: usize,
}

impl Pool {
    /// Calls `visit(input, output, tap, taps)` for each tap that lies in the image: where the channels of its pixel
    /// start, where those of its output start, its number, and how many taps of that output lie in the image. An
    /// output's last tap comes first.
    #[inline]
    fn for_each_tap(&self, n: usize, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let window = &self.window;
        let ([oh, ow], [_, kw]) = (window.output, window.kernel);
        for sample in 0..n {
            for oy in 0..oh {
                let down = window.taps_inside(0, oy);
                for ox in 0..ow {
                    let across = window.taps_inside(1, ox);
                    let taps = down.len() * across.len();
                    let output = ((sample * oh + oy) * ow + ox) * self.channels;
                    for ky in down.clone().rev() {
                        let iy = oy * window.strides[0] + ky * window.dilation[0] - window.padding[0];
                        for kx in across.clone().rev() {
                            let ix = ox * window.strides[1] + kx * window.dilation[1] - window.padding[1];
                            let input = ((sample * window.input[0] + iy) * window.input[1] + ix) * self.channels;
                            visit(input, output, ky * kw + kx, taps);
                        }
                    }
                }
            }
        }
    }

    fn samples<T>(&self, y: &[T]) -> usize {
        y.len() / (self.window.outputs() * self.channels)
    }
}

/// The maximum: overwrites `y: [n, oh, ow, c]` and `winners`, as long, with the number `ky * kw + kx` of the tap that
/// won; a tie goes to the first. A NaN wins. `x: [n, h, w, c]`.
pub fn max<T: Float>(pool: &Pool, x: &[T], y: &mut [T], winners: &mut [u32]) {
    y.fill(T::neg_infinity());
    winners.fill(0);
    let c = pool.channels;
    pool.for_each_tap(pool.samples(y), |input, output, tap, _| {
        let (x, y, winners) = (&x[input..][..c], &mut y[output..][..c], &mut winners[output..][..c]);
        for ((&x, y), winner) in x.iter().zip(y).zip(winners) {
            // The first tap comes last and wins a tie. Even the minus infinity that all begins with has to be beaten, or
            // its winner could lie in the padding.
            let wins = x >= *y || x.is_nan();
            *y = if wins { x } else { *y };
            *winner = if wins { tap as u32 } else { *winner };
        }
    });
}

/// The gradient of [`max`]: overwrites `dx: [n, h, w, c]`; a winner gets the gradient `dy` of its output.
pub fn max_gradient<T: Float>(pool: &Pool, dy: &[T], winners: &[u32], dx: &mut [T]) {
    dx.fill(T::zero());
    let c = pool.channels;
    pool.for_each_tap(pool.samples(dy), |input, output, tap, _| {
        let (dx, dy, winners) = (&mut dx[input..][..c], &dy[output..][..c], &winners[output..][..c]);
        for ((dx, &dy), &winner) in dx.iter_mut().zip(dy).zip(winners) {
            *dx = *dx + if winner == tap as u32 { dy } else { T::zero() };
        }
    });
}

/// The mean over the taps that lie in the image: overwrites `y: [n, oh, ow, c]`. `x: [n, h, w, c]`.
pub fn average<T: Float>(pool: &Pool, x: &[T], y: &mut [T]) {
    y.fill(T::zero());
    let c = pool.channels;
    pool.for_each_tap(pool.samples(y), |input, output, _, taps| {
        let share = reciprocal::<T>(taps);
        for (y, &x) in y[output..][..c].iter_mut().zip(&x[input..][..c]) {
            *y = *y + x * share;
        }
    });
}

/// The gradient of [`average`]: overwrites `dx: [n, h, w, c]`.
pub fn average_gradient<T: Float>(pool: &Pool, dy: &[T], dx: &mut [T]) {
    dx.fill(T::zero());
    let c = pool.channels;
    pool.for_each_tap(pool.samples(dy), |input, output, _, taps| {
        let share = reciprocal::<T>(taps);
        for (dx, &dy) in dx[input..][..c].iter_mut().zip(&dy[output..][..c]) {
            *dx = *dx + dy * share;
        }
    });
}

fn reciprocal<T: Float>(count: usize) -> T {
    T::one() / T::from(count).expect("a number of taps is a float")
}
