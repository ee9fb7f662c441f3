//! [`Trainer`]: the steps of training.

use rayon::prelude::*;

use super::{
    Model,
    graph::Reach,
    objective::{Objective, Sums},
    packed::Packed,
    penalty::{self, AllNorms},
    samples::Samples,
    tape::Tape,
};
use crate::{Scalar, layers::Mode};

/// Numbers that one task looks at.
const FINITE_BLOCK: usize = 1 << 16;

const COMPILED: &str = "fit has checked that the model is compiled";

/// A model in training, and the buffers that a step needs.
pub(super) struct Trainer<'m, T> {
    pub model: &'m mut Model<T>,
    /// How far gradients go.
    reach: Reach,
    buffers: Option<Buffers<T>>,
    packed: Packed<T>,
    /// The weights with which the loss was finite last.
    good: Vec<T>,
    /// For constraints to compute in.
    norms: AllNorms<T>,
    seed: u64,
}

/// What a step computes in, as large as the largest batch so far.
struct Buffers<T> {
    samples: usize,
    batch: Vec<T>,
    tape: Tape<T>,
}

impl<'m, T: Scalar> Trainer<'m, T> {
    pub fn new(model: &'m mut Model<T>, seed: u64) -> Self {
        let reach = model.graph.reach();
        Trainer {
            reach,
            buffers: None,
            packed: Packed::new(&model.graph, Some(reach)),
            good: model.params().to_vec(),
            norms: AllNorms::new(),
            seed,
            model,
        }
    }

    /// Begins an epoch, and counts those that this model has begun before.
    pub fn begin_epoch(&mut self) -> usize {
        let compiled = self.model.compiled.as_mut().expect(COMPILED);
        compiled.epochs += 1;
        compiled.epochs - 1
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
        let Trainer { model, reach, buffers, packed, good, norms, seed } = self;
        // A callback may have frozen layers, or set them free.
        let now = model.graph.reach();
        if now != *reach {
            (*reach, *buffers, *packed) = (now, None, Packed::new(&model.graph, Some(now)));
        }
        let compiled = model.compiled.as_ref().expect(COMPILED);
        let n = indices.len();
        let large = buffers.take().filter(|buffers| buffers.samples >= n);
        let Buffers { batch, tape, .. } = buffers.insert(large.unwrap_or_else(|| Buffers {
            samples: n,
            batch: vec![T::zero(); n * model.graph.input.size()],
            tape: Tape::new(&model.graph, n, *reach),
        }));
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
        let Model { compiled, weights, graph, .. } = &mut *self.model;
        if compiled.as_ref().expect(COMPILED).finish(weights.values_mut()) {
            // An average of the weights need not keep what each of them keeps.
            penalty::constrain(graph, weights.values_mut(), &mut self.norms);
        }
    }
}

fn all_finite<T: Scalar>(values: &[T]) -> bool {
    // Without an early end, so that the compiler makes vectors of it.
    let finite = |values: &[T]| values.iter().fold(true, |finite, value| finite & value.is_finite());
    values.par_chunks(FINITE_BLOCK).all(finite)
}
