"""The cases of golden.py, one line each, and the data of golden_trajectory.py. Knows neither Keras nor PyTorch."""

import math
from pathlib import Path

import mnist_idx
import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"

ACTIVATIONS = [
    "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "softplus", "softmax",
    "hard_sigmoid",
]  # fmt: skip

# --- layers -----------------------------------------------------------------------------------------------------------

# What x holds: a function of (generator, shape).
INPUTS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "ties": lambda rng, shape: rng.integers(0, 3, shape),
    "equal": lambda rng, shape: np.ones(shape),
    "negative": lambda rng, shape: -0.1 - rng.random(shape),
    "zero": lambda rng, shape: np.zeros(shape),
    "grid": lambda rng, shape: np.linspace(-4, 4, math.prod(shape)).reshape(shape),
    "indices": lambda rng, shape: rng.integers(0, 6, shape),
    "bytes": lambda rng, shape: rng.integers(0, 256, shape),
    # Far from a value range of (-1, 1), on either side of it, or well inside, whatever the contrast.
    "levels": lambda rng, shape: np.resize([-8.0, 0.3, -0.2, 8.0, 0.1], shape) + 0.05 * rng.standard_normal(shape),
    "±3": lambda rng, shape: np.resize([-3.0, 3.0], shape),
}

# (case, layer, shape of x with the batch, what x holds)
LAYERS = [
    ("conv2d_valid", "Conv2D(4, 3)", (2, 6, 7, 3), "normal"),
    ("conv2d_same", "Conv2D(4, 3, padding='same')", (2, 5, 6, 3), "normal"),
    ("conv2d_same_even_kernel", "Conv2D(4, (2, 4), padding='same')", (2, 5, 6, 3), "normal"),
    ("conv2d_valid_stride2", "Conv2D(4, 3, strides=2)", (2, 7, 9, 3), "normal"),
    ("conv2d_valid_stride2_leftover", "Conv2D(4, 3, strides=2)", (2, 8, 6, 3), "normal"),
    ("conv2d_same_stride2_odd", "Conv2D(4, 3, strides=2, padding='same')", (2, 7, 5, 3), "normal"),
    ("conv2d_same_stride2_even", "Conv2D(4, 3, strides=2, padding='same')", (2, 6, 8, 3), "normal"),
    ("conv2d_valid_stride2x3_odd", "Conv2D(4, 3, strides=(2, 3))", (2, 7, 9, 3), "normal"),
    ("conv2d_valid_stride2x3_even", "Conv2D(4, 3, strides=(2, 3))", (2, 6, 8, 3), "normal"),
    ("conv2d_same_stride2x3_odd", "Conv2D(4, 3, strides=(2, 3), padding='same')", (2, 7, 9, 3), "normal"),
    ("conv2d_same_stride2x3_even", "Conv2D(4, 3, strides=(2, 3), padding='same')", (2, 6, 8, 3), "normal"),
    ("conv2d_same_stride_over_kernel", "Conv2D(4, 2, strides=3, padding='same')", (2, 7, 8, 3), "normal"),
    ("conv2d_valid_dilation2", "Conv2D(4, 3, dilation_rate=2)", (2, 7, 8, 3), "normal"),
    ("conv2d_same_dilation2", "Conv2D(4, 3, dilation_rate=2, padding='same')", (2, 5, 6, 3), "normal"),
    ("conv2d_valid_dilation2x1", "Conv2D(4, 3, dilation_rate=(2, 1))", (2, 7, 5, 3), "normal"),
    ("conv2d_groups2", "Conv2D(6, 3, groups=2)", (2, 5, 6, 4), "normal"),
    ("conv2d_groups2_same_stride2", "Conv2D(6, 3, groups=2, strides=2, padding='same')", (2, 6, 7, 4), "normal"),
    ("conv2d_groups_are_channels", "Conv2D(6, 3, groups=3, padding='same')", (2, 5, 6, 3), "normal"),
    ("conv2d_no_bias", "Conv2D(4, 3, use_bias=False)", (2, 5, 6, 3), "normal"),
    ("conv2d_1x1", "Conv2D(4, 1)", (2, 4, 5, 3), "normal"),
    ("conv2d_kernel_is_image", "Conv2D(4, (4, 5))", (2, 4, 5, 3), "normal"),
    ("conv2d_one_channel", "Conv2D(4, 3)", (2, 5, 6, 1), "normal"),
    *((f"conv2d_{f}", f"Conv2D(3, 2, activation={f})", (2, 4, 4, 2), "normal") for f in ACTIVATIONS),
    ("depthwise_conv2d_valid", "DepthwiseConv2D(3)", (2, 6, 7, 3), "normal"),
    ("depthwise_conv2d_same", "DepthwiseConv2D(3, padding='same')", (2, 5, 6, 3), "normal"),
    ("depthwise_conv2d_same_even_kernel", "DepthwiseConv2D((2, 4), padding='same')", (2, 5, 6, 3), "normal"),
    ("depthwise_conv2d_wide", "DepthwiseConv2D(3, padding='same')", (2, 7, 9, 21), "normal"),
    ("depthwise_conv2d_valid_stride2", "DepthwiseConv2D(3, strides=2)", (2, 8, 9, 3), "normal"),
    ("depthwise_conv2d_same_stride2", "DepthwiseConv2D(3, strides=2, padding='same')", (2, 7, 6, 3), "normal"),
    ("depthwise_conv2d_multiplier2", "DepthwiseConv2D(3, depth_multiplier=2)", (2, 5, 6, 3), "normal"),
    (
        "depthwise_conv2d_multiplier3_same_stride2",
        "DepthwiseConv2D(3, strides=2, padding='same', depth_multiplier=3)",
        (2, 6, 7, 2),
        "normal",
    ),
    ("depthwise_conv2d_valid_dilation2", "DepthwiseConv2D(3, dilation_rate=2)", (2, 7, 8, 3), "normal"),
    ("depthwise_conv2d_same_dilation2", "DepthwiseConv2D(3, dilation_rate=2, padding='same')", (2, 5, 6, 3), "normal"),
    (
        "depthwise_conv2d_same_dilation2_stride2",
        "DepthwiseConv2D(3, strides=2, dilation_rate=2, padding='same')",
        (2, 7, 8, 3),
        "normal",
    ),
    ("depthwise_conv2d_one_channel", "DepthwiseConv2D(3, depth_multiplier=4)", (2, 5, 6, 1), "normal"),
    ("depthwise_conv2d_no_bias", "DepthwiseConv2D(3, use_bias=False)", (2, 5, 6, 3), "normal"),
    ("depthwise_conv2d_silu", "DepthwiseConv2D(2, activation=silu)", (2, 4, 4, 2), "normal"),
    ("depthwise_conv2d_softmax", "DepthwiseConv2D(2, activation=softmax)", (2, 4, 4, 2), "normal"),
    ("separable_conv2d_valid", "SeparableConv2D(4, 3)", (2, 6, 7, 3), "normal"),
    ("separable_conv2d_same_stride2", "SeparableConv2D(4, 3, strides=2, padding='same')", (2, 7, 6, 3), "normal"),
    ("separable_conv2d_multiplier2", "SeparableConv2D(4, (2, 3), depth_multiplier=2)", (2, 5, 6, 3), "normal"),
    ("separable_conv2d_dilation2", "SeparableConv2D(4, 3, dilation_rate=2, padding='same')", (2, 5, 6, 3), "normal"),
    ("separable_conv2d_no_bias", "SeparableConv2D(4, 3, use_bias=False)", (2, 5, 6, 3), "normal"),
    ("separable_conv2d_gelu", "SeparableConv2D(3, 2, activation=gelu)", (2, 4, 4, 2), "normal"),
    ("conv2d_transpose_valid", "Conv2DTranspose(4, 3)", (2, 4, 5, 3), "normal"),
    ("conv2d_transpose_same", "Conv2DTranspose(4, 3, padding='same')", (2, 4, 5, 3), "normal"),
    ("conv2d_transpose_same_even_kernel", "Conv2DTranspose(4, (2, 4), padding='same')", (2, 4, 5, 3), "normal"),
    ("conv2d_transpose_valid_stride2", "Conv2DTranspose(4, 3, strides=2)", (2, 4, 5, 3), "normal"),
    ("conv2d_transpose_valid_stride_over_kernel", "Conv2DTranspose(4, 2, strides=3)", (2, 4, 3, 3), "normal"),
    ("conv2d_transpose_same_stride2", "Conv2DTranspose(4, 3, strides=2, padding='same')", (2, 4, 5, 3), "normal"),
    (
        "conv2d_transpose_same_stride2x3",
        "Conv2DTranspose(4, 4, strides=(2, 3), padding='same')",
        (2, 4, 3, 3),
        "normal",
    ),
    (
        "conv2d_transpose_same_stride_over_kernel",
        "Conv2DTranspose(4, 2, strides=3, padding='same')",
        (2, 4, 3, 3),
        "normal",
    ),
    (
        "conv2d_transpose_valid_output_padding",
        "Conv2DTranspose(4, 3, strides=(2, 3), output_padding=(1, 2))",
        (2, 4, 3, 3),
        "normal",
    ),
    (
        "conv2d_transpose_valid_output_padding0",
        "Conv2DTranspose(4, 2, strides=3, output_padding=0)",
        (2, 4, 3, 3),
        "normal",
    ),
    (
        "conv2d_transpose_same_output_padding",
        "Conv2DTranspose(4, 3, strides=(2, 3), padding='same', output_padding=(0, 1))",
        (2, 4, 3, 3),
        "normal",
    ),
    (
        "conv2d_transpose_same_even_output_padding",
        "Conv2DTranspose(4, 4, strides=(2, 3), padding='same', output_padding=(1, 2))",
        (2, 4, 3, 3),
        "normal",
    ),
    ("conv2d_transpose_valid_dilation2", "Conv2DTranspose(4, 3, dilation_rate=2)", (2, 4, 5, 3), "normal"),
    (
        "conv2d_transpose_same_dilation2",
        "Conv2DTranspose(4, 3, dilation_rate=2, padding='same')",
        (2, 4, 5, 3),
        "normal",
    ),
    ("conv2d_transpose_winograd", "Conv2DTranspose(16, 3, padding='same')", (2, 4, 5, 16), "normal"),
    ("conv2d_transpose_no_bias", "Conv2DTranspose(4, 3, use_bias=False)", (2, 4, 5, 3), "normal"),
    ("conv2d_transpose_gelu", "Conv2DTranspose(3, 2, activation=gelu)", (2, 3, 4, 2), "normal"),
    ("conv1d_valid", "Conv1D(4, 3)", (2, 7, 3), "normal"),
    ("conv1d_same_even_kernel", "Conv1D(4, 4, padding='same')", (2, 7, 3), "normal"),
    ("conv1d_causal", "Conv1D(4, 3, padding='causal')", (2, 7, 3), "normal"),
    ("conv1d_causal_dilation2", "Conv1D(4, 3, dilation_rate=2, padding='causal')", (2, 7, 3), "normal"),
    ("conv1d_causal_stride2", "Conv1D(4, 3, strides=2, padding='causal')", (2, 8, 3), "normal"),
    ("conv1d_valid_stride2", "Conv1D(4, 3, strides=2)", (2, 8, 3), "normal"),
    ("conv1d_same_stride2", "Conv1D(4, 3, strides=2, padding='same')", (2, 8, 3), "normal"),
    ("conv1d_same_dilation2", "Conv1D(4, 3, dilation_rate=2, padding='same')", (2, 7, 3), "normal"),
    ("conv1d_groups2", "Conv1D(6, 3, groups=2)", (2, 7, 4), "normal"),
    ("conv1d_no_bias", "Conv1D(4, 3, use_bias=False)", (2, 7, 3), "normal"),
    ("conv1d_silu", "Conv1D(3, 2, activation=silu)", (2, 5, 2), "normal"),
    ("max_pooling2d_2x2", "MaxPooling2D(2)", (2, 6, 4, 3), "normal"),
    ("max_pooling2d_2x2_odd", "MaxPooling2D(2)", (2, 5, 7, 3), "normal"),
    ("max_pooling2d_2x2_same_odd", "MaxPooling2D(2, padding='same')", (2, 5, 7, 3), "normal"),
    ("max_pooling2d_3x3_stride2", "MaxPooling2D(3, strides=2)", (2, 7, 8, 3), "normal"),
    ("max_pooling2d_3x3_stride2_same", "MaxPooling2D(3, strides=2, padding='same')", (2, 7, 8, 3), "normal"),
    ("max_pooling2d_2x3_stride1x2", "MaxPooling2D((2, 3), strides=(1, 2))", (2, 5, 7, 3), "normal"),
    ("max_pooling2d_stride_over_pool_same", "MaxPooling2D(2, strides=3, padding='same')", (2, 8, 7, 3), "normal"),
    ("max_pooling2d_ties", "MaxPooling2D(2)", (3, 6, 6, 2), "ties"),
    ("max_pooling2d_ties_overlapping", "MaxPooling2D(3, strides=2, padding='same')", (3, 6, 7, 2), "ties"),
    ("max_pooling2d_all_equal", "MaxPooling2D(2)", (2, 4, 4, 1), "equal"),
    ("max_pooling2d_negative_same", "MaxPooling2D(3, strides=2, padding='same')", (2, 5, 6, 2), "negative"),
    ("average_pooling2d_2x2", "AveragePooling2D(2)", (2, 6, 4, 3), "normal"),
    ("average_pooling2d_2x2_odd", "AveragePooling2D(2)", (2, 5, 7, 3), "normal"),
    ("average_pooling2d_2x2_same_odd", "AveragePooling2D(2, padding='same')", (2, 5, 7, 3), "normal"),
    ("average_pooling2d_3x3_stride2", "AveragePooling2D(3, strides=2)", (2, 7, 8, 3), "normal"),
    ("average_pooling2d_3x3_stride2_same", "AveragePooling2D(3, strides=2, padding='same')", (2, 7, 8, 3), "normal"),
    ("average_pooling2d_2x3_stride1x2", "AveragePooling2D((2, 3), strides=(1, 2))", (2, 5, 7, 3), "normal"),
    (
        "average_pooling2d_stride_over_pool_same",
        "AveragePooling2D(2, strides=3, padding='same')",
        (2, 8, 7, 3),
        "normal",
    ),
    ("global_average_pooling2d", "GlobalAveragePooling2D()", (2, 3, 4, 5), "normal"),
    ("global_average_pooling2d_keepdims", "GlobalAveragePooling2D(keepdims=True)", (2, 3, 4, 5), "normal"),
    ("global_max_pooling2d", "GlobalMaxPooling2D()", (2, 3, 4, 5), "normal"),
    ("global_max_pooling2d_keepdims", "GlobalMaxPooling2D(keepdims=True)", (2, 3, 4, 5), "normal"),
    ("global_max_pooling2d_ties", "GlobalMaxPooling2D()", (3, 3, 4, 2), "ties"),
    ("dense", "Dense(4)", (3, 5), "normal"),
    ("dense_no_bias", "Dense(4, use_bias=False)", (3, 5), "normal"),
    ("dense_last_axis", "Dense(4)", (2, 3, 5), "normal"),
    *((f"dense_{f}", f"Dense(4, activation={f})", (3, 5), "normal") for f in ACTIVATIONS),
    ("flatten", "Flatten()", (2, 3, 4, 2), "normal"),
    ("reshape", "Reshape((3, 8))", (2, 4, 6), "normal"),
    ("reshape_inferred", "Reshape((2, -1, 3))", (2, 4, 6), "normal"),
    *((f"activation_{f}", f"Activation({f})", (2, 8), "grid") for f in ACTIVATIONS),
    *((f"activation_zero_{f}", f"Activation({f})", (1, 3), "zero") for f in ACTIVATIONS),
    ("activation_kinks_hard_sigmoid", "Activation(hard_sigmoid)", (1, 2), "±3"),
    ("zero_padding2d_1", "ZeroPadding2D(1)", (2, 2, 3, 2), "normal"),
    ("zero_padding2d_1x2", "ZeroPadding2D((1, 2))", (2, 2, 3, 2), "normal"),
    ("zero_padding2d_sides", "ZeroPadding2D(((1, 2), (0, 3)))", (2, 2, 3, 2), "normal"),
    ("rescaling", "Rescaling(1 / 127.5, offset=-1.0)", (2, 2, 3, 1), "normal"),
    ("batch_normalization", "BatchNormalization()", (2, 3, 4, 5), "normal"),
    ("batch_normalization_axis1", "BatchNormalization(axis=1)", (2, 3, 4, 5), "normal"),
    ("dropout_inference", "Dropout(0.5)", (2, 8), "normal"),
    ("layer_normalization", "LayerNormalization()", (2, 3, 5), "normal"),
    ("layer_normalization_options", "LayerNormalization(epsilon=0.1, scale=False)", (2, 3, 5), "normal"),
    ("layer_normalization_no_center", "LayerNormalization(center=False)", (2, 3, 5), "normal"),
    ("layer_normalization_rms_scaling", "LayerNormalization(rms_scaling=True)", (2, 3, 5), "normal"),
    ("layer_normalization_axis_1", "LayerNormalization(axis=1)", (2, 4, 3, 2), "normal"),
    ("layer_normalization_axes_1_3", "LayerNormalization(axis=[3, 1])", (2, 4, 3, 2), "normal"),
    ("layer_normalization_axes_all", "LayerNormalization(axis=[1, 2, 3])", (2, 4, 3, 2), "normal"),
    ("layer_normalization_equal", "LayerNormalization()", (2, 3, 5), "equal"),
    ("prelu", "PReLU()", (2, 3, 4, 2), "normal"),
    ("prelu_shared", "PReLU(shared_axes=[1, 2])", (2, 3, 4, 2), "normal"),
    ("prelu_shared_last", "PReLU(shared_axes=[3])", (2, 3, 4, 2), "normal"),
    ("prelu_zero", "PReLU()", (2, 4), "zero"),
    ("up_sampling2d", "UpSampling2D()", (2, 2, 3, 2), "normal"),
    ("up_sampling2d_1x3", "UpSampling2D((1, 3))", (2, 2, 3, 2), "normal"),
    ("up_sampling2d_bilinear", "UpSampling2D(interpolation='bilinear')", (2, 2, 3, 2), "normal"),
    ("up_sampling2d_bilinear_3x4", "UpSampling2D((3, 4), interpolation='bilinear')", (2, 3, 2, 2), "normal"),
    ("cropping2d_1", "Cropping2D(1)", (2, 4, 5, 2), "normal"),
    ("cropping2d_sides", "Cropping2D(((1, 2), (0, 3)))", (2, 4, 5, 2), "normal"),
    ("spatial_dropout2d_inference", "SpatialDropout2D(0.5)", (2, 2, 3, 4), "normal"),
    ("gaussian_noise_inference", "GaussianNoise(0.5)", (2, 8), "normal"),
    ("max_pooling1d_2", "MaxPooling1D(2)", (2, 7, 3), "normal"),
    ("max_pooling1d_3_stride2_same", "MaxPooling1D(3, strides=2, padding='same')", (2, 8, 3), "normal"),
    ("max_pooling1d_ties", "MaxPooling1D(3, strides=1)", (2, 9, 2), "ties"),
    ("average_pooling1d_2", "AveragePooling1D(2)", (2, 7, 3), "normal"),
    ("average_pooling1d_3_stride2_same", "AveragePooling1D(3, strides=2, padding='same')", (2, 8, 3), "normal"),
    ("global_max_pooling1d", "GlobalMaxPooling1D()", (2, 5, 3), "ties"),
    ("global_max_pooling1d_keepdims", "GlobalMaxPooling1D(keepdims=True)", (2, 5, 3), "normal"),
    ("global_average_pooling1d", "GlobalAveragePooling1D()", (2, 5, 3), "normal"),
    ("global_average_pooling1d_keepdims", "GlobalAveragePooling1D(keepdims=True)", (2, 5, 3), "normal"),
    ("permute_2x1", "Permute((2, 1))", (2, 3, 4), "normal"),
    ("permute_3x1x2", "Permute((3, 1, 2))", (2, 3, 4, 5), "normal"),
    ("embedding", "Embedding(6, 3)", (2, 4), "indices"),
    ("embedding_rank3", "Embedding(6, 2)", (2, 3, 2), "indices"),
]

# Layers in training: (case, layer, shape of x with the batch)
TRAINING = [
    ("batch_normalization", "BatchNormalization()", (4, 3, 5, 6)),
    ("batch_normalization_vectors", "BatchNormalization()", (8, 5)),
    ("batch_normalization_many_channels", "BatchNormalization()", (3, 2, 2, 40)),
    ("batch_normalization_axis1", "BatchNormalization(axis=1)", (4, 3, 5, 6)),
    ("batch_normalization_axis2", "BatchNormalization(axis=-2)", (4, 3, 5, 2)),
    ("batch_normalization_options", "BatchNormalization(momentum=0.5, epsilon=0.125)", (4, 3, 2, 3)),
    ("batch_normalization_no_center", "BatchNormalization(center=False)", (4, 3, 2, 3)),
    ("batch_normalization_no_scale", "BatchNormalization(scale=False)", (4, 3, 2, 3)),
    ("batch_normalization_neither", "BatchNormalization(center=False, scale=False)", (4, 3, 2, 3)),
    ("batch_normalization_one_sample", "BatchNormalization()", (1, 4, 4, 3)),
]

# Penalties and constraints: (case, layer, shape of x with the batch)
PENALTIES = [
    (
        "penalties_conv1d",
        "Conv1D(4, 3, kernel_regularizer=L1L2(0.01, 0.1), bias_regularizer=L1(0.2),"
        " kernel_constraint=MaxNorm(1, axis=[0, 1]), bias_constraint=NonNeg())",
        (2, 7, 3),
    ),
    (
        "penalties_separable_conv2d",
        "SeparableConv2D(4, 3, depth_multiplier=2, depthwise_regularizer=L1L2(0.01, 0.1),"
        " pointwise_regularizer=L2(0.2), bias_regularizer=L1(0.3), depthwise_constraint=MaxNorm(1, axis=[0, 1]),"
        " pointwise_constraint=UnitNorm(axis=2), bias_constraint=NonNeg())",
        (2, 5, 6, 3),
    ),
    (
        "penalties_layer_normalization",
        "LayerNormalization(gamma_regularizer=L2(0.1), beta_regularizer=L1(0.2), gamma_constraint=UnitNorm(),"
        " beta_constraint=NonNeg())",
        (2, 4, 5),
    ),
]

# --- augmentation -----------------------------------------------------------------------------------------------------

FILL_MODES, INTERPOLATIONS = ["reflect", "wrap", "constant", "nearest"], ["nearest", "bilinear"]
# Layers that move pixels, without their last arguments, and the shape of x. Ranges of one number make them deterministic.
MOVES = [
    ("rotation", "RandomRotation((0.13, 0.13), ", (2, 7, 6, 2)),
    ("rotation_wide", "RandomRotation((-0.3, -0.3), ", (2, 3, 11, 1)),
    ("rotation_tall", "RandomRotation((0.3, 0.3), ", (2, 19, 2, 1)),
    ("translation", "RandomTranslation((0.37, 0.37), (-0.71, -0.71), ", (2, 7, 6, 2)),
    ("translation_far", "RandomTranslation((-0.97, -0.97), (0.93, 0.93), ", (2, 4, 20, 1)),
    ("zoom_in", "RandomZoom((-0.4, -0.4), ", (2, 7, 6, 2)),
    ("zoom_out", "RandomZoom((0.3, 0.3), (0.8, 0.8), ", (2, 7, 20, 1)),
]
ONE = "value_range=(-1, 1)"

# (case, layer, shape of x, what x holds)
# Layers, and arguments, whose configuration no other case has.
CONFIGURATIONS = [
    ("configuration_dropout", "Dropout(0.25)", (2, 5)),
    ("configuration_spatial_dropout2d", "SpatialDropout2D(0.25)", (2, 5, 6, 3)),
    ("configuration_gaussian_noise", "GaussianNoise(0.5)", (2, 5)),
    ("configuration_random_zoom", "RandomZoom((0.1, 0.2), fill_mode='wrap')", (2, 5, 6, 3)),
    ("configuration_random_erasing", "RandomErasing(0.5)", (2, 5, 6, 3)),
    ("configuration_zeros_ones", "Dense(3, kernel_initializer='zeros', bias_initializer='ones')", (2, 5)),
    ("configuration_constant_normal", "Dense(3, kernel_initializer=RandomNormal(0.5, 2.0), bias_initializer=Constant(0.5))", (2, 5)),
    ("configuration_uniform", "Dense(3, kernel_initializer=RandomUniform(-1, 2), bias_initializer=TruncatedNormal(1, 3))", (2, 5)),
    ("configuration_glorot_he", "Dense(3, kernel_initializer='glorot_normal', bias_initializer='he_uniform')", (2, 5)),
    ("configuration_he_lecun", "Dense(3, kernel_initializer='he_normal', bias_initializer='lecun_uniform')", (2, 5)),
    ("configuration_lecun", "Dense(3, kernel_initializer='lecun_normal')", (2, 5)),
    ("configuration_unit_norm", "Dense(3, kernel_constraint='unit_norm')", (2, 5)),
    ("configuration_leaky_relu", "Dense(3, activation=LeakyReLU(0.125))", (2, 5)),
    ("configuration_elu", "Dense(3, activation=ELU(0.5))", (2, 5)),
]

AUGMENTATIONS = [
    *(
        (f"{name}_{fill}_{kind}", f"{layer}fill_mode='{fill}', interpolation='{kind}', fill_value=0.7)", shape, "normal")
        for name, layer, shape in MOVES
        for fill in FILL_MODES
        for kind in INTERPOLATIONS
    ),
    ("rotation_none", "RandomRotation(0.0)", (2, 7, 6, 2), "normal"),
    ("brightness", f"RandomBrightness((0.2, 0.2), {ONE})", (2, 4, 5, 3), "normal"),
    ("brightness_bytes", "RandomBrightness((-0.1, -0.1))", (2, 4, 5, 3), "bytes"),
    ("contrast", f"RandomContrast((0.2, 0.4), {ONE})", (8, 4, 5, 2), "levels"),
    ("contrast_one_number", f"RandomContrast(0.4, {ONE})", (8, 4, 5, 1), "levels"),
    ("flip_horizontal", "RandomFlip('horizontal')", (1, 3, 4, 2), "normal"),
    ("flip_vertical", "RandomFlip('vertical')", (1, 3, 4, 2), "normal"),
    ("flip_both", "RandomFlip()", (1, 3, 4, 2), "normal"),
    ("erasing", f"RandomErasing((1.0, 1.0), scale=(0.2, 0.2), fill_value=0.7, {ONE})", (1, 4, 5, 2), "normal"),
    ("erasing_rgb", "RandomErasing((1.0, 1.0), scale=(0.5, 0.5), fill_value=[0.1, 0.5, 300.0])", (1, 5, 4, 3), "bytes"),
]

# --- losses -----------------------------------------------------------------------------------------------------------

N, CLASSES = 4, 5

# A function of (generator) for y_true and y_pred.
TARGETS = {
    "labels": lambda rng: rng.integers(0, CLASSES, N).astype(np.int32),
    "one-hot": lambda rng: np.eye(CLASSES)[rng.integers(0, CLASSES, N)],
    "bits": lambda rng: rng.integers(0, 2, (N, 3)),
    "bit": lambda rng: np.resize([0, 1], (N, 1)),
    "normal": lambda rng: rng.standard_normal((N, 3)),
    "normal rank 3": lambda rng: rng.standard_normal((N, 2, 3)),
}
PREDICTIONS = {
    "logits": lambda rng: 2 * rng.standard_normal((N, CLASSES)),
    "big logits": lambda rng: 100 * rng.integers(-1, 2, (N, CLASSES)),
    "probabilities": lambda rng: rng.dirichlet(np.ones(CLASSES), N),
    "unnormalized": lambda rng: 0.05 + 0.7 * rng.random((N, CLASSES)),
    "zeros and ones": lambda rng: np.eye(CLASSES)[[0, 1, 2, 3]],
    "some zeros": lambda rng: np.resize([0.5, 0.3, 0.0, 0.2, 0.0], (N, CLASSES)),
    "bit logits": lambda rng: 2 * rng.standard_normal((N, 3)),
    "big bit logits": lambda rng: 100 * rng.integers(-1, 2, (N, 3)),
    "bit probabilities": lambda rng: rng.random((N, 3)),
    "bit zeros and ones": lambda rng: rng.integers(0, 2, (N, 3)),
    "some bit zeros": lambda rng: np.resize([0.0, 0.3, 1.0], (N, 3)),
    "logit": lambda rng: 2 * rng.standard_normal((N, 1)),
    "big logit": lambda rng: np.resize([100, 100, -100, -100], (N, 1)),
    "normal": TARGETS["normal"],
    "normal rank 3": TARGETS["normal rank 3"],
}

SPARSE, CATEGORICAL, BINARY = "SparseCategoricalCrossentropy", "CategoricalCrossentropy", "BinaryCrossentropy"
SMOOTH = "label_smoothing=0.1"

# (case, loss, y_true, y_pred, last activation: y_pred is what goes into it)
LOSSES = [
    ("sparse_logits", f"{SPARSE}(from_logits=True)", "labels", "logits", None),
    ("sparse_big_logits", f"{SPARSE}(from_logits=True)", "labels", "big logits", None),
    ("sparse_probabilities", f"{SPARSE}()", "labels", "probabilities", None),
    ("sparse_unnormalized", f"{SPARSE}()", "labels", "unnormalized", None),
    ("sparse_zeros_and_ones", f"{SPARSE}()", "labels", "zeros and ones", None),
    ("sparse_some_zeros", f"{SPARSE}()", "labels", "some zeros", None),
    ("categorical_logits", f"{CATEGORICAL}(from_logits=True)", "one-hot", "logits", None),
    ("categorical_logits_smooth", f"{CATEGORICAL}(from_logits=True, {SMOOTH})", "one-hot", "logits", None),
    ("categorical_probabilities", f"{CATEGORICAL}()", "one-hot", "probabilities", None),
    ("categorical_probabilities_smooth", f"{CATEGORICAL}({SMOOTH})", "one-hot", "probabilities", None),
    ("categorical_unnormalized", f"{CATEGORICAL}()", "one-hot", "unnormalized", None),
    ("categorical_zeros_and_ones", f"{CATEGORICAL}()", "one-hot", "zeros and ones", None),
    ("categorical_some_zeros", f"{CATEGORICAL}()", "one-hot", "some zeros", None),
    ("binary_logits", f"{BINARY}(from_logits=True)", "bits", "bit logits", None),
    ("binary_logits_smooth", f"{BINARY}(from_logits=True, {SMOOTH})", "bits", "bit logits", None),
    ("binary_big_logits", f"{BINARY}(from_logits=True)", "bits", "big bit logits", None),
    ("binary_probabilities", f"{BINARY}()", "bits", "bit probabilities", None),
    ("binary_probabilities_smooth", f"{BINARY}({SMOOTH})", "bits", "bit probabilities", None),
    ("binary_zeros_and_ones", f"{BINARY}()", "bits", "bit zeros and ones", None),
    ("binary_some_zeros", f"{BINARY}()", "bits", "some bit zeros", None),
    ("mse", "MeanSquaredError()", "normal", "normal", None),
    ("mse_rank3", "MeanSquaredError()", "normal rank 3", "normal rank 3", None),
    ("mae", "MeanAbsoluteError()", "normal", "normal", None),
    ("huber", "Huber()", "normal", "normal", None),
    ("huber_delta_half", "Huber(delta=0.5)", "normal", "normal", None),
    ("softmax_sparse", f"{SPARSE}()", "labels", "logits", "softmax"),
    ("softmax_sparse_big", f"{SPARSE}()", "labels", "big logits", "softmax"),
    ("softmax_categorical", f"{CATEGORICAL}()", "one-hot", "logits", "softmax"),
    ("softmax_categorical_big", f"{CATEGORICAL}()", "one-hot", "big logits", "softmax"),
    ("softmax_categorical_smooth", f"{CATEGORICAL}({SMOOTH})", "one-hot", "logits", "softmax"),
    ("sigmoid_binary", f"{BINARY}()", "bits", "bit logits", "sigmoid"),
    ("sigmoid_binary_one_unit", f"{BINARY}()", "bit", "logit", "sigmoid"),
    ("sigmoid_binary_one_unit_big", f"{BINARY}()", "bit", "big logit", "sigmoid"),
]
WEIGHTED = ["sparse_probabilities", "categorical_logits", "binary_logits", "mse", "huber", "softmax_sparse"]

# --- optimizers -------------------------------------------------------------------------------------------------------

# The learning rates are large where the default ones would hide a wrong step behind the tolerance.
OPTIMIZERS = [
    ("sgd", "SGD()"),
    ("sgd_momentum", "SGD(learning_rate=0.1, momentum=0.9)"),
    ("sgd_nesterov", "SGD(learning_rate=0.1, momentum=0.9, nesterov=True)"),
    ("sgd_weight_decay", "SGD(learning_rate=0.1, weight_decay=0.05)"),
    ("sgd_weight_decay_of_kernels", "without_decay(['bias'], SGD(learning_rate=0.1, weight_decay=0.5))"),
    ("sgd_clipnorm", "SGD(learning_rate=0.1, clipnorm=1.0)"),
    ("sgd_clipvalue", "SGD(learning_rate=0.1, clipvalue=0.5)"),
    ("sgd_global_clipnorm", "SGD(learning_rate=0.1, global_clipnorm=2.5)"),
    ("sgd_ema", "SGD(learning_rate=0.1, use_ema=True)"),
    ("sgd_ema_overwrite", "SGD(learning_rate=0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)"),
    ("sgd_accumulation", "SGD(learning_rate=0.1, momentum=0.9, gradient_accumulation_steps=2)"),
    ("adam", "Adam()"),
    ("adam_options", "Adam(learning_rate=0.01, beta_1=0.8, beta_2=0.9, epsilon=1e-3)"),
    ("adam_amsgrad", "Adam(learning_rate=0.1, beta_2=0.5, amsgrad=True)"),
    (
        "adam_everything",
        "Adam(schedules.ExponentialDecay(0.5, 2, 0.5), weight_decay=0.1, global_clipnorm=1.0, use_ema=True, "
        "ema_momentum=0.5, ema_overwrite_frequency=2, gradient_accumulation_steps=2)",
    ),
    ("adamw", "AdamW()"),
    ("adamw_large_rate", "AdamW(learning_rate=0.5)"),
    ("adamw_options", "AdamW(0.1, weight_decay=0.5, beta_1=0.8, beta_2=0.9, epsilon=1e-3, amsgrad=True)"),
    ("rmsprop", "RMSprop(learning_rate=0.1)"),
    ("rmsprop_momentum", "RMSprop(learning_rate=0.1, rho=0.8, momentum=0.5, epsilon=1e-3)"),
    ("rmsprop_centered", "RMSprop(learning_rate=0.1, centered=True)"),
    ("rmsprop_centered_momentum", "RMSprop(learning_rate=0.1, momentum=0.5, centered=True)"),
    ("adagrad", "Adagrad(learning_rate=0.5)"),
    ("adagrad_options", "Adagrad(learning_rate=0.5, initial_accumulator_value=2.0, epsilon=0.1)"),
    ("adadelta", "Adadelta(learning_rate=1000.0)"),
    ("adadelta_options", "Adadelta(learning_rate=10.0, rho=0.5, epsilon=1e-2)"),
    ("adamax", "Adamax(learning_rate=0.1)"),
    ("adamax_options", "Adamax(learning_rate=0.1, beta_1=0.5, beta_2=0.75, epsilon=0.1)"),
    ("nadam", "Nadam(learning_rate=0.1)"),
    ("nadam_options", "Nadam(learning_rate=0.1, beta_1=0.5, beta_2=0.75, epsilon=0.1)"),
    ("lion", "Lion(learning_rate=0.1)"),
    ("lion_options", "Lion(learning_rate=0.1, beta_1=0.25, beta_2=0.5)"),
]

# --- schedules --------------------------------------------------------------------------------------------------------

STEPS = [0, 1, 2, 4, 5, 6, 9, 10, 11, 14, 15, 19, 20, 21, 25, 29, 30, 31, 49, 50, 69, 70, 71, 99, 100, 101, 1000]
SCHEDULES = [
    ("exponential_decay", "ExponentialDecay(0.1, 10, 0.5)"),
    ("exponential_decay_staircase", "ExponentialDecay(0.1, 10, 0.5, staircase=True)"),
    ("inverse_time_decay", "InverseTimeDecay(0.1, 10, 0.5)"),
    ("inverse_time_decay_staircase", "InverseTimeDecay(0.1, 10, 0.5, staircase=True)"),
    ("polynomial_decay", "PolynomialDecay(0.1, 50)"),
    ("polynomial_decay_options", "PolynomialDecay(0.1, 50, end_learning_rate=0.01, power=2.0)"),
    ("polynomial_decay_cycle", "PolynomialDecay(0.1, 10, end_learning_rate=0.01, power=0.5, cycle=True)"),
    ("piecewise_constant_decay", "PiecewiseConstantDecay([10, 30], [0.1, 0.05, 0.01])"),
    ("cosine_decay", "CosineDecay(0.1, 50)"),
    ("cosine_decay_alpha", "CosineDecay(0.1, 50, alpha=0.25)"),
    ("cosine_decay_warmup", "CosineDecay(0.01, 50, alpha=0.25, warmup_target=0.1, warmup_steps=20)"),
    ("cosine_decay_restarts", "CosineDecayRestarts(0.1, 10)"),
    ("cosine_decay_restarts_options", "CosineDecayRestarts(0.1, 10, t_mul=1.5, m_mul=0.5, alpha=0.25)"),
    ("cosine_decay_restarts_even", "CosineDecayRestarts(0.1, 10, t_mul=1.0, m_mul=0.5)"),
]

# --- metrics ----------------------------------------------------------------------------------------------------------

TIES = [
    [3, 1, 3, 3, 0, 2],
    [0, 1, 2, 3, 4, 4],
    [1, 1, 1, 1, 1, 1],
    [5, 4, 3, 2, 1, 0],
    [5, 4, 3, 2, 1, 0],
    [2, 2, 2, 1, 1, 1],
]
SCORES = [
    [1, 2, 9, 0, 3, 4],
    [6, 1, 2, 3, 5, 4],
    [1, 2, 3, 4, 5, 6],
    [1, 4, 2, 6, 5, 3],
    [5, 4, 3, 2, 1, 0],
    [6, 5, 4, 3, 2, 1],
]
BITS, CHANCES = [[1], [0], [1], [0], [1]], [[0.5], [0.2], [0.51], [0.9], [1.0]]
REALS = [[1, 2], [3, 4], [-1, 0.5]], [[0.5, 2.5], [3, 1], [1, -0.5]]
LABELS = np.array([2, 4, 5, 1, 5, 3], np.int32)
ONE_HOT = np.eye(6)[LABELS]


def guess(seed, truth, noise):
    """Predictions between 0 and 1 that are the better the smaller the noise."""
    truth = np.array(truth)
    return (1 - noise) * truth + noise * np.random.default_rng(seed).random(truth.shape)


CLASS_OF_EACH = np.array([i * i % 13 % 4 for i in range(42)], np.int32)
CLASS_ROWS = np.eye(5)[CLASS_OF_EACH]  # the last class has no sample
GUESSED = CLASS_ROWS, guess(0, CLASS_ROWS, 0.6)
MANY_BITS = [[i % 3 == 0, i % 5 < 2, i % 7 > 1] for i in range(42)]
MANY = MANY_BITS, guess(1, MANY_BITS, 0.7)
PIXELS = np.eye(3)[[[[i % 3, i % 2], [0, i % 5 % 3]] for i in range(10)]]
IMAGES = PIXELS, guess(2, PIXELS, 0.6)
EDGES = [[0], [1], [0], [1], [0], [1], [1], [0]], [[0], [0], [0.25], [0.5], [0.5], [1], [1.5], [-0.5]]
ALL = [[1]] * 9, [[i / 10] for i in range(1, 10)]
NONE = [[0]] * 9, [[i / 20] for i in range(1, 10)]
POINTS = np.random.default_rng(3).standard_normal((2, 11, 3))
LINES = np.random.default_rng(4).standard_normal((2, 11, 3)) + [[i, 30 - i, i % 3] for i in range(11)]

COUNTS = [
    ("", "", MANY),
    ("_threshold", "thresholds=0.3", MANY),
    ("_class", "class_id=2", GUESSED),
    ("_class_absent", "class_id=4", GUESSED),
    ("_images", "class_id=1", IMAGES),
    ("_top2", "top_k=2", GUESSED),
    ("_top2_ties", "top_k=2", (ONE_HOT, TIES)),
    ("_top3_threshold", "top_k=3, class_id=1, thresholds=0.25", GUESSED),
    ("_none", "", NONE),
]
AREAS = [
    ("", "", MANY),
    ("_classes", "", GUESSED),
    ("_few", ", num_thresholds=5", MANY),
    ("_two", ", num_thresholds=2", MANY),
    ("_edges", ", num_thresholds=5", EDGES),
    ("_logits", ", from_logits=True", (MANY[0], 8 * MANY[1] - 4)),
    ("_all", "", ALL),
    ("_none", "", NONE),
]
AVERAGES = ("macro", "micro", "weighted")

# (case, metric, y_true, y_pred)
METRICS = [
    ("accuracy_sparse", "SparseCategoricalAccuracy()", LABELS, SCORES),
    ("accuracy_sparse_ties", "SparseCategoricalAccuracy()", LABELS, TIES),
    ("accuracy_categorical", "CategoricalAccuracy()", ONE_HOT, SCORES),
    ("accuracy_binary", "BinaryAccuracy()", BITS, CHANCES),
    ("accuracy_binary_many", "BinaryAccuracy()", [[1, 0, 1], [0, 0, 1]], [[0.6, 0.5, 0.4], [0.2, 0.7, 0.9]]),
    *((f"top{k}_sparse", f"SparseTopKCategoricalAccuracy(k={k})", LABELS, SCORES) for k in (1, 2, 5)),
    *((f"top{k}_sparse_ties", f"SparseTopKCategoricalAccuracy(k={k})", LABELS, TIES) for k in (1, 2, 5)),
    *((f"top{k}_categorical", f"TopKCategoricalAccuracy(k={k})", ONE_HOT, SCORES) for k in (1, 2, 5)),
    ("mse", "MeanSquaredError()", *REALS),
    ("mae", "MeanAbsoluteError()", *REALS),
    ("cosine_similarity", "CosineSimilarity()", *POINTS),
    ("cosine_similarity_zeros", "CosineSimilarity()", [[0, 0], [3, 4], [1, 1]], [[1, 2], [0, 0], [1, 0]]),
    ("cosine_similarity_images", "CosineSimilarity()", *IMAGES),
    *((f"precision{name}", f"Precision({arguments})", *data) for name, arguments, data in COUNTS),
    *((f"recall{name}", f"Recall({arguments})", *data) for name, arguments, data in COUNTS),
    *((f"f1_{average}", f"F1Score('{average}')", *GUESSED) for average in AVERAGES),
    *((f"f1_{average}_ties", f"F1Score('{average}')", ONE_HOT, TIES) for average in AVERAGES),
    *((f"f1_{average}_threshold", f"F1Score('{average}', threshold=0.4)", *MANY) for average in AVERAGES),
    ("f1_macro_zeros", "F1Score('macro')", [[1, 0], [0, 1]], [[0, 0], [0, 0.5]]),
    ("f1_weighted_none", "F1Score('weighted', threshold=0.4)", *NONE),
    *((f"auc_roc{name}", f"AUC(curve='ROC'{arguments})", *data) for name, arguments, data in AREAS),
    *((f"auc_pr{name}", f"AUC(curve='PR'{arguments})", *data) for name, arguments, data in AREAS),
    ("mean_iou", "MeanIoU(5, sparse_y_pred=False)", CLASS_OF_EACH, GUESSED[1]),
    ("mean_iou_6_ties", "MeanIoU(6, sparse_y_pred=False)", LABELS, TIES),
    ("mean_iou_ignore", "MeanIoU(5, ignore_class=1, sparse_y_pred=False)", CLASS_OF_EACH, GUESSED[1]),
    ("mean_iou_one_hot", "OneHotMeanIoU(5, sparse_y_pred=False)", *GUESSED),
    ("mean_iou_images", "OneHotMeanIoU(3, sparse_y_pred=False)", *IMAGES),
    ("r2", "R2Score()", *LINES),
    ("r2_bad", "R2Score()", *POINTS),
    ("r2_constant", "R2Score()", *ALL),
]

# --- compilation -----------------------------------------------------------------------------------------------------

# The arguments of compile in the forms that Keras allows, for a model of one layer, "dense", with a softmax.
COMPILED = [
    ("names", "optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy']"),
    ("short_names", "optimizer='sgd', loss='mse', metrics=['acc', 'MAE', 'mse']"),
    ("objects", "optimizer=SGD(0.5), loss=CategoricalCrossentropy(label_smoothing=0.25), metrics=[Recall(name='found'), 'accuracy']"),
    ("functions", "optimizer='rmsprop', loss=losses.mean_squared_error, metrics=[metrics.mean_absolute_error]"),
    ("dictionaries", "optimizer='nadam', loss={'dense': 'mse'}, metrics={'dense': ['mae']}, loss_weights={'dense': 1.0}"),
    ("lists", "optimizer='adamax', loss=['mse'], metrics=[['mae']], loss_weights=[1.0]"),
    ("no_metrics", "optimizer=AdamW(weight_decay=0.25), loss=Huber()"),
]

# --- initializers -----------------------------------------------------------------------------------------------------

SHAPES = [(10,), (784, 10), (3, 3, 1, 32), (3, 3, 32, 64), (5, 2, 4, 6), (1, 1, 16, 8)]
# name: (scale, which fan, distribution), the arguments of Keras's VarianceScaling
INITIALIZERS = {
    "glorot_uniform": (1, "avg", "uniform"),
    "glorot_normal": (1, "avg", "truncated_normal"),
    "he_uniform": (2, "in", "uniform"),
    "he_normal": (2, "in", "truncated_normal"),
    "lecun_uniform": (1, "in", "uniform"),
    "lecun_normal": (1, "in", "truncated_normal"),
}
TRUNCATED_STD = 0.87962566103423978  # of a standard normal cut at two sigma

# --- callbacks --------------------------------------------------------------------------------------------------------

NAN = math.nan
# The monitored figure of each epoch. All are multiples of 1/16, so that float32 and float64 compare them alike; the random ones
# have few values, so many ties, and a NaN in ten, but not the first.
FIGURES = {
    "falling": [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125],
    "rising": [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0],
    "plateau": [1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25],
    "small_steps": [1.0, 0.9375, 0.875, 0.8125, 0.75, 0.6875, 0.625, 0.5625],
    "bumps": [1.0, 1.25, 0.75, 1.0, 1.0, 0.5, 0.75, 0.75, 0.75, 0.25, 0.5, 0.5],
    "warm_up": [0.0625, 4.0, 3.0, 2.0, 2.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.03125],
    "nan_inside": [1.0, NAN, 0.5, NAN, NAN, 0.25, NAN, NAN, NAN, 0.125],
    "nan_first": [NAN, 1.0, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125],
    "long": [1.0] * 34,
    **{f"random{seed}": np.random.default_rng(seed).integers(1, 9, 16) / 8 for seed in range(6)},
}
for seed in range(6):
    figures = FIGURES[f"random{seed}"]
    figures[1:][np.random.default_rng(100 + seed).random(len(figures) - 1) < 0.1] = NAN

# (callback, arguments); each is given all figures
CALLBACKS = [
    ("EarlyStopping", {}),
    ("EarlyStopping", {"patience": 1}),
    ("EarlyStopping", {"patience": 3}),
    ("EarlyStopping", {"patience": 2, "min_delta": 0.125}),
    ("EarlyStopping", {"patience": 2, "min_delta": -0.25}),
    ("EarlyStopping", {"patience": 2, "mode": "max"}),
    ("EarlyStopping", {"patience": 3, "mode": "max", "min_delta": 0.125}),
    ("EarlyStopping", {"patience": 2, "baseline": 0.5}),
    ("EarlyStopping", {"patience": 1, "baseline": 0.0}),
    ("EarlyStopping", {"patience": 2, "baseline": 0.625, "min_delta": 0.125, "mode": "max"}),
    ("EarlyStopping", {"start_from_epoch": 2}),
    ("EarlyStopping", {"start_from_epoch": 3, "patience": 2}),
    ("EarlyStopping", {"start_from_epoch": 1, "patience": 2, "baseline": 0.75}),
    ("ReduceLROnPlateau", {}),
    ("ReduceLROnPlateau", {"patience": 0}),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5}),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.5}),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5, "cooldown": 1}),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.25, "cooldown": 3}),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5, "min_lr": 0.375}),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.5, "min_delta": 0.125}),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.5, "mode": "max"}),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.5, "mode": "max", "min_delta": 0.125, "cooldown": 1}),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.0}),
]

# --- trajectory ------------------------------------------------------------------------------------------------------


def mnist_data(steps=100, batch=64):
    """Training images times float32(1/255) and labels, and a permutation of the first of them, cut into batches."""
    images, labels = mnist_idx.load("train")
    indices = np.random.default_rng(0).permutation(steps * batch).reshape(steps, batch)
    return images[: steps * batch] * np.float32(1 / 255), labels.astype(np.int32), indices.astype(np.int32)
