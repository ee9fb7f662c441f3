//! [`Fit`]: the arguments of training.

use std::collections::BTreeMap;

use crate::{
    callbacks::Callback,
    data::{Dataset, Input, Targets},
};

/// How a model is trained; see [`Model::fit`](crate::Model::fit) and [`Model::fit_dataset`](crate::Model::fit_dataset). Names and
/// defaults are those of Keras's `fit`.
///
/// ```
/// use cornu::Fit;
///
/// let options: Fit = Fit::new().epochs(5).batch_size(64).validation_split(0.1).seed(3);
/// ```
pub struct Fit<'a, T = f32> {
    pub(super) epochs: usize,
    pub(super) batch_size: Option<usize>,
    pub(super) shuffle: Option<bool>,
    pub(super) validation_data: Option<(Input<'a, T>, Targets<'a, T>)>,
    pub(super) validation_dataset: Option<&'a dyn Dataset<T>>,
    pub(super) validation_split: Option<f64>,
    pub(super) sample_weight: Option<&'a [f32]>,
    pub(super) class_weight: BTreeMap<usize, f64>,
    pub(super) verbose: u8,
    pub(super) seed: u64,
    pub(super) callbacks: Vec<Box<dyn Callback<T> + 'a>>,
}

impl<T> Default for Fit<'_, T> {
    fn default() -> Self {
        Fit {
            epochs: 1,
            batch_size: None,
            shuffle: None,
            validation_data: None,
            validation_dataset: None,
            validation_split: None,
            sample_weight: None,
            class_weight: BTreeMap::new(),
            verbose: 1,
            seed: 0,
            callbacks: Vec::new(),
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
        self.batch_size = Some(batch_size);
        self
    }

    /// Whether each epoch sees the samples in an order of its own; it does by default.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = Some(shuffle);
        self
    }

    /// Samples that the model does not learn from, to be evaluated after each epoch.
    pub fn validation_data(mut self, x: impl Into<Input<'a, T>>, y: impl Into<Targets<'a, T>>) -> Self {
        self.validation_data = Some((x.into(), y.into()));
        self
    }

    /// Batches that the model does not learn from, to be evaluated after each epoch: those of the data set's epoch 0.
    pub fn validation_dataset(mut self, dataset: &'a dyn Dataset<T>) -> Self {
        self.validation_dataset = Some(dataset);
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

    /// Adds what watches and steers the training; several are called in their order. A callback that is looked at afterwards is given
    /// as `&mut callback`.
    pub fn callback(mut self, callback: impl Callback<T> + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }
}
