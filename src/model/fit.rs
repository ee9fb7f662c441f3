//! [`Model::fit`].

use std::time::Instant;

use super::{
    Fit, Model, check,
    history::{Epoch, History},
    progress::Progress,
    samples::{Samples, split_at},
    trainer::Trainer,
};
use crate::{
    Error, Result, Scalar,
    data::{Input, Targets},
};

impl<T: Scalar> Model<T> {
    /// Trains the model on the samples `x: [n, ..input]` and what is wanted for them, `y`: [`Labels`](crate::Labels), or
    /// a tensor of the shape of the output.
    ///
    /// Each step takes the next batch of samples, computes the mean of their losses and its gradient to all weights, and
    /// lets the optimizer move them. Training again goes on where it ended.
    ///
    /// # Errors
    /// Before the first step: when the model is not compiled, `x` or `y` does not fit the model or the loss, there are no
    /// samples, a label is out of range, or an option is out of its range.
    /// In a step: [`Error::NotFinite`], when the loss, a gradient or a weight becomes NaN or infinite.
    pub fn fit<'x, 'y>(
        &mut self,
        x: impl Into<Input<'x, T>>,
        y: impl Into<Targets<'y, T>>,
        options: Fit<'_, T>,
    ) -> Result<History> {
        let objective = self.compiled("fit")?.objective.clone();
        check::batch_size("fit", options.batch_size)?;
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
        let rescaled = self.layers.iter().any(|layer| layer.class_name == "Rescaling");
        let warnings = check::suspicious(
            &samples.x,
            (&samples.targets, 0..split),
            validation.as_ref().map(|(samples, range)| (&samples.targets, range.clone())),
            rescaled,
        );
        for warning in &warnings {
            progress.warn(warning);
        }

        // From here on a thread of the pool: for any other, each parallel loop has to wake the pool up and wait for it.
        rayon::scope(|_| {
            let mut history = History { epochs: Vec::new(), warnings };
            let mut trainer = Trainer::new(self, batch_size, options.seed);
            for epoch in 0..options.epochs {
                let start = Instant::now();
                progress.epoch_begins(epoch);
                let order = trainer.order(split, options.shuffle);
                let mut sums = objective.sums();
                for (step, indices) in order.chunks(batch_size).enumerate() {
                    if let Err(what) = trainer.step(&objective, &samples, indices, &mut sums) {
                        return Err(Error::NotFinite {
                            what,
                            epoch: epoch + 1,
                            step: step + 1,
                            history: Box::new(history),
                        });
                    }
                    progress.step_done(step, || objective.means(&sums));
                }
                let validation = validation
                    .as_ref()
                    .map(|(samples, range)| trainer.model.score(&objective, samples, range.clone(), usize::MAX));
                let result = Epoch { train: objective.means(&sums), validation, time: start.elapsed() };
                progress.epoch_ends(epoch, &result);
                history.epochs.push(result);
            }
            if options.epochs > 0 {
                trainer.finish();
            }
            Ok(history)
        })
    }
}
