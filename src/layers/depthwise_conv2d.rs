//! [`DepthwiseConv2D`].

use serde_json::Value;

use super::{Build, BuiltConv2D, ChannelAffine, LayerConfig, Padding, Pair, epilogue::Epilogue, window};
use crate::{
    Activation, Constraint, Initializer, Regularizer, Result, Shape, Tensor, config::Arguments, kernels::conv::Conv,
    params::WeightSpec,
};

/// A 2D convolution of each channel by itself, `keras.layers.DepthwiseConv2D`.
///
/// ```text
/// y[oy, ox, c*m + j] = activation(bias[c*m + j] + sum over ky, kx of x[oy*sh + ky*dh - top, ox*sw + kx*dw - left, c] kernel[ky, kx, c, j])
/// ```
///
/// - input: `[n, h, w, cin]`
/// - output: `[n, oh, ow, cin * m]`; see [`Padding`] for `oh` and `ow`; `m` is the depth multiplier
/// - weights: `kernel: [kh, kw, cin, m]`, and unless `use_bias(false)`, `bias: [cin * m]`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 8]).add(DepthwiseConv2D::new(3).strides(2).depth_multiplier(2)).build()?;
/// assert_eq!(model.output_shape(), [13, 13, 16].into());
/// assert_eq!(model.count_params(), 3 * 3 * 8 * 2 + 16);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DepthwiseConv2D {
    kernel_size: Pair,
    strides: Pair,
    padding: Padding,
    depth_multiplier: usize,
    dilation_rate: Pair,
    use_bias: bool,
    activation: Activation,
    depthwise: WeightSpec,
    bias: WeightSpec,
}

impl DepthwiseConv2D {
    /// One output channel for each of the input, from a window of `kernel_size` pixels (height, width).
    pub fn new(kernel_size: impl Into<Pair>) -> Self {
        DepthwiseConv2D {
            kernel_size: kernel_size.into(),
            strides: 1.into(),
            padding: Padding::Valid,
            depth_multiplier: 1,
            dilation_rate: 1.into(),
            use_bias: true,
            activation: Activation::Linear,
            depthwise: Initializer::GlorotUniform.into(),
            bias: Initializer::Zeros.into(),
        }
    }

    /// How far the window moves; 1 by default.
    pub fn strides(mut self, strides: impl Into<Pair>) -> Self {
        self.strides = strides.into();
        self
    }

    /// What happens at the border; [`Padding::Valid`] by default.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// How many output channels each channel of the input has, one beside the other; 1 by default.
    pub fn depth_multiplier(mut self, depth_multiplier: usize) -> Self {
        self.depth_multiplier = depth_multiplier;
        self
    }

    /// How far the taps of the window are apart; 1 by default.
    pub fn dilation_rate(mut self, dilation_rate: impl Into<Pair>) -> Self {
        self.dilation_rate = dilation_rate.into();
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
    pub fn depthwise_initializer(mut self, initializer: Initializer) -> Self {
        self.depthwise.initializer = initializer;
        self
    }

    /// How the bias starts; [`Initializer::Zeros`] by default.
    pub fn bias_initializer(mut self, initializer: Initializer) -> Self {
        self.bias.initializer = initializer;
        self
    }

    /// A penalty on the size of the kernel; none by default.
    pub fn depthwise_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.depthwise.regularizer = Some(regularizer);
        self
    }

    /// A penalty on the size of the bias; none by default.
    pub fn bias_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.bias.regularizer = Some(regularizer);
        self
    }

    /// What the kernel is brought back to after each step; nothing by default.
    pub fn depthwise_constraint(mut self, constraint: Constraint) -> Self {
        self.depthwise.constraint = Some(constraint);
        self
    }

    /// What the bias is brought back to after each step; nothing by default.
    pub fn bias_constraint(mut self, constraint: Constraint) -> Self {
        self.bias.constraint = Some(constraint);
        self
    }
}

impl LayerConfig for DepthwiseConv2D {
    /// To its kernels, a convolution with as many groups as channels.
    type Built = BuiltConv2D;

    fn class_name(&self) -> &'static str {
        "DepthwiseConv2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("kernel_size", &mut self.kernel_size)
            .argument("strides", &mut self.strides)
            .argument("padding", &mut self.padding)
            .argument("depth_multiplier", &mut self.depth_multiplier)
            .fixed("data_format", "channels_last")
            .argument("dilation_rate", &mut self.dilation_rate)
            .argument("activation", &mut self.activation)
            .argument("use_bias", &mut self.use_bias)
            .weight("depthwise", &mut self.depthwise)
            .weight("bias", &mut self.bias)
            .fixed("activity_regularizer", Value::Null);
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltConv2D, Shape)> {
        let Self { kernel_size, strides, dilation_rate, padding, depth_multiplier, .. } = *self;
        let conv = depthwise(cx, kernel_size, strides, dilation_rate, padding, depth_multiplier)?;
        let Conv { window, channels, filters, .. } = conv;
        let [kh, kw] = window.kernel;
        let layer = BuiltConv2D {
            conv,
            kernel: cx.weight("kernel", [kh, kw, channels, depth_multiplier], &self.depthwise)?,
            epilogue: Epilogue::build(cx, filters, self.use_bias.then_some(&self.bias), self.activation)?,
        };
        Ok((layer, [window.output[0], window.output[1], filters].into()))
    }

    fn split_activation(&self) -> Option<(Self, Activation)> {
        Some((self.clone().activation(Activation::Linear), self.activation))
    }

    fn absorb(&self, weights: &[Tensor<f64>], affine: &ChannelAffine) -> Option<(Self, Vec<Tensor<f64>>)> {
        let linear = self.activation == Activation::Linear;
        linear.then(|| (self.clone().use_bias(true), affine.fold(weights, 0, 1)))
    }
}

/// The depthwise convolution of the image that comes in: one with as many groups as channels.
pub(super) fn depthwise(
    cx: &Build,
    kernel_size: Pair,
    strides: Pair,
    dilation_rate: Pair,
    padding: Padding,
    depth_multiplier: usize,
) -> Result<Conv> {
    let [h, w, cin] = cx.input_of_rank("images are (height, width, channels)")?;
    if depth_multiplier == 0 {
        return Err(cx.argument_error("depth_multiplier must be at least 1, got 0"));
    }
    let window = window::slide(cx, [h, w], ("kernel_size", kernel_size), strides, dilation_rate, padding)?;
    // A product that overflows makes a kernel that no memory holds, and is an error when that is declared.
    Ok(Conv { window, channels: cin, filters: cin.saturating_mul(depth_multiplier), groups: cin })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{activations::tests::ALL, gradcheck::check_layer};

    fn check(layer: &DepthwiseConv2D, input: [usize; 3]) {
        let report = check_layer(layer, input).unwrap();
        assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
    }

    #[test]
    fn gradients_of_every_window() {
        for padding in [Padding::Valid, Padding::Same] {
            for layer in [
                DepthwiseConv2D::new(1),
                DepthwiseConv2D::new(1).strides(2),
                DepthwiseConv2D::new(3),
                DepthwiseConv2D::new((2, 3)).strides((1, 2)).depth_multiplier(2),
                DepthwiseConv2D::new((3, 2)).strides((3, 1)),
                DepthwiseConv2D::new((6, 5)).depth_multiplier(3),
                DepthwiseConv2D::new(2).dilation_rate(3),
                DepthwiseConv2D::new((3, 2)).dilation_rate((2, 1)).strides((1, 2)),
                DepthwiseConv2D::new(2).use_bias(false),
            ] {
                check(&layer.padding(padding), [6, 5, 2]);
            }
        }
        check(&DepthwiseConv2D::new(3).padding(Padding::Same), [4, 5, 21]);
        check(&DepthwiseConv2D::new(3).padding(Padding::Same), [1, 1, 2]);
    }

    #[test]
    fn gradients_of_one_channel() {
        for multiplier in [1, 3] {
            check(&DepthwiseConv2D::new(2).depth_multiplier(multiplier), [4, 3, 1]);
        }
    }

    #[test]
    fn steps_larger_than_the_image() {
        let far = DepthwiseConv2D::new(2).padding(Padding::Same).dilation_rate(1 << 40);
        for layer in
            [far, DepthwiseConv2D::new(3).strides(usize::MAX), DepthwiseConv2D::new(1).dilation_rate(usize::MAX)]
        {
            check(&layer, [3, 3, 2]);
        }
    }

    #[test]
    fn gradients_of_every_activation() {
        for activation in ALL {
            check(&DepthwiseConv2D::new(2).depth_multiplier(2).activation(activation), [4, 3, 2]);
        }
    }
}
