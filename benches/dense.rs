//! The products of a dense layer, on all threads. Throughput is in FLOP.

use std::{hint::black_box, time::Duration};

use cornu::{Tensor, kernels::dense};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn benches(c: &mut Criterion) {
    for [rows, features, units] in [[64, 1600, 10], [64, 784, 512], [64, 4096, 4096]] {
        bench(c, rows, [features, units]);
    }
}

fn bench(c: &mut Criterion, rows: usize, sizes: [usize; 2]) {
    let [features, units] = sizes;
    let random = |len: usize, seed| Tensor::<f32>::random_uniform([len], -1.0, 1.0, seed).into_data();
    let (mut x, mut y) = (random(rows * features, 0), random(rows * units, 1));
    let (kernel, bias) = (random(features * units, 2), random(units, 3));
    let mut dkernel = vec![0.0; kernel.len()];

    let mut group = c.benchmark_group(format!("dense {rows}x{features}x{units}"));
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements((2 * rows * features * units) as u64));
    group.bench_function("forward", |b| {
        b.iter(|| dense::forward(black_box(&x), black_box(&kernel), Some(&bias), sizes, black_box(&mut y), |_| {}));
    });
    group.bench_function("kernel gradient", |b| {
        b.iter(|| dense::kernel_gradient(black_box(&x), black_box(&y), sizes, black_box(&mut dkernel)));
    });
    group.bench_function("input gradient", |b| {
        b.iter(|| dense::input_gradient(black_box(&kernel), black_box(&y), sizes, black_box(&mut x)));
    });
    group.finish();
}

criterion_group!(dense_benches, benches);
criterion_main!(dense_benches);
