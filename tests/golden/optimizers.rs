use cornu::{Scalar, prelude::*};

use crate::cases::{self, Case};

#[test]
fn optimizers_are_those_of_keras() {
    for case in cases::read("optimizers.safetensors") {
        match case.name.as_str() {
            "sgd" => check(&case, SGD::default()),
            "sgd_momentum" => check(&case, SGD::new(0.1).momentum(0.9)),
            "sgd_nesterov" => check(&case, SGD::new(0.1).momentum(0.9).nesterov(true)),
            "adam" => check(&case, Adam::default()),
            "adam_options" => check(&case, Adam::new(0.01).beta_1(0.8).beta_2(0.9).epsilon(1e-3)),
            // Weight decay and clipping are not supported yet.
            "sgd_weight_decay" | "sgd_clipnorm" | "sgd_clipvalue" | "adamw" => {}
            name => panic!("the case {name} is not tested; add its optimizer here"),
        }
    }
}

fn check(case: &Case, optimizer: impl Optimizer) {
    steps::<f32>(case, &optimizer);
    steps::<f64>(case, &optimizer);
}

fn steps<T: Scalar>(case: &Case, optimizer: &impl Optimizer) {
    let mut weights = case.tensor::<T>("w0");
    let mut slots = vec![vec![T::zero(); weights.len()]; optimizer.slots()];
    for t in 1..=5 {
        let gradient = case.tensor::<T>(&format!("g{}", t - 1));
        let mut slots: Vec<_> = slots.iter_mut().map(Vec::as_mut_slice).collect();
        optimizer.update(t, weights.data_mut(), gradient.data(), &mut slots);
        case.assert_close(&format!("w{t}"), &weights, 0.0);
    }
}
