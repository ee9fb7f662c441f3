use cornu::{Scalar, prelude::*};

use crate::{
    cases::{self, Case},
    dot::Dot,
    given::Given,
};

#[test]
fn layers_in_training_are_those_of_keras() {
    for case in cases::read("training.safetensors") {
        check::<f32>(&case);
        check::<f64>(&case);
    }
}

pub fn layer(case: &str) -> BatchNormalization {
    let layer = BatchNormalization::new();
    match case {
        "batch_normalization_axis1" => layer.axis(1),
        "batch_normalization_axis2" => layer.axis(-2),
        "batch_normalization_options" => layer.momentum(0.5).epsilon(0.125),
        "batch_normalization_no_center" => layer.center(false),
        "batch_normalization_no_scale" => layer.scale(false),
        "batch_normalization_neither" => layer.center(false).scale(false),
        "batch_normalization"
        | "batch_normalization_vectors"
        | "batch_normalization_many_channels"
        | "batch_normalization_one_sample" => layer,
        _ => panic!("the case {case} is not tested; add its layer here"),
    }
}

/// `sum(y * dy)`, its gradients to the input and the weights, and what a step leaves in the moving averages.
fn check<T: Scalar>(case: &Case) {
    let x = case.tensor::<T>("x");
    let (n, given) = (x.shape()[0], Given::new(x.shape()));
    let plan = Sequential::new(Given::INPUT).add(given.clone()).add(layer(&case.name)).add(Activation::Linear);
    let mut model = plan.build_as::<T>().unwrap();
    model.set_weights(&[vec![x], case.weights()].concat()).unwrap();
    model.compile(SGD::new(0.0), Dot::new(n), []).unwrap();

    let (y, dy) = (case.tensor::<T>("y"), case.tensor::<T>("dy"));
    let (loss, gradients) = model.gradients(&given.input(), &dy).unwrap();
    let expected: f64 = y.data().iter().zip(dy.data()).map(|(y, dy)| y.as_f64() * dy.as_f64()).sum();
    assert!((loss - expected).abs() <= 1e-4, "{}: {loss} instead of {expected}", case.name);
    for (name, gradient) in ["dx", "dw0", "dw1"].into_iter().zip(&gradients).filter(|(name, _)| case.has(name)) {
        case.assert_close(name, gradient, 0.0);
    }

    model.fit(&given.input(), &dy, Fit::new().batch_size(n).verbose(0)).unwrap();
    let weights = model.get_weights();
    for (name, state) in ["s0", "s1"].into_iter().zip(&weights[weights.len() - 2..]) {
        case.assert_close(name, state, 0.0);
    }
}
