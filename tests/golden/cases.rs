//! The golden files, and how close is close enough.

use std::{collections::BTreeMap, fs, path::PathBuf};

use cornu::{Labels, Scalar, Shape, Tensor};
use safetensors::{Dtype, SafeTensors};

/// How far a number may lie from Keras's, relative to the largest magnitude of its array: both round to float32.
const TOLERANCE: f64 = 1e-5;

/// What Keras was given and what it gave.
pub struct Case {
    pub name: String,
    tensors: BTreeMap<String, Tensor<f64>>,
}

impl Case {
    /// Whether the case has a tensor of this name.
    pub fn has(&self, tensor: &str) -> bool {
        self.tensors.contains_key(tensor)
    }

    pub fn get(&self, tensor: &str) -> &Tensor<f64> {
        self.tensors.get(tensor).unwrap_or_else(|| panic!("{} has no {tensor}", self.name))
    }

    /// A tensor in the numbers of a model; from float32 to float64 that is exact.
    pub fn tensor<T: Scalar>(&self, tensor: &str) -> Tensor<T> {
        self.get(tensor).cast()
    }

    /// `w0`, `w1`, … in their order.
    pub fn weights<T: Scalar>(&self) -> Vec<Tensor<T>> {
        let names = (0..).map(|i| format!("w{i}"));
        names.take_while(|name| self.has(name)).map(|name| self.tensor(&name)).collect()
    }

    pub fn labels(&self, tensor: &str) -> Labels {
        self.get(tensor).data().iter().map(|&label| label as u32).collect::<Vec<_>>().into()
    }

    /// Compares with the tensor of this name. `floor` is an absolute error that is allowed in any case.
    pub fn assert_close<T: Scalar>(&self, tensor: &str, actual: &Tensor<T>, floor: f64) {
        let (name, expected) = (&self.name, self.get(tensor));
        assert_eq!(actual.shape(), expected.shape(), "{name}/{tensor}");
        let largest = expected.data().iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let allowed = (TOLERANCE * largest).max(floor);
        for (i, (actual, expected)) in actual.data().iter().zip(expected.data()).enumerate() {
            let error = (actual.as_f64() - expected).abs();
            // Written so that NaN fails.
            assert!(error <= allowed, "{name}/{tensor}[{i}]: {actual}, in Keras {expected}; off by {error:.1e}");
        }
    }
}

pub fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// All cases of a file.
pub fn read(file: &str) -> Vec<Case> {
    let bytes = fs::read(path(file)).unwrap();
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for (key, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
        let (case, tensor) = key.split_once('/').expect("a key is <case>/<name>");
        let data = match view.dtype() {
            Dtype::F32 => numbers(view.data(), |bytes| f32::from_le_bytes(bytes).into()),
            Dtype::F64 => numbers(view.data(), f64::from_le_bytes),
            Dtype::I32 => numbers(view.data(), |bytes| i32::from_le_bytes(bytes).into()),
            other => panic!("{key} holds {other:?}"),
        };
        let value = Tensor::new(Shape::new(view.shape()).unwrap(), data).unwrap();
        let case =
            cases.entry(case.to_owned()).or_insert_with(|| Case { name: case.to_owned(), tensors: BTreeMap::new() });
        case.tensors.insert(tensor.to_owned(), value);
    }
    assert!(!cases.is_empty(), "{file} holds no case");
    cases.into_values().collect()
}

fn numbers<const SIZE: usize>(data: &[u8], number: impl Fn([u8; SIZE]) -> f64) -> Vec<f64> {
    data.chunks_exact(SIZE).map(|bytes| number(bytes.try_into().unwrap())).collect()
}
