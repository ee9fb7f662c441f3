//! [`Dataset`]: batches that are made while a model trains, for data that does not fit in memory.
//!
//! [`TensorDataset`](super::TensorDataset) deals out what lies in memory, `ImageFolder` (with the feature `image`) reads files,
//! [`from_fn`] calls a closure; for all else there is the trait.

use super::{Input, Targets};
use crate::{Labels, Result, Scalar, Tensor};

/// Batches of samples to train on by [`fit_dataset`](crate::Model::fit_dataset) or to evaluate on by
/// [`evaluate_dataset`](crate::Model::evaluate_dataset), as `keras.utils.PyDataset` or `tf.data.Dataset`.
///
/// **The batches of an epoch are a function of the epoch's number alone**: asked again, the same come in the same order, on any
/// machine and whatever other epochs were asked for. What is random in them is drawn from a seed and that number. So a
/// training can be repeated to the bit, and one that was interrupted can go on in the middle.
///
/// ```
/// use cornu::prelude::*;
///
/// /// Points, 1 where the first number is the larger one.
/// struct Points;
///
/// impl Dataset for Points {
///     fn batches(&self, epoch: usize) -> Box<dyn Iterator<Item = cornu::Result<Batch>> + '_> {
///         Box::new((0..8).map(move |batch| {
///             let x = Tensor::random_uniform([32, 2], -1.0, 1.0, (8 * epoch + batch) as u64);
///             let y: Vec<u8> = x.view().samples().map(|point| u8::from(point.data[0] > point.data[1])).collect();
///             Ok(Batch::new(x, Labels::from(y)))
///         }))
///     }
///
///     fn num_batches(&self) -> Option<usize> {
///         Some(8)
///     }
/// }
///
/// let mut model = Sequential::new([2])
///     .add(Dense::new(2).activation(Activation::Softmax))
///     .compile(Adam::new(0.05), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
/// model.fit_dataset(&Points, Fit::new().epochs(5).verbose(0))?;
/// assert!(model.evaluate_dataset(&Points)?.accuracy().unwrap() > 0.9);
/// # Ok::<(), cornu::Error>(())
/// ```
pub trait Dataset<T = f32>: Sync {
    /// The batches of an epoch; epochs count from 0, over all trainings since the model was compiled.
    ///
    /// They are made on a thread of their own, ahead of the step that takes them. An error ends the training, which returns it.
    fn batches(&self, epoch: usize) -> Box<dyn Iterator<Item = Result<Batch<T>>> + '_>;

    /// How many batches an epoch has, where that is known before they are made: it is shown while the model trains.
    fn num_batches(&self) -> Option<usize> {
        None
    }
}

/// What a step takes: samples, what is wanted for them, and, if they differ, how much they count.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<T = f32> {
    /// The samples, `[n, ..input]`; the batches may be of different sizes.
    pub x: OwnedInput<T>,
    /// What is wanted for each.
    pub y: OwnedTargets<T>,
    /// What the loss of each is multiplied by; 1 when there are none.
    pub sample_weight: Option<Vec<f32>>,
}

impl<T> Batch<T> {
    /// Samples, a tensor of the model's numbers or of bytes, and what is wanted for them, [`Labels`] or a tensor.
    pub fn new(x: impl Into<OwnedInput<T>>, y: impl Into<OwnedTargets<T>>) -> Self {
        Batch { x: x.into(), y: y.into(), sample_weight: None }
    }

    /// What each sample's loss is multiplied by; see [`Fit::sample_weight`](crate::Fit::sample_weight).
    pub fn sample_weight(mut self, weights: impl Into<Vec<f32>>) -> Self {
        self.sample_weight = Some(weights.into());
        self
    }
}

/// The samples of a batch: an [`Input`] that owns them.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedInput<T = f32> {
    /// Numbers as they are.
    Values(Tensor<T>),
    /// Bytes, each taken as a number from 0 to 255.
    Bytes(Tensor<u8>),
}

impl<T: Scalar> OwnedInput<T> {
    /// The samples, to be looked at.
    pub fn view(&self) -> Input<'_, T> {
        match self {
            OwnedInput::Values(x) => x.into(),
            OwnedInput::Bytes(x) => x.into(),
        }
    }
}

impl<T: Scalar> From<Tensor<T>> for OwnedInput<T> {
    fn from(x: Tensor<T>) -> Self {
        OwnedInput::Values(x)
    }
}

impl<T: Scalar> From<Tensor<u8>> for OwnedInput<T> {
    fn from(x: Tensor<u8>) -> Self {
        OwnedInput::Bytes(x)
    }
}

/// What is wanted for the samples of a batch: [`Targets`] that own it.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedTargets<T = f32> {
    /// The class of each sample.
    Labels(Labels),
    /// Numbers for each sample.
    Values(Tensor<T>),
}

impl<T> OwnedTargets<T> {
    /// The targets, to be looked at.
    pub fn view(&self) -> Targets<'_, T> {
        match self {
            OwnedTargets::Labels(labels) => labels.into(),
            OwnedTargets::Values(y) => y.into(),
        }
    }
}

impl<T> From<Labels> for OwnedTargets<T> {
    fn from(labels: Labels) -> Self {
        OwnedTargets::Labels(labels)
    }
}

impl<T> From<Tensor<T>> for OwnedTargets<T> {
    fn from(y: Tensor<T>) -> Self {
        OwnedTargets::Values(y)
    }
}

/// A data set of `batches` batches an epoch, each of which a closure makes: `make(epoch, batch)`, both counted from 0.
///
/// ```
/// use cornu::prelude::*;
///
/// // Numbers and their squares, other ones in each batch.
/// let squares = dataset::from_fn(100, |epoch, batch| {
///     let x = Tensor::random_uniform([32, 1], -1.0, 1.0, (100 * epoch + batch) as u64);
///     let y = x.map(|x| x * x);
///     Ok(Batch::new(x, y))
/// });
/// let mut model = Sequential::new([1])
///     .add(Dense::new(16).activation(Activation::Tanh))
///     .add(Dense::new(1))
///     .compile(Adam::new(0.01), MeanSquaredError, [])?;
/// model.fit_dataset(&squares, Fit::new().epochs(4).verbose(0))?;
/// assert!(model.evaluate_dataset(&squares)?.loss < 0.01);
/// # Ok::<(), cornu::Error>(())
/// ```
pub fn from_fn<T: Scalar>(batches: usize, make: impl Fn(usize, usize) -> Result<Batch<T>> + Sync) -> impl Dataset<T> {
    FromFn { batches, make }
}

struct FromFn<F> {
    batches: usize,
    make: F,
}

impl<T, F: Fn(usize, usize) -> Result<Batch<T>> + Sync> Dataset<T> for FromFn<F> {
    fn batches(&self, epoch: usize) -> Box<dyn Iterator<Item = Result<Batch<T>>> + '_> {
        Box::new((0..self.batches).map(move |batch| (self.make)(epoch, batch)))
    }

    fn num_batches(&self) -> Option<usize> {
        Some(self.batches)
    }
}
