//! Predictions by integers and by `f32`: the reference model on all threads; the two convolutions of the reference model and its dense layer, each with the relu and the pooling behind it, on one core
//! and by every kernel of integers that the CPU can run. Throughput is in operations of the direct algorithm.

use std::{hint::black_box, time::Duration};

use cornu::{
    kernels::{
        Pass, Window,
        conv::{self, Conv},
        int8::{self, Finish, SLACK, Scratch, Tile},
        pool::{self, Pool},
    },
    prelude::*,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Samples that are computed at a time.
const SAMPLES: usize = 4;

fn kernels(c: &mut Criterion) {
    for (name, size, channels, filters, kernel, pooled) in [
        ("28x28x1->32, pooled", 28, 1, 32, 3, true),
        ("13x13x32->64, pooled", 13, 32, 64, 3, true),
        ("13x13x32->64", 13, 32, 64, 3, false),
        ("1600->10", 1, 1600, 10, 1, false),
    ] {
        let window = Window {
            input: [size; 2],
            output: [size - kernel + 1; 2],
            kernel: [kernel; 2],
            strides: [1; 2],
            dilation: [1; 2],
            padding: [0; 2],
        };
        let conv = Conv { window, channels, filters, groups: 1 };
        let mut group = c.benchmark_group(format!("int8 {name}"));
        group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        group.throughput(Throughput::Elements((SAMPLES * conv.flops()) as u64));

        let random = |len: usize, seed| Tensor::<f32>::random_uniform([len], 0.0, 1.0, seed).into_data();
        let (x, weights) = (random(SAMPLES * conv.input_len(), 0), random(conv.kernel_len(), 1));
        let (mut y, mut scratch) = (vec![0.0; SAMPLES * conv.output_len()], vec![0.0; conv.scratch_len::<f32>()]);
        let mut packed = vec![0.0; conv.packed_len::<f32>(Pass::Forward)];
        conv.pack(&weights, Pass::Forward, &mut packed);
        let half = conv.window.output[0] / 2;
        let window = Window { input: window.output, output: [half; 2], kernel: [2; 2], strides: [2; 2], ..window };
        let pool = Pool { window, channels: filters };
        let mut maxima = vec![0.0_f32; if pooled { SAMPLES * pool.window.outputs() * filters } else { 0 }];
        group.bench_function("f32", |b| {
            b.iter(|| {
                conv::forward(&conv, black_box(&x), &packed, None, &mut y, &mut scratch, |_| {});
                if pooled {
                    pool::max(&pool, &y, &mut maxima, None);
                }
            });
        });

        let integers = int8::Conv::new(&conv, if pooled { [2, 2] } else { [1, 1] }).expect("one group, small");
        let bytes: Vec<u8> = x.iter().map(|x| (127.0 * x) as u8).chain([0; SLACK]).collect();
        let weights: Vec<i8> = weights.iter().map(|w| (200.0 * w - 100.0) as i8).collect();
        let weights = integers.pack(&weights, 3);
        let finish = Finish::new(&vec![0.001; filters], &vec![0.5; filters], [0.0, 127.0]);
        let mut y = vec![0_u8; SAMPLES * integers.output_len()];
        let mut scratch = Scratch::default();
        for tile in Tile::all() {
            group.bench_function(tile.name, |b| {
                b.iter(|| integers.forward(tile, black_box(&bytes), &weights, &finish, &mut y, &mut scratch));
            });
        }
        group.finish();
    }
}

fn predict(c: &mut Criterion) {
    let model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
        .expect("the layers fit");
    let images = |n: usize| Tensor::random_uniform([n, 28, 28, 1], 0.0, 1.0, 0);
    let quantized = model.quantize(&images(200)).expect("the images fit");
    let mut group = c.benchmark_group("int8 predict");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for n in [1, 10_000] {
        let x = images(n);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(format!("f32, {n}"), |b| b.iter(|| model.predict(black_box(&x)).expect("they fit")));
        group.bench_function(format!("int8, {n}"), |b| b.iter(|| quantized.predict(black_box(&x)).expect("they fit")));
    }
    group.finish();
}

criterion_group!(int8_benches, predict, kernels);
criterion_main!(int8_benches);
