//! What `compile` adds to a model: how it is trained, and the state of the optimizer.

use std::{array, ops::Range, sync::Arc};

use super::{Model, graph::Graph, objective::Objective};
use crate::{
    Error, Metric, Result, Scalar,
    losses::Loss,
    optimizers::{
        Base, MAX_SLOTS, Optimizer,
        blocks::{for_each, for_each_pair, step, sum_of_squares},
        erased::DynOptimizer,
        schedules::LearningRate,
    },
    params::ParamInfo,
};

#[derive(Clone, Debug)]
pub(crate) struct Compiled<T> {
    pub optimizer: Box<dyn DynOptimizer>,
    pub objective: Arc<Objective>,
    /// The steps taken so far; of those that only add up their gradients, each counts.
    pub steps: u64,
    /// The epochs begun so far.
    pub epochs: usize,
    /// The weights that the optimizer moves.
    weights: Vec<Weight>,
    /// The same weights, neighbours as one.
    runs: Vec<Run>,
    /// The optimizer's slots, then the average of the weights and the sum of the gradients, as far as it has them.
    arrays: Vec<Array<T>>,
}

#[derive(Clone, Debug)]
struct Weight {
    /// Where it stands in the flat array of the model.
    range: Range<usize>,
    decays: bool,
    /// What the learning rate is multiplied by.
    rate: f64,
}

#[derive(Clone, Debug)]
struct Run {
    /// Where it stands in the flat array of the model.
    params: Range<usize>,
    /// Where it stands in [`Compiled::arrays`].
    state: Range<usize>,
    /// What the learning rate is multiplied by.
    rate: f64,
}

/// A number for each weight that the optimizer moves.
#[derive(Clone, Debug)]
struct Array<T> {
    name: &'static str,
    /// What it holds before the first step.
    start: T,
    values: Vec<T>,
}

/// The array that holds the average of the weights.
const AVERAGE: &str = "average";

impl<T: Scalar> Compiled<T> {
    fn new(optimizer: Box<dyn DynOptimizer>, objective: Arc<Objective>, graph: &Graph) -> Self {
        let base = optimizer.base();
        let weight =
            |(info, rate): (&ParamInfo, f64)| Weight { range: info.range(), decays: base.decays(&info.name), rate };
        let weights = graph.trained_rates().map(weight).collect();
        let mut len = 0;
        let run = |(params, rate): (Range<usize>, f64)| {
            let state = len..len + params.len();
            len = state.end;
            Run { params, state, rate }
        };
        let runs = graph.trained_runs().into_iter().map(run).collect();
        let slots = optimizer.slots().iter().map(|name| (*name, optimizer.slot_start()));
        let average = base.use_ema.then_some((AVERAGE, 0.0));
        let sum = (base.gradient_accumulation_steps > 1).then_some(("gradient_accumulator", 0.0));
        let array = |(name, start)| Array { name, start: T::of(start), values: vec![T::of(start); len] };
        let arrays = slots.chain(average).chain(sum).map(array).collect();
        Compiled { optimizer, objective, steps: 0, epochs: 0, weights, runs, arrays }
    }

    /// Follows a change of what is frozen, or of a layer's rate. What the optimizer holds for the weights that it goes on moving stays.
    pub fn follow(&mut self, graph: &Graph, params: &[T]) {
        let new = Compiled::new(self.optimizer.clone(), self.objective.clone(), graph);
        let old = std::mem::replace(self, new);
        (self.steps, self.epochs) = (old.steps, old.epochs);
        for (array, old_array) in self.arrays.iter_mut().zip(&old.arrays) {
            for new in &self.runs {
                if array.name == AVERAGE {
                    array.values[new.state.clone()].copy_from_slice(&params[new.params.clone()]);
                }
                for old in &old.runs {
                    let start = new.params.start.max(old.params.start);
                    let len = new.params.end.min(old.params.end).saturating_sub(start);
                    if len > 0 {
                        let from = &old_array.values[old.state.start + start - old.params.start..][..len];
                        array.values[new.state.start + start - new.params.start..][..len].copy_from_slice(from);
                    }
                }
            }
        }
    }

    /// Moves the weights by one step of training, in Keras's order; the gradients may be overwritten.
    pub fn update(&mut self, params: &mut [T], grads: &mut [T]) {
        let Compiled { optimizer, steps, weights, runs, arrays, .. } = self;
        let base = optimizer.base();
        let (slots, mut rest) = arrays.split_at_mut(optimizer.slots().len());
        let average = if base.use_ema { rest.split_off_first_mut() } else { None };
        let sum = rest.split_off_first_mut();

        let rate = base.learning_rate.at(*steps);
        let updates = *steps / base.gradient_accumulation_steps;
        *steps += 1;
        let due = steps.is_multiple_of(base.gradient_accumulation_steps);
        if let Some(sum) = sum {
            let count = T::of(base.gradient_accumulation_steps as f64);
            for Run { params, state, .. } in &*runs {
                for_each_pair(&mut sum.values[state.clone()], &mut grads[params.clone()], |sum, grad| {
                    *sum += *grad;
                    if due {
                        *grad = *sum / count;
                        *sum = T::zero();
                    }
                });
            }
        }
        if due {
            clip(base, weights, grads);
            if let Some(decay) = base.weight_decay {
                let decay = T::of(decay);
                for weight in weights.iter().filter(|weight| weight.decays) {
                    let rate = T::of(rate * weight.rate);
                    for_each(&mut params[weight.range.clone()], |w| *w -= *w * decay * rate);
                }
            }
            for Run { params: run, state, rate: multiplier } in &*runs {
                let rate = rate * multiplier;
                let mut slots = slots.iter_mut();
                let slots =
                    array::from_fn(|_| slots.next().map_or(&mut [][..], |slot| &mut slot.values[state.clone()]));
                step(&**optimizer, updates + 1, rate, &mut params[run.clone()], &grads[run.clone()], slots);
            }
        }
        if let Some(average) = average {
            let momentum = if updates == 0 { T::zero() } else { T::of(base.ema_momentum) };
            let overwrite = base.ema_overwrite_frequency.is_some_and(|n| (updates + 1).is_multiple_of(n));
            for Run { params: run, state, .. } in &*runs {
                for_each_pair(&mut average.values[state.clone()], &mut params[run.clone()], |average, w| {
                    *average = momentum * *average + (T::one() - momentum) * *w;
                    if overwrite {
                        *w = *average;
                    }
                });
            }
        }
    }

    /// Replaces the weights by their average, where the optimizer keeps one and has not [forgotten](Compiled::forget) it: Keras's
    /// `finalize_variable_values`. Says whether it did.
    pub fn finish(&self, params: &mut [T]) -> bool {
        let averages = self.optimizer.base().use_ema && self.steps > 0;
        if averages {
            let average = &self.arrays[self.optimizer.slots().len()].values;
            for Run { params: run, state, .. } in &self.runs {
                params[run.clone()].copy_from_slice(&average[state.clone()]);
            }
        }
        averages
    }

    /// Lets the optimizer start anew.
    pub fn forget(&mut self) {
        self.steps = 0;
        for array in &mut self.arrays {
            array.values.fill(array.start);
        }
    }

    /// How many numbers the optimizer's arrays hold.
    pub fn held(&self) -> usize {
        self.arrays.iter().map(|array| array.values.len()).sum()
    }

    /// How many numbers the optimizer holds, as Keras counts them: its arrays, the step, and the rate where it is a number.
    /// 0 before the first step.
    pub fn count_params(&self) -> usize {
        let rate = usize::from(self.constant_rate().is_some());
        if self.steps == 0 { 0 } else { self.held() + 1 + rate }
    }

    fn constant_rate(&self) -> Option<f64> {
        match self.optimizer.base().learning_rate {
            LearningRate::Constant(rate) => Some(rate),
            LearningRate::Schedule(_) => None,
        }
    }
}

/// Limits the gradients of these weights, in the one way that is asked for, if any.
fn clip<T: Scalar>(base: &Base, weights: &[Weight], grads: &mut [T]) {
    let scale = |grads: &mut [T], norm: f64, limit: f64| {
        if norm > limit {
            let factor = T::of(limit / norm);
            for_each(grads, |grad| *grad *= factor);
        }
    };
    let ranges = weights.iter().map(|weight| weight.range.clone());
    if let Some(limit) = base.clipnorm {
        for range in ranges {
            let norm = sum_of_squares(&grads[range.clone()]).sqrt();
            scale(&mut grads[range], norm, limit);
        }
    } else if let Some(limit) = base.global_clipnorm {
        let norm = ranges.clone().map(|range| sum_of_squares(&grads[range])).sum::<f64>().sqrt();
        ranges.for_each(|range| scale(&mut grads[range], norm, limit));
    } else if let Some(limit) = base.clipvalue {
        let limit = T::of(limit);
        ranges.for_each(|range| for_each(&mut grads[range], |grad| *grad = num_traits::clamp(*grad, -limit, limit)));
    }
}

/// Where an optimizer stands: all that it needs to go on later as if it had not stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerState<T = f32> {
    /// The steps of training taken so far.
    pub steps: u64,
    /// The epochs begun so far: the order of the samples depends on it.
    pub epochs: usize,
    /// The learning rate, unless a schedule gives it.
    pub learning_rate: Option<f64>,
    /// Keras's name of each array, and a number for each trainable weight, in the order of
    /// [`layout`](Model::layout): the optimizer's slots, the average of the weights (`average`), and the gradients that wait for
    /// a step (`gradient_accumulator`), as far as it has them.
    pub arrays: Vec<(String, Vec<T>)>,
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
        self.compile_with(Box::new(optimizer), Arc::new(loss), metrics.into_iter().collect())
    }

    /// [`compile`](Model::compile) with objects.
    pub(crate) fn compile_with(
        &mut self,
        optimizer: Box<dyn DynOptimizer>,
        loss: Arc<dyn Loss>,
        metrics: Vec<Metric>,
    ) -> Result<()> {
        let refuse = |message| Error::argument(format!("compile: {}", optimizer.name()), message);
        optimizer.base().check().and_then(|()| optimizer.check()).map_err(refuse)?;
        let slots = optimizer.slots().len();
        if slots > MAX_SLOTS {
            return Err(refuse(format!("slots must be at most {MAX_SLOTS}, got {slots}")));
        }
        let objective = Objective::new(loss, metrics, self.graph.head, self.output_shape())?;
        self.compiled = Some(Compiled::new(optimizer, Arc::new(objective), &self.graph));
        Ok(())
    }

    /// The learning rate of the next step.
    ///
    /// # Errors
    /// When the model is not compiled.
    pub fn learning_rate(&self) -> Result<f64> {
        let compiled = self.compiled("learning_rate")?;
        Ok(compiled.optimizer.base().learning_rate.at(compiled.steps))
    }

    /// Sets the learning rate of the steps to come.
    ///
    /// # Errors
    /// When the model is not compiled, its rate follows a schedule, or the new one is not a finite number of at least 0.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        let optimizer = &mut self.compiled_mut("set_learning_rate")?.optimizer;
        let set = optimizer.base_mut().learning_rate.set(rate);
        set.map_err(|message| Error::argument(format!("set_learning_rate: {}", optimizer.name()), message))
    }

    /// A copy of the optimizer's state, to be saved with the weights.
    ///
    /// # Errors
    /// When the model is not compiled.
    pub fn optimizer_state(&self) -> Result<OptimizerState<T>> {
        let compiled = self.compiled("optimizer_state")?;
        Ok(OptimizerState {
            steps: compiled.steps,
            epochs: compiled.epochs,
            learning_rate: compiled.constant_rate(),
            arrays: compiled.arrays.iter().map(|array| (array.name.to_owned(), array.values.clone())).collect(),
        })
    }

    /// The names of the optimizer's arrays; none when the model is not compiled.
    pub(crate) fn optimizer_arrays(&self) -> impl Iterator<Item = &'static str> {
        self.compiled.iter().flat_map(|compiled| &compiled.arrays).map(|array| array.name)
    }

    /// Puts a model that is compiled with the same optimizer where another one stood; a learning rate that is a number is set,
    /// too.
    ///
    /// # Errors
    /// When the model is not compiled, the state is of another optimizer or of other weights, or it counts 2^53 steps or more; then nothing
    /// has changed.
    pub fn set_optimizer_state(&mut self, state: &OptimizerState<T>) -> Result<()> {
        let compiled = self.compiled_mut("set_optimizer_state")?;
        let place = format!("set_optimizer_state: {}", compiled.optimizer.name());
        let describe = |arrays: &mut dyn Iterator<Item = (&str, usize)>| {
            let arrays: Vec<_> = arrays.map(|(name, len)| format!("{name} of {len} numbers")).collect();
            if arrays.is_empty() { "no arrays".to_owned() } else { arrays.join(", ") }
        };
        let expected = describe(&mut compiled.arrays.iter().map(|array| (array.name, array.values.len())));
        let got = describe(&mut state.arrays.iter().map(|(name, values)| (name.as_str(), values.len())));
        if got != expected {
            let message = format!("expected {expected}, got {got}; compile with the optimizer whose state this is");
            return Err(Error::argument(place, message));
        }
        // So many that counting on cannot overflow.
        if state.steps.max(state.epochs as u64) >= 1 << 53 {
            let message = format!("{} steps and {} epochs are more than any training takes", state.steps, state.epochs);
            return Err(Error::argument(place, message));
        }
        if let (Some(rate), Some(_)) = (state.learning_rate, compiled.constant_rate()) {
            compiled.optimizer.base_mut().learning_rate.set(rate).map_err(|message| Error::argument(place, message))?;
        }
        compiled.steps = state.steps;
        compiled.epochs = state.epochs;
        for (array, (_, values)) in compiled.arrays.iter_mut().zip(&state.arrays) {
            array.values.copy_from_slice(values);
        }
        Ok(())
    }

    pub(crate) fn compiled(&self, method: &'static str) -> Result<&Compiled<T>> {
        self.compiled.as_ref().ok_or(Error::NotCompiled { method })
    }

    fn compiled_mut(&mut self, method: &'static str) -> Result<&mut Compiled<T>> {
        self.compiled.as_mut().ok_or(Error::NotCompiled { method })
    }
}
