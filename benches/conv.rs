//! A convolution and its gradients on one core, and the same by im2col and `matrixmultiply`. Throughput is in FLOP.

use std::{hint::black_box, time::Duration};

use cornu::{
    Tensor,
    kernels::{
        Window,
        conv::{self, Conv},
        conv_im2col,
    },
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn benches(c: &mut Criterion) {
    for (name, size, channels, filters, padding) in [
        ("28x28x1->32", 28, 1, 32, 0),
        ("13x13x32->64", 13, 32, 64, 0),
        ("32x32x64->128", 32, 64, 128, 1),
        ("56x56x64->64", 56, 64, 64, 1),
    ] {
        let window = Window {
            input: [size; 2],
            output: [size + 2 * padding - 2; 2],
            kernel: [3; 2],
            strides: [1; 2],
            dilation: [1; 2],
            padding: [padding; 2],
        };
        for n in [1, 64] {
            bench(c, &format!("conv {name}, batch {n}"), &Conv { window, channels, filters, groups: 1 }, n);
        }
    }
}

fn bench(c: &mut Criterion, name: &str, conv: &Conv, n: usize) {
    let random = |len: usize, seed| Tensor::<f32>::random_uniform([len], -1.0, 1.0, seed).into_data();
    let (mut x, mut y) = (random(n * conv.input_len(), 0), random(n * conv.output_len(), 1));
    let (kernel, bias) = (random(conv.kernel_len(), 2), random(conv.filters, 3));
    let mut dkernel = vec![0.0; kernel.len()];
    let mut scratch = vec![0.0; conv.scratch_len::<f32>().max(conv_im2col::scratch_len::<f32>(conv))];
    let shard = shard(conv).min(n);
    let (inputs, outputs) = (shard * conv.input_len(), shard * conv.output_len());

    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements((n * conv.flops()) as u64));
    group.bench_function("forward", |b| {
        b.iter(|| {
            for (x, y) in black_box(&x).chunks(inputs).zip(black_box(&mut y).chunks_mut(outputs)) {
                conv::forward(conv, x, black_box(&kernel), Some(&bias), y, &mut scratch, |_| {});
            }
        });
    });
    group.bench_function("kernel gradient", |b| {
        b.iter(|| {
            for (x, dy) in black_box(&x).chunks(inputs).zip(black_box(&y).chunks(outputs)) {
                conv::kernel_gradient(conv, x, dy, black_box(&mut dkernel), &mut scratch);
            }
        });
    });
    group.bench_function("input gradient", |b| {
        b.iter(|| {
            for (dx, dy) in black_box(&mut x).chunks_mut(inputs).zip(black_box(&y).chunks(outputs)) {
                conv::input_gradient(conv, black_box(&kernel), dy, dx, &mut scratch);
            }
        });
    });
    group.bench_function("forward by im2col", |b| {
        b.iter(|| {
            for (x, y) in black_box(&x).chunks(inputs).zip(black_box(&mut y).chunks_mut(outputs)) {
                conv_im2col::forward(conv, x, black_box(&kernel), Some(&bias), y, &mut scratch, |_| {});
            }
        });
    });
    group.bench_function("kernel gradient by im2col", |b| {
        b.iter(|| {
            for (x, dy) in black_box(&x).chunks(inputs).zip(black_box(&y).chunks(outputs)) {
                conv_im2col::kernel_gradient(conv, x, dy, black_box(&mut dkernel), &mut scratch);
            }
        });
    });
    group.bench_function("input gradient by im2col", |b| {
        b.iter(|| {
            for (dx, dy) in black_box(&mut x).chunks_mut(inputs).zip(black_box(&y).chunks(outputs)) {
                conv_im2col::input_gradient(conv, black_box(&kernel), dy, dx, &mut scratch);
            }
        });
    });
    group.finish();
}

/// How many samples the executor takes at a time, if the convolution is the model.
fn shard(conv: &Conv) -> usize {
    (640 * 1024 / (4 * conv.output_len())).clamp(1, 16)
}

criterion_group!(conv_benches, benches);
criterion_main!(conv_benches);
