//! Activation functions and their derivatives.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use serde_json::{Value, json};

use crate::{
    Result, Scalar, Shape,
    config::{self, Argument, Arguments},
    kernels::simd::vectorized,
    layers::{Backward, Build, Forward, Layer, LayerConfig, Reads, Taped},
    tensor::{View, ViewMut},
};

/// An activation function, as in `keras.activations`.
///
/// It is an argument of a layer and a layer itself: `.add(Activation::Relu)`.
///
/// ```
/// use cornu::Activation;
///
/// let mut z = [-1.0, 0.0, 2.0];
/// Activation::leaky_relu().apply(&mut z, 3);
/// assert_eq!(z, [-0.2, 0.0, 2.0]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `z`.
    #[default]
    Linear,
    /// `max(z, 0)`.
    Relu,
    /// `z` where `z > 0`, `negative_slope * z` elsewhere.
    LeakyRelu {
        /// The slope where `z < 0`, at least 0; [`Activation::leaky_relu`] has Keras's default of 0.2.
        negative_slope: f64,
    },
    /// `z` where `z > 0`, `alpha * (exp(z) - 1)` elsewhere. [Clevert et al., 2016](https://arxiv.org/abs/1511.07289)
    Elu {
        /// Minus the value far left of 0; [`Activation::elu`] has Keras's default of 1.
        alpha: f64,
    },
    /// `scale * elu(z, alpha)` with `scale = 1.0507`, `alpha = 1.6733`, to be used with
    /// [`LecunNormal`](crate::Initializer::LecunNormal).
    /// [Klambauer et al., 2017](https://arxiv.org/abs/1706.02515)
    Selu,
    /// `z * P(X <= z)` for a standard normal `X`. [Hendrycks and Gimpel, 2016](https://arxiv.org/abs/1606.08415)
    Gelu {
        /// Whether to compute `z / 2 * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 * z^3)))` instead of the exact
        /// `z / 2 * (1 + erf(z / sqrt(2)))`; [`Activation::gelu`] has Keras's default, the exact form.
        approximate: bool,
    },
    /// `z * sigmoid(z)`, also called swish.
    Silu,
    /// `1 / (1 + exp(-z))`.
    Sigmoid,
    /// `tanh(z)`.
    Tanh,
    /// `ln(1 + exp(z))`.
    Softplus,
    /// `exp(z_i) / sum_j exp(z_j)` over the last axis.
    Softmax,
    /// `z / 6 + 1 / 2`, cut off at 0 and 1.
    HardSigmoid,
}

const SELU_SCALE: f64 = 1.0507009873554805;
const SELU_ALPHA: f64 = 1.6732632423543772;
/// `sqrt(2 / pi)`.
const GELU_SCALE: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const GELU_CUBIC: f64 = 0.044715;

impl Activation {
    /// [`LeakyRelu`](Activation::LeakyRelu) with Keras's slope of 0.2.
    pub fn leaky_relu() -> Self {
        Activation::LeakyRelu { negative_slope: 0.2 }
    }

    /// [`Elu`](Activation::Elu) with Keras's `alpha` of 1.
    pub fn elu() -> Self {
        Activation::Elu { alpha: 1.0 }
    }

    /// The exact [`Gelu`](Activation::Gelu).
    pub fn gelu() -> Self {
        Activation::Gelu { approximate: false }
    }

    /// Keras's name: `"hard_sigmoid"`.
    pub fn name(&self) -> &'static str {
        match self {
            Activation::Linear => "linear",
            Activation::Relu => "relu",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Elu { .. } => "elu",
            Activation::Selu => "selu",
            Activation::Gelu { .. } => "gelu",
            Activation::Silu => "silu",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::Softplus => "softplus",
            Activation::Softmax => "softmax",
            Activation::HardSigmoid => "hard_sigmoid",
        }
    }

    /// Whether the arguments lie in their ranges; if not, which does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        match *self {
            Activation::LeakyRelu { negative_slope } if !(negative_slope >= 0.0 && negative_slope.is_finite()) => {
                Err(format!("leaky_relu: negative_slope must be a finite number of at least 0, got {negative_slope}"))
            }
            Activation::Elu { alpha } if !alpha.is_finite() => {
                Err(format!("elu: alpha must be a finite number, got {alpha}"))
            }
            _ => Ok(()),
        }
    }

    /// Overwrites `z` (`[.., channels]`) with `f(z)`. NaN stays NaN.
    ///
    /// # Panics
    /// If `channels` is 0 and the function is softmax.
    pub fn apply<T: Scalar>(&self, z: &mut [T], channels: usize) {
        let (zero, one) = (T::zero(), T::one());
        match *self {
            Activation::Linear => {}
            Activation::Relu => map(z, move |z| if z <= zero { zero } else { z }),
            Activation::LeakyRelu { negative_slope } => {
                let slope = T::of(negative_slope);
                map(z, move |z| if z > zero { z } else { slope * z });
            }
            Activation::Elu { alpha } => {
                let alpha = T::of(alpha);
                map(z, move |z| if z > zero { z } else { alpha * z.exp_m1() });
            }
            Activation::Selu => {
                let (scale, scale_alpha) = (T::of(SELU_SCALE), T::of(SELU_SCALE * SELU_ALPHA));
                map(z, move |z| if z > zero { scale * z } else { scale_alpha * z.exp_m1() });
            }
            Activation::Gelu { approximate: false } => map(z, move |z| z * normal_cdf(z)),
            Activation::Gelu { approximate: true } => {
                let half = T::of(0.5);
                map(z, move |z| half * z * (one + gelu_argument(z).tanh()));
            }
            Activation::Silu => map(z, move |z| z * sigmoid(z)),
            Activation::Sigmoid => map(z, sigmoid),
            Activation::Tanh => map(z, T::tanh),
            Activation::Softplus => map(z, move |z| z.max(zero) + (-z.abs()).exp().ln_1p()),
            Activation::Softmax => z.chunks_exact_mut(channels).for_each(softmax),
            Activation::HardSigmoid => {
                let (three, six) = (T::of(3.0), T::of(6.0));
                map(z, move |z| (z + three).clamp(zero, six) / six);
            }
        }
    }

    /// Whether [`backward`](Activation::backward) reads `z`, because `f'(z)` does not follow from `f(z)` alone.
    pub fn needs_input(&self) -> bool {
        match *self {
            Activation::Gelu { .. } | Activation::Silu => true,
            Activation::Elu { alpha } => alpha <= 0.0,
            _ => false,
        }
    }

    /// Whether [`backward`](Activation::backward) reads `y`.
    pub fn needs_output(&self) -> bool {
        *self != Activation::Linear && !self.needs_input()
    }

    /// Overwrites `dy` with the gradient to `z`, `dy * f'(z)`, given `y = f(z)`; all are `[.., channels]`. `z` may be
    /// empty unless [`needs_input`](Activation::needs_input), and `y` unless [`needs_output`](Activation::needs_output).
    ///
    /// At the kinks the derivative is Keras's: that of `relu`, `leaky_relu` and `elu` at 0 is the one from the left,
    /// that of `selu` the one from the right.
    ///
    /// # Panics
    /// If `channels` is 0 and the function is softmax, or if the lengths differ.
    pub fn backward<T: Scalar>(&self, z: &[T], y: &[T], dy: &mut [T], channels: usize) {
        let (zero, one) = (T::zero(), T::one());
        match *self {
            Activation::Linear => {}
            Activation::Relu => chain(y, dy, move |y, dy| if y > zero { dy } else { zero }),
            Activation::LeakyRelu { negative_slope } => {
                let slope = T::of(negative_slope);
                chain(y, dy, move |y, dy| if y > zero { dy } else { slope * dy });
            }
            Activation::Elu { alpha } if alpha <= 0.0 => {
                let alpha = T::of(alpha);
                chain(z, dy, move |z, dy| if z > zero { dy } else { dy * alpha * z.exp() });
            }
            Activation::Elu { alpha } => {
                let alpha = T::of(alpha);
                chain(y, dy, move |y, dy| if y > zero { dy } else { dy * (y + alpha) });
            }
            Activation::Selu => {
                let (scale, scale_alpha) = (T::of(SELU_SCALE), T::of(SELU_SCALE * SELU_ALPHA));
                chain(y, dy, move |y, dy| if y >= zero { dy * scale } else { dy * (y + scale_alpha) });
            }
            Activation::Gelu { approximate: false } => {
                let (half, peak) = (T::of(0.5), T::of(0.5 * GELU_SCALE));
                chain(z, dy, move |z, dy| dy * (normal_cdf(z) + z * peak * (-half * z * z).exp()));
            }
            Activation::Gelu { approximate: true } => {
                let (half, scale, cubic) = (T::of(0.5), T::of(GELU_SCALE), T::of(3.0 * GELU_CUBIC));
                chain(z, dy, move |z, dy| {
                    let t = gelu_argument(z).tanh();
                    dy * half * (one + t + z * (one - t * t) * scale * (one + cubic * z * z))
                });
            }
            Activation::Silu => chain(z, dy, move |z, dy| {
                let s = sigmoid(z);
                dy * s * (one + z * (one - s))
            }),
            Activation::Sigmoid => chain(y, dy, move |y, dy| dy * y * (one - y)),
            Activation::Tanh => chain(y, dy, move |y, dy| dy * (one - y * y)),
            Activation::Softplus => chain(y, dy, move |y, dy| -dy * (-y).exp_m1()),
            Activation::Softmax => {
                for (y, dy) in y.chunks_exact(channels).zip(dy.chunks_exact_mut(channels)) {
                    let dot: T = y.iter().zip(&*dy).map(|(&y, &dy)| y * dy).sum();
                    chain(y, dy, move |y, dy| y * (dy - dot));
                }
            }
            Activation::HardSigmoid => {
                let slope = T::of(1.0 / 6.0);
                chain(y, dy, move |y, dy| if y > zero && y < one { dy * slope } else { zero });
            }
        }
    }
}

fn map<T: Scalar>(z: &mut [T], f: impl Fn(T) -> T) {
    vectorized(
        #[inline(always)]
        move || {
            for z in z {
                *z = f(*z);
            }
        },
    );
}

/// Overwrites each `dy` with `f(a, dy)`. As in [`map`], what `f` captures must move into it: a loop that reads a constant through a
/// reference is not vectorized.
fn chain<T: Scalar>(a: &[T], dy: &mut [T], f: impl Fn(T, T) -> T) {
    assert_eq!(a.len(), dy.len(), "one gradient for each element");
    vectorized(
        #[inline(always)]
        move || {
            for (dy, &a) in dy.iter_mut().zip(a) {
                *dy = f(a, *dy);
            }
        },
    );
}

fn sigmoid<T: Scalar>(z: T) -> T {
    T::one() / (T::one() + (-z).exp())
}

/// `P(X <= z)`; by `erfc`, since `1 + erf` cancels on the left.
fn normal_cdf<T: Scalar>(z: T) -> T {
    T::of(0.5 * libm::erfc(-z.as_f64() * FRAC_1_SQRT_2))
}

fn gelu_argument<T: Scalar>(z: T) -> T {
    T::of(GELU_SCALE) * (z + T::of(GELU_CUBIC) * z * z * z)
}

fn softmax<T: Scalar>(row: &mut [T]) {
    let max = row.iter().copied().fold(T::neg_infinity(), T::max);
    map(row, |z| (z - max).exp());
    let sum: T = row.iter().copied().sum();
    map(row, |z| z / sum);
}

impl LayerConfig for Activation {
    type Built = Self;

    fn class_name(&self) -> &'static str {
        "Activation"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("activation", self);
    }

    fn build(&self, cx: &mut Build) -> Result<(Self, Shape)> {
        self.check().map_err(|message| cx.argument_error(message))?;
        let input = cx.input();
        if *self == Activation::Softmax && (input.rank() == 0 || input.last() == 0) {
            return Err(cx.shape_error("input with a last axis of at least 1 class", "softmax runs over the last axis"));
        }
        Ok((*self, input))
    }

    fn split_activation(&self) -> Option<(Self, Activation)> {
        Some((Activation::Linear, *self))
    }
}

impl Layer for Activation {
    type Work<T: Scalar> = ();

    fn is_identity(&self) -> bool {
        *self == Activation::Linear
    }

    fn reads(&self) -> Reads {
        Reads { x: self.needs_input(), y: self.needs_output() }
    }

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        y.data.copy_from_slice(x.data);
        self.apply(y.data, x.shape.last());
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        if let Some(dx) = dx {
            dx.data.copy_from_slice(taped.dy.data);
            Activation::backward(self, taped.x.data, taped.y.data, dx.data, taped.x.shape.last());
        }
    }
}

/// The name, or the layer of Keras's where there is an argument other than its default.
impl Argument for Activation {
    fn to_json(&self) -> Value {
        let layer = |class, arguments| config::write("keras.layers", class, arguments);
        match *self {
            Activation::LeakyRelu { negative_slope } if *self != Activation::leaky_relu() => {
                layer("LeakyReLU", json!({"negative_slope": negative_slope}))
            }
            Activation::Elu { alpha } if *self != Activation::elu() => layer("ELU", json!({"alpha": alpha})),
            // Keras has no name for it.
            Activation::Gelu { approximate: true } => "gelu_approximate".into(),
            _ => self.name().into(),
        }
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        if json.is_null() {
            return Ok(Activation::Linear);
        }
        if json.is_object() {
            let (class, config) = config::parse(json)?;
            let mut arguments = Arguments::reading(config);
            let activation = Activation::of_layer(class, &mut arguments)
                .ok_or_else(|| format!("{class} is not an activation here"))?;
            arguments.ignored("name").ignored("trainable").ignored("dtype");
            return arguments.finish().map(|()| activation).map_err(|message| format!("{class}: {message}"));
        }
        config::choice(json, &ACTIVATIONS)
    }
}

const ACTIVATIONS: [(&str, Activation); 14] = [
    ("linear", Activation::Linear),
    ("relu", Activation::Relu),
    ("leaky_relu", Activation::LeakyRelu { negative_slope: 0.2 }),
    ("elu", Activation::Elu { alpha: 1.0 }),
    ("selu", Activation::Selu),
    ("gelu", Activation::Gelu { approximate: false }),
    ("gelu_approximate", Activation::Gelu { approximate: true }),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("sigmoid", Activation::Sigmoid),
    ("tanh", Activation::Tanh),
    ("softplus", Activation::Softplus),
    ("softmax", Activation::Softmax),
    ("hard_sigmoid", Activation::HardSigmoid),
];

impl Activation {
    /// What a layer of Keras's is that only applies an activation; `None` if `class` is not such a layer.
    pub(crate) fn of_layer(class: &str, arguments: &mut Arguments) -> Option<Self> {
        let mut activation = match class {
            "ReLU" => Activation::Relu,
            // Keras's layer has another default than its function.
            "LeakyReLU" => Activation::LeakyRelu { negative_slope: 0.3 },
            "ELU" => Activation::elu(),
            "Softmax" => Activation::Softmax,
            "Activation" => Activation::Linear,
            _ => return None,
        };
        match &mut activation {
            Activation::LeakyRelu { negative_slope } => _ = arguments.argument("negative_slope", negative_slope),
            Activation::Elu { alpha } => _ = arguments.argument("alpha", alpha),
            Activation::Softmax => _ = arguments.fixed("axis", -1),
            Activation::Relu => _ = arguments.fixed("negative_slope", 0.0).fixed("threshold", 0.0),
            activation => _ = arguments.required("activation", activation),
        }
        Some(activation)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{gradcheck::check_layer, params::ParamLayout};

    pub(crate) const ALL: [Activation; 17] = [
        Activation::Linear,
        Activation::Relu,
        Activation::LeakyRelu { negative_slope: 0.2 },
        Activation::LeakyRelu { negative_slope: 0.0 },
        Activation::LeakyRelu { negative_slope: 1.5 },
        Activation::Elu { alpha: 1.0 },
        Activation::Elu { alpha: 2.0 },
        Activation::Elu { alpha: -0.5 },
        Activation::Selu,
        Activation::Gelu { approximate: false },
        Activation::Gelu { approximate: true },
        Activation::Silu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softplus,
        Activation::Softmax,
        Activation::HardSigmoid,
    ];

    fn apply<const N: usize>(activation: Activation, mut z: [f64; N]) -> [f64; N] {
        activation.apply(&mut z, N);
        z
    }

    fn backward<const N: usize>(activation: Activation, z: [f64; N], mut dy: [f64; N]) -> [f64; N] {
        let y = apply(activation, z);
        let z = if activation.needs_input() { &z[..] } else { &[] };
        activation.backward(z, &y, &mut dy, N);
        dy
    }

    #[test]
    fn derivatives_are_those_of_central_differences() {
        let dy = [1.0, -2.0, 0.5, 3.0, 1.0];
        // No point lies within 0.1 of a kink: 0, and -3 and 3 of the hard sigmoid.
        for z in [[-4.0, -2.3, -0.4, 0.6, 3.7], [-2.8, -1.3, 0.2, 1.4, 2.9]] {
            for activation in ALL {
                let loss = |z| apply(activation, z).iter().zip(dy).map(|(y, dy)| y * dy).sum::<f64>();
                let dz = backward(activation, z, dy);
                for i in 0..z.len() {
                    let at = |h: f64| {
                        let mut z = z;
                        z[i] += h;
                        loss(z)
                    };
                    let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                    let error = (dz[i] - numeric).abs() / numeric.abs().max(1e-3);
                    assert!(error < 1e-6, "{activation:?} at {}: {} is not {numeric}", z[i], dz[i]);
                }
            }
        }
    }

    /// Keras 3.15 in float64: values at -2.5, 0, 1.25, and gradients there for `dy = [1, 2, 3]`. Those of gelu are
    /// PyTorch's, since Keras rounds the constants in it to float32.
    #[test]
    fn values_and_gradients_are_those_of_keras() {
        let elu = |alpha| Activation::Elu { alpha };
        let gelu_tanh = Activation::Gelu { approximate: true };
        let leaky = Activation::LeakyRelu { negative_slope: 0.25 };
        for (activation, y, dz) in [
            (Activation::Linear, [-2.5, 0.0, 1.25], [1.0, 2.0, 3.0]),
            (Activation::Relu, [0.0, 0.0, 1.25], [0.0, 0.0, 3.0]),
            (leaky, [-0.625, 0.0, 1.25], [0.25, 0.5, 3.0]),
            (elu(1.0), [-0.9179150013761012, 0.0, 1.25], [0.08208499862389884, 2.0, 3.0]),
            (elu(2.0), [-1.8358300027522023, 0.0, 1.25], [0.16416999724779768, 4.0, 3.0]),
            (elu(-0.5), [0.4589575006880506, 0.0, 1.25], [-0.04104249931194942, -1.0, 3.0]),
            (
                Activation::Selu,
                [-1.6137857588732425, 0.0, 1.3133762341943505],
                [0.14431358197413435, 2.101401974710961, 3.1521029620664414],
            ),
            (
                Activation::gelu(),
                [-0.015524163314440398, 0.0, 1.117937782916431],
                [-0.03761108590814519, 1.0, 3.367984749208267],
            ),
            (
                gelu_tanh,
                [-0.015084266089998577, 0.0, 1.1177142029697147],
                [-0.03795157621266618, 1.0, 3.3674778967489463],
            ),
            (
                Activation::Silu,
                [-0.1896454500531089, 0.0, 0.971624826468364],
                [-0.09940111134152683, 1.0, 2.9810425347459373],
            ),
            (
                Activation::Sigmoid,
                [0.07585818002124356, 0.5, 0.7772998611746912],
                [0.07010371654510816, 0.5, 0.519314360977491],
            ),
            (
                Activation::Tanh,
                [-0.9866142981514303, 0.0, 0.8482836399575129],
                [0.026592226683160525, 2.0, 0.841244598541298],
            ),
            (
                Activation::Softplus,
                [0.07888973429254963, std::f64::consts::LN_2, 1.501929081345373],
                [0.07585818002124356, 1.0, 2.3318995835240734],
            ),
            (
                Activation::Softmax,
                [0.01795216882852065, 0.21870218833498195, 0.7633456428364975],
                [-0.031333598317589376, -0.16301918393615913, 0.194352782253748],
            ),
            (
                Activation::HardSigmoid,
                [0.08333333333333333, 0.5, 0.7083333333333334],
                [0.16666666666666666, 0.3333333333333333, 0.5],
            ),
        ] {
            let z = [-2.5, 0.0, 1.25];
            let actual = [apply(activation, z), backward(activation, z, [1.0, 2.0, 3.0])];
            for (&actual, expected) in actual.iter().flatten().zip(y.into_iter().chain(dz)) {
                approx::assert_relative_eq!(actual, expected, max_relative = 1e-13);
            }
        }
    }

    #[test]
    fn nan_stays_nan_and_large_inputs_stay_finite() {
        for activation in ALL {
            assert!(apply(activation, [f64::NAN])[0].is_nan(), "{activation:?} of NaN");
            let mut z = [-1e5f32, -200.0, 200.0, 1e5];
            let (x, mut dy) = (z, [1.0; 4]);
            activation.apply(&mut z, 4);
            activation.backward(&x, &z, &mut dy, 4);
            assert!(z.iter().chain(&dy).all(|y| y.is_finite()), "{activation:?}: {z:?}, {dy:?}");
        }
        assert!(apply(Activation::Softmax, [0.0, f64::NAN]).iter().all(|y| y.is_nan()));
        assert_eq!(apply(Activation::Softmax, [1e300, -1e300]), [1.0, 0.0]);
        assert_eq!(apply(Activation::Softplus, [-1000.0, 1000.0]), [0.0, 1000.0]);
    }

    #[test]
    fn softmax_runs_over_rows() {
        let mut z = [0.0f32, 0.0, 7.0, 7.0];
        Activation::Softmax.apply(&mut z, 2);
        assert_eq!(z, [0.5; 4]);
        let mut dy = [1.0, 0.0, 0.0, 4.0];
        Activation::Softmax.backward(&[], &z, &mut dy, 2);
        assert_eq!(dy, [0.25, -0.25, -1.0, 1.0]);
    }

    #[test]
    fn arguments_and_shapes_are_checked() {
        for slope in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(Activation::LeakyRelu { negative_slope: slope }.check().is_err());
        }
        assert!(Activation::Elu { alpha: f64::NAN }.check().is_err());
        assert!(ALL.iter().all(|activation| activation.check().is_ok()));

        let build = |activation: Activation, input: Shape| {
            activation.build(&mut Build::new("Activation", "activation", 2, input, &mut ParamLayout::default()))
        };
        assert_eq!(build(Activation::Relu, ().into()).unwrap().1, ().into());
        assert_eq!(build(Activation::Softmax, [2, 3].into()).unwrap().1, [2, 3].into());
        assert!(build(Activation::Softmax, ().into()).is_err());
        assert!(build(Activation::LeakyRelu { negative_slope: -1.0 }, 3.into()).is_err());
    }
    #[test]
    fn gradients_of_the_layers() {
        for activation in ALL {
            for input in [[2, 3, 4], [1, 1, 1]] {
                let report = check_layer(&activation, input).unwrap();
                assert!(report.max_relative_error < 1e-6, "{activation:?}: {report}");
            }
        }
    }
}
