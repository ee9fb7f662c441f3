//! [`model`]: the layers that compute what the nodes of a file compute.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    channels_first, channels_last,
    constant::Constant,
    plan::Plan,
    position,
    proto::ModelProto,
    reader::{Next, Operation, Reader, is_onnx},
    shapes::{self, BATCH},
};
use crate::{Activation, Model, Scalar};

/// How many numbers a model may have more than its file has bytes: nodes can share weights.
const SHARED_NUMBERS: usize = 1 << 20;

/// The model of a file of so many bytes.
pub(super) fn model<T: Scalar>(file: &ModelProto, bytes: usize) -> Result<Model<T>, String> {
    let reader = Reader::new(file)?;
    let (rank, sample) = (reader.sample.len(), &reader.sample);
    // Our own files have the channels last.
    let order = match !reader.ours && rank > 1 && takes_channels_first(&reader) {
        true => channels_first(rank),
        false => channels_last(rank),
    };
    let input: Vec<usize> = (0..rank).map(|dimension| sample[position(&order, dimension)]).collect();
    let as_in_file = order == channels_last(rank);
    let plan = Plan::new(&input, order, bytes.saturating_add(SHARED_NUMBERS))?;
    let mut import = Import { reader: &reader, plan, shapes: HashMap::new() };
    let mut value = reader.input;
    let mut nodes = vec![false; file.graph.as_ref().map_or(0, |graph| graph.node.len())];
    while value != reader.output {
        import.shapes.insert(value, import.plan.sample_in_file());
        value = match reader.next(value)? {
            Next::Activation(activation, end) => {
                import.plan.activation(activation)?;
                end
            }
            Next::Node(place, node) => {
                let operation = Operation { place, node, reader: &reader };
                let wrong = |message| format!("{}: {message}", operation.name());
                if std::mem::replace(&mut nodes[place], true) {
                    return Err(wrong("it reads what comes of its own output".into()));
                }
                import.node(&operation, value).map_err(wrong)?
            }
        };
    }
    if as_in_file && import.plan.flattened.is_none() {
        import.plan.arrange(&channels_last(import.plan.sample.len()))?;
    }
    import.plan.finish()
}

/// Whether the first operator that tells takes images, or sequences, with the channels first.
fn takes_channels_first(reader: &Reader) -> bool {
    let tells = reader.upcoming(reader.input).find(|node| {
        let neutral = ["Pad", "Slice"].contains(&&*node.op_type) || is_elementwise(&node.op_type);
        !neutral
    });
    tells.is_some_and(|node| {
        let operators = [
            "AveragePool",
            "BatchNormalization",
            "Conv",
            "ConvTranspose",
            "GlobalAveragePool",
            "GlobalMaxPool",
            "MaxPool",
            "Resize",
        ];
        operators.contains(&&*node.op_type)
    })
}

/// Whether the operator treats all elements alike, so that their order does not matter.
fn is_elementwise(operator: &str) -> bool {
    let operators = [
        "Cast",
        "Clip",
        "Dropout",
        "Elu",
        "Gelu",
        "HardSigmoid",
        "Identity",
        "LeakyRelu",
        "Relu",
        "Selu",
        "Sigmoid",
        "Softplus",
        "Tanh",
    ];
    operators.contains(&operator) || is_arithmetic(operator)
}

/// With a constant of one number, they are elementwise.
fn is_arithmetic(operator: &str) -> bool {
    ["Add", "Div", "Mul", "Sub"].contains(&operator)
}

struct Import<'a> {
    reader: &'a Reader<'a>,
    plan: Plan,
    /// The dimensions of the samples of the values so far.
    shapes: HashMap<&'a str, Vec<usize>>,
}

/// How the windows of a node move over the image.
struct Windows {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// The pixels of padding before and after the image.
    pads: Vec<[usize; 2]>,
}

impl<'a> Import<'a> {
    /// Adds the layers for a node that reads `value`; the value that it gives.
    fn node(&mut self, node: &Operation<'a>, value: &str) -> Result<&'a str, String> {
        let operator = &*node.node.op_type;
        let at = usize::from(operator == "Gather");
        let mut reads = node.node.input.iter().enumerate().filter(|(_, input)| *input == value).map(|(at, _)| at);
        let first = reads.next();
        let swapped = ["Add", "Mul"].contains(&operator) && first == Some(1);
        if !is_onnx(&node.node.domain) {
            return Err("operators of other domains than ONNX's own cannot be read".into());
        }
        if reads.next().is_some() || !(first == Some(at) || swapped) {
            return Err(format!("expected {value:?} as its input {at} alone"));
        }
        if self.plan.flattened.is_some() && !is_elementwise(operator) && !["Gemm", "MatMul"].contains(&operator) {
            return Err("it cannot stand between a Flatten and a Gemm or MatMul".into());
        }
        match operator {
            "Add" | "Div" | "Mul" | "Sub" => self.arithmetic(node, if swapped { 0 } else { 1 })?,
            "AveragePool" => self.pool(node, ["AveragePooling1D", "AveragePooling2D"])?,
            "BatchNormalization" => self.batch_normalization(node)?,
            "Cast" => self.cast(node)?,
            "Clip" => self.clip(node)?,
            "Conv" => self.convolution(node)?,
            "ConvTranspose" => self.transposed_convolution(node)?,
            "Dropout" => self.dropout(node)?,
            "Flatten" => self.flatten(node)?,
            "Gather" => self.embedding(node)?,
            "Gemm" => self.gemm(node)?,
            "GlobalAveragePool" => self.global_pool(["GlobalAveragePooling1D", "GlobalAveragePooling2D"], true)?,
            "GlobalMaxPool" => self.global_pool(["GlobalMaxPooling1D", "GlobalMaxPooling2D"], true)?,
            "Identity" => {}
            "LayerNormalization" => self.layer_normalization(node)?,
            "MatMul" => self.mat_mul(node)?,
            "MaxPool" => self.pool(node, ["MaxPooling1D", "MaxPooling2D"])?,
            "PRelu" => self.prelu(node)?,
            "Pad" => self.pad(node)?,
            "ReduceMax" => self.reduce(node, ["GlobalMaxPooling1D", "GlobalMaxPooling2D"])?,
            "ReduceMean" => self.reduce(node, ["GlobalAveragePooling1D", "GlobalAveragePooling2D"])?,
            "Reshape" => self.reshape(node)?,
            "Resize" => self.resize(node)?,
            "Slice" => self.slice(node)?,
            "Squeeze" | "Unsqueeze" => self.squeeze(node)?,
            "Transpose" => self.transpose(node)?,
            _ => match self.activation(node)? {
                Some(activation) => self.plan.activation(activation)?,
                None => return Err("there is no layer for this operator".into()),
            },
        }
        let mut outputs = node.node.output.iter();
        let output = outputs.next().filter(|output| !output.is_empty()).ok_or("it has no output")?;
        if let Some(other) = outputs.find(|other| **other == self.reader.output || self.reader.is_read(other)) {
            return Err(format!("its output {other:?} is read, and only its first can be"));
        }
        Ok(output)
    }

    fn activation(&mut self, node: &Operation) -> Result<Option<Activation>, String> {
        let near = |name, default: f64, expected: f64| (node.float(name, default) - expected).abs() < 1e-6;
        Ok(Some(match &*node.node.op_type {
            "Relu" => Activation::Relu,
            "LeakyRelu" => Activation::LeakyRelu { negative_slope: node.float("alpha", 0.01) },
            "Elu" => Activation::Elu { alpha: node.float("alpha", 1.0) },
            "Selu" if near("alpha", 1.67326319, 1.67326324) && near("gamma", 1.05070102, 1.05070099) => {
                Activation::Selu
            }
            "Gelu" => Activation::Gelu { approximate: node.string("approximate", "none") == "tanh" },
            "Sigmoid" => Activation::Sigmoid,
            "Tanh" => Activation::Tanh,
            "Softplus" => Activation::Softplus,
            "HardSigmoid" => {
                if !(near("alpha", 0.2, 1.0 / 6.0) && near("beta", 0.5, 0.5)) {
                    let (alpha, beta) = (node.float("alpha", 0.2), node.float("beta", 0.5));
                    self.plan.rescale(6.0 * alpha, 6.0 * beta - 3.0)?;
                }
                Activation::HardSigmoid
            }
            "Softmax" => {
                let rank = self.plan.order.len();
                let axis = self.axis(node.int("axis", if self.reader.opset < 13 { 1 } else { -1 }))?;
                // Before version 13, it runs over all axes from this one on.
                if self.reader.opset < 13 && axis + 1 != rank {
                    return Err(format!("a softmax over {} axes is not supported", rank - axis));
                }
                self.bring_last(axis)?;
                Activation::Softmax
            }
            _ => return Ok(None),
        }))
    }

    fn arithmetic(&mut self, node: &Operation, constant: usize) -> Result<(), String> {
        let operator = &*node.node.op_type;
        let constant = node.constant(constant)?;
        match constant.single() {
            Some(number) => match operator {
                "Add" => self.plan.rescale(1.0, number),
                "Sub" => self.plan.rescale(1.0, -number),
                "Mul" => self.plan.rescale(number, 0.0),
                _ => self.plan.rescale(1.0 / number, 0.0),
            },
            None if operator == "Add" && self.plan.add_bias(&constant) => Ok(()),
            None => Err(format!(
                "with a constant of the dimensions {:?} there is no layer for it, only with a single number",
                constant.dims
            )),
        }
    }

    fn batch_normalization(&mut self, node: &Operation) -> Result<(), String> {
        if node.int("training_mode", 0) != 0 {
            return Err("it is in training mode; export the model in evaluation mode".into());
        }
        let &axis = self.plan.order.first().ok_or("a sample has no channels")?;
        let weights = (1..5).map(|input| node.constant(input)).collect::<Result<Vec<_>, _>>()?;
        let axis = if axis + 1 == self.plan.sample.len() { -1 } else { axis as i64 + 1 };
        self.plan.push("BatchNormalization", json!({"axis": axis, "epsilon": node.float("epsilon", 1e-5)}), weights)
    }

    /// Only what the next layer does anyway.
    fn cast(&mut self, node: &Operation<'a>) -> Result<(), String> {
        let next = node.node.output.first().and_then(|output| self.reader.upcoming(output).next());
        let floats = [1, 10, 11];
        match floats.contains(&node.int("to", 0)) || next.is_some_and(|next| next.op_type == "Gather") {
            true => Ok(()),
            false => Err("only a cast to floats, or before a Gather, can be read".into()),
        }
    }

    /// `max(low, min(x, high))`, by a relu or by a hard sigmoid, `max(0, min(x + 3, 6)) / 6`.
    fn clip(&mut self, node: &Operation) -> Result<(), String> {
        let bound = |input, name: &str, none: f64| match node.optional_constant(input)? {
            Some(constant) => constant.single().ok_or(format!("{name} must be a number")),
            None => Ok(node.float(name, none)),
        };
        // What older versions write for no bound.
        let infinite = f64::from(f32::MAX);
        let (low, high) = (bound(1, "min", -infinite)?, bound(2, "max", infinite)?);
        if low == 0.0 && high >= infinite {
            return self.plan.activation(Activation::Relu);
        }
        if !(low > -infinite && high < infinite && low < high) {
            return Err(format!("a clip to between {low} and {high} is not supported"));
        }
        let sixth = (high - low) / 6.0;
        self.plan.rescale(1.0 / sixth, -low / sixth - 3.0)?;
        self.plan.push("Activation", json!({"activation": "hard_sigmoid"}), Vec::new())?;
        self.plan.rescale(high - low, low)?;
        self.plan.non_negative = low >= 0.0;
        Ok(())
    }

    fn convolution(&mut self, node: &Operation) -> Result<(), String> {
        let kernel = node.constant(1)?;
        let axes = self.images(&kernel)?;
        let mut windows = self.windows(node, &kernel.dims[2..])?;
        let padding = self.padding(&mut windows, axes == 1)?;
        let order: Vec<usize> = (2..axes + 2).chain([1, 0]).collect();
        let mut config = json!({
            "filters": kernel.dims[0],
            "kernel_size": windows.kernel,
            "strides": windows.strides,
            "dilation_rate": windows.dilations,
            "padding": padding,
            "groups": self.groups(node)?,
        });
        let weights = with_bias(&mut config, kernel.permuted(&order), node.optional_constant(2)?);
        self.plan.push(if axes == 1 { "Conv1D" } else { "Conv2D" }, config, weights)
    }

    fn transposed_convolution(&mut self, node: &Operation) -> Result<(), String> {
        let kernel = node.constant(1)?;
        if self.images(&kernel)? != 2 || self.groups(node)? != 1 {
            return Err("only one of images, without groups, is supported".into());
        }
        if node.ints("output_shape").is_some() || !["NOTSET", "VALID"].contains(&node.string("auto_pad", "NOTSET")) {
            return Err("output_shape and auto_pad are not supported; give pads and output_padding".into());
        }
        let windows = self.windows(node, &kernel.dims[2..])?;
        let extra: Vec<usize> = match node.ints("output_padding") {
            Some(ints) => ints
                .iter()
                .map(|&extra| extra.try_into().ok())
                .collect::<Option<_>>()
                .ok_or("output_padding is below 0")?,
            None => vec![0; 2],
        };
        let Windows { kernel: size, strides, dilations, pads } = windows;
        let mut config = json!({
            "filters": kernel.dims[1], "kernel_size": size, "strides": strides, "dilation_rate": dilations,
        });
        // The output is as long as the windows reach, but for the padding; Keras's `same` is as long as the strides.
        let same = (0..2).all(|axis| {
            let span = span(size[axis], dilations[axis]);
            let total = span.saturating_sub(strides[axis]);
            let [before, after] = pads[axis];
            before == total / 2
                && before + after == total + extra.get(axis).copied().unwrap_or(0)
                && span >= strides[axis]
        });
        match same {
            true => config["padding"] = "same".into(),
            false => config["output_padding"] = json!(extra),
        }
        let weights = with_bias(&mut config, kernel.permuted(&[2, 3, 1, 0]), node.optional_constant(2)?);
        self.plan.push("Conv2DTranspose", config, weights)?;
        if !same && pads != [[0, 0], [0, 0]] {
            self.plan.push("Cropping2D", json!({ "cropping": pads }), Vec::new())?;
        }
        Ok(())
    }

    /// Brings the channels to where cornu has them; the number of the axes of the images, which have a kernel `[_, _, ..]`.
    fn images(&mut self, kernel: &Constant) -> Result<usize, String> {
        let rank = self.plan.sample.len();
        if !(2..=3).contains(&rank) || kernel.dims.len() != rank + 1 || kernel.values.is_empty() {
            return Err(format!(
                "expected samples of two or three dimensions and a kernel of one more, got samples {:?} and a kernel {:?}",
                self.plan.sample_in_file(),
                kernel.dims
            ));
        }
        self.plan.arrange(&channels_first(rank))?;
        Ok(rank - 1)
    }

    fn groups(&self, node: &Operation) -> Result<usize, String> {
        node.int("group", 1).try_into().map_err(|_| "group is below 0".to_owned())
    }

    /// The windows of a node, once the channels are where cornu has them.
    fn windows(&self, node: &Operation, kernel: &[usize]) -> Result<Windows, String> {
        let axes = kernel.len();
        let (kernel, image) = (kernel.to_vec(), &self.plan.sample[..axes]);
        let (strides, dilations) = (node.sizes("strides", axes)?, node.sizes("dilations", axes)?);
        let auto = node.string("auto_pad", "NOTSET");
        let explicit = node.ints("pads").map(|pads| sides(pads, axes)).transpose()?;
        let pads = (0..axes).map(|axis| {
            let total = total_padding(image[axis], span(kernel[axis], dilations[axis]), strides[axis]);
            match auto {
                "SAME_UPPER" => Ok([total / 2, total - total / 2]),
                "SAME_LOWER" => Ok([total - total / 2, total / 2]),
                "VALID" => Ok([0, 0]),
                "NOTSET" => Ok(explicit.as_ref().map_or([0, 0], |pads| pads[axis])),
                other => Err(format!("auto_pad is {other:?}, which ONNX does not have")),
            }
        });
        Ok(Windows { pads: pads.collect::<Result<_, _>>()?, kernel, strides, dilations })
    }

    /// The padding of Keras's that the windows have; where it is another, zeros are put around the image before.
    fn padding(&mut self, windows: &mut Windows, causal: bool) -> Result<&'static str, String> {
        match self.known_padding(windows) {
            Some("causal") if !causal => {}
            Some(known) => return Ok(known),
            None => {}
        }
        self.plan.pad(&windows.pads)?;
        Ok("valid")
    }

    fn known_padding(&self, windows: &Windows) -> Option<&'static str> {
        let Windows { kernel, strides, dilations, pads } = windows;
        let axes = 0..kernel.len();
        let span = |axis: usize| span(kernel[axis], dilations[axis]);
        let same = |axis: usize| {
            let total = total_padding(self.plan.sample[axis], span(axis), strides[axis]);
            pads[axis] == [total / 2, total - total / 2]
        };
        match () {
            () if axes.clone().all(|axis| pads[axis] == [0, 0]) => Some("valid"),
            () if axes.clone().all(same) => Some("same"),
            () if axes.clone().all(|axis| pads[axis] == [span(axis) - 1, 0]) => Some("causal"),
            () => None,
        }
    }

    fn pool(&mut self, node: &Operation, classes: [&'static str; 2]) -> Result<(), String> {
        let axes = self.pooled_axes()?;
        let kernel = node.sizes("kernel_shape", axes)?;
        let mut windows = self.windows(node, &kernel)?;
        if windows.dilations != vec![1; axes] {
            return Err(format!("dilations of {:?} are not supported", windows.dilations));
        }
        let average = node.node.op_type == "AveragePool";
        let padded = windows.pads.iter().any(|side| *side != [0, 0]);
        let counts_padding = node.int("count_include_pad", 0) != 0;
        if node.int("ceil_mode", 0) != 0 {
            self.round_up(&mut windows, average)?;
        }
        let padding = match self.known_padding(&windows) {
            Some(known @ ("valid" | "same")) if !(average && padded && counts_padding) => known,
            // Zeros change no maximum of numbers of which none is below 0.
            _ if if average { counts_padding } else { self.plan.non_negative } => {
                self.plan.pad(&windows.pads)?;
                "valid"
            }
            _ => {
                return Err(format!(
                    "a padding of {:?} is supported only where it is Keras's \"same\", {}",
                    windows.pads,
                    if average {
                        "or is counted (count_include_pad)"
                    } else {
                        "or no input is below 0, as behind a relu"
                    }
                ));
            }
        };
        let config = json!({"pool_size": windows.kernel, "strides": windows.strides, "padding": padding});
        self.plan.push(classes[axes - 1], config, Vec::new())
    }

    /// Pads the image at its end so far that a window more fits where its size is rounded up.
    fn round_up(&self, windows: &mut Windows, average: bool) -> Result<(), String> {
        for axis in 0..windows.kernel.len() {
            let [before, after] = windows.pads[axis];
            let (kernel, stride) = (windows.kernel[axis], windows.strides[axis]);
            let length = self.plan.sample[axis].saturating_add(before).saturating_add(after);
            let rest = length.checked_sub(kernel).ok_or("its windows are larger than the image")? % stride;
            let start = length - rest - kernel + stride;
            // A window that would begin behind the image is left out.
            if rest == 0 || start >= self.plan.sample[axis] + before {
                continue;
            }
            if average {
                return Err("ceil_mode is not supported where it makes a window more".into());
            }
            windows.pads[axis][1] += stride - rest;
        }
        Ok(())
    }

    /// Brings the channels to where cornu has them; the number of the axes of the images.
    fn pooled_axes(&mut self) -> Result<usize, String> {
        let rank = self.plan.sample.len();
        if !(2..=3).contains(&rank) {
            let sample = self.plan.sample_in_file();
            return Err(format!("expected samples of two or three dimensions, got {sample:?}"));
        }
        self.plan.arrange(&channels_first(rank))?;
        Ok(rank - 1)
    }

    fn global_pool(&mut self, classes: [&'static str; 2], keepdims: bool) -> Result<(), String> {
        let axes = self.pooled_axes()?;
        self.plan.push(classes[axes - 1], json!({ "keepdims": keepdims }), Vec::new())
    }

    fn reduce(&mut self, node: &Operation, classes: [&'static str; 2]) -> Result<(), String> {
        let axes = self.integers(node, 1, "axes")?.ok_or("it has no axes")?;
        let mut axes = axes.into_iter().map(|axis| self.axis(axis)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        let rank = self.plan.order.len();
        // All but one, which are the axes of an image; its channels are the other.
        let channels = (0..rank).find(|axis| !axes.contains(axis)).filter(|_| axes.len() + 1 == rank && rank > 1);
        let channels = channels.ok_or_else(|| format!("of {rank} dimensions, it must leave one, got axes {axes:?}"))?;
        self.bring_last(channels)?;
        let order = self.plan.order.clone();
        let class = classes.get(rank.wrapping_sub(2)).ok_or_else(|| format!("{rank} dimensions are not supported"))?;
        self.plan.push(class, json!({ "keepdims": node.int("keepdims", 1) != 0 }), Vec::new())?;
        if self.plan.sample.len() == rank {
            self.plan.order = order;
        }
        Ok(())
    }

    fn gemm(&mut self, node: &Operation) -> Result<(), String> {
        if node.int("transA", 0) != 0 || self.plan.sample.len() != 1 {
            return Err(format!("expected samples of one dimension, got {:?}", self.plan.sample_in_file()));
        }
        let kernel = node.constant(1)?;
        if kernel.dims.len() != 2 {
            return Err(format!("expected a matrix, got dimensions {:?}", kernel.dims));
        }
        let kernel = if node.int("transB", 0) != 0 { kernel.permuted(&[1, 0]) } else { kernel };
        let bias = node.optional_constant(2)?.map(|bias| scaled(bias, node.float("beta", 1.0)));
        self.dense(scaled(kernel, node.float("alpha", 1.0)), bias)
    }

    fn mat_mul(&mut self, node: &Operation) -> Result<(), String> {
        let (kernel, rank) = (node.constant(1)?, self.plan.sample.len());
        if kernel.dims.len() != 2 || rank == 0 {
            return Err(format!("expected a matrix as its input 1, got dimensions {:?}", kernel.dims));
        }
        if self.plan.order[rank - 1] != rank - 1 {
            self.plan.arrange(&channels_last(rank))?;
        }
        self.dense(kernel, None)
    }

    /// A layer with `kernel: [features, units]`, whose features are in the order of the file.
    fn dense(&mut self, mut kernel: Constant, bias: Option<Constant>) -> Result<(), String> {
        let (features, units) = (kernel.dims[0], kernel.dims[1]);
        if self.plan.sample.last() != Some(&features) || kernel.values.is_empty() {
            return Err(format!(
                "its matrix has the dimensions {:?}, and the samples {:?}",
                kernel.dims,
                self.plan.sample_in_file()
            ));
        }
        if let Some((sample, order)) = self.plan.flattened.take() {
            let places = Constant { dims: sample, values: (0..features).map(|place| place as f64).collect() };
            let mut values = vec![0.0; kernel.values.len()];
            // Where the file's features stand in cornu's.
            for (row, &place) in kernel.values.chunks_exact(units).zip(&places.permuted(&order).values) {
                values[place as usize * units..][..units].copy_from_slice(row);
            }
            kernel.values = values;
        }
        let bias = match bias {
            Some(bias) if bias.values.len() == units => Some(Constant::vector(bias.values)),
            Some(bias) => match bias.single() {
                Some(number) => Some(Constant::vector(vec![number; units])),
                None => return Err(format!("expected a bias of {units} numbers, got dimensions {:?}", bias.dims)),
            },
            None => None,
        };
        let mut config = json!({ "units": units });
        let weights = with_bias(&mut config, kernel, bias);
        self.plan.push("Dense", config, weights)
    }

    fn dropout(&mut self, node: &Operation) -> Result<(), String> {
        let rate = match node.optional_constant(1)? {
            Some(constant) => constant.single().ok_or("its ratio must be a number")?,
            None => node.float("ratio", 0.5),
        };
        self.plan.push("Dropout", json!({ "rate": rate }), Vec::new())
    }

    fn embedding(&mut self, node: &Operation) -> Result<(), String> {
        let table = node.constant(0)?;
        let &[inputs, outputs] = &table.dims[..] else {
            return Err(format!("expected a matrix of embeddings as its input 0, got dimensions {:?}", table.dims));
        };
        if node.int("axis", 0) != 0 {
            return Err("expected axis 0, that of the embeddings".into());
        }
        self.plan.arrange(&channels_last(self.plan.sample.len()))?;
        self.plan.push("Embedding", json!({"input_dim": inputs, "output_dim": outputs}), vec![table])
    }

    fn layer_normalization(&mut self, node: &Operation) -> Result<(), String> {
        let first = self.axis(node.int("axis", -1))?;
        self.plan.arrange(&channels_last(self.plan.sample.len()))?;
        let dims = self.plan.sample[first..].to_vec();
        let axes: Vec<usize> = (first + 1..=self.plan.sample.len()).collect();
        let weight = |constant: Constant| match constant.dims.iter().rev().eq(dims.iter().rev()) {
            true => Ok(constant),
            false => Err(format!("expected weights of the dimensions {dims:?}, got {:?}", constant.dims)),
        };
        let gamma = weight(node.constant(1)?)?;
        let beta = node.optional_constant(2)?.map(weight).transpose()?;
        let config =
            json!({"axis": axes, "epsilon": node.float("epsilon", 1e-5), "center": beta.is_some(), "scale": true});
        self.plan.push("LayerNormalization", config, [gamma].into_iter().chain(beta).collect())
    }

    fn prelu(&mut self, node: &Operation) -> Result<(), String> {
        let slope = node.constant(1)?;
        let rank = self.plan.sample.len();
        // Broadcast from the last dimension on.
        let missing = rank.checked_sub(slope.dims.len());
        let missing = missing.filter(|_| !slope.values.is_empty());
        let missing = missing.ok_or_else(|| format!("its slope has the dimensions {:?}", slope.dims))?;
        let dims = [&vec![1; missing][..], &slope.dims].concat();
        let places: Vec<usize> = (0..rank).map(|dimension| position(&self.plan.order, dimension)).collect();
        let alpha = slope.reshaped(dims).permuted(&places);
        let shared = (0..rank).filter(|&axis| alpha.dims[axis] == 1).map(|axis| axis + 1);
        let shared: Vec<usize> = shared.collect();
        self.plan.push("PReLU", json!({ "shared_axes": shared }), vec![alpha])
    }

    fn pad(&mut self, node: &Operation) -> Result<(), String> {
        let pads = self.integers(node, 1, "pads")?.ok_or("it has no pads")?;
        let value = node.optional_constant(2)?.map_or(Some(node.float("value", 0.0)), |value| value.single());
        if node.string("mode", "constant") != "constant" || value != Some(0.0) || node.optional_constant(3)?.is_some() {
            return Err("only a padding with zeros of all axes is supported".into());
        }
        let rank = self.plan.order.len();
        let mut by_dimension = vec![[0_i64; 2]; rank];
        if pads.len() != 2 * (rank + 1) || pads[0] != 0 || pads[rank + 1] != 0 {
            return Err(format!("expected {} pads, those of the batch 0, got {pads:?}", 2 * (rank + 1)));
        }
        for (axis, &dimension) in self.plan.order.iter().enumerate() {
            by_dimension[dimension] = [pads[axis + 1], pads[rank + 1 + axis + 1]];
        }
        let (zeros, cropped): (Vec<_>, Vec<_>) =
            by_dimension.iter().map(|side| (side.map(|pad| pad.max(0)), side.map(|pad| pad.min(0)))).unzip();
        self.crop(&cropped.iter().map(|side| side.map(|pad| pad.unsigned_abs() as usize)).collect::<Vec<_>>())?;
        let zeros: Vec<[usize; 2]> = zeros.iter().map(|side| side.map(|pad| pad as usize)).collect();
        match zeros.split_last() {
            Some((&[0, 0], image)) => self.plan.pad(image),
            _ => Err("a padding of the channels, which are the last dimension here, is not supported".into()),
        }
    }

    fn slice(&mut self, node: &Operation) -> Result<(), String> {
        let list = |input, name| Ok::<_, String>(self.integers(node, input, name)?);
        let starts = list(1, "starts")?.ok_or("it has no starts")?;
        let ends = list(2, "ends")?.ok_or("it has no ends")?;
        let axes = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps != vec![1; starts.len()] {
            return Err("only slices with a step of 1, and an end for each start, are supported".into());
        }
        let mut sides = vec![[0, 0]; self.plan.sample.len()];
        for ((start, end), axis) in starts.into_iter().zip(ends).zip(axes) {
            let dimension = self.plan.order[self.axis(axis)?];
            let length = self.plan.sample[dimension] as i64;
            let [start, end] =
                [start, end].map(|at| if at < 0 { at.saturating_add(length) } else { at }.clamp(0, length));
            if start >= end {
                return Err("it leaves nothing".into());
            }
            sides[dimension] = [start as usize, (length - end) as usize];
        }
        self.crop(&sides)
    }

    /// Takes pixels away, before and after each dimension of cornu's.
    fn crop(&mut self, sides: &[[usize; 2]]) -> Result<(), String> {
        match sides {
            _ if sides.iter().all(|side| *side == [0, 0]) => Ok(()),
            [height, width, [0, 0]] => self.plan.push("Cropping2D", json!({ "cropping": [height, width] }), Vec::new()),
            _ => Err("only images can be cropped, and not in their channels".into()),
        }
    }

    fn resize(&mut self, node: &Operation) -> Result<(), String> {
        let axes = self.pooled_axes()?;
        let scales = match node.optional_constant(2)?.filter(|scales| !scales.values.is_empty()) {
            Some(scales) => scales.values,
            None => {
                let sizes = node.constant(3)?;
                let image = [&self.plan.sample[axes..], &self.plan.sample[..axes]].concat();
                let ratios = sizes.values.iter().skip(1).zip(image).map(|(size, length)| size / length as f64);
                [1.0].into_iter().chain(ratios).collect()
            }
        };
        let whole = |scale: f64| (scale >= 1.0 && scale.fract() == 0.0 && scale < 1e6).then_some(scale as usize);
        let size = match scales[..] {
            [1.0, 1.0, height, width] if axes == 2 => whole(height).zip(whole(width)),
            _ => None,
        };
        let (height, width) =
            size.ok_or_else(|| format!("expected images enlarged by whole numbers, got {scales:?}"))?;
        let (mode, coordinates) =
            (node.string("mode", "nearest"), node.string("coordinate_transformation_mode", "half_pixel"));
        let half_pixel = ["half_pixel", "pytorch_half_pixel"].contains(&coordinates);
        let nearest = node.string("nearest_mode", "round_prefer_floor");
        let interpolation = match mode {
            "nearest" if coordinates == "asymmetric" && nearest == "floor" => "nearest",
            "nearest" if half_pixel && nearest.starts_with("round") => "nearest",
            // The two differ in images of one pixel alone.
            "linear" if half_pixel => "bilinear",
            _ => {
                let message = format!("mode {mode} with {coordinates} and {nearest} is none of UpSampling2D's");
                return Err(message);
            }
        };
        let config = json!({"size": [height, width], "interpolation": interpolation});
        self.plan.push("UpSampling2D", config, Vec::new())
    }

    fn flatten(&mut self, node: &Operation<'a>) -> Result<(), String> {
        let rank = self.plan.order.len() as i64;
        if ![1, -rank].contains(&node.int("axis", 1)) {
            return Err(format!("expected axis 1, which leaves the batch, got {}", node.int("axis", 1)));
        }
        let before_dense = self.is_before_dense(node);
        self.plan.flatten(before_dense)
    }

    fn reshape(&mut self, node: &Operation<'a>) -> Result<(), String> {
        let mut shape = shapes::integers(self.reader, node.input(1)?, &self.shapes)?;
        let sample = self.plan.sample_in_file();
        let size: usize = sample.iter().product();
        if node.int("allowzero", 0) == 0 {
            for (i, dim) in shape.iter_mut().enumerate().filter(|(_, dim)| **dim == 0) {
                *dim = if i == 0 { BATCH } else { sample.get(i - 1).map_or(0, |&dim| dim as i64) };
            }
        }
        let wrong = || format!("samples {sample:?} cannot have the shape {:?}", shape.get(1..).unwrap_or(&[]));
        let (&batch, dims) = shape.split_first().ok_or("the batch must stay the first dimension")?;
        let known = |dims: &[i64]| {
            dims.iter().filter(|&&dim| dim != -1).try_fold(1_usize, |size, &dim| size.checked_mul(dim.try_into().ok()?))
        };
        let known = known(dims).ok_or_else(wrong)?;
        let open = dims.iter().filter(|&&dim| dim == -1).count();
        // The batch is what is left for a -1, or the number of samples with which the model was exported.
        let rest = match open {
            0 if known == size => 1,
            1 if batch != -1 && known > 0 && size % known == 0 => size / known,
            _ => return Err(wrong()),
        };
        let dims: Vec<usize> = dims.iter().map(|&dim| if dim == -1 { rest } else { dim as usize }).collect();
        match dims.len() {
            1 => {
                let before_dense = self.is_before_dense(node);
                self.plan.flatten(before_dense)
            }
            _ => self.plan.reshape(&dims),
        }
    }

    /// Whether a `Dense` is next, but for what treats all elements alike.
    fn is_before_dense(&self, node: &Operation<'a>) -> bool {
        let output = node.node.output.first().map_or("", |output| output);
        let next = self.reader.upcoming(output).find(|node| {
            let single =
                || node.input.iter().all(|input| !self.reader.is_constant(input) || self.reader.is_number(input));
            !(is_elementwise(&node.op_type) && (!is_arithmetic(&node.op_type) || single()))
        });
        next.is_some_and(|node| ["Gemm", "MatMul"].contains(&&*node.op_type))
    }

    fn squeeze(&mut self, node: &Operation) -> Result<(), String> {
        let axes = self.integers(node, 1, "axes")?.ok_or("it has no axes")?;
        let mut dims = self.plan.sample_in_file();
        let adds = node.node.op_type == "Unsqueeze";
        let rank = dims.len() + 1 + if adds { axes.len() } else { 0 };
        let mut axes = axes
            .into_iter()
            .map(|axis| axis_of(axis, rank))
            .collect::<Option<Vec<_>>>()
            .ok_or("an axis is out of range")?;
        axes.sort_unstable();
        if rank > crate::MAX_RANK {
            return Err(format!("it makes {rank} dimensions"));
        }
        if adds {
            axes.into_iter().try_for_each(|axis| (axis <= dims.len()).then(|| dims.insert(axis, 1)))
        } else {
            axes.into_iter().rev().try_for_each(|axis| (dims.get(axis) == Some(&1)).then(|| _ = dims.remove(axis)))
        }
        .ok_or("its axes do not fit the samples")?;
        self.plan.reshape(&dims)
    }

    /// The order changes, and nothing else.
    fn transpose(&mut self, node: &Operation) -> Result<(), String> {
        let rank = self.plan.order.len();
        let perm = node.ints("perm").unwrap_or(&[]);
        let axes: Option<Vec<usize>> = perm.iter().map(|&axis| usize::try_from(axis).ok()).collect();
        let axes = axes.filter(|axes| {
            axes.first() == Some(&0) && (0..=rank).all(|axis| axes.contains(&axis)) && axes.len() == rank + 1
        });
        let axes = axes.ok_or_else(|| {
            format!("perm must be a permutation of {} axes that leaves the batch first, got {perm:?}", rank + 1)
        })?;
        self.plan.order = axes[1..].iter().map(|&axis| self.plan.order[axis - 1]).collect();
        Ok(())
    }

    /// Integers that are an input, or in older versions an attribute.
    fn integers(&self, node: &Operation, input: usize, attribute: &str) -> Result<Option<Vec<i64>>, String> {
        match node.optional(input) {
            Some(value) => shapes::integers(self.reader, value, &self.shapes).map(Some),
            None => Ok(node.ints(attribute).map(<[i64]>::to_vec)),
        }
    }

    /// Makes a dimension of the file's sample cornu's last, in which it has the channels.
    fn bring_last(&mut self, channels: usize) -> Result<(), String> {
        let rank = self.plan.order.len();
        if self.plan.order[channels] + 1 == rank {
            return Ok(());
        }
        let place = |i| if i == channels { rank - 1 } else { i - usize::from(i > channels) };
        self.plan.arrange(&(0..rank).map(place).collect::<Vec<_>>())
    }

    /// The dimension of the file's sample that is this axis of a batch.
    fn axis(&self, axis: i64) -> Result<usize, String> {
        let rank = self.plan.order.len() + 1;
        axis_of(axis, rank).ok_or_else(|| format!("its axis {axis} is none of a sample's, 1 to {}", rank - 1))
    }
}

/// The dimension of a sample that is an axis of a batch of `rank` dimensions.
fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    crate::shape::axis_of(isize::try_from(axis).ok()?, rank)?.checked_sub(1)
}

/// From the first tap to the last.
fn span(kernel: usize, dilation: usize) -> usize {
    (kernel - 1).saturating_mul(dilation).saturating_add(1)
}

/// The padding with which the output is as long as the input divided by the stride.
fn total_padding(input: usize, span: usize, stride: usize) -> usize {
    ((input.div_ceil(stride) - 1) * stride).saturating_add(span).saturating_sub(input)
}

/// `pads` as those before and after each axis.
fn sides(pads: &[i64], axes: usize) -> Result<Vec<[usize; 2]>, String> {
    let wrong = || format!("pads must be {} numbers of at least 0, got {pads:?}", 2 * axes);
    if pads.len() != 2 * axes {
        return Err(wrong());
    }
    let side = |axis: usize| Some([pads[axis].try_into().ok()?, pads[axes + axis].try_into().ok()?]);
    (0..axes).map(side).collect::<Option<_>>().ok_or_else(wrong)
}

/// The weights of a layer, whose configuration is told whether it has a bias.
fn with_bias(config: &mut Value, kernel: Constant, bias: Option<Constant>) -> Vec<Constant> {
    config["use_bias"] = bias.is_some().into();
    [kernel].into_iter().chain(bias).collect()
}

fn scaled(mut constant: Constant, factor: f64) -> Constant {
    constant.values.iter_mut().for_each(|value| *value *= factor);
    constant
}
