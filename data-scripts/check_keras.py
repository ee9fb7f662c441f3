"""Has Keras load what cornu saved, and says how far its probabilities and the losses of its next 100 steps are from cornu's.

    cargo test --release --all-features --test suite keras::for_keras -- --ignored
    python data-scripts/check_keras.py target/tmp/keras
"""

import os
import sys

os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras_models import FOLDER, train
from mnist_idx import load
from safetensors.numpy import load_file


def mnist(part):
    images, labels = load(part)
    return images * np.float32(1 / 255), labels.astype(np.int32)


def main():
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    folder = Path(sys.argv[1])
    failed = False
    for path in sorted(folder.glob("*.keras")):
        cornu = load_file(path.with_suffix(".safetensors"))
        model = keras.saving.load_model(path)
        if "x" in cornu:
            x, labels = cornu["x"], cornu["labels"].astype(np.int32)
            x_test = x
        else:
            (x, labels), (x_test, _) = mnist("train"), mnist("t10k")
        far = abs(model.predict(x_test, verbose=0) - cornu["y"]).max()
        line = f"{path.name}: probabilities of {len(x_test)} inputs off by {far:.1e}"
        failed |= not far < 1e-5
        if "loss" in cornu:
            loss = train(model, x, labels, cornu["indices"].astype(np.int32))
            far = abs(loss - cornu["loss"]).max()
            line += f", {len(loss)} losses by {far:.1e}"
            failed |= not far < 1e-4
        print(line, flush=True)
    # The other way: what cornu makes of the models that Keras saved.
    cornu = load_file(folder / "of_keras.safetensors")
    for name in ("mnist.keras", "mnist.h5"):
        far = abs(keras.saving.load_model(FOLDER / name).predict(mnist("t10k")[0], verbose=0) - cornu[name]).max()
        print(f"Keras's {name}: cornu's probabilities of {len(cornu[name])} inputs off by {far:.1e}")
        failed |= not far < 1e-5
    sys.exit(failed)


if __name__ == "__main__":
    main()
