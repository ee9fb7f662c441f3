//! [`Writer`]: a graph that grows node by node from the input to the output.

use std::collections::HashSet;

use super::{
    IR_VERSION, OPSET, PRODUCER, channels_last,
    constant::{self, Constant},
    position,
    proto::{
        Attribute, Dim, GraphProto, ModelProto, NodeProto, OperatorSet, TensorShape, TensorType, Type, ValueInfo,
        attribute, data_type,
    },
};

/// The names of the graph's input and output, and of their first dimension.
const INPUT: &str = "input";
const OUTPUT: &str = "output";
const BATCH: &str = "N";

pub(super) struct Writer {
    graph: GraphProto,
    names: HashSet<String>,
    /// The layer that is being written; it gives its nodes and weights their names.
    pub layer: String,
    /// The value that the next layer reads.
    pub value: String,
    /// The dimensions of a sample of it, as cornu has them.
    pub sample: Vec<usize>,
    /// Dimension `i` of the value's sample is dimension `order[i]` of cornu's.
    pub order: Vec<usize>,
}

impl Writer {
    /// A graph whose input has samples of these dimensions.
    pub fn new(sample: &[usize]) -> Self {
        let graph =
            GraphProto { name: PRODUCER.into(), input: vec![value_info(INPUT, sample)], ..GraphProto::default() };
        Writer {
            graph,
            names: [INPUT, OUTPUT].map(String::from).into(),
            layer: String::new(),
            value: INPUT.into(),
            sample: sample.to_vec(),
            order: channels_last(sample.len()),
        }
    }

    /// The next layer reads what this operator makes of the current value and of `others`.
    pub fn apply<const N: usize>(&mut self, operator: &str, others: [&str; N], attributes: Vec<Attribute>) {
        let value = self.value.clone();
        let inputs = [&[&*value], &others[..]].concat();
        self.value = self.node(operator, &inputs, attributes);
    }

    /// [`apply`](Writer::apply) to a kernel and, where there is one, a bias.
    pub fn apply_weights(&mut self, operator: &str, kernel: &str, bias: Option<&str>, attributes: Vec<Attribute>) {
        match bias {
            Some(bias) => self.apply(operator, [kernel, bias], attributes),
            None => self.apply(operator, [kernel], attributes),
        }
    }

    /// A node, and the name of its output.
    pub fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let [output] = self.node_of(operator, inputs, attributes);
        output
    }

    /// A node with several outputs.
    pub fn node_of<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attribute: Vec<Attribute>,
    ) -> [String; N] {
        let name = self.name(operator);
        let outputs = std::array::from_fn(|i| if i == 0 { name.clone() } else { self.name(operator) });
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: outputs.to_vec(),
            name,
            op_type: operator.to_owned(),
            attribute,
            ..NodeProto::default()
        });
        outputs
    }

    /// A weight of the layer, and its name in the graph.
    pub fn weight(&mut self, name: &str, weight: &Constant) -> String {
        let name = self.name(name);
        self.graph.initializer.push(weight.to_tensor(&name));
        name
    }

    /// A list of integers as an input of a node.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let name = self.name(name);
        self.graph.initializer.push(constant::integers(&name, values));
        name
    }

    /// A number as an input of a node.
    pub fn number(&mut self, name: &str, value: f64) -> String {
        self.weight(name, &Constant::scalar(value))
    }

    /// Brings the dimensions of the current value into this order.
    pub fn arrange(&mut self, order: &[usize]) {
        if self.order != order {
            let moved = order.iter().map(|&dimension| 1 + position(&self.order, dimension) as i64);
            let perm = [0].into_iter().chain(moved).collect();
            self.apply("Transpose", [], vec![ints("perm", perm)]);
            self.order = order.to_vec();
        }
    }

    /// The current value has samples of these dimensions, in cornu's order.
    pub fn reshaped(&mut self, sample: &[usize]) {
        self.sample = sample.to_vec();
        self.order = channels_last(sample.len());
    }

    /// The model whose output is the current value.
    pub fn finish(mut self) -> ModelProto {
        self.layer.clear();
        self.arrange(&channels_last(self.sample.len()));
        if self.graph.node.is_empty() {
            self.apply("Identity", [], Vec::new());
        }
        let last = self.graph.node.iter_mut().flat_map(|node| &mut node.output).find(|output| **output == self.value);
        *last.expect("a node gives the current value") = OUTPUT.into();
        self.graph.output = vec![value_info(OUTPUT, &self.sample)];
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: PRODUCER.into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        }
    }

    /// A name of the layer's that nothing else in the graph has.
    fn name(&mut self, part: &str) -> String {
        let base = if self.layer.is_empty() { part.to_owned() } else { format!("{}/{part}", self.layer) };
        let mut numbered = (1..).map(|i| format!("{base}_{i}"));
        let mut name = base.clone();
        while !self.names.insert(name.clone()) {
            name = numbered.next().expect("there are more numbers than names");
        }
        name
    }
}

fn value_info(name: &str, sample: &[usize]) -> ValueInfo {
    let batch = Dim { value: None, param: Some(BATCH.into()) };
    let dims = sample.iter().map(|&dim| Dim { value: Some(dim as i64), param: None });
    let shape = TensorShape { dim: [batch].into_iter().chain(dims).collect() };
    let tensor_type = TensorType { elem_type: data_type::FLOAT, shape: Some(shape) };
    ValueInfo { name: name.into(), r#type: Some(Type { tensor_type: Some(tensor_type) }) }
}

pub(super) fn int(name: &str, i: i64) -> Attribute {
    Attribute { name: name.into(), i: Some(i), kind: attribute::INT, ..Attribute::default() }
}

pub(super) fn ints(name: &str, ints: Vec<i64>) -> Attribute {
    Attribute { name: name.into(), ints, kind: attribute::INTS, ..Attribute::default() }
}

pub(super) fn float(name: &str, f: f64) -> Attribute {
    Attribute { name: name.into(), f: Some(f as f32), kind: attribute::FLOAT, ..Attribute::default() }
}

pub(super) fn string(name: &str, s: &'static str) -> Attribute {
    let s = Some(s.as_bytes().into());
    Attribute { name: name.into(), s, kind: attribute::STRING, ..Attribute::default() }
}
