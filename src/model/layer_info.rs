//! [`LayerRef`]: a layer of a built model, to look at.

use std::sync::Arc;

use super::{Model, graph::Node, sequential::DynConfig};
use crate::{Scalar, Shape, Tensor, params::ParamInfo};

/// What a model remembers of how a layer was asked for.
#[derive(Clone, Debug)]
pub(crate) struct LayerInfo {
    pub name: String,
    pub config: Arc<dyn DynConfig>,
    /// One sample of its output.
    pub output: Shape,
}

/// A layer of a built model.
#[derive(Clone, Copy, Debug)]
pub struct LayerRef<'a, T = f32> {
    pub(crate) index: usize,
    pub(super) model: &'a Model<T>,
}

impl<'a, T: Scalar> LayerRef<'a, T> {
    /// Its name: the user's, or the kind and its number.
    pub fn name(&self) -> &'a str {
        &self.info().name
    }

    /// Its kind, as Keras spells it: `"Conv2D"`.
    pub fn class_name(&self) -> &'static str {
        self.info().config.class_name()
    }

    /// The shape of one sample of its output.
    pub fn output_shape(&self) -> Shape {
        self.info().output
    }

    /// What it declared about each of its weights, in Keras's order: kernel, bias.
    pub fn weight_infos(&self) -> &'a [ParamInfo] {
        &self.model.graph.layout.infos()[self.node().weights.clone()]
    }

    /// A copy of its weights, in Keras's order: kernel, bias.
    pub fn get_weights(&self) -> Vec<Tensor<T>> {
        self.weight_infos().iter().map(|info| self.model.weight(info)).collect()
    }

    /// How many numbers its weights hold.
    pub fn count_params(&self) -> usize {
        self.weight_infos().iter().map(|info| info.shape.size()).sum()
    }

    /// Whether training moves its weights; see [`Model::set_trainable`].
    pub fn trainable(&self) -> bool {
        self.node().trainable
    }

    pub(crate) fn info(&self) -> &'a LayerInfo {
        &self.model.layers[self.index]
    }

    pub(super) fn node(&self) -> &'a Node {
        &self.model.graph.nodes[self.index]
    }
}
