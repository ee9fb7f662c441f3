//! [`Model::fit`] and [`Model::fit_dataset`].

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use super::{
    Fit, Model, check,
    checkpoint::{self, Point, Run},
    history::{Epoch, History, Score},
    objective::Objective,
    progress::Progress,
    samples::{Samples, split_at},
    source::{Source, Validation},
    trainer::Trainer,
};
use crate::{
    Error, Result, Scalar,
    callbacks::{BackupAndRestore, Callback, CallbackState, Plan, Training},
    data::{Dataset, Input, Order, Targets},
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
        let objective = self.trainable("fit", &options)?;
        let default = Order::default();
        let order = Order {
            batch_size: options.batch_size.unwrap_or(default.batch_size),
            shuffle: options.shuffle.unwrap_or(default.shuffle),
            seed: options.seed,
        };
        check::batch_size("fit", order.batch_size)?;
        let mut samples = Samples::new("fit", &self.graph, &objective, x.into(), y.into())?;
        let n = samples.x.samples();
        let split = split_at(options.validation_split, n)?;
        samples.weigh("fit", options.sample_weight, &options.class_weight, split, objective.output())?;
        samples.check_weighed(&options.class_weight, split, objective.output())?;

        let data = self.validation_data("fit: validation_data", &objective, &options)?;
        let validation = Validation::of(&options, data.as_ref())
            .or_else(|| (split < n).then_some(Validation::Samples(&samples, split..n)));
        let rescaled = self.layers().any(|layer| layer.class_name() == "Rescaling");
        let validated = match &validation {
            Some(Validation::Samples(samples, range)) => Some((&samples.targets, range.clone())),
            _ => None,
        };
        let warnings = check::suspicious(&samples.x, (&samples.targets, 0..split), validated, rescaled);
        let source = Source::Samples { samples: &samples, n: split, order };
        self.train("fit", &objective, &source, validation.as_ref(), options, warnings)
    }

    /// Trains the model on batches that are made while it trains, for data that does not fit in memory: [`fit`](Model::fit) for a
    /// [`Dataset`].
    ///
    /// The next batches are made ahead, on a thread of their own. The same batches train to the same bits as by
    /// [`fit`](Model::fit). The data set is asked for the epochs from [`OptimizerState::epochs`](crate::OptimizerState::epochs)
    /// on, so training again goes on where it ended.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// // Here each batch is drawn; it may as well be read from a file.
    /// let train = dataset::from_fn(20, |epoch, batch| {
    ///     let x = Tensor::random_normal([16, 4], 0.0, 1.0, (20 * epoch + batch) as u64);
    ///     let y: Vec<u8> = x.view().samples().map(|sample| u8::from(sample.data[0] > 0.0)).collect();
    ///     Ok(Batch::new(x, Labels::from(y)))
    /// });
    /// let mut model = Sequential::new([4])
    ///     .add(Dense::new(2).activation(Activation::Softmax))
    ///     .compile(Adam::new(0.05), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
    /// let history = model.fit_dataset(&train, Fit::new().epochs(3).validation_dataset(&train).verbose(0))?;
    /// assert!(history.get("val_accuracy").unwrap()[2] > 0.8);
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// Before the first step: when the model is not compiled, an option is out of its range, or is one that the data set decides,
    /// such as the size of the batches.
    /// In an epoch: when a batch does not fit the model or the loss, or a label is out of range; the error names the epoch and the
    /// batch. When there is no batch. And the errors of the data set, of the steps and of the callbacks, as from [`fit`](Model::fit).
    ///
    /// # Panics
    /// When the data set does.
    pub fn fit_dataset(&mut self, dataset: &dyn Dataset<T>, options: Fit<'_, T>) -> Result<History> {
        let objective = self.trainable("fit_dataset", &options)?;
        for (given, option, help) in [
            (options.batch_size.is_some(), "batch_size", "let the data set make batches of that size"),
            (options.shuffle.is_some(), "shuffle", "let the data set give its samples in another order each epoch"),
            (options.validation_split.is_some(), "validation_split", "give validation_dataset or validation_data"),
            (options.sample_weight.is_some(), "sample_weight", "give each batch its own by Batch::sample_weight"),
        ] {
            if given {
                return Err(Error::argument("fit_dataset", format!("{option} is for fit; {help}")));
            }
        }
        let data = self.validation_data("fit_dataset: validation_data", &objective, &options)?;
        let validation = Validation::of(&options, data.as_ref());
        let source = Source::Dataset { dataset, class_weight: options.class_weight.clone() };
        self.train("fit_dataset", &objective, &source, validation.as_ref(), options, Vec::new())
    }

    /// The objective of a model that can be trained with these options, as far as they concern no data.
    fn trainable(&self, method: &'static str, options: &Fit<T>) -> Result<Arc<Objective>> {
        let objective = self.compiled(method)?.objective.clone();
        if self.graph.trained().next().is_none() {
            let help =
                "all layers are frozen or have no weights, so there is nothing to train; see Model::set_trainable";
            return Err(Error::argument(method, help));
        }
        let Fit { validation_data: data, validation_dataset: dataset, validation_split: split, .. } = options;
        if usize::from(data.is_some()) + usize::from(dataset.is_some()) + usize::from(split.is_some()) > 1 {
            let message = "give one of validation_data, validation_dataset and validation_split, not several";
            return Err(Error::argument(method, message));
        }
        check::class_weight(method, &options.class_weight, objective.output())?;
        Ok(objective)
    }

    /// The samples of [`Fit::validation_data`], checked.
    fn validation_data<'a>(
        &self,
        place: &str,
        objective: &Objective,
        options: &Fit<'a, T>,
    ) -> Result<Option<Samples<'a, T>>> {
        let data = options.validation_data;
        data.map(|(x, y)| Samples::new(place, &self.graph, objective, x, y)).transpose()
    }

    /// The epochs of a training.
    fn train(
        &mut self,
        method: &str,
        objective: &Objective,
        source: &Source<T>,
        validation: Option<&Validation<T>>,
        options: Fit<'_, T>,
        warnings: Vec<String>,
    ) -> Result<History> {
        let (epochs, steps) = (options.epochs, source.steps());
        let mut progress = Progress::new(options.verbose, epochs, steps);
        for warning in &warnings {
            progress.warn(warning);
        }
        let plan = Plan { epochs, steps, monitors: objective.monitors(validation.is_some()), resumes: false };
        let mut callbacks = Callbacks { callbacks: options.callbacks, plan, stop: false };
        let saved = callbacks.backup().map(|backup| backup.read()).transpose()?.flatten();
        callbacks.plan.resumes = saved.is_some();
        let run = Run { seed: options.seed, data: source.describe(), objective };

        // From here on a thread of the pool: for any other, each parallel loop has to wake the pool up and wait for it.
        rayon::scope(|_| {
            self.history = History { epochs: Vec::new(), warnings };
            callbacks.call(self, |callback, training| callback.on_train_begin(training))?;
            let mut point = match saved {
                Some(saved) => saved.restore(&run, self, &mut callbacks)?,
                None => Point::new(0, objective, false),
            };
            let mut trainer = Trainer::new(self, options.seed);
            while point.epoch < epochs && !(point.stopped && point.step == 0) {
                let (start, epoch) = (Instant::now(), point.epoch);
                let place = format!("{method}: epoch {}", epoch + 1);
                progress.epoch_begins(epoch, point.step);
                if point.step == 0 {
                    callbacks.call(trainer.model, |callback, training| callback.on_epoch_begin(training, epoch))?;
                }
                let (time_before, taken, stopped, mut not_finite) = (point.time, point.step, point.stopped, None);
                let mut step = |trainer: &mut Trainer<T>, samples: &Samples<T>, indices: &[usize]| {
                    let Point { step, sums, time, .. } = &mut point;
                    callbacks
                        .call(trainer.model, |callback, training| callback.on_train_batch_begin(training, *step))?;
                    if let Err(what) = trainer.step(objective, samples, indices, sums) {
                        let error = Error::NotFinite { what, epoch: epoch + 1, step: *step + 1 };
                        if !callbacks.terminate_on_nan() {
                            return Err(error);
                        }
                        not_finite = Some(error.to_string());
                        return Ok(ControlFlow::Break(()));
                    }
                    progress.step_done(|| objective.means(sums));
                    let logs = if callbacks.need_batch_logs() { objective.means(sums) } else { Score::default() };
                    callbacks.call(trainer.model, |callback, training| {
                        callback.on_train_batch_end(training, *step, &logs)
                    })?;
                    *step += 1;
                    *time = time_before + start.elapsed();
                    point.stopped = callbacks.stop;
                    callbacks.save(&run, trainer.model, &point)?;
                    Ok(if callbacks.stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                };
                if stopped {
                    // In the middle of an epoch, of which only the end is left to do.
                    trainer.begin_epoch();
                } else {
                    source.epoch(&place, objective, &mut trainer, taken, &mut step)?;
                }
                if let Some(warning) = not_finite {
                    progress.warn(&warning);
                    trainer.model.history.warnings.push(warning);
                    break;
                }
                let train = objective.means(&point.sums);
                let validation = match validation {
                    Some(validation) => {
                        callbacks.call(trainer.model, |callback, training| callback.on_test_begin(training))?;
                        let place = format!("{place}, validation_dataset");
                        let score = validation.score(&place, objective, trainer.model)?;
                        callbacks.call(trainer.model, |callback, training| callback.on_test_end(training, &score))?;
                        Some(score)
                    }
                    None => None,
                };
                let result = Epoch { train, validation, time: time_before + start.elapsed() };
                progress.epoch_ends(epoch, &result);
                let called =
                    callbacks.call(trainer.model, |callback, training| callback.on_epoch_end(training, epoch, &result));
                trainer.model.history.epochs.push(result);
                called?;
                point = Point::new(epoch + 1, objective, callbacks.stop);
                callbacks.save(&run, trainer.model, &point)?;
            }
            if epochs > 0 {
                trainer.finish();
            }
            progress.train_ends(&trainer.model.history);
            callbacks.call(trainer.model, |callback, training| callback.on_train_end(training))?;
            callbacks.backup().map_or(Ok(()), BackupAndRestore::end)?;
            Ok(trainer.model.history.clone())
        })
    }
}

/// The callbacks of a training.
pub(super) struct Callbacks<'a, T> {
    callbacks: Vec<Box<dyn Callback<T> + 'a>>,
    pub plan: Plan,
    /// Whether one has asked to stop.
    pub stop: bool,
}

impl<T: Scalar> Callbacks<'_, T> {
    pub fn count(&self) -> usize {
        self.callbacks.len()
    }

    fn need_batch_logs(&self) -> bool {
        self.callbacks.iter().any(|callback| callback.needs_batch_logs())
    }

    fn terminate_on_nan(&self) -> bool {
        self.callbacks.iter().any(|callback| callback.terminates_on_nan())
    }

    /// Where the training is saved, if it is.
    fn backup(&self) -> Option<&BackupAndRestore> {
        self.callbacks.iter().find_map(|callback| callback.backup())
    }

    /// Saves the training, if that is due at this point.
    fn save(&self, run: &Run, model: &Model<T>, point: &Point) -> Result<()> {
        let Some(backup) = self.backup().filter(|backup| backup.is_due(point.step)) else {
            return Ok(());
        };
        let archive = checkpoint::archive(run, &self.plan, model, point, &self.states());
        backup.write(&archive.map_err(|message| Error::argument("BackupAndRestore", message))?)
    }

    /// Those of all, in their order.
    pub fn states(&self) -> Vec<CallbackState> {
        self.callbacks.iter().map(|callback| callback.state()).collect()
    }

    /// Each goes on from its state.
    pub fn set_states(&mut self, model: &mut Model<T>, states: &[CallbackState]) -> Result<()> {
        let mut states = states.iter();
        self.call(model, |callback, training| callback.set_state(training, states.next().expect("a state each")))
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
