//! The layers: one file each, with its configuration, its built form and its tests.

pub mod erased;
mod layer;

pub use layer::{Backward, Build, Forward, Grads, Layer, LayerConfig, Mode, Named, Scope, Scratch, Taped};
