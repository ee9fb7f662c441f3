//! Max pooling of bytes.

use crate::kernels::{pool::Pool, simd::vectorized};

/// Overwrites `y: [n, oh, ow, c]` with the largest byte of each window of `x: [n, h, w, c]`; 0 where a window sees no pixel.
///
/// # Panics
/// If `x` and `y` are not as long as the sizes say.
pub fn max_pool(pool: &Pool, x: &[u8], y: &mut [u8]) {
    pool.check(x, y);
    let (window, c) = (&pool.window, pool.channels);
    let ([_, w], [_, ow]) = (window.input, window.output);
    vectorized(
        #[inline(always)]
        || {
            for (x, y) in x.chunks_exact(window.pixels() * c).zip(y.chunks_exact_mut(window.outputs() * c)) {
                for (i, y) in y.chunks_exact_mut(c).enumerate() {
                    y.fill(0);
                    let (oy, ox) = (i / ow, i % ow);
                    for line in window.taps_inside(0, oy).filter_map(|tap| window.pixel(0, oy, tap)) {
                        for column in window.taps_inside(1, ox).filter_map(|tap| window.pixel(1, ox, tap)) {
                            for (y, &x) in y.iter_mut().zip(&x[(line * w + column) * c..][..c]) {
                                *y = (*y).max(x);
                            }
                        }
                    }
                }
            }
        },
    );
}
