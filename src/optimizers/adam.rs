use super::{Base, Optimizer, check_beta, check_epsilon, power, schedules::LearningRate};
use crate::{Scalar, config::Arguments};

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
/// With `amsgrad`, the largest `v` so far takes the place of `v` in the last line, in a slot `v_hat` of its own.
/// [Reddi et al., 2018](https://openreview.net/pdf?id=ryQu7f-RZ)
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
#[derive(Clone, Debug)]
pub struct Adam {
    base: Base,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    amsgrad: bool,
}

impl Adam {
    /// Adam with this rate, and otherwise Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Adam { base: Base::new(learning_rate), beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, amsgrad: false }
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

    /// Whether steps can only become smaller, by AMSGrad; default false.
    pub fn amsgrad(mut self, amsgrad: bool) -> Self {
        self.amsgrad = amsgrad;
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

    fn class_name(&self) -> &'static str {
        "Adam"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("beta_1", &mut self.beta_1)
            .argument("beta_2", &mut self.beta_2)
            .argument("epsilon", &mut self.epsilon)
            .argument("amsgrad", &mut self.amsgrad);
    }

    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn slots(&self) -> &'static [&'static str] {
        if self.amsgrad { &["momentum", "velocity", "velocity_hat"] } else { &["momentum", "velocity"] }
    }

    fn check(&self) -> Result<(), String> {
        check_beta("beta_1", self.beta_1)?;
        check_beta("beta_2", self.beta_2)?;
        check_epsilon(self.epsilon)
    }

    fn update<T: Scalar>(&self, t: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        let [m, v, largest @ ..] = slots else { panic!("Adam has two slots or three, got {}", slots.len()) };
        let [bias_1, bias_2] = [self.beta_1, self.beta_2].map(|beta| 1.0 - power::<T>(beta, t));
        let alpha = T::of(rate * (bias_2.sqrt() / bias_1));
        let (rate_1, rate_2, epsilon) = (T::of(1.0 - self.beta_1), T::of(1.0 - self.beta_2), T::of(self.epsilon));
        let moments = m.iter_mut().zip(v.iter_mut()).zip(gradients).map(|((m, v), &g)| {
            *m += (g - *m) * rate_1;
            *v += (g * g - *v) * rate_2;
            (*m, *v)
        });
        let weights = weights.iter_mut();
        match largest {
            [] => weights.zip(moments).for_each(|(w, (m, v))| *w -= m * alpha / (v.sqrt() + epsilon)),
            [v_hat, ..] => {
                for ((w, (m, v)), v_hat) in weights.zip(moments).zip(v_hat.iter_mut()) {
                    *v_hat = v_hat.max(v);
                    *w -= m * alpha / (v_hat.sqrt() + epsilon);
                }
            }
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
        let other = Adam::default().beta_1(0.5).beta_2(0.75).epsilon(0.0625);
        for (adam, rate, expected) in [
            (Adam::default(), 1e-3, [0.9975985361158947, -1.9998376500597819, 0.5013193374963005]),
            (other, 0.125, [0.7595913835383881, -2.036216180792459, 0.6132507312543256]),
        ] {
            let (mut weights, mut m, mut v) = ([1.0, -2.0, 0.5], [0.0; 3], [0.0; 3]);
            for (t, g) in (1..).zip([[0.5, -1.0, 0.0], [1.5, 2.0, -0.25], [-0.5, 0.75, 1e-6]]) {
                adam.update(t, rate, &mut weights, &g, &mut [&mut m, &mut v]);
            }
            for (actual, expected) in weights.into_iter().zip(expected) {
                approx::assert_relative_eq!(actual, expected, max_relative = 1e-12);
            }
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        for adam in [
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
