use super::{Base, Optimizer, check_epsilon, schedules::LearningRate};
use crate::{Scalar, config::Arguments};

/// Adagrad, as `keras.optimizers.Adagrad`.
/// [Duchi et al., 2011](https://jmlr.org/papers/v12/duchi11a.html)
///
/// With the gradient `g`, the rate `lr` and the slot `a` that starts at `initial_accumulator_value`:
///
/// ```text
/// a += g^2
/// w -= lr * g / sqrt(a + epsilon)
/// ```
///
/// The paper's rate is 1; the default is far below what it needs in most cases.
///
/// ```
/// use cornu::optimizers::Adagrad;
///
/// let optimizer = Adagrad::new(0.1).initial_accumulator_value(0.01);
/// ```
#[derive(Clone, Debug)]
pub struct Adagrad {
    base: Base,
    initial_accumulator_value: f64,
    epsilon: f64,
}

impl Adagrad {
    /// Adagrad with this rate, and otherwise Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Adagrad { base: Base::new(learning_rate), initial_accumulator_value: 0.1, epsilon: 1e-7 }
    }

    /// What the sum of squared gradients starts at, at least 0; default 0.1.
    pub fn initial_accumulator_value(mut self, value: f64) -> Self {
        self.initial_accumulator_value = value;
        self
    }

    /// What keeps the divisor from 0, above 0; default 1e-7.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }
}

/// The learning rate is 0.001.
impl Default for Adagrad {
    fn default() -> Self {
        Adagrad::new(1e-3)
    }
}

impl Optimizer for Adagrad {
    fn name(&self) -> &'static str {
        "adagrad"
    }

    fn class_name(&self) -> &'static str {
        "Adagrad"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("initial_accumulator_value", &mut self.initial_accumulator_value)
            .argument("epsilon", &mut self.epsilon);
    }

    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn slots(&self) -> &'static [&'static str] {
        &["accumulator"]
    }

    fn slot_start(&self) -> f64 {
        self.initial_accumulator_value
    }

    fn check(&self) -> Result<(), String> {
        let value = self.initial_accumulator_value;
        if !(value >= 0.0 && value.is_finite()) {
            return Err(format!("initial_accumulator_value must be a finite number of at least 0, got {value}"));
        }
        check_epsilon(self.epsilon)
    }

    fn update<T: Scalar>(&self, _: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        let [accumulator] = slots else { panic!("Adagrad has one slot, got {}", slots.len()) };
        let (rate, epsilon) = (T::of(rate), T::of(self.epsilon));
        for ((w, &g), a) in weights.iter_mut().zip(gradients).zip(accumulator.iter_mut()) {
            *a += g * g;
            *w -= g * rate / (*a + epsilon).sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_out_of_range_are_errors() {
        for optimizer in [
            Adagrad::default().initial_accumulator_value(-0.1),
            Adagrad::default().initial_accumulator_value(f64::NAN),
            Adagrad::default().epsilon(0.0),
        ] {
            assert!(optimizer.check().is_err(), "{optimizer:?}");
        }
        assert!(Adagrad::default().initial_accumulator_value(0.0).check().is_ok());
    }
}
