"""Asks PyTorch for a second opinion on the golden values that Keras gave, and prints how far the two are apart.

    python data-scripts/golden_torch.py [--trajectory]
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from golden_cases import GOLDEN, LAYERS, LOSSES, OPTIMIZERS, mnist_data
from safetensors.numpy import load_file

ACTIVATIONS = {
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "softmax": lambda x: F.softmax(x, -1),
    "hard_sigmoid": F.hardsigmoid,
}


def identity(x):
    return x


def pair(x):
    return x if isinstance(x, tuple) else (x, x)


def pad_same(x, kernel, stride, dilation=1, value=0.0):
    """Pads [n, c, h, w] as TensorFlow's "same" does: the odd pixel goes after."""
    pads = []
    for n, k, s, d in reversed(list(zip(x.shape[2:], pair(kernel), pair(stride), pair(dilation)))):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


# Keras's layers: each takes Keras's arguments and returns a function of x and the weights.


def Conv2D(_, kernel, strides=1, padding="valid", dilation_rate=1, groups=1, activation=identity, use_bias=True):
    def call(x, kernel_weights, bias=None):
        x = x.permute(0, 3, 1, 2)
        if padding == "same":
            x = pad_same(x, kernel, strides, dilation_rate)
        y = F.conv2d(x, kernel_weights.permute(3, 2, 0, 1), bias, strides, 0, dilation_rate, groups)
        return activation(y.permute(0, 2, 3, 1))

    return call


def MaxPooling2D(pool, strides=None, padding="valid"):
    def call(x):
        x = x.permute(0, 3, 1, 2)
        if padding == "same":
            x = pad_same(x, pool, strides or pool, value=-torch.inf)
        return F.max_pool2d(x, pool, strides).permute(0, 2, 3, 1)

    return call


def AveragePooling2D(pool, strides=None, padding="valid"):
    def call(x):
        x = x.permute(0, 3, 1, 2)
        inside = torch.ones_like(x)
        if padding == "same":
            x, inside = (pad_same(t, pool, strides or pool) for t in (x, inside))
        return (F.avg_pool2d(x, pool, strides) / F.avg_pool2d(inside, pool, strides)).permute(0, 2, 3, 1)

    return call


def GlobalAveragePooling2D(keepdims=False):
    return lambda x: x.mean((1, 2), keepdim=keepdims)


def GlobalMaxPooling2D(keepdims=False):
    return lambda x: x.amax((1, 2), keepdim=keepdims)


def Dense(_, activation=identity, use_bias=True):
    return lambda x, kernel, bias=0.0: activation(x @ kernel + bias)


def Activation(function):
    return function


# Keras's losses on logits and its optimizers, likewise.


def SparseCategoricalCrossentropy(from_logits=False):
    return lambda y_true, y_pred: F.cross_entropy(y_pred, y_true.long())


def CategoricalCrossentropy(from_logits=False, label_smoothing=0.0):
    return lambda y_true, y_pred: F.cross_entropy(y_pred, y_true, label_smoothing=label_smoothing)


def BinaryCrossentropy(from_logits=False, label_smoothing=0.0):
    smooth = lambda y: y * (1 - label_smoothing) + label_smoothing / 2
    return lambda y_true, y_pred: F.binary_cross_entropy_with_logits(y_pred, smooth(y_true))


def MeanSquaredError():
    return F.mse_loss


def MeanAbsoluteError():
    return F.l1_loss


def Huber(delta=1.0):
    return lambda y_true, y_pred: F.huber_loss(y_pred, y_true, delta=delta)


def SGD(learning_rate=0.01, momentum=0.0, nesterov=False):
    return lambda weight: torch.optim.SGD([weight], learning_rate, momentum, nesterov=nesterov)


def layer_differences(golden):
    for name, source, *_ in LAYERS:
        if source.split("(")[0] in globals():
            case = tensors_of(golden, name)
            inputs = [case[key].requires_grad_() for key in ("x", "w0", "w1") if key in case]
            y = eval(source, globals() | ACTIVATIONS)(*inputs)
            gradients = torch.autograd.grad((y * case["dy"]).sum(), inputs)
            expected = [case[key] for key in ("y", "dx", "dw0", "dw1") if key in case]
            yield name, max(difference(a, b) for a, b in zip([y, *gradients], expected, strict=True))


def loss_differences(golden):
    for name, source, _, _, activation in LOSSES:
        if activation or "from_logits" in source or "Crossentropy" not in source:
            case = tensors_of(golden, name)
            y_pred = case["y_pred"].requires_grad_()
            loss = eval(source)(case["y_true"], y_pred)
            (gradient,) = torch.autograd.grad(loss, y_pred)
            yield name, max(difference(loss, case["loss"]), difference(gradient, case["dy_pred"]))


def optimizer_differences(golden):
    for name, source in OPTIMIZERS[:3]:
        case = tensors_of(golden, name)
        weight = case["w0"].clone()
        optimizer = eval(source)(weight)
        for step in range(5):
            weight.grad = case[f"g{step}"]
            optimizer.step()
        yield name, difference(weight, case["w5"])


def mnist_trajectory(golden, dtype, beta_1, beta_2):
    """The losses of the MNIST model, with Keras's Adam written out."""
    x, y, indices = mnist_data()
    w = [torch.tensor(golden[f"mnist/w{i}"], dtype=dtype).requires_grad_() for i in range(6)]
    m, v = [[torch.zeros_like(p) for p in w] for _ in range(2)]
    losses = []
    for t, batch in enumerate(indices, 1):
        h = torch.tensor(x[batch], dtype=dtype).permute(0, 3, 1, 2)
        for kernel, bias in (w[0:2], w[2:4]):
            h = F.max_pool2d(F.relu(F.conv2d(h, kernel.permute(3, 2, 0, 1), bias)), 2)
        logits = h.permute(0, 2, 3, 1).flatten(1) @ w[4] + w[5]
        loss = F.cross_entropy(logits, torch.tensor(y[batch]).long())
        losses.append(loss.item())
        rounded_1, rounded_2 = (float(np.float32(beta)) for beta in (beta_1, beta_2))  # as Keras, whatever the dtype
        alpha = 1e-3 * np.sqrt(1 - rounded_2**t) / (1 - rounded_1**t)
        with torch.no_grad():
            for p, g, mean, square in zip(w, torch.autograd.grad(loss, w), m, v):
                mean += (1 - beta_1) * (g - mean)
                square += (1 - beta_2) * (g * g - square)
                p -= alpha * mean / (square.sqrt() + 1e-7)
    return np.array(losses)


def tensors_of(golden, case):
    return {key.split("/")[1]: torch.tensor(t) for key, t in golden.items() if key.split("/")[0] == case}


def difference(a, b):
    """The largest difference, relative to the largest value."""
    assert a.shape == b.shape, (a.shape, b.shape)
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-6)).item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trajectory", action="store_true")
    args = parser.parse_args()
    checks = {"layers": layer_differences, "losses": loss_differences, "optimizers": optimizer_differences}
    for kind, check in checks.items():
        found = list(check(load_file(GOLDEN / f"{kind}.safetensors")))
        print(f"{kind}: {len(found)} cases asked, largest relative difference {max(far for _, far in found):.1e}")
        for name, far in found:
            if far > 1e-5:
                print(f"  {name}: {far:.1e}")
    if args.trajectory:
        golden = load_file(GOLDEN / "trajectory.safetensors")
        runs = {"loss": (torch.float32, 0.9, 0.999), "loss_f64": (torch.float64, 0.875, 1 - 2**-10)}
        for key, options in runs.items():
            far = abs(mnist_trajectory(golden, *options) - golden[f"mnist/{key}"])
            print(f"mnist/{key}: largest difference {far.max():.1e}, after 10, 50, 100 steps {far[[9, 49, 99]]}")


if __name__ == "__main__":
    main()
