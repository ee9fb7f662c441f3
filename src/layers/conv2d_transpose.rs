//! [`Conv2DTranspose`].

use serde_json::Value;

use super::{
    Backward, Build, ChannelAffine, Forward, Layer, LayerConfig, Padding, Pair, Params, Pass, Reads, Taped,
    conv2d::check_channels, epilogue::Epilogue, window,
};
use crate::{
    Activation, Constraint, Initializer, Regularizer, Result, Scalar, Shape, Tensor,
    config::Arguments,
    kernels::{
        conv::{self, Conv},
        reduce,
    },
    params::{ParamId, WeightSpec},
    tensor::{View, ViewMut},
};

/// A transposed 2D convolution, `keras.layers.Conv2DTranspose`: the adjoint of a [`Conv2D`](super::Conv2D), from the shape of its
/// output to that of its input.
///
/// ```text
/// y[iy*sh + ky*dh - top, ix*sw + kx*dw - left, f] = activation(bias[f] + sum over all such iy, ky, ix, kx and c of x[iy, ix, c] kernel[ky, kx, f, c])
/// ```
///
/// - input: `[n, h, w, cin]`
/// - output: `[n, oh, ow, filters]`. With `span = (kernel - 1) * dilation + 1`, along each axis
///
///   | padding | output | with `output_padding` |
///   | --- | --- | --- |
///   | `Valid` | `(in - 1) * stride + max(span, stride)` | `(in - 1) * stride + span + output_padding` |
///   | `Same` | `in * stride` | `(in - 1) * stride + span % 2 + output_padding` |
///
/// - weights: `kernel: [kh, kw, filters, cin]`, and unless `use_bias(false)`, `bias: [filters]`
///
/// [Dumoulin and Visin, 2016](https://arxiv.org/abs/1603.07285)
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([7, 7, 8]).add(Conv2DTranspose::new(4, 3).strides(2).padding(Padding::Same)).build()?;
/// assert_eq!(model.output_shape(), [14, 14, 4].into());
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2DTranspose {
    filters: usize,
    kernel_size: Pair,
    strides: Pair,
    padding: Padding,
    output_padding: Option<Pair>,
    dilation_rate: Pair,
    use_bias: bool,
    activation: Activation,
    kernel: WeightSpec,
    bias: WeightSpec,
}

impl Conv2DTranspose {
    /// `filters` output channels; each pixel is spread over a window of `kernel_size` pixels (height, width).
    pub fn new(filters: usize, kernel_size: impl Into<Pair>) -> Self {
        Conv2DTranspose {
            filters,
            kernel_size: kernel_size.into(),
            strides: 1.into(),
            padding: Padding::Valid,
            output_padding: None,
            dilation_rate: 1.into(),
            use_bias: true,
            activation: Activation::Linear,
            kernel: Initializer::GlorotUniform.into(),
            bias: Initializer::Zeros.into(),
        }
    }

    /// How far the windows of two pixels are apart in the output; 1 by default.
    pub fn strides(mut self, strides: impl Into<Pair>) -> Self {
        self.strides = strides.into();
        self
    }

    /// What happens at the border, [`Padding::Valid`] by default: all that the windows reach is the output, or, with
    /// [`Padding::Same`], `strides` times the input.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Pixels at the end of the output, fewer than `strides`, to choose one of the shapes that a convolution takes to the
    /// shape of the input. None are given by default, which is not the same as 0.
    pub fn output_padding(mut self, output_padding: impl Into<Pair>) -> Self {
        self.output_padding = Some(output_padding.into());
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

impl LayerConfig for Conv2DTranspose {
    type Built = BuiltConv2DTranspose;

    fn class_name(&self) -> &'static str {
        "Conv2DTranspose"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("filters", &mut self.filters)
            .required("kernel_size", &mut self.kernel_size)
            .argument("strides", &mut self.strides)
            .argument("padding", &mut self.padding)
            .argument("output_padding", &mut self.output_padding)
            .fixed("data_format", "channels_last")
            .argument("dilation_rate", &mut self.dilation_rate)
            .argument("activation", &mut self.activation)
            .argument("use_bias", &mut self.use_bias)
            .weight("kernel", &mut self.kernel)
            .weight("bias", &mut self.bias)
            .fixed("activity_regularizer", Value::Null);
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltConv2DTranspose, Shape)> {
        let [h, w, cin] = cx.input_of_rank("images are (height, width, channels)")?;
        let Self { filters, kernel_size, strides, dilation_rate, padding, output_padding, .. } = *self;
        check_channels(cx, cin, filters, 1)?;
        let window =
            window::slide_transposed(cx, [h, w], kernel_size, strides, dilation_rate, padding, output_padding)?;
        let ([oh, ow], [kh, kw]) = (window.input, window.kernel);
        let layer = BuiltConv2DTranspose {
            adjoint: Conv { window, channels: filters, filters: cin, groups: 1 },
            kernel: cx.weight("kernel", [kh, kw, filters, cin], &self.kernel)?,
            epilogue: Epilogue::build(cx, filters, self.use_bias.then_some(&self.bias), self.activation)?,
        };
        Ok((layer, [oh, ow, filters].into()))
    }

    fn split_activation(&self) -> Option<(Self, Activation)> {
        Some((self.clone().activation(Activation::Linear), self.activation))
    }

    fn absorb(&self, weights: &[Tensor<f64>], affine: &ChannelAffine) -> Option<(Self, Vec<Tensor<f64>>)> {
        let linear = self.activation == Activation::Linear;
        linear.then(|| (self.clone().use_bias(true), affine.fold(weights, 0, weights[0].shape().last())))
    }
}

/// A built [`Conv2DTranspose`].
#[derive(Debug)]
pub struct BuiltConv2DTranspose {
    /// The convolution from the output to the input.
    adjoint: Conv,
    kernel: ParamId,
    epilogue: Epilogue,
}

/// The pass of the adjoint that a pass makes.
fn swap(pass: Pass) -> Pass {
    match pass {
        Pass::Forward => Pass::Backward,
        Pass::Backward => Pass::Forward,
    }
}

impl Layer for BuiltConv2DTranspose {
    /// The input of the activation, where its derivative needs that.
    type Work<T: Scalar> = Vec<T>;

    fn reads(&self) -> Reads {
        self.epilogue.reads()
    }

    fn work_bytes<T: Scalar>(&self, outputs: usize) -> usize {
        self.epilogue.work_bytes::<T>(outputs)
    }

    fn packed_len<T: Scalar>(&self, pass: Pass) -> usize {
        self.adjoint.packed_len::<T>(swap(pass))
    }

    fn pack<T: Scalar>(&self, params: Params<T>, pass: Pass, packed: &mut [T]) {
        self.adjoint.pack(params.of(self.kernel), swap(pass), packed);
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, work: &mut Vec<T>, x: View<T>, y: ViewMut<T>) {
        let Self { adjoint, epilogue, .. } = self;
        let scratch = cx.scratch.take(adjoint.scratch_len::<T>());
        conv::input_gradient(adjoint, cx.packed, x.data, y.data, scratch);
        if let Some(bias) = epilogue.bias(cx) {
            reduce::add_to_rows(bias, y.data);
        }
        epilogue.on_part(cx)(y.data);
        epilogue.finish(cx, work, y.data);
    }

    fn backward<T: Scalar>(&self, cx: &mut Backward<T>, work: &mut Vec<T>, taped: Taped<T>, dx: Option<ViewMut<T>>) {
        let adjoint = &self.adjoint;
        let dz = taped.dy.data;
        self.epilogue.backward(cx, work, taped.y.data, dz);
        let scratch = cx.scratch.take(adjoint.scratch_len::<T>());
        if cx.trainable {
            conv::kernel_gradient(adjoint, dz, taped.x.data, cx.grads.of(self.kernel), scratch);
        }
        if let Some(dx) = dx {
            conv::forward(adjoint, dz, cx.packed, None, dx.data, scratch, |_| {});
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sequential, activations::tests::ALL, gradcheck::check_layer};

    fn check(layer: &Conv2DTranspose, input: [usize; 3]) {
        let report = check_layer(layer, input).unwrap();
        assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
    }

    #[test]
    fn gradients_of_every_window() {
        for padding in [Padding::Valid, Padding::Same] {
            for layer in [
                Conv2DTranspose::new(3, 1),
                Conv2DTranspose::new(2, 1).strides(2),
                Conv2DTranspose::new(2, 3),
                Conv2DTranspose::new(2, (2, 3)).strides((1, 2)),
                Conv2DTranspose::new(2, (3, 2)).strides((3, 1)),
                Conv2DTranspose::new(2, 3).strides(2).output_padding((1, 0)),
                Conv2DTranspose::new(2, 2).strides(3).output_padding((2, 0)),
                Conv2DTranspose::new(2, 2).dilation_rate(3),
                Conv2DTranspose::new(2, (3, 2)).dilation_rate((2, 1)).strides((1, 2)),
                Conv2DTranspose::new(1, 2).use_bias(false),
            ] {
                check(&layer.padding(padding), [3, 4, 2]);
            }
        }
        check(&Conv2DTranspose::new(2, 3).padding(Padding::Same), [1, 1, 1]);
    }

    #[test]
    fn gradients_of_every_activation() {
        for activation in ALL {
            check(&Conv2DTranspose::new(3, 2).strides(2).activation(activation), [2, 3, 2]);
        }
    }

    #[test]
    fn steps_larger_than_the_image() {
        check(&Conv2DTranspose::new(2, 2).padding(Padding::Same).dilation_rate(1 << 40), [3, 3, 2]);
        check(&Conv2DTranspose::new(2, 1).dilation_rate(usize::MAX), [3, 3, 2]);
    }

    #[test]
    fn output_shapes_are_those_of_keras() {
        let shape = |layer: &Conv2DTranspose, input: [usize; 2]| {
            let model = Sequential::new([input[0], input[1], 1]).add(layer.clone()).build().unwrap();
            let [oh, ow, 1] = *model.output_shape().dims() else { panic!("one filter") };
            [oh, ow]
        };
        use Padding::{Same, Valid};
        for (kernel, strides, dilation, extra, padding, expected) in [
            (3, 1, 1, None, Valid, [6, 7]),
            (3, 2, 1, None, Valid, [9, 11]),
            (2, 3, 1, None, Valid, [12, 15]),
            (2, 3, 1, Some((0, 2)), Valid, [11, 16]),
            (3, 1, 2, None, Valid, [8, 9]),
            (3, 2, 1, None, Same, [8, 10]),
            (3, 2, 1, Some((0, 1)), Same, [7, 10]),
            (2, 3, 1, Some((1, 2)), Same, [10, 14]),
            (3, 1, 2, None, Same, [4, 5]),
        ] {
            let layer = Conv2DTranspose::new(1, kernel).strides(strides).dilation_rate(dilation).padding(padding);
            let layer = extra.map_or(layer.clone(), |extra| layer.output_padding(extra));
            assert_eq!(shape(&layer, [4, 5]), expected, "{layer:?}");
        }
    }
}
