//! The layers: one file each, with its configuration, its built form and its tests.

mod conv2d;
mod dense;
pub mod erased;
mod flatten;
mod layer;
mod max_pooling2d;
mod pair;
mod window;

pub use conv2d::{BuiltConv2D, Conv2D};
pub use dense::{BuiltDense, Dense};
pub use flatten::{Flatten, Relabel};
pub use layer::{Backward, Build, Forward, Grads, Layer, LayerConfig, Mode, Named, Scope, Scratch, Taped};
pub use max_pooling2d::{BuiltMaxPooling2D, MaxPooling2D};
pub use pair::Pair;
pub use window::Padding;
