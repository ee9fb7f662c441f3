//! The convolutional network of Keras's MNIST example: trains it, tests it, and shows digits that it read.
//!
//! ```text
//! cargo run --release --example mnist
//! cargo run --release --example mnist -- --help
//! ```

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use cornu::prelude::*;

fn run(args: &Args) -> cornu::Result<()> {
    let (train, test) = args.load()?;
    let (x_train, y_train) = (train.images.scaled(1.0 / 255.0), train.labels);
    let (x_test, y_test) = (test.images.scaled(1.0 / 255.0), test.labels);

    let mut model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .seed(args.seed)
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;

    println!("{}", model.summary_for(args.batch_size));
    model.fit(&x_train, &y_train, Fit::new().epochs(args.epochs).batch_size(args.batch_size).seed(args.seed))?;

    let score = model.evaluate(&x_test, &y_test)?;
    println!("Test loss: {:.4}", score.loss);
    println!("Test accuracy: {:.2} %", 100.0 * score.accuracy().expect("the model was compiled with it"));

    if let Some(path) = &args.save {
        model.save(path)?;
    }
    show_examples(&x_test, &y_test, &model.predict(&x_test)?)
}

/// Trains a convolutional network on MNIST and tests it.
#[derive(Parser)]
struct Args {
    /// How often the model sees all training images
    #[arg(long, default_value_t = 5)]
    epochs: usize,
    /// How many images a step takes
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// The seed of the initial weights and of the order of the images
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many threads compute; the result does not depend on it [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The folder that holds the four files of MNIST [default: where the library finds them]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write the trained model to this file, such as mnist.safetensors; `cornu` and the example serve read it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Take only the first N images of each part
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Args {
    /// The images to train on and those to test on.
    fn load(&self) -> cornu::Result<(Split, Split)> {
        let (train, test) = match &self.data {
            Some(folder) => datasets::mnist::load_from(folder)?,
            None => datasets::mnist::load()?,
        };
        Ok((self.first(train)?, self.first(test)?))
    }

    fn first(&self, split: Split) -> cornu::Result<Split> {
        let n = split.labels.len().min(self.limit.unwrap_or(usize::MAX));
        Ok(Split { images: split.images.slice(..n)?.to_tensor(), labels: split.labels.slice(..n)? })
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(threads) = args.threads
        && let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()
    {
        eprintln!("error: --threads {threads}: {error}");
        return ExitCode::FAILURE;
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many digits stand side by side: 80 columns hold three.
const SHOWN: usize = 3;

/// Prints the first digits that were read rightly, and the first that were not.
fn show_examples(images: &Tensor, labels: &Labels, probabilities: &Tensor) -> cornu::Result<()> {
    let (predictions, confidence) = (probabilities.argmax(1)?, probabilities.max_axis(1)?);
    let mut right = Vec::new();
    let mut wrong = Vec::new();
    for (i, (label, prediction)) in labels.iter().zip(predictions.iter()).enumerate() {
        let percent = 100.0 * confidence[[i]];
        if label == prediction {
            right.push((i, format!("{label} ({percent:.1} %)")));
        } else {
            wrong.push((i, format!("{label} → {prediction} ({percent:.1} %) wrong")));
        }
    }
    for digits in [right, wrong].iter().filter(|digits| !digits.is_empty()) {
        println!();
        print_digits(images, &digits[..digits.len().min(SHOWN)]);
    }
    Ok(())
}

/// Prints images side by side with their captions below. A character shows two pixels, one above the other.
fn print_digits(images: &Tensor, digits: &[(usize, String)]) {
    // The margin of MNIST's images is empty but for a rare stroke.
    let pixels = 2..26;
    let ink = |i, y, x| images[[i, y, x, 0]] > 0.3;
    let cell = |i, y, x| match (ink(i, y, x), ink(i, y + 1, x)) {
        (false, false) => ' ',
        (true, false) => '▀',
        (false, true) => '▄',
        (true, true) => '█',
    };
    for y in pixels.clone().step_by(2) {
        print_row(digits.iter().map(|&(i, _)| pixels.clone().map(|x| cell(i, y, x)).collect()));
    }
    print_row(digits.iter().map(|(_, caption)| format!("{caption:^width$}", width = pixels.len())));
}

fn print_row(cells: impl Iterator<Item = String>) {
    println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
}
