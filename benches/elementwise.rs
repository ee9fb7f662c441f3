//! What surrounds the products of the reference model, on one core, for a shard of four samples: the relu of its convolutions and
//! the gradient to their biases. Throughput is in elements.

use std::{hint::black_box, time::Duration};

use cornu::{Activation, Tensor, kernels::reduce};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn benches(c: &mut Criterion) {
    for (pixels, channels) in [(4 * 26 * 26, 32), (4 * 11 * 11, 64)] {
        bench(c, pixels, channels);
    }
}

fn bench(c: &mut Criterion, pixels: usize, channels: usize) {
    let random = |seed| Tensor::<f32>::random_uniform([pixels * channels], -1.0, 1.0, seed).into_data();
    let (mut y, mut dy, mut sum) = (random(0), random(1), vec![0.0; channels]);

    let mut group = c.benchmark_group(format!("elementwise {pixels}x{channels}"));
    group.sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(y.len() as u64));
    group.bench_function("bias gradient", |b| b.iter(|| reduce::add_rows(black_box(&dy), black_box(&mut sum))));
    // Both happen in place, without a branch on the values, so it does not matter that the first call changes them.
    group.bench_function("relu", |b| b.iter(|| Activation::Relu.apply(black_box(&mut y), channels)));
    group.bench_function("relu gradient", |b| {
        b.iter(|| Activation::Relu.backward(&[], black_box(&y), black_box(&mut dy), channels));
    });
    group.finish();
}

criterion_group!(elementwise_benches, benches);
criterion_main!(elementwise_benches);
