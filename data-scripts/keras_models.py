"""Trains models in Keras and writes them, with what Keras makes of them, to tests/fixtures/keras.

    python data-scripts/keras_models.py

For each model: some inputs, its probabilities for them, and the losses of the 100 steps of training that follow.
"""

import os

os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}

import shutil
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
import tf_keras
from golden_trajectory import mnist_model
from keras import layers, losses, optimizers
from mnist_idx import load
from safetensors.numpy import save_file

FOLDER = Path(__file__).parent.parent / "tests" / "fixtures" / "keras"

# Drops nothing and is there: Keras and cornu draw other random numbers.
NEVER = 1e-9

def all_optimizers():
    return {
        "sgd": optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        "plain_sgd": optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 20, 0.5)),
        "adam": optimizers.Adam(0.01, amsgrad=True, use_ema=True, gradient_accumulation_steps=3),
        "adamw": optimizers.AdamW(0.01, clipnorm=0.5),
        "rmsprop": optimizers.RMSprop(0.01, momentum=0.5, centered=True),
        "adagrad": optimizers.Adagrad(0.1),
        "adadelta": optimizers.Adadelta(1.0),
        "adamax": optimizers.Adamax(0.01),
        "nadam": optimizers.Nadam(0.01),
        "lion": optimizers.Lion(0.001),
    }


def layers_model():
    """Every padding and activation, and the layers that have weights or state."""
    return keras.Sequential(
        [
            layers.Input((12, 12, 2)),
            layers.Rescaling(2.0, offset=0.5),
            layers.Conv2D(4, 3, padding="same", activation="leaky_relu", use_bias=False, name="named"),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("elu"),
            layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, activation="selu"),
            layers.SeparableConv2D(6, 3, padding="valid", activation="gelu"),
            layers.Dropout(NEVER),
            layers.Conv2D(8, 3, padding="same", dilation_rate=2, groups=2, activation="silu"),
            layers.MaxPooling2D(2, strides=1, padding="same"),
            layers.SpatialDropout2D(NEVER),
            layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="softplus"),
            layers.AveragePooling2D(2),
            layers.BatchNormalization(scale=False),
            layers.ZeroPadding2D(1),
            layers.Cropping2D(((1, 0), (0, 1))),
            layers.ReLU(),
            layers.LeakyReLU(negative_slope=0.2),
            layers.ELU(alpha=0.5),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Reshape((25, 4)),
            layers.Conv1D(6, 3, padding="causal", activation="tanh"),
            layers.LayerNormalization(),
            layers.Conv1D(6, 2, padding="valid", activation="hard_sigmoid", kernel_regularizer="l2"),
            layers.MaxPooling1D(2),
            layers.Permute((2, 1)),
            layers.Dense(5, activation="sigmoid"),
            layers.Flatten(),
            layers.Dense(8, activation="relu", name="last_but_one", kernel_constraint=keras.constraints.MaxNorm(2.0)),
            layers.Dense(4),
            layers.Softmax(),
        ]
    )


def functional_model():
    x = keras.Input((6,), name="in")
    y = layers.Dense(5, activation="tanh")(x)
    y = layers.BatchNormalization()(y)
    return keras.Model(x, layers.Dense(3, activation="softmax")(y))


def keras2_model():
    return tf_keras.Sequential(
        [
            tf_keras.layers.Input((6,)),
            tf_keras.layers.Dense(5, activation="tanh"),
            tf_keras.layers.BatchNormalization(),
            tf_keras.layers.Dropout(NEVER),
            tf_keras.layers.Dense(3, activation="softmax"),
        ]
    )


def called_model():
    """Calls with arguments, which Keras's fit and predict do not heed."""
    x = keras.Input((6,))
    y = layers.BatchNormalization()(x, training=False)
    y = layers.Dropout(0.5)(y, training=True)
    return keras.Model(x, layers.Dense(3)(inputs=y))


def half_model(x, y):
    """In half precision, where Keras wraps the optimizer in one that scales the loss."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    model = dense_model()
    keras.mixed_precision.set_global_policy("float32")
    model.compile(optimizers.Adam(0.25), "sparse_categorical_crossentropy")
    train(model, x, y, batches(32, 3, 8))
    return model


def dense_model():
    return keras.Sequential(
        [layers.Input((6,)), layers.Dense(5, activation="tanh"), layers.Dense(3, activation="softmax")]
    )


def batches(samples, steps, size, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(samples)[:size] for _ in range(steps)]).astype(np.int32)


def train(model, x, y, indices):
    """The loss of each batch, taken before its update. Each is a fit of its own, which ends with the average of the weights, if there is one."""
    losses = []
    for batch in indices:
        history = model.fit(x[batch], y[batch], batch_size=len(batch), shuffle=False, verbose=0)
        losses += history.history["loss"]
    return np.array(losses, np.float32)


def deflated(model, path):
    """Saves in the format .keras, compressed, which Keras reads, too."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "model.keras"
        model.save(plain)
        with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED)


def latest(old, new):
    """The same file as newer versions of HDF5 store it, with so many names and attributes that they are in heaps of several blocks."""
    with h5py.File(old) as old, h5py.File(new, "w", libver="latest") as new:
        for name in old:
            old.copy(name, new)
        for name, value in old.attrs.items():
            new.attrs[name] = value
        for i in range(100):
            new[f"another_name_{i}"] = new["model_weights"]
            if i < 20:
                new.attrs[f"another_{i}"] = "x" * i


def main():
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    keras.utils.set_random_seed(0)
    tensors = {}

    (x, y), (x_test, _) = [(x * np.float32(1 / 255), y.astype(np.int32)) for x, y in (load("train"), load("t10k"))]
    model = mnist_model()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=1, verbose=2)
    deflated(model, FOLDER / "mnist.keras")
    model.save(FOLDER / "mnist.h5", include_optimizer=False)
    tensors["mnist/y"] = model.predict(x_test[:100], verbose=0)
    tensors["mnist/indices"] = batches(len(x), 100, 64)
    tensors["mnist/loss"] = train(model, x, y, tensors["mnist/indices"])

    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 12, 12, 2)).astype(np.float32)
    y = rng.integers(0, 4, 64).astype(np.int32)
    model = layers_model()
    model.compile(optimizers.SGD(0.02, momentum=0.9), losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    train(model, x, y, batches(64, 50, 16, seed=1))
    deflated(model, FOLDER / "layers.keras")
    model.save(FOLDER / "layers.h5")
    model.save_weights(FOLDER / "layers.weights.h5")
    tensors |= {"layers/x": x, "layers/labels": y, "layers/y": model.predict(x, verbose=0)}
    tensors["layers/indices"] = batches(64, 100, 16)
    tensors["layers/loss"] = train(model, x, y, tensors["layers/indices"])

    x = rng.standard_normal((32, 6)).astype(np.float32)
    y = rng.integers(0, 3, 32).astype(np.int32)
    tensors |= {"dense/x": x, "dense/labels": y, "dense/indices": batches(32, 100, 8)}
    for name, optimizer in [*all_optimizers().items(), ("functional", optimizers.Adam(0.01))]:
        model = functional_model() if name == "functional" else dense_model()
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        train(model, x, y, batches(32, 10, 8, seed=1))
        if name == "functional":
            model.save(FOLDER / f"{name}.keras")
        else:
            deflated(model, FOLDER / f"{name}.keras")
        if name in ("functional", "nadam"):
            model.save(FOLDER / f"{name}.h5")
        tensors[f"{name}/y"] = model.predict(x, verbose=0)
        tensors[f"{name}/loss"] = train(model, x, y, tensors["dense/indices"])
    for name, optimizer in [
        ("keras2", tf_keras.optimizers.Adam(0.01)),
        ("keras2_legacy", tf_keras.optimizers.legacy.Adam(0.01)),
    ]:
        tf_keras.backend.clear_session()
        tf_keras.utils.set_random_seed(0)
        model = keras2_model()
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        train(model, x, y, batches(32, 10, 8, seed=1))
        model.save(FOLDER / f"{name}.h5")
        if name == "keras2":
            deflated(model, FOLDER / f"{name}.keras")
        tensors[f"{name}/y"] = model.predict(x, verbose=0)
        tensors[f"{name}/loss"] = train(model, x, y, tensors["dense/indices"])

    deflated(called_model(), FOLDER / "called.keras")
    deflated(half_model(x, y), FOLDER / "half.keras")
    latest(FOLDER / "functional.h5", FOLDER / "latest.h5")
    save_file(tensors, FOLDER / "expected.safetensors")


if __name__ == "__main__":
    main()
