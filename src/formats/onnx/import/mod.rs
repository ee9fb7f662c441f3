//! [`model`]: the layers that compute what the nodes of a file compute.

mod layout;
mod sizes;
mod weighted;
mod windows;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    channels_first, channels_last,
    constant::Constant,
    plan::Plan,
    position,
    proto::ModelProto,
    reader::{Next, Operation, Reader, is_onnx},
    shapes,
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
    while value != reader.output {
        if import.shapes.insert(value, import.plan.sample_in_file()).is_some() {
            return Err(format!("the value {value:?} is computed from itself"));
        }
        value = match reader.next(value)? {
            Next::Activation(activation, end) => {
                import.plan.activation(activation)?;
                end
            }
            Next::Node(place, node) => {
                let operation = Operation { place, node, reader: &reader };
                import.node(&operation, value).map_err(|message| format!("{}: {message}", operation.name()))?
            }
        };
    }
    if as_in_file {
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
            return Err(match operator {
                "Gather" => {
                    format!("only that of an embedding can be read, {value:?} as its input 1 and a constant before")
                }
                _ => format!("expected {value:?} as its input {at} alone"),
            });
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
        // One of more dimensions would give the value more.
        match constant.single().filter(|_| constant.dims.len() <= self.plan.order.len() + 1) {
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

    fn dropout(&mut self, node: &Operation) -> Result<(), String> {
        let rate = match node.optional_constant(1)? {
            Some(constant) => constant.single().ok_or("its ratio must be a number")?,
            None => node.float("ratio", 0.5),
        };
        self.plan.push("Dropout", json!({ "rate": rate }), Vec::new())
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

/// The weights of a layer, whose configuration is told whether it has a bias.
fn with_bias(config: &mut Value, kernel: Constant, bias: Option<Constant>) -> Vec<Constant> {
    config["use_bias"] = bias.is_some().into();
    [kernel].into_iter().chain(bias).collect()
}
