"""Writes tests/fixtures/onnx: small models of PyTorch's as ONNX, by both of its exporters, with inputs and what onnxruntime makes of them.

Each NAME.safetensors has x and y in cornu's order of the dimensions, with the channels last. For another torch, the bytes of the
models differ, and nothing else should.
"""

import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.numpy import save_file
from torch import nn

FOLDER = Path(__file__).parent.parent / "tests" / "fixtures" / "onnx"
BATCH = 3


class View(nn.Module):
    """The flattening that PyTorch's tutorials write."""

    def forward(self, x):
        return x.view(x.size(0), -1)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean([2, 3])


def models():
    """Name, model, a sample of the input, and whether to export it by the new exporter."""
    cnn = [
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6),
        nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 5), nn.Softmax(dim=1),
    ]
    yield "cnn", nn.Sequential(*cnn), (2, 10, 10), False
    yield "cnn_new", nn.Sequential(*cnn), (2, 10, 10), True
    view = nn.Sequential(nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.Tanh(), View(), nn.Linear(48, 8), nn.Sigmoid(), nn.Linear(8, 2))
    yield "view", view, (1, 8, 8), False
    yield "view_new", view, (1, 8, 8), True
    mlp = [nn.Linear(6, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 4, bias=False)]
    mlp += [nn.GELU(approximate="tanh"), nn.Linear(4, 3)]
    yield "mlp", nn.Sequential(*mlp), (6,), False
    yield "mlp_new", nn.Sequential(*mlp), (6,), True
    rows = nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU(0.1), nn.Linear(4, 3), nn.Softmax(dim=-1))
    yield "rows", rows, (5, 6), False
    activations = [nn.ELU(0.5), nn.SELU(), nn.Softplus(), nn.Hardsigmoid(), nn.ReLU6(), nn.PReLU(3), nn.PReLU()]
    yield "activations", nn.Sequential(nn.Conv2d(3, 3, 1), *activations, nn.Softmax(dim=1)), (3, 4, 5), False
    sequence = nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(4, 3, 3), nn.BatchNorm1d(3),
        nn.Conv1d(3, 4, 4, stride=2, padding=2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2),
    )
    yield "sequence", sequence, (2, 12), False
    yield "sequence_new", sequence, (2, 12), True
    decoder = nn.Sequential(
        nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1),
        nn.Upsample(scale_factor=2), nn.Conv2d(3, 2, 3, padding=2, dilation=2), nn.Upsample(scale_factor=(1, 3), mode="bilinear"),
        nn.ZeroPad2d((1, 2, 0, 1)), nn.ZeroPad2d((-1, 0, -1, 0)),
    )
    yield "decoder", decoder, (3, 2, 3), False
    yield "decoder_new", decoder, (3, 2, 3), True
    mobile = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU6(), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4), nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(4, 6, 1, groups=2), nn.AvgPool2d(3, 2, padding=1), nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True), Mean(), nn.Linear(6, 3),
    )
    yield "mobile", mobile, (3, 17, 18), False
    yield "mobile_new", mobile, (3, 17, 18), True
    yield "words", nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 2)), (3,), False


def channels_last_model(generator):
    """What tf2onnx writes of a model of Keras's: the input as it is there, transposes around the convolutions, and MatMul and Add."""

    def weight(name, *shape):
        return onnx.numpy_helper.from_array((torch.rand(shape, generator=generator) - 0.5).numpy(), name)

    node = onnx.helper.make_node
    nodes = [
        node("Transpose", ["input"], ["a"], perm=[0, 3, 1, 2]),
        node("Conv", ["a", "kernel", "bias"], ["b"], auto_pad="SAME_UPPER", strides=[2, 2], name="conv"),
        node("Transpose", ["b"], ["c"], perm=[0, 2, 3, 1]),
        node("Relu", ["c"], ["d"]),
        node("Transpose", ["d"], ["e"], perm=[0, 3, 1, 2]),
        node("Conv", ["e", "kernel2"], ["f"], auto_pad="SAME_LOWER", strides=[2, 1], group=2),
        node("MaxPool", ["f"], ["g"], auto_pad="SAME_UPPER", kernel_shape=[2, 2]),
        node("Transpose", ["g"], ["h"], perm=[0, 2, 3, 1]),
        node("ReduceMean", ["h"], ["i"], axes=[1, 2], keepdims=0),
        node("MatMul", ["i", "dense"], ["j"]),
        node("Add", ["j", "dense_bias"], ["k"]),
        node("Softmax", ["k"], ["output"]),
    ]
    weights = [weight("kernel", 4, 2, 3, 3), weight("bias", 4), weight("kernel2", 6, 2, 4, 4)]
    weights += [weight("dense", 6, 3), weight("dense_bias", 3)]
    shapes = {"input": ["N", 7, 8, 2], "output": ["N", 3]}
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = onnx.helper.make_graph(nodes, "graph", values[:1], values[1:], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8, producer_name="onnx_models.py")
    return model, torch.randn((BATCH, 7, 8, 2), generator=generator)


def randomize(model, generator):
    for name, weight in [*model.named_parameters(), *model.named_buffers()]:
        if weight.dtype.is_floating_point:
            low = 0.5 if "var" in name else -0.5
            weight.data = torch.rand(weight.shape, generator=generator) + low


def channels_last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if x.ndim > 2 else x


def write(path, file, x, as_is):
    """The model, and what onnxruntime makes of x, both as they are or as images with their channels last."""
    onnx.checker.check_model(file, full_check=True)
    onnx.save(file, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    tensors = {"x": x.numpy().astype(np.float32), "y": y.astype(np.float32)}
    save_file(tensors if as_is else {key: channels_last(tensor) for key, tensor in tensors.items()}, path.with_suffix(".safetensors"))
    print(path.stem, [node.op_type for node in file.graph.node], path.stat().st_size, file=sys.stderr)


def main():
    generator = torch.Generator().manual_seed(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, model, sample, new in models():
        randomize(model, generator)
        model.eval()
        shape = (BATCH, *sample)
        x = torch.randint(0, 7, shape, generator=generator) if name == "words" else 2 * torch.randn(shape, generator=generator)
        path = FOLDER / f"{name}.onnx"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if new:
                batch = torch.export.Dim("batch")
                file = io.BytesIO()
                torch.onnx.export(model, (x,), file, dynamo=True, dynamic_shapes=({0: batch},))
                path.write_bytes(file.getvalue())
            else:
                axes = {"input": {0: "N"}, "output": {0: "N"}}
                names = {"input_names": ["input"], "output_names": ["output"], "dynamic_axes": axes}
                torch.onnx.export(model, (x,), str(path), dynamo=False, opset_version=17, **names)
        file = onnx.load(path)
        for node in file.graph.node:  # paths of this machine, and much of the size
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        for value in [*file.graph.input, *file.graph.output, *file.graph.initializer, file.graph]:
            value.ClearField("metadata_props")
        file.graph.ClearField("value_info")
        write(path, file, x, name in ("rows", "words"))
    write(FOLDER / "channels_last.onnx", *channels_last_model(generator), True)


if __name__ == "__main__":
    main()
