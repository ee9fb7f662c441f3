//! [`Trainer`]: the steps of training.

use super::{
    Model,
    objective::{Objective, Sums},
    packed::Packed,
    penalty,
    samples::Samples,
    tape::Tape,
};
use crate::{Scalar, data, layers::Mode};

const COMPILED: &str = "fit has checked that the model is compiled";

/// A model in training, and the buffers that a step needs.
pub(super) struct Trainer<'m, T> {
    pub model: &'m mut Model<T>,
    tape: Tape<T>,
    packed: Packed<T>,
    batch: Vec<T>,
    /// The weights with which the loss was finite last.
    good: Vec<T>,
    /// For constraints to compute in.
    norms: Vec<T>,
    seed: u64,
}

impl<'m, T: Scalar> Trainer<'m, T> {
    pub fn new(model: &'m mut Model<T>, batch_size: usize, seed: u64) -> Self {
        let reach = model.graph.reach();
        Trainer {
            tape: Tape::new(&model.graph, batch_size, reach),
            batch: vec![T::zero(); batch_size * model.graph.input.size()],
            packed: Packed::new(&model.graph, Some(reach)),
            good: model.params().to_vec(),
            norms: Vec::new(),
            seed,
            model,
        }
    }

    /// The order in which the next epoch sees the first `n` samples.
    pub fn order(&mut self, n: usize, shuffle: bool) -> Vec<usize> {
        let compiled = self.model.compiled.as_mut().expect(COMPILED);
        let mut order: Vec<usize> = (0..n).collect();
        if shuffle {
            data::shuffle(&mut order, self.seed, compiled.epochs);
        }
        compiled.epochs += 1;
        order
    }

    /// One step on the samples of `indices`. When the loss, a gradient or a weight is not finite, says which, and leaves
    /// the weights with which the loss was finite last.
    pub fn step(
        &mut self,
        objective: &Objective,
        samples: &Samples<T>,
        indices: &[usize],
        sums: &mut Sums,
    ) -> Result<(), &'static str> {
        let Trainer { model, tape, packed, batch, good, norms, seed } = self;
        let compiled = model.compiled.as_ref().expect(COMPILED);
        let n = indices.len();
        let x = &mut batch[..n * model.graph.input.size()];
        samples.x.gather(indices, x);
        packed.pack(&model.graph, model.params());
        let step = model.step(Mode::Train { seed: *seed, step: compiled.steps }, n, packed);
        step.forward(tape, x);
        let (z, dz) = tape.output(n * model.graph.output().size());
        let penalty = penalty::penalty(&model.graph, model.params());
        let loss = objective.score(&samples.outputs(z, indices), Some(dz), sums) + penalty;
        sums.penalize(penalty, n);
        let failed = 'step: {
            if !loss.is_finite() {
                break 'step "loss";
            }
            good.copy_from_slice(model.params());
            step.backward(tape, x);
            penalty::add_gradient(&model.graph, model.params(), &mut tape.grads);
            if !all_finite(&tape.grads) {
                break 'step "gradient";
            }
            model.compiled.as_mut().expect(COMPILED).update(model.weights.values_mut(), &mut tape.grads);
            penalty::constrain(&model.graph, model.weights.values_mut(), norms);
            tape.store(&model.graph, model.weights.values_mut());
            if !all_finite(model.params()) {
                break 'step "weights";
            }
            return Ok(());
        };
        model.weights.values_mut().copy_from_slice(good);
        model.compiled.as_mut().expect(COMPILED).forget();
        Err(failed)
    }

    /// Ends a training of at least one epoch.
    pub fn finish(&mut self) {
        let Model { compiled, weights, .. } = &mut *self.model;
        compiled.as_ref().expect(COMPILED).finish(weights.values_mut());
    }
}

fn all_finite<T: Scalar>(values: &[T]) -> bool {
    values.iter().all(|value| value.is_finite())
}
