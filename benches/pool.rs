//! The max-poolings of the reference model on one core, one sample at a time. Throughput is in pixels' channels read.

use std::{hint::black_box, time::Duration};

use cornu::{
    Tensor,
    kernels::{
        Window,
        pool::{self, Pool},
    },
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn benches(c: &mut Criterion) {
    for (name, size, channels) in [("26x26x32", 26, 32), ("11x11x64", 11, 64)] {
        let window = Window {
            input: [size; 2],
            output: [size / 2; 2],
            kernel: [2; 2],
            strides: [2; 2],
            dilation: [1; 2],
            padding: [0; 2],
        };
        bench(c, &format!("max-pool {name}"), &Pool { window, channels });
    }
}

fn bench(c: &mut Criterion, name: &str, pool: &Pool) {
    let random = |len: usize, seed| Tensor::<f32>::random_uniform([len], -1.0, 1.0, seed).into_data();
    let (inputs, outputs) = (pool.window.pixels() * pool.channels, pool.window.outputs() * pool.channels);
    let mut x = random(inputs, 0);
    let (mut y, mut winners) = (vec![0.0; outputs], vec![0; outputs]);

    let mut group = c.benchmark_group(name);
    group.sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(inputs as u64));
    group.bench_function("forward", |b| {
        b.iter(|| pool::max(pool, black_box(&x), black_box(&mut y), Some(&mut winners)));
    });
    pool::max(pool, &x, &mut y, Some(&mut winners));
    group.bench_function("gradient", |b| {
        b.iter(|| pool::max_gradient(pool, black_box(&y), &winners, black_box(&mut x)));
    });
    group.finish();
}

criterion_group!(pool_benches, benches);
criterion_main!(pool_benches);
