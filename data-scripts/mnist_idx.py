"""Reads the repository's MNIST files (data/mnist, IDX format: a header, then bytes)."""

import gzip
from pathlib import Path

import numpy as np

MNIST = Path(__file__).resolve().parent.parent / "data" / "mnist"


def load(part):
    """Images [n, 28, 28, 1] and labels [n] of "train" or "t10k", as uint8."""
    with gzip.open(MNIST / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(MNIST / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images, labels
