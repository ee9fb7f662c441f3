//! What the fuzz targets in `fuzz/` call: a function for each reader, which takes any bytes and must come back. No part of the library.

use crate::{
    Model, QuantizedModel, Sequential, Shape, Tensor,
    config::Registry,
    data::{ColorMode, ImageInput, idx},
    layers::{Conv2D, Dense, Flatten, LayerConfig},
};

/// What takes any bytes.
pub type Reader = fn(&[u8]);

/// The readers by the names of their targets.
pub const READERS: [(&str, Reader); 11] = [
    ("gzip", gzip),
    ("hdf5", hdf5),
    ("idx", idx),
    ("json", json),
    ("keras", keras),
    ("npy", npy),
    ("onnx", onnx),
    ("png", png),
    ("quantized", quantized),
    ("safetensors", safetensors),
    ("torch", torch),
];

/// IDX, packed or not.
pub fn idx(bytes: &[u8]) {
    let _ = idx::read_from(bytes, "file");
}

/// IDX, always taken for packed.
pub fn gzip(bytes: &[u8]) {
    idx(&[&[0x1f, 0x8b, 8], bytes].concat());
}

/// cornu's own models, and weights that anyone wrote.
pub fn safetensors(bytes: &[u8]) {
    let _ = Model::<f32>::from_bytes_with(bytes, &Registry::default());
    let _ = super::weights::of_file(&model(), bytes);
}

/// The architecture of a model, and how it is trained.
pub fn json(bytes: &[u8]) {
    let Ok(json) = str::from_utf8(bytes) else {
        return;
    };
    let _ = Sequential::from_json(json).and_then(|plan| plan.to_json());
    let _ = model().compile_from_config(json);
}

/// Models and weights of Keras, in a zip or in HDF5.
pub fn keras(bytes: &[u8]) {
    let _ = super::keras::parse::<f32>(bytes, &Registry::default());
    let _ = super::keras::weights(&model(), bytes);
}

/// The same, always taken for HDF5.
pub fn hdf5(bytes: &[u8]) {
    keras(&[b"\x89HDF\r\n\x1a\n", bytes].concat());
}

/// Models of integers.
pub fn quantized(bytes: &[u8]) {
    let _ = QuantizedModel::from_bytes(bytes, &Registry::default());
}

/// Weights of PyTorch.
pub fn torch(bytes: &[u8]) {
    let _ = super::torch::weights(&model(), bytes, &Default::default());
}

/// ONNX.
pub fn onnx(bytes: &[u8]) {
    let _ = super::onnx::parse::<f32>(bytes);
}

/// One array of NumPy, or several in a zip.
pub fn npy(bytes: &[u8]) {
    use super::numpy::{npy::Npy, npz};

    let array = |bytes: &[u8]| {
        let Ok(array) = Npy::parse(bytes) else {
            return;
        };
        let _: Result<Tensor, _> = array.tensor();
        let _ = array.labels();
    };
    match npz::parse(bytes) {
        Ok(arrays) => arrays.values().for_each(|bytes| array(bytes)),
        Err(_) => array(bytes),
    }
}

/// An image for a model, as `examples/serve` takes it.
pub fn png(bytes: &[u8]) {
    let _ = ImageInput::new((28, 28), ColorMode::Grayscale).max_bytes(1 << 22).decode::<f32>(bytes);
}

/// One that has what weights are read into.
fn model() -> Model {
    let plan = Sequential::new(Shape::from([4, 4, 1])).add(Conv2D::new(2, 3).named("conv")).add(Flatten::new());
    plan.add(Dense::new(3).named("dense")).build().expect("the layers fit")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// What `fuzz/seeds` holds for each reader: files of others, damaged ones, and all that a fuzzer has found.
    #[test]
    fn no_file_of_the_corpus_stops_a_reader() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        for (name, read) in READERS {
            let files: Vec<_> = fs::read_dir(seeds.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(!files.is_empty(), "{name}");
            for file in files {
                let bytes = fs::read(&file).unwrap();
                read(&bytes);
                read(&bytes[..bytes.len() / 2]);
            }
        }
    }
}
