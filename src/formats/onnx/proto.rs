//! The messages of ONNX's protocol buffers that we need, with the numbers of their fields in
//! [onnx.proto](https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). All other fields are skipped as they are read.

use prost::{Message, bytes::Bytes};

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelProto {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
}

/// The version of the operators of a domain; `""` is ONNX's own.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorSet {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub name: String,
    /// The weights.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeProto {
    /// Names of values; an empty one stands for an optional input that is left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub s: Option<Bytes>,
    #[prost(message, optional, boxed, tag = "5")]
    pub t: Option<Box<TensorProto>>,
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Which of the fields above is meant; one of [`attribute`].
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

/// The kinds of attributes that are written.
pub(super) mod attribute {
    pub const FLOAT: i32 = 1;
    pub const INT: i32 = 2;
    pub const STRING: i32 = 3;
    pub const INTS: i32 = 7;
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// One of [`data_type`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    /// All numbers, little-endian, instead of the fields of their type.
    #[prost(bytes = "bytes", tag = "9")]
    pub raw_data: Bytes,
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// 1 if the numbers are in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// The types of numbers that are read.
pub(super) mod data_type {
    pub const FLOAT: i32 = 1;
    pub const INT32: i32 = 6;
    pub const INT64: i32 = 7;
    pub const DOUBLE: i32 = 11;
}

/// An input or output of the graph.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorType {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorShape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dim>,
}

/// A number, a name for any number, or neither.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Dim {
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub param: Option<String>,
}

/// The most fields in a model's messages down to attributes and dimensions. A message takes 2 bytes of a file and up to [`LARGEST`] bytes of
/// memory, three times that while a list of them grows.
const MAX_FIELDS: usize = 1 << 17;

/// The bytes that the largest message takes without what its fields point to; a test holds it.
#[cfg(test)]
const LARGEST: usize = 224;

/// The message in `bytes`.
///
/// It takes at most 24 times the memory of the file (packed integers of a byte become 8, three times that while the list grows), and what
/// [`MAX_FIELDS`] messages take, 84 MiB.
pub(super) fn decode(bytes: &[u8]) -> Result<ModelProto, String> {
    let fields = count_fields(bytes, &MODEL);
    if fields > MAX_FIELDS {
        return Err(format!("its messages have more than {MAX_FIELDS} fields, more than any model that computes"));
    }
    // Of one buffer, the raw data of the tensors are parts and no copies.
    ModelProto::decode(Bytes::copy_from_slice(bytes)).map_err(|error| format!("it is not a whole ONNX model: {error}"))
}

/// A message by those of its fields that are messages with many fields, too.
struct Nest(&'static [(u64, &'static Nest)]);

const MODEL: Nest = Nest(&[(7, &GRAPH)]);
const GRAPH: Nest = Nest(&[(1, &NODE), (5, &FLAT), (11, &VALUE), (12, &VALUE)]);
const NODE: Nest = Nest(&[(5, &Nest(&[(5, &FLAT)]))]);
const VALUE: Nest = Nest(&[(2, &Nest(&[(1, &Nest(&[(2, &FLAT)]))]))]);
const FLAT: Nest = Nest(&[]);

/// How many fields a message has, those of its own messages included. Where the bytes are no message, the count ends; reading it will say
/// what is wrong.
fn count_fields(mut bytes: &[u8], message: &Nest) -> usize {
    let mut count = 0;
    while let Some((number, content)) = next_field(&mut bytes) {
        let inner = message.0.iter().find(|(field, _)| *field == number);
        count += 1 + inner.map_or(0, |(_, inner)| count_fields(content, inner));
        if count > MAX_FIELDS {
            break;
        }
    }
    count
}

/// The number of the next field and its content, which is empty for a number.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let key = next_varint(bytes)?;
    let length = match key & 7 {
        0 => next_varint(bytes).map(|_| 0)?,
        1 => 8,
        2 => usize::try_from(next_varint(bytes)?).ok()?,
        5 => 4,
        // A group, whose fields are counted as those of the message around it.
        3 | 4 => 0,
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((key >> 3, if key & 7 == 2 { content } else { &[] }))
}

/// Seven bits a byte, the lowest first; the eighth bit says that another byte follows.
fn next_varint(bytes: &mut &[u8]) -> Option<u64> {
    let length = 1 + bytes.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let (varint, rest) = bytes.split_at(length);
    *bytes = rest;
    Some(varint.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_no_larger_than_is_said() {
        let sizes = [
            size_of::<NodeProto>(),
            size_of::<Attribute>(),
            size_of::<TensorProto>(),
            size_of::<ValueInfo>(),
            size_of::<OperatorSet>(),
            size_of::<Dim>(),
        ];
        assert!(sizes.iter().all(|&size| size <= LARGEST), "{sizes:?}");
        const { assert!(3 * MAX_FIELDS * LARGEST <= 84 << 20) };
    }

    #[test]
    fn all_fields_are_counted() {
        let dim = Dim { value: Some(3), param: None };
        let shape = TensorShape { dim: vec![dim.clone(), dim] };
        let tensor_type = Some(TensorType { elem_type: 1, shape: Some(shape) });
        let node = NodeProto { name: "a".into(), attribute: vec![Attribute::default(); 3], ..NodeProto::default() };
        let graph = GraphProto {
            node: vec![node],
            initializer: vec![TensorProto { name: "w".into(), ..TensorProto::default() }],
            input: vec![ValueInfo { name: "x".into(), r#type: Some(Type { tensor_type }) }],
            ..GraphProto::default()
        };
        let model = ModelProto { ir_version: 8, graph: Some(graph), ..ModelProto::default() };
        // The version, the graph; the node, its name and attributes; the tensor and its name; the input, its name, its type, the
        // tensor type with a type and a shape of two dimensions.
        assert_eq!(count_fields(&model.encode_to_vec(), &MODEL), 2 + 5 + 2 + 3 + 2 + 1 + 2);
        assert_eq!(decode(&model.encode_to_vec()), Ok(model));
    }

    #[test]
    fn numbers_of_fields() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 0x02, 7, 8, 0x1d, 0, 0, 0, 0];
        let mut rest = &bytes[..];
        assert_eq!(next_field(&mut rest), Some((1, &[][..])));
        assert_eq!(next_field(&mut rest), Some((2, &[7, 8][..])));
        assert_eq!(next_field(&mut rest), Some((3, &[][..])));
        assert_eq!(next_field(&mut rest), None);
        assert_eq!(next_varint(&mut &[0x96, 0x01][..]), Some(150));
        assert_eq!(next_varint(&mut &[0xff; 11][..]), None);
    }
}
