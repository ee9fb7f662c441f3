//! Memory that a thread computes in, lent from a small pool.

use std::sync::Mutex;

use super::graph::Graph;
use crate::{
    Scalar,
    layers::{Scratch, erased::Work},
};

/// What one thread needs while it runs layers: two buffers that alternate, each for a shard, the layers' scratch, and,
/// for prediction, their work.
pub(crate) struct Space<T> {
    pub buffers: [Vec<T>; 2],
    pub scratch: Scratch<T>,
    pub works: Vec<Work>,
}

/// The spaces of all threads.
pub(crate) type Spaces<T> = Pool<Space<T>>;

impl<T: Scalar> Spaces<T> {
    pub fn lend<R>(&self, graph: &Graph, f: impl FnOnce(&mut Space<T>) -> R) -> R {
        let space = || Space {
            buffers: [Vec::new(), Vec::new()],
            scratch: Scratch::default(),
            works: graph.nodes.iter().map(|node| node.methods::<T>().work()).collect(),
        };
        self.lend_or(space, f)
    }
}

/// Memory that is not in use: as many as were lent at once, which is about the number of threads. The last one returned, which is
/// still in a cache, is lent first.
pub(crate) struct Pool<S>(Mutex<Vec<S>>);

impl<S> Pool<S> {
    pub fn new() -> Self {
        Pool(Mutex::new(Vec::new()))
    }

    /// Lends what is idle, or what `make` makes.
    pub fn lend_or<R>(&self, make: impl FnOnce() -> S, f: impl FnOnce(&mut S) -> R) -> R {
        let idle = self.lock().pop();
        let mut lent = idle.unwrap_or_else(make);
        let result = f(&mut lent);
        self.lock().push(lent);
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<S>> {
        // A push and a pop leave the pool whole, whatever panicked.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The first `len` elements of a buffer that grows as needed.
pub(crate) fn grown<T: Scalar>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::zero());
    }
    &mut buffer[..len]
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn a_large_batch_leaves_no_large_space() {
        let model = Sequential::new([8, 8]).add(Flatten::new()).add(Dense::new(64)).add(Dense::new(2)).build().unwrap();
        let batch = 1000;
        model.predict_with(&Tensor::<f32>::zeros([batch, 8, 8]), batch).unwrap();
        let spaces = model.spaces.lock();
        assert!(!spaces.is_empty());
        for space in &*spaces {
            let held = space.buffers.each_ref().map(|buffer| buffer.len());
            assert!(held.iter().all(|&len| len <= model.graph.shard * 64), "{held:?}");
        }
    }
}
