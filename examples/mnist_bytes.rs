//! The network of the `mnist` example on images that stay bytes: 47 MB instead of 188. They become numbers a batch at a time, and a
//! `Rescaling` brings these between 0 and 1.
//!
//! ```text
//! cargo run --release --example mnist_bytes
//! ```

use cornu::prelude::*;

fn main() -> cornu::Result<()> {
    let (train, test) = datasets::mnist::load()?;
    let mut model = Sequential::new([28, 28, 1])
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
    model.fit(&train.images, &train.labels, Fit::new().epochs(5).batch_size(64))?;
    let score = model.evaluate(&test.images, &test.labels)?;
    println!("Test accuracy: {:.2} %", 100.0 * score.accuracy().expect("the model was compiled with it"));
    Ok(())
}
