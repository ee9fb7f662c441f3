//! [`Graph`]: the built layers of a model in the order in which they run.

use std::{ops::Range, sync::Arc};

use crate::{
    Activation, Scalar, Shape,
    layers::{
        Scope,
        erased::{DynLayer, Erased},
    },
    params::{ParamInfo, ParamLayout},
};

/// The built layers of a model. Node `i` reads the output of node `i - 1`, the first the model's input.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    /// One sample of the input.
    pub input: Shape,
    pub nodes: Vec<Node>,
    /// A final softmax or sigmoid, so that a loss can be computed on the logits before it.
    pub head: Activation,
    pub layout: Arc<ParamLayout>,
    /// For training.
    pub segments: Vec<Segment>,
    /// For prediction, where no layer sums over the batch.
    pub chains: Vec<Segment>,
    /// Which nodes do not run, since their output is their input and the next node of their segment can read that.
    skipped: Vec<bool>,
    /// How many samples of a batch a chain of layers takes at a time.
    pub shard: usize,
}

/// A built layer.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub layer: Arc<dyn DynLayer>,
    /// One sample of what it gives when it runs, which is what the layer gives, unless it does the work of those behind it as well.
    pub output: Shape,
    /// Its weights among those of the model.
    pub weights: Range<usize>,
    /// Its weights in the flat array.
    pub params: Range<usize>,
    /// Whether training moves its weights.
    pub trainable: bool,
    /// What the learning rate is multiplied by for its weights.
    pub rate: f64,
}

/// How far the gradients of a backward pass go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The first node whose backward pass runs: those before it have no weight to be trained.
    pub first: usize,
    /// Whether it computes the gradient to its input, too.
    pub input: bool,
}

impl Reach {
    /// Whether the backward pass of node `i` runs.
    pub fn holds(self, i: usize) -> bool {
        i >= self.first
    }

    /// Whether node `i` computes the gradient to its input.
    pub fn needs_dx(self, i: usize) -> bool {
        i > self.first || i == self.first && self.input
    }
}

/// A maximal chain of layers that the executor runs shard by shard, or one layer that needs the whole batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    /// Empty where nothing but the sums for the next segment has to be computed.
    pub nodes: Range<usize>,
    /// That of the first node: in training, a layer of [`Scope::Summed`] stands at the head of a chain.
    pub scope: Scope,
    /// Their weights in the flat array.
    pub params: Range<usize>,
}

/// What a shard's activations should take at most, so that the largest stay in the L2 cache of a core from one layer to the next: four
/// samples of the reference network. A constant, since the size of a shard decides the order of additions, and so the bits.
const SHARD_BYTES: usize = 640 * 1024;
const MAX_SHARD: usize = 16;

impl Node {
    pub fn methods<T: Scalar>(&self) -> &dyn Erased<T> {
        T::methods(&*self.layer)
    }
}

impl Graph {
    pub fn new(input: Shape, mut nodes: Vec<Node>, head: Activation, layout: ParamLayout) -> Self {
        fuse(&mut nodes);
        let chains = segments(&nodes, |_| false);
        let segments = segments(&nodes, |scope| matches!(scope, Scope::Summed { .. }));
        let mut skipped: Vec<bool> = nodes.iter().map(|node| node.layer.is_identity()).collect();
        segments.iter().filter_map(|segment| segment.nodes.clone().last()).for_each(|last| skipped[last] = false);
        let elements = |segment: &Segment| {
            segment.nodes.clone().filter(|&i| !skipped[i]).map(|i| nodes[i].output.size()).sum::<usize>()
        };
        let largest = segments.iter().filter(|segment| segment.scope != Scope::WholeBatch).map(elements).max();
        let sample_bytes = largest.unwrap_or(0).saturating_mul(size_of::<f32>());
        let fits = (SHARD_BYTES / sample_bytes.max(1)).clamp(1, MAX_SHARD);
        // Most batches are powers of two, and shards of which some are smaller would keep the threads waiting for each other.
        let shard = 1 << fits.ilog2();
        Graph { input, nodes, head, layout: Arc::new(layout), segments, chains, skipped, shard }
    }

    /// One sample of the output.
    pub fn output(&self) -> Shape {
        self.nodes.last().expect("a model has a layer").output
    }

    /// The weights that training moves, in their order.
    pub fn trained(&self) -> impl Iterator<Item = &ParamInfo> {
        self.nodes.iter().flat_map(|node| self.trained_of(node))
    }

    fn trained_of(&self, node: &Node) -> impl Iterator<Item = &ParamInfo> + use<'_> {
        let trainable = node.trainable;
        self.layout.infos()[node.weights.clone()].iter().filter(move |info| trainable && info.trainable)
    }

    /// The weights that training moves, in their order, with what the learning rate is multiplied by.
    pub fn trained_rates(&self) -> impl Iterator<Item = (&ParamInfo, f64)> {
        self.nodes.iter().flat_map(|node| self.trained_of(node).map(|info| (info, node.rate)))
    }

    /// The runs of the flat array that training moves at one rate.
    pub fn trained_runs(&self) -> Vec<(Range<usize>, f64)> {
        let mut runs: Vec<(Range<usize>, f64)> = Vec::new();
        for (range, rate) in self.trained_rates().map(|(info, rate)| (info.range(), rate)) {
            match runs.last_mut() {
                Some((last, same)) if last.end == range.start && *same == rate => last.end = range.end,
                _ => runs.push((range, rate)),
            }
        }
        runs
    }

    /// How far the gradients of training go: to the first node with a weight that they move.
    pub fn reach(&self) -> Reach {
        let first = self.nodes.iter().position(|node| self.trained_of(node).next().is_some());
        Reach { first: first.unwrap_or(self.nodes.len()), input: false }
    }

    /// Whether node `i` does not run, since its output is its input and the next node of its segment can read that.
    pub fn is_skipped(&self, i: usize) -> bool {
        self.skipped[i]
    }

    /// The node of `segment` whose output is what node `i` reads; `None` where that is what the segment reads.
    pub fn source(&self, segment: &Segment, i: usize) -> Option<usize> {
        (segment.nodes.start..i).rev().find(|&i| !self.is_skipped(i))
    }

    /// Whether node `i` has an output of its own that the backward pass reads.
    pub fn is_kept(&self, i: usize, reach: Reach) -> bool {
        let reads = |i: usize| reach.holds(i).then(|| self.nodes[i].layer.reads());
        let reader = (i + 1..self.nodes.len()).find(|&i| !self.is_skipped(i));
        let is_read = reads(i).is_some_and(|reads| reads.y) || reader.and_then(reads).is_some_and(|reads| reads.x);
        is_read && !self.is_skipped(i)
    }

    /// One sample of what node `i` reads.
    pub fn input_of(&self, i: usize) -> Shape {
        if i == 0 { self.input } else { self.nodes[i - 1].output }
    }
}

/// Lets nodes take over the work of those behind them, which are left with nothing to do. What lies between does nothing, either.
fn fuse(nodes: &mut [Node]) {
    for i in 0..nodes.len() {
        let Some(next) = (i + 1..nodes.len()).find(|&next| !nodes[next].layer.is_identity()) else {
            return;
        };
        if let Some(fused) = nodes[i].layer.fuse(&*nodes[next].layer) {
            let output = nodes[next].output;
            nodes[i].layer = fused;
            nodes[next].layer = Arc::new(Activation::Linear);
            nodes[i..next].iter_mut().for_each(|node| node.output = output);
        }
    }
}

/// The nodes cut into segments. A layer for which `waits` begins a new one, behind another chain, which computes its sums.
fn segments(nodes: &[Node], waits: impl Fn(Scope) -> bool) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        let (scope, start) = (node.layer.scope(), node.params.start);
        let is_chain = |segment: &Segment| segment.scope != Scope::WholeBatch;
        if waits(scope) && !segments.last().is_some_and(is_chain) {
            segments.push(Segment { nodes: i..i, scope: Scope::PerSample, params: start..start });
        }
        match segments.last_mut().filter(|last| is_chain(last)) {
            Some(last) if scope != Scope::WholeBatch && !waits(scope) => {
                last.nodes.end = i + 1;
                last.params.end = node.params.end;
            }
            _ => segments.push(Segment { nodes: i..i + 1, scope, params: node.params.clone() }),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use crate::{layers::Scope, prelude::*};

    #[test]
    fn a_layer_that_waits_for_sums_stands_between_two_chains() {
        let model = Sequential::new([4, 4, 1])
            .add(BatchNormalization::new())
            .add(Conv2D::new(2, 3))
            .add(BatchNormalization::new())
            .add(Flatten::new())
            .add(Dense::new(3))
            .add(BatchNormalization::new())
            .build()
            .unwrap();
        let nodes: Vec<_> = model.graph.segments.iter().map(|segment| segment.nodes.clone()).collect();
        assert_eq!(nodes, [0..0, 0..2, 2..4, 4..5, 5..5, 5..6]);
        let chains: Vec<_> = model.graph.chains.iter().map(|chain| chain.nodes.clone()).collect();
        assert_eq!(chains, [0..4, 4..5, 5..6]);
        assert_eq!(model.graph.segments[3].scope, Scope::WholeBatch);
    }

    #[test]
    fn what_no_gradient_reads_is_not_kept() {
        let model = Sequential::new([8, 8, 1])
            .add(Conv2D::new(2, 3).activation(Activation::Relu)) // moved behind the pooling
            .add(MaxPooling2D::new(2))
            .add(Dropout::new(0.5))
            .add(Conv2D::new(2, 2).activation(Activation::Tanh))
            .add(Flatten::new())
            .add(Flatten::new())
            .build()
            .unwrap();
        let kept: Vec<bool> = (0..6).map(|i| model.graph.is_kept(i, model.graph.reach())).collect();
        assert_eq!(kept, [false, true, true, true, false, false]);
        let skipped: Vec<bool> = (0..6).map(|i| model.graph.is_skipped(i)).collect();
        assert_eq!(skipped, [false, false, false, false, true, false]);
    }

    #[test]
    fn a_normalization_does_the_work_of_the_pooling_behind_it() {
        let runs = |pool: MaxPooling2D| {
            let plan = Sequential::new([9, 9, 2]).add(BatchNormalization::new()).add(Activation::Relu).add(pool);
            let model = plan.build().unwrap();
            assert_eq!(model.layers().next().unwrap().output_shape(), [9, 9, 2].into());
            let output = model.output_shape();
            assert!(output.dims()[0] < 9 && model.graph.output() == output, "{output}");
            model.graph.nodes.iter().filter(|node| !node.layer.is_identity()).count()
        };
        assert_eq!(runs(MaxPooling2D::new(2)), 1);
        assert_eq!(runs(MaxPooling2D::new(3).strides(2)), 2, "windows that overlap");
        assert_eq!(runs(MaxPooling2D::new(2).padding(Padding::Same)), 2, "a window that is partly padding");
    }
}
