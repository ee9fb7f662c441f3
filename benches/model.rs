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
        let y = labels(n);
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

/// What batch normalization and augmentation add to a step.
fn ingredients(c: &mut Criterion) {
    let mut group = c.benchmark_group("ingredients");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    let n = STEPS * 64;
    let x = images(n);
    let y = labels(n);
    group.throughput(Throughput::Elements(n as u64));
    for (name, augmented, normalized) in [
        ("none", false, false),
        ("augmentation", true, false),
        ("batch normalization", false, true),
        ("both", true, true),
    ] {
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || network(augmented, normalized),
                |model| model.fit(&x, &y, Fit::new().batch_size(64).verbose(0)).expect("the data fits"),
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
    network(false, false)
}

/// The reference model; `augmented`, with rotations, translations and zooms before it; `normalized`, with batch normalization
/// behind each convolution.
fn network(augmented: bool, normalized: bool) -> Model {
    let mut model = Sequential::new([28, 28, 1]);
    if augmented {
        model = model.add(RandomRotation::new(0.03)).add(RandomTranslation::new(0.1, 0.1)).add(RandomZoom::new(0.1));
    }
    for filters in [32, 64] {
        let convolution = Conv2D::new(filters, (3, 3));
        model = match normalized {
            true => model.add(convolution.use_bias(false)).add(BatchNormalization::new()).add(Activation::Relu),
            false => model.add(convolution.activation(Activation::Relu)),
        };
        model = model.add(MaxPooling2D::new((2, 2)));
    }
    model
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
        .expect("the layers fit")
}

fn images(n: usize) -> Tensor {
    Tensor::random_uniform([n, 28, 28, 1], 0.0, 1.0, 0)
}

fn labels(n: usize) -> Labels {
    (0..n).map(|i| (i % 10) as u8).collect::<Vec<_>>().into()
}

criterion_group!(model_benches, fit, ingredients, predict);
criterion_main!(model_benches);
