"""Reads the file of a model that cornu has saved with Python's safetensors, and makes a Keras model of it.

    python data-scripts/check_safetensors.py tests/fixtures/version_1.safetensors

Prints the tensors, and what Keras predicts and evaluates with them, which tests/suite/files.rs expects.
"""

import json
import math
import os
import sys

os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}

import keras
import numpy as np
from safetensors import safe_open


def main():
    with safe_open(sys.argv[1], "numpy") as file:
        metadata = json.loads(file.metadata()["cornu"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    print({name: value for name, value in metadata.items() if name not in ("architecture", "compile_config")})
    for name, tensor in tensors.items():
        print(f"{name}: {tensor.dtype} {list(tensor.shape)}")

    model = keras.models.model_from_json(metadata["architecture"])
    for layer in model.layers:
        layer.set_weights([tensors.pop(f"{layer.name}/{weight.name}") for weight in layer.weights])
    trained = sum(weight.numpy().size for weight in model.trainable_weights)
    for name in [name for name in tensors if name.startswith("optimizer/")]:
        assert tensors.pop(name).shape == (trained,), name
    assert set(tensors) <= {"optimizer learning rate"}, tensors.keys()

    x = np.linspace(-1, 1, 2 * math.prod(model.input_shape[1:]), dtype="float32").reshape(2, *model.input_shape[1:])
    print(model.predict(x, verbose=0).tolist())
    model.compile_from_config(json.loads(metadata["compile_config"]))
    print(model.optimizer.get_config())
    print(model.evaluate(x, np.array([0, 2]), verbose=0))


if __name__ == "__main__":
    main()
