//! Models as [ONNX](https://onnx.ai): out for onnxruntime and others, and in from PyTorch and others.
//!
//! ONNX's images are `[n, c, h, w]` and cornu's `[n, h, w, c]`. Each direction keeps beside the value at which it is an `order`: dimension `i` of a
//! sample in ONNX is dimension `order[i]` of cornu's. A transpose changes the order alone, and what needs an order asks for it.

mod activation;
mod constant;
mod export;
mod import;
mod plan;
mod proto;
mod reader;
mod shapes;
mod writer;

use prost::Message;

use crate::{Error, Model, Result, Scalar};

/// The version of ONNX's operators that are written: that of ONNX 1.12, of 2022. onnxruntime knows it from its version 1.12 on.
const OPSET: i64 = 17;

/// The version of the messages that are written: that of ONNX 1.12.
const IR_VERSION: i64 = 8;

/// The oldest version of ONNX's operators that is read: the first with NumPy's rules of broadcasting.
const OLDEST_OPSET: i64 = 7;

/// What a file of ours says of its origin.
const PRODUCER: &str = "cornu";

/// The file of a model: what it computes in prediction.
pub(super) fn bytes<T: Scalar>(model: &Model<T>) -> Result<Vec<u8>> {
    let refuse = |message| Error::argument("save", message);
    let file = export::model(model).map_err(refuse)?;
    // More, no reader of protocol buffers takes.
    match file.encoded_len() <= i32::MAX as usize {
        true => Ok(file.encode_to_vec()),
        false => Err(refuse("an ONNX file holds at most 2 GiB; save it as .safetensors".into())),
    }
}

/// The model in such a file, or in one of another program's.
pub(super) fn parse<T: Scalar>(bytes: &[u8]) -> Result<Model<T>, String> {
    import::model(&proto::decode(bytes)?, bytes.len())
}

/// The order of a sample of `rank` dimensions whose channels, cornu's last, come first.
fn channels_first(rank: usize) -> Vec<usize> {
    (rank.saturating_sub(1)..rank).chain(0..rank.saturating_sub(1)).collect()
}

/// The order of a sample as cornu has it.
fn channels_last(rank: usize) -> Vec<usize> {
    (0..rank).collect()
}

/// Where the dimension of cornu's stands in an order.
fn position(order: &[usize], dimension: usize) -> usize {
    order.iter().position(|&other| other == dimension).expect("an order has each dimension")
}

#[cfg(test)]
mod tests {
    use super::{
        constant::{self, Constant},
        proto::{
            Attribute, Dim, GraphProto, ModelProto, NodeProto, OperatorSet, TensorShape, TensorType, Type, ValueInfo,
        },
        writer::{int, ints},
        *,
    };
    use crate::Tensor;

    fn node(operator: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            input: input.iter().map(|&name| name.into()).collect(),
            output: vec![output.into()],
            name: format!("the {operator}"),
            op_type: operator.into(),
            ..NodeProto::default()
        }
    }

    fn value(name: &str, sample: &[i64]) -> ValueInfo {
        let batch = Dim { value: None, param: Some("N".into()) };
        let dims = sample.iter().map(|&dim| Dim { value: Some(dim), param: None });
        let shape = TensorShape { dim: [batch].into_iter().chain(dims).collect() };
        let tensor_type = TensorType { elem_type: 1, shape: Some(shape) };
        ValueInfo { name: name.into(), r#type: Some(Type { tensor_type: Some(tensor_type) }) }
    }

    /// A file from "x" to "y", with weights "w" of these dimensions, all 1.
    fn file(sample: &[i64], nodes: Vec<NodeProto>, weights: &[usize]) -> ModelProto {
        let ones = Constant { dims: weights.to_vec(), values: vec![1.0; weights.iter().product()] };
        let graph = GraphProto {
            node: nodes,
            initializer: vec![ones.to_tensor("w")],
            input: vec![value("x", sample)],
            output: vec![value("y", &[])],
            ..GraphProto::default()
        };
        let opset_import = vec![OperatorSet { domain: String::new(), version: OPSET }];
        ModelProto { ir_version: IR_VERSION, graph: Some(graph), opset_import, ..ModelProto::default() }
    }

    fn read(file: &ModelProto) -> Result<Model, String> {
        parse(&file.encode_to_vec())
    }

    fn message(sample: &[i64], nodes: Vec<NodeProto>, weights: &[usize]) -> String {
        read(&file(sample, nodes, weights)).map(|_| ()).unwrap_err()
    }

    #[test]
    fn what_no_layer_computes_names_the_node_and_its_operator() {
        let after = |node: NodeProto| message(&[4], vec![node], &[4, 2]);
        let with = |attribute, node| NodeProto { attribute: vec![attribute], ..node };
        let foreign = NodeProto { domain: "com.microsoft".into(), ..node("Gelu", &["x"], "y") };
        let unnamed = NodeProto { name: String::new(), ..node("If", &["x"], "y") };
        for (message, words) in [
            (after(node("Einsum", &["x"], "y")), "node \"the Einsum\" (Einsum): there is no layer for this operator"),
            (after(unnamed), "node 0 (If): there is no layer"),
            (after(foreign), "(com.microsoft.Gelu): operators of other domains"),
            (after(node("Mul", &["x", "x"], "y")), "the Mul\" (Mul): expected \"x\" as its input 0 alone"),
            (after(node("Mul", &["x", "w"], "y")), "with a constant of the dimensions [4, 2]"),
            (after(node("Gemm", &["x", "z"], "y")), "its input \"z\" must be a constant"),
            (after(node("Gemm", &["x"], "y")), "its input 1 is missing"),
            (after(with(int("transA", 1), node("Gemm", &["x", "w"], "y"))), "expected samples of one dimension"),
            (after(with(int("axis", 0), node("Flatten", &["x"], "y"))), "expected axis 1"),
            (after(node("Reshape", &["x", "x"], "y")), "as its input 0 alone"),
            (after(node("Gather", &["x", "w"], "y")), "(Gather): only that of an embedding can be read"),
            (after(node("PRelu", &["x", "w"], "y")), "expected a slope for samples [4], got dimensions [4, 2]"),
            (after(node("Transpose", &["x"], "y")), "perm must be a permutation of 2 axes"),
            (after(node("Relu", &["x"], "z")), "no node reads the value \"z\""),
            (
                message(&[4], vec![node("Relu", &["x"], "a"), node("Tanh", &["x"], "y")], &[1]),
                "the value \"x\" branches to node \"the Relu\" (Relu) and node \"the Tanh\" (Tanh)",
            ),
            (message(&[5], vec![node("Gemm", &["x", "w"], "y")], &[4, 2]), "dimensions [4, 2], and the samples [5]"),
            (message(&[4, 4, 4], vec![node("Conv", &["x", "w"], "y")], &[4, 4]), "a kernel of one more"),
            (message(&[4, 4, 4], vec![node("Conv", &["x", "w"], "y")], &[4, 3, 1, 1]), "(Conv): "),
            (message(&[4, -4], vec![node("Relu", &["x"], "y")], &[1]), "dimension 2 must be a number above 0, got -4"),
            (message(&[1; 9], vec![node("Relu", &["x"], "y")], &[1]), "has 10 dimensions"),
            (message(&[1 << 40, 1 << 40], vec![node("Relu", &["x"], "y")], &[1]), "larger than any memory"),
        ] {
            assert!(message.contains(words), "{message} lacks {words}");
        }
        let mut old = file(&[4], vec![node("Relu", &["x"], "y")], &[1]);
        old.opset_import[0].version = 6;
        let error = read(&old).map(|_| ()).unwrap_err();
        assert!(error.contains("of version 6") && error.contains("convert_version(model, 17)"), "{error}");
        old.opset_import.clear();
        assert!(read(&old).unwrap_err().contains("opset_import"));
        let mut branches = file(&[4], vec![node("ReduceMean", &["x"], "a"), node("Sub", &["x", "a"], "y")], &[1]);
        assert!(!read(&branches).map(|_| ()).unwrap_err().contains("opset_version"));
        branches.opset_import[0].version = 16;
        assert!(read(&branches).map(|_| ()).unwrap_err().contains("opset_version=17"));
        let folded = vec![node("Transpose", &["w"], "t"), node("MatMul", &["x", "t"], "y")];
        let error = message(&[4], folded, &[4, 4]);
        assert!(error.contains("its input \"t\" must be a constant; if it is computed"), "{error}");
        let mut two = file(&[4], vec![node("Relu", &["x"], "y")], &[1]);
        two.graph.as_mut().unwrap().input.push(value("z", &[4]));
        assert!(read(&two).unwrap_err().contains("expected a model with one input, got 2: x, z"));
    }

    #[test]
    fn what_follows_the_output_has_no_say_in_the_order_of_its_elements() {
        let pool = NodeProto { attribute: vec![ints("kernel_shape", vec![1, 1])], ..node("MaxPool", &["x"], "a") };
        let nodes = vec![pool, node("Flatten", &["a"], "y"), node("Gemm", &["y", "w"], "z")];
        let model = read(&file(&[2, 1, 2], nodes, &[4, 1])).unwrap();
        let x = Tensor::new([1, 1, 2, 2], vec![1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(model.predict(&x).unwrap().data(), [1.0, 2.0, 3.0, 4.0], "the channels first, as in the file");
    }

    #[test]
    fn what_was_subtracted_from_a_clip_can_be_below_0() {
        let float = |name: &str, f| Attribute { name: name.into(), f: Some(f), ..Attribute::default() };
        let clip = || NodeProto { attribute: vec![float("min", 0.0), float("max", 6.0)], ..node("Clip", &["x"], "a") };
        let pool = |input| NodeProto {
            attribute: vec![ints("kernel_shape", vec![2, 2]), ints("pads", vec![1; 4])],
            ..node("MaxPool", &[input], "y")
        };
        assert!(read(&file(&[1, 4, 4], vec![clip(), pool("a")], &[1])).is_ok());
        let error = message(&[1, 4, 4], vec![clip(), node("Sub", &["a", "w"], "b"), pool("b")], &[1]);
        assert!(error.contains("(MaxPool): a padding of [[1, 1], [1, 1]]"), "{error}");
    }

    #[test]
    fn an_axis_that_is_given_twice() {
        let with = |operator: &str, axes: &[i64], inputs: &[&str]| {
            let attribute = vec![ints("axes", axes.to_vec()), ints("starts", vec![1; 2]), ints("ends", vec![3; 2])];
            NodeProto { attribute, ..node(operator, inputs, "y") }
        };
        for operator in ["ReduceMean", "ReduceMax"] {
            assert!(read(&file(&[3, 4, 5], vec![with(operator, &[2, 3, -1], &["x"])], &[1])).is_ok());
            let error = message(&[3, 4, 5], vec![with(operator, &[2, 2], &["x"])], &[1]);
            assert!(error.contains("it must leave one, got axes [1]"), "{error}");
        }
        for (operator, axes) in [("Slice", [2, -2]), ("Squeeze", [1, 1]), ("Unsqueeze", [2, 2])] {
            let error = message(&[1, 4, 1], vec![with(operator, &axes, &["x"])], &[1]);
            assert!(error.contains("an axis is given twice"), "{error}");
        }
    }

    #[test]
    fn a_bias_is_added_along_the_axis_that_the_file_says() {
        let graph = |bias: &[usize], transposed: bool| {
            let perm = if transposed { vec![0, 2, 1] } else { vec![0, 1, 2] };
            let transpose = NodeProto { attribute: vec![ints("perm", perm)], ..node("Transpose", &["a"], "b") };
            let nodes = vec![node("MatMul", &["x", "w"], "a"), transpose, node("Add", &["b", "bias"], "y")];
            let mut file = file(&[4, 3], nodes, &[3, 4]);
            let values = (0..bias.iter().product()).map(|i| i as f64).collect();
            let bias = Constant { dims: bias.to_vec(), values }.to_tensor("bias");
            file.graph.as_mut().unwrap().initializer.push(bias);
            file
        };
        for dims in [&[4][..], &[1, 1, 4]] {
            let y = read(&graph(dims, false)).unwrap().predict(&Tensor::<f32>::zeros([1, 4, 3])).unwrap();
            assert_eq!(y.data(), [0.0, 1.0, 2.0, 3.0].repeat(4));
        }
        for (dims, transposed) in [(&[4][..], true), (&[1, 1, 1, 4], false)] {
            let error = read(&graph(dims, transposed)).map(|_| ()).unwrap_err();
            assert!(error.contains("(Add): with a constant of the dimensions"), "{error}");
        }
    }

    #[test]
    fn slopes_with_and_without_a_batch() {
        let pool = || NodeProto { attribute: vec![ints("kernel_shape", vec![1, 1])], ..node("MaxPool", &["x"], "a") };
        for dims in [&[3, 1, 1][..], &[1, 3, 1, 1]] {
            let model = read(&file(&[3, 2, 2], vec![pool(), node("PRelu", &["a", "w"], "y")], dims)).unwrap();
            assert_eq!(model.get_weights()[0].shape(), [1, 1, 3].into());
        }
    }

    #[test]
    fn shapes_that_an_unflatten_computes() {
        // The last axis is 1 + 1 modulo 2, in what PyTorch's exporter writes.
        let nodes = vec![
            node("Shape", &["x"], "shape"),
            node("Mod", &["one", "two"], "axis"),
            node("Slice", &["shape", "zero", "axis"], "before"),
            node("Add", &["axis", "one"], "next"),
            node("Slice", &["shape", "next", "end"], "after"),
            node("Concat", &["before", "inner", "after"], "dims"),
            node("Reshape", &["x", "dims"], "y"),
        ];
        let mut file = file(&[6], nodes, &[1]);
        let constants = [("zero", &[0][..]), ("one", &[1]), ("two", &[2]), ("end", &[i64::MAX]), ("inner", &[2, 3])];
        let constants = constants.map(|(name, values)| constant::integers(name, values));
        file.graph.as_mut().unwrap().initializer.extend(constants);
        assert_eq!(read(&file).unwrap().output_shape(), [2, 3].into());
        // There is no remainder of a division by 0.
        file.graph.as_mut().unwrap().node[1].input[1] = "zero".into();
        assert!(read(&file).map(|_| ()).unwrap_err().contains("neither a short constant nor follows"));
    }

    #[test]
    fn long_names_of_values() {
        let relu = |name: &str| vec![node("Relu", &["x"], name), node("Relu", &[name], "y")];
        assert!(read(&file(&[4], relu(&"a".repeat(4096)), &[1])).is_ok());
        let error = message(&[4], relu(&"a".repeat(4097)), &[1]);
        assert_eq!(error, "node 0: the name of a value has 4097 bytes, and may have 4096");
    }

    #[test]
    fn a_graph_that_runs_in_a_circle_is_an_error() {
        let relu = |input, output| node("Relu", &[input], output);
        let circle = |nodes| message(&[4], nodes, &[1]);
        let itself = |value| format!("the value {value:?} is computed from itself");
        assert_eq!(circle(vec![relu("x", "x")]), itself("x"));
        assert_eq!(circle(vec![relu("x", "a"), relu("a", "x")]), itself("x"));
        let sigmoid = node("Sigmoid", &["x"], "s");
        assert_eq!(circle(vec![sigmoid.clone(), node("Mul", &["x", "s"], "x")]), itself("x"));
        assert!(circle(vec![sigmoid, node("Mul", &["x", "s"], "s")]).contains("is another node's output, too"));
        // So may what computes a shape.
        let shape =
            vec![node("Reshape", &["x", "s"], "y"), node("Concat", &["t", "t"], "s"), node("Concat", &["s", "s"], "t")];
        assert!(circle(shape).contains("neither a short constant nor follows from the shape"));
    }

    #[test]
    fn weights_that_many_nodes_share_make_no_model_far_larger_than_the_file() {
        let nodes = |count: usize| {
            let name = |i: usize| {
                if i == 0 {
                    "x".into()
                } else if i == count {
                    "y".into()
                } else {
                    format!("v{i}")
                }
            };
            (0..count).map(|i| node("Gemm", &[&name(i), "w"], &name(i + 1))).collect()
        };
        assert_eq!(read(&file(&[32], nodes(3), &[32, 32])).unwrap().count_params(), 3 * 32 * 32);
        let error = message(&[128], nodes(300), &[128, 128]);
        assert!(error.contains("many nodes share the same weights"), "{error}");
        let nodes = nodes(3000).into_iter().map(|node: NodeProto| NodeProto { op_type: "Relu".into(), ..node });
        let relus = nodes.map(|node| NodeProto { input: node.input[..1].to_vec(), ..node }).collect();
        assert!(message(&[4], relus, &[1]).contains("more than 2000 layers"));
    }

    #[test]
    fn dimensions_without_data_are_errors() {
        for dims in
            [vec![1 << 62, 2], vec![1 << 31, 1 << 31], vec![i64::MAX, i64::MAX], vec![-4, -2], vec![0, i64::MAX]]
        {
            for operator in ["Gemm", "PRelu", "MatMul", "LayerNormalization", "Add"] {
                let mut file = file(&[4], vec![node(operator, &["x", "w", "w"], "y")], &[1]);
                let tensor = &mut file.graph.as_mut().unwrap().initializer[0];
                (tensor.dims, tensor.raw_data) = (dims.clone(), Vec::new().into());
                let error = read(&file).map(|_| ()).unwrap_err();
                assert!(error.contains(operator), "{error}");
            }
        }
    }

    #[test]
    fn messages_and_groups_in_each_other_do_not_exhaust_the_stack() {
        // Groups of an unknown field, none of which ends.
        assert!(
            parse::<f32>(&[0x08, 0x08].into_iter().chain([0xa3, 0x06].repeat(100_000)).collect::<Vec<u8>>()).is_err()
        );
        // Graphs in attributes of nodes, which are not read.
        let mut inner = Vec::new();
        for _ in 0..2000 {
            for tag in [0x32, 0x2a, 0x0a] {
                let mut outer = vec![tag];
                prost::encoding::encode_varint(inner.len() as u64, &mut outer);
                outer.append(&mut inner);
                inner = outer;
            }
        }
        let graph = [&[0x3a][..], &encoded_length(inner.len()), &inner].concat();
        assert!(parse::<f32>(&[&[0x08, 0x08][..], &graph].concat()).is_err());
    }

    fn encoded_length(length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(length as u64, &mut bytes);
        bytes
    }

    #[test]
    fn a_million_empty_nodes_are_an_error() {
        let nodes = [0x0a, 0].repeat(1_000_000);
        let bytes = [&[0x08, 0x08, 0x3a][..], &encoded_length(nodes.len()), &nodes].concat();
        assert!(Model::from_bytes(&bytes).unwrap_err().to_string().contains("131072 fields"));
    }
}
