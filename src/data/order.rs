//! [`Order`]: which samples make the batches of an epoch.

use std::iter;

use rand::seq::SliceRandom;

use super::{Batch, DEFAULT_BATCH_SIZE};
use crate::{Error, Result, rng};

/// How samples are dealt into batches, by `fit` and by data sets alike: so both train to the same bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub batch_size: usize,
    pub shuffle: bool,
    pub seed: u64,
}

impl Default for Order {
    fn default() -> Self {
        Order { batch_size: DEFAULT_BATCH_SIZE, shuffle: true, seed: 0 }
    }
}

impl Order {
    /// The order in which an epoch sees `n` samples: when they are shuffled, another one each epoch.
    pub fn indices(&self, n: usize, epoch: usize) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..n).collect();
        if self.shuffle {
            indices.shuffle(&mut rng::stream(self.seed, rng::SHUFFLE, epoch as u64, 0));
        }
        indices
    }

    /// The number of batches of an epoch; batches of nothing never come to an end.
    pub fn num_batches(&self, n: usize) -> Option<usize> {
        (self.batch_size > 0).then(|| n.div_ceil(self.batch_size))
    }

    /// The batches of an epoch of `n` samples; `make` makes each of the samples at some indices.
    pub fn batches<'a, T: 'a>(
        &self,
        place: &str,
        n: usize,
        epoch: usize,
        make: impl Fn(&[usize]) -> Result<Batch<T>> + 'a,
    ) -> Box<dyn Iterator<Item = Result<Batch<T>>> + 'a> {
        let Some(num_batches) = self.num_batches(n) else {
            return Box::new(iter::once(Err(Error::argument(place, "batch_size must be at least 1, got 0"))));
        };
        let (indices, batch_size) = (self.indices(n, epoch), self.batch_size);
        Box::new((0..num_batches).map(move |batch| {
            let start = batch * batch_size;
            make(&indices[start..n.min(start.saturating_add(batch_size))])
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffled_order_depends_on_seed_and_epoch_alone() {
        let order = |seed, epoch| Order { seed, ..Order::default() }.indices(100, epoch);
        assert_eq!(order(7, 0), order(7, 0));
        assert_ne!(order(7, 0), order(7, 1));
        assert_ne!(order(7, 0), order(8, 0));
        let mut sorted = order(7, 0);
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
    }
}
