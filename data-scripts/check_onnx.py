"""Gives what cornu writes as ONNX to onnx's checker and to onnxruntime, and compares what comes out; so with a model of PyTorch's.

    python data-scripts/check_onnx.py [FOLDER]

It calls `cargo test` (or what the variable CARGO says), which writes models of every layer, with every padding and activation.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mnist_idx
import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

TOLERANCE = 1e-5
TEST = ["test", "--all-features", "--test", "suite", "onnx::cases_for_onnxruntime", "--", "--ignored", "--exact"]


def train_on_mnist(folder):
    """The network of the README, trained by PyTorch for an epoch; returns what it says of the test images."""
    folder.mkdir()
    torch.manual_seed(0)
    (images, labels), (test_images, test_labels) = (mnist_idx.load(part) for part in ("train", "t10k"))
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1600, 10),
    )
    optimizer = torch.optim.Adam(model.parameters())
    for batch in torch.randperm(len(images)).split(128):
        x = torch.tensor(images[batch.numpy()]).float().permute(0, 3, 1, 2) / 255
        loss = nn.functional.cross_entropy(model(x), torch.tensor(labels[batch.numpy()]).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model = nn.Sequential(*model, nn.Softmax(dim=1)).eval()
    x = torch.tensor(test_images).float().permute(0, 3, 1, 2) / 255
    x.contiguous().numpy().tofile(folder / "images")
    with torch.no_grad():
        y = model(x).numpy()
    print(f"PyTorch: {100 * (y.argmax(1) == test_labels).mean():.2f} % of the test images")
    torch.onnx.export(
        model, (x[:1],), str(folder / "torch.onnx"), dynamo=False, input_names=["input"], output_names=["output"],
        dynamic_axes={"input": {0: "N"}, "output": {0: "N"}}, opset_version=17,
    )
    return y


def run(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def numbers(path, like):
    """The file's numbers, with the dimensions of a value of the model but for the batch."""
    sample = [dim.dim_value for dim in like.type.tensor_type.shape.dim[1:]]
    return np.fromfile(path, np.float32).reshape(-1, *sample)


def check(path):
    """The largest difference of a model of cornu's, and the largest number in it."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True)
    assert [(set.domain, set.version) for set in model.opset_import] == [("", 17)], path
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N", path
    x, y = (numbers(path.with_suffix(suffix), like) for suffix, like in ((".x", model.graph.input[0]), (".y", model.graph.output[0])))
    ours = run(path, x)
    assert ours.shape == y.shape, f"{path}: {ours.shape} is not {y.shape}"
    assert np.array_equal(run(path, x[:1]).shape, y[:1].shape), path
    transposes = sum(node.op_type == "Transpose" for node in model.graph.node)
    return np.abs(ours - y).max(), np.abs(y).max(), transposes


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary).absolute()
        torch_y = train_on_mnist(folder / "mnist")
        cargo = os.environ.get("CARGO", "cargo")
        subprocess.run([cargo, *TEST], check=True, env={**os.environ, "CORNU_ONNX_CASES": str(folder)}, cwd=Path(__file__).parent.parent)
        paths = sorted(folder.glob("*.onnx"))
        assert len(paths) > 100, len(paths)
        differences = {}
        for path in [*paths, folder / "mnist" / "cornu.onnx"]:
            differences[path.stem], largest, transposes = check(path)
            print(f"{path.stem:40} {differences[path.stem]:.1e} of {largest:.2f}, {transposes} transposes")
        cornu_y = np.fromfile(folder / "mnist" / "cornu.y", np.float32).reshape(-1, 10)
        x = np.fromfile(folder / "mnist" / "images", np.float32).reshape(-1, 1, 28, 28)
        differences["PyTorch's model in cornu, PyTorch"] = np.abs(cornu_y - torch_y).max()
        differences["PyTorch's model in cornu, onnxruntime"] = np.abs(cornu_y - run(folder / "mnist" / "torch.onnx", x)).max()
        print(f"{len(paths)} models and {len(x)} test images; the largest differences:")
        for name, difference in sorted(differences.items(), key=lambda item: -item[1])[:12]:
            print(f"  {name:40} {difference:.2e}")
        assert max(differences.values()) <= TOLERANCE


if __name__ == "__main__":
    main()
