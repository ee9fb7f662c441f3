"""Asks Keras for golden values and writes them to tests/golden, where the Rust tests read them.

    python data-scripts/golden.py

A case is a line of one of the tables in golden_cases.py. Its random numbers are drawn from a generator that is seeded
with the case's name, so that adding or removing a case changes no other, and a second run writes the same bytes.
"""

import json
import math
import os
import zlib
from pathlib import Path

os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}

import keras
import numpy as np
import tensorflow as tf
from keras import activations, callbacks, constraints, initializers, layers, losses, metrics, optimizers, regularizers
from golden_cases import AUGMENTATIONS, CALLBACKS, COMPILED, CONFIGURATIONS, FIGURES, GOLDEN, INITIALIZERS, INPUTS, LAYERS, LOSSES, METRICS
from golden_cases import OPTIMIZERS, PENALTIES, PREDICTIONS, SCHEDULES, SHAPES, STEPS, TARGETS, TRAINING, TRUNCATED_STD, WEIGHTED
from keras.src.initializers.random_initializers import compute_fans
from safetensors.numpy import save_file


KERNEL_AND_BIAS = [("kernel", (2, 3)), ("bias", (3,))]


def gelu_tanh(x):
    return activations.gelu(x, approximate=True)


def without_decay(parts, optimizer):
    optimizer.exclude_from_weight_decay(var_names=parts)
    return optimizer


def random(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def layer_case(name, source, shape, kind):
    """x, y and the gradients of sum(y * dy) by x and by each weight."""
    rng = random(name)
    layer = construct(source, layers)
    x = tf.constant(INPUTS[kind](rng, shape), tf.float32)
    layer.build(shape)
    layer.set_weights([weight_values(rng, w) for w in layer.weights])
    weights = [w.value for w in layer.weights]
    trained = [w.value for w in layer.trainable_weights]
    # Without XLA, TensorFlow has no transposed convolution with dilation on CPUs.
    needs_xla = "Transpose" in source and "dilation" in source
    call = tf.function(layer, jit_compile=True) if needs_xla else layer
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x, training=False)
        dy = tf.constant(rng.standard_normal(y.shape), tf.float32)
        objective = tf.reduce_sum(y * dy)
    # An embedding has no gradient to its indices, and only the rows of one to its weight that they name.
    gradients = tape.gradient(objective, [x, *trained], unconnected_gradients="zero")
    dx, *dw = map(tf.convert_to_tensor, gradients)
    numbered = {f"w{i}": w for i, w in enumerate(weights)} | {f"dw{i}": d for i, d in enumerate(dw)}
    return {"x": x, "y": y, "dy": dy, "dx": dx, **numbered}


def weight_values(rng, weight):
    values = rng.standard_normal(weight.shape) * 0.5
    return abs(values) if weight.name == "moving_variance" else values


def training_case(name, source, shape):
    """As layer_case, but in training: the state that the step leaves (the moving averages) is s0, s1."""
    rng = random(name)
    layer = construct(source, layers)
    x = tf.constant(rng.standard_normal(shape) * 2 + 3, tf.float32)
    layer.build(shape)
    layer.set_weights([weight_values(rng, w) for w in layer.weights])
    weights = [w.numpy() for w in layer.weights]
    trained = [w.value for w in layer.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        dy = tf.constant(rng.standard_normal(y.shape), tf.float32)
        objective = tf.reduce_sum(y * dy)
    dx, *dw = tape.gradient(objective, [x, *trained])
    numbered = {f"w{i}": w for i, w in enumerate(weights)} | {f"dw{i}": d for i, d in enumerate(dw)}
    states = {f"s{i}": w.numpy() for i, w in enumerate(layer.non_trainable_weights)}
    return {"x": x, "y": y, "dy": dy, "dx": dx, **numbered, **states}


def penalty_case(name, source, shape):
    """The layer's penalty, its gradient to each weight, and what the constraints make of the weights."""
    rng = random(name)
    layer = construct(source, layers, regularizers, constraints)
    layer.build(shape)
    layer.set_weights([weight_values(rng, w) for w in layer.weights])
    with tf.GradientTape() as tape:
        penalty = tf.add_n(layer.losses)
    dw = tape.gradient(penalty, [w.value for w in layer.weights])
    tensors = {"x": rng.standard_normal(shape).astype(np.float32), "penalty": penalty}
    for i, (w, d) in enumerate(zip(layer.weights, dw)):
        tensors |= {f"w{i}": w.numpy(), f"dw{i}": d, f"c{i}": w.constraint(w)}
    return tensors


def augmentation_case(name, source, shape, kind):
    """What a layer makes of x in training, by the one transformation that it can draw or by each of several."""
    rng = random(name)
    layer = construct(source, layers)
    x = tf.constant(INPUTS[kind](rng, shape), tf.float32)
    if isinstance(layer, layers.RandomFlip):
        flips = [np.full((1, 1, 1, 1), flip) for flip in (False, True)]
        return {"x": x, "any": tf.concat([layer.transform_images(x, {"flips": flip}) for flip in flips], 0)}
    if isinstance(layer, layers.RandomErasing):
        return {"x": x, "any": erased(layer, x)}
    dy = tf.constant(rng.standard_normal(shape), tf.float32)
    if isinstance(layer, layers.RandomBrightness):
        y, dx = with_gradient(lambda x: layer(x, training=True), x, dy)
        return {"x": x, "y": y, "dy": dy, "dx": dx}
    if isinstance(layer, layers.RandomContrast):
        tensors = {"x": x, "dy": dy}
        for end, factor in [("lower", 1 - layer.factor[0]), ("upper", 1 + layer.factor[1])]:
            transformation = {"contrast_factor": tf.constant(factor, tf.float32)}
            tensors[f"y_{end}"], tensors[f"dx_{end}"] = with_gradient(
                lambda x: layer.transform_images(x, transformation), x, dy
            )
        clipped = [abs(tensors[f"y_{end}"].numpy()) == 1 for end in ("lower", "upper")]
        assert (clipped[0] == clipped[1]).all() and clipped[0].any() and not clipped[0].all()
        return tensors
    return {"x": x, "y": layer(x, training=True)}


def with_gradient(f, x, dy):
    """f(x) and the gradient of sum(f(x) * dy) by x."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return y, tape.gradient(y, x, dy)


def erased(layer, x):
    """The image without the rectangle, for all places that this may have."""
    _, height, width, channels = x.shape
    starts = np.linspace(0, 1, 201)[1:-1]
    up, left = (a.ravel().astype(np.float32) for a in np.meshgrid(starts, starts))
    assert layer.scale[0] == layer.scale[1]
    down, across = np.sqrt(layer.scale[0]) * np.array([height, width])
    x0, y0 = left * (width - across), up * (height - down)
    masks = layer._generate_batch_mask((len(up), height, width, channels), (x0, x0 + across, y0, y0 + down))
    masks = np.unique(np.asarray(masks), axis=0)
    images = tf.repeat(x, len(masks), axis=0)
    fill_value = layer._get_fill_value(images, images.shape, None)
    return layer.transform_images(
        images, {"batch_masks": masks, "apply_erasing": tf.fill([len(masks)], True), "fill_value": fill_value}
    )


def loss_case(name, source, true, pred, activation, weighted=False):
    """The loss of each sample, their mean (the batch loss) and the mean's gradient by y_pred."""
    rng = random(name)
    y_true, y_pred = TARGETS[true](rng), PREDICTIONS[pred](rng)
    if y_true.dtype != np.int32:
        y_true = y_true.astype(np.float32)
    y_pred = tf.constant(y_pred, tf.float32)
    weight = np.array([0.5, 2.0, 0.0, 1.25], np.float32) if weighted else None
    mean = construct(source, losses)
    each = construct(source, losses)
    each.reduction = "none"  # not by from_config, which forgets Huber's delta
    model = keras.Sequential([layers.Input(y_pred.shape[1:]), layers.Activation(activation or "linear")])

    @tf.function  # as in fit: in a graph, the loss finds the logits behind a softmax or a sigmoid
    def evaluate(y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            output = model(y_pred, training=True)
            loss = mean(y_true, output, sample_weight=weight)
        return loss, tape.gradient(loss, y_pred), each(y_true, output, sample_weight=weight)

    loss, dy_pred, per_sample = evaluate(y_pred)
    tensors = {"y_true": y_true, "y_pred": y_pred, "per_sample": per_sample, "loss": loss, "dy_pred": dy_pred}
    return tensors | ({"sample_weight": weight} if weighted else {})


def optimizer_case(name, source):
    """Five steps of a kernel and a bias from w0 and b0 by the gradients g0..g4 and h0..h4; after each, the weights, or
    their average where there is one."""
    rng = random(name)
    weights = [keras.Variable(rng.standard_normal(s), dtype="float32", name=n) for n, s in KERNEL_AND_BIAS]
    optimizer = construct(source, optimizers)
    tensors = {"w0": weights[0].numpy(), "b0": weights[1].numpy()}
    for step in range(5):
        g, h = [rng.standard_normal(shape).astype(np.float32) for _, shape in KERNEL_AND_BIAS]
        h[0] *= 1e-4  # so small that epsilon counts
        optimizer.apply([tf.constant(g), tf.constant(h)], weights)
        w, b = optimizer._model_variables_moving_average if optimizer.use_ema else weights
        tensors |= {f"g{step}": g, f"h{step}": h, f"w{step + 1}": w.numpy(), f"b{step + 1}": b.numpy()}
    return tensors


def schedule_case(source):
    schedule = construct(source, optimizers.schedules)
    return {"step": np.int32(STEPS), "rate": np.float32([schedule(step) for step in STEPS])}


def metric_case(source, y_true, y_pred):
    """The metric after batches of 4 samples, the last of which may be smaller."""
    y_true, y_pred = np.array(y_true), np.array(y_pred, np.float32)
    if y_true.dtype != np.int32:
        y_true = y_true.astype(np.float32)
    metric = construct(source, metrics)
    for start in range(0, len(y_true), 4):
        metric.update_state(y_true[start : start + 4], y_pred[start : start + 4])
    return {"y_true": y_true, "y_pred": y_pred, "value": np.float32(metric.result())}


def initializer_case(dims):
    """The fans; the limit of the uniform and the sigma (before the cut) of the truncated normal initializers."""
    fan_in, fan_out = compute_fans(dims)
    values = {"shape": dims, "fan_in": fan_in, "fan_out": fan_out}
    for name, (scale, fan, distribution) in INITIALIZERS.items():
        variance = scale / (fan_in if fan == "in" else (fan_in + fan_out) / 2)
        draw = initializers.get({"class_name": name, "config": {"seed": keras.random.SeedGenerator(0)}})
        sample = np.concatenate([np.ravel(draw(dims)) for _ in range(max(1, 20_000 // math.prod(dims)))])
        assert abs(sample.std() / math.sqrt(variance) - 1) < 0.02, (name, dims, sample.std(), variance)
        if distribution == "uniform":
            bound = values[f"{name}_limit"] = math.sqrt(3 * variance)
        else:
            bound = 2 * values.setdefault(f"{name}_stddev", math.sqrt(variance) / TRUNCATED_STD)
        assert 0.99 * bound < abs(sample).max() <= 1.000001 * bound, (name, dims, abs(sample).max(), bound)
    return values


class Model:
    """What a callback needs of a model."""

    def __init__(self):
        self.optimizer = optimizers.SGD(1.0)
        self.stop_training = False

    def get_weights(self):
        return []


def callback_case(name, arguments, figures):
    """When a training with these figures stops and its best epoch, or the learning rate after each epoch."""
    callback, model = getattr(callbacks, name)(**arguments), Model()
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, figure in enumerate(figures):
        callback.on_epoch_end(epoch, {"val_loss": float(figure)})
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    if name == "ReduceLROnPlateau":
        return {"rates": rates}
    return {"stopped_epoch": epoch if model.stop_training else None, "best_epoch": callback.best_epoch}


def callback_rows():
    for name, arguments in CALLBACKS:
        for figures, values in FIGURES.items():
            case = {"callback": name, "arguments": arguments, "figures": figures}
            yield json.dumps(case | callback_case(name, arguments, values))


def construct(source, *modules):
    """Evaluates a table's expression, such as "Conv2D(4, 3)", in modules of Keras."""
    names = vars(activations) | {"gelu_tanh": gelu_tanh, "without_decay": without_decay}
    for module in modules:
        names |= vars(module)
    return eval(source, names)


def configuration(source, x):
    """The shape of a sample, and the layer as Keras writes it, without what all layers have."""
    layer = keras.saving.serialize_keras_object(construct(source, layers, constraints, initializers, regularizers))
    config = {key: value for key, value in layer["config"].items() if key not in ("name", "trainable", "dtype")}
    return {"sample": x[1:], "layer": {"class_name": layer["class_name"], "config": config}}


def compile_configs():
    """How Keras writes what compile takes: each object alone, and together."""
    modules = {"optimizers": optimizers, "schedules": optimizers.schedules, "losses": losses, "metrics": metrics}
    tables = {"optimizers": OPTIMIZERS, "schedules": SCHEDULES, "losses": LOSSES, "metrics": METRICS}
    for kind, cases in tables.items():
        for name, source, *_ in cases:
            keras.utils.clear_session()
            yield kind, name, keras.saving.serialize_keras_object(construct(source, optimizers, modules[kind]))
    for name, arguments in COMPILED:
        keras.utils.clear_session()
        model = keras.Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax", name="dense")])
        model.compile(**construct(f"dict({arguments})", keras, optimizers, metrics, losses))
        yield "compiled", name, model.get_compile_config()


def write_compile_configs():
    rows = [json.dumps({"kind": kind, "case": name, "config": config}) for kind, name, config in compile_configs()]
    (GOLDEN / "compile_configs.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")


def save(file, cases):
    """Writes {case: {name: tensor}} as tensors named case/name."""
    tensors = {f"{case}/{name}": np.asarray(t, order="C") for case, ts in cases.items() for name, t in ts.items()}
    for name, t in tensors.items():
        assert t.dtype in (np.float32, np.int32), (name, t.dtype)
        assert np.isfinite(t).all(), name
    save_file(tensors, GOLDEN / file)


def table(titles, rows):
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def shape(t):
    return list(np.shape(t))


def write_readme(layer_cases, loss_cases, metric_cases):
    """Fills the tables of the cases into golden_readme.md."""
    layer_rows = []
    for name, source, x, kind in LAYERS:
        case = layer_cases[name]
        weights = ", ".join(str(shape(case[w])) for w in ("w0", "w1", "w2") if w in case)
        layer_rows.append([name, f"`{source}`", list(x), kind, shape(case["y"]), weights])
    augmentation_rows = [[name, f"`{source}`", list(x), kind] for name, source, x, kind in AUGMENTATIONS]
    loss_rows = []
    for name, source, true, pred, activation in LOSSES:
        case = loss_cases[name]
        ins = [f"{true} {shape(case['y_true'])}", f"{pred} {shape(case['y_pred'])}", activation or ""]
        loss_rows.append([name, f"`{source}`", *ins, "yes" * (name in WEIGHTED), f"{case['loss']:.6g}"])
    metric_rows = []
    for name, source, *_ in METRICS:
        case = metric_cases[name]
        metric_rows.append([name, f"`{source}`", shape(case["y_true"]), shape(case["y_pred"]), f"{case['value']:.6g}"])
    tables = {
        "layers": table(["case", "layer", "x", "what x holds", "y", "weights"], layer_rows),
        "training": table(["case", "layer", "x"], [[name, f"`{source}`", list(x)] for name, source, x in TRAINING]),
        "penalties": table(["case", "layer", "x"], [[name, f"`{source}`", list(x)] for name, source, x in PENALTIES]),
        "augmentation": table(["case", "layer", "x", "what x holds"], augmentation_rows),
        "losses": table(["case", "loss", "y_true", "y_pred", "activation", "weighted too", "batch loss"], loss_rows),
        "optimizers": table(["case", "optimizer"], [[name, f"`{source}`"] for name, source in OPTIMIZERS]),
        "schedules": table(["case", "schedule"], [[name, f"`{source}`"] for name, source in SCHEDULES]),
        "metrics": table(["case", "metric", "y_true", "y_pred", "value"], metric_rows),
    }
    template = Path(__file__).with_name("golden_readme.md").read_text()
    (GOLDEN / "README.md").write_text(template.format(keras=keras.__version__, tf=tf.__version__, **tables))


def main():
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    GOLDEN.mkdir(parents=True, exist_ok=True)

    layer_cases = {name: layer_case(name, *case) for name, *case in LAYERS}
    augmentation_cases = {name: augmentation_case(name, *case) for name, *case in AUGMENTATIONS}
    loss_cases = {name: loss_case(name, *case) for name, *case in LOSSES}
    loss_cases |= {f"{n}_weighted": loss_case(n, *case, weighted=True) for n, *case in LOSSES if n in WEIGHTED}
    metric_cases = {name: metric_case(*case) for name, *case in METRICS}
    save("layers.safetensors", layer_cases)
    save("training.safetensors", {name: training_case(name, *case) for name, *case in TRAINING})
    save("penalties.safetensors", {name: penalty_case(name, *case) for name, *case in PENALTIES})
    save("augmentation.safetensors", augmentation_cases)
    save("losses.safetensors", loss_cases)
    save("optimizers.safetensors", {name: optimizer_case(name, source) for name, source in OPTIMIZERS})
    save("metrics.safetensors", metric_cases)
    save("schedules.safetensors", {name: schedule_case(source) for name, source in SCHEDULES})
    rows = [json.dumps(initializer_case(dims)) for dims in SHAPES]
    (GOLDEN / "initializers.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
    figures = {name: [None if math.isnan(x) else float(x) for x in xs] for name, xs in FIGURES.items()}
    rows = [f"  {json.dumps(name)}: {json.dumps(xs)}" for name, xs in figures.items()]
    cases = ",\n".join(f"  {row}" for row in callback_rows())
    figures = ",\n".join(rows)
    (GOLDEN / "callbacks.json").write_text(f'{{"figures": {{\n{figures}\n}}, "cases": [\n{cases}\n]}}\n')

    cases = LAYERS + AUGMENTATIONS + TRAINING + PENALTIES + CONFIGURATIONS
    # Keras has no configuration for a function of a user's.
    cases = {name: configuration(source, x) for name, source, x, *_ in cases if "gelu_tanh" not in source}
    rows = [f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items()]
    (GOLDEN / "configurations.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")

    write_compile_configs()
    write_readme(layer_cases, loss_cases, metric_cases)


if __name__ == "__main__":
    main()
