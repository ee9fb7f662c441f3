//! What `compile` adds to a model: how it is trained, and the state of the optimizer.

use std::{ops::Range, sync::Arc};

use super::{Model, objective::Objective};
use crate::{
    Error, Metric, Result, Scalar,
    losses::Loss,
    optimizers::{self, MAX_SLOTS, Optimizer, check_learning_rate, erased::DynOptimizer},
};

#[derive(Clone, Debug)]
pub(crate) struct Compiled<T> {
    pub optimizer: Box<dyn DynOptimizer>,
    pub objective: Arc<Objective>,
    /// The steps taken so far.
    pub steps: u64,
    /// The epochs begun so far.
    pub epochs: usize,
    /// The optimizer's arrays for each run of trainable weights, each as long as the run; made in the first step.
    slots: Vec<Vec<Vec<T>>>,
}

impl<T: Scalar> Compiled<T> {
    /// Moves the weights of `trainable`, runs of the flat array, by one step.
    pub fn update(&mut self, params: &mut [T], grads: &[T], trainable: &[Range<usize>]) {
        if self.slots.is_empty() {
            let slots = |run: &Range<usize>| vec![vec![T::zero(); run.len()]; self.optimizer.slots()];
            self.slots = trainable.iter().map(slots).collect();
        }
        self.steps += 1;
        for (run, slots) in trainable.iter().zip(&mut self.slots) {
            optimizers::step(&*self.optimizer, self.steps, &mut params[run.clone()], &grads[run.clone()], slots);
        }
    }

    /// Lets the optimizer start anew.
    pub fn forget(&mut self) {
        self.steps = 0;
        self.slots.clear();
    }

    /// How many numbers the optimizer holds, as Keras counts them: its arrays, the step and the rate. 0 before the first
    /// step.
    pub fn count_params(&self) -> usize {
        let held: usize = self.slots.iter().flatten().map(Vec::len).sum();
        if self.steps == 0 { 0 } else { held + 2 }
    }
}

impl<T: Scalar> Model<T> {
    /// Says how the model is trained: by which optimizer, on which loss, and what is measured besides. Compiling again
    /// keeps the weights and forgets the optimizer's state.
    ///
    /// # Errors
    /// When an argument of the optimizer, the loss or a metric is out of its range, or the loss or a metric does not fit
    /// the shape of the output.
    pub fn compile(
        &mut self,
        optimizer: impl Optimizer,
        loss: impl Loss,
        metrics: impl IntoIterator<Item = Metric>,
    ) -> Result<()> {
        let refuse = |message| Error::argument(format!("compile: {}", optimizer.name()), message);
        optimizer.check().map_err(refuse)?;
        if optimizer.slots() > MAX_SLOTS {
            return Err(refuse(format!("slots must be at most {MAX_SLOTS}, got {}", optimizer.slots())));
        }
        self.compiled = Some(Compiled {
            optimizer: Box::new(optimizer),
            objective: Arc::new(Objective::new(loss, metrics, self.graph.head, self.output_shape())?),
            steps: 0,
            epochs: 0,
            slots: Vec::new(),
        });
        Ok(())
    }

    /// The learning rate of the next step; `None` before [`compile`](Model::compile).
    pub fn learning_rate(&self) -> Option<f64> {
        Some(self.compiled.as_ref()?.optimizer.learning_rate())
    }

    /// Changes the learning rate from the next step on.
    ///
    /// # Errors
    /// When the model is not compiled, or the rate is not a finite number of at least 0.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        let compiled = self.compiled.as_mut().ok_or(Error::NotCompiled { method: "set_learning_rate" })?;
        check_learning_rate(rate).map_err(|message| Error::argument("set_learning_rate", message))?;
        compiled.optimizer.set_learning_rate(rate);
        Ok(())
    }

    pub(super) fn compiled(&self, method: &'static str) -> Result<&Compiled<T>> {
        self.compiled.as_ref().ok_or(Error::NotCompiled { method })
    }
}
