use cornu::prelude::*;

/// The layer of a case, added to `model`: the convolutions besides [`Conv2D`].
pub fn layer(case: &str, model: Sequential) -> Sequential {
    use Padding::{Causal, Same};
    let depthwise = || DepthwiseConv2D::new(3);
    let separable = || SeparableConv2D::new(4, 3);
    let transpose = |kernel: usize| Conv2DTranspose::new(4, kernel);
    let conv1d = || Conv1D::new(4, 3);
    match case {
        "depthwise_conv2d_valid" => model.add(depthwise()),
        "depthwise_conv2d_same" | "depthwise_conv2d_wide" => model.add(depthwise().padding(Same)),
        "depthwise_conv2d_same_even_kernel" => model.add(DepthwiseConv2D::new((2, 4)).padding(Same)),
        "depthwise_conv2d_valid_stride2" => model.add(depthwise().strides(2)),
        "depthwise_conv2d_same_stride2" => model.add(depthwise().strides(2).padding(Same)),
        "depthwise_conv2d_multiplier2" => model.add(depthwise().depth_multiplier(2)),
        "depthwise_conv2d_multiplier3_same_stride2" => {
            model.add(depthwise().depth_multiplier(3).strides(2).padding(Same))
        }
        "depthwise_conv2d_valid_dilation2" => model.add(depthwise().dilation_rate(2)),
        "depthwise_conv2d_same_dilation2" => model.add(depthwise().dilation_rate(2).padding(Same)),
        "depthwise_conv2d_same_dilation2_stride2" => model.add(depthwise().strides(2).dilation_rate(2).padding(Same)),
        "depthwise_conv2d_one_channel" => model.add(depthwise().depth_multiplier(4)),
        "depthwise_conv2d_no_bias" => model.add(depthwise().use_bias(false)),
        "depthwise_conv2d_silu" => model.add(DepthwiseConv2D::new(2).activation(Activation::Silu)),
        "depthwise_conv2d_softmax" => model.add(DepthwiseConv2D::new(2).activation(Activation::Softmax)),

        "separable_conv2d_valid" => model.add(separable()),
        "separable_conv2d_same_stride2" => model.add(separable().strides(2).padding(Same)),
        "separable_conv2d_multiplier2" => model.add(SeparableConv2D::new(4, (2, 3)).depth_multiplier(2)),
        "separable_conv2d_dilation2" => model.add(separable().dilation_rate(2).padding(Same)),
        "separable_conv2d_no_bias" => model.add(separable().use_bias(false)),
        "separable_conv2d_gelu" => model.add(SeparableConv2D::new(3, 2).activation(Activation::gelu())),

        "conv2d_transpose_valid" => model.add(transpose(3)),
        "conv2d_transpose_same" => model.add(transpose(3).padding(Same)),
        "conv2d_transpose_same_even_kernel" => model.add(Conv2DTranspose::new(4, (2, 4)).padding(Same)),
        "conv2d_transpose_valid_stride2" => model.add(transpose(3).strides(2)),
        "conv2d_transpose_valid_stride_over_kernel" => model.add(transpose(2).strides(3)),
        "conv2d_transpose_same_stride2" => model.add(transpose(3).strides(2).padding(Same)),
        "conv2d_transpose_same_stride2x3" => model.add(transpose(4).strides((2, 3)).padding(Same)),
        "conv2d_transpose_same_stride_over_kernel" => model.add(transpose(2).strides(3).padding(Same)),
        "conv2d_transpose_valid_output_padding" => model.add(transpose(3).strides((2, 3)).output_padding((1, 2))),
        "conv2d_transpose_valid_output_padding0" => model.add(transpose(2).strides(3).output_padding(0)),
        "conv2d_transpose_same_output_padding" => {
            model.add(transpose(3).strides((2, 3)).padding(Same).output_padding((0, 1)))
        }
        "conv2d_transpose_same_even_output_padding" => {
            model.add(transpose(4).strides((2, 3)).padding(Same).output_padding((1, 2)))
        }
        "conv2d_transpose_valid_dilation2" => model.add(transpose(3).dilation_rate(2)),
        "conv2d_transpose_same_dilation2" => model.add(transpose(3).dilation_rate(2).padding(Same)),
        "conv2d_transpose_winograd" => model.add(Conv2DTranspose::new(16, 3).padding(Same)),
        "conv2d_transpose_no_bias" => model.add(transpose(3).use_bias(false)),
        "conv2d_transpose_gelu" => model.add(Conv2DTranspose::new(3, 2).activation(Activation::gelu())),

        "conv1d_valid" => model.add(conv1d()),
        "conv1d_same_even_kernel" => model.add(Conv1D::new(4, 4).padding(Same)),
        "conv1d_causal" => model.add(conv1d().padding(Causal)),
        "conv1d_causal_dilation2" => model.add(conv1d().dilation_rate(2).padding(Causal)),
        "conv1d_causal_stride2" => model.add(conv1d().strides(2).padding(Causal)),
        "conv1d_valid_stride2" => model.add(conv1d().strides(2)),
        "conv1d_same_stride2" => model.add(conv1d().strides(2).padding(Same)),
        "conv1d_same_dilation2" => model.add(conv1d().dilation_rate(2).padding(Same)),
        "conv1d_groups2" => model.add(Conv1D::new(6, 3).groups(2)),
        "conv1d_no_bias" => model.add(conv1d().use_bias(false)),
        _ => panic!("the case {case} is not tested; add its layer here"),
    }
}
