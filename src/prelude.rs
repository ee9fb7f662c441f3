//! What most programs need: `use cornu::prelude::*;`.
//!
//! Models: the layers, losses, metrics, optimizers and callbacks, what they are given and what they report. Layers, losses, metrics,
//! optimizers and callbacks of your own: the traits to implement and what their methods are given; see [`LayerConfig`].

#[cfg(feature = "image")]
pub use crate::data::{ColorMode, ImageFolder, ImageInput};
#[cfg(feature = "numpy")]
pub use crate::numpy::Npz;
#[cfg(feature = "torch")]
pub use crate::torch::TorchMapping;
pub use crate::{
    Activation, Constraint, Error, Fit, History, Initializer, Labels, Metric, Model, QuantizedModel, Regularizer,
    Score, Sequential, Shape, Tensor,
    callbacks::{
        BackupAndRestore, CSVLogger, EarlyStopping, LambdaCallback, LearningRateScheduler, ModelCheckpoint,
        ReduceLROnPlateau, TensorBoard, TerminateOnNaN,
    },
    data::{Batch, Dataset, TensorDataset, dataset},
    datasets::{self, Split},
    layers::{
        AveragePooling1D, AveragePooling2D, BatchNormalization, Conv1D, Conv2D, Conv2DTranspose, Cropping2D, Dense,
        DepthwiseConv2D, Dropout, Embedding, FillMode, Flatten, FlipMode, GaussianNoise, GlobalAveragePooling1D,
        GlobalAveragePooling2D, GlobalMaxPooling1D, GlobalMaxPooling2D, Interpolation, LayerNormalization,
        MaxPooling1D, MaxPooling2D, PReLU, Padding, Permute, RandomBrightness, RandomContrast, RandomErasing,
        RandomFlip, RandomRotation, RandomTranslation, RandomZoom, Rescaling, Reshape, SeparableConv2D,
        SpatialDropout2D, UpSampling2D, ZeroPadding2D,
    },
    load_model,
    losses::{
        BinaryCrossentropy, CategoricalCrossentropy, Huber, MeanAbsoluteError, MeanSquaredError,
        SparseCategoricalCrossentropy,
    },
    metrics::{AUC, Averaging, ConfusionMatrix, Curve, F1Score, MeanIoU, Precision, R2Score, Recall},
    optimizers::{
        Adadelta, Adagrad, Adam, AdamW, Adamax, BIASES_AND_NORMALIZATION, Lion, Nadam, RMSprop, SGD,
        schedules::{
            CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, OneCycle, PiecewiseConstantDecay,
            PolynomialDecay,
        },
    },
    plot,
};
pub use crate::{
    Scalar,
    callbacks::{Callback, Training},
    layers::{Backward, Build, Forward, Layer, LayerConfig, Scope, Taped},
    losses::{Loss, Target, TargetKind},
    metrics::StatefulMetric,
    model::Epoch,
    optimizers::{Base, Optimizer, schedules::Schedule},
    params::ParamId,
    tensor::{View, ViewMut},
};
