//! [`StatefulMetric`]: a metric that is not a mean over the samples.

use std::{fmt::Debug, sync::Arc};

use crate::{
    Shape,
    config::{self, Arguments},
    losses::{Target, TargetKind},
};

/// A metric that counts in a state of its own. To write one of yours, say what it counts in, how a sample changes that, and what the
/// metric is then.
///
/// The samples come in their order, so the metric is the same for any size of batch and any number of threads. The state is
/// made anew for each epoch and each evaluation; adding a sample should allocate nothing.
///
/// ```
/// use cornu::prelude::*;
///
/// /// The root of the mean of `(prediction - target)^2`.
/// #[derive(Clone, Debug)]
/// struct RootMeanSquaredError;
///
/// impl StatefulMetric for RootMeanSquaredError {
///     fn name(&self) -> &str {
///         "rmse"
///     }
///
///     fn class_name(&self) -> &'static str {
///         "RootMeanSquaredError"
///     }
///
///     fn rises(&self) -> bool {
///         false
///     }
///
///     fn check(&self, targets: TargetKind, _: Shape) -> Result<(), String> {
///         match targets {
///             TargetKind::Values => Ok(()),
///             TargetKind::Labels => Err("the loss takes labels; use Accuracy".into()),
///         }
///     }
///
///     fn state(&self, _: Shape) -> Vec<f64> {
///         vec![0.0; 2] // the sum of the squares, and their number
///     }
///
///     fn update(&self, state: &mut [f64], target: Target, prediction: &[f64], _: usize) {
///         for (p, t) in prediction.iter().zip(target.values()) {
///             state[0] += (p - t).powi(2);
///             state[1] += 1.0;
///         }
///     }
///
///     fn result(&self, state: &[f64]) -> f64 {
///         (state[0] / state[1]).sqrt()
///     }
/// }
///
/// let plan = Sequential::new([1]).add(Activation::Linear);
/// let model = plan.compile(SGD::default(), MeanSquaredError, [RootMeanSquaredError.into()])?;
/// let score = model.evaluate(&Tensor::from([[3.0], [1.0]]), &Tensor::from([[0.0], [2.0]]))?;
/// assert_eq!(score.get("rmse"), Some(5f64.sqrt()));
/// # Ok::<(), cornu::Error>(())
/// ```
pub trait StatefulMetric: DynMetric + Debug + Send + Sync + 'static {
    /// The key in a history: `"precision"`. Metrics of a model have different ones.
    fn name(&self) -> &str;

    /// Keras's name of the class, under which a file has the metric: `"Precision"`.
    fn class_name(&self) -> &'static str;

    /// Tells the arguments, the name among them, by their names in Keras, to write or to read a configuration; see [`Arguments`]. By default,
    /// no file can hold the metric.
    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.fail("it does not tell its arguments (StatefulMetric::arguments)");
    }

    /// Whether more is better: callbacks that monitor the metric ask.
    fn rises(&self) -> bool;

    /// Whether the arguments lie in their ranges and the metric can compare targets of this kind with `output`, the shape
    /// of one sample of the model's output. `compile` asks, and adds the place and the name.
    ///
    /// # Errors
    /// If not: what came, what was expected and how to mend it.
    fn check(&self, _targets: TargetKind, _output: Shape) -> Result<(), String> {
        Ok(())
    }

    /// What the metric counts in, as it is before the first sample.
    fn state(&self, output: Shape) -> Vec<f64>;

    /// Adds a sample to the state.
    ///
    /// `prediction` is the model's output, rows of `classes` values (its last axis). The target is of the kind that was
    /// [checked](StatefulMetric::check).
    fn update(&self, state: &mut [f64], target: Target, prediction: &[f64], classes: usize);

    /// The metric of the samples in the state.
    fn result(&self, state: &[f64]) -> f64;
}

/// A [`StatefulMetric`] as an object that can be configured; every metric that is `Clone` is one.
#[doc(hidden)]
pub trait DynMetric {
    /// This metric, with the arguments that are being read.
    fn read(&self, arguments: &mut Arguments) -> Arc<dyn StatefulMetric>;
}

impl<M: StatefulMetric + Clone> DynMetric for M {
    fn read(&self, arguments: &mut Arguments) -> Arc<dyn StatefulMetric> {
        let mut metric = self.clone();
        metric.arguments(arguments);
        Arc::new(metric)
    }
}

impl config::Object for Arc<dyn StatefulMetric> {
    const MODULE: &'static str = "keras.metrics";

    fn class_name(&self) -> &'static str {
        (**self).class_name()
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        *self = self.read(arguments.ignored("dtype"));
    }
}
