//! [`Model::evaluate`] and [`Model::gradients`]: what a model makes of samples, without training on them.

use std::ops::Range;

use super::{
    Model, check,
    graph::Reach,
    history::Score,
    infer,
    objective::Objective,
    packed::Packed,
    penalty::{self, penalty},
    samples::Samples,
    tape::{Step, Tape},
};
use crate::{
    Result, Scalar, Tensor,
    data::{Input, Targets},
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
        let samples = Samples::new("evaluate", self, x.into(), y.into())?;
        Ok(rayon::scope(|_| self.score(objective, &samples, 0..samples.x.samples(), batch_size)))
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
        let samples = Samples::new("gradients", self, x.into(), y.into())?;
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
        let indices: Vec<usize> = range.collect();
        let batch_size = batch_size.min(infer::largest_batch(&self.graph));
        let len = self.output_shape().size();
        let mut sums = objective.sums();
        let mut z = vec![T::zero(); batch_size.min(indices.len()) * len];
        for batch in indices.chunks(batch_size) {
            let z = &mut z[..batch.len() * len];
            self.infer(&samples.x, batch[0]..batch[0] + batch.len(), batch.len(), z);
            objective.score(&samples.outputs(z, batch), None, &mut sums);
        }
        sums.penalize(penalty(&self.graph, self.params()), indices.len());
        objective.means(&sums)
    }
}
