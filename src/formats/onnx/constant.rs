//! [`Constant`]: an array of numbers with its dimensions, in a file or on the way there.

use prost::bytes::Bytes;

use super::proto::{TensorProto, data_type};
use crate::{Scalar, Tensor, kernels::strided::Strided};

/// The type of numbers that holds all others without loss, but for integers that no shape has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub dims: Vec<usize>,
    pub values: Vec<f64>,
}

impl Constant {
    pub fn of<T: Scalar>(tensor: &Tensor<T>) -> Self {
        let values = tensor.data().iter().map(|x| x.as_f64()).collect();
        Constant { dims: tensor.shape().dims().to_vec(), values }
    }

    pub fn scalar(value: f64) -> Self {
        Constant { dims: Vec::new(), values: vec![value] }
    }

    pub fn vector(values: Vec<f64>) -> Self {
        Constant { dims: vec![values.len()], values }
    }

    /// The numbers of a file's tensor, once it is known to hold as many as its dimensions say.
    pub fn read(tensor: &TensorProto) -> Result<Self, String> {
        let name = &tensor.name;
        if tensor.data_location != 0 {
            return Err(format!(
                "the tensor {name:?} is in another file; write the model with its weights inside (external_data=False)"
            ));
        }
        let dims: Vec<usize> =
            tensor.dims.iter().map(|&dim| dim.try_into().ok()).collect::<Option<_>>().ok_or_else(|| {
                format!("the tensor {name:?} has the dimensions {:?}, and none may be below 0", tensor.dims)
            })?;
        let expected = match dims.contains(&0) {
            true => Some(0),
            false => dims.iter().try_fold(1_usize, |size, &dim| size.checked_mul(dim)),
        };
        let (count, values) = numbers(tensor)?;
        if expected != Some(count) {
            return Err(format!("the tensor {name:?} has the dimensions {dims:?}, but {count} numbers"));
        }
        Ok(Constant { dims, values: values.collect() })
    }

    /// [`read`](Constant::read) of a tensor of few numbers; `None` for others, which are not copied.
    pub fn read_small(tensor: &TensorProto, most: usize) -> Option<Self> {
        let (count, _) = numbers(tensor).ok()?;
        if count <= most { Constant::read(tensor).ok() } else { None }
    }

    /// As a tensor of a file: of `f32`.
    pub fn to_tensor(&self, name: &str) -> TensorProto {
        let raw: Vec<u8> = self.values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect();
        TensorProto {
            dims: self.dims.iter().map(|&dim| dim as i64).collect(),
            data_type: data_type::FLOAT,
            name: name.to_owned(),
            raw_data: raw.into(),
            ..TensorProto::default()
        }
    }

    /// The same numbers with the dimensions in the order of `axes`.
    pub fn permuted(&self, axes: &[usize]) -> Self {
        let dims = axes.iter().map(|&axis| self.dims[axis]).collect();
        let mut values = vec![0.0; self.values.len()];
        if !values.is_empty() {
            Strided::permuted(&self.dims, axes).gather(&self.values, &mut values);
        }
        Constant { dims, values }
    }

    /// The same numbers with other dimensions.
    pub fn reshaped(self, dims: impl Into<Vec<usize>>) -> Self {
        let dims = dims.into();
        assert_eq!(dims.iter().product::<usize>(), self.values.len(), "as many numbers");
        Constant { dims, ..self }
    }

    /// The only number.
    pub fn single(&self) -> Option<f64> {
        match self.values[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// The numbers as integers.
    pub fn integers(&self) -> Vec<i64> {
        self.values.iter().map(|&value| value as i64).collect()
    }
}

/// How many numbers a tensor holds, and they themselves.
fn numbers(tensor: &TensorProto) -> Result<(usize, Box<dyn Iterator<Item = f64> + '_>), String> {
    let TensorProto { name, raw_data, float_data, int32_data, int64_data, double_data, .. } = tensor;
    let raw = !raw_data.is_empty();
    Ok(match tensor.data_type {
        data_type::FLOAT if raw => unpacked(name, raw_data, |bytes| f32::from_le_bytes(bytes).into())?,
        data_type::FLOAT => (float_data.len(), Box::new(float_data.iter().map(|&x| x.into()))),
        data_type::DOUBLE if raw => unpacked(name, raw_data, f64::from_le_bytes)?,
        data_type::DOUBLE => (double_data.len(), Box::new(double_data.iter().copied())),
        data_type::INT32 if raw => unpacked(name, raw_data, |bytes| i32::from_le_bytes(bytes).into())?,
        data_type::INT32 => (int32_data.len(), Box::new(int32_data.iter().map(|&i| i.into()))),
        data_type::INT64 if raw => unpacked(name, raw_data, |bytes| i64::from_le_bytes(bytes) as f64)?,
        data_type::INT64 => (int64_data.len(), Box::new(int64_data.iter().map(|&i| i as f64))),
        other => {
            return Err(format!(
                "the tensor {name:?} has numbers of the type {other}; read are float (1), int32 (6), int64 (7) and double (11): \
                 export a model in half precision (10, 16) as floats, in PyTorch model.float()"
            ));
        }
    })
}

/// The numbers in little-endian bytes.
fn unpacked<'a, const N: usize>(
    name: &str,
    bytes: &'a Bytes,
    number: impl Fn([u8; N]) -> f64 + 'a,
) -> Result<(usize, Box<dyn Iterator<Item = f64> + 'a>), String> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    match rest {
        [] => Ok((chunks.len(), Box::new(chunks.iter().map(move |&chunk| number(chunk))))),
        _ => Err(format!("the tensor {name:?} has {} bytes, which is no number of numbers of {N} bytes", bytes.len())),
    }
}

/// A tensor of a file that holds a list of integers.
pub(super) fn integers(name: &str, values: &[i64]) -> TensorProto {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    TensorProto {
        dims: vec![values.len() as i64],
        data_type: data_type::INT64,
        name: name.to_owned(),
        raw_data: raw.into(),
        ..TensorProto::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(dims: &[i64], data_type: i32) -> TensorProto {
        TensorProto { dims: dims.to_vec(), data_type, name: "w".into(), ..TensorProto::default() }
    }

    #[test]
    fn numbers_of_every_type() {
        let raw = |data_type, bytes: &[u8]| TensorProto { raw_data: bytes.to_vec().into(), ..tensor(&[1], data_type) };
        for tensor in [
            raw(data_type::FLOAT, &2f32.to_le_bytes()),
            raw(data_type::DOUBLE, &2f64.to_le_bytes()),
            raw(data_type::INT32, &2i32.to_le_bytes()),
            raw(data_type::INT64, &2i64.to_le_bytes()),
            TensorProto { float_data: vec![2.0], ..tensor(&[1], data_type::FLOAT) },
            TensorProto { double_data: vec![2.0], ..tensor(&[1], data_type::DOUBLE) },
            TensorProto { int32_data: vec![2], ..tensor(&[1], data_type::INT32) },
            TensorProto { int64_data: vec![2], ..tensor(&[1], data_type::INT64) },
            integers("w", &[2]),
            Constant::vector(vec![2.0]).to_tensor("w"),
        ] {
            assert_eq!(Constant::read(&tensor), Ok(Constant::vector(vec![2.0])), "{tensor:?}");
        }
    }

    #[test]
    fn dimensions_that_the_data_does_not_have_are_errors() {
        let error = |tensor: TensorProto| Constant::read(&tensor).unwrap_err();
        for dims in [&[1 << 62][..], &[i64::MAX, i64::MAX], &[1 << 32, 1 << 32], &[2, 3], &[]] {
            let message = error(tensor(dims, data_type::FLOAT));
            assert!(message.contains("\"w\"") && message.contains("but 0 numbers"), "{message}");
        }
        assert!(error(tensor(&[-1], data_type::FLOAT)).contains("none may be below 0"));
        assert!(error(tensor(&[1], 16)).contains("numbers of the type 16"));
        assert!(error(tensor(&[1], 10)).contains("model.float()"));
        let odd = TensorProto { raw_data: vec![0; 5].into(), ..tensor(&[1], data_type::FLOAT) };
        assert!(error(odd).contains("5 bytes"));
        let elsewhere = TensorProto { data_location: 1, ..tensor(&[1], data_type::FLOAT) };
        assert!(error(elsewhere).contains("another file"));
        let empty = Constant::read(&tensor(&[i64::MAX, i64::MAX, 0], data_type::FLOAT)).unwrap();
        assert!(empty.permuted(&[2, 0, 1]).values.is_empty());
    }

    #[test]
    fn dimensions_in_another_order() {
        let x = Constant { dims: vec![1, 2, 3], values: (0..6).map(f64::from).collect() };
        let y = Constant { dims: vec![3, 1, 2], values: vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0] };
        assert_eq!(x.permuted(&[2, 0, 1]), y);
        assert_eq!(y.permuted(&[1, 2, 0]), x);
    }
}
