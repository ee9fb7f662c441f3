//! The layers: one file each, with its configuration, its built form and its tests.

mod average_pooling2d;
mod conv1d;
mod conv2d;
mod conv2d_transpose;
mod dense;
mod depthwise_conv2d;
mod dropout;
mod epilogue;
#[doc(hidden)]
pub mod erased;
mod flatten;
mod global_average_pooling2d;
mod global_max_pooling2d;
mod layer;
mod max_pooling2d;
mod pair;
mod rescaling;
mod reshape;
mod separable_conv2d;
mod window;
mod zero_padding2d;

pub use crate::kernels::Pass;

pub use average_pooling2d::{AveragePooling2D, BuiltAveragePooling2D};
pub use conv1d::Conv1D;
pub use conv2d::{BuiltConv2D, Conv2D};
pub use conv2d_transpose::{BuiltConv2DTranspose, Conv2DTranspose};
pub use dense::{BuiltDense, Dense};
pub use depthwise_conv2d::DepthwiseConv2D;
pub use dropout::{BuiltDropout, Dropout};
pub use flatten::{Flatten, Relabel};
pub use global_average_pooling2d::GlobalAveragePooling2D;
pub use global_max_pooling2d::{BuiltGlobalMaxPooling2D, GlobalMaxPooling2D};
pub use layer::{
    Backward, Build, Forward, Grads, Layer, LayerConfig, Mode, Named, Params, Reads, Scope, Scratch, Taped,
};
pub use max_pooling2d::{BuiltMaxPooling2D, MaxPooling2D};
pub use pair::Pair;
pub use rescaling::Rescaling;
pub use reshape::Reshape;
pub use separable_conv2d::{BuiltSeparableConv2D, SeparableConv2D};
pub use window::Padding;
pub use zero_padding2d::{Border, BuiltZeroPadding2D, ZeroPadding2D};
