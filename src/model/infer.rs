//! The executor of prediction: nothing is kept, and two buffers alternate.

use rayon::prelude::*;

use super::{
    graph::{Graph, Segment},
    packed::Packed,
    space::{Space, Spaces, grown},
};
use crate::{
    Scalar,
    layers::{Forward, Mode, Params, Pass, Scope},
    tensor::{View, ViewMut},
};

/// Passes over batches that keep nothing.
pub(crate) struct Infer<'a, T> {
    pub graph: &'a Graph,
    pub params: &'a [T],
    pub packed: &'a Packed<T>,
    pub spaces: &'a Spaces<T>,
}

/// What passes over batches hold between segments, made once and lent; [`largest_batch`] bounds it.
pub(crate) struct Boundaries<T> {
    /// A batch of the input, where it has to be converted.
    pub input: Vec<T>,
    /// The outputs of the segments alternate between these.
    pub outputs: [Vec<T>; 2],
}

impl<T> Default for Boundaries<T> {
    fn default() -> Self {
        Boundaries { input: Vec::new(), outputs: [Vec::new(), Vec::new()] }
    }
}

/// The bytes that the boundaries of a batch should take at most; they live as long as the model.
const BOUNDARY_BYTES: usize = 4 << 20;

/// Parts of a batch that a prediction should have at least, so that every thread has some.
const PARTS: usize = 64;

/// How many samples one pass takes. Results do not depend on it.
pub(crate) fn largest_batch(graph: &Graph) -> usize {
    let sample = (graph.input.size() + boundary_elements(graph)).saturating_mul(size_of::<f32>());
    (BOUNDARY_BYTES / sample.max(1)).max(PARTS * graph.shard)
}

impl<T: Scalar> Infer<'_, T> {
    /// Overwrites `y` with what the nodes, without the head, make of the samples in `x`.
    pub fn run(&self, n: usize, x: &[T], y: &mut [T], boundaries: &mut [Vec<T>; 2]) {
        let (last, segments) = self.graph.chains.split_last().expect("a model has a layer");
        let [from, to] = boundaries;
        let mut x = x;
        for segment in segments {
            let width = self.graph.nodes[segment.nodes.end - 1].output.size();
            self.segment(segment, n, x, grown(to, n * width));
            std::mem::swap(from, to);
            x = &from[..n * width];
        }
        self.segment(last, n, x, y);
    }

    fn segment(&self, segment: &Segment, n: usize, x: &[T], y: &mut [T]) {
        match segment.scope {
            Scope::WholeBatch => {
                self.spaces.lend(self.graph, |space| self.node(segment.nodes.start, n, x, y, space));
            }
            Scope::PerSample | Scope::Summed { .. } => {
                let shard = self.graph.shard;
                let (x_len, y_len) = (x.len() / n, y.len() / n);
                let run = |(y, x): (&mut [T], &[T])| {
                    self.spaces.lend(self.graph, |space| self.chain(segment, y.len() / y_len, x, y, space));
                };
                // A single shard is not worth the way to another thread.
                if n <= shard {
                    return run((y, x));
                }
                y.par_chunks_mut(shard * y_len).zip(x.par_chunks(shard * x_len)).for_each(run);
            }
        }
    }

    /// Runs a chain of layers over a shard.
    fn chain(&self, segment: &Segment, n: usize, x: &[T], y: &mut [T], space: &mut Space<T>) {
        let [mut from, mut to] = std::mem::take(&mut space.buffers);
        let mut x = x;
        let last = segment.nodes.end - 1;
        for i in (segment.nodes.start..last).filter(|&i| !self.graph.is_skipped(i)) {
            let len = n * self.graph.nodes[i].output.size();
            self.node(i, n, x, grown(&mut to, len), space);
            std::mem::swap(&mut from, &mut to);
            x = &from[..len];
        }
        self.node(last, n, x, y, space);
        space.buffers = [from, to];
    }

    fn node(&self, i: usize, n: usize, x: &[T], y: &mut [T], space: &mut Space<T>) {
        let node = &self.graph.nodes[i];
        let mut cx = Forward {
            scratch: &mut space.scratch,
            packed: self.packed.of(i, Pass::Forward),
            params: Params { values: self.params, layout: &self.graph.layout },
            sums: &[],
            mode: Mode::Infer,
            trainable: node.trainable,
            stream: i as u64,
            first_sample: 0,
        };
        let x = View::new(self.graph.input_of(i).batch(n), x);
        let y = ViewMut::new(node.output.batch(n), y);
        node.methods::<T>().forward(&mut cx, &mut space.works[i], x, y);
    }
}

/// The elements of the two buffers that hold the outputs between segments, for one sample.
pub(crate) fn boundary_elements(graph: &Graph) -> usize {
    let (_, segments) = graph.chains.split_last().expect("a model has a layer");
    2 * segments.iter().map(|segment| graph.nodes[segment.nodes.end - 1].output.size()).max().unwrap_or(0)
}

/// The bytes of what all threads compute in: each has two buffers for the activations of a shard.
pub(crate) fn space_bytes<T>(graph: &Graph) -> usize {
    let inner = graph.chains.iter().flat_map(|segment| segment.nodes.start..segment.nodes.end - 1);
    let widest = inner.map(|i| graph.nodes[i].output.size()).max().unwrap_or(0);
    rayon::current_num_threads() * 2 * graph.shard * widest * size_of::<T>()
}
