//! Training and evaluation: [`Fit`], [`Model::fit`], [`Model::evaluate`], [`Model::gradients`].

use std::{collections::BTreeMap, ops::Range, time::Instant};

use super::{
    DEFAULT_BATCH_SIZE, Model,
    check::{self, Prepared},
    history::{Epoch, History, Score},
    objective::{Objective, Outputs, Sums},
    progress::Progress,
    tape::{Step, Tape},
};
use crate::{
    Error, Result, Scalar, Tensor,
    data::{self, Input, Targets},
    layers::Mode,
};

/// How a model is trained; see [`Model::fit`]. Names and defaults are those of Keras's `fit`.
///
/// ```
/// use cornu::Fit;
///
/// let options: Fit = Fit::new().epochs(5).batch_size(64).validation_split(0.1).seed(3);
/// ```
#[derive(Clone, Debug)]
pub struct Fit<'a, T = f32> {
    epochs: usize,
    batch_size: usize,
    shuffle: bool,
    validation_data: Option<(Input<'a, T>, Targets<'a, T>)>,
    validation_split: Option<f64>,
    sample_weight: Option<&'a [f32]>,
    class_weight: BTreeMap<usize, f64>,
    verbose: u8,
    seed: u64,
}

impl<T> Default for Fit<'_, T> {
    fn default() -> Self {
        Fit {
            epochs: 1,
            batch_size: DEFAULT_BATCH_SIZE,
            shuffle: true,
            validation_data: None,
            validation_split: None,
            sample_weight: None,
            class_weight: BTreeMap::new(),
            verbose: 1,
            seed: 0,
        }
    }
}

impl<'a, T> Fit<'a, T> {
    /// One epoch in batches of 32 samples, shuffled.
    pub fn new() -> Self {
        Fit::default()
    }

    /// How often the model sees all samples; 1 by default.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// How many samples a step takes; 32 by default. The last batch of an epoch may be smaller.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Whether each epoch sees the samples in an order of its own; it does by default.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Samples that the model does not learn from, to be evaluated after each epoch.
    pub fn validation_data(mut self, x: impl Into<Input<'a, T>>, y: impl Into<Targets<'a, T>>) -> Self {
        self.validation_data = Some((x.into(), y.into()));
        self
    }

    /// The fraction of the samples, above 0 and below 1, that is kept for validation: the last ones, before any shuffling.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation_split = Some(fraction);
        self
    }

    /// What each sample's loss is multiplied by. The loss of a batch is divided by its number of samples, not by the sum of
    /// their weights, and metrics take no notice, as in Keras.
    pub fn sample_weight(mut self, weights: &'a [f32]) -> Self {
        self.sample_weight = Some(weights);
        self
    }

    /// What the loss of each sample of a class is multiplied by; classes that are not named keep 1.
    pub fn class_weight(mut self, weights: impl IntoIterator<Item = (usize, f64)>) -> Self {
        self.class_weight = weights.into_iter().collect();
        self
    }

    /// What is printed. 0: nothing. 1, the default: a bar for each epoch on a terminal, elsewhere as 2. 2: a line for each
    /// epoch.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }

    /// The seed of the shuffling and of all that is random in a step, such as dropout; 0 by default. The same seed gives
    /// the same weights, bit for bit, for any number of threads.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

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
    /// In a step: [`Error::NotFinite`], when the loss or a gradient becomes NaN or infinite.
    pub fn fit<'a>(
        &mut self,
        x: impl Into<Input<'a, T>>,
        y: impl Into<Targets<'a, T>>,
        options: Fit<'a, T>,
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
        samples.weigh(options.sample_weight, &options.class_weight, split, objective.output().last())?;
        let validation = match &separate {
            Some(separate) => Some((separate, 0..separate.x.samples())),
            None => (split < n).then_some((&samples, split..n)),
        };

        let batch_size = options.batch_size.min(split);
        let mut progress = Progress::new(options.verbose, options.epochs, split.div_ceil(batch_size));
        let rescaled = self.layers.first().is_some_and(|layer| layer.class_name == "Rescaling");
        let warnings = check::suspicious(
            &samples.x,
            (&samples.targets, 0..split),
            validation.as_ref().map(|(samples, range)| (&samples.targets, range.clone())),
            rescaled,
        );
        for warning in &warnings {
            progress.warn(warning);
        }

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
                .map(|(samples, range)| trainer.model.score(&objective, samples, range.clone(), options.batch_size));
            let result = Epoch { train: objective.means(&sums), validation, time: start.elapsed() };
            progress.epoch_ends(epoch, &result);
            history.epochs.push(result);
        }
        Ok(history)
    }

    /// Loss and metrics on samples, 32 at a time, without training on them.
    ///
    /// # Errors
    /// As [`fit`](Model::fit) before its first step.
    pub fn evaluate<'a>(&self, x: impl Into<Input<'a, T>>, y: impl Into<Targets<'a, T>>) -> Result<Score> {
        self.evaluate_with(x, y, DEFAULT_BATCH_SIZE)
    }

    /// [`evaluate`](Model::evaluate), `batch_size` samples at a time.
    ///
    /// # Errors
    /// As [`evaluate`](Model::evaluate), and when `batch_size` is 0.
    pub fn evaluate_with<'a>(
        &self,
        x: impl Into<Input<'a, T>>,
        y: impl Into<Targets<'a, T>>,
        batch_size: usize,
    ) -> Result<Score> {
        let objective = &self.compiled("evaluate")?.objective;
        check::batch_size("evaluate", batch_size)?;
        let samples = Samples::new("evaluate", self, x.into(), y.into())?;
        Ok(self.score(objective, &samples, 0..samples.x.samples(), batch_size))
    }

    /// The mean loss of a batch and its gradient to each weight, in the order of [`get_weights`](Model::get_weights), as
    /// a step of training computes them; nothing is changed.
    ///
    /// # Errors
    /// As [`fit`](Model::fit) before its first step.
    pub fn gradients<'a>(
        &self,
        x: impl Into<Input<'a, T>>,
        y: impl Into<Targets<'a, T>>,
    ) -> Result<(f64, Vec<Tensor<T>>)> {
        let objective = &self.compiled("gradients")?.objective;
        let samples = Samples::new("gradients", self, x.into(), y.into())?;
        let indices: Vec<usize> = (0..samples.x.samples()).collect();
        let mut buffer = Vec::new();
        let x = samples.x.rows(0..indices.len(), &mut buffer);
        let mut tape = Tape::new(&self.graph, indices.len());
        let step = self.step(Mode::Train { seed: 0, step: 0 }, indices.len());
        step.forward(&mut tape, x);
        let (z, dz) = tape.output(indices.len() * self.output_shape().size());
        let loss = objective.score(&samples.outputs(z, &indices), Some(dz), &mut objective.sums());
        step.backward(&mut tape, x);
        let weights = self.graph.layout.infos().iter();
        let gradients = weights.map(|info| Tensor::new(info.shape, tape.grads[info.range()].to_vec()));
        Ok((loss, gradients.collect::<Result<_>>()?))
    }

    fn step(&self, mode: Mode, n: usize) -> Step<'_, T> {
        Step { graph: &self.graph, params: &self.params, spaces: &self.spaces, mode, n }
    }

    fn score(&self, objective: &Objective, samples: &Samples<T>, range: Range<usize>, batch_size: usize) -> Score {
        let indices: Vec<usize> = range.collect();
        let len = self.output_shape().size();
        let mut sums = objective.sums();
        let mut buffer = Vec::new();
        let mut z = vec![T::zero(); batch_size.min(indices.len()) * len];
        for batch in indices.chunks(batch_size) {
            let z = &mut z[..batch.len() * len];
            self.infer(batch.len(), samples.x.rows(batch[0]..batch[0] + batch.len(), &mut buffer), z);
            objective.score(&samples.outputs(z, batch), None, &mut sums);
        }
        objective.means(&sums)
    }
}

/// Where validation begins: `floor(n * (1 - fraction))`, as in Keras, with something on both sides.
fn split_at(fraction: Option<f64>, n: usize) -> Result<usize> {
    let Some(fraction) = fraction else {
        return Ok(n);
    };
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::argument("fit", format!("validation_split must be above 0 and below 1, got {fraction}")));
    }
    let split = (n as f64 * (1.0 - fraction)).floor() as usize;
    if split == 0 || split == n {
        return Err(Error::data(
            "fit",
            format!(
                "validation_split {fraction} of {n} samples leaves nothing to {}",
                if split == 0 { "train on" } else { "validate on" }
            ),
        ));
    }
    Ok(split)
}

/// Samples, what is wanted for them, and what their losses are multiplied by.
struct Samples<'a, T> {
    x: Input<'a, T>,
    targets: Prepared<'a, T>,
    weights: Option<Vec<f64>>,
}

impl<'a, T: Scalar> Samples<'a, T> {
    fn new(method: &'static str, model: &Model<T>, x: Input<'a, T>, y: Targets<'a, T>) -> Result<Self> {
        check::input(method, &x, model.input_shape())?;
        let targets = check::targets(method, &model.compiled(method)?.objective, x.samples(), y)?;
        Ok(Samples { x, targets, weights: None })
    }

    /// Sets the weights of all samples, or those of the classes of the samples that are trained on, `0..split`.
    fn weigh(
        &mut self,
        sample: Option<&[f32]>,
        class: &BTreeMap<usize, f64>,
        split: usize,
        classes: usize,
    ) -> Result<()> {
        let n = self.x.samples();
        let invalid = |weight: f64| !(weight >= 0.0 && weight.is_finite());
        if let Some(weights) = sample {
            if !class.is_empty() {
                return Err(Error::argument("fit", "give sample_weight or class_weight, not both"));
            }
            if weights.len() != n {
                return Err(Error::data("fit", format!("x has {n} samples, but sample_weight has {}", weights.len())));
            }
            if let Some(i) = weights.iter().position(|&weight| invalid(weight.into())) {
                return Err(Error::data("fit", format!("sample_weight {i} must be at least 0, got {}", weights[i])));
            }
            self.weights = Some(weights.iter().map(|&weight| weight.into()).collect());
        } else if !class.is_empty() {
            if let Some((class, weight)) = class.iter().find(|&(_, &weight)| invalid(weight)) {
                return Err(Error::argument(
                    "fit",
                    format!("class_weight of class {class} must be at least 0, got {weight}"),
                ));
            }
            let weight =
                |i| if i < split { class.get(&self.targets.class(i, classes)).copied().unwrap_or(1.0) } else { 1.0 };
            self.weights = Some((0..n).map(weight).collect());
        }
        Ok(())
    }

    fn outputs<'b>(&'b self, z: &'b [T], indices: &'b [usize]) -> Outputs<'b, T> {
        Outputs { z, targets: &self.targets, indices, weights: self.weights.as_deref() }
    }
}

/// A model in training, and the buffers that a step needs.
struct Trainer<'m, T> {
    model: &'m mut Model<T>,
    tape: Tape<T>,
    batch: Vec<T>,
    /// The weights with which the loss was finite last.
    good: Vec<T>,
    trainable: Vec<Range<usize>>,
    seed: u64,
}

impl<'m, T: Scalar> Trainer<'m, T> {
    fn new(model: &'m mut Model<T>, batch_size: usize, seed: u64) -> Self {
        Trainer {
            tape: Tape::new(&model.graph, batch_size),
            batch: vec![T::zero(); batch_size * model.graph.input.size()],
            good: model.params.clone(),
            trainable: model.graph.layout.trainable(),
            seed,
            model,
        }
    }

    /// The order in which the next epoch sees the first `n` samples.
    fn order(&mut self, n: usize, shuffle: bool) -> Vec<usize> {
        let compiled = self.model.compiled.as_mut().expect("fit has checked that the model is compiled");
        let mut order: Vec<usize> = (0..n).collect();
        if shuffle {
            data::shuffle(&mut order, self.seed, compiled.epochs);
        }
        compiled.epochs += 1;
        order
    }

    /// One step on the samples of `indices`. When the loss or a gradient is not finite, says which, and leaves the weights
    /// with which the loss was finite last.
    fn step(
        &mut self,
        objective: &Objective,
        samples: &Samples<T>,
        indices: &[usize],
        sums: &mut Sums,
    ) -> Result<(), &'static str> {
        let Trainer { model, tape, batch, good, trainable, seed } = self;
        let compiled = model.compiled.as_ref().expect("fit has checked that the model is compiled");
        let n = indices.len();
        let x = &mut batch[..n * model.graph.input.size()];
        samples.x.gather(indices, x);
        let step = model.step(Mode::Train { seed: *seed, step: compiled.steps }, n);
        step.forward(tape, x);
        let (z, dz) = tape.output(n * model.graph.output().size());
        let loss = objective.score(&samples.outputs(z, indices), Some(dz), sums);
        if loss.is_finite() {
            step.backward(tape, x);
            good.copy_from_slice(&model.params);
        }
        let compiled = model.compiled.as_mut().expect("fit has checked that the model is compiled");
        let failed = match () {
            () if !loss.is_finite() => "loss",
            () if !tape.grads.iter().all(|grad| grad.is_finite()) => "gradient",
            () => {
                compiled.update(&mut model.params, &tape.grads, trainable);
                return Ok(());
            }
        };
        model.params.copy_from_slice(good);
        compiled.forget();
        Err(failed)
    }
}
