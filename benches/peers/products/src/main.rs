//! The matrix product on one thread: ours, that of the crate `matrixmultiply` and that of the crate `gemm`.
//!
//! The first three sizes are products of the reference model: its second convolution by im2col for one sample and for 64, and
//! the dense layer. Each program runs in turn with the others; the median of its runs counts.

use std::{hint::black_box, time::Instant};

use cornu::{
    Tensor,
    kernels::gemm::{Gemm, Matrix},
};
use gemm::Parallelism;

/// How often each runs.
const ROUNDS: usize = 301;

/// Each run makes so many operations, at least, that the clock is fine enough.
const FLOPS: usize = 20_000_000;

type Product = fn([usize; 3], &[f32], &[f32], &mut [f32]);

const PRODUCTS: [(&str, Product); 3] = [("cornu", by_cornu), ("matrixmultiply", by_matrixmultiply), ("gemm", by_gemm)];

fn main() {
    println!("GFLOP/s         {}", PRODUCTS.map(|(name, _)| format!("{name:>16}")).concat());
    for size in [[121, 288, 64], [7744, 288, 64], [64, 1600, 10], [512, 512, 512]] {
        let speeds = measure(size).map(|speed| format!("{:16.1}", speed / 1e9)).concat();
        println!("{:16}{speeds}", size.map(|n| n.to_string()).join("x"));
    }
}

/// Operations a second.
fn measure(size: [usize; 3]) -> [f64; 3] {
    let [m, k, n] = size;
    let random = |len: usize, seed| Tensor::<f32>::random_uniform([len], -1.0, 1.0, seed).into_data();
    let (a, b, mut y) = (random(m * k, 0), random(k * n, 1), vec![0.0; m * n]);
    let flops = 2 * m * k * n;
    let repeats = FLOPS.div_ceil(flops);
    let mut seconds = PRODUCTS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, product), seconds) in PRODUCTS.iter().zip(&mut seconds) {
            let start = Instant::now();
            for _ in 0..repeats {
                product(size, black_box(&a), black_box(&b), black_box(&mut y));
            }
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        (repeats * flops) as f64 / seconds[ROUNDS / 2]
    })
}

fn by_cornu([m, k, n]: [usize; 3], a: &[f32], b: &[f32], y: &mut [f32]) {
    f32::gemm(Matrix::new(a, m, k), Matrix::new(b, k, n), false, y, n);
}

fn by_matrixmultiply([m, k, n]: [usize; 3], a: &[f32], b: &[f32], y: &mut [f32]) {
    assert_eq!([a.len(), b.len(), y.len()], [m * k, k * n, m * n]);
    let (k_stride, n_stride) = (k as isize, n as isize);
    let (a, b, y) = (a.as_ptr(), b.as_ptr(), y.as_mut_ptr());
    // SAFETY: the slices are as long as these row-major matrices.
    unsafe { matrixmultiply::sgemm(m, k, n, 1.0, a, k_stride, 1, b, n_stride, 1, 0.0, y, n_stride, 1) }
}

fn by_gemm([m, k, n]: [usize; 3], a: &[f32], b: &[f32], y: &mut [f32]) {
    assert_eq!([a.len(), b.len(), y.len()], [m * k, k * n, m * n]);
    let (k_stride, n_stride, serial) = (k as isize, n as isize, Parallelism::None);
    // Column strides come before row strides, and `alpha` is the factor of what `y` held.
    let (y, a, b) = (y.as_mut_ptr(), a.as_ptr(), b.as_ptr());
    // SAFETY: the slices are as long as these row-major matrices.
    unsafe {
        gemm::gemm(
            m, n, k, y, 1, n_stride, false, a, 1, k_stride, b, 1, n_stride, 0.0, 1.0, false, false, false, serial,
        )
    }
}
