//! [`Source`]: where the batches of a training come from, and [`Validation`], where those of its validation do.

use std::{
    collections::BTreeMap,
    ops::{ControlFlow, Range},
};

use super::{Fit, Model, history::Score, objective::Objective, samples::Samples, trainer::Trainer};
use crate::{
    Error, Result, Scalar,
    data::{Batch, Dataset, Order, prefetch},
};

/// Where the batches of a training come from.
pub(super) enum Source<'a, T> {
    /// The first `n` samples in memory.
    Samples {
        samples: &'a Samples<'a, T>,
        n: usize,
        order: Order,
    },
    Dataset {
        dataset: &'a dyn Dataset<T>,
        class_weight: BTreeMap<usize, f64>,
    },
}

impl<T: Scalar> Source<'_, T> {
    /// How many batches an epoch has, where that is known.
    pub fn steps(&self) -> Option<usize> {
        match self {
            Source::Samples { n, order, .. } => order.num_batches(*n),
            Source::Dataset { dataset, .. } => dataset.num_batches(),
        }
    }

    /// What a training that goes on must have in common with the one that was interrupted.
    pub fn describe(&self) -> String {
        match self {
            Source::Samples { n, order, .. } => {
                let shuffled = if order.shuffle { "shuffled" } else { "in their order" };
                format!("{n} samples in batches of {}, {shuffled}", order.batch_size)
            }
            Source::Dataset { .. } => "data set".to_owned(),
        }
    }

    /// Gives each batch of the next epoch but the first `skipped`, checked samples of some indices, to `step`, until it breaks.
    pub fn epoch(
        &self,
        place: &str,
        objective: &Objective,
        trainer: &mut Trainer<T>,
        skipped: usize,
        mut step: impl FnMut(&mut Trainer<T>, &Samples<T>, &[usize]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let epoch = trainer.begin_epoch();
        match self {
            Source::Samples { samples, n, order } => {
                let indices = order.indices(*n, epoch);
                let mut batches = indices.chunks(order.batch_size).skip(skipped);
                while let Some(indices) = batches.next()
                    && step(trainer, samples, indices)?.is_continue()
                {}
                Ok(())
            }
            Source::Dataset { dataset, class_weight } => {
                let mut seen = 0;
                for_each_batch(*dataset, epoch, place, |place, batch| {
                    seen += 1;
                    if seen <= skipped {
                        return Ok(ControlFlow::Continue(()));
                    }
                    let samples = Samples::of_batch(place, &trainer.model.graph, objective, batch, class_weight)?;
                    let indices: Vec<usize> = (0..samples.x.samples()).collect();
                    step(trainer, &samples, &indices)
                })
            }
        }
    }
}

/// What a model is evaluated on after each epoch.
pub(super) enum Validation<'a, T> {
    Samples(&'a Samples<'a, T>, Range<usize>),
    Dataset(&'a dyn Dataset<T>),
}

impl<'a, T: Scalar> Validation<'a, T> {
    /// What is given apart from the data to train on; `data` are the checked samples, if it is those.
    pub fn of(options: &Fit<'a, T>, data: Option<&'a Samples<'a, T>>) -> Option<Self> {
        let samples = data.map(|samples| Validation::Samples(samples, 0..samples.x.samples()));
        samples.or(options.validation_dataset.map(Validation::Dataset))
    }

    pub fn score(&self, place: &str, objective: &Objective, model: &Model<T>) -> Result<Score> {
        match self {
            Validation::Samples(samples, range) => Ok(model.score(objective, samples, range.clone(), usize::MAX)),
            Validation::Dataset(dataset) => model.score_dataset(place, objective, *dataset),
        }
    }
}

/// Gives each batch of an epoch, of which there must be one, to `take`, with its place for errors, until that breaks.
pub(super) fn for_each_batch<T: Scalar>(
    dataset: &dyn Dataset<T>,
    epoch: usize,
    place: &str,
    mut take: impl FnMut(&str, &Batch<T>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut batches = 0;
    prefetch(dataset, epoch, |batch| {
        batches += 1;
        take(&format!("{place}, batch {batches}"), &batch)
    })?;
    if batches == 0 {
        return Err(Error::data(place, "the data set has no batches in this epoch; give it at least one"));
    }
    Ok(())
}
