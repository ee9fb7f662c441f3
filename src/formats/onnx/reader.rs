//! [`Reader`]: a file's graph, to be followed from the input to the output.

use std::{borrow::Cow, collections::HashMap, rc::Rc};

use super::{
    OLDEST_OPSET, OPSET, PRODUCER, activation,
    constant::{self, Constant},
    proto::{Attribute, ModelProto, NodeProto, TensorProto, ValueInfo, data_type},
};
use crate::Activation;

pub(super) struct Reader<'a> {
    nodes: &'a [NodeProto],
    /// The initializers and what the nodes `Constant` hold.
    constants: HashMap<&'a str, Shared<'a>>,
    /// The nodes that read a value, but those that only ask for its shape.
    readers: HashMap<&'a str, Vec<usize>>,
    /// The node that gives a value.
    givers: HashMap<&'a str, usize>,
    pub input: &'a str,
    /// The dimensions of a sample of the input.
    pub sample: Vec<usize>,
    pub output: &'a str,
    pub opset: i64,
    /// Whether cornu has written the file.
    pub ours: bool,
}

/// A tensor that several names can stand for.
type Shared<'a> = Rc<Cow<'a, TensorProto>>;

/// What reads a value.
pub(super) enum Next<'a> {
    Node(usize, &'a NodeProto),
    /// Several nodes that are an activation together, and the value that they give.
    Activation(Activation, &'a str),
}

/// The most nodes in which an activation is written.
const LONGEST_ACTIVATION: usize = 12;

/// The first version of the operators with one for a layer normalization.
const LAYER_NORMALIZATION: i64 = 17;

/// The longest name of a value, in bytes. To compute the shapes that nodes ask for, names are looked up again and again.
const MAX_NAME: usize = 4 << 10;

impl<'a> Reader<'a> {
    pub fn new(file: &'a ModelProto) -> Result<Self, String> {
        let graph = file.graph.as_ref().ok_or("it is no ONNX model: it has no graph")?;
        let own = file.opset_import.iter().find(|set| is_onnx(&set.domain));
        let opset = own.ok_or("it does not say of which version (opset_import) its operators are")?.version;
        if opset < OLDEST_OPSET {
            return Err(format!(
                "its operators are of version {opset}; read are those from {OLDEST_OPSET} on: convert the model, in Python by \
                 onnx.version_converter.convert_version(model, {OPSET})"
            ));
        }
        let mut constants: HashMap<&str, Shared> =
            graph.initializer.iter().map(|tensor| (&*tensor.name, Rc::new(Cow::Borrowed(tensor)))).collect();
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut givers = HashMap::new();
        for (i, node) in graph.node.iter().enumerate() {
            if let Some(long) = node.input.iter().chain(&node.output).find(|value| value.len() > MAX_NAME) {
                return Err(format!("node {i}: the name of a value has {} bytes, and may have {MAX_NAME}", long.len()));
            }
            let Some(output) = node.output.first() else { continue };
            if let Some(tensor) =
                constant_of(node, &constants).map_err(|message| format!("{}: {message}", name(i, node)))?
            {
                constants.insert(output, tensor);
                continue;
            }
            for input in node.input.iter().filter(|_| node.op_type != "Shape") {
                let readers = readers.entry(&**input).or_default();
                if readers.last() != Some(&i) {
                    readers.push(i);
                }
            }
            for output in node.output.iter().filter(|output| !output.is_empty()) {
                if givers.insert(&**output, i).is_some() {
                    return Err(format!("{}: the value {output:?} is another node's output, too", name(i, node)));
                }
            }
        }
        let inputs: Vec<_> = graph.input.iter().filter(|input| !constants.contains_key(&*input.name)).collect();
        let (input, output) = (only("input", &inputs)?, only("output", &graph.output.iter().collect::<Vec<_>>())?);
        Ok(Reader {
            nodes: &graph.node,
            constants,
            readers,
            givers,
            input: &input.name,
            sample: sample(input)?,
            output: &output.name,
            opset,
            ours: file.producer_name == PRODUCER,
        })
    }

    /// What reads a value.
    pub fn next(&self, value: &str) -> Result<Next<'a>, String> {
        match self.readers(value) {
            [] => Err(format!("no node reads the value {value:?}, which is not the output of the graph")),
            &[one] if value != self.output => Ok(Next::Node(one, &self.nodes[one])),
            several => self.activation(value).ok_or_else(|| {
                let names: Vec<String> = several.iter().take(3).map(|&i| name(i, &self.nodes[i])).collect();
                format!(
                    "the value {value:?} branches to {}: read are models whose layers follow one another, and {} are no activation \
                     that there is here{}",
                    names.join(" and "),
                    if several.len() > 3 { "those" } else { "these" },
                    match self.opset < LAYER_NORMALIZATION {
                        true => "; a layer normalization is one node if the model is exported with opset_version=17 or a later one",
                        false => "",
                    },
                )
            }),
        }
    }

    /// The nodes that follow from a value on, as far as one follows another.
    pub fn upcoming(&self, value: &'a str) -> impl Iterator<Item = &'a NodeProto> {
        let mut value = value;
        let nodes = std::iter::from_fn(move || match *self.readers(value) {
            // What nodes behind the output of the model do is not asked for.
            [one] if value != self.output => {
                let node = &self.nodes[one];
                value = node.output.first()?;
                Some(node)
            }
            _ => None,
        });
        nodes.take(self.nodes.len())
    }

    fn readers(&self, value: &str) -> &[usize] {
        self.readers.get(value).map_or(&[], |readers| readers)
    }

    /// The constant of this name.
    pub fn constant(&self, name: &str) -> Result<Constant, String> {
        let tensor = self.constants.get(name);
        let advice = match self.givers.contains_key(name) {
            true => {
                "; if it is computed from constants, let the exporter do so (do_constant_folding=True, optimize=True)"
            }
            false => "",
        };
        Constant::read(tensor.ok_or_else(|| format!("its input {name:?} must be a constant{advice}"))?)
    }

    /// Whether a node reads a value.
    pub fn is_read(&self, value: &str) -> bool {
        !value.is_empty() && !self.readers(value).is_empty()
    }

    /// Whether a constant holds one number.
    pub fn is_number(&self, name: &str) -> bool {
        self.number(name).is_some()
    }

    /// The node that gives a value.
    pub fn giver(&self, value: &str) -> Option<Operation<'_>> {
        let &place = self.givers.get(value)?;
        Some(Operation { place, node: &self.nodes[place], reader: self })
    }

    pub fn is_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
    }

    /// A constant of few numbers.
    pub fn small_constant(&self, name: &str, most: usize) -> Option<Constant> {
        Constant::read_small(self.constants.get(name)?, most)
    }

    /// The number that a constant holds, if it would give no value more dimensions.
    fn number(&self, name: &str) -> Option<f64> {
        self.small_constant(name, 1).filter(|constant| constant.dims.len() <= 1)?.single()
    }

    /// The nodes from a value to the next to which all ways lead, if they are an activation.
    fn activation(&self, start: &str) -> Option<Next<'a>> {
        let mut values = vec![(start, activation::arguments())];
        let mut taken: Vec<usize> = Vec::new();
        while taken.len() < LONGEST_ACTIVATION {
            let next = values.iter().flat_map(|(value, _)| self.readers(value)).copied().filter(|i| !taken.contains(i));
            let (i, result) = next.take(LONGEST_ACTIVATION).find_map(|i| Some((i, self.evaluate(i, &values)?)))?;
            taken.push(i);
            let open = |value: &str| value == self.output || self.readers(value).iter().any(|i| !taken.contains(i));
            let closed = values.iter().all(|(value, _)| !open(value));
            let end: &'a str = self.nodes[i].output.first()?;
            if let Some(activation) = activation::with_values(&result).filter(|_| closed) {
                return Some(Next::Activation(activation, end));
            }
            values.push((end, result));
        }
        None
    }

    /// What a node makes of values that are known.
    fn evaluate(&self, node: usize, values: &[(&str, Vec<f64>)]) -> Option<Vec<f64>> {
        let node = &self.nodes[node];
        let mut numbers = Vec::new();
        for input in node.input.iter().take(3) {
            numbers.push(match values.iter().find(|(value, _)| value == input) {
                Some((_, known)) => Cow::Borrowed(known),
                None => Cow::Owned(vec![self.number(input)?]),
            });
        }
        let inputs: Vec<&[f64]> = numbers.iter().map(|numbers| &numbers[..]).collect();
        activation::value(&node.op_type, &inputs).filter(|_| is_onnx(&node.domain) && node.input.len() <= 2)
    }
}

/// A node with what it reads.
pub(super) struct Operation<'a> {
    pub place: usize,
    pub node: &'a NodeProto,
    pub reader: &'a Reader<'a>,
}

impl<'a> Operation<'a> {
    /// The node's name and operator, for errors.
    pub fn name(&self) -> String {
        name(self.place, self.node)
    }

    /// The name of an input.
    pub fn input(&self, input: usize) -> Result<&'a str, String> {
        self.optional(input).ok_or_else(|| format!("its input {input} is missing"))
    }

    pub fn optional(&self, input: usize) -> Option<&'a str> {
        self.node.input.get(input).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// An input that is a constant.
    pub fn constant(&self, input: usize) -> Result<Constant, String> {
        self.reader.constant(self.input(input)?)
    }

    /// An input that is a constant, where it is given.
    pub fn optional_constant(&self, input: usize) -> Result<Option<Constant>, String> {
        self.optional(input).map(|name| self.reader.constant(name)).transpose()
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    pub fn float(&self, name: &str, default: f64) -> f64 {
        self.attribute(name).and_then(|attribute| attribute.f).map_or(default, f64::from)
    }

    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|attribute| &attribute.ints[..])
    }

    /// Positive integers, one for each of some axes; 1 by default.
    pub fn sizes(&self, name: &str, axes: usize) -> Result<Vec<usize>, String> {
        let Some(ints) = self.ints(name) else { return Ok(vec![1; axes]) };
        let sizes: Option<Vec<usize>> =
            ints.iter().map(|&size| size.try_into().ok().filter(|&size| size > 0)).collect();
        sizes
            .filter(|sizes| sizes.len() == axes)
            .ok_or_else(|| format!("{name} must be {axes} numbers above 0, got {ints:?}"))
    }

    /// An attribute that is a number in a tensor.
    pub fn number(&self, name: &str) -> Option<f64> {
        Constant::read_small(self.attribute(name)?.t.as_ref()?, 1)?.single()
    }

    pub fn string(&self, name: &str, default: &'a str) -> &'a str {
        let string = self.attribute(name).and_then(|attribute| attribute.s.as_ref());
        string.map_or(default, |bytes| std::str::from_utf8(bytes).unwrap_or(""))
    }

    fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }
}

/// The name of ONNX's own domain, which is most often left out.
pub(super) fn is_onnx(domain: &str) -> bool {
    ["", "ai.onnx"].contains(&domain)
}

/// What an error calls a node.
fn name(place: usize, node: &NodeProto) -> String {
    let domain = if is_onnx(&node.domain) { String::new() } else { format!("{}.", node.domain) };
    match &*node.name {
        "" => format!("node {place} ({domain}{})", node.op_type),
        name => format!("node {name:?} ({domain}{})", node.op_type),
    }
}

/// The tensor of a node that is a constant, or hands one on.
fn constant_of<'a>(node: &'a NodeProto, constants: &HashMap<&str, Shared<'a>>) -> Result<Option<Shared<'a>>, String> {
    match &*node.op_type {
        "Identity" => Ok(node.input.first().and_then(|input| constants.get(&**input)).cloned()),
        "Constant" => {
            let attribute = node.attribute.first().ok_or("it has no value")?;
            Ok(Some(Rc::new(match (&*attribute.name, attribute) {
                ("value", Attribute { t: Some(tensor), .. }) => Cow::Borrowed(tensor),
                ("value_float", Attribute { f: Some(f), .. }) => {
                    Cow::Owned(Constant::scalar((*f).into()).to_tensor(""))
                }
                ("value_floats", Attribute { floats, .. }) => Cow::Owned(TensorProto {
                    dims: vec![floats.len() as i64],
                    data_type: data_type::FLOAT,
                    float_data: floats.clone(),
                    ..TensorProto::default()
                }),
                ("value_int", Attribute { i: Some(i), .. }) => {
                    Cow::Owned(TensorProto { dims: Vec::new(), ..constant::integers("", &[*i]) })
                }
                ("value_ints", Attribute { ints, .. }) => Cow::Owned(constant::integers("", ints)),
                (name, _) => return Err(format!("its {name} cannot be read, only tensors and numbers")),
            })))
        }
        _ => Ok(None),
    }
}

fn only<'a>(what: &str, values: &[&'a ValueInfo]) -> Result<&'a ValueInfo, String> {
    match values {
        [one] => Ok(one),
        _ => {
            let names: Vec<&str> = values.iter().take(5).map(|value| &*value.name).collect();
            Err(format!("expected a model with one {what}, got {}: {}", values.len(), names.join(", ")))
        }
    }
}

/// The dimensions of a sample of the input.
fn sample(input: &ValueInfo) -> Result<Vec<usize>, String> {
    let shape = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()?.shape.as_ref());
    let dims = shape.map(|shape| &shape.dim[..]).filter(|dims| !dims.is_empty());
    let dims =
        dims.ok_or_else(|| format!("the input {:?} has no shape with a batch as its first dimension", input.name))?;
    if dims.len() > crate::MAX_RANK {
        return Err(format!(
            "the input {:?} has {} dimensions, and may have {}",
            input.name,
            dims.len(),
            crate::MAX_RANK
        ));
    }
    let size = |(i, dim): (usize, &super::proto::Dim)| match dim.value.and_then(|value| usize::try_from(value).ok()) {
        Some(size) if size > 0 => Ok(size),
        _ => Err(format!(
            "the input {:?}: dimension {i} must be a number above 0, got {}; only the number of samples, dimension 0, may be left open",
            input.name,
            dim.param.clone().or(dim.value.map(|value| value.to_string())).unwrap_or("nothing".into()),
        )),
    };
    dims.iter().enumerate().skip(1).map(size).collect()
}
