//! The matrix product on one thread: ours, that of the crate `matrixmultiply` and that of the crate `gemm`. Throughput is in FLOP.
//!
//! The first three sizes are products of the reference model: its second convolution by im2col for one sample and for 64, and
//! the dense layer.

use std::{hint::black_box, time::Duration};

use cornu::{
    Tensor,
    kernels::gemm::{Gemm, Matrix},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gemm::Parallelism;

fn benches(c: &mut Criterion) {
    for size in [[121, 288, 64], [7744, 288, 64], [64, 1600, 10], [512, 512, 512]] {
        bench(c, size);
    }
}

fn bench(c: &mut Criterion, size: [usize; 3]) {
    let [m, k, n] = size;
    let random = |len: usize, seed| Tensor::<f32>::random_uniform([len], -1.0, 1.0, seed).into_data();
    let (a, b, mut y) = (random(m * k, 0), random(k * n, 1), vec![0.0; m * n]);

    let mut group = c.benchmark_group(format!("gemm {m}x{k}x{n}"));
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements((2 * m * k * n) as u64));
    group.bench_function("cornu", |bench| {
        bench.iter(|| {
            let (a, b) = (Matrix::new(black_box(&a), m, k), Matrix::new(black_box(&b), k, n));
            f32::gemm(a, b, false, black_box(&mut y), n);
        });
    });
    group.bench_function("matrixmultiply", |bench| {
        bench.iter(|| by_matrixmultiply(size, black_box(&a), black_box(&b), black_box(&mut y)));
    });
    group.bench_function("gemm", |bench| {
        bench.iter(|| by_gemm(size, black_box(&a), black_box(&b), black_box(&mut y)));
    });
    group.finish();
}

fn by_matrixmultiply([m, k, n]: [usize; 3], a: &[f32], b: &[f32], y: &mut [f32]) {
    assert_eq!([a.len(), b.len(), y.len()], [m * k, k * n, m * n]);
    let (k_stride, n_stride) = (k as isize, n as isize);
    // SAFETY: the slices are as long as these row-major matrices.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.as_ptr(),
            k_stride,
            1,
            b.as_ptr(),
            n_stride,
            1,
            0.0,
            y.as_mut_ptr(),
            n_stride,
            1,
        );
    }
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
        );
    }
}

criterion_group!(gemm_benches, benches);
criterion_main!(gemm_benches);
