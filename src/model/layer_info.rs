//! [`LayerRef`]: a layer of a built model, to look at.

use std::{ops::Range, sync::Arc};

use super::{Model, sequential::DynConfig};
use crate::{Scalar, Shape, Tensor, params::ParamInfo};

/// What a model remembers of a layer's configuration.
#[derive(Clone, Debug)]
pub(crate) struct LayerInfo {
    pub name: String,
    pub class_name: &'static str,
    /// One sample of the output.
    pub output_shape: Shape,
    /// Its weights among those of the model.
    pub weights: Range<usize>,
    pub config: Arc<dyn DynConfig>,
}

/// A layer of a built model.
#[derive(Clone, Copy, Debug)]
pub struct LayerRef<'a, T = f32> {
    pub(super) info: &'a LayerInfo,
    pub(super) model: &'a Model<T>,
}

impl<'a, T: Scalar> LayerRef<'a, T> {
    /// Its name: the user's, or the kind and its number.
    pub fn name(&self) -> &'a str {
        &self.info.name
    }

    /// Its kind, as Keras spells it: `"Conv2D"`.
    pub fn class_name(&self) -> &'static str {
        self.info.class_name
    }

    /// The shape of one sample of its output.
    pub fn output_shape(&self) -> Shape {
        self.info.output_shape
    }

    /// What it declared about each of its weights, in Keras's order: kernel, bias.
    pub fn weight_infos(&self) -> &'a [ParamInfo] {
        &self.model.graph.layout.infos()[self.info.weights.clone()]
    }

    /// A copy of its weights, in Keras's order: kernel, bias.
    pub fn get_weights(&self) -> Vec<Tensor<T>> {
        self.weight_infos().iter().map(|info| self.model.weight(info)).collect()
    }

    /// How many numbers its weights hold.
    pub fn count_params(&self) -> usize {
        self.weight_infos().iter().map(|info| info.shape.size()).sum()
    }
}
