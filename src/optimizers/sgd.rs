use super::{Base, Optimizer, check_fraction, schedules::LearningRate};
use crate::{Scalar, config::Arguments};

/// Gradient descent, with momentum or without, as `keras.optimizers.SGD`.
///
/// With the gradient `g`, the rate `lr` and the slot `v` that starts at 0:
///
/// ```text
/// momentum 0:      w -= lr * g
/// momentum:        v = momentum * v - lr * g,  w += v
/// and Nesterov's:  v = momentum * v - lr * g,  w += momentum * v - lr * g
/// ```
///
/// ```
/// use cornu::optimizers::SGD;
///
/// let optimizer = SGD::new(0.05).momentum(0.9).nesterov(true);
/// ```
#[allow(clippy::upper_case_acronyms, reason = "Keras's name")]
#[derive(Clone, Debug)]
pub struct SGD {
    base: Base,
    momentum: f64,
    nesterov: bool,
}

impl SGD {
    /// Plain gradient descent with this rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        SGD { base: Base::new(learning_rate), momentum: 0.0, nesterov: false }
    }

    /// How much of the last step goes into the next one, in `[0, 1]`; default 0.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Whether the momentum is Nesterov's, which looks one step ahead; default false. Without momentum it changes
    /// nothing.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }
}

/// The learning rate is 0.01.
impl Default for SGD {
    fn default() -> Self {
        SGD::new(0.01)
    }
}

impl Optimizer for SGD {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn class_name(&self) -> &'static str {
        "SGD"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("momentum", &mut self.momentum).argument("nesterov", &mut self.nesterov);
    }

    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum"] }
    }

    fn check(&self) -> Result<(), String> {
        check_fraction("momentum", self.momentum)
    }

    fn update<T: Scalar>(&self, _: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        let (rate, momentum) = (T::of(rate), T::of(self.momentum));
        let weights = weights.iter_mut().zip(gradients);
        match slots {
            [] => weights.for_each(|(w, &g)| *w -= g * rate),
            [velocity, ..] => {
                for ((w, &g), v) in weights.zip(velocity.iter_mut()) {
                    *v = *v * momentum - g * rate;
                    *w += if self.nesterov { *v * momentum - g * rate } else { *v };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keras 3.15: the weights after three steps.
    #[test]
    fn three_steps_are_those_of_keras() {
        let sgd = SGD::default();
        for (sgd, expected) in [
            (sgd.clone(), [0.8125, -2.21875, 0.531249875]),
            (sgd.clone().momentum(0.75), [0.58984375, -2.2421875, 0.554687375]),
            (sgd.momentum(0.75).nesterov(true), [0.5048828125, -2.400390625, 0.57226540625]),
        ] {
            let (mut weights, mut velocity) = ([1.0, -2.0, 0.5], [0.0; 3]);
            let mut slots = [&mut velocity[..]];
            for (t, g) in (1..).zip([[0.5, -1.0, 0.0], [1.5, 2.0, -0.25], [-0.5, 0.75, 1e-6]]) {
                sgd.update(t, 0.125, &mut weights, &g, &mut slots[..sgd.slots().len()]);
            }
            for (actual, expected) in weights.into_iter().zip(expected) {
                approx::assert_relative_eq!(actual, expected, max_relative = 1e-14);
            }
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        for momentum in [-0.1, 1.1, f64::NAN] {
            assert!(SGD::default().momentum(momentum).check().is_err());
        }
        assert!(SGD::default().momentum(1.0).check().is_ok());
    }
}
