//! [`LambdaCallback`].

use std::fmt;

use super::{Callback, Training};
use crate::{Result, Scalar, Score, model::Epoch};

/// A callback made of closures, `keras.callbacks.LambdaCallback`. They are given what the methods of [`Callback`] of the same names are.
///
/// ```
/// use cornu::prelude::*;
///
/// let (x, y) = (Tensor::random_normal([64, 3], 0.0, 1.0, 0), Tensor::zeros([64, 1]));
/// let mut model = Sequential::new([3]).add(Dense::new(1)).compile(SGD::new(0.1), MeanSquaredError, [])?;
/// let mut biases = Vec::new();
/// let watch = LambdaCallback::new()
///     .on_epoch_begin(|_, epoch| {
///         println!("epoch {epoch} begins");
///         Ok(())
///     })
///     .on_epoch_end(|training, _, logs| {
///         biases.push(training.model().params()[3]);
///         if logs.train.loss < 1e-3 {
///             training.stop_training();
///         }
///         Ok(())
///     });
/// let history = model.fit(&x, &y, Fit::new().epochs(3).verbose(0).callback(watch))?;
/// assert_eq!(biases.len(), history.epochs.len());
/// # Ok::<(), cornu::Error>(())
/// ```
pub struct LambdaCallback<'a, T = f32> {
    on_train_begin: Option<OfTraining<'a, T>>,
    on_epoch_begin: Option<OfIndex<'a, T>>,
    on_train_batch_begin: Option<OfIndex<'a, T>>,
    on_train_batch_end: Option<OfBatch<'a, T>>,
    on_test_begin: Option<OfTraining<'a, T>>,
    on_test_end: Option<OfTest<'a, T>>,
    on_epoch_end: Option<OfEpoch<'a, T>>,
    on_train_end: Option<OfTraining<'a, T>>,
}

type OfTraining<'a, T> = Box<dyn FnMut(&mut Training<T>) -> Result<()> + Send + 'a>;
type OfIndex<'a, T> = Box<dyn FnMut(&mut Training<T>, usize) -> Result<()> + Send + 'a>;
type OfBatch<'a, T> = Box<dyn FnMut(&mut Training<T>, usize, &Score) -> Result<()> + Send + 'a>;
type OfTest<'a, T> = Box<dyn FnMut(&mut Training<T>, &Score) -> Result<()> + Send + 'a>;
type OfEpoch<'a, T> = Box<dyn FnMut(&mut Training<T>, usize, &Epoch) -> Result<()> + Send + 'a>;

impl<'a, T> LambdaCallback<'a, T> {
    /// Does nothing yet.
    pub fn new() -> Self {
        LambdaCallback {
            on_train_begin: None,
            on_epoch_begin: None,
            on_train_batch_begin: None,
            on_train_batch_end: None,
            on_test_begin: None,
            on_test_end: None,
            on_epoch_end: None,
            on_train_end: None,
        }
    }

    /// Called before the first step.
    pub fn on_train_begin(mut self, hook: impl FnMut(&mut Training<T>) -> Result<()> + Send + 'a) -> Self {
        self.on_train_begin = Some(Box::new(hook));
        self
    }

    /// Called before the first step of an epoch, with the epoch.
    pub fn on_epoch_begin(mut self, hook: impl FnMut(&mut Training<T>, usize) -> Result<()> + Send + 'a) -> Self {
        self.on_epoch_begin = Some(Box::new(hook));
        self
    }

    /// Called before a step, with its number in the epoch.
    pub fn on_train_batch_begin(mut self, hook: impl FnMut(&mut Training<T>, usize) -> Result<()> + Send + 'a) -> Self {
        self.on_train_batch_begin = Some(Box::new(hook));
        self
    }

    /// Called after a step, with its number and the means of the epoch so far.
    pub fn on_train_batch_end(
        mut self,
        hook: impl FnMut(&mut Training<T>, usize, &Score) -> Result<()> + Send + 'a,
    ) -> Self {
        self.on_train_batch_end = Some(Box::new(hook));
        self
    }

    /// Called before the validation after an epoch.
    pub fn on_test_begin(mut self, hook: impl FnMut(&mut Training<T>) -> Result<()> + Send + 'a) -> Self {
        self.on_test_begin = Some(Box::new(hook));
        self
    }

    /// Called after that validation, with what it gave.
    pub fn on_test_end(mut self, hook: impl FnMut(&mut Training<T>, &Score) -> Result<()> + Send + 'a) -> Self {
        self.on_test_end = Some(Box::new(hook));
        self
    }

    /// Called after an epoch and its validation, with the epoch and what it gave.
    pub fn on_epoch_end(mut self, hook: impl FnMut(&mut Training<T>, usize, &Epoch) -> Result<()> + Send + 'a) -> Self {
        self.on_epoch_end = Some(Box::new(hook));
        self
    }

    /// Called after the last epoch.
    pub fn on_train_end(mut self, hook: impl FnMut(&mut Training<T>) -> Result<()> + Send + 'a) -> Self {
        self.on_train_end = Some(Box::new(hook));
        self
    }
}

impl<T> Default for LambdaCallback<'_, T> {
    fn default() -> Self {
        LambdaCallback::new()
    }
}

impl<T: Scalar> Callback<T> for LambdaCallback<'_, T> {
    fn on_train_begin(&mut self, training: &mut Training<T>) -> Result<()> {
        self.on_train_begin.as_mut().map_or(Ok(()), |hook| hook(training))
    }

    fn on_epoch_begin(&mut self, training: &mut Training<T>, epoch: usize) -> Result<()> {
        self.on_epoch_begin.as_mut().map_or(Ok(()), |hook| hook(training, epoch))
    }

    fn on_train_batch_begin(&mut self, training: &mut Training<T>, batch: usize) -> Result<()> {
        self.on_train_batch_begin.as_mut().map_or(Ok(()), |hook| hook(training, batch))
    }

    fn on_train_batch_end(&mut self, training: &mut Training<T>, batch: usize, logs: &Score) -> Result<()> {
        self.on_train_batch_end.as_mut().map_or(Ok(()), |hook| hook(training, batch, logs))
    }

    fn on_test_begin(&mut self, training: &mut Training<T>) -> Result<()> {
        self.on_test_begin.as_mut().map_or(Ok(()), |hook| hook(training))
    }

    fn on_test_end(&mut self, training: &mut Training<T>, logs: &Score) -> Result<()> {
        self.on_test_end.as_mut().map_or(Ok(()), |hook| hook(training, logs))
    }

    fn on_epoch_end(&mut self, training: &mut Training<T>, epoch: usize, logs: &Epoch) -> Result<()> {
        self.on_epoch_end.as_mut().map_or(Ok(()), |hook| hook(training, epoch, logs))
    }

    fn on_train_end(&mut self, training: &mut Training<T>) -> Result<()> {
        self.on_train_end.as_mut().map_or(Ok(()), |hook| hook(training))
    }

    fn needs_batch_logs(&self) -> bool {
        self.on_train_batch_end.is_some()
    }
}

impl<T> fmt::Debug for LambdaCallback<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LambdaCallback").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{super::train_with, *};
    use crate::prelude::*;

    #[test]
    fn each_closure_is_called_in_its_place() {
        let (x, y): (Tensor, Tensor) = (Tensor::ones([4, 2]), Tensor::zeros([4, 1]));
        let mut model = Sequential::new([2]).add(Dense::new(1)).compile(SGD::new(0.1), MeanSquaredError, []).unwrap();
        let calls = Mutex::new(Vec::new());
        let call = |name: String| {
            calls.lock().unwrap().push(name);
            Ok(())
        };
        let callback = LambdaCallback::new()
            .on_train_begin(|training| call(format!("training of {}", training.epochs())))
            .on_epoch_begin(|_, epoch| call(format!("epoch {epoch}")))
            .on_train_batch_begin(|_, batch| call(format!("batch {batch}")))
            .on_train_batch_end(|_, batch, logs| call(format!("batch {batch} ends, {}", logs.loss > 0.0)))
            .on_test_begin(|_| call("test".to_owned()))
            .on_test_end(|_, logs| call(format!("test ends, {}", logs.loss > 0.0)))
            .on_epoch_end(|_, epoch, logs| call(format!("epoch {epoch} ends, {}", logs.validation.is_some())))
            .on_train_end(|_| call("end".to_owned()));
        model.fit(&x, &y, Fit::new().verbose(0).validation_split(0.5).callback(callback)).unwrap();
        let expected = [
            "training of 1",
            "epoch 0",
            "batch 0",
            "batch 0 ends, true",
            "test",
            "test ends, true",
            "epoch 0 ends, true",
            "end",
        ];
        assert_eq!(calls.into_inner().unwrap(), expected);
    }

    #[test]
    fn an_error_ends_the_training() {
        let callback =
            LambdaCallback::new().on_epoch_end(|_, epoch, _| Err(Error::argument("test", epoch.to_string())));
        let error = train_with(SGD::new(0.1), 5, callback).unwrap_err();
        assert_eq!(error.to_string(), "test: 0");
    }
}
