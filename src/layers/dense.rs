//! [`Dense`].

use super::{Backward, Build, ChannelAffine, Forward, Layer, LayerConfig, Reads, Scope, Taped, epilogue::Epilogue};
use crate::{
    Activation, Constraint, Initializer, Regularizer, Result, Scalar, Shape, Tensor,
    config::Arguments,
    kernels::dense,
    params::{ParamId, WeightSpec},
    tensor::{View, ViewMut},
};

/// A fully connected layer on the last axis, `keras.layers.Dense`: `y = activation(x kernel + bias)`.
///
/// - input: `[n, .., features]`
/// - output: `[n, .., units]`
/// - weights: `kernel: [features, units]`, and unless `use_bias(false)`, `bias: [units]`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([784]).add(Dense::new(10).activation(Activation::Softmax)).build()?;
/// assert_eq!(model.count_params(), 7850);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    units: usize,
    use_bias: bool,
    activation: Activation,
    kernel: WeightSpec,
    bias: WeightSpec,
}

impl Dense {
    /// `units` outputs.
    pub fn new(units: usize) -> Self {
        Dense {
            units,
            use_bias: true,
            activation: Activation::Linear,
            kernel: Initializer::GlorotUniform.into(),
            bias: Initializer::Zeros.into(),
        }
    }

    /// Whether a bias is added; it is by default.
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// What is applied to the result; [`Activation::Linear`] by default.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// How the kernel starts; [`Initializer::GlorotUniform`] by default.
    pub fn kernel_initializer(mut self, initializer: Initializer) -> Self {
        self.kernel.initializer = initializer;
        self
    }

    /// How the bias starts; [`Initializer::Zeros`] by default.
    pub fn bias_initializer(mut self, initializer: Initializer) -> Self {
        self.bias.initializer = initializer;
        self
    }

    /// A penalty on the size of the kernel; none by default.
    pub fn kernel_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.kernel.regularizer = Some(regularizer);
        self
    }

    /// A penalty on the size of the bias; none by default.
    pub fn bias_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.bias.regularizer = Some(regularizer);
        self
    }

    /// What the kernel is brought back to after each step; nothing by default.
    pub fn kernel_constraint(mut self, constraint: Constraint) -> Self {
        self.kernel.constraint = Some(constraint);
        self
    }

    /// What the bias is brought back to after each step; nothing by default.
    pub fn bias_constraint(mut self, constraint: Constraint) -> Self {
        self.bias.constraint = Some(constraint);
        self
    }
}

impl LayerConfig for Dense {
    type Built = BuiltDense;

    fn class_name(&self) -> &'static str {
        "Dense"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("units", &mut self.units)
            .argument("activation", &mut self.activation)
            .argument("use_bias", &mut self.use_bias)
            .weight("kernel", &mut self.kernel)
            .weight("bias", &mut self.bias);
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltDense, Shape)> {
        let (units, input) = (self.units, cx.input());
        let [outer @ .., features] = input.dims() else {
            return Err(cx.shape_error("input of rank 1 or more", "a sample is a vector of features"));
        };
        if units == 0 {
            return Err(cx.argument_error("units must be at least 1, got 0"));
        }
        let output = Shape::new(&[outer, &[units]].concat())?;
        let layer = BuiltDense {
            sizes: [*features, units],
            kernel: cx.weight("kernel", [*features, units], &self.kernel)?,
            epilogue: Epilogue::build(cx, units, self.use_bias.then_some(&self.bias), self.activation)?,
        };
        Ok((layer, output))
    }

    fn split_activation(&self) -> Option<(Self, Activation)> {
        Some((self.clone().activation(Activation::Linear), self.activation))
    }

    fn absorb(&self, weights: &[Tensor<f64>], affine: &ChannelAffine) -> Option<(Self, Vec<Tensor<f64>>)> {
        let linear = self.activation == Activation::Linear;
        linear.then(|| (self.clone().use_bias(true), affine.fold(weights, 0, 1)))
    }
}

/// A built [`Dense`].
#[derive(Debug)]
pub struct BuiltDense {
    /// `[features, units]`
    sizes: [usize; 2],
    kernel: ParamId,
    epilogue: Epilogue,
}

impl BuiltDense {
    /// What it computes: a product with a kernel of `[features, units]`, a bias and an activation.
    pub(crate) fn parts(&self) -> ([usize; 2], Activation) {
        (self.sizes, self.epilogue.activation())
    }
}

impl Layer for BuiltDense {
    /// The input of the activation, where its derivative needs that.
    type Work<T: Scalar> = Vec<T>;

    fn reads(&self) -> Reads {
        self.epilogue.reads()
    }

    fn work_bytes<T: Scalar>(&self, outputs: usize) -> usize {
        self.epilogue.work_bytes::<T>(outputs)
    }

    /// The weights are large next to a sample, so many samples share each reading of them.
    fn scope(&self) -> Scope {
        Scope::WholeBatch
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, work: &mut Vec<T>, x: View<T>, y: ViewMut<T>) {
        let (kernel, bias, on_part) = (cx.param(self.kernel), self.epilogue.bias(cx), self.epilogue.on_part(cx));
        dense::forward(x.data, kernel, bias, self.sizes, y.data, on_part);
        self.epilogue.finish(cx, work, y.data);
    }

    fn backward<T: Scalar>(&self, cx: &mut Backward<T>, work: &mut Vec<T>, taped: Taped<T>, dx: Option<ViewMut<T>>) {
        let dz = taped.dy.data;
        self.epilogue.backward(cx, work, taped.y.data, dz);
        if cx.trainable() {
            dense::kernel_gradient(taped.x.data, dz, self.sizes, cx.grads.of(self.kernel));
        }
        if let Some(dx) = dx {
            dense::input_gradient(cx.param(self.kernel), dz, self.sizes, dx.data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{activations::tests::ALL, gradcheck::check_layer};

    fn check(layer: &Dense, input: impl Into<Shape>) {
        let report = check_layer(layer, input).unwrap();
        assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
    }

    #[test]
    fn gradients() {
        for layer in [Dense::new(1), Dense::new(7), Dense::new(4).use_bias(false)] {
            check(&layer, 5);
            check(&layer, 1);
            check(&layer, [2, 3]);
        }
    }

    #[test]
    fn gradients_of_every_activation() {
        for activation in ALL {
            check(&Dense::new(4).activation(activation), 6);
        }
    }
}
