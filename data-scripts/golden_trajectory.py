"""Trains two models in Keras, writes each step's loss to tests/golden/trajectory.safetensors or measures its spread.

    python data-scripts/golden_trajectory.py                          # writes the file
    python data-scripts/golden_trajectory.py --compare --threads 2    # how far are such a run's losses from the file's?
    python data-scripts/golden_trajectory.py --compare --dtype float64
    python data-scripts/golden_trajectory.py --compare --jit
"""

import argparse
import os

os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}

import keras
import numpy as np
import tensorflow as tf
from golden_cases import GOLDEN, mnist_data
from keras import layers, optimizers
from safetensors.numpy import load_file, save_file

FILE = GOLDEN / "trajectory.safetensors"

# Keras rounds Adam's betas to float32 even in a float64 model, but only where it corrects the bias. These are exact in
# float32, so that another implementation can reproduce the float64 losses to the last digits.
F32_BETAS = {"beta_1": 0.875, "beta_2": 1 - 2**-10}


def mnist_model():
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def small_model():
    return keras.Sequential(
        [
            layers.Input((9, 9, 2)),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(6, activation="sigmoid"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def small_data(samples=24, steps=50, batch=8):
    """Random images with a label that they determine, and batches drawn from them."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((samples, 9, 9, 2)).astype(np.float32)
    y = (x[:, 2:7, 2:7, 0].mean((1, 2)) > 0).astype(np.float32)[:, None]
    indices = np.concatenate([rng.permutation(samples) for _ in range(steps * batch // samples + 1)])
    return x, y, indices[: steps * batch].reshape(steps, batch).astype(np.int32)


def train(model, data, optimizer, loss, jit=False):
    """The loss and the accuracy of each batch, taken before its update."""
    x, y, indices = data
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=jit)
    history = []
    for batch in indices:
        model.reset_metrics()  # train_on_batch reports means since the last reset
        history.append(model.train_on_batch(x[batch], y[batch]))
    return np.array(history).T


def run(dtype="float32", jit=False, start=None, adam=None):
    """Both trajectories, from the weights in `start` or from new ones."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)  # set_floatx alone is not seen once a layer was made
    mnist, small = mnist_data(), small_data()
    x, y, indices = small
    tensors = {"mnist/indices": mnist[2], "small/x": x, "small/y": y, "small/indices": indices}
    settings = {
        "mnist": (mnist_model, mnist, optimizers.Adam, adam or {}, "sparse_categorical_crossentropy"),
        "small": (
            small_model,
            small,
            optimizers.SGD,
            {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
            "binary_crossentropy",
        ),
    }
    for name, (build, data, optimizer, options, loss) in settings.items():
        keras.utils.set_random_seed(0)
        model = build()
        if start:
            model.set_weights([start[f"{name}/w{i}"] for i in range(len(model.weights))])
        tensors |= {f"{name}/w{i}": w.astype(np.float32) for i, w in enumerate(model.get_weights())}
        losses, accuracies = train(model, data, optimizer(**options), loss, jit)
        tensors |= {f"{name}/loss": losses.astype(dtype), f"{name}/accuracy": accuracies.astype(np.float32)}
    return tensors


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--jit", action="store_true", help="compile with XLA")
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if not args.jit:
        tf.config.experimental.enable_op_determinism()

    if args.compare:
        golden = load_file(FILE)
        tensors = run(args.dtype, args.jit, start=golden)
        for name in ("mnist", "small"):
            far = abs(tensors[f"{name}/loss"].astype(np.float64) - golden[f"{name}/loss"])
            over = np.append(np.flatnonzero(far > 1e-4) + 1, "none")[0]
            largest = f"largest: {far.max():.1e}, of the first 25: {far[:25].max():.1e}, last: {far[-1]:.1e}"
            print(f"{name}: first step over 1e-4: {over}; {largest}")
    else:
        tensors = run()
        exact = run("float64", start=tensors, adam=F32_BETAS)
        save_file(tensors | {f"{name}/loss_f64": exact[f"{name}/loss"] for name in ("mnist", "small")}, FILE)


if __name__ == "__main__":
    main()
