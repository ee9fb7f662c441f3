//! [`Graph`]: the built layers of a model in the order in which they run.

use std::{ops::Range, sync::Arc};

use crate::{
    Activation, Scalar, Shape,
    layers::{
        Scope,
        erased::{DynLayer, Erased},
    },
    params::ParamLayout,
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
    pub segments: Vec<Segment>,
    /// How many samples of a batch a chain of layers takes at a time.
    pub shard: usize,
}

/// A built layer.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub layer: Arc<dyn DynLayer>,
    /// One sample of the output.
    pub output: Shape,
    /// Its weights in the flat array.
    pub params: Range<usize>,
}

/// A maximal chain of layers that the executor runs shard by shard, or one layer that needs the whole batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub nodes: Range<usize>,
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
    pub fn new(input: Shape, nodes: Vec<Node>, head: Activation, layout: ParamLayout) -> Self {
        let mut segments: Vec<Segment> = Vec::new();
        for (i, node) in nodes.iter().enumerate() {
            let scope = node.layer.scope();
            match segments.last_mut() {
                Some(last) if scope == Scope::PerSample && last.scope == Scope::PerSample => {
                    last.nodes.end = i + 1;
                    last.params.end = node.params.end;
                }
                _ => segments.push(Segment { nodes: i..i + 1, scope, params: node.params.clone() }),
            }
        }
        let largest = segments
            .iter()
            .filter(|segment| segment.scope == Scope::PerSample)
            .map(|segment| nodes[segment.nodes.clone()].iter().map(|node| node.output.size()).sum::<usize>())
            .max();
        let sample_bytes = largest.unwrap_or(0).saturating_mul(size_of::<f32>());
        let shard = (SHARD_BYTES / sample_bytes.max(1)).clamp(1, MAX_SHARD);
        Graph { input, nodes, head, layout: Arc::new(layout), segments, shard }
    }

    /// One sample of the output.
    pub fn output(&self) -> Shape {
        self.nodes.last().expect("a model has a layer").output
    }

    /// Whether the backward pass reads the output of node `i`.
    pub fn is_kept(&self, i: usize) -> bool {
        let next = self.nodes.get(i + 1);
        self.nodes[i].layer.reads().y || next.is_some_and(|next| next.layer.reads().x)
    }

    /// One sample of what node `i` reads.
    pub fn input_of(&self, i: usize) -> Shape {
        if i == 0 { self.input } else { self.nodes[i - 1].output }
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

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
        let kept: Vec<bool> = (0..6).map(|i| model.graph.is_kept(i)).collect();
        assert_eq!(kept, [false, true, true, true, false, false]);
    }
}
