//! [`Given`]: a first layer whose weight is what the next layer reads, so the gradient to that is one to a weight.

use cornu::{
    Initializer, Result, Scalar, Shape, Tensor,
    layers::{Backward, Build, Forward, Layer, LayerConfig, Scope, Taped},
    params::ParamId,
    tensor::{View, ViewMut},
};

/// Gives a batch that is a weight of shape `[n, ..output]`, whatever its input.
#[derive(Clone, Debug)]
pub struct Given {
    pub batch: Shape,
    pub initializer: Initializer,
}

impl Given {
    pub fn new(batch: Shape) -> Self {
        Given { batch, initializer: Initializer::Zeros }
    }

    /// The shape of a sample of the input that is not read.
    pub const INPUT: [usize; 1] = [1];

    /// As many samples of it as the batch has.
    pub fn input(&self) -> Tensor<u8> {
        Tensor::zeros([self.batch[0], 1])
    }
}

impl LayerConfig for Given {
    type Built = BuiltGiven;

    fn class_name(&self) -> &'static str {
        "Given"
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltGiven, Shape)> {
        Ok((BuiltGiven(cx.weight("batch", self.batch, self.initializer)?), self.batch.sample()))
    }
}

#[derive(Debug)]
pub struct BuiltGiven(ParamId);

impl Layer for BuiltGiven {
    type Work<T: Scalar> = ();

    fn scope(&self) -> Scope {
        Scope::WholeBatch
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, _: &mut (), _: View<T>, y: ViewMut<T>) {
        y.data.copy_from_slice(cx.param(self.0));
    }

    fn backward<T: Scalar>(&self, cx: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        for (grad, &dy) in cx.grads.of(self.0).iter_mut().zip(&*taped.dy.data) {
            *grad += dy;
        }
        if let Some(dx) = dx {
            dx.data.fill(T::zero());
        }
    }
}
