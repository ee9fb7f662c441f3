use super::{Base, Optimizer, check_fraction, schedules::LearningRate};
use crate::{Scalar, config::Arguments};

/// Lion, as `keras.optimizers.Lion`: steps of one size, in the direction of the momentum's sign.
/// [Chen et al., 2023](https://arxiv.org/abs/2302.06675)
///
/// With the gradient `g`, the rate `lr` and the slot `m` that starts at 0:
///
/// ```text
/// w -= lr * sign(beta_1 * m + (1 - beta_1) * g)
/// m = beta_2 * m + (1 - beta_2) * g
/// ```
///
/// Its rate should be 3 to 10 times smaller than AdamW's, and its weight decay as many times larger.
///
/// ```
/// use cornu::optimizers::{Lion, Optimizer};
///
/// let optimizer = Lion::new(1e-4).weight_decay(0.02);
/// ```
#[derive(Clone, Debug)]
pub struct Lion {
    base: Base,
    beta_1: f64,
    beta_2: f64,
}

impl Lion {
    /// Lion with this rate, and otherwise Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Lion { base: Base::new(learning_rate), beta_1: 0.9, beta_2: 0.99 }
    }

    /// The share of the momentum in a step, above 0 and at most 1; default 0.9.
    pub fn beta_1(mut self, beta_1: f64) -> Self {
        self.beta_1 = beta_1;
        self
    }

    /// The decay of the momentum, in `[0, 1]`; default 0.99.
    pub fn beta_2(mut self, beta_2: f64) -> Self {
        self.beta_2 = beta_2;
        self
    }
}

/// The learning rate is 0.001.
impl Default for Lion {
    fn default() -> Self {
        Lion::new(1e-3)
    }
}

impl Optimizer for Lion {
    fn name(&self) -> &'static str {
        "lion"
    }

    fn class_name(&self) -> &'static str {
        "Lion"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("beta_1", &mut self.beta_1).argument("beta_2", &mut self.beta_2);
    }

    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn slots(&self) -> &'static [&'static str] {
        &["momentum"]
    }

    fn check(&self) -> Result<(), String> {
        if !(self.beta_1 > 0.0 && self.beta_1 <= 1.0) {
            return Err(format!("beta_1 must lie in (0, 1], got {}", self.beta_1));
        }
        check_fraction("beta_2", self.beta_2)
    }

    fn update<T: Scalar>(&self, _: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        let [momentum] = slots else { panic!("Lion has one slot, got {}", slots.len()) };
        let (rate, beta_1, beta_2) = (T::of(rate), T::of(self.beta_1), T::of(self.beta_2));
        for ((w, &g), m) in weights.iter_mut().zip(gradients).zip(momentum.iter_mut()) {
            let direction = *m * beta_1 + g * (T::one() - beta_1);
            // The sign of 0 is 0.
            *w -= if direction == T::zero() { T::zero() } else { rate * direction.signum() };
            *m = *m * beta_2 + g * (T::one() - beta_2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gradient_of_zero_moves_nothing() {
        let mut weights = [1.0, 1.0, 1.0];
        Lion::default().update(1, 0.5, &mut weights, &[0.0, 1e-9, -2.0], &mut [&mut [0.0; 3]]);
        assert_eq!(weights, [1.0, 0.5, 1.5]);
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        for optimizer in [Lion::default().beta_1(0.0), Lion::default().beta_1(f64::NAN), Lion::default().beta_2(1.1)] {
            assert!(optimizer.check().is_err(), "{optimizer:?}");
        }
        assert!(Lion::default().beta_1(1.0).check().is_ok());
    }
}
