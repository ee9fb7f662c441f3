//! Files of Keras's: tests/fixtures/keras, which data-scripts/keras_models.py makes.

use std::{fs, path::PathBuf};

use cornu::{data::Targets, prelude::*};
use safetensors::SafeTensors;

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keras")).join(name)
}

fn file(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap()
}

/// What Keras made of its models.
struct Expected(Vec<u8>);

impl Expected {
    fn read() -> Self {
        Expected(file("expected.safetensors"))
    }

    fn tensor(&self, name: &str) -> Tensor {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let words = tensor.data().as_chunks::<4>().0.iter();
        let values = match tensor.dtype() {
            safetensors::Dtype::I32 => words.map(|&word| i32::from_le_bytes(word) as f32).collect(),
            _ => words.map(|&word| f32::from_le_bytes(word)).collect(),
        };
        Tensor::new(Shape::new(tensor.shape()).unwrap(), values).unwrap()
    }

    fn labels(&self, name: &str) -> Labels {
        self.tensor(name).data().iter().map(|&label| label as u32).collect::<Vec<_>>().into()
    }
}

/// The largest distance between numbers that should be the same.
fn distance(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    assert!(ours.iter().all(|x| x.is_finite()));
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The loss of each batch, before its step.
fn train(model: &mut Model, indices: &Tensor, x: &Tensor, labels: &Labels) -> Vec<f32> {
    let losses = indices.view().samples().map(|batch| {
        let batch: Vec<usize> = batch.data.iter().map(|&i| i as usize).collect();
        step(model, &x.gather(&batch).unwrap(), &labels.gather(&batch).unwrap())
    });
    losses.collect()
}

fn step<'a>(model: &mut Model, x: &'a Tensor, y: impl Into<Targets<'a, f32>>) -> f32 {
    let options = Fit::new().batch_size(x.shape()[0]).shuffle(false).verbose(0);
    model.fit(x, y, options).unwrap().epochs[0].train.loss as f32
}

#[test]
fn the_reference_network_predicts_and_goes_on_training_as_in_keras() {
    let expected = Expected::read();
    let (train, test) = datasets::mnist::load().unwrap();
    let x = test.images.gather(&(0..100).collect::<Vec<_>>()).unwrap().scaled(1.0 / 255.0);
    for name in ["mnist.keras", "mnist.h5"] {
        let model = load_model(path(name)).unwrap();
        let distance = distance(model.predict(&x).unwrap().data(), expected.tensor("mnist/y").data());
        println!("{name}: probabilities off by {distance:.1e}");
        assert!(distance < 1e-5, "{name}: off by {distance:.1e}");
    }
    let mut model = load_model(path("mnist.keras")).unwrap();
    assert_eq!(model.optimizer_state().unwrap().steps, 938);
    let losses: Vec<f32> = expected
        .tensor("mnist/indices")
        .view()
        .samples()
        .map(|batch| {
            let batch: Vec<usize> = batch.data.iter().map(|&i| i as usize).collect();
            let images = train.images.gather(&batch).unwrap().scaled(1.0 / 255.0);
            step(&mut model, &images, &train.labels.gather(&batch).unwrap())
        })
        .collect();
    let distance = distance(&losses, expected.tensor("mnist/loss").data());
    println!("mnist: losses off by {distance:.1e}");
    assert!(distance < 1e-4, "off by {distance:.1e}");
}

#[test]
fn every_layer_predicts_and_goes_on_training_as_in_keras() {
    let expected = Expected::read();
    let (x, y, indices) =
        (expected.tensor("layers/x"), expected.labels("layers/labels"), expected.tensor("layers/indices"));
    for name in ["layers.keras", "layers.h5"] {
        let mut model = load_model(path(name)).unwrap();
        let y_distance = distance(model.predict(&x).unwrap().data(), expected.tensor("layers/y").data());
        let losses = train(&mut model, &indices, &x, &y);
        let distance = distance(&losses, expected.tensor("layers/loss").data());
        println!("{name}: probabilities off by {y_distance:.1e}, losses by {distance:.1e}");
        assert!(y_distance < 1e-5, "{name}: off by {y_distance:.1e}");
        assert!(distance < 1e-4, "{name}: off by {distance:.1e}");
    }
}

#[test]
fn every_optimizer_goes_on_as_in_keras() {
    let expected = Expected::read();
    let (x, y, indices) =
        (expected.tensor("dense/x"), expected.labels("dense/labels"), expected.tensor("dense/indices"));
    for name in [
        "sgd.keras",
        "plain_sgd.keras",
        "adam.keras",
        "adamw.keras",
        "rmsprop.keras",
        "adagrad.keras",
        "adadelta.keras",
        "adamax.keras",
        "nadam.keras",
        "nadam.h5",
        "lion.keras",
        "functional.keras",
        "functional.h5",
    ] {
        let (case, _) = name.split_once('.').unwrap();
        let mut model = load_model(path(name)).unwrap_or_else(|error| panic!("{error}"));
        let y_distance = distance(model.predict(&x).unwrap().data(), expected.tensor(&format!("{case}/y")).data());
        let losses = train(&mut model, &indices, &x, &y);
        let distance = distance(&losses, expected.tensor(&format!("{case}/loss")).data());
        println!("{name}: probabilities off by {y_distance:.1e}, losses by {distance:.1e}");
        assert!(y_distance < 1e-5, "{name}: off by {y_distance:.1e}");
        assert!(distance < 1e-4, "{name}: off by {distance:.1e}");
    }
}
