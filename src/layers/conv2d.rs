//! [`Conv2D`].

use serde_json::Value;

use super::{
    Backward, Build, ChannelAffine, Forward, Layer, LayerConfig, Padding, Pair, Params, Pass, Reads, Taped,
    epilogue::Epilogue, window,
};
use crate::{
    Activation, Constraint, Initializer, Regularizer, Result, Scalar, Shape, Tensor,
    config::Arguments,
    kernels::conv::{self, Conv},
    params::{ParamId, WeightSpec},
    tensor::{View, ViewMut},
};

/// A 2D convolution, `keras.layers.Conv2D`.
///
/// ```text
/// y[oy, ox, f] = activation(bias[f] + sum over ky, kx, c of x[oy*sh + ky*dh - top, ox*sw + kx*dw - left, c] kernel[ky, kx, c, f])
/// ```
///
/// - input: `[n, h, w, cin]`
/// - output: `[n, oh, ow, filters]`; see [`Padding`] for `oh` and `ow`
/// - weights: `kernel: [kh, kw, cin / groups, filters]`, and unless `use_bias(false)`, `bias: [filters]`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 1])
///     .add(Conv2D::new(32, (3, 3)).strides(2).padding(Padding::Same).activation(Activation::Relu))
///     .build()?;
/// assert_eq!(model.output_shape(), [14, 14, 32].into());
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2D {
    filters: usize,
    kernel_size: Pair,
    strides: Pair,
    padding: Padding,
    dilation_rate: Pair,
    groups: usize,
    use_bias: bool,
    activation: Activation,
    kernel: WeightSpec,
    bias: WeightSpec,
}

impl Conv2D {
    /// `filters` output channels, each from a window of `kernel_size` pixels (height, width).
    pub fn new(filters: usize, kernel_size: impl Into<Pair>) -> Self {
        Conv2D {
            filters,
            kernel_size: kernel_size.into(),
            strides: 1.into(),
            padding: Padding::Valid,
            dilation_rate: 1.into(),
            groups: 1,
            use_bias: true,
            activation: Activation::Linear,
            kernel: Initializer::GlorotUniform.into(),
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

    /// How far the taps of the window are apart; 1 by default.
    pub fn dilation_rate(mut self, dilation_rate: impl Into<Pair>) -> Self {
        self.dilation_rate = dilation_rate.into();
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

impl LayerConfig for Conv2D {
    type Built = BuiltConv2D;

    fn class_name(&self) -> &'static str {
        "Conv2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("filters", &mut self.filters)
            .required("kernel_size", &mut self.kernel_size)
            .argument("strides", &mut self.strides)
            .argument("padding", &mut self.padding)
            .fixed("data_format", "channels_last")
            .argument("dilation_rate", &mut self.dilation_rate)
            .argument("groups", &mut self.groups)
            .argument("activation", &mut self.activation)
            .argument("use_bias", &mut self.use_bias)
            .weight("kernel", &mut self.kernel)
            .weight("bias", &mut self.bias)
            .fixed("activity_regularizer", Value::Null);
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltConv2D, Shape)> {
        let [h, w, cin] =
            cx.input_of_rank("images are (height, width, channels); a Reshape can add a dimension of 1")?;
        let Conv2D { filters, groups, .. } = *self;
        check_channels(cx, cin, filters, groups)?;
        let kernel_size = ("kernel_size", self.kernel_size);
        let window = window::slide(cx, [h, w], kernel_size, self.strides, self.dilation_rate, self.padding)?;
        let [kh, kw] = window.kernel;
        let layer = BuiltConv2D {
            conv: Conv { window, channels: cin, filters, groups },
            kernel: cx.weight("kernel", [kh, kw, cin / groups, filters], &self.kernel)?,
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

/// Checks the numbers of channels of a convolution of `cin` channels.
pub(super) fn check_channels(cx: &Build, cin: usize, filters: usize, groups: usize) -> Result<()> {
    if filters == 0 {
        return Err(cx.argument_error("filters must be at least 1, got 0"));
    }
    if !filters.is_multiple_of(groups) || !cin.is_multiple_of(groups) {
        return Err(cx.argument_error(format!(
            "groups must divide the {cin} channels of the input and the {filters} filters, got {groups}"
        )));
    }
    Ok(())
}

/// A built [`Conv2D`], and any other layer that is one to its kernels.
#[derive(Debug)]
pub struct BuiltConv2D {
    pub(super) conv: Conv,
    /// Laid out as `[kh, kw, cin / groups, filters]`.
    pub(super) kernel: ParamId,
    pub(super) epilogue: Epilogue,
}

impl BuiltConv2D {
    /// What it computes: a convolution, a bias and an activation.
    pub(crate) fn parts(&self) -> (Conv, Activation) {
        (self.conv, self.epilogue.activation())
    }
}

impl Layer for BuiltConv2D {
    /// The input of the activation, where its derivative needs that.
    type Work<T: Scalar> = Vec<T>;

    fn reads(&self) -> Reads {
        self.epilogue.reads()
    }

    fn work_bytes<T: Scalar>(&self, outputs: usize) -> usize {
        self.epilogue.work_bytes::<T>(outputs)
    }

    fn packed_len<T: Scalar>(&self, pass: Pass) -> usize {
        self.conv.packed_len::<T>(pass)
    }

    fn pack<T: Scalar>(&self, params: Params<T>, pass: Pass, packed: &mut [T]) {
        self.conv.pack(params.of(self.kernel), pass, packed);
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, work: &mut Vec<T>, x: View<T>, y: ViewMut<T>) {
        let Self { conv, epilogue, .. } = self;
        let (bias, on_part) = (epilogue.bias(cx), epilogue.on_part(cx));
        let scratch = cx.scratch.take(conv.scratch_len::<T>());
        conv::forward(conv, x.data, cx.packed, bias, y.data, scratch, on_part);
        epilogue.finish(cx, work, y.data);
    }

    fn backward<T: Scalar>(&self, cx: &mut Backward<T>, work: &mut Vec<T>, taped: Taped<T>, dx: Option<ViewMut<T>>) {
        let conv = &self.conv;
        let dz = taped.dy.data;
        self.epilogue.backward(cx, work, taped.y.data, dz);
        let scratch = cx.scratch.take(conv.scratch_len::<T>());
        let (x, dkernel) = (taped.x.data, cx.grads.of(self.kernel));
        match dx {
            Some(dx) if cx.trainable => conv::gradients(conv, (x, dkernel), dz, (cx.packed, dx.data), scratch),
            Some(dx) => conv::input_gradient(conv, cx.packed, dz, dx.data, scratch),
            None => conv::kernel_gradient(conv, x, dz, dkernel, scratch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sequential, Tensor, activations::tests::ALL, gradcheck::check_layer};

    fn check(layer: &Conv2D, input: [usize; 3]) {
        let report = check_layer(layer, input).unwrap();
        assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
    }

    #[test]
    fn gradients_of_every_window() {
        for padding in [Padding::Valid, Padding::Same] {
            for layer in [
                Conv2D::new(3, 1),
                Conv2D::new(2, 1).strides(2),
                Conv2D::new(2, 3),
                Conv2D::new(2, (2, 3)).strides((1, 2)),
                Conv2D::new(2, (3, 2)).strides((3, 1)),
                Conv2D::new(2, (6, 5)),
                Conv2D::new(2, 2).dilation_rate(3),
                Conv2D::new(2, (3, 2)).dilation_rate((2, 1)).strides((1, 2)),
                Conv2D::new(1, 2).use_bias(false),
            ] {
                check(&layer.padding(padding), [6, 5, 2]);
            }
        }
        check(&Conv2D::new(2, 3).padding(Padding::Same), [1, 1, 1]);
        check(&Conv2D::new(2, 1), [1, 1, 3]);
    }

    #[test]
    fn steps_larger_than_the_image() {
        let far = Conv2D::new(2, 2).padding(Padding::Same).dilation_rate(1 << 40);
        for layer in [far, Conv2D::new(2, 3).strides(usize::MAX), Conv2D::new(2, 1).dilation_rate(usize::MAX)] {
            check(&layer, [3, 3, 2]);
            let model = Sequential::new([3, 3, 2]).add(layer).build().unwrap();
            assert!(model.predict(&Tensor::<f32>::ones([1, 3, 3, 2])).is_ok());
        }
    }

    #[test]
    fn gradients_of_groups() {
        for groups in [2, 4] {
            let layer = Conv2D::new(4, (3, 2)).groups(groups).activation(Activation::Tanh);
            check(&layer, [4, 3, 4]);
            check(&layer.clone().strides(2).padding(Padding::Same), [4, 3, 4]);
            check(&Conv2D::new(8, 1).groups(groups).use_bias(false), [2, 3, 4]);
            check(&layer.dilation_rate((1, 2)), [4, 5, 4]);
        }
    }

    #[test]
    fn gradients_of_every_activation() {
        for activation in ALL {
            check(&Conv2D::new(3, 2).activation(activation), [4, 3, 2]);
        }
    }
}
