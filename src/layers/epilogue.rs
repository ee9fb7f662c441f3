//! [`Epilogue`]: how a layer ends that multiplies with a kernel.

use super::{Backward, Build, Forward, Reads};
use crate::{
    Activation, Result, Scalar,
    kernels::reduce,
    params::{ParamId, WeightSpec},
};

/// `y = activation(z + bias)` for each row of a product `z: [.., channels]`.
///
/// Where the derivative of the activation needs it, `z + bias` is kept from the forward to the backward pass.
#[derive(Debug)]
pub(super) struct Epilogue {
    channels: usize,
    bias: Option<ParamId>,
    activation: Activation,
}

impl Epilogue {
    /// Declares the bias, if there is one.
    pub fn build(
        cx: &mut Build,
        channels: usize,
        bias: Option<impl Into<WeightSpec>>,
        activation: Activation,
    ) -> Result<Self> {
        activation.check().map_err(|message| cx.argument_error(message))?;
        let bias = bias.map(|spec| cx.weight("bias", channels, spec)).transpose()?;
        Ok(Epilogue { channels, bias, activation })
    }

    /// What is applied to the result.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// The layer's [`reads`](super::Layer::reads): its input, for the gradient to the kernel, and what the activation reads.
    pub fn reads(&self) -> Reads {
        Reads { x: true, y: self.activation.needs_output() }
    }

    /// The layer's [`work_bytes`](super::Layer::work_bytes).
    pub fn work_bytes<T>(&self, outputs: usize) -> usize {
        if self.activation.needs_input() { outputs * size_of::<T>() } else { 0 }
    }

    /// The bias, at which the sums of the product begin.
    pub fn bias<'a, T: Scalar>(&self, cx: &Forward<'a, T>) -> Option<&'a [T]> {
        self.bias.map(|bias| cx.param(bias))
    }

    /// What to do with each finished part of the output: apply the activation, unless [`finish`](Epilogue::finish) has to
    /// see its input.
    pub fn on_part<T: Scalar>(&self, cx: &Forward<T>) -> impl Fn(&mut [T]) + Sync + use<T> {
        let (keep, activation, channels) = (self.keeps(cx), self.activation, self.channels);
        move |y| {
            if !keep {
                activation.apply(y, channels);
            }
        }
    }

    /// What to do with the output when all its parts are finished.
    pub fn finish<T: Scalar>(&self, cx: &Forward<T>, kept: &mut Vec<T>, y: &mut [T]) {
        if self.keeps(cx) {
            kept.clear();
            kept.extend_from_slice(y);
            self.activation.apply(y, self.channels);
        }
    }

    fn keeps<T: Scalar>(&self, cx: &Forward<T>) -> bool {
        cx.keeps() && self.activation.needs_input()
    }

    /// Overwrites `dy` with the gradient to `z`, and adds that to the bias, unless the layer is frozen.
    pub fn backward<T: Scalar>(&self, cx: &mut Backward<T>, kept: &[T], y: &[T], dy: &mut [T]) {
        self.activation.backward(kept, y, dy, self.channels);
        if let Some(bias) = self.bias.filter(|_| cx.trainable()) {
            reduce::add_rows(dy, cx.grads.of(bias));
        }
    }
}
