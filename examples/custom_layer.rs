//! A layer of your own, checked and trained: a Swish whose steepness is learned.
//!
//! ```text
//! cargo run --release --example custom_layer
//! ```

use cornu::{gradcheck, prelude::*};

/// `y = x * sigmoid(beta * x)`, with a learned `beta` for each channel. [Ramachandran et al., 2017](https://arxiv.org/abs/1710.05941)
///
/// - input: `[n, .., channels]`
/// - output: `[n, .., channels]`
/// - weights: `beta: [channels]`
///
/// This is the configuration: plain data, with builder methods for what has a default.
#[derive(Clone, Debug)]
struct Swish {
    beta: f64,
}

impl Swish {
    fn new() -> Self {
        Swish { beta: 1.0 }
    }

    /// Where each `beta` starts; 1 by default.
    fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }
}

/// Building sees the shape of a sample that comes in, declares the weights, and says which shape goes out. All that can
/// be wrong is found here: the error names the layer.
impl LayerConfig for Swish {
    type Built = BuiltSwish;

    fn class_name(&self) -> &'static str {
        "Swish"
    }

    fn build(&self, cx: &mut Build) -> cornu::Result<(BuiltSwish, Shape)> {
        let input = cx.input();
        if input.rank() == 0 {
            return Err(cx.shape_error("input of rank 1 or more", "the last axis holds the channels"));
        }
        let beta = cx.weight("beta", input.last(), Initializer::Constant(self.beta))?;
        Ok((BuiltSwish { beta, channels: input.last() }, input))
    }
}

/// The built layer keeps no numbers, only where in the model they are.
#[derive(Debug)]
struct BuiltSwish {
    beta: ParamId,
    channels: usize,
}

/// The methods are generic: a model computes in `f32`, the check of its gradients in `f64`.
impl Layer for BuiltSwish {
    /// What backward needs besides x and y. Here, nothing.
    type Work<T: Scalar> = ();

    /// Overwrites all of `y`.
    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        let beta = cx.param(self.beta);
        for (x, y) in x.data.chunks_exact(self.channels).zip(y.data.chunks_exact_mut(self.channels)) {
            for ((y, &x), &beta) in y.iter_mut().zip(x).zip(beta) {
                *y = x * sigmoid(beta * x);
            }
        }
    }

    /// Turns `dy` into `dx`, and adds to the gradients of the weights. With `s = sigmoid(beta * x)`:
    /// `dx = dy * (s + beta * x * s * (1 - s))` and `dbeta += dy * x^2 * s * (1 - s)`.
    fn backward<T: Scalar>(&self, cx: &mut Backward<T>, _: &mut (), taped: Taped<T>, mut dx: Option<ViewMut<T>>) {
        let beta = cx.param(self.beta);
        let dbeta = cx.grads.of(self.beta);
        for (i, (&x, &dy)) in taped.x.data.iter().zip(&*taped.dy.data).enumerate() {
            let c = i % self.channels;
            let s = sigmoid(beta[c] * x);
            let slope = x * s * (T::one() - s);
            dbeta[c] += dy * x * slope;
            // The first layer of a model has no dx: nobody reads it.
            if let Some(dx) = &mut dx {
                dx.data[i] = dy * (s + beta[c] * slope);
            }
        }
    }
}

fn sigmoid<T: Scalar>(x: T) -> T {
    T::one() / (T::one() + (-x).exp())
}

fn main() -> cornu::Result<()> {
    // Every gradient of the layer against finite differences, at random samples and weights.
    println!("{}\n", gradcheck::check_layer(&Swish::new(), [4, 3])?);

    // The task: which points of a square lie within a ring?
    let x = Tensor::random_uniform([4096, 2], -1.0, 1.0, 1);
    let radius = |point: &[f32]| point[0].hypot(point[1]);
    let y: Labels =
        x.data().chunks_exact(2).map(|p| u32::from((0.4..0.8).contains(&radius(p)))).collect::<Vec<_>>().into();

    let mut model = Sequential::new([2])
        .add(Dense::new(16))
        .add(Swish::new())
        .add(Dense::new(16))
        .add(Swish::new().beta(2.0).named("steep"))
        .add(Dense::new(2).activation(Activation::Softmax))
        .compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
    println!("{}", model.summary());
    model.fit(&x, &y, Fit::new().epochs(10).validation_split(0.25).verbose(2))?;
    println!("\nbeta, learned from 2: {:.2}", model.get_layer("steep")?.get_weights()[0]);
    Ok(())
}
