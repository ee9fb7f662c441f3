//! [`Conv1D`].

use serde_json::Value;

use super::{
    Build, BuiltConv2D, ChannelAffine, LayerConfig, Padding, conv2d::check_channels, epilogue::Epilogue, window,
};
use crate::{
    Activation, Constraint, Initializer, Regularizer, Result, Shape, Tensor, config::Arguments, kernels::conv::Conv,
    params::WeightSpec,
};

/// A 1D convolution along a sequence, `keras.layers.Conv1D`.
///
/// ```text
/// y[o, f] = activation(bias[f] + sum over k, c of x[o*stride + k*dilation - before, c] kernel[k, c, f])
/// ```
///
/// - input: `[n, steps, cin]`
/// - output: `[n, new_steps, filters]`; see [`Padding`] for `new_steps`
/// - weights: `kernel: [kernel_size, cin / groups, filters]`, and unless `use_bias(false)`, `bias: [filters]`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([100, 3]).add(Conv1D::new(16, 5).dilation_rate(2).padding(Padding::Causal)).build()?;
/// assert_eq!(model.output_shape(), [100, 16].into());
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Conv1D {
    filters: usize,
    kernel_size: usize,
    strides: usize,
    padding: Padding,
    dilation_rate: usize,
    groups: usize,
    use_bias: bool,
    activation: Activation,
    kernel: WeightSpec,
    bias: WeightSpec,
}

impl Conv1D {
    /// `filters` output channels, each from a window of `kernel_size` steps.
    pub fn new(filters: usize, kernel_size: usize) -> Self {
        Conv1D {
            filters,
            kernel_size,
            strides: 1,
            padding: Padding::Valid,
            dilation_rate: 1,
            groups: 1,
            use_bias: true,
            activation: Activation::Linear,
            kernel: Initializer::GlorotUniform.into(),
            bias: Initializer::Zeros.into(),
        }
    }

    /// How far the window moves; 1 by default.
    pub fn strides(mut self, strides: usize) -> Self {
        self.strides = strides;
        self
    }

    /// What happens at both ends; [`Padding::Valid`] by default.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// How far the taps of the window are apart; 1 by default.
    pub fn dilation_rate(mut self, dilation_rate: usize) -> Self {
        self.dilation_rate = dilation_rate;
        self
    }

    /// Into how many parts the channels are cut, each convolved by itself; 1 by default. It must divide both the
    /// channels of the input and `filters`.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
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

impl LayerConfig for Conv1D {
    /// A sequence is an image of one line.
    type Built = BuiltConv2D;

    fn class_name(&self) -> &'static str {
        "Conv1D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("filters", &mut self.filters)
            .one("kernel_size", &mut self.kernel_size)
            .one("strides", &mut self.strides)
            .argument("padding", &mut self.padding)
            .fixed("data_format", "channels_last")
            .one("dilation_rate", &mut self.dilation_rate)
            .argument("groups", &mut self.groups)
            .argument("activation", &mut self.activation)
            .argument("use_bias", &mut self.use_bias)
            .weight("kernel", &mut self.kernel)
            .weight("bias", &mut self.bias)
            .fixed("activity_regularizer", Value::Null);
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltConv2D, Shape)> {
        let [steps, cin] = cx.input_of_rank("sequences are (steps, channels)")?;
        let Conv1D { filters, kernel_size, strides, dilation_rate, groups, .. } = *self;
        check_channels(cx, cin, filters, groups)?;
        let window = window::slide_along(cx, steps, kernel_size, strides, dilation_rate, self.padding)?;
        let layer = BuiltConv2D {
            conv: Conv { window, channels: cin, filters, groups },
            kernel: cx.weight("kernel", [kernel_size, cin / groups, filters], &self.kernel)?,
            epilogue: Epilogue::build(cx, filters, self.use_bias.then_some(&self.bias), self.activation)?,
        };
        Ok((layer, [window.output[1], filters].into()))
    }

    fn split_activation(&self) -> Option<(Self, Activation)> {
        Some((self.clone().activation(Activation::Linear), self.activation))
    }

    fn absorb(&self, weights: &[Tensor<f64>], affine: &ChannelAffine) -> Option<(Self, Vec<Tensor<f64>>)> {
        let linear = self.activation == Activation::Linear;
        linear.then(|| (self.clone().use_bias(true), affine.fold(weights, 0, 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sequential, Tensor, activations::tests::ALL, gradcheck::check_layer, layers::Conv2D};

    fn check(layer: &Conv1D, input: [usize; 2]) {
        let report = check_layer(layer, input).unwrap();
        assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
    }

    #[test]
    fn gradients_of_every_window() {
        for padding in [Padding::Valid, Padding::Same, Padding::Causal] {
            for layer in [
                Conv1D::new(3, 1),
                Conv1D::new(2, 1).strides(2),
                Conv1D::new(2, 3),
                Conv1D::new(2, 4).strides(3),
                Conv1D::new(2, 7),
                Conv1D::new(2, 2).dilation_rate(3),
                Conv1D::new(2, 3).dilation_rate(2).strides(2),
                Conv1D::new(2, 2).use_bias(false),
                Conv1D::new(4, 2).groups(2),
                Conv1D::new(8, 2).groups(4).activation(Activation::Tanh),
            ] {
                check(&layer.padding(padding), [7, 4]);
            }
        }
        check(&Conv1D::new(2, 3).padding(Padding::Same), [1, 1]);
        check(&Conv1D::new(2, 3).padding(Padding::Causal).dilation_rate(1 << 40), [3, 2]);
    }

    #[test]
    fn gradients_of_every_activation() {
        for activation in ALL {
            check(&Conv1D::new(3, 2).activation(activation), [4, 2]);
        }
    }

    #[test]
    fn causal_outputs_see_no_later_step() {
        let layer = Conv1D::new(2, 3).dilation_rate(2).padding(Padding::Causal);
        let model = Sequential::new([8, 3]).add(layer).build().unwrap();
        let x = Tensor::random_normal([1, 8, 3], 0.0, 1.0, 1);
        let before = model.predict(&x).unwrap();
        for step in 0..8 {
            let mut moved = x.clone();
            moved.data_mut()[step * 3] += 1.0;
            let after = model.predict(&moved).unwrap();
            let seen: Vec<usize> = (0..8).filter(|&o| after.data()[2 * o] != before.data()[2 * o]).collect();
            assert_eq!(seen, [step, step + 2, step + 4].into_iter().filter(|&o| o < 8).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_bits_are_those_of_an_image_of_one_line() {
        let x = Tensor::random_normal([5, 9, 4], 0.0, 1.0, 1);
        let line = Conv1D::new(6, 3).strides(2).groups(2).activation(Activation::Silu);
        let image = Conv2D::new(6, (1, 3)).strides((1, 2)).groups(2).activation(Activation::Silu);
        let line = Sequential::new([9, 4]).add(line).seed(3).build().unwrap();
        let mut image = Sequential::new([1, 9, 4]).add(image).seed(4).build().unwrap();
        let [kernel, bias] = line.get_weights().try_into().unwrap();
        image.set_weights(&[kernel.reshape([1, 3, 2, 6]).unwrap(), bias]).unwrap();
        let expected = image.predict(&x.clone().reshape([5, 1, 9, 4]).unwrap()).unwrap();
        assert_eq!(line.predict(&x).unwrap(), expected.reshape([5, 4, 6]).unwrap());
    }
}
