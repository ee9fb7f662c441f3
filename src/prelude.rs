//! What most programs need: `use cornu::prelude::*;`.
//!
//! Models: the layers, losses and optimizers, what they are given and what they report. Layers,
//! losses and optimizers of your own: the traits to implement and what their methods are given; see [`LayerConfig`].

pub use crate::{
    Activation, Error, Fit, History, Initializer, Labels, Metric, Model, Score, Sequential, Shape, Tensor,
    datasets::{self, Split},
    layers::{
        AveragePooling2D, Conv1D, Conv2D, Conv2DTranspose, Dense, DepthwiseConv2D, Dropout, Flatten,
        GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D, Padding, Rescaling, Reshape, SeparableConv2D,
        ZeroPadding2D,
    },
    losses::{
        BinaryCrossentropy, CategoricalCrossentropy, Huber, MeanAbsoluteError, MeanSquaredError,
        SparseCategoricalCrossentropy,
    },
    optimizers::{Adam, SGD},
};
pub use crate::{
    Scalar,
    layers::{Backward, Build, Forward, Layer, LayerConfig, Scope, Taped},
    losses::{Loss, Target, TargetKind},
    optimizers::Optimizer,
    params::ParamId,
    tensor::{View, ViewMut},
};
