//! What training makes small: losses and their gradients.
//!
//! A loss is small next to the network, so it is computed in `f64` whatever the model computes in.

mod crossentropy;
mod regression;

use std::{fmt::Debug, sync::Arc};

pub use crossentropy::{BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy};
pub use regression::{Huber, MeanAbsoluteError, MeanSquaredError};

use serde_json::Value;

use crate::{
    Activation, Shape,
    config::{self, Arguments},
};

/// What a sample's prediction should have been.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target<'a> {
    /// The sample's class.
    Label(usize),
    /// As many values as the model's output has: the rows of a regression, one-hot classes, probabilities.
    Values(&'a [f64]),
}

/// Which [`Target`] a loss takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// [`Target::Label`].
    Labels,
    /// [`Target::Values`].
    Values,
}

impl<'a> Target<'a> {
    /// The class.
    ///
    /// # Panics
    /// If these are values: the caller has not asked for [`Loss::target_kind`].
    pub fn label(self) -> usize {
        match self {
            Target::Label(label) => label,
            Target::Values(_) => panic!("the loss takes labels"),
        }
    }

    /// The values.
    ///
    /// # Panics
    /// If this is a label: the caller has not asked for [`Loss::target_kind`].
    pub fn values(self) -> &'a [f64] {
        match self {
            Target::Values(values) => values,
            Target::Label(_) => panic!("the loss takes values"),
        }
    }
}

/// A loss. To write one of your own, say what it is for one sample; it is averaged over the batch.
///
/// ```
/// use cornu::losses::{Loss, Target};
///
/// /// The mean of `ln(cosh(prediction - target))`.
/// #[derive(Clone, Debug)]
/// struct LogCosh;
///
/// impl Loss for LogCosh {
///     fn name(&self) -> &'static str {
///         "log_cosh"
///     }
///
///     fn sample(&self, target: Target, prediction: &[f64], _: usize, gradient: Option<&mut [f64]>) -> f64 {
///         let n = prediction.len() as f64;
///         let errors = prediction.iter().zip(target.values()).map(|(p, t)| p - t);
///         if let Some(gradient) = gradient {
///             for (g, error) in gradient.iter_mut().zip(errors.clone()) {
///                 *g = error.tanh() / n;
///             }
///         }
///         errors.map(|error| error.cosh().ln()).sum::<f64>() / n
///     }
/// }
///
/// let mut gradient = [0.0; 2];
/// let loss = LogCosh.sample(Target::Values(&[1.0, 2.0]), &[1.0, 2.0], 2, Some(&mut gradient));
/// assert_eq!((loss, gradient), (0.0, [0.0, 0.0]));
/// ```
pub trait Loss: DynLoss + Debug + Send + Sync + 'static {
    /// Keras's name: `"sparse_categorical_crossentropy"`.
    fn name(&self) -> &'static str;

    /// Keras's name of the class, `"Huber"`, under which a file has the loss; by default [`name`](Loss::name).
    fn class_name(&self) -> &'static str {
        self.name()
    }

    /// Tells the arguments by their names in Keras, to write or to read a configuration; see [`Arguments`]. By default, no file can hold
    /// the loss.
    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.fail("it does not tell its arguments (Loss::arguments)");
    }

    /// Which target the loss takes.
    fn target_kind(&self) -> TargetKind {
        TargetKind::Values
    }

    /// Whether the arguments lie in their ranges and the loss can take `output`, the shape of one sample of the
    /// model's output. `compile` asks, and adds the place.
    ///
    /// # Errors
    /// If not: what came, what was expected and how to mend it.
    fn check(&self, _output: Shape) -> Result<(), String> {
        Ok(())
    }

    /// Whether a sample's target can be meant for this loss. `fit` and `evaluate` ask for each before they begin, and add the
    /// place.
    ///
    /// # Errors
    /// If not: what came and what was expected.
    fn check_target(&self, _target: Target) -> Result<(), String> {
        Ok(())
    }

    /// This loss as a function of what goes into `activation`, the model's last, where that form is more stable.
    fn on_logits(&self, _activation: Activation) -> Option<Box<dyn Loss>> {
        None
    }

    /// The loss of one sample.
    ///
    /// `prediction` is the model's output, rows of `classes` values (its last axis). `gradient`, as long as the
    /// prediction, is overwritten with the gradient of the result to it.
    fn sample(&self, target: Target, prediction: &[f64], classes: usize, gradient: Option<&mut [f64]>) -> f64;
}

/// A [`Loss`] as an object that can be configured; every loss that is `Clone` is one.
#[doc(hidden)]
pub trait DynLoss {
    /// This loss, with the arguments that are being read.
    fn read(&self, arguments: &mut Arguments) -> Arc<dyn Loss>;
}

impl<L: Loss + Clone> DynLoss for L {
    fn read(&self, arguments: &mut Arguments) -> Arc<dyn Loss> {
        let mut loss = self.clone();
        loss.arguments(arguments);
        Arc::new(loss)
    }
}

impl config::Object for Arc<dyn Loss> {
    const MODULE: &'static str = "keras.losses";

    fn class_name(&self) -> &'static str {
        (**self).class_name()
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        let mut reduction = Mean;
        arguments.argument("reduction", &mut reduction).ignored("name").ignored("dtype");
        *self = self.read(arguments);
    }
}

/// The mean over the batch, the one way in which losses of samples become one.
struct Mean;

impl config::Argument for Mean {
    fn to_json(&self) -> Value {
        "sum_over_batch_size".into()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        // The second is Keras 2's, the third another name of Keras 3's.
        config::choice(json, &[("sum_over_batch_size", ()), ("auto", ()), ("mean", ())]).map(|()| Mean)
    }
}

/// The mean of the losses that `f(target, prediction)` gives, each with its derivative to the prediction.
fn mean(target: Target, prediction: &[f64], gradient: Option<&mut [f64]>, f: impl Fn(f64, f64) -> (f64, f64)) -> f64 {
    let target = target.values();
    assert_eq!(target.len(), prediction.len(), "one target for each prediction");
    let n = prediction.len() as f64;
    let losses = target.iter().zip(prediction).map(|(&t, &p)| f(t, p));
    if let Some(gradient) = gradient {
        for (g, (_, slope)) in gradient.iter_mut().zip(losses.clone()) {
            *g = slope / n;
        }
    }
    losses.map(|(loss, _)| loss).sum::<f64>() / n
}

#[cfg(test)]
mod testing {
    use super::*;

    /// The loss and its gradient.
    pub fn sample(loss: &dyn Loss, target: Target, prediction: &[f64], classes: usize) -> (f64, Vec<f64>) {
        let mut gradient = vec![9.0; prediction.len()];
        let value = loss.sample(target, prediction, classes, Some(&mut gradient));
        let without_gradient = loss.sample(target, prediction, classes, None);
        assert_eq!(value.to_bits(), without_gradient.to_bits(), "{loss:?}");
        (value, gradient)
    }

    /// The gradient is that of central differences.
    pub fn check_gradient(loss: &dyn Loss, target: Target, prediction: &[f64], classes: usize) {
        let (_, gradient) = sample(loss, target, prediction, classes);
        for i in 0..prediction.len() {
            let at = |h: f64| {
                let mut prediction = prediction.to_vec();
                prediction[i] += h;
                loss.sample(target, &prediction, classes, None)
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            let error = (gradient[i] - numeric).abs() / numeric.abs().max(1e-2);
            assert!(error < 1e-6, "{loss:?}, element {i}: {} is not {numeric}", gradient[i]);
        }
    }

    /// A loss, a target, a prediction, and the value and the gradient there.
    pub type Case<'a> = (&'a dyn Loss, Target<'a>, [f64; 3], f64, [f64; 3]);

    /// The loss and its gradient are those of the case.
    pub fn check_case((loss, target, prediction, value, gradient): Case) {
        let actual = sample(loss, target, &prediction, 3);
        approx::assert_relative_eq!(actual.0, value, max_relative = 1e-13);
        for (actual, expected) in actual.1.into_iter().zip(gradient) {
            approx::assert_relative_eq!(actual, expected, epsilon = 1e-15, max_relative = 1e-13);
        }
    }
}
