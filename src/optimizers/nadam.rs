use super::{Base, Optimizer, check_beta, check_epsilon, power, schedules::LearningRate};
use crate::{Scalar, config::Arguments};

/// Nadam, Adam with Nesterov's momentum, as `keras.optimizers.Nadam`.
/// [Dozat, 2016](https://openreview.net/pdf?id=OM0jvwB8jIp57ZJjtNEZ)
///
/// With the gradient `g`, the rate `lr`, the step `t` from 1, and the slots `m` and `v` that start at 0:
///
/// ```text
/// u_t = beta_1 * (1 - 0.96^t / 2),  p_t = u_1 * u_2 * ... * u_t
/// m += (1 - beta_1) * (g - m)
/// v += (1 - beta_2) * (g^2 - v)
/// m_hat = u_(t+1) / (1 - p_(t+1)) * m + (1 - u_t) / (1 - p_t) * g
/// w -= lr * m_hat / (sqrt(v / (1 - beta_2^t)) + epsilon)
/// ```
///
/// ```
/// use cornu::optimizers::Nadam;
///
/// let optimizer = Nadam::new(2e-3).beta_2(0.99);
/// ```
#[derive(Clone, Debug)]
pub struct Nadam {
    base: Base,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Nadam {
    /// Nadam with this rate, and otherwise Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Nadam { base: Base::new(learning_rate), beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
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

    /// The factors of `m` and of `g` in `m_hat`.
    fn momentum_factors<T: Scalar>(&self, t: u64) -> [f64; 2] {
        let beta_1 = T::of(self.beta_1).as_f64();
        let decay = T::of(0.96).as_f64();
        let (mut product, mut decayed) = (power::<T>(self.beta_1, t), 1.0);
        // From step 1000 on, the factors of the product but beta_1 are 1 in double precision.
        for _ in 0..t.min(1000) {
            decayed *= decay;
            product *= 1.0 - 0.5 * decayed;
        }
        let [u, next] = [t, t + 1].map(|t| beta_1 * (1.0 - 0.5 * power::<T>(0.96, t)));
        [next / (1.0 - product * next), (1.0 - u) / (1.0 - product)]
    }
}

/// The learning rate is 0.001.
impl Default for Nadam {
    fn default() -> Self {
        Nadam::new(1e-3)
    }
}

impl Optimizer for Nadam {
    fn name(&self) -> &'static str {
        "nadam"
    }

    fn class_name(&self) -> &'static str {
        "Nadam"
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
        &["momentum", "velocity"]
    }

    fn check(&self) -> Result<(), String> {
        check_beta("beta_1", self.beta_1)?;
        check_beta("beta_2", self.beta_2)?;
        check_epsilon(self.epsilon)
    }

    fn update<T: Scalar>(&self, t: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        let [m, v] = slots else { panic!("Nadam has two slots, got {}", slots.len()) };
        let [next, now] = self.momentum_factors::<T>(t).map(T::of);
        let bias_2 = T::of(1.0 - power::<T>(self.beta_2, t));
        // Here Keras rounds the betas before it takes them from 1.
        let [rate_1, rate_2] = [self.beta_1, self.beta_2].map(|beta| T::one() - T::of(beta));
        let (rate, epsilon) = (T::of(rate), T::of(self.epsilon));
        for (((w, &g), m), v) in weights.iter_mut().zip(gradients).zip(m.iter_mut()).zip(v.iter_mut()) {
            *m += (g - *m) * rate_1;
            *v += (g * g - *v) * rate_2;
            *w -= (*m * next + g * now) * rate / ((*v / bias_2).sqrt() + epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_out_of_range_are_errors() {
        for optimizer in [
            Nadam::default().beta_1(1.0),
            Nadam::default().beta_2(-0.1),
            Nadam::default().beta_2(f64::NAN),
            Nadam::default().epsilon(0.0),
        ] {
            assert!(optimizer.check().is_err(), "{optimizer:?}");
        }
        assert!(Nadam::default().beta_1(0.0).check().is_ok());
    }

    #[test]
    fn the_product_of_momenta_is_that_of_the_definition() {
        let nadam = Nadam::default().beta_1(0.9999);
        let mut product = 1.0;
        for t in 1..=3000 {
            let u = |t: i32| 0.9999 * (1.0 - 0.5 * 0.96f64.powi(t));
            product *= u(t);
            let expected = [u(t + 1) / (1.0 - product * u(t + 1)), (1.0 - u(t)) / (1.0 - product)];
            for (actual, expected) in nadam.momentum_factors::<f64>(t as u64).into_iter().zip(expected) {
                approx::assert_relative_eq!(actual, expected, max_relative = 1e-11);
            }
        }
    }
}
