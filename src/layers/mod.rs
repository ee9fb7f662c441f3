//! The layers: one file each, with its configuration, its built form and its tests.

mod augmentation;
mod average_pooling1d;
mod average_pooling2d;
mod axes;
mod batch_normalization;
mod channel_affine;
mod conv1d;
mod conv2d;
mod conv2d_transpose;
mod cropping2d;
mod dense;
mod depthwise_conv2d;
mod dropout;
mod embedding;
mod epilogue;
#[doc(hidden)]
pub mod erased;
mod flatten;
mod gaussian_noise;
mod global_average_pooling1d;
mod global_average_pooling2d;
mod global_max_pooling1d;
mod global_max_pooling2d;
mod interpolation;
mod layer;
mod layer_normalization;
mod max_pooling1d;
mod max_pooling2d;
mod pair;
mod permute;
mod prelu;
mod rescaling;
mod reshape;
mod separable_conv2d;
mod spatial_dropout2d;
mod up_sampling2d;
mod window;
mod zero_padding2d;

pub use crate::kernels::Pass;

pub use augmentation::{
    Augmentation, Augmented, BuiltRandomBrightness, BuiltRandomContrast, BuiltRandomErasing, BuiltRandomFlip,
    BuiltRandomRotation, BuiltRandomTranslation, BuiltRandomZoom, Erasure, Factor, FillMode, FlipMode,
    RandomBrightness, RandomContrast, RandomErasing, RandomFlip, RandomRotation, RandomTranslation, RandomZoom,
};
pub use average_pooling1d::AveragePooling1D;
pub use average_pooling2d::{AveragePooling2D, BuiltAveragePooling2D};
pub use axes::Axes;
pub use batch_normalization::{BatchNormalization, BuiltBatchNormalization, NormalizationBuffers};
pub use channel_affine::ChannelAffine;
pub use conv1d::Conv1D;
pub use conv2d::{BuiltConv2D, Conv2D};
pub use conv2d_transpose::{BuiltConv2DTranspose, Conv2DTranspose};
pub use cropping2d::{BuiltCropping2D, Cropping2D};
pub use dense::{BuiltDense, Dense};
pub use depthwise_conv2d::DepthwiseConv2D;
pub use dropout::{BuiltDropout, Dropout};
pub use embedding::{BuiltEmbedding, Embedding};
pub use flatten::{Flatten, Relabel};
pub use gaussian_noise::GaussianNoise;
pub use global_average_pooling1d::GlobalAveragePooling1D;
pub use global_average_pooling2d::GlobalAveragePooling2D;
pub use global_max_pooling1d::GlobalMaxPooling1D;
pub use global_max_pooling2d::{BuiltGlobalMaxPooling2D, GlobalMaxPooling2D};
pub use interpolation::Interpolation;
pub use layer::{
    Backward, Build, Forward, Grads, Layer, LayerConfig, Mode, Named, Params, Reads, Scope, Scratch, State, Taped,
};
pub use layer_normalization::{BuiltLayerNormalization, LayerNormalization, RowStatistics};
pub use max_pooling1d::MaxPooling1D;
pub use max_pooling2d::{BuiltMaxPooling2D, MaxPooling2D};
pub use pair::Pair;
pub use permute::{BuiltPermute, Permute};
pub use prelu::{BuiltPReLU, PReLU};
pub use rescaling::Rescaling;
pub use reshape::Reshape;
pub use separable_conv2d::{BuiltSeparableConv2D, SeparableConv2D};
pub use spatial_dropout2d::SpatialDropout2D;
pub use up_sampling2d::{BuiltUpSampling2D, UpSampling2D};
pub use window::Padding;
pub use zero_padding2d::{Border, BuiltZeroPadding2D, ZeroPadding2D};
