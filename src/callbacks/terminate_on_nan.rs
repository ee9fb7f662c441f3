//! [`TerminateOnNaN`].

use super::Callback;

/// Ends a training whose loss becomes NaN or infinite as if it had been stopped, `keras.callbacks.TerminateOnNaN`.
///
/// Without it, [`fit`](crate::Model::fit) ends with [`Error::NotFinite`](crate::Error::NotFinite). With it, the other callbacks hear of
/// the end of the training, and `fit` returns the [`History`](crate::History) of the epochs that were finished, with a warning that tells
/// the step. Either way the model keeps the weights with which the loss was finite last, which Keras's does not.
///
/// ```
/// use cornu::prelude::*;
///
/// let (x, y) = (Tensor::from([[1.0]]), Tensor::from([[2.0]]));
/// let mut model = Sequential::new([1]).add(Dense::new(1)).compile(SGD::new(1e3), MeanSquaredError, [])?;
/// let history = model.fit(&x, &y, Fit::new().epochs(100).verbose(0).callback(TerminateOnNaN))?;
/// assert!(history.epochs.len() < 100);
/// assert!(history.warnings[0].contains("became NaN or infinite"));
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TerminateOnNaN;

impl<T> Callback<T> for TerminateOnNaN {
    fn terminates_on_nan(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        callbacks::{LambdaCallback, TerminateOnNaN},
        prelude::*,
    };

    #[test]
    fn what_the_error_would_leave_is_left() {
        // The average of the weights is forgotten with the rest of the optimizer, so it cannot replace them.
        for optimizer in [SGD::new(1e3), SGD::new(1e3).use_ema(true)] {
            let (x, y): (Tensor, Tensor) = ([[1.0]].into(), [[2.0]].into());
            let plan = Sequential::new([1]).add(Dense::new(1));
            let mut failed = plan.compile(optimizer.clone(), MeanSquaredError, []).unwrap();
            let mut ended = failed.clone();
            let options = || Fit::new().epochs(100).verbose(0);
            let error = failed.fit(&x, &y, options()).unwrap_err();
            let mut ends = 0;
            let count = LambdaCallback::new().on_train_end(|_| {
                ends += 1;
                Ok(())
            });
            let history = ended.fit(&x, &y, options().callback(count).callback(TerminateOnNaN)).unwrap();
            assert_eq!(ends, 1);
            assert_eq!(ended.params(), failed.params());
            assert!(ended.params().iter().all(|&weight| weight != 0.0), "{:?}", ended.params());
            assert_eq!(history.get("loss").unwrap(), failed.history().get("loss").unwrap());
            assert_eq!(history.warnings, [error.to_string()]);
        }
    }
}
