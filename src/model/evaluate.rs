//! [`Model::evaluate`] and [`Model::gradients`]: what a model makes of samples, without training on them.

use std::{
    collections::BTreeMap,
    ops::{ControlFlow, Range},
};

use super::{
    Model, check,
    graph::Reach,
    history::Score,
    infer,
    objective::{Objective, Sums},
    packed::Packed,
    penalty::{self, penalty},
    samples::Samples,
    source::for_each_batch,
    tape::{Step, Tape},
};
use crate::{
    Result, Scalar, Tensor,
    data::{Dataset, Input, Targets},
    layers::Mode,
};

impl<T: Scalar> Model<T> {
    /// Loss and metrics on samples, without training on them.
    ///
    /// # Errors
    /// As [`fit`](Model::fit) before its first step.
    pub fn evaluate<'x, 'y>(&self, x: impl Into<Input<'x, T>>, y: impl Into<Targets<'y, T>>) -> Result<Score> {
        self.evaluate_with(x, y, usize::MAX)
    }

    /// [`evaluate`](Model::evaluate), at most `batch_size` samples at a time, which bounds the memory that it takes; the result is the
    /// same.
    ///
    /// # Errors
    /// As [`evaluate`](Model::evaluate), and when `batch_size` is 0.
    pub fn evaluate_with<'x, 'y>(
        &self,
        x: impl Into<Input<'x, T>>,
        y: impl Into<Targets<'y, T>>,
        batch_size: usize,
    ) -> Result<Score> {
        let objective = &self.compiled("evaluate")?.objective;
        check::batch_size("evaluate", batch_size)?;
        let samples = Samples::new("evaluate", &self.graph, objective, x.into(), y.into())?;
        Ok(rayon::scope(|_| self.score(objective, &samples, 0..samples.x.samples(), batch_size)))
    }

    /// Loss and metrics on the batches of a data set's epoch 0, without training on them: what [`evaluate`](Model::evaluate) gives
    /// for all of their samples, but for the weights that batches may have.
    ///
    /// # Errors
    /// As [`fit_dataset`](Model::fit_dataset), for the model and the batches.
    pub fn evaluate_dataset(&self, dataset: &dyn Dataset<T>) -> Result<Score> {
        let objective = &self.compiled("evaluate_dataset")?.objective;
        rayon::scope(|_| self.score_dataset("evaluate_dataset", objective, dataset))
    }

    /// The mean loss of a batch and its gradient to each weight, in the order of [`get_weights`](Model::get_weights), as
    /// a step of training computes them; nothing is changed.
    ///
    /// # Errors
    /// As [`fit`](Model::fit) before its first step.
    pub fn gradients<'x, 'y>(
        &self,
        x: impl Into<Input<'x, T>>,
        y: impl Into<Targets<'y, T>>,
    ) -> Result<(f64, Vec<Tensor<T>>)> {
        let objective = &self.compiled("gradients")?.objective;
        let samples = Samples::new("gradients", &self.graph, objective, x.into(), y.into())?;
        let indices: Vec<usize> = (0..samples.x.samples()).collect();
        let mut buffer = Vec::new();
        let x = samples.x.rows(0..indices.len(), &mut buffer);
        let (mut tape, packed) = self.tape(indices.len(), Reach { first: 0, input: false });
        let step = self.step(Mode::Train { seed: 0, step: 0 }, indices.len(), &packed);
        step.forward(&mut tape, x);
        let (z, dz) = tape.output(indices.len() * self.output_shape().size());
        let loss = objective.score(&samples.outputs(z, &indices), Some(dz), &mut objective.sums());
        let loss = loss + penalty(&self.graph, self.params());
        step.backward(&mut tape, x);
        penalty::add_gradient(&self.graph, self.params(), &mut tape.grads);
        let weights = self.graph.layout.infos().iter();
        let gradients = weights.map(|info| Tensor::new(info.shape, tape.grads[info.range()].to_vec()));
        Ok((loss, gradients.collect::<Result<_>>()?))
    }

    /// What a pass over `n` samples and back needs, but for an optimizer.
    pub(super) fn tape(&self, n: usize, reach: Reach) -> (Tape<T>, Packed<T>) {
        let mut packed = Packed::new(&self.graph, Some(reach));
        packed.pack(&self.graph, self.params());
        (Tape::new(&self.graph, n, reach), packed)
    }

    pub(super) fn step<'a>(&'a self, mode: Mode, n: usize, packed: &'a Packed<T>) -> Step<'a, T> {
        Step { graph: &self.graph, params: self.params(), packed, spaces: &self.spaces, mode, n }
    }

    pub(super) fn score(
        &self,
        objective: &Objective,
        samples: &Samples<T>,
        range: Range<usize>,
        batch_size: usize,
    ) -> Score {
        let mut sums = objective.sums();
        self.add_scores(objective, samples, range, batch_size, &mut sums);
        self.means(objective, sums)
    }

    /// [`score`](Model::score) of all batches of a data set's epoch 0.
    pub(super) fn score_dataset(&self, place: &str, objective: &Objective, dataset: &dyn Dataset<T>) -> Result<Score> {
        let mut sums = objective.sums();
        for_each_batch(dataset, 0, place, |place, batch| {
            let samples = Samples::of_batch(place, &self.graph, objective, batch, &BTreeMap::new())?;
            self.add_scores(objective, &samples, 0..samples.x.samples(), usize::MAX, &mut sums);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(self.means(objective, sums))
    }

    fn add_scores(
        &self,
        objective: &Objective,
        samples: &Samples<T>,
        range: Range<usize>,
        batch_size: usize,
        sums: &mut Sums,
    ) {
        let indices: Vec<usize> = range.collect();
        let batch_size = batch_size.min(infer::largest_batch(&self.graph));
        let len = self.output_shape().size();
        let mut z = vec![T::zero(); batch_size.min(indices.len()) * len];
        for batch in indices.chunks(batch_size) {
            let z = &mut z[..batch.len() * len];
            self.infer(&samples.x, batch[0]..batch[0] + batch.len(), batch.len(), z);
            objective.score(&samples.outputs(z, batch), None, sums);
        }
    }

    /// The means, with what the regularizers add.
    fn means(&self, objective: &Objective, mut sums: Sums) -> Score {
        sums.penalize(penalty(&self.graph, self.params()), sums.samples());
        objective.means(&sums)
    }
}
