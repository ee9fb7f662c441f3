//! [`SeparableConv2D`].

use serde_json::Value;

use super::{
    Backward, Build, ChannelAffine, Forward, Layer, LayerConfig, Padding, Pair, Params, Pass, Reads, Taped,
    conv2d::check_channels, depthwise_conv2d::depthwise, epilogue::Epilogue,
};
use crate::{
    Activation, Constraint, Initializer, Regularizer, Result, Scalar, Shape, Tensor,
    config::Arguments,
    kernels::{
        Window,
        conv::{self, Conv},
    },
    params::{ParamId, WeightSpec},
    tensor::{View, ViewMut},
};

/// A depthwise convolution, and one of 1x1 that mixes its channels, `keras.layers.SeparableConv2D`.
///
/// ```text
/// h[oy, ox, c*m + j] = sum over ky, kx of x[oy*sh + ky*dh - top, ox*sw + kx*dw - left, c] depthwise_kernel[ky, kx, c, j]
/// y[oy, ox, f] = activation(bias[f] + sum over i of h[oy, ox, i] pointwise_kernel[0, 0, i, f])
/// ```
///
/// - input: `[n, h, w, cin]`
/// - output: `[n, oh, ow, filters]`; see [`Padding`] for `oh` and `ow`
/// - weights: `depthwise_kernel: [kh, kw, cin, m]` where `m` is the depth multiplier,
///   `pointwise_kernel: [1, 1, cin * m, filters]`, and unless `use_bias(false)`, `bias: [filters]`
///
/// [Chollet, 2017](https://arxiv.org/abs/1610.02357)
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 8]).add(SeparableConv2D::new(32, 3).padding(Padding::Same)).build()?;
/// assert_eq!(model.output_shape(), [28, 28, 32].into());
/// assert_eq!(model.count_params(), 3 * 3 * 8 + 8 * 32 + 32);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SeparableConv2D {
    filters: usize,
    kernel_size: Pair,
    strides: Pair,
    padding: Padding,
    dilation_rate: Pair,
    depth_multiplier: usize,
    use_bias: bool,
    activation: Activation,
    depthwise: WeightSpec,
    pointwise: WeightSpec,
    bias: WeightSpec,
}

impl SeparableConv2D {
    /// `filters` output channels, each from a window of `kernel_size` pixels (height, width).
    pub fn new(filters: usize, kernel_size: impl Into<Pair>) -> Self {
        SeparableConv2D {
            filters,
            kernel_size: kernel_size.into(),
            strides: 1.into(),
            padding: Padding::Valid,
            dilation_rate: 1.into(),
            depth_multiplier: 1,
            use_bias: true,
            activation: Activation::Linear,
            depthwise: Initializer::GlorotUniform.into(),
            pointwise: Initializer::GlorotUniform.into(),
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

    /// How many channels the depthwise convolution makes of each; 1 by default.
    pub fn depth_multiplier(mut self, depth_multiplier: usize) -> Self {
        self.depth_multiplier = depth_multiplier;
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

    /// How the depthwise kernel starts; [`Initializer::GlorotUniform`] by default.
    pub fn depthwise_initializer(mut self, initializer: Initializer) -> Self {
        self.depthwise.initializer = initializer;
        self
    }

    /// How the pointwise kernel starts; [`Initializer::GlorotUniform`] by default.
    pub fn pointwise_initializer(mut self, initializer: Initializer) -> Self {
        self.pointwise.initializer = initializer;
        self
    }

    /// How the bias starts; [`Initializer::Zeros`] by default.
    pub fn bias_initializer(mut self, initializer: Initializer) -> Self {
        self.bias.initializer = initializer;
        self
    }

    /// A penalty on the size of the depthwise kernel; none by default.
    pub fn depthwise_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.depthwise.regularizer = Some(regularizer);
        self
    }

    /// A penalty on the size of the pointwise kernel; none by default.
    pub fn pointwise_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.pointwise.regularizer = Some(regularizer);
        self
    }

    /// A penalty on the size of the bias; none by default.
    pub fn bias_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.bias.regularizer = Some(regularizer);
        self
    }

    /// What the depthwise kernel is brought back to after each step; nothing by default.
    pub fn depthwise_constraint(mut self, constraint: Constraint) -> Self {
        self.depthwise.constraint = Some(constraint);
        self
    }

    /// What the pointwise kernel is brought back to after each step; nothing by default.
    pub fn pointwise_constraint(mut self, constraint: Constraint) -> Self {
        self.pointwise.constraint = Some(constraint);
        self
    }

    /// What the bias is brought back to after each step; nothing by default.
    pub fn bias_constraint(mut self, constraint: Constraint) -> Self {
        self.bias.constraint = Some(constraint);
        self
    }
}

impl LayerConfig for SeparableConv2D {
    type Built = BuiltSeparableConv2D;

    fn class_name(&self) -> &'static str {
        "SeparableConv2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("filters", &mut self.filters)
            .required("kernel_size", &mut self.kernel_size)
            .argument("strides", &mut self.strides)
            .argument("padding", &mut self.padding)
            .fixed("data_format", "channels_last")
            .argument("dilation_rate", &mut self.dilation_rate)
            .argument("depth_multiplier", &mut self.depth_multiplier)
            .argument("activation", &mut self.activation)
            .argument("use_bias", &mut self.use_bias)
            .weight("depthwise", &mut self.depthwise)
            .weight("pointwise", &mut self.pointwise)
            .weight("bias", &mut self.bias)
            .fixed("activity_regularizer", Value::Null);
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltSeparableConv2D, Shape)> {
        let Self { filters, kernel_size, strides, dilation_rate, padding, depth_multiplier, .. } = *self;
        let depthwise = depthwise(cx, kernel_size, strides, dilation_rate, padding, depth_multiplier)?;
        let (Conv { channels: cin, filters: hidden, .. }, [kh, kw]) = (depthwise, depthwise.window.kernel);
        check_channels(cx, hidden, filters, 1)?;
        let output = depthwise.window.output;
        let pixel =
            Window { input: output, output, kernel: [1; 2], strides: [1; 2], dilation: [1; 2], padding: [0; 2] };
        let bias = self.use_bias.then_some(&self.bias);
        let layer = BuiltSeparableConv2D {
            depthwise,
            depthwise_kernel: cx.weight("depthwise_kernel", [kh, kw, cin, depth_multiplier], &self.depthwise)?,
            pointwise: Conv { window: pixel, channels: hidden, filters, groups: 1 },
            pointwise_kernel: cx.weight("pointwise_kernel", [1, 1, hidden, filters], &self.pointwise)?,
            epilogue: Epilogue::build(cx, filters, bias, self.activation)?,
        };
        Ok((layer, [output[0], output[1], filters].into()))
    }

    fn split_activation(&self) -> Option<(Self, Activation)> {
        Some((self.clone().activation(Activation::Linear), self.activation))
    }

    fn absorb(&self, weights: &[Tensor<f64>], affine: &ChannelAffine) -> Option<(Self, Vec<Tensor<f64>>)> {
        let linear = self.activation == Activation::Linear;
        linear.then(|| (self.clone().use_bias(true), affine.fold(weights, 1, 1)))
    }
}

/// A built [`SeparableConv2D`].
#[derive(Debug)]
pub struct BuiltSeparableConv2D {
    depthwise: Conv,
    depthwise_kernel: ParamId,
    pointwise: Conv,
    pointwise_kernel: ParamId,
    epilogue: Epilogue,
}

impl BuiltSeparableConv2D {
    /// The memory that the kernels of both convolutions compute in.
    fn scratch_len<T: Scalar>(&self) -> usize {
        self.depthwise.scratch_len::<T>().max(self.pointwise.scratch_len::<T>())
    }
}

impl Layer for BuiltSeparableConv2D {
    /// The output of the depthwise convolution; the input of the activation, where its derivative needs that.
    type Work<T: Scalar> = [Vec<T>; 2];

    fn reads(&self) -> Reads {
        self.epilogue.reads()
    }

    fn work_bytes<T: Scalar>(&self, outputs: usize) -> usize {
        let hidden = outputs / self.pointwise.filters * self.pointwise.channels;
        hidden * size_of::<T>() + self.epilogue.work_bytes::<T>(outputs)
    }

    fn packed_len<T: Scalar>(&self, pass: Pass) -> usize {
        self.pointwise.packed_len::<T>(pass) + self.depthwise.packed_len::<T>(pass)
    }

    fn pack<T: Scalar>(&self, params: Params<T>, pass: Pass, packed: &mut [T]) {
        let (pointwise, depthwise) = packed.split_at_mut(self.pointwise.packed_len::<T>(pass));
        self.pointwise.pack(params.of(self.pointwise_kernel), pass, pointwise);
        self.depthwise.pack(params.of(self.depthwise_kernel), pass, depthwise);
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, work: &mut [Vec<T>; 2], x: View<T>, y: ViewMut<T>) {
        let Self { depthwise, pointwise, epilogue, .. } = self;
        let [hidden, kept] = work;
        hidden.resize(y.data.len() / pointwise.filters * pointwise.channels, T::zero());
        let (bias, on_part) = (epilogue.bias(cx), epilogue.on_part(cx));
        let (pointwise_kernel, depthwise_kernel) = cx.packed.split_at(pointwise.packed_len::<T>(Pass::Forward));
        let scratch = cx.scratch.take(self.scratch_len::<T>());
        conv::forward(depthwise, x.data, depthwise_kernel, None, hidden, scratch, |_| {});
        conv::forward(pointwise, hidden, pointwise_kernel, bias, y.data, scratch, on_part);
        epilogue.finish(cx, kept, y.data);
    }

    fn backward<T: Scalar>(
        &self,
        cx: &mut Backward<T>,
        [hidden, kept]: &mut [Vec<T>; 2],
        taped: Taped<T>,
        dx: Option<ViewMut<T>>,
    ) {
        let Self { depthwise, pointwise, .. } = self;
        let dz = taped.dy.data;
        self.epilogue.backward(cx, kept, taped.y.data, dz);
        let (kernel, packed_len) = (cx.param(self.pointwise_kernel), pointwise.packed_len::<T>(Pass::Backward));
        let scratch = cx.scratch.take(packed_len + hidden.len() + self.scratch_len::<T>());
        let (packed, scratch) = scratch.split_at_mut(packed_len);
        let (dhidden, scratch) = scratch.split_at_mut(hidden.len());
        // The depthwise kernel needs the gradient to what it made even if nobody needs dx, and then nothing is packed.
        let (pointwise_kernel, depthwise_kernel) = if dx.is_some() {
            cx.packed.split_at(packed_len)
        } else {
            pointwise.pack(kernel, Pass::Backward, packed);
            (&*packed, &[][..])
        };
        if cx.trainable {
            let dpointwise = cx.grads.of(self.pointwise_kernel);
            conv::gradients(pointwise, (hidden, dpointwise), dz, (pointwise_kernel, dhidden), scratch);
        } else {
            conv::input_gradient(pointwise, pointwise_kernel, dz, dhidden, scratch);
        }
        let (x, ddepthwise) = (taped.x.data, cx.grads.of(self.depthwise_kernel));
        match dx {
            Some(dx) if cx.trainable => {
                conv::gradients(depthwise, (x, ddepthwise), dhidden, (depthwise_kernel, dx.data), scratch);
            }
            Some(dx) => conv::input_gradient(depthwise, depthwise_kernel, dhidden, dx.data, scratch),
            None => conv::kernel_gradient(depthwise, x, dhidden, ddepthwise, scratch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Sequential, Tensor,
        activations::tests::ALL,
        gradcheck::check_layer,
        layers::{Conv2D, DepthwiseConv2D},
    };

    fn check(layer: &SeparableConv2D, input: [usize; 3]) {
        let report = check_layer(layer, input).unwrap();
        assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
    }

    #[test]
    fn gradients_of_every_window() {
        for padding in [Padding::Valid, Padding::Same] {
            for layer in [
                SeparableConv2D::new(3, 1),
                SeparableConv2D::new(2, 3).depth_multiplier(2),
                SeparableConv2D::new(2, (2, 3)).strides((1, 2)),
                SeparableConv2D::new(2, 2).dilation_rate(2).strides(2).use_bias(false),
            ] {
                check(&layer.padding(padding), [6, 5, 2]);
            }
        }
        check(&SeparableConv2D::new(2, 2).depth_multiplier(3), [4, 3, 1]);
    }

    #[test]
    fn gradients_of_every_activation() {
        for activation in ALL {
            check(&SeparableConv2D::new(3, 2).activation(activation), [4, 3, 2]);
        }
    }

    #[test]
    fn the_bits_are_those_of_its_two_convolutions() {
        let x = Tensor::random_normal([7, 9, 8, 5], 0.0, 1.0, 1);
        let one = SeparableConv2D::new(6, 3).depth_multiplier(2).strides(2).activation(Activation::Silu);
        let one = Sequential::new([9, 8, 5]).add(one).seed(3).build().unwrap();
        let two = Sequential::new([9, 8, 5])
            .add(DepthwiseConv2D::new(3).depth_multiplier(2).strides(2).use_bias(false))
            .add(Conv2D::new(6, 1).activation(Activation::Silu));
        let mut two = two.build().unwrap();
        two.set_weights(&one.get_weights()).unwrap();
        assert_eq!(one.predict(&x).unwrap(), two.predict(&x).unwrap());
    }
}
