//! The definitions of the kernels, written as loops: slow and plainly right, the referee of the fast kernels.
//!
//! All are in `f64`, whatever the fast kernel computes in. Shapes are those of the fast kernels.

use super::{Window, conv::Conv, pool::Pool};

/// The convolution: `y: [n, oh, ow, cout]`.
pub fn forward(conv: &Conv, n: usize, x: &[f64], kernel: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let bias_of = |y: usize| bias.map_or(0.0, |bias| bias[y % conv.filters]);
    let mut sum: Vec<f64> = (0..n * conv.output_len()).map(bias_of).collect();
    for_each_product(conv, n, |ix, ik, iy| sum[iy] += x[ix] * kernel[ik]);
    sum
}

/// Adds the gradient to the kernel to `dkernel`.
pub fn kernel_gradient(conv: &Conv, n: usize, x: &[f64], dy: &[f64], dkernel: &mut [f64]) {
    for_each_product(conv, n, |ix, ik, iy| dkernel[ik] += x[ix] * dy[iy]);
}

/// The gradient to the input: `dx: [n, h, w, cin]`.
pub fn input_gradient(conv: &Conv, n: usize, kernel: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; n * conv.input_len()];
    for_each_product(conv, n, |ix, ik, iy| sum[ix] += kernel[ik] * dy[iy]);
    sum
}

/// Calls `visit(ix, ik, iy)` for each product `x[ix] * kernel[ik]` that is a term of `y[iy]`.
pub fn for_each_product(conv: &Conv, n: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let Conv { window, channels, filters, groups } = *conv;
    let ([h, w], [oh, ow], [kh, kw]) = (window.input, window.output, window.kernel);
    let (cin, cout) = (channels / groups, filters / groups);
    for sample in 0..n {
        for oy in 0..oh {
            for ox in 0..ow {
                for ky in 0..kh {
                    for kx in 0..kw {
                        let Some([y, x]) = pixel(&window, [oy, ox], [ky, kx]) else {
                            continue;
                        };
                        for group in 0..groups {
                            for c in 0..cin {
                                for f in group * cout..(group + 1) * cout {
                                    visit(
                                        ((sample * h + y) * w + x) * channels + group * cin + c,
                                        ((ky * kw + kx) * cin + c) * filters + f,
                                        ((sample * oh + oy) * ow + ox) * filters + f,
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The pixel that a tap reads at an output; `None` in the padding.
fn pixel(window: &Window, output: [usize; 2], tap: [usize; 2]) -> Option<[usize; 2]> {
    let at = |axis: usize| {
        let moved = output[axis] * window.strides[axis] + tap[axis] * window.dilation[axis];
        let pixel = moved as isize - window.padding[axis] as isize;
        (0..window.input[axis] as isize).contains(&pixel).then_some(pixel as usize)
    };
    Some([at(0)?, at(1)?])
}

/// For each output of a pooling the places in `x` that it reads, with the numbers of their taps.
fn windows(pool: &Pool, n: usize) -> Vec<Vec<(usize, usize)>> {
    let Pool { window, channels } = *pool;
    let ([h, w], [oh, ow], [kh, kw]) = (window.input, window.output, window.kernel);
    let mut windows = Vec::new();
    for sample in 0..n {
        for oy in 0..oh {
            for ox in 0..ow {
                for c in 0..channels {
                    let mut reads = Vec::new();
                    for ky in 0..kh {
                        for kx in 0..kw {
                            if let Some([y, x]) = pixel(&window, [oy, ox], [ky, kx]) {
                                reads.push((((sample * h + y) * w + x) * channels + c, ky * kw + kx));
                            }
                        }
                    }
                    windows.push(reads);
                }
            }
        }
    }
    windows
}

/// The maxima, and the number of the tap where each stands first. The maximum of nothing is minus infinity, at tap 0.
pub fn max(pool: &Pool, n: usize, x: &[f64]) -> (Vec<f64>, Vec<u32>) {
    let first_maximum = |reads: Vec<(usize, usize)>| {
        let mut reads = reads.into_iter().map(|(ix, tap)| (x[ix], tap as u32));
        let first = reads.next().unwrap_or((f64::NEG_INFINITY, 0));
        let beats = |x: f64, best: f64| x > best || (x.is_nan() && !best.is_nan());
        reads.fold(first, |best, read| if beats(read.0, best.0) { read } else { best })
    };
    windows(pool, n).into_iter().map(first_maximum).unzip()
}

/// The gradient of [`max`].
pub fn max_gradient(pool: &Pool, n: usize, dy: &[f64], winners: &[u32]) -> Vec<f64> {
    let mut dx = vec![0.0; n * pool.window.pixels() * pool.channels];
    for (iy, reads) in windows(pool, n).into_iter().enumerate() {
        for (ix, tap) in reads {
            if winners[iy] as usize == tap {
                dx[ix] += dy[iy];
            }
        }
    }
    dx
}

/// The means. The mean of nothing is 0.
pub fn average(pool: &Pool, n: usize, x: &[f64]) -> Vec<f64> {
    let mean = |reads: Vec<(usize, usize)>| {
        let sum: f64 = reads.iter().map(|&(ix, _)| x[ix]).sum();
        sum / reads.len().max(1) as f64
    };
    windows(pool, n).into_iter().map(mean).collect()
}

/// The gradient of [`average`].
pub fn average_gradient(pool: &Pool, n: usize, dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; n * pool.window.pixels() * pool.channels];
    for (iy, reads) in windows(pool, n).into_iter().enumerate() {
        for &(ix, _) in &reads {
            dx[ix] += dy[iy] / reads.len() as f64;
        }
    }
    dx
}

/// The matrix product `A B`, `[m, n]`. `A: [m, k]`, `B: [k, n]`.
pub fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for l in 0..k {
            for j in 0..n {
                c[i * n + j] += a[i * k + l] * b[l * n + j];
            }
        }
    }
    c
}

/// The transpose of `A: [m, n]`, `[n, m]`.
pub fn transpose<T: Copy>(a: &[T], [m, n]: [usize; 2]) -> Vec<T> {
    (0..n).flat_map(|j| (0..m).map(move |i| a[i * n + j])).collect()
}
