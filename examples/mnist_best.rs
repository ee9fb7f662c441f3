//! A better network for MNIST: deeper, with batch normalization, augmentation, dropout and a schedule of the learning rate.
//!
//! ```text
//! cargo run --release --example mnist_best
//! cargo run --release --example mnist_best -- --without augmentation
//! ```

use std::time::Instant;

use clap::{Parser, ValueEnum};
use cornu::prelude::*;

fn main() -> cornu::Result<()> {
    let args = Args::parse();
    let (train, test) = datasets::mnist::load()?;
    let (x_train, y_train) = (train.images.scaled(1.0 / 255.0), train.labels);
    let (x_test, y_test) = (test.images.scaled(1.0 / 255.0), test.labels);

    let mut model = Sequential::new([28, 28, 1]).seed(args.seed);
    if args.with(Ingredient::Augmentation) {
        // Moved by whole pixels: each interpolation blurs, and the test images are sharp.
        let translation = RandomTranslation::new(0.07, 0.07).interpolation(Interpolation::Nearest);
        model = model
            .add(RandomRotation::new(10.0 / 360.0).fill_mode(FillMode::Constant))
            .add(translation.fill_mode(FillMode::Constant))
            .add(RandomZoom::new(0.1).fill_mode(FillMode::Constant));
    }
    for filters in [32, 64] {
        model = args.convolution(model, filters, Padding::Valid);
        model = args.convolution(model, filters, Padding::Valid).add(MaxPooling2D::new(2));
        if args.with(Ingredient::Dropout) {
            model = model.add(Dropout::new(0.15));
        }
    }
    model = args.convolution(model, 128, Padding::Same);
    model = args.convolution(model, 128, Padding::Valid).add(Flatten::new());
    if args.with(Ingredient::Dropout) {
        model = model.add(Dropout::new(0.3));
    }
    model = model.add(Dense::new(10).activation(Activation::Softmax));

    let steps = args.epochs * y_train.len().div_ceil(args.batch_size);
    let adam = match args.with(Ingredient::Schedule) {
        true => Adam::new(OneCycle::new(0.004, steps as u64)),
        false => Adam::default(),
    };
    let mut model = model.compile(adam, SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;

    println!("{}", model.summary_for(args.batch_size));
    let start = Instant::now();
    model.fit(
        &x_train,
        &y_train,
        Fit::new().epochs(args.epochs).batch_size(args.batch_size).seed(args.seed).validation_data(&x_test, &y_test),
    )?;
    println!("Trained in {:.0} s", start.elapsed().as_secs_f64());

    let score = model.evaluate(&x_test, &y_test)?;
    println!("Test accuracy: {:.2} %", 100.0 * score.accuracy().expect("the model was compiled with it"));
    Ok(())
}

/// Trains a deeper network on MNIST, with all that raises its accuracy, or all but some of it.
#[derive(Parser)]
struct Args {
    /// How often the model sees all training images
    #[arg(long, default_value_t = 20)]
    epochs: usize,
    /// How many images a step takes
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// The seed of all that is random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Leave an ingredient away, to see what it brings
    #[arg(long, value_name = "INGREDIENT", value_delimiter = ',')]
    without: Vec<Ingredient>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Ingredient {
    /// Small rotations, translations and zooms of the training images
    Augmentation,
    /// Batch normalization behind each convolution
    Normalization,
    /// Dropout behind each block
    Dropout,
    /// The 1cycle schedule; without it the rate is Adam's default, 0.001
    Schedule,
}

impl Args {
    fn with(&self, ingredient: Ingredient) -> bool {
        !self.without.contains(&ingredient)
    }

    /// Adds a convolution of 3x3 taps, its normalization, and a relu.
    fn convolution(&self, model: Sequential, filters: usize, padding: Padding) -> Sequential {
        let convolution = Conv2D::new(filters, 3).padding(padding);
        match self.with(Ingredient::Normalization) {
            true => model.add(convolution.use_bias(false)).add(BatchNormalization::new()).add(Activation::Relu),
            false => model.add(convolution.activation(Activation::Relu)),
        }
    }
}
