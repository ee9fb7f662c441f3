//! [`TensorDataset`].

use super::{Batch, Dataset, Input, OwnedInput, OwnedTargets, Targets, order::Order};
use crate::{Error, Result, Scalar};

/// Samples in memory as a [`Dataset`], dealt out as [`fit`](crate::Model::fit) deals them: with the same options, a model trains
/// to the same bits.
///
/// ```
/// use cornu::prelude::*;
///
/// let (x, y) = (Tensor::random_normal([64, 3], 0.0, 1.0, 0), Tensor::zeros([64, 1]));
/// let mut model = Sequential::new([3]).add(Dense::new(1)).compile(SGD::new(0.1), MeanSquaredError, [])?;
/// let mut other = model.clone();
/// model.fit(&x, &y, Fit::new().batch_size(16).seed(7).verbose(0))?;
/// other.fit_dataset(&TensorDataset::new(&x, &y)?.batch_size(16).seed(7), Fit::new().seed(7).verbose(0))?;
/// assert_eq!(model.get_weights(), other.get_weights());
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TensorDataset<'a, T = f32> {
    x: Input<'a, T>,
    y: Targets<'a, T>,
    order: Order,
}

impl<'a, T: Scalar> TensorDataset<'a, T> {
    /// Batches of 32 samples, shuffled.
    ///
    /// # Errors
    /// When `x` and `y` differ in their number of samples.
    pub fn new(x: impl Into<Input<'a, T>>, y: impl Into<Targets<'a, T>>) -> Result<Self> {
        let (x, y) = (x.into(), y.into());
        if x.samples() != y.samples() {
            let message = format!("x has {} samples, but y has {}", x.samples(), y.samples());
            return Err(Error::data("TensorDataset", message));
        }
        Ok(TensorDataset { x, y, order: Order::default() })
    }

    /// How many samples a batch has; 32 by default. The last one of an epoch may be smaller.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.order.batch_size = batch_size;
        self
    }

    /// Whether each epoch has an order of its own; it has by default.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.order.shuffle = shuffle;
        self
    }

    /// The seed of the shuffling; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.order.seed = seed;
        self
    }
}

impl<T: Scalar> Dataset<T> for TensorDataset<'_, T> {
    fn batches(&self, epoch: usize) -> Box<dyn Iterator<Item = Result<Batch<T>>> + '_> {
        self.order.batches("TensorDataset", self.x.samples(), epoch, |indices| {
            let x = match self.x {
                Input::Values(x) => OwnedInput::Values(x.gather(indices)?),
                Input::Bytes(x) => OwnedInput::Bytes(x.gather(indices)?),
            };
            let y = match self.y {
                Targets::Labels(labels) => OwnedTargets::Labels(labels.gather(indices)?),
                Targets::Values(y) => OwnedTargets::Values(y.gather(indices)?),
            };
            Ok(Batch { x, y, sample_weight: None })
        })
    }

    fn num_batches(&self) -> Option<usize> {
        self.order.num_batches(self.x.samples())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Labels, Tensor};

    fn batches(dataset: &TensorDataset, epoch: usize) -> Vec<Batch> {
        dataset.batches(epoch).map(Result::unwrap).collect()
    }

    #[test]
    fn batches_are_the_samples_in_order() {
        let (x, y) = (Tensor::new([5, 1], vec![0u8, 1, 2, 3, 4]).unwrap(), Labels::from(vec![5u8, 6, 7, 8, 9]));
        let dataset = TensorDataset::new(&x, &y).unwrap().batch_size(2).shuffle(false);
        let batch = |x: Vec<u8>, y: Vec<u8>| Batch::new(Tensor::new([x.len(), 1], x).unwrap(), Labels::from(y));
        let expected = [batch(vec![0, 1], vec![5, 6]), batch(vec![2, 3], vec![7, 8]), batch(vec![4], vec![9])];
        assert_eq!(batches(&dataset, 0), expected);
        assert_eq!((dataset.num_batches(), batches(&dataset, 9)), (Some(3), expected.to_vec()));
    }

    #[test]
    fn an_epoch_depends_on_its_number_alone() {
        let (x, y) = (Tensor::from_fn([50, 1], |[i, _]| i as f32), Tensor::from_fn([50, 1], |[i, _]| i as f32));
        let dataset = TensorDataset::new(&x, &y).unwrap().seed(3);
        let (first, second) = (batches(&dataset, 0), batches(&dataset, 1));
        assert_ne!(first, second);
        assert_eq!((first, second), (batches(&dataset, 0), batches(&dataset, 1)));
        assert_ne!(batches(&dataset, 0), batches(&dataset.clone().seed(4), 0));
        assert!(batches(&dataset, 0).iter().all(|batch| match (&batch.x, &batch.y) {
            (OwnedInput::Values(x), OwnedTargets::Values(y)) => x == y,
            _ => false,
        }));
    }

    #[test]
    fn what_cannot_be_dealt_out_is_an_error() {
        let (x, y) = (Tensor::<f32>::zeros([3, 1]), Tensor::zeros([4, 1]));
        let error = TensorDataset::new(&x, &y).unwrap_err().to_string();
        assert_eq!(error, "TensorDataset: x has 3 samples, but y has 4");
        let dataset = TensorDataset::new(&x, &x).unwrap().batch_size(0);
        assert_eq!(dataset.num_batches(), None);
        let error = dataset.batches(0).next().unwrap().unwrap_err().to_string();
        assert_eq!(error, "TensorDataset: batch_size must be at least 1, got 0");
    }
}
