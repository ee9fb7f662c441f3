//! The executor of training: a forward pass that keeps what the backward pass needs, in buffers made once.
//!
//! A chain of layers that treat samples independently runs shard by shard, each shard a fixed number of samples. The
//! shards are dealt to a constant number of lanes; a lane runs its shards in order and adds up their gradients, and the
//! lanes are summed in order. So the order of every addition, and with it every bit, is the same for any number of threads.
//!
//! Where a layer needs sums over the batch ([`Scope::Summed`]), the chain before it ends by adding them up, while its output is in a
//! cache, and the layer heads the next chain. Backward likewise: its chain ends by adding up the sums of the gradients, and the chain before
//! begins with the layer's backward pass. So its input and the gradient to its output are all that goes through memory.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    graph::{Graph, Reach, Segment},
    packed::Packed,
    space::{Space, Spaces, grown},
};
use crate::{
    Scalar,
    layers::{Backward, Forward, Grads, Mode, Params, Pass, Scope, Scratch, State, Taped, erased::Work},
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
    /// `[n, output]`, and the gradient to it, or to the output of the next node, where that is [`Scope::Summed`].
    out: Vec<T>,
    dout: Vec<T>,
    /// What the first node has summed over the batch, forward and backward.
    sums: [Vec<f64>; 2],
    /// One for a segment that takes the whole batch.
    lanes: Vec<Lane<T>>,
}

/// A part of the batch: the shards that one task runs, one after the other.
struct Lane<T> {
    /// The sum over its shards of the gradients to the segment's weights.
    grads: Vec<T>,
    /// Its part of the sums that are added up at the end of the pass.
    sums: Vec<f64>,
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
        let segments = (0..graph.segments.len()).map(|i| SegmentTape::new(graph, i, n, reach)).collect();
        let dx = if reach.input { n * graph.input.size() } else { 0 };
        Tape { segments, reach, grads: vec![T::zero(); graph.layout.len()], dx: vec![T::zero(); dx] }
    }

    /// How many elements those buffers hold, without the gradients.
    pub fn elements(graph: &Graph, n: usize, reach: Reach) -> f64 {
        let segment = |segment: &Segment| {
            let kept = inner(segment).filter(|&i| graph.is_kept(i, reach));
            let outputs: usize = kept.map(|i| graph.nodes[i].output.size()).sum();
            let lanes = match segment.scope {
                Scope::WholeBatch => 0,
                _ => n.div_ceil(graph.shard).min(LANES) * segment.params.len(),
            };
            // The last output has a gradient beside it.
            n as f64 * (outputs + 2 * graph.input_of(segment.nodes.end).size()) as f64 + lanes as f64
        };
        graph.segments.iter().map(segment).sum()
    }

    /// Lets the layers store what the step leaves in the weights that no gradient moves.
    pub fn store(&self, graph: &Graph, params: &mut [T]) {
        let mut state = State { values: params, layout: &graph.layout };
        for (segment, tape) in graph.segments.iter().zip(&self.segments) {
            let sums = &tape.sums[0];
            if !sums.is_empty() && graph.nodes[segment.nodes.start].trainable {
                graph.nodes[segment.nodes.start].methods::<T>().store(sums, &mut state);
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
    fn new(graph: &Graph, i: usize, n: usize, reach: Reach) -> Self {
        let segment = &graph.segments[i];
        let width = graph.input_of(segment.nodes.end).size();
        let shard = shard_samples(graph, segment, n);
        let shards = n.div_ceil(shard);
        let sums = summed(segment.scope);
        let next = graph.segments.get(i + 1).map_or([0; 2], |next| summed(next.scope));
        // A smaller batch has fewer shards, and neither more lanes nor more shards in a lane.
        let lane = |_| Lane {
            grads: vec![T::zero(); if segment.scope == Scope::WholeBatch { 0 } else { segment.params.len() }],
            sums: vec![0.0; sums[1].max(next[0])],
            shards: (0..shards.div_ceil(LANES)).map(|_| Shard::new(graph, segment, shard, reach)).collect(),
        };
        SegmentTape {
            out: vec![T::zero(); n * width],
            dout: vec![T::zero(); n * width],
            sums: sums.map(|len| vec![0.0; len]),
            lanes: (0..shards.min(LANES)).map(lane).collect(),
        }
    }
}

impl<T: Scalar> Shard<T> {
    fn new(graph: &Graph, segment: &Segment, samples: usize, reach: Reach) -> Self {
        let len = |i: usize| if graph.is_kept(i, reach) { samples * graph.nodes[i].output.size() } else { 0 };
        Shard {
            outputs: inner(segment).map(|i| vec![T::zero(); len(i)]).collect(),
            works: graph.nodes[segment.nodes.clone()].iter().map(|node| node.methods::<T>().work()).collect(),
        }
    }
}

/// All nodes but the last.
fn inner(segment: &Segment) -> Range<usize> {
    segment.nodes.start..segment.nodes.end.saturating_sub(1)
}

/// How many sums over the batch a segment waits for, forward and backward.
fn summed(scope: Scope) -> [usize; 2] {
    match scope {
        Scope::Summed { forward, backward } => [forward, backward],
        Scope::PerSample | Scope::WholeBatch => [0; 2],
    }
}

/// Overwrites `sums` with those over all lanes, in their order.
fn total<T>(lanes: &[Lane<T>], sums: &mut [f64]) {
    sums.fill(0.0);
    for lane in lanes {
        sums.iter_mut().zip(&lane.sums).for_each(|(sum, part)| *sum += part);
    }
}

/// The samples of a shard.
fn shard_samples(graph: &Graph, segment: &Segment, n: usize) -> usize {
    match segment.scope {
        Scope::WholeBatch => n,
        _ => graph.shard,
    }
}

/// The samples of a lane: a whole number of shards.
fn lane_samples(graph: &Graph, segment: &Segment, n: usize) -> usize {
    match segment.scope {
        Scope::WholeBatch => n,
        _ => n.div_ceil(graph.shard).div_ceil(LANES) * graph.shard,
    }
}

impl<T: Scalar> Step<'_, T> {
    /// The node at the head of segment `i`, if it needs sums over the batch in this step.
    fn summed_head(&self, i: usize) -> Option<usize> {
        let segment = self.graph.segments.get(i)?;
        let head = segment.nodes.start;
        let sums = matches!(segment.scope, Scope::Summed { .. }) && matches!(self.mode, Mode::Train { .. });
        (sums && self.graph.nodes[head].trainable).then_some(head)
    }

    /// Runs all nodes over the batch `x`; the result is [`Tape::output`].
    pub fn forward(&self, tape: &mut Tape<T>, x: &[T]) {
        for (i, segment) in self.graph.segments.iter().enumerate() {
            let (done, rest) = tape.segments.split_at_mut(i);
            let (SegmentTape { out, lanes, sums, .. }, rest) = rest.split_first_mut().expect("a tape for each segment");
            let x_len = self.graph.input_of(segment.nodes.start).size();
            let y_len = self.graph.input_of(segment.nodes.end).size();
            let x = done.last().map_or(x, |previous| &previous.out[..self.n * x_len]);
            let samples = lane_samples(self.graph, segment, self.n);
            let lanes = &mut lanes[..self.n.div_ceil(samples)];
            let run = ForwardRun {
                segment,
                sums: if self.summed_head(i).is_some() { &sums[0] } else { &[] },
                next: self.summed_head(i + 1),
            };
            lanes
                .par_iter_mut()
                .zip(out[..self.n * y_len].par_chunks_mut(samples * y_len))
                .zip(x.par_chunks(samples * x_len))
                .enumerate()
                .for_each(|(i, ((lane, y), x))| {
                    self.spaces.lend(self.graph, |space| self.lane_forward(&run, lane, i * samples, (x, y), space));
                });
            if run.next.is_some() {
                total(lanes, &mut rest[0].sums[0]);
            }
        }
    }

    fn lane_forward(
        &self,
        run: &ForwardRun,
        lane: &mut Lane<T>,
        first_sample: usize,
        (x, y): (&[T], &mut [T]),
        space: &mut Space<T>,
    ) {
        let ForwardRun { segment, sums, next } = *run;
        let x_len = self.graph.input_of(segment.nodes.start).size();
        let y_len = self.graph.input_of(segment.nodes.end).size();
        let samples = shard_samples(self.graph, segment, self.n);
        let parts = x.chunks(samples * x_len).zip(y.chunks_mut(samples * y_len));
        lane.sums.fill(0.0);
        // What the backward pass does not read alternates between these.
        let [mut from, mut to] = std::mem::take(&mut space.buffers);
        for (i, (shard, (x, y))) in lane.shards.iter_mut().zip(parts).enumerate() {
            let n = x.len() / x_len;
            if segment.nodes.is_empty() {
                y.copy_from_slice(x);
            }
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
                    sums: if k == 0 { sums } else { &[] },
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
            if let Some(next) = next {
                let y = View::new(self.graph.input_of(next).batch(n), y);
                self.graph.nodes[next].methods::<T>().sum(&mut space.works[next], y, &mut lane.sums);
            }
        }
        space.buffers = [from, to];
    }

    /// From the gradient to the output, which the loss has written, computes all of [`Tape::grads`], and [`Tape::dx`] where it
    /// is wanted. `x` is the batch that [`forward`](Step::forward) saw.
    pub fn backward(&self, tape: &mut Tape<T>, x: &[T]) {
        let reach = tape.reach;
        tape.grads.fill(T::zero());
        let reached = |segment: &Segment| reach.needs_dx(segment.nodes.end);
        for (i, segment) in self.graph.segments.iter().enumerate().rev().take_while(|(_, segment)| reached(segment)) {
            let (before, rest) = tape.segments.split_at_mut(i);
            let (SegmentTape { out, dout, sums, lanes }, after) =
                rest.split_first_mut().expect("a tape for each segment");
            let x_len = self.n * self.graph.input_of(segment.nodes.start).size();
            let y_len = self.n * self.graph.input_of(segment.nodes.end).size();
            let (x, dx) = match before.last_mut() {
                Some(previous) => (&previous.out[..x_len], &mut previous.dout[..]),
                None => (x, &mut tape.dx[..]),
            };
            let (head, next) = (self.summed_head(i).filter(|&head| reach.holds(head)), self.summed_head(i + 1));
            // Where the node behind waits for sums, the gradient is that to its output.
            let output_of = |node: usize| self.n * self.graph.nodes[node].output.size();
            let (dx_len, dy_len) = (head.map_or(x_len, output_of), next.map_or(y_len, output_of));
            let dx = reach.needs_dx(segment.nodes.start).then(|| &mut dx[..dx_len]);
            let lane_samples = lane_samples(self.graph, segment, self.n);
            let part = Part { x, y: &out[..y_len], dy: &mut dout[..dy_len], dx, n: self.n };
            let lanes = &mut lanes[..self.n.div_ceil(lane_samples)];
            let grads = &mut tape.grads[segment.params.clone()];
            let run = BackwardRun {
                segment,
                reach,
                head: head.map(|head| (head, &sums[0][..])),
                next: next.map(|next| (next, after[0].sums.each_ref().map(|sums| &sums[..]))),
            };
            match segment.scope {
                Scope::WholeBatch => self.spaces.lend(self.graph, |space| {
                    self.shard_backward(&run, &mut lanes[0].shards[0], part, (grads, &mut []), space);
                }),
                _ => {
                    self.lanes_backward(&run, lanes, lane_samples, part);
                    grads.par_chunks_mut(SUM_BLOCK).enumerate().for_each(|(i, sum)| {
                        for lane in &*lanes {
                            for (sum, &grad) in sum.iter_mut().zip(&lane.grads[i * SUM_BLOCK..]) {
                                *sum += grad;
                            }
                        }
                    });
                }
            }
            if run.head.is_some() {
                total(lanes, &mut sums[1]);
            }
        }
    }

    /// Runs the lanes in parallel.
    fn lanes_backward(&self, run: &BackwardRun, lanes: &mut [Lane<T>], lane_samples: usize, part: Part<T>) {
        if let [lane] = lanes {
            self.spaces.lend(self.graph, |space| self.lane_backward(run, lane, part, space));
            return;
        }
        let half = lanes.len() / 2;
        let (first, second) = lanes.split_at_mut(half);
        let (first_part, second_part) = part.split(half * lane_samples);
        rayon::join(
            || self.lanes_backward(run, first, lane_samples, first_part),
            || self.lanes_backward(run, second, lane_samples, second_part),
        );
    }

    fn lane_backward(&self, run: &BackwardRun, lane: &mut Lane<T>, part: Part<T>, space: &mut Space<T>) {
        let Lane { grads, sums, shards } = lane;
        grads.fill(T::zero());
        sums.fill(0.0);
        let mut rest = part;
        for shard in shards {
            let n = self.graph.shard.min(rest.n);
            let (part, others) = rest.split(n);
            rest = others;
            if n > 0 {
                self.shard_backward(run, shard, part, (grads, sums), space);
            }
        }
    }

    /// Runs the nodes of a segment over one shard, last to first; the gradients between them alternate between two
    /// buffers.
    fn shard_backward(
        &self,
        run: &BackwardRun,
        shard: &mut Shard<T>,
        part: Part<T>,
        (grads, sums): (&mut [T], &mut [f64]),
        space: &mut Space<T>,
    ) {
        let BackwardRun { segment, reach, head, next } = *run;
        let Part { x, y, dy, mut dx, n } = part;
        let (first, offset) = (segment.nodes.start, segment.params.start);
        let Space { buffers, scratch, works } = space;
        let [mut upper, mut lower] = std::mem::take(buffers);
        // Whether the gradient to the output of the next node down is in `upper`, not in `dy`.
        let mut inside = false;
        if let Some((next, sums)) = next {
            let (shape, node) = (self.graph.input_of(next), &self.graph.nodes[next]);
            let taped = Taped::new(node.layer.reads(), n, (shape, y), (node.output, &[]), dy);
            let dx = ViewMut::new(shape.batch(n), grown(&mut lower, y.len()));
            let mut cx = self.cx(next, 0, sums, &mut [], scratch);
            node.methods::<T>().backward(&mut cx, &mut works[next], taped, Some(dx));
            std::mem::swap(&mut upper, &mut lower);
            inside = true;
        }
        // The head has its backward pass with the segment before.
        let nodes = first + usize::from(head.is_some())..segment.nodes.end;
        let lowest = nodes.clone().find(|&index| !self.graph.is_skipped(index));
        for index in nodes.rev().take_while(|&index| reach.holds(index)).filter(|&index| !self.graph.is_skipped(index))
        {
            let k = index - first;
            let (input, node) = (self.graph.input_of(index), &self.graph.nodes[index]);
            let (x_len, y_len) = (n * input.size(), n * node.output.size());
            let x = match self.graph.source(segment, index) {
                Some(source) => shard.outputs[source - first].get(..x_len).unwrap_or_default(),
                None => x,
            };
            let y = match shard.outputs.get(k) {
                Some(kept) => kept.get(..y_len).unwrap_or_default(),
                None => y,
            };
            let dy = if inside { &mut upper[..y_len] } else { &mut *dy };
            let dx = match &mut dx {
                Some(dx) if Some(index) == lowest => Some(&mut **dx),
                _ => reach.needs_dx(index).then(|| grown(&mut lower, x_len)),
            };
            let mut cx = self.cx(index, offset, [&[], &[]], grads, scratch);
            let taped = Taped::new(node.layer.reads(), n, (input, x), (node.output, y), dy);
            let dx = dx.map(|dx| ViewMut::new(input.batch(n), dx));
            node.methods::<T>().backward(&mut cx, &mut shard.works[k], taped, dx);
            std::mem::swap(&mut upper, &mut lower);
            inside = true;
        }
        if lowest.is_none()
            && let Some(dx) = &mut dx
        {
            let len = dx.len();
            dx.copy_from_slice(if inside { &upper[..len] } else { dy });
        }
        if let Some((head, forward_sums)) = head {
            let (shape, node) = (self.graph.input_of(head), &self.graph.nodes[head]);
            let dy = match &dx {
                Some(dx) => dx,
                None if inside => &upper[..n * node.output.size()],
                None => dy,
            };
            let (x, dy) = (View::new(shape.batch(n), x), View::new(node.output.batch(n), dy));
            let mut cx = self.cx(head, offset, [forward_sums, &[]], grads, scratch);
            node.methods::<T>().sum_gradient(&mut cx, &mut works[head], x, dy, sums);
        }
        *buffers = [upper, lower];
    }

    /// What node `index` may use in a backward pass; `grads` are those from `offset` on.
    fn cx<'b>(
        &'b self,
        index: usize,
        offset: usize,
        sums: [&'b [f64]; 2],
        grads: &'b mut [T],
        scratch: &'b mut Scratch<T>,
    ) -> Backward<'b, T> {
        Backward {
            grads: Grads { values: grads, offset, layout: &self.graph.layout },
            scratch,
            packed: self.packed.of(index, Pass::Backward),
            params: Params { values: self.params, layout: &self.graph.layout },
            sums,
            trainable: self.graph.nodes[index].trainable && self.mode != Mode::Explain,
        }
    }
}

/// What the lanes of a segment need to know in a forward pass.
struct ForwardRun<'a> {
    segment: &'a Segment,
    /// Those of the first node.
    sums: &'a [f64],
    /// The node at the head of the next segment, if it waits for its sums.
    next: Option<usize>,
}

/// What the lanes of a segment need to know in a backward pass.
struct BackwardRun<'a> {
    segment: &'a Segment,
    reach: Reach,
    /// The first node, if it waits for sums, with those of its forward pass.
    head: Option<(usize, &'a [f64])>,
    /// The first node of the next segment, likewise, with the sums of both passes.
    next: Option<(usize, [&'a [f64]; 2])>,
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
        let dy_at = at(dy.len());
        let (dy, dy_rest) = dy.split_at_mut(dy_at);
        let (dx, dx_rest) = match dx {
            Some(dx) => {
                let dx_at = at(dx.len());
                let (dx, rest) = dx.split_at_mut(dx_at);
                (Some(dx), Some(rest))
            }
            None => (None, None),
        };
        (Part { x, y, dy, dx, n: samples }, Part { x: x_rest, y: y_rest, dy: dy_rest, dx: dx_rest, n: n - samples })
    }
}
