//! Activations as nodes, and back.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::{
    position,
    writer::{Writer, float, int},
};
use crate::Activation;

const SELU_SCALE: f64 = 1.0507009873554805;
const SELU_ALPHA: f64 = 1.6732632423543772;

/// What is applied to the current value.
pub(super) fn write(writer: &mut Writer, activation: Activation) {
    match activation {
        Activation::Linear => {}
        Activation::Relu => writer.apply("Relu", [], Vec::new()),
        Activation::LeakyRelu { negative_slope } => {
            writer.apply("LeakyRelu", [], vec![float("alpha", negative_slope)]);
        }
        Activation::Elu { alpha } => writer.apply("Elu", [], vec![float("alpha", alpha)]),
        Activation::Selu => writer.apply("Selu", [], vec![float("alpha", SELU_ALPHA), float("gamma", SELU_SCALE)]),
        Activation::Gelu { approximate } => gelu(writer, approximate),
        Activation::Silu => {
            let x = writer.value.clone();
            writer.apply("Sigmoid", [], Vec::new());
            writer.apply("Mul", [&x], Vec::new());
        }
        Activation::Sigmoid => writer.apply("Sigmoid", [], Vec::new()),
        Activation::Tanh => writer.apply("Tanh", [], Vec::new()),
        Activation::Softplus => writer.apply("Softplus", [], Vec::new()),
        Activation::Softmax => {
            let channels = position(&writer.order, writer.order.len() - 1);
            writer.apply("Softmax", [], vec![int("axis", 1 + channels as i64)]);
        }
        Activation::HardSigmoid => {
            writer.apply("HardSigmoid", [], vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]);
        }
    }
}

/// ONNX has an operator for it from version 20 on.
fn gelu(writer: &mut Writer, approximate: bool) {
    let x = writer.value.clone();
    let with = |writer: &mut Writer, operator: &str, name: &str, number: f64| {
        let number = writer.number(name, number);
        writer.apply(operator, [&number], Vec::new());
    };
    if approximate {
        writer.apply("Mul", [&x], Vec::new());
        writer.apply("Mul", [&x], Vec::new());
        with(writer, "Mul", "cubic", 0.044715);
        writer.apply("Add", [&x], Vec::new());
        with(writer, "Mul", "scale", FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
        writer.apply("Tanh", [], Vec::new());
    } else {
        with(writer, "Mul", "scale", FRAC_1_SQRT_2);
        writer.apply("Erf", [], Vec::new());
    }
    with(writer, "Add", "one", 1.0);
    writer.apply("Mul", [&x], Vec::new());
    with(writer, "Mul", "half", 0.5);
}

/// The arguments at which functions are compared.
pub(super) fn arguments() -> Vec<f64> {
    (-32..=32).map(|i| f64::from(i) / 4.0).collect()
}

/// What an operator makes of numbers; `None` where it is none that a way to write an activation takes.
pub(super) fn value(operator: &str, inputs: &[&[f64]]) -> Option<Vec<f64>> {
    let each = |f: fn(f64) -> f64| match inputs {
        [x] => Some(x.iter().map(|&x| f(x)).collect()),
        _ => None,
    };
    let both = |f: fn(f64, f64) -> f64| match inputs {
        // A single number goes with all of the others.
        [a, b] if a.len() == 1 => Some(b.iter().map(|&b| f(a[0], b)).collect()),
        [a, b] if b.len() == 1 => Some(a.iter().map(|&a| f(a, b[0])).collect()),
        [a, b] => Some(a.iter().zip(*b).map(|(&a, &b)| f(a, b)).collect()),
        _ => None,
    };
    match operator {
        "Identity" => each(|x| x),
        "Sigmoid" => each(|x| 1.0 / (1.0 + (-x).exp())),
        "Tanh" => each(f64::tanh),
        "Erf" => each(libm::erf),
        "Add" => both(|a, b| a + b),
        "Sub" => both(|a, b| a - b),
        "Mul" => both(|a, b| a * b),
        "Div" => both(|a, b| a / b),
        "Pow" => both(f64::powf),
        _ => None,
    }
}

/// The activation that has these values at [`arguments`], of those that are written as several nodes.
pub(super) fn with_values(values: &[f64]) -> Option<Activation> {
    /// The constants of a file are rounded to `f32`.
    const TOLERANCE: f64 = 1e-6;
    let several = [Activation::Silu, Activation::gelu(), Activation::Gelu { approximate: true }];
    several.into_iter().find(|activation| {
        let mut expected = arguments();
        activation.apply(&mut expected, 1);
        expected.len() == values.len()
            && expected.iter().zip(values).all(|(y, value)| (y - value).abs() <= TOLERANCE * (1.0 + y.abs()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_known_by_its_values() {
        let x = arguments();
        let sigmoid = value("Sigmoid", &[&x]).unwrap();
        assert_eq!(with_values(&value("Mul", &[&x, &sigmoid]).unwrap()), Some(Activation::Silu));
        let erf = value("Erf", &[&value("Div", &[&x, &[2f64.sqrt()]]).unwrap()]).unwrap();
        let twice = value("Mul", &[&x, &value("Add", &[&[1.0], &erf]).unwrap()]).unwrap();
        assert_eq!(with_values(&twice), None);
        assert_eq!(with_values(&value("Mul", &[&twice, &[0.5]]).unwrap()), Some(Activation::gelu()));
        assert_eq!(value("Conv", &[&x]), None);
        assert_eq!(value("Tanh", &[&x, &x]), None);
    }
}
