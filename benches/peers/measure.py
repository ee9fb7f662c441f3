"""The measurement, the same for every program here that is written in Python; measure.rs is its twin."""

import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

# How many images a training step takes.
BATCH = 64

# How many images a prediction takes when all test images are to be predicted.
PREDICTION_BATCH = 256

# The images of the training before the clock starts: 20 full batches and one of 32 images, as the last of an epoch.
WARM_UP = 20 * BATCH + 32

# The best of so many passes over all test images counts, after one that does not.
PASSES = 5

# The median of so many single predictions counts, after a tenth of them that does not.
SINGLES = 1000


class Split(NamedTuple):
    images: np.ndarray  # [n, 28, 28, 1], f32, 0 to 1
    labels: np.ndarray  # [n], u8


class Peer(Protocol):
    """A library that has MNIST in the form that suits it, and one model: Keras's MNIST example."""

    setting: str
    """The choices that were made for the library, for the table."""

    def train(self, n: int, seed: int) -> None:
        """Gives the model new weights and trains it for one epoch on the first `n` images, shuffled, in batches of `BATCH`.

        The model stays the same, so that what the library has compiled for it serves again."""

    def predict_all(self) -> np.ndarray:
        """The probabilities of all test images, [images, 10], in batches of `PREDICTION_BATCH`."""

    def predict_one(self, i: int) -> np.ndarray:
        """The probabilities of the test image `i`, which lies ready in the library's own form."""


def run(peer_of: Callable[[Split, Split], Peer]) -> None:
    """Measures a library and prints a line of JSON. The arguments are run.py's: the folder of MNIST, how many images to
    take of each part, and the seed. The library is given both parts."""
    folder, limit, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    train, test = load(folder, "train", limit), load(folder, "t10k", limit)
    peer = peer_of(train, test)

    peer.train(min(WARM_UP, len(train.labels)), seed)
    epoch = seconds(lambda: peer.train(len(train.labels), seed))

    probabilities = peer.predict_all()
    passes = [seconds(peer.predict_all) for _ in range(PASSES)]
    one = [seconds(lambda: peer.predict_one(i % len(test.labels))) for i in range(SINGLES // 10 + SINGLES)]

    accuracy = np.mean(probabilities.argmax(1) == test.labels)
    figures = {
        "epoch_s": epoch,
        "predict_10000_s": min(passes),
        "predict_one_us": statistics.median(one[SINGLES // 10 :]) * 1e6,
        "accuracy": float(accuracy),
        "setting": peer.setting,
    }
    print(json.dumps(figures))


def load(folder: Path, part: str, limit: int) -> Split:
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)[:limit]
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)[:limit]
    return Split(images / np.float32(255), labels)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
