//! What the fuzz targets in `fuzz/` call: a function for each reader, which takes any bytes and must come back. No part of the library.

use super::HDF5;
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
    keras(&[HDF5, bytes].concat());
}

/// Models of integers, which answer where that is little work.
pub fn quantized(bytes: &[u8]) {
    if let Ok(model) = QuantizedModel::from_bytes(bytes, &Registry::default()) {
        answers(&model);
    }
}

/// Whether the model is small. It must give each of two samples the same answer as to the sample alone.
fn answers(model: &QuantizedModel) -> bool {
    const MOST_WEIGHTS: usize = 1 << 14;
    const MOST_WORK: usize = 1 << 20;
    if model.count_params() > MOST_WEIGHTS {
        return false;
    }
    let Ok(numbers) = model.plan().clone().build() else {
        return false;
    };
    // As much as a layer can have to do that reads all of its input and all of its weights for each of its results.
    let (mut work, mut input) = (model.input_shape().size(), model.input_shape());
    for layer in numbers.layers() {
        let reads = input.size().saturating_add(layer.count_params());
        work = work.saturating_add(layer.output_shape().size().saturating_mul(reads));
        input = layer.output_shape();
    }
    if work > MOST_WORK {
        return false;
    }
    let x = Tensor::random_normal(model.input_shape().batch(2), 0.0, 2.0, 0);
    // A first layer may take indices only.
    let Ok(y) = model.predict(&x) else {
        return true;
    };
    for i in 0..2 {
        let alone = model.predict(x.slice(i..=i).expect("two samples")).expect("as good as both");
        let both = y.data().chunks_exact(alone.len()).nth(i).expect("two answers");
        // Weights in numbers may be NaN.
        assert!(alone.data().iter().zip(both).all(|(a, b)| a == b || a.is_nan() && b.is_nan()), "sample {i}");
    }
    true
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

    /// They are files of the first version.
    #[test]
    fn the_seeds_of_integers_answer() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/quantized");
        for name in ["small.safetensors", "mixed.safetensors"] {
            let bytes = fs::read(seeds.join(name)).unwrap();
            assert!(answers(&QuantizedModel::from_bytes(&bytes, &Registry::default()).unwrap()), "{name}");
        }
        let large = Sequential::new([64, 64, 1]).add(Conv2D::new(4, 3)).add(Flatten::new());
        let model = large.build().unwrap().quantize(&Tensor::<f32>::ones([1, 64, 64, 1])).unwrap();
        assert!(!answers(&model));
    }

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
