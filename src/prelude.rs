//! What a program that builds and trains models needs: `use cornu::prelude::*;`.

pub use crate::{
    Activation, Error, Fit, History, Initializer, Labels, Metric, Model, Score, Sequential, Shape, Tensor,
    datasets::{self, Split},
    layers::*,
    losses::*,
    optimizers::{Adam, Optimizer, SGD},
};
