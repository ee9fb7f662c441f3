//! Trains the convolutional network of Keras's MNIST example, makes a model of integers of it, and compares the two.
//!
//! ```text
//! cargo run --release --example quantize
//! cargo run --release --example quantize -- --help
//! ```

use std::{fs, time::Instant};

use clap::Parser;
use cornu::prelude::*;

/// Compares a model with its quantized form
#[derive(Parser)]
struct Args {
    /// How often the model sees all training images
    #[arg(long, default_value_t = 3)]
    epochs: usize,
    /// The seed of the initial weights and of the order of the images
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many training images the ranges of the activations are taken from
    #[arg(long, default_value_t = 1000)]
    calibration: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let (train, test) = datasets::mnist::load()?;
    let (x_train, x_test) = (train.images.scaled(1.0 / 255.0), test.images.scaled(1.0 / 255.0));
    let mut model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .seed(args.seed)
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
    model.fit(&x_train, &train.labels, Fit::new().epochs(args.epochs).batch_size(64).seed(args.seed))?;

    let quantized = model.quantize(x_train.slice(..args.calibration)?)?;
    println!("{}\n", quantized.summary());
    let folder = std::env::temp_dir();
    let paths = ["float.safetensors", "int8.safetensors"]
        .map(|name| folder.join(format!("cornu-{}-{name}", std::process::id())));
    model.save_weights(&paths[0])?;
    quantized.save(&paths[1])?;
    let [float_size, int8_size] = [fs::metadata(&paths[0])?.len(), fs::metadata(&paths[1])?.len()];
    let quantized = {
        let mut loaded = QuantizedModel::load(&paths[1])?;
        loaded.compile(SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
        loaded
    };
    paths.iter().try_for_each(fs::remove_file)?;

    let (float, int8) = (model.evaluate(&x_test, &test.labels)?, quantized.evaluate(&x_test, &test.labels)?);
    let answers = [model.predict_classes(&x_test)?, quantized.predict_classes(&x_test)?];
    let differ = answers[0].iter().zip(answers[1].iter()).filter(|(a, b)| a != b).count();
    let times = seconds([&|| model.predict(&x_test).map(drop), &|| quantized.predict(&x_test).map(drop)])?;
    let percent = |score: &Score| 100.0 * score.accuracy().unwrap_or_default();
    println!("{:32}{:>12}{:>12}", "", "f32", "int8");
    println!("{:32}{:>12.2}{:>12.2}", "test accuracy, %", percent(&float), percent(&int8));
    println!("{:32}{:>12.4}{:>12.4}", "test loss", float.loss, int8.loss);
    println!("{:32}{float_size:>12}{int8_size:>12}", "file, bytes");
    println!("{:32}{:>12.1}{:>12.1}", "10,000 predictions, ms", 1e3 * times[0], 1e3 * times[1]);
    println!("{differ} of {} answers differ", test.labels.len());
    Ok(())
}

/// The least time of each of two, which run in turn.
fn seconds(runs: [&dyn Fn() -> cornu::Result<()>; 2]) -> cornu::Result<[f64; 2]> {
    let mut least = [f64::INFINITY; 2];
    for _ in 0..20 {
        for (run, least) in runs.iter().zip(&mut least) {
            let start = Instant::now();
            run()?;
            *least = least.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(least)
}
