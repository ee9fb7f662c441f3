use super::{Optimizer, check_learning_rate};
use crate::Scalar;

/// Adam, as `keras.optimizers.Adam`. [Kingma and Ba, 2014](https://arxiv.org/abs/1412.6980)
///
/// With the gradient `g`, the rate `lr`, the step `t` from 1, and the slots `m` and `v` that start at 0:
///
/// ```text
/// m += (1 - beta_1) * (g - m)
/// v += (1 - beta_2) * (g^2 - v)
/// w -= lr * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)
/// ```
///
/// As in Keras, `epsilon` is the paper's `epsilon` hat: it is added before the bias of `v` is corrected. And as in Keras,
/// the betas of `beta^t` are rounded to the numbers of the model: in `f32`, 0.999 has a first correction of
/// `1 - 0.99900001`, which is 1.3e-5 away from that of the exact number, relatively.
///
/// ```
/// use cornu::optimizers::Adam;
///
/// let optimizer = Adam::new(3e-4).beta_2(0.99);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    learning_rate: f64,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Adam {
    /// Adam with this rate, and otherwise Keras's defaults.
    pub fn new(learning_rate: f64) -> Self {
        Adam { learning_rate, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }

    /// The decay of the mean of gradients, in `[0, 1)`; default 0.9.
    pub fn beta_1(mut self, beta_1: f64) -> Self {
        self.beta_1 = beta_1;
        self
    }

    /// The decay of the mean of squared gradients, in `[0, 1)`; default 0.999.
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
impl Default for Adam {
    fn default() -> Self {
        Adam::new(1e-3)
    }
}

impl Optimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn slots(&self) -> usize {
        2
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.learning_rate = rate;
    }

    fn check(&self) -> Result<(), String> {
        check_learning_rate(self.learning_rate)?;
        for (name, beta) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            // Nor must it be rounded to 1, whose bias cannot be corrected, in a model of f32.
            if !(beta >= 0.0 && (beta as f32) < 1.0) {
                return Err(format!("{name} must lie in [0, 1), rounded to f32 too, got {beta}"));
            }
        }
        // The smallest single is the limit, so that it is not rounded to 0 in a model of f32.
        if !(self.epsilon >= f32::MIN_POSITIVE.into() && self.epsilon.is_finite()) {
            return Err(format!("epsilon must be a finite number above 0, such as 1e-7, got {}", self.epsilon));
        }
        Ok(())
    }

    fn update<T: Scalar>(&self, t: u64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        let [m, v] = slots else { panic!("Adam has two slots, got {}", slots.len()) };
        let [bias_1, bias_2] = [self.beta_1, self.beta_2].map(|beta| 1.0 - T::of(beta).as_f64().powf(t as f64));
        let correction = bias_2.sqrt() / bias_1;
        let alpha = T::of(self.learning_rate * correction);
        let (rate_1, rate_2, epsilon) = (T::of(1.0 - self.beta_1), T::of(1.0 - self.beta_2), T::of(self.epsilon));
        for (((w, &g), m), v) in weights.iter_mut().zip(gradients).zip(m.iter_mut()).zip(v.iter_mut()) {
            *m += (g - *m) * rate_1;
            *v += (g * g - *v) * rate_2;
            *w -= *m * alpha / (v.sqrt() + epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keras 3.15 in float64, on PyTorch (on TensorFlow it rounds the arguments to float32): the weights after three
    /// steps.
    #[test]
    fn three_steps_are_those_of_keras() {
        let other = Adam::new(0.125).beta_1(0.5).beta_2(0.75).epsilon(0.0625);
        for (adam, expected) in [
            (Adam::default(), [0.9975985361158947, -1.9998376500597819, 0.5013193374963005]),
            (other, [0.7595913835383881, -2.036216180792459, 0.6132507312543256]),
        ] {
            let (mut weights, mut m, mut v) = ([1.0, -2.0, 0.5], [0.0; 3], [0.0; 3]);
            for (t, g) in (1..).zip([[0.5, -1.0, 0.0], [1.5, 2.0, -0.25], [-0.5, 0.75, 1e-6]]) {
                adam.update(t, &mut weights, &g, &mut [&mut m, &mut v]);
            }
            for (actual, expected) in weights.into_iter().zip(expected) {
                approx::assert_relative_eq!(actual, expected, max_relative = 1e-12);
            }
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        for adam in [
            Adam::new(-1e-3),
            Adam::default().beta_1(1.0),
            Adam::default().beta_1(1.0 - 1e-9),
            Adam::default().beta_2(-0.1),
            Adam::default().beta_2(f64::NAN),
            Adam::default().epsilon(0.0),
            Adam::default().epsilon(f64::NAN),
        ] {
            assert!(adam.check().is_err(), "{adam:?}");
        }
        assert!(Adam::default().check().is_ok());
    }
}
