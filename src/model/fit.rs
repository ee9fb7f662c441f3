//! [`Model::fit`].

use std::time::Instant;

use super::{
    Fit, Model, check,
    history::{Epoch, History, Score},
    progress::Progress,
    samples::{Samples, split_at},
    trainer::Trainer,
};
use crate::{
    Error, Result, Scalar,
    callbacks::{Callback, Plan, Training},
    data::{Input, Targets},
};

impl<T: Scalar> Model<T> {
    /// Trains the model on the samples `x: [n, ..input]` and what is wanted for them, `y`: [`Labels`](crate::Labels), or
    /// a tensor of the shape of the output.
    ///
    /// Each step takes the next batch of samples, computes the mean of their losses and its gradient to all weights, and
    /// lets the optimizer move them. Training again goes on where it ended. What is returned is also the model's
    /// [`history`](Model::history), which an error leaves as far as it came.
    ///
    /// # Errors
    /// Before the first step: when the model is not compiled, `x` or `y` does not fit the model or the loss, there are no
    /// samples, a label is out of range, or an option is out of its range.
    /// In a step: [`Error::NotFinite`], when the loss, a gradient or a weight becomes NaN or infinite, unless a callback is
    /// [`TerminateOnNaN`](crate::callbacks::TerminateOnNaN). And the errors of the callbacks.
    pub fn fit<'x, 'y>(
        &mut self,
        x: impl Into<Input<'x, T>>,
        y: impl Into<Targets<'y, T>>,
        options: Fit<'_, T>,
    ) -> Result<History> {
        let objective = self.compiled("fit")?.objective.clone();
        check::batch_size("fit", options.batch_size)?;
        if self.graph.trained().next().is_none() {
            let help =
                "all layers are frozen or have no weights, so there is nothing to train; see Model::set_trainable";
            return Err(Error::argument("fit", help));
        }
        let mut samples = Samples::new("fit", self, x.into(), y.into())?;
        let n = samples.x.samples();
        let split = split_at(options.validation_split, n)?;
        let separate = match options.validation_data {
            Some(_) if split < n => {
                return Err(Error::argument("fit", "give validation_data or validation_split, not both"));
            }
            Some((x, y)) => Some(Samples::new("fit: validation_data", self, x, y)?),
            None => None,
        };
        samples.weigh(options.sample_weight, &options.class_weight, split, objective.output())?;
        let validation = match &separate {
            Some(separate) => Some((separate, 0..separate.x.samples())),
            None => (split < n).then_some((&samples, split..n)),
        };

        let batch_size = options.batch_size.min(split);
        let mut progress = Progress::new(options.verbose, options.epochs, split.div_ceil(batch_size));
        let rescaled = self.layers().any(|layer| layer.class_name() == "Rescaling");
        let warnings = check::suspicious(
            &samples.x,
            (&samples.targets, 0..split),
            validation.as_ref().map(|(samples, range)| (&samples.targets, range.clone())),
            rescaled,
        );
        for warning in &warnings {
            progress.warn(warning);
        }

        let steps = split.div_ceil(batch_size);
        let plan = Plan { epochs: options.epochs, steps, monitors: objective.monitors(validation.is_some()) };
        let mut callbacks = Callbacks::new(options.callbacks, plan);

        // From here on a thread of the pool: for any other, each parallel loop has to wake the pool up and wait for it.
        rayon::scope(|_| {
            self.history = History { epochs: Vec::new(), warnings };
            callbacks.call(self, |callback, training| callback.on_train_begin(training))?;
            let mut trainer = Trainer::new(self, batch_size, options.seed);
            'epochs: for epoch in 0..options.epochs {
                let start = Instant::now();
                progress.epoch_begins(epoch);
                callbacks.call(trainer.model, |callback, training| callback.on_epoch_begin(training, epoch))?;
                let order = trainer.order(split, options.shuffle);
                let mut sums = objective.sums();
                for (step, indices) in order.chunks(batch_size).enumerate() {
                    callbacks
                        .call(trainer.model, |callback, training| callback.on_train_batch_begin(training, step))?;
                    if let Err(what) = trainer.step(&objective, &samples, indices, &mut sums) {
                        let error = Error::NotFinite { what, epoch: epoch + 1, step: step + 1 };
                        if !callbacks.terminate_on_nan() {
                            return Err(error);
                        }
                        let warning = error.to_string();
                        progress.warn(&warning);
                        trainer.model.history.warnings.push(warning);
                        break 'epochs;
                    }
                    progress.step_done(step, || objective.means(&sums));
                    let logs = if callbacks.need_batch_logs() { objective.means(&sums) } else { Score::default() };
                    callbacks
                        .call(trainer.model, |callback, training| callback.on_train_batch_end(training, step, &logs))?;
                }
                let train = objective.means(&sums);
                let validation = match &validation {
                    Some((samples, range)) => {
                        callbacks.call(trainer.model, |callback, training| callback.on_test_begin(training))?;
                        let score = trainer.model.score(&objective, samples, range.clone(), usize::MAX);
                        callbacks.call(trainer.model, |callback, training| callback.on_test_end(training, &score))?;
                        Some(score)
                    }
                    None => None,
                };
                let result = Epoch { train, validation, time: start.elapsed() };
                progress.epoch_ends(epoch, &result);
                let called =
                    callbacks.call(trainer.model, |callback, training| callback.on_epoch_end(training, epoch, &result));
                trainer.model.history.epochs.push(result);
                called?;
                if callbacks.stop {
                    break;
                }
            }
            if options.epochs > 0 {
                trainer.finish();
            }
            progress.train_ends(&trainer.model.history);
            callbacks.call(trainer.model, |callback, training| callback.on_train_end(training))?;
            Ok(trainer.model.history.clone())
        })
    }
}

/// The callbacks of a training.
struct Callbacks<'a, T> {
    callbacks: Vec<Box<dyn Callback<T> + 'a>>,
    plan: Plan,
    /// Whether one has asked to stop.
    stop: bool,
}

impl<'a, T: Scalar> Callbacks<'a, T> {
    fn new(callbacks: Vec<Box<dyn Callback<T> + 'a>>, plan: Plan) -> Self {
        Callbacks { callbacks, plan, stop: false }
    }

    fn need_batch_logs(&self) -> bool {
        self.callbacks.iter().any(|callback| callback.needs_batch_logs())
    }

    fn terminate_on_nan(&self) -> bool {
        self.callbacks.iter().any(|callback| callback.terminates_on_nan())
    }

    /// Calls a method of each, in their order.
    fn call(
        &mut self,
        model: &mut Model<T>,
        mut method: impl FnMut(&mut dyn Callback<T>, &mut Training<T>) -> Result<()>,
    ) -> Result<()> {
        let Callbacks { callbacks, plan, stop } = self;
        let mut training = Training { model, plan, stop };
        callbacks.iter_mut().try_for_each(|callback| method(&mut **callback, &mut training))
    }
}
