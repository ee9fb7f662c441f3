use super::{Base, Optimizer, check_epsilon, check_fraction, schedules::LearningRate};
use crate::{Scalar, config::Arguments};

/// Adadelta, as `keras.optimizers.Adadelta`. [Zeiler, 2012](https://arxiv.org/abs/1212.5701)
///
/// With the gradient `g`, the rate `lr`, and the slots `a` and `d` that start at 0:
///
/// ```text
/// a = rho * a + (1 - rho) * g^2
/// delta = g * sqrt(d + epsilon) / sqrt(a + epsilon)
/// d = rho * d + (1 - rho) * delta^2
/// w -= lr * delta
/// ```
///
/// The paper's rate is 1; the default is far below what it needs in most cases.
///
/// ```
/// use cornu::optimizers::Adadelta;
///
/// let optimizer = Adadelta::new(1.0).rho(0.9);
/// ```
#[derive(Clone, Debug)]
pub struct Adadelta {
    base: Base,
    rho: f64,
    epsilon: f64,
}

impl Adadelta {
    /// Adadelta with this rate, and otherwise Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Adadelta { base: Base::new(learning_rate), rho: 0.95, epsilon: 1e-7 }
    }

    /// The decay of the means of squares, in `[0, 1]`; default 0.95.
    pub fn rho(mut self, rho: f64) -> Self {
        self.rho = rho;
        self
    }

    /// What keeps the divisor from 0 and lets the first step be taken, above 0; default 1e-7.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }
}

/// The learning rate is 0.001.
impl Default for Adadelta {
    fn default() -> Self {
        Adadelta::new(1e-3)
    }
}

impl Optimizer for Adadelta {
    fn name(&self) -> &'static str {
        "adadelta"
    }

    fn class_name(&self) -> &'static str {
        "Adadelta"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("rho", &mut self.rho).argument("epsilon", &mut self.epsilon);
    }

    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn slots(&self) -> &'static [&'static str] {
        &["accumulated_grad", "accumulated_delta_var"]
    }

    fn check(&self) -> Result<(), String> {
        check_fraction("rho", self.rho)?;
        check_epsilon(self.epsilon)
    }

    fn update<T: Scalar>(&self, _: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        let [grads, deltas] = slots else { panic!("Adadelta has two slots, got {}", slots.len()) };
        let (rate, epsilon) = (T::of(rate), T::of(self.epsilon));
        let (rho, share) = (T::of(self.rho), T::of(1.0 - self.rho));
        for (((w, &g), a), d) in weights.iter_mut().zip(gradients).zip(grads.iter_mut()).zip(deltas.iter_mut()) {
            *a = *a * rho + g * g * share;
            let delta = g * (*d + epsilon).sqrt() / (*a + epsilon).sqrt();
            *d = *d * rho + delta * delta * share;
            *w -= delta * rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_out_of_range_are_errors() {
        for optimizer in [Adadelta::default().rho(-0.1), Adadelta::default().rho(2.0), Adadelta::default().epsilon(0.0)]
        {
            assert!(optimizer.check().is_err(), "{optimizer:?}");
        }
        assert!(Adadelta::default().check().is_ok());
    }
}
