//! Transfer learning: a network that has learned the digits 0 to 4 keeps its convolutions, and learns 5 to 9 from 50 samples of each.
//! Beside it, the same network learns them from nothing.
//!
//! ```text
//! cargo run --release --example transfer
//! ```

use std::time::{Duration, Instant};

use clap::Parser;
use cornu::prelude::*;

fn main() -> cornu::Result<()> {
    let args = Args::parse();
    let (train, test) = datasets::mnist::load()?;
    let first = digits(&train, 0..5, usize::MAX)?;
    let few = digits(&train, 5..10, args.samples)?;
    let others = digits(&test, 5..10, usize::MAX)?;

    println!("The digits 0 to 4, {} images:", first.1.len());
    let mut model = compile(network(args.seed))?;
    model.fit(&first.0, &first.1, Fit::new().epochs(args.epochs).batch_size(64).seed(args.seed))?;

    println!("\nThe digits 5 to 9, {} images of each:", args.samples);
    // All but the last layer, which stays as it is, and a new last layer.
    let mut transferred = compile(Sequential::from(&model).pop().freeze().add(head()))?;
    report("with the convolutions that it has learned", &mut transferred, &few, &others, &args)?;
    let mut scratch = compile(network(args.seed))?;
    report("from nothing", &mut scratch, &few, &others, &args)
}

/// Images and their labels.
type Samples = (Tensor, Labels);

/// Up to `limit` images of each of five digits, with the labels 0 to 4.
fn digits(split: &Split, digits: std::ops::Range<usize>, limit: usize) -> cornu::Result<Samples> {
    let mut seen = [0; 5];
    let mut indices = Vec::new();
    for (i, digit) in split.labels.iter().enumerate().filter(|(_, digit)| digits.contains(digit)) {
        let seen = &mut seen[digit - digits.start];
        *seen += 1;
        if *seen <= limit {
            indices.push(i);
        }
    }
    let labels: Vec<u8> = split.labels.gather(&indices)?.iter().map(|digit| (digit - digits.start) as u8).collect();
    Ok((split.images.gather(&indices)?.scaled(1.0 / 255.0), labels.into()))
}

fn network(seed: u64) -> Sequential {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(head())
        .seed(seed)
}

fn head() -> impl LayerConfig {
    Dense::new(5).activation(Activation::Softmax).named("head")
}

fn compile(plan: Sequential) -> cornu::Result<Model> {
    plan.compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
}

/// Trains a model on the few images, and prints what it makes of the others and how long an epoch took.
fn report(what: &str, model: &mut Model, few: &Samples, others: &Samples, args: &Args) -> cornu::Result<()> {
    let start = Instant::now();
    model.fit(&few.0, &few.1, Fit::new().epochs(args.few_epochs).batch_size(16).seed(args.seed).verbose(0))?;
    let time: Duration = start.elapsed();
    let accuracy = 100.0 * model.evaluate(&others.0, &others.1)?.accuracy().expect("the model was compiled with it");
    println!("{what:>42}: {accuracy:.2} % of {} right, trained in {:.2} s", others.1.len(), time.as_secs_f64());
    Ok(())
}

/// Trains on the digits 0 to 4, and lets the network learn 5 to 9 from few images.
#[derive(Parser)]
struct Args {
    /// How often the model sees the digits 0 to 4
    #[arg(long, default_value_t = 3)]
    epochs: usize,
    /// How many images of each of the digits 5 to 9 it learns from
    #[arg(long, default_value_t = 50)]
    samples: usize,
    /// How often the models see those
    #[arg(long, default_value_t = 20)]
    few_epochs: usize,
    /// The seed of the initial weights and of the order of the images
    #[arg(long, default_value_t = 0)]
    seed: u64,
}
