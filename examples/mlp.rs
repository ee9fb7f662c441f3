//! A multilayer perceptron on a task that no straight line solves: which of two intertwined spirals is a point on?
//!
//! ```text
//! cargo run --release --example mlp
//! ```

use std::{f32::consts::PI, process::ExitCode};

use cornu::prelude::*;

fn run() -> cornu::Result<()> {
    let (x, y) = two_spirals(600);

    let mut model = Sequential::new([2])
        .add(Dense::new(32).activation(Activation::Relu))
        .add(Dense::new(32).activation(Activation::Relu))
        .add(Dense::new(1).activation(Activation::Sigmoid))
        .compile(Adam::new(0.01), BinaryCrossentropy::default(), [Metric::Accuracy])?;

    // The last fifth of the points is kept for validation. The bars of 50 epochs would say too much.
    let history = model.fit(&x, &y, Fit::new().epochs(50).validation_split(0.2).verbose(0))?;

    println!("epoch    loss  accuracy  val_loss  val_accuracy");
    let curves = ["loss", "accuracy", "val_loss", "val_accuracy"];
    let [loss, accuracy, val_loss, val_accuracy] = curves.map(|name| history.get(name).expect("it was measured"));
    for i in (4..50).step_by(5) {
        let (epoch, train, validation) = (i + 1, loss[i], val_loss[i]);
        println!("{epoch:5}  {train:.4}  {:8.4}  {validation:8.4}  {:12.4}", accuracy[i], val_accuracy[i]);
    }

    println!();
    let points = Tensor::from([[0.0, -0.5], [0.0, 0.5], [0.0, 0.83], [0.0, -0.83]]);
    let probabilities = model.predict(&points)?;
    for (point, probability) in points.view().samples().zip(probabilities.data()) {
        println!("{:?} lies on the second spiral with probability {probability:.3}", point.data);
    }
    Ok(())
}

/// Points `[n, 2]` on two spirals around the origin, one turned by half a circle, with a little noise, and the spiral
/// of each.
fn two_spirals(n: usize) -> (Tensor, Labels) {
    let at = Tensor::random_uniform([n], 0.1, 1.0, 1);
    let noise = Tensor::random_normal([n, 2], 0.0, 0.02, 2);
    let points = Tensor::from_fn([n, 2], |[i, axis]| {
        let radius = at[[i]];
        let angle = 3.0 * PI * radius + if i % 2 == 0 { 0.0 } else { PI };
        radius * [angle.cos(), angle.sin()][axis] + noise[[i, axis]]
    });
    (points, Labels::from((0..n).map(|i| (i % 2) as u8).collect::<Vec<_>>()))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
