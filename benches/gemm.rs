//! The matrix product on one thread. Throughput is in FLOP; `benches/peers/products` compares it with others.
//!
//! The first three sizes are products of the reference model: its second convolution by im2col for one sample and for 64, and
//! the dense layer.

use std::{hint::black_box, time::Duration};

use cornu::{
    Tensor,
    kernels::gemm::{Gemm, Matrix},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn benches(c: &mut Criterion) {
    for size in [[121, 288, 64], [7744, 288, 64], [64, 1600, 10], [512, 512, 512]] {
        bench(c, size);
    }
}

fn bench(c: &mut Criterion, [m, k, n]: [usize; 3]) {
    let random = |len: usize, seed| Tensor::<f32>::random_uniform([len], -1.0, 1.0, seed).into_data();
    let (a, b, mut y) = (random(m * k, 0), random(k * n, 1), vec![0.0; m * n]);

    let mut group = c.benchmark_group(format!("gemm {m}x{k}x{n}"));
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements((2 * m * k * n) as u64));
    group.bench_function("f32", |bench| {
        bench.iter(|| {
            let (a, b) = (Matrix::new(black_box(&a), m, k), Matrix::new(black_box(&b), k, n));
            f32::gemm(a, b, false, black_box(&mut y), n);
        });
    });
    group.finish();
}

criterion_group!(gemm_benches, benches);
criterion_main!(gemm_benches);
