use cornu::{Scalar, prelude::*};

use crate::{
    cases::{self, Case},
    dot::Dot,
};

#[test]
fn penalties_and_constraints_are_those_of_keras() {
    for case in cases::read("penalties.safetensors") {
        check::<f32>(&case);
        check::<f64>(&case);
    }
}

/// The model of a case's layer alone.
pub fn plan(case: &str, input: Shape) -> Sequential {
    let (l1, l2) = (Regularizer::l1, Regularizer::l2);
    let plan = Sequential::new(input);
    match case {
        "penalties_conv1d" => plan.add(
            Conv1D::new(4, 3)
                .kernel_regularizer(Regularizer::l1_l2(0.01, 0.1))
                .bias_regularizer(l1(0.2))
                .kernel_constraint(Constraint::max_norm(1.0).axis([0, 1]))
                .bias_constraint(Constraint::non_neg()),
        ),
        "penalties_separable_conv2d" => plan.add(
            SeparableConv2D::new(4, 3)
                .depth_multiplier(2)
                .depthwise_regularizer(Regularizer::l1_l2(0.01, 0.1))
                .pointwise_regularizer(l2(0.2))
                .bias_regularizer(l1(0.3))
                .depthwise_constraint(Constraint::max_norm(1.0).axis([0, 1]))
                .pointwise_constraint(Constraint::unit_norm().axis([2]))
                .bias_constraint(Constraint::non_neg()),
        ),
        "penalties_layer_normalization" => plan.add(
            LayerNormalization::new()
                .gamma_regularizer(l2(0.1))
                .beta_regularizer(l1(0.2))
                .gamma_constraint(Constraint::unit_norm())
                .beta_constraint(Constraint::non_neg()),
        ),
        _ => panic!("the case {case} is not tested; add its layer here"),
    }
}

/// With targets that make the loss 0, what is left is the penalty; with a learning rate of 0, a step only constrains.
fn check<T: Scalar>(case: &Case) {
    let x = case.tensor::<T>("x");
    let n = x.shape()[0];
    let mut model = plan(&case.name, x.shape().sample()).build_as::<T>().unwrap();
    model.set_weights(&case.weights()).unwrap();
    model.compile(SGD::new(0.0), Dot::new(n), []).unwrap();
    let dy = Tensor::<T>::zeros(model.output_shape().batch(n));

    let (penalty, gradients) = model.gradients(&x, &dy).unwrap();
    case.assert_close("penalty", &Tensor::new((), vec![T::of(penalty)]).unwrap(), 0.0);
    for (i, gradient) in gradients.iter().enumerate() {
        case.assert_close(&format!("dw{i}"), gradient, 0.0);
    }
    model.fit(&x, &dy, Fit::new().batch_size(n).verbose(0)).unwrap();
    for (i, weight) in model.get_weights().iter().enumerate() {
        case.assert_close(&format!("c{i}"), weight, 0.0);
    }
}
