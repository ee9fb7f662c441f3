use super::{Adam, Base, Optimizer, schedules::LearningRate};
use crate::{Scalar, config::Arguments};

/// [`Adam`] with a [weight decay](Optimizer::weight_decay) of 0.004 unless another is given, as `keras.optimizers.AdamW`.
/// [Loshchilov and Hutter, 2017](https://arxiv.org/abs/1711.05101)
///
/// ```text
/// w -= weight_decay * lr * w, then Adam's step
/// ```
///
/// ```
/// use cornu::optimizers::{AdamW, BIASES_AND_NORMALIZATION, Optimizer};
///
/// let optimizer = AdamW::new(3e-4).beta_2(0.99).weight_decay(0.1).exclude_from_weight_decay(BIASES_AND_NORMALIZATION);
/// ```
#[derive(Clone, Debug)]
pub struct AdamW {
    adam: Adam,
}

impl AdamW {
    /// AdamW with this rate, and otherwise Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        AdamW { adam: Adam::new(learning_rate).weight_decay(0.004) }
    }

    /// [`Adam::beta_1`].
    pub fn beta_1(self, beta_1: f64) -> Self {
        AdamW { adam: self.adam.beta_1(beta_1) }
    }

    /// [`Adam::beta_2`].
    pub fn beta_2(self, beta_2: f64) -> Self {
        AdamW { adam: self.adam.beta_2(beta_2) }
    }

    /// [`Adam::epsilon`].
    pub fn epsilon(self, epsilon: f64) -> Self {
        AdamW { adam: self.adam.epsilon(epsilon) }
    }

    /// [`Adam::amsgrad`].
    pub fn amsgrad(self, amsgrad: bool) -> Self {
        AdamW { adam: self.adam.amsgrad(amsgrad) }
    }
}

/// The learning rate is 0.001.
impl Default for AdamW {
    fn default() -> Self {
        AdamW::new(1e-3)
    }
}

impl Optimizer for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn class_name(&self) -> &'static str {
        "AdamW"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        self.adam.arguments(arguments);
    }

    fn base(&self) -> &Base {
        self.adam.base()
    }

    fn base_mut(&mut self) -> &mut Base {
        self.adam.base_mut()
    }

    fn slots(&self) -> &'static [&'static str] {
        self.adam.slots()
    }

    fn check(&self) -> Result<(), String> {
        self.adam.check()
    }

    fn update<T: Scalar>(&self, t: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        self.adam.update(t, rate, weights, gradients, slots);
    }
}
