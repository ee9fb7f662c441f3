use cornu::{Scalar, prelude::*};

use crate::{
    cases::{self, Case},
    convolutions,
    dot::Dot,
    given::Given,
};

#[test]
fn layers_are_those_of_keras() {
    for case in cases::read("layers.safetensors") {
        check::<f32>(&case);
        check::<f64>(&case);
    }
}

/// The layer of a case, added to `model`.
pub fn layer(case: &str, model: Sequential) -> Sequential {
    use {Interpolation::Bilinear, Padding::Same};
    if let Some((layer, name)) = case.split_once('_')
        && let Some(activation) = activation(name.trim_start_matches("zero_").trim_start_matches("kinks_"))
    {
        return match layer {
            "conv1d" => model.add(Conv1D::new(3, 2).activation(activation)),
            "conv2d" => model.add(Conv2D::new(3, 2).activation(activation)),
            "dense" => model.add(Dense::new(4).activation(activation)),
            "activation" => model.add(activation),
            _ => panic!("the case {case} is not tested; add its layer here"),
        };
    }
    match case {
        "conv2d_valid" | "conv2d_one_channel" => model.add(Conv2D::new(4, 3)),
        "conv2d_same" => model.add(Conv2D::new(4, 3).padding(Same)),
        "conv2d_same_even_kernel" => model.add(Conv2D::new(4, (2, 4)).padding(Same)),
        "conv2d_valid_stride2" | "conv2d_valid_stride2_leftover" => model.add(Conv2D::new(4, 3).strides(2)),
        "conv2d_same_stride2_odd" | "conv2d_same_stride2_even" => model.add(Conv2D::new(4, 3).strides(2).padding(Same)),
        "conv2d_valid_stride2x3_odd" | "conv2d_valid_stride2x3_even" => model.add(Conv2D::new(4, 3).strides((2, 3))),
        "conv2d_same_stride2x3_odd" | "conv2d_same_stride2x3_even" => {
            model.add(Conv2D::new(4, 3).strides((2, 3)).padding(Same))
        }
        "conv2d_same_stride_over_kernel" => model.add(Conv2D::new(4, 2).strides(3).padding(Same)),
        "conv2d_valid_dilation2" => model.add(Conv2D::new(4, 3).dilation_rate(2)),
        "conv2d_same_dilation2" => model.add(Conv2D::new(4, 3).dilation_rate(2).padding(Same)),
        "conv2d_valid_dilation2x1" => model.add(Conv2D::new(4, 3).dilation_rate((2, 1))),
        "conv2d_groups2" => model.add(Conv2D::new(6, 3).groups(2)),
        "conv2d_groups2_same_stride2" => model.add(Conv2D::new(6, 3).groups(2).strides(2).padding(Same)),
        "conv2d_groups_are_channels" => model.add(Conv2D::new(6, 3).groups(3).padding(Same)),
        "conv2d_no_bias" => model.add(Conv2D::new(4, 3).use_bias(false)),
        "conv2d_1x1" => model.add(Conv2D::new(4, 1)),
        "conv2d_kernel_is_image" => model.add(Conv2D::new(4, (4, 5))),
        "max_pooling2d_2x2" | "max_pooling2d_2x2_odd" | "max_pooling2d_ties" | "max_pooling2d_all_equal" => {
            model.add(MaxPooling2D::new(2))
        }
        "max_pooling2d_2x2_same_odd" => model.add(MaxPooling2D::new(2).padding(Same)),
        "max_pooling2d_3x3_stride2" => model.add(MaxPooling2D::new(3).strides(2)),
        "max_pooling2d_3x3_stride2_same" | "max_pooling2d_ties_overlapping" | "max_pooling2d_negative_same" => {
            model.add(MaxPooling2D::new(3).strides(2).padding(Same))
        }
        "max_pooling2d_2x3_stride1x2" => model.add(MaxPooling2D::new((2, 3)).strides((1, 2))),
        "max_pooling2d_stride_over_pool_same" => model.add(MaxPooling2D::new(2).strides(3).padding(Same)),
        "average_pooling2d_2x2" | "average_pooling2d_2x2_odd" => model.add(AveragePooling2D::new(2)),
        "average_pooling2d_2x2_same_odd" => model.add(AveragePooling2D::new(2).padding(Same)),
        "average_pooling2d_3x3_stride2" => model.add(AveragePooling2D::new(3).strides(2)),
        "average_pooling2d_3x3_stride2_same" => model.add(AveragePooling2D::new(3).strides(2).padding(Same)),
        "average_pooling2d_2x3_stride1x2" => model.add(AveragePooling2D::new((2, 3)).strides((1, 2))),
        "average_pooling2d_stride_over_pool_same" => model.add(AveragePooling2D::new(2).strides(3).padding(Same)),
        "global_average_pooling2d" => model.add(GlobalAveragePooling2D::new()),
        "global_average_pooling2d_keepdims" => model.add(GlobalAveragePooling2D::new().keepdims(true)),
        "global_max_pooling2d" | "global_max_pooling2d_ties" => model.add(GlobalMaxPooling2D::new()),
        "global_max_pooling2d_keepdims" => model.add(GlobalMaxPooling2D::new().keepdims(true)),
        "dense" | "dense_last_axis" => model.add(Dense::new(4)),
        "dense_no_bias" => model.add(Dense::new(4).use_bias(false)),
        "flatten" => model.add(Flatten::new()),
        "reshape" => model.add(Reshape::new([3, 8])),
        "reshape_inferred" => model.add(Reshape::new([2, -1, 3])),
        "zero_padding2d_1" => model.add(ZeroPadding2D::new(1)),
        "zero_padding2d_1x2" => model.add(ZeroPadding2D::new((1, 2))),
        "zero_padding2d_sides" => model.add(ZeroPadding2D::new(((1, 2), (0, 3)))),
        "rescaling" => model.add(Rescaling::new(1.0 / 127.5).offset(-1.0)),
        "batch_normalization" => model.add(BatchNormalization::new()),
        "batch_normalization_axis1" => model.add(BatchNormalization::new().axis(1)),
        "dropout_inference" => model.add(Dropout::new(0.5)),
        "layer_normalization" | "layer_normalization_equal" => model.add(LayerNormalization::new()),
        "layer_normalization_options" => model.add(LayerNormalization::new().epsilon(0.1).scale(false)),
        "layer_normalization_no_center" => model.add(LayerNormalization::new().center(false)),
        "layer_normalization_rms_scaling" => model.add(LayerNormalization::new().rms_scaling(true)),
        "layer_normalization_axis_1" => model.add(LayerNormalization::new().axis(1)),
        "layer_normalization_axes_1_3" => model.add(LayerNormalization::new().axis([3, 1])),
        "layer_normalization_axes_all" => model.add(LayerNormalization::new().axis([1, 2, 3])),
        "prelu" | "prelu_zero" => model.add(PReLU::new()),
        "prelu_shared" => model.add(PReLU::new().shared_axes([1, 2])),
        "prelu_shared_last" => model.add(PReLU::new().shared_axes([3])),
        "up_sampling2d" => model.add(UpSampling2D::default()),
        "up_sampling2d_1x3" => model.add(UpSampling2D::new((1, 3))),
        "up_sampling2d_bilinear" => model.add(UpSampling2D::default().interpolation(Bilinear)),
        "up_sampling2d_bilinear_3x4" => model.add(UpSampling2D::new((3, 4)).interpolation(Bilinear)),
        "cropping2d_1" => model.add(Cropping2D::new(1)),
        "cropping2d_sides" => model.add(Cropping2D::new(((1, 2), (0, 3)))),
        "spatial_dropout2d_inference" => model.add(SpatialDropout2D::new(0.5)),
        "gaussian_noise_inference" => model.add(GaussianNoise::new(0.5)),
        "max_pooling1d_2" => model.add(MaxPooling1D::new(2)),
        "max_pooling1d_3_stride2_same" => model.add(MaxPooling1D::new(3).strides(2).padding(Same)),
        "max_pooling1d_ties" => model.add(MaxPooling1D::new(3).strides(1)),
        "average_pooling1d_2" => model.add(AveragePooling1D::new(2)),
        "average_pooling1d_3_stride2_same" => model.add(AveragePooling1D::new(3).strides(2).padding(Same)),
        "global_max_pooling1d" => model.add(GlobalMaxPooling1D::new()),
        "global_max_pooling1d_keepdims" => model.add(GlobalMaxPooling1D::new().keepdims(true)),
        "global_average_pooling1d" => model.add(GlobalAveragePooling1D::new()),
        "global_average_pooling1d_keepdims" => model.add(GlobalAveragePooling1D::new().keepdims(true)),
        "permute_2x1" => model.add(Permute::new([2, 1])),
        "permute_3x1x2" => model.add(Permute::new([3, 1, 2])),
        "embedding" => model.add(Embedding::new(6, 3)),
        "embedding_rank3" => model.add(Embedding::new(6, 2)),
        _ => convolutions::layer(case, model),
    }
}

fn activation(name: &str) -> Option<Activation> {
    Some(match name {
        "relu" => Activation::Relu,
        "leaky_relu" => Activation::leaky_relu(),
        "elu" => Activation::elu(),
        "selu" => Activation::Selu,
        "gelu" => Activation::gelu(),
        "gelu_tanh" => Activation::Gelu { approximate: true },
        "silu" => Activation::Silu,
        "sigmoid" => Activation::Sigmoid,
        "tanh" => Activation::Tanh,
        "softplus" => Activation::Softplus,
        "softmax" => Activation::Softmax,
        "hard_sigmoid" => Activation::HardSigmoid,
        _ => return None,
    })
}

/// The output, and the gradients of `sum(y * dy)` to the input and the weights, as a model computes them.
fn check<T: Scalar>(case: &Case) {
    let x = case.tensor::<T>("x");
    let given = Given::new(x.shape());
    // The linear layer at the end leaves its activation to the layer: a model computes its last one in f64.
    let model = layer(&case.name, Sequential::new(Given::INPUT).add(given.clone())).add(Activation::Linear);
    let mut model = model.build_as::<T>().unwrap();
    model.set_weights(&[vec![x], case.weights()].concat()).unwrap();
    case.assert_close("y", &model.predict(&given.input()).unwrap(), 0.0);

    // A gradient is one of training, in which these layers are random; that of batch normalization is in training.rs.
    if !case.name.ends_with("_inference") && !case.name.starts_with("batch_normalization") {
        model.compile(SGD::default(), Dot::new(given.batch[0]), []).unwrap();
        let (_, gradients) = model.gradients(&given.input(), &case.tensor::<T>("dy")).unwrap();
        for (name, gradient) in ["dx", "dw0", "dw1", "dw2"].into_iter().zip(&gradients) {
            case.assert_close(name, gradient, 0.0);
        }
    }
}
