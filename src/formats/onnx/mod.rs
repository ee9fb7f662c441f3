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
    let file = export::model(model).map_err(|message| Error::argument("save", message))?;
    Ok(file.encode_to_vec())
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
