"""Models of PyTorch with inputs and outputs, tests/fixtures/torch: what Model::load_torch must read, and what it must refuse.

    venv/bin/python data-scripts/torch_models.py                  # writes the fixtures
    venv/bin/python data-scripts/torch_models.py --full FOLDER    # the reference network in full size, after an epoch of MNIST

Images are written as cornu has them, channels last.
"""

import argparse
import copy
import pathlib

import numpy as np
import safetensors.torch
import torch
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "torch"


def reference(first, second, features):
    return nn.Sequential(
        nn.Conv2d(1, first, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(first, second, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(features, 10), nn.Softmax(1))


class Layers(nn.Module):
    """Every kind of layer that has weights, declared in another order than that in which they are called."""

    def __init__(self):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(6)
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.slope = nn.PReLU(6)
        self.depthwise = nn.Conv2d(6, 12, 3, padding=1, groups=6)
        self.separable = nn.Sequential(nn.Conv2d(12, 12, 3, groups=12, bias=False), nn.Conv2d(12, 8, 1))
        self.grouped = nn.Conv2d(8, 4, (1, 2), groups=2, bias=False)
        self.norm2 = nn.BatchNorm2d(4)
        self.transposed = nn.ConvTranspose2d(4, 5, 3, stride=2)
        self.layer_norm = nn.LayerNorm([5, 9, 5])
        self.norm3 = nn.BatchNorm1d(5 * 9 * 5)
        self.hidden = nn.Linear(5 * 9 * 5, 7)
        self.slope2 = nn.PReLU()
        self.last = nn.Linear(7, 3)

    def forward(self, x):
        x = self.slope(self.norm1(self.conv(x)))
        x = torch.tanh(self.norm2(self.grouped(self.separable(self.depthwise(x)))))
        x = self.norm3(self.layer_norm(self.transposed(x)).flatten(1))
        return self.last(self.slope2(self.hidden(x)))


class Decoder(nn.Module):
    """Features of which an image is made."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 5 * 3 * 4)
        self.norm = nn.BatchNorm1d(5 * 3 * 4)
        self.conv = nn.ConvTranspose2d(5, 2, 2)

    def forward(self, x):
        return self.conv(torch.relu(self.norm(self.linear(x))).unflatten(1, (5, 3, 4)))


class Words(nn.Module):
    """A sequence."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.norm = nn.LayerNorm(6)
        self.conv = nn.Conv1d(6, 5, 3)
        self.linear = nn.Linear(5 * 7, 4)

    def forward(self, x):
        return self.linear(torch.relu(self.conv(self.norm(self.embedding(x)).transpose(1, 2))).flatten(1))


def drawn(model):
    """The model for prediction, with random numbers also where layers begin with zeros and ones."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and (tensor.dim() == 1 or "norm" in name):
                tensor.uniform_(0.5, 1.5) if "var" in name else tensor.uniform_(-1, 1)
    return model.eval()


def channels_last(x):
    return x.movedim(1, -1).contiguous() if x.dim() == 4 else x


def write(name, model, x, **others):
    with torch.no_grad():
        y = model(x)
    np.savez_compressed(FIXTURES / f"{name}.npz", x=channels_last(x).numpy(), y=channels_last(y).numpy(), **others)
    torch.save(model.state_dict(), FIXTURES / f"{name}.pt")


def trained(model, x, labels):
    """The loss before each of 100 steps, in double precision: in single, the last digits grow to 1e-4 in them."""
    optimizer, losses = torch.optim.SGD(model.parameters(), 0.05), []
    for _ in range(100):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model[:-1](x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def fixtures():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    model = drawn(reference(4, 6, 150))
    x, labels = torch.rand(4, 1, 28, 28).mul(255).round().div(255), torch.tensor([3, 1, 4, 1])
    write("reference", model, x, labels=labels.numpy(), losses=trained(copy.deepcopy(model).double(), x.double(), labels))
    state = model.state_dict()
    safetensors.torch.save_file(state, FIXTURES / "reference.safetensors")
    torch.save(state, FIXTURES / "protocol4.pt", pickle_protocol=4)

    # As a training saves it, with an optimizer that has state.
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(2, 1, 28, 28)).sum().backward()
    optimizer.step()
    model.load_state_dict(state)
    torch.save({"epoch": 3, "best": 0.5, "seed": 2**70, "name": "é", "nothing": None, "done": True, "sizes": [1, (2, 3)],
                "shape": torch.Size([1]), "model": state, "optimizer": optimizer.state_dict()},
               FIXTURES / "checkpoint.pt")

    layers = drawn(Layers())
    write("layers", layers, torch.randn(3, 3, 12, 9))
    safetensors.torch.save_file(layers.state_dict(), FIXTURES / "layers.safetensors")
    write("decoder", drawn(Decoder()), torch.randn(3, 6))
    write("words", drawn(Words()), torch.randint(0, 20, (3, 9)))

    # Tensors that are views of one storage, and numbers of other types: each is [[0, 1, 2], [3, 4, 5]] / 4 and [6, 7] / 4.
    numbers = torch.arange(8.0) / 4
    expected = {"weight": numbers[:6].reshape(2, 3), "bias": numbers[6:]}
    torch.save(expected, FIXTURES / "views.pt")
    torch.save({"weight": expected["weight"].T.contiguous().T, "bias": torch.stack([numbers, numbers], 1)[6:, 1]},
               FIXTURES / "strides.pt")
    torch.save({name: nn.Parameter(tensor.clone()) for name, tensor in expected.items()}, FIXTURES / "parameters.pt")
    for dtype in ("float16", "bfloat16", "float64"):
        torch.save({name: tensor.to(getattr(torch, dtype)) for name, tensor in expected.items()}, FIXTURES / f"{dtype}.pt")
    torch.serialization.set_crc32_options(False)
    torch.save(expected, FIXTURES / "no_checksums.pt")
    torch.serialization.set_crc32_options(True)

    # What is refused.
    torch.save({"weight": torch.ones(1).expand(2, 3), "bias": numbers[6:]}, FIXTURES / "expanded.pt")
    torch.save({name: tensor.long() for name, tensor in expected.items()}, FIXTURES / "whole_numbers.pt")
    torch.save(nn.Linear(3, 2), FIXTURES / "module.pt")
    torch.save(nn.Linear(3, 2).weight.detach(), FIXTURES / "tensor.pt")
    torch.save(expected, FIXTURES / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"encoder": expected, "decoder": dict(expected)}, FIXTURES / "two.pt")
    safetensors.torch.save_file({"encoder.weight": torch.rand(3, 3), "decoder.weight": torch.rand(3, 3)},
                                FIXTURES / "ambiguous.safetensors")


def full(folder):
    from mnist_idx import load

    def images(part):
        images, labels = load(part)
        return torch.from_numpy(images * np.float32(1 / 255)).movedim(3, 1), torch.from_numpy(labels.astype(np.int64))

    model = reference(32, 64, 1600)
    x, y = images("train")
    optimizer = torch.optim.Adam(model.parameters())
    for batch in torch.randperm(len(x)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model[:-1](x[batch]), y[batch]).backward()
        optimizer.step()
    x, labels = images("t10k")
    with torch.no_grad():
        y = model.eval()(x)
    print(f"accuracy {(y.argmax(1) == labels).double().mean():.4f}")
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / "reference.pt")
    safetensors.torch.save_file(model.state_dict(), folder / "reference.safetensors")
    np.save(folder / "probabilities.npy", y.numpy())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", type=pathlib.Path)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    arguments = parser.parse_args()
    full(arguments.full) if arguments.full else fixtures()
