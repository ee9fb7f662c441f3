use super::{Base, Optimizer, check_beta, check_epsilon, power, schedules::LearningRate};
use crate::{Scalar, config::Arguments};

/// Adamax, as `keras.optimizers.Adamax`: Adam with the largest gradient in place of the mean square.
/// [Kingma and Ba, 2014](https://arxiv.org/abs/1412.6980), section 7.1
///
/// With the gradient `g`, the rate `lr`, the step `t` from 1, and the slots `m` and `u` that start at 0:
///
/// ```text
/// m += (1 - beta_1) * (g - m)
/// u = max(beta_2 * u, |g|)
/// w -= lr * m / ((1 - beta_1^t) * (u + epsilon))
/// ```
///
/// ```
/// use cornu::optimizers::Adamax;
///
/// let optimizer = Adamax::new(2e-3).beta_2(0.99);
/// ```
#[derive(Clone, Debug)]
pub struct Adamax {
    base: Base,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Adamax {
    /// Adamax with this rate, and otherwise Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Adamax { base: Base::new(learning_rate), beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }

    /// The decay of the mean of gradients, in `[0, 1)`; default 0.9.
    pub fn beta_1(mut self, beta_1: f64) -> Self {
        self.beta_1 = beta_1;
        self
    }

    /// The decay of the largest gradient, in `[0, 1)`; default 0.999.
    pub fn beta_2(mut self, beta_2: f64) -> Self {
        self.beta_2 = beta_2;
        self
    }

    /// What keeps the divisor from 0, above 0; default 1e-7.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }
}

/// The learning rate is 0.001.
impl Default for Adamax {
    fn default() -> Self {
        Adamax::new(1e-3)
    }
}

impl Optimizer for Adamax {
    fn name(&self) -> &'static str {
        "adamax"
    }

    fn class_name(&self) -> &'static str {
        "Adamax"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("beta_1", &mut self.beta_1)
            .argument("beta_2", &mut self.beta_2)
            .argument("epsilon", &mut self.epsilon);
    }

    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn slots(&self) -> &'static [&'static str] {
        &["momentum", "norm"]
    }

    fn check(&self) -> Result<(), String> {
        check_beta("beta_1", self.beta_1)?;
        check_beta("beta_2", self.beta_2)?;
        check_epsilon(self.epsilon)
    }

    fn update<T: Scalar>(&self, t: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        let [m, u] = slots else { panic!("Adamax has two slots, got {}", slots.len()) };
        let alpha = T::of(rate / (1.0 - power::<T>(self.beta_1, t)));
        let (rate_1, beta_2, epsilon) = (T::of(1.0 - self.beta_1), T::of(self.beta_2), T::of(self.epsilon));
        for (((w, &g), m), u) in weights.iter_mut().zip(gradients).zip(m.iter_mut()).zip(u.iter_mut()) {
            *m += (g - *m) * rate_1;
            *u = (*u * beta_2).max(g.abs());
            *w -= *m * alpha / (*u + epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_out_of_range_are_errors() {
        for optimizer in [
            Adamax::default().beta_1(1.0),
            Adamax::default().beta_2(-0.1),
            Adamax::default().beta_2(f64::NAN),
            Adamax::default().epsilon(0.0),
        ] {
            assert!(optimizer.check().is_err(), "{optimizer:?}");
        }
        assert!(Adamax::default().beta_1(0.0).check().is_ok());
    }
}
