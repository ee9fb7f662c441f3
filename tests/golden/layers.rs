use cornu::{
    Scalar,
    losses::{Loss, Target},
    prelude::*,
};

use crate::{
    cases::{self, Case},
    convolutions,
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
fn layer(case: &str, model: Sequential) -> Sequential {
    use Padding::Same;
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
        "dropout_inference" => model.add(Dropout::new(0.5)),
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

    // A gradient is one of training, in which a dropout drops.
    if case.name != "dropout_inference" {
        model.compile(SGD::default(), Dot { samples: given.batch[0] }, []).unwrap();
        let (_, gradients) = model.gradients(&given.input(), &case.tensor::<T>("dy")).unwrap();
        for (name, gradient) in ["dx", "dw0", "dw1", "dw2"].into_iter().zip(&gradients) {
            case.assert_close(name, gradient, 0.0);
        }
    }
}

/// `sum(y * dy)` over the batch, with `dy` in the place of the targets.
#[derive(Debug)]
struct Dot {
    /// The model divides by them.
    samples: usize,
}

impl Loss for Dot {
    fn name(&self) -> &'static str {
        "dot"
    }

    fn sample(&self, dy: Target, y: &[f64], _: usize, gradient: Option<&mut [f64]>) -> f64 {
        let n = self.samples as f64;
        if let Some(gradient) = gradient {
            for (gradient, dy) in gradient.iter_mut().zip(dy.values()) {
                *gradient = n * dy;
            }
        }
        n * y.iter().zip(dy.values()).map(|(y, dy)| y * dy).sum::<f64>()
    }
}
