//! The executor of training: a forward pass that keeps what the backward pass needs, in buffers made once.
//!
//! A chain of layers that treat samples independently runs shard by shard, each shard a fixed number of samples. The
//! shards are dealt to a constant number of lanes; a lane runs its shards in order and adds up their gradients, and the
//! lanes are summed in order. So the order of every addition, and with it every bit, is the same for any number of threads.

use rayon::prelude::*;

use super::{
    graph::{Graph, Reach, Segment},
    packed::Packed,
    space::{Space, Spaces, grown},
};
use crate::{
    Scalar,
    layers::{Backward, Forward, Grads, Mode, Params, Pass, Scope, State, Taped, erased::Work},
    tensor::{View, ViewMut},
};

/// How many parts of a batch can run in parallel, and how many copies of a chain's gradients there are.
const LANES: usize = 16;

/// Elements of the gradient that one task sums over the lanes.
const SUM_BLOCK: usize = 4096;

/// What a training step leaves from its forward for its backward pass, and the gradients.
pub(crate) struct Tape<T> {
    segments: Vec<SegmentTape<T>>,
    reach: Reach,
    /// The gradient to each weight, as the flat array of the weights; 0 for those that no gradient reaches.
    pub grads: Vec<T>,
    /// The gradient to the batch, where it is wanted.
    pub dx: Vec<T>,
}

struct SegmentTape<T> {
    /// `[n, output]`, and the gradient to it.
    out: Vec<T>,
    dout: Vec<T>,
    /// One for a segment that takes the whole batch.
    lanes: Vec<Lane<T>>,
}

/// A part of the batch: the shards that one task runs, one after the other.
struct Lane<T> {
    /// The sum over its shards of the gradients to the segment's weights.
    grads: Vec<T>,
    shards: Vec<Shard<T>>,
}

struct Shard<T> {
    /// The outputs of all nodes of the segment but the last; empty where the backward pass does not read them.
    outputs: Vec<Vec<T>>,
    works: Vec<Work>,
}

/// One training step's passes.
pub(crate) struct Step<'a, T> {
    pub graph: &'a Graph,
    pub params: &'a [T],
    pub packed: &'a Packed<T>,
    pub spaces: &'a Spaces<T>,
    pub mode: Mode,
    /// The samples of the batch.
    pub n: usize,
}

impl<T: Scalar> Tape<T> {
    /// Buffers for batches of up to `n` samples.
    pub fn new(graph: &Graph, n: usize, reach: Reach) -> Self {
        let segments = graph.segments.iter().map(|segment| SegmentTape::new(graph, segment, n, reach)).collect();
        let dx = if reach.input { n * graph.input.size() } else { 0 };
        Tape { segments, reach, grads: vec![T::zero(); graph.layout.len()], dx: vec![T::zero(); dx] }
    }

    /// How many elements those buffers hold, without the gradients.
    pub fn elements(graph: &Graph, n: usize, reach: Reach) -> f64 {
        let segment = |segment: &Segment| {
            let last = segment.nodes.end - 1;
            let kept = segment.nodes.clone().filter(|&i| i == last || graph.is_kept(i, reach));
            let outputs: usize = kept.map(|i| graph.nodes[i].output.size()).sum();
            let lanes = match segment.scope {
                Scope::PerSample => n.div_ceil(graph.shard).min(LANES) * segment.params.len(),
                Scope::WholeBatch => 0,
            };
            // The last output has a gradient beside it.
            n as f64 * (outputs + graph.nodes[last].output.size()) as f64 + lanes as f64
        };
        graph.segments.iter().map(segment).sum()
    }

    /// Lets the layers store what the step leaves in the weights that no gradient moves.
    pub fn store(&self, graph: &Graph, params: &mut [T]) {
        let mut state = State { values: params, layout: &graph.layout };
        for (segment, tape) in graph.segments.iter().zip(&self.segments) {
            let node = &graph.nodes[segment.nodes.start];
            if segment.scope == Scope::WholeBatch && node.trainable {
                node.methods::<T>().store(&tape.lanes[0].shards[0].works[0], &mut state);
            }
        }
    }

    /// The output of the last node, and the gradient to it, which the loss writes.
    pub fn output(&mut self, len: usize) -> (&[T], &mut [T]) {
        let last = self.segments.last_mut().expect("a model has a layer");
        (&last.out[..len], &mut last.dout[..len])
    }
}

impl<T: Scalar> SegmentTape<T> {
    fn new(graph: &Graph, segment: &Segment, n: usize, reach: Reach) -> Self {
        let width = graph.nodes[segment.nodes.end - 1].output.size();
        let shard = shard_samples(graph, segment, n);
        let shards = n.div_ceil(shard);
        // A smaller batch has fewer shards, and neither more lanes nor more shards in a lane.
        let lane = |_| Lane::new(graph, segment, shards.div_ceil(LANES), shard, reach);
        let lanes = (0..shards.min(LANES)).map(lane).collect();
        SegmentTape { out: vec![T::zero(); n * width], dout: vec![T::zero(); n * width], lanes }
    }
}

impl<T: Scalar> Lane<T> {
    fn new(graph: &Graph, segment: &Segment, shards: usize, samples: usize, reach: Reach) -> Self {
        let grads = match segment.scope {
            Scope::PerSample => vec![T::zero(); segment.params.len()],
            Scope::WholeBatch => Vec::new(),
        };
        Lane { grads, shards: (0..shards).map(|_| Shard::new(graph, segment, samples, reach)).collect() }
    }
}

impl<T: Scalar> Shard<T> {
    fn new(graph: &Graph, segment: &Segment, samples: usize, reach: Reach) -> Self {
        let inner = segment.nodes.start..segment.nodes.end - 1;
        let len = |i: usize| if graph.is_kept(i, reach) { samples * graph.nodes[i].output.size() } else { 0 };
        Shard {
            outputs: inner.map(|i| vec![T::zero(); len(i)]).collect(),
            works: graph.nodes[segment.nodes.clone()].iter().map(|node| node.methods::<T>().work()).collect(),
        }
    }
}

/// The samples of a shard.
fn shard_samples(graph: &Graph, segment: &Segment, n: usize) -> usize {
    match segment.scope {
        Scope::PerSample => graph.shard,
        Scope::WholeBatch => n,
    }
}

/// The samples of a lane: a whole number of shards.
fn lane_samples(graph: &Graph, segment: &Segment, n: usize) -> usize {
    match segment.scope {
        Scope::PerSample => n.div_ceil(graph.shard).div_ceil(LANES) * graph.shard,
        Scope::WholeBatch => n,
    }
}

impl<T: Scalar> Step<'_, T> {
    /// Runs all nodes over the batch `x`; the result is [`Tape::output`].
    pub fn forward(&self, tape: &mut Tape<T>, x: &[T]) {
        for (i, segment) in self.graph.segments.iter().enumerate() {
            let (done, rest) = tape.segments.split_at_mut(i);
            let x_len = self.graph.input_of(segment.nodes.start).size();
            let x = done.last().map_or(x, |previous| &previous.out[..self.n * x_len]);
            let SegmentTape { out, lanes, .. } = &mut rest[0];
            let y_len = self.graph.nodes[segment.nodes.end - 1].output.size();
            let samples = lane_samples(self.graph, segment, self.n);
            let lanes = &mut lanes[..self.n.div_ceil(samples)];
            lanes
                .par_iter_mut()
                .zip(out[..self.n * y_len].par_chunks_mut(samples * y_len))
                .zip(x.par_chunks(samples * x_len))
                .enumerate()
                .for_each(|(i, ((lane, y), x))| {
                    self.spaces.lend(self.graph, |space| {
                        self.lane_forward(segment, lane, i * samples, (x, y), space);
                    });
                });
        }
    }

    fn lane_forward(
        &self,
        segment: &Segment,
        lane: &mut Lane<T>,
        first_sample: usize,
        (x, y): (&[T], &mut [T]),
        space: &mut Space<T>,
    ) {
        let x_len = self.graph.input_of(segment.nodes.start).size();
        let y_len = self.graph.nodes[segment.nodes.end - 1].output.size();
        let samples = shard_samples(self.graph, segment, self.n);
        let parts = x.chunks(samples * x_len).zip(y.chunks_mut(samples * y_len));
        // What the backward pass does not read alternates between these.
        let [mut from, mut to] = std::mem::take(&mut space.buffers);
        for (i, (shard, (x, y))) in lane.shards.iter_mut().zip(parts).enumerate() {
            let n = x.len() / x_len;
            for (k, node) in self.graph.nodes[segment.nodes.clone()].iter().enumerate() {
                let index = segment.nodes.start + k;
                if self.graph.is_skipped(index) {
                    continue;
                }
                let (x_len, y_len) = (n * self.graph.input_of(index).size(), n * node.output.size());
                let (done, rest) = shard.outputs.split_at_mut(k);
                let x = match self.graph.source(segment, index) {
                    Some(source) => match &done[source - segment.nodes.start] {
                        kept if kept.is_empty() => &from[..x_len],
                        kept => &kept[..x_len],
                    },
                    None => x,
                };
                let (y, is_kept) = match rest.first_mut() {
                    Some(kept) if kept.is_empty() => (grown(&mut to, y_len), false),
                    Some(kept) => (&mut kept[..y_len], true),
                    None => (&mut *y, true),
                };
                let mut cx = Forward {
                    scratch: &mut space.scratch,
                    packed: self.packed.of(index, Pass::Forward),
                    params: Params { values: self.params, layout: &self.graph.layout },
                    mode: self.mode,
                    trainable: node.trainable,
                    stream: index as u64,
                    first_sample: first_sample + i * samples,
                };
                let x = View::new(self.graph.input_of(index).batch(n), x);
                let y = ViewMut::new(node.output.batch(n), y);
                node.methods::<T>().forward(&mut cx, &mut shard.works[k], x, y);
                if !is_kept {
                    std::mem::swap(&mut from, &mut to);
                }
            }
        }
        space.buffers = [from, to];
    }

    /// From the gradient to the output, which the loss has written, computes all of [`Tape::grads`], and [`Tape::dx`] where it
    /// is wanted. `x` is the batch that [`forward`](Step::forward) saw.
    pub fn backward(&self, tape: &mut Tape<T>, x: &[T]) {
        let reach = tape.reach;
        tape.grads.fill(T::zero());
        let reached = |segment: &Segment| reach.holds(segment.nodes.end - 1);
        for (i, segment) in self.graph.segments.iter().enumerate().rev().take_while(|(_, segment)| reached(segment)) {
            let (before, rest) = tape.segments.split_at_mut(i);
            let SegmentTape { out, dout, lanes } = &mut rest[0];
            let x_len = self.n * self.graph.input_of(segment.nodes.start).size();
            let y_len = self.n * self.graph.nodes[segment.nodes.end - 1].output.size();
            let (x, dx) = match before.last_mut() {
                Some(previous) => (&previous.out[..x_len], &mut previous.dout[..]),
                None => (x, &mut tape.dx[..]),
            };
            let dx = reach.needs_dx(segment.nodes.start).then(|| &mut dx[..x_len]);
            let lane_samples = lane_samples(self.graph, segment, self.n);
            let part = Part { x, y: &out[..y_len], dy: &mut dout[..y_len], dx, n: self.n };
            let lanes = &mut lanes[..self.n.div_ceil(lane_samples)];
            let grads = &mut tape.grads[segment.params.clone()];
            match segment.scope {
                Scope::WholeBatch => self.spaces.lend(self.graph, |space| {
                    self.shard_backward(segment, reach, &mut lanes[0].shards[0], part, grads, space);
                }),
                Scope::PerSample => {
                    self.lanes_backward(segment, reach, lanes, lane_samples, part);
                    grads.par_chunks_mut(SUM_BLOCK).enumerate().for_each(|(i, sum)| {
                        for lane in &*lanes {
                            for (sum, &grad) in sum.iter_mut().zip(&lane.grads[i * SUM_BLOCK..]) {
                                *sum += grad;
                            }
                        }
                    });
                }
            }
        }
    }

    /// Runs the lanes in parallel.
    fn lanes_backward(
        &self,
        segment: &Segment,
        reach: Reach,
        lanes: &mut [Lane<T>],
        lane_samples: usize,
        part: Part<T>,
    ) {
        if let [lane] = lanes {
            self.spaces.lend(self.graph, |space| self.lane_backward(segment, reach, lane, part, space));
            return;
        }
        let half = lanes.len() / 2;
        let (first, second) = lanes.split_at_mut(half);
        let (first_part, second_part) = part.split(half * lane_samples);
        rayon::join(
            || self.lanes_backward(segment, reach, first, lane_samples, first_part),
            || self.lanes_backward(segment, reach, second, lane_samples, second_part),
        );
    }

    fn lane_backward(&self, segment: &Segment, reach: Reach, lane: &mut Lane<T>, part: Part<T>, space: &mut Space<T>) {
        lane.grads.fill(T::zero());
        let mut rest = part;
        for shard in &mut lane.shards {
            let n = self.graph.shard.min(rest.n);
            let (part, others) = rest.split(n);
            rest = others;
            if n > 0 {
                self.shard_backward(segment, reach, shard, part, &mut lane.grads, space);
            }
        }
    }

    /// Runs the nodes of a segment over one shard, last to first; the gradients between them alternate between two
    /// buffers.
    fn shard_backward(
        &self,
        segment: &Segment,
        reach: Reach,
        shard: &mut Shard<T>,
        part: Part<T>,
        grads: &mut [T],
        space: &mut Space<T>,
    ) {
        let Part { x, y, dy, mut dx, n } = part;
        let [mut upper, mut lower] = std::mem::take(&mut space.buffers);
        let first = segment.nodes.start;
        for index in segment.nodes.clone().rev().take_while(|&index| reach.holds(index)) {
            let k = index - first;
            // The gradient to the output is that to the input.
            if self.graph.is_skipped(index) {
                if k == 0
                    && let Some(dx) = dx.take()
                {
                    dx.copy_from_slice(&upper[..dx.len()]);
                }
                continue;
            }
            let (input, node) = (self.graph.input_of(index), &self.graph.nodes[index]);
            let (x_len, y_len) = (n * input.size(), n * node.output.size());
            let last = index + 1 == segment.nodes.end;
            let x = match self.graph.source(segment, index) {
                Some(source) => shard.outputs[source - first].get(..x_len).unwrap_or_default(),
                None => x,
            };
            let y = if last { y } else { shard.outputs[k].get(..y_len).unwrap_or_default() };
            let dy_here = if last { &mut *dy } else { &mut upper[..y_len] };
            let dx_here = match k {
                0 => dx.take(),
                _ => reach.needs_dx(index).then(|| grown(&mut lower, x_len)),
            };
            let mut cx = Backward {
                grads: Grads { values: &mut *grads, offset: segment.params.start, layout: &self.graph.layout },
                scratch: &mut space.scratch,
                packed: self.packed.of(index, Pass::Backward),
                params: Params { values: self.params, layout: &self.graph.layout },
                trainable: node.trainable && self.mode != Mode::Explain,
            };
            let taped = Taped::new(node.layer.reads(), n, (input, x), (node.output, y), dy_here);
            let dx_here = dx_here.map(|dx| ViewMut::new(input.batch(n), dx));
            node.methods::<T>().backward(&mut cx, &mut shard.works[k], taped, dx_here);
            std::mem::swap(&mut upper, &mut lower);
        }
        space.buffers = [upper, lower];
    }
}

/// What the backward pass of a segment reads and writes, for a part of the batch.
struct Part<'a, T> {
    x: &'a [T],
    y: &'a [T],
    dy: &'a mut [T],
    dx: Option<&'a mut [T]>,
    n: usize,
}

impl<'a, T> Part<'a, T> {
    /// The first `samples`, and the rest.
    fn split(self, samples: usize) -> (Self, Self) {
        let Part { x, y, dy, dx, n } = self;
        let at = |len: usize| len.checked_div(n).unwrap_or(0) * samples;
        let (x, x_rest) = x.split_at(at(x.len()));
        let (y, y_rest) = y.split_at(at(y.len()));
        let (dy, dy_rest) = dy.split_at_mut(y.len());
        let (dx, dx_rest) = match dx {
            Some(dx) => {
                let (dx, rest) = dx.split_at_mut(x.len());
                (Some(dx), Some(rest))
            }
            None => (None, None),
        };
        (Part { x, y, dy, dx, n: samples }, Part { x: x_rest, y: y_rest, dy: dy_rest, dx: dx_rest, n: n - samples })
    }
}
