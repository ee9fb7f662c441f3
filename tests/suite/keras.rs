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
        "keras2.h5",
        "keras2.keras",
        "keras2_legacy.h5",
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

#[test]
fn arguments_of_calls_that_keras_does_not_heed() {
    let mut model = load_model(path("called.keras")).unwrap();
    let classes: Vec<_> = model.layers().map(|layer| layer.class_name().to_owned()).collect();
    assert_eq!(classes, ["BatchNormalization", "Dropout", "Dense"]);
    assert!(model.optimizer_state().is_err(), "Keras has not compiled it");
    // fit trains the normalization, though it was called with training=False, in Keras as here.
    let before = model.params().to_vec();
    let x = Expected::read().tensor("dense/x");
    model.compile(SGD::new(0.0), MeanSquaredError, []).unwrap();
    model.fit(&x, &Tensor::zeros([32, 3]), Fit::new().verbose(0)).unwrap();
    assert_ne!(model.params(), before, "its averages");
}

#[test]
fn an_optimizer_that_scales_the_loss_has_another_in_it() {
    let state = load_model(path("half.keras")).unwrap().optimizer_state().unwrap();
    // The first of three overflowed, after which Keras took a smaller scale.
    assert_eq!((state.steps, state.learning_rate), (2, Some(0.25)));
    let names: Vec<_> = state.arrays.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["momentum", "velocity"]);
    assert!(state.arrays[1].1.iter().all(|&velocity| velocity > 0.0));
}

#[test]
fn files_of_newer_versions_of_hdf5() {
    let [old, new] = ["functional.h5", "latest.h5"].map(|name| load_model(path(name)).unwrap());
    assert_eq!(new.params(), old.params());
    assert_eq!(new.optimizer_state().unwrap(), old.optimizer_state().unwrap());
}

#[test]
fn weights_alone_go_into_a_model() {
    let expected = Expected::read();
    let x = expected.tensor("layers/x");
    let whole = load_model(path("layers.keras")).unwrap();
    let plan = Sequential::from_json(&whole.to_json().unwrap()).unwrap();
    for name in ["layers.weights.h5", "layers.h5", "layers.keras"] {
        let mut model = plan.clone().seed(1).build().unwrap();
        assert_ne!(model.params(), whole.params());
        model.load_weights(path(name)).unwrap();
        assert_eq!(model.params(), whole.params(), "{name}");
        assert!(distance(model.predict(&x).unwrap().data(), expected.tensor("layers/y").data()) < 1e-5);
    }
    // Of another model, they are an error and change nothing.
    let mut other = Sequential::new([12, 12, 2]).add(Conv2D::new(4, 3)).build().unwrap();
    let before = other.params().to_vec();
    for (name, words) in [
        ("layers.weights.h5", "Conv2D \"conv2d\" has 1 weights in the file, expected 2 (conv2d/kernel, conv2d/bias)"),
        ("layers.h5", "the file has 14 layers with weights, and the model has 1"),
        ("sgd.keras", "Conv2D \"conv2d\" has 0 weights in the file"),
    ] {
        let error = other.load_weights(path(name)).unwrap_err().to_string();
        assert!(error.contains(words) && error.ends_with("no weight was changed"), "{error}");
        assert_eq!(other.params(), before);
    }
    let error = load_model(path("layers.weights.h5")).unwrap_err().to_string();
    assert!(error.contains("call load_weights"), "{error}");
}

const MODELS: [&str; 13] = [
    "layers.keras",
    "sgd.keras",
    "plain_sgd.keras",
    "adam.keras",
    "adamw.keras",
    "rmsprop.keras",
    "adagrad.keras",
    "adadelta.keras",
    "adamax.keras",
    "nadam.keras",
    "lion.keras",
    "functional.keras",
    "nadam.h5",
];

#[test]
fn what_is_saved_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in MODELS {
        let model = load_model(path(name)).unwrap();
        let [first, second] = ["first.keras", "second.keras"].map(|name| folder.path().join(name));
        model.save(&first).unwrap();
        let again = load_model(&first).unwrap();
        assert_eq!(again.params(), model.params());
        assert_eq!(again.optimizer_state().unwrap(), model.optimizer_state().unwrap(), "{name}");
        again.save(&second).unwrap();
        assert!(fs::read(first).unwrap() == fs::read(second).unwrap(), "{name}: the same bytes each time");
    }
}

#[test]
fn a_model_that_was_not_trained_or_not_compiled_is_saved_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    let plan = Sequential::new([4]).add(Dense::new(3));
    plan.clone().build().unwrap().save(&path).unwrap();
    assert!(load_model(&path).unwrap().optimizer_state().is_err());
    let model = plan.clone().compile(Adam::new(0.5), MeanSquaredError, []).unwrap();
    model.save(&path).unwrap();
    assert_eq!(load_model(&path).unwrap().optimizer_state().unwrap().learning_rate, Some(0.5));
    let error = Sequential::new([4]).add(Dense::new(3).named("a/b")).build().unwrap().save(&path).unwrap_err();
    assert!(error.to_string().contains("Keras has no layer whose name has a /"), "{error}");
    assert_eq!(load_model(&path).unwrap().count_params(), 15, "the file is as it was");
}

/// Writes a model, and what cornu makes of it, for data-scripts/check_keras.py.
fn write(name: &str, model: Option<&Model>, tensors: &[(&str, &Tensor)]) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("keras");
    fs::create_dir_all(&folder).unwrap();
    if let Some(model) = model {
        model.save(folder.join(name).with_extension("keras")).unwrap();
    }
    let bytes = |tensor: &Tensor| tensor.data().iter().flat_map(|x| x.to_le_bytes()).collect();
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, tensor)| bytes(tensor)).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, tensor), bytes)| {
        let shape = tensor.shape().dims().to_vec();
        (*name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytes).unwrap())
    });
    let file = folder.join(name).with_extension("safetensors");
    fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn vector(values: Vec<f32>) -> Tensor {
    Tensor::new([values.len()], values).unwrap()
}

#[test]
#[ignore = "for data-scripts/check_keras.py"]
fn for_keras_mnist() {
    let (train_set, test) = datasets::mnist::load().unwrap();
    let (x, x_test) = (train_set.images.scaled(1.0 / 255.0), test.images.scaled(1.0 / 255.0));
    let [of_keras, of_h5] = ["mnist.keras", "mnist.h5"].map(|name| load_model(path(name)).unwrap());
    let (y, y_h5) = (of_keras.predict(&x_test).unwrap(), of_h5.predict(&x_test).unwrap());
    write("of_keras", None, &[("mnist.keras", &y), ("mnist.h5", &y_h5)]);

    // The reference network, trained here for an epoch.
    let mut model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
        .unwrap();
    model.fit(&x, &train_set.labels, Fit::new().batch_size(64).verbose(0)).unwrap();
    let (saved, y) = (model.clone(), model.predict(&x_test).unwrap());
    let indices = Expected::read().tensor("mnist/indices");
    let loss = vector(train(&mut model, &indices, &x, &train_set.labels));
    write("mnist", Some(&saved), &[("y", &y), ("indices", &indices), ("loss", &loss)]);
}

#[test]
#[ignore = "for data-scripts/check_keras.py"]
fn for_keras_layers() {
    let expected = Expected::read();
    for name in MODELS {
        let (case, ending) = name.split_once('.').unwrap();
        let data = if case == "layers" { "layers" } else { "dense" };
        let [x, labels, indices] = ["x", "labels", "indices"].map(|of| expected.tensor(&format!("{data}/{of}")));
        let classes = expected.labels(&format!("{data}/labels"));
        let mut model = load_model(path(name)).unwrap();
        // Some steps more, so that it is not Keras's own state.
        train(&mut model, &indices.slice(0..20).unwrap().to_tensor(), &x, &classes);
        let (saved, y) = (model.clone(), model.predict(&x).unwrap());
        let loss = vector(train(&mut model, &indices, &x, &classes));
        let tensors = [("x", &x), ("y", &y), ("labels", &labels), ("indices", &indices), ("loss", &loss)];
        write(&format!("{case}_{ending}"), Some(&saved), &tensors);
    }

    // Layers that draw random numbers in training, for which only predictions can be compared.
    let model = Sequential::new([8, 8, 2])
        .add(RandomFlip::new(FlipMode::default()))
        .add(RandomRotation::new(0.1))
        .add(RandomTranslation::new(0.1, 0.1))
        .add(RandomZoom::new(0.1))
        .add(RandomContrast::new(0.1))
        .add(RandomBrightness::new(0.1))
        .add(RandomErasing::new(0.5))
        .add(Conv2D::new(3, 3).padding(Padding::Same))
        .add(Dropout::new(0.5))
        .add(SpatialDropout2D::new(0.5))
        .add(GaussianNoise::new(0.5))
        .add(UpSampling2D::new(2))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(3).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
        .unwrap();
    let x = Tensor::random_normal([16, 8, 8, 2], 0.0, 1.0, 0);
    let y = model.predict(&x).unwrap();
    write("random", Some(&model), &[("x", &x), ("y", &y), ("labels", &Tensor::zeros([16]))]);

    // Embeddings take indices.
    let model = Sequential::new([7])
        .add(Embedding::new(5, 3))
        .add(GlobalMaxPooling1D::new())
        .add(Dense::new(2).activation(Activation::Sigmoid))
        .build()
        .unwrap();
    let x = Tensor::new([4, 7], (0..28).map(|i| (i * i % 5) as f32).collect()).unwrap();
    let y = model.predict(&x).unwrap();
    write("embedding", Some(&model), &[("x", &x), ("y", &y), ("labels", &Tensor::zeros([4]))]);
}
