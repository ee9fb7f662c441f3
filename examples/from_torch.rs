//! Runs the MNIST network that was trained with PyTorch:
//!
//! ```sh
//! cargo run --release --features torch,numpy --example from_torch -- mnist.pt
//! ```
//!
//! `data-scripts/torch_models.py --full FOLDER` trains one, and writes what PyTorch answers for the test images.

use std::path::PathBuf;

use clap::Parser;
use cornu::prelude::*;

#[derive(Parser)]
struct Arguments {
    /// What torch.save(model.state_dict(), path) has written, or a file of safetensors.
    weights: PathBuf,
    /// PyTorch's probabilities of the 10,000 test images, as a npy file, to compare ours with.
    probabilities: Option<PathBuf>,
}

fn main() -> cornu::Result<()> {
    let arguments = Arguments::parse();
    let mut model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
    println!("{}", model.load_torch(arguments.weights)?);

    let (_, test) = datasets::mnist::load()?;
    let images = test.images.scaled(1.0 / 255.0);
    println!("Accuracy: {}", model.evaluate(&images, &test.labels)?.accuracy().unwrap());
    if let Some(path) = arguments.probabilities {
        let difference = (&model.predict(&images)? - &Tensor::read_npy(path)?)?;
        let largest = difference.data().iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        println!("Largest difference to PyTorch's probabilities: {largest:e}");
    }
    Ok(())
}
