"""Trains the MNIST model of examples/mnist.rs with PyTorch or Keras, to time an epoch against ours on one machine.

    python data-scripts/peers.py --framework torch --epochs 5
    python data-scripts/peers.py --framework keras --epochs 5

Both use all cores, batches of 64, Adam with Keras's defaults, float32 images that are ready in memory, and a new
permutation each epoch. Prints each epoch's time, and the test accuracy after the last. Measure on an idle
machine: PyTorch's threads wait for one another, so anything else that runs slows it down many times over.
"""

import argparse
import os
import time

import mnist_idx
import numpy as np


def load(part, limit):
    images, labels = mnist_idx.load(part)
    return images[:limit] * np.float32(1 / 255), labels[:limit].astype(np.int64)


def report(epoch, seconds, loss):
    print(f"epoch {epoch}: {seconds:.2f} s, loss {loss:.4f}", flush=True)


def train_torch(train, test, args):
    """Returns the test accuracy."""
    import torch
    from torch import nn

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    layout = torch.channels_last
    x, x_test = (torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=layout) for x, _ in (train, test))
    y, y_test = (torch.from_numpy(labels) for _, labels in (train, test))
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, 10),
    ).to(memory_format=layout)
    for parameter in model.parameters():  # Keras's initializers
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
        else:
            nn.init.zeros_(parameter)
    optimizer = torch.optim.Adam(model.parameters(), eps=1e-7)
    criterion = nn.CrossEntropyLoss()

    for epoch in range(1, args.epochs + 1):
        start, total = time.perf_counter(), 0.0
        for batch in torch.randperm(len(x)).split(args.batch_size):
            optimizer.zero_grad()
            loss = criterion(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        report(epoch, time.perf_counter() - start, total / len(x))
    with torch.inference_mode():
        right = sum((model(a).argmax(1) == b).sum().item() for a, b in zip(x_test.split(1000), y_test.split(1000)))
    return right / len(x_test)


def train_keras(train, test, args):
    """Returns the test accuracy. Keras compiles the step with XLA, within the first epoch."""
    os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    import keras
    import tensorflow as tf
    from keras import layers

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    keras.utils.set_random_seed(args.seed)

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            report(epoch + 1, time.perf_counter() - self.start, logs["loss"])

    model = keras.Sequential(
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
    jit = {"auto": "auto", "on": True, "off": False}[args.jit]
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=jit)
    model.fit(*train, batch_size=args.batch_size, epochs=args.epochs, verbose=0, callbacks=[Clock()])
    return model.evaluate(*test, batch_size=1000, verbose=0)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--framework", choices=["torch", "keras"], required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="train on this many images only, and test on as many")
    parser.add_argument("--jit", choices=["auto", "on", "off"], default="auto", help="Keras: XLA")
    args = parser.parse_args()
    run = {"torch": train_torch, "keras": train_keras}[args.framework]
    accuracy = run(load("train", args.limit), load("t10k", args.limit), args)
    print(f"test accuracy: {accuracy:.4f}")


if __name__ == "__main__":
    main()
