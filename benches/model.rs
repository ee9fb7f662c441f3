//! The reference model, trained and asked for predictions, on all threads. Throughput is in samples.

use std::{hint::black_box, time::Duration};

use cornu::prelude::*;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// Enough that what fit sets up, once for all steps, does not count.
const STEPS: usize = 20;

fn fit(c: &mut Criterion) {
    let mut group = c.benchmark_group("fit");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for batch in [16, 64, 256, 1024] {
        let n = STEPS * batch;
        let x = images(n);
        let y = Labels::from((0..n).map(|i| (i % 10) as u8).collect::<Vec<_>>());
        let options = || Fit::new().batch_size(batch).verbose(0);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(format!("{STEPS} steps of {batch}"), |b| {
            // A new model each time, so that each run does the same arithmetic.
            b.iter_batched_ref(
                model,
                |model| model.fit(&x, &y, options()).expect("the data fits"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn predict(c: &mut Criterion) {
    let model = model();
    let mut group = c.benchmark_group("predict");
    group.sample_size(30).measurement_time(Duration::from_secs(3));
    for n in [1, 256] {
        let x = images(n);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(format!("batch {n}"), |b| {
            b.iter(|| model.predict_with(black_box(&x), n).expect("the images fit"))
        });
    }
    let x = images(10_000);
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("10,000", |b| b.iter(|| model.predict(black_box(&x)).expect("the images fit")));
    group.finish();
}

fn model() -> Model {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
        .expect("the layers fit")
}

fn images(n: usize) -> Tensor {
    Tensor::random_uniform([n, 28, 28, 1], 0.0, 1.0, 0)
}

criterion_group!(model_benches, fit, predict);
criterion_main!(model_benches);
