//! Weights of PyTorch: its answers, and what is refused. `data-scripts/torch_models.py` makes the files.

use std::{fs, path::PathBuf};

use cornu::prelude::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/torch")).join(name)
}

/// The model's answers to the inputs of the fixture are PyTorch's.
fn agrees(model: &Model, name: &str) {
    let npz = Npz::read(fixture(&format!("{name}.npz"))).unwrap();
    let (x, expected): (Tensor, Tensor) = (npz.get("x").unwrap(), npz.get("y").unwrap());
    let y = model.predict(&x).unwrap();
    assert_eq!(y.shape(), expected.shape());
    let difference = (&y - &expected).unwrap();
    let largest = difference.data().iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
    assert!(largest < 1e-5, "{name}: {largest}");
}

fn reference() -> Model {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(4, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(6, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
        .unwrap()
}

fn layers() -> Model {
    let norm = || BatchNormalization::new().epsilon(1e-5);
    Sequential::new([12, 9, 3])
        .add(ZeroPadding2D::new(1))
        .add(Conv2D::new(6, 3).strides(2))
        .add(norm())
        .add(PReLU::new().shared_axes([1, 2]))
        .add(DepthwiseConv2D::new(3).depth_multiplier(2).padding(Padding::Same))
        .add(SeparableConv2D::new(8, 3))
        .add(Conv2D::new(4, (1, 2)).groups(2).use_bias(false))
        .add(norm())
        .add(Activation::Tanh)
        .add(Conv2DTranspose::new(5, 3).strides(2))
        .add(LayerNormalization::new().axis([1, 2, 3]).epsilon(1e-5))
        .add(Flatten::new())
        .add(norm())
        .add(Dense::new(7))
        .add(PReLU::new())
        .add(Dense::new(3))
        .build()
        .unwrap()
}

/// A layer whose kernel and bias are counted in quarters where the file does so.
fn dense() -> Model {
    Sequential::new([3]).add(Dense::new(2)).build().unwrap()
}

/// An error of `file`, after which the model is as it was.
fn refused(mut model: Model, file: &str, mapping: &TorchMapping) -> String {
    let before = model.params().to_vec();
    let error = model.load_torch_with(fixture(file), mapping).unwrap_err().to_string();
    assert_eq!(model.params(), before);
    assert!(error.contains(file) && error.ends_with("no weight was changed"), "{error}");
    error
}

#[test]
fn the_reference_network_answers_as_in_pytorch() {
    for file in ["reference.pt", "reference.safetensors", "protocol4.pt", "checkpoint.pt"] {
        let mut model = reference();
        let report = model.load_torch(fixture(file)).unwrap();
        agrees(&model, "reference");
        assert!(report.to_string().contains("7.weight  [10, 150]     ->  dense/kernel     (150, 10)"), "{report}");
        assert!(report.ignored.is_empty() && report.notes.is_empty());
    }
}

#[test]
fn every_layer_with_weights_answers_as_in_pytorch() {
    for file in ["layers.pt", "layers.safetensors"] {
        let mut model = layers();
        let report = model.load_torch(fixture(file)).unwrap();
        agrees(&model, "layers");
        assert_eq!(report.assigned.len(), model.layout().infos().len());
        assert_eq!(report.ignored.len(), 3, "{report}");
        let names: Vec<_> = report.assigned.iter().map(|row| &row.weight).collect();
        assert!(model.layout().infos().iter().map(|info| &info.name).eq(names), "in the order of the layers");
    }
}

#[test]
fn features_of_which_an_image_is_made() {
    let mut model = Sequential::new([6])
        .add(Dense::new(60))
        .add(BatchNormalization::new().epsilon(1e-5))
        .add(Activation::Relu)
        .add(Reshape::new([3, 4, 5]))
        .add(Conv2DTranspose::new(2, 2))
        .build()
        .unwrap();
    model.load_torch(fixture("decoder.pt")).unwrap();
    agrees(&model, "decoder");
}

#[test]
fn sequences() {
    let mut model = Sequential::new([9])
        .add(Embedding::new(20, 6))
        .add(LayerNormalization::new().epsilon(1e-5))
        .add(Conv1D::new(5, 3).activation(Activation::Relu))
        .add(Flatten::new())
        .add(Dense::new(4))
        .build()
        .unwrap();
    model.load_torch(fixture("words.pt")).unwrap();
    agrees(&model, "words");
}

#[test]
fn training_goes_on_as_in_pytorch() {
    let npz = Npz::read(fixture("reference.npz")).unwrap();
    let (x, labels): (Tensor<f64>, _) = (npz.get("x").unwrap(), npz.get_labels("labels").unwrap());
    let mut model = Sequential::from(&reference()).build_as::<f64>().unwrap();
    model.load_torch(fixture("reference.pt")).unwrap();
    model.compile(SGD::new(0.05), SparseCategoricalCrossentropy::default(), []).unwrap();
    let fit = Fit::new().epochs(100).batch_size(4).shuffle(false).verbose(0);
    let losses = model.fit(&x, &labels, fit).unwrap().get("loss").unwrap();
    let expected: Tensor<f64> = npz.get("losses").unwrap();
    assert!(losses.len() == 100 && losses[99] < 0.1 * losses[0], "{losses:?}");
    for (step, (loss, expected)) in losses.iter().zip(expected.data()).enumerate() {
        assert!((loss - expected).abs() < 1e-9, "step {step}: {loss} instead of {expected}");
    }
}

#[test]
fn views_and_other_numbers() {
    for file in
        ["views.pt", "strides.pt", "parameters.pt", "float16.pt", "bfloat16.pt", "float64.pt", "no_checksums.pt"]
    {
        let mut model = dense();
        model.load_torch(fixture(file)).unwrap();
        assert_eq!(model.params(), [0.0, 0.75, 0.25, 1.0, 0.5, 1.25, 1.5, 1.75], "{file}");
    }
    let mut double = Sequential::new([3]).add(Dense::new(2)).build_as::<f64>().unwrap();
    double.load_torch(fixture("float64.pt")).unwrap();
    assert_eq!(double.params()[1], 0.75);
}

#[test]
fn what_cannot_be_guessed_is_given() {
    let two = || Sequential::new([3]).add(Dense::new(3).use_bias(false)).add(Dense::new(3).use_bias(false));
    let error = refused(two().build().unwrap(), "ambiguous.safetensors", &TorchMapping::new());
    assert!(error.contains("the layer dense fits decoder, encoder") && error.contains("TorchMapping::map"), "{error}");
    let mut model = two().build().unwrap();
    let mapping = TorchMapping::new().map("encoder", "dense");
    let report = model.load_torch_with(fixture("ambiguous.safetensors"), &mapping).unwrap();
    assert_eq!((&*report.assigned[0].tensor, &*report.assigned[0].weight), ("encoder.weight", "dense/kernel"));
    assert_eq!((&*report.assigned[1].tensor, &*report.assigned[1].weight), ("decoder.weight", "dense_1/kernel"));

    let error = refused(dense(), "two.pt", &TorchMapping::new());
    assert!(
        error.contains("it holds tensors in \"encoder\", \"decoder\"; say which by TorchMapping::within"),
        "{error}"
    );
    dense().load_torch_with(fixture("two.pt"), &TorchMapping::new().within("decoder")).unwrap();
    let error = refused(dense(), "two.pt", &TorchMapping::new().within("head"));
    assert!(error.contains("no tensor in it within head"), "{error}");
}

#[test]
fn a_part_of_a_model() {
    let mut model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(4, 3))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(6, 3))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(2))
        .build()
        .unwrap();
    let head = model.get_layer("dense").unwrap().get_weights();
    let mapping = TorchMapping::new().ignore("7").keep("dense");
    let report = model.load_torch_with(fixture("reference.pt"), &mapping).unwrap();
    assert_eq!(report.ignored, ["7.weight", "7.bias"]);
    assert_eq!(report.kept, ["dense/kernel", "dense/bias"]);
    assert_eq!(model.get_layer("dense").unwrap().get_weights(), head);

    let mut whole = reference();
    whole.load_torch(fixture("reference.pt")).unwrap();
    assert_eq!(model.params()[..40], whole.params()[..40]);
    whole.load_torch_with(fixture("reference.pt"), &TorchMapping::new().same_order("dense")).unwrap();
    let kernel = whole.get_layer("dense").unwrap().get_weights().remove(0);
    let mut untouched = Sequential::new([150]).add(Dense::new(10)).build().unwrap();
    let mapping = TorchMapping::new().ignore("0").ignore("3");
    untouched.load_torch_with(fixture("reference.pt"), &mapping).unwrap();
    assert_eq!(kernel, untouched.get_weights()[0]);
}

#[test]
fn another_epsilon_is_noted() {
    let mut model = Sequential::new([6])
        .add(Dense::new(60))
        .add(BatchNormalization::new())
        .add(Reshape::new([3, 4, 5]))
        .add(Conv2DTranspose::new(2, 2))
        .build()
        .unwrap();
    let report = model.load_torch(fixture("decoder.pt")).unwrap().to_string();
    assert!(report.contains("note: batch_normalization has an epsilon of 0.001; PyTorch's is 0.00001"), "{report}");
}

#[test]
fn models_that_do_not_fit_are_errors_that_say_what_is_left() {
    let guess = TorchMapping::new;
    let narrow = Sequential::new([28, 28, 1]).add(Conv2D::new(5, 3)).build().unwrap();
    let error = refused(narrow, "reference.pt", &guess());
    assert!(
        error.contains("no module fits the layer conv2d (Conv2D), which takes weight [5, 1, 3, 3], bias [5]"),
        "{error}"
    );
    assert!(error.contains("left are 0 (weight [4, 1, 3, 3], bias [4]), 3 (weight"), "{error}");
    let short = Sequential::new([28, 28, 1]).add(Conv2D::new(4, 3)).add(Conv2D::new(6, 3)).build().unwrap();
    let error = refused(short, "reference.pt", &guess());
    assert!(error.contains("no layer takes 7 (weight [10, 150], bias [10])"), "{error}");

    let error = refused(reference(), "reference.pt", &guess().map("0", "dense"));
    assert!(error.contains("and the module 0: expected weight of shape [10, 150], got [4, 1, 3, 3]"), "{error}");
    let error = refused(reference(), "reference.pt", &guess().map("1", "dense"));
    assert!(error.contains("map: there is no module 1"), "{error}");
    let error = refused(reference(), "reference.pt", &guess().map("0", "dense_7"));
    assert!(error.contains("no layer is named \"dense_7\""), "{error}");
    let error = refused(reference(), "reference.pt", &guess().map("0", "flatten"));
    assert!(error.contains("map: the layer flatten takes no weights"), "{error}");
    let error = refused(reference(), "reference.pt", &guess().ignore("head"));
    assert!(error.contains("ignore: there is no module head"), "{error}");
    let no_bias = Sequential::new([3]).add(Dense::new(2).use_bias(false)).build().unwrap();
    let error = refused(no_bias, "two.pt", &guess().within("encoder").map("", "dense"));
    assert!(error.contains("the file has a bias, the layer has not"), "{error}");
}

#[test]
fn files_that_are_refused_say_how_to_write_others() {
    for (file, words) in [
        ("module.pt", "refers to torch.nn.modules.linear.Linear"),
        ("module.pt", "torch.save(model.state_dict(), path)"),
        ("tensor.pt", "it holds a tensor, expected a state_dict"),
        ("old.pt", "PyTorch before 1.6; write it again"),
        ("expanded.pt", "tensor.clone()"),
        ("whole_numbers.pt", "expected floating-point numbers: save it as tensor.float()"),
        ("reference.npz", "it has no data.pkl"),
    ] {
        let error = refused(dense(), file, &TorchMapping::new());
        assert!(error.contains(words), "{error} lacks {words}");
    }
}

/// Tries to load what `damage` makes of a file, which must not panic; gives how often it was loaded.
fn damaged(file: &str, cases: usize, damage: impl Fn(&[u8], usize) -> Vec<u8>) -> usize {
    let bytes = fs::read(fixture(file)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    let mut model = dense();
    let before = model.params().to_vec();
    let mut loaded = 0;
    for case in 0..cases {
        fs::write(&path, damage(&bytes, case)).unwrap();
        match model.load_torch(&path) {
            Ok(_) => loaded += 1,
            Err(_) if loaded == 0 => assert_eq!(model.params(), before),
            Err(_) => (),
        }
    }
    loaded
}

#[test]
fn no_cut_file_is_loaded() {
    for file in ["views.pt", "no_checksums.pt", "old.pt", "module.pt"] {
        let len = fs::metadata(fixture(file)).unwrap().len() as usize;
        assert_eq!(damaged(file, len, |bytes, len| bytes[..len].to_vec()), 0, "{file}");
    }
}

#[test]
fn a_file_of_our_own_is_told_from_pytorch_s() {
    let path = std::env::temp_dir().join(format!("cornu-own-{}.safetensors", std::process::id()));
    let mut model = dense();
    model.save(&path).unwrap();
    let error = model.load_torch(&path).unwrap_err().to_string();
    fs::remove_file(path).unwrap();
    assert!(error.contains("it is of cornu and has no weights of PyTorch; load_weights reads it"), "{error}");
}

#[test]
fn flipped_bits_are_no_panic() {
    let flip = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    // Without checksums, all of them reach the pickle and the numbers.
    for file in ["no_checksums.pt", "parameters.pt"] {
        let bits = 8 * fs::metadata(fixture(file)).unwrap().len() as usize;
        let loaded = damaged(file, bits, flip);
        assert!(loaded > 0, "some bits mean nothing");
    }
}
