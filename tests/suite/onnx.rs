//! ONNX out and in: every layer goes to a file and back, and files of PyTorch's compute here what onnxruntime makes of them.

use std::{env, fs, path::Path};

use cornu::prelude::*;
use safetensors::SafeTensors;

/// What a model says that was written and read again, and how far it may be off: the order of additions is another.
const TOLERANCE: f32 = 1e-5;

/// Models of every layer, with every padding and activation.
fn cases() -> Vec<(String, Sequential)> {
    use {Interpolation::Bilinear, Padding::*};
    let mut cases: Vec<(String, Sequential)> = Vec::new();
    let image = || Sequential::new([7, 8, 4]);
    let sequence = || Sequential::new([9, 4]);
    let row = || Sequential::new([6]);
    let mut add = |name: &str, plan: Sequential| cases.push((name.to_owned(), plan));
    for padding in [Valid, Same] {
        let name = |layer: &str| format!("{layer}_{padding:?}").to_lowercase();
        add(&name("conv2d"), image().add(Conv2D::new(6, 3).padding(padding)));
        add(&name("conv2d_strides"), image().add(Conv2D::new(6, (3, 2)).strides((2, 3)).padding(padding)));
        add(&name("conv2d_stride_over_kernel"), image().add(Conv2D::new(6, 2).strides(3).padding(padding)));
        add(&name("conv2d_dilation"), image().add(Conv2D::new(6, (2, 3)).dilation_rate((3, 2)).padding(padding)));
        add(&name("conv2d_groups"), image().add(Conv2D::new(6, 3).groups(2).use_bias(false).padding(padding)));
        add(&name("conv1d"), sequence().add(Conv1D::new(5, 4).padding(padding)));
        add(&name("depthwise_conv2d"), image().add(DepthwiseConv2D::new(3).depth_multiplier(2).padding(padding)));
        add(&name("depthwise_conv2d_strides"), image().add(DepthwiseConv2D::new(3).strides(2).padding(padding)));
        let separable = SeparableConv2D::new(5, 3).depth_multiplier(2).strides(2).padding(padding);
        add(&name("separable_conv2d"), image().add(separable));
        for (kernel, stride) in [(3, 1), (3, 2), (4, 2), (2, 3), (1, 2)] {
            let layer = Conv2DTranspose::new(5, kernel).strides(stride).padding(padding);
            add(&name(&format!("conv2d_transpose_{kernel}_{stride}")), image().add(layer));
        }
        let layer = Conv2DTranspose::new(5, (3, 4)).strides((3, 2)).padding(padding);
        add(&name("conv2d_transpose_output_padding"), image().add(layer.clone().output_padding((2, 1))));
        add(&name("conv2d_transpose_dilation"), image().add(layer.strides(1).dilation_rate(2)));
        add(&name("max_pooling2d"), image().add(MaxPooling2D::new(2).padding(padding)));
        add(&name("max_pooling2d_strides"), image().add(MaxPooling2D::new((3, 2)).strides((2, 1)).padding(padding)));
        add(&name("average_pooling2d"), image().add(AveragePooling2D::new(2).padding(padding)));
        add(&name("average_pooling2d_strides"), image().add(AveragePooling2D::new(3).strides((2, 1)).padding(padding)));
        add(&name("max_pooling1d"), sequence().add(MaxPooling1D::new(2).padding(padding)));
        add(&name("average_pooling1d"), sequence().add(AveragePooling1D::new(4).strides(3).padding(padding)));
    }
    add("conv1d_causal", sequence().add(Conv1D::new(5, 3).dilation_rate(2).strides(2).padding(Causal)));
    add("dense", row().add(Dense::new(5)));
    add("dense_no_bias", row().add(Dense::new(5).use_bias(false)));
    add("dense_last_axis", image().add(Dense::new(5)));
    add("dense_last_axis_no_bias", sequence().add(Dense::new(5).use_bias(false)));
    add("embedding", Sequential::new([5]).add(Embedding::new(9, 4)));
    for keepdims in [false, true] {
        let name = |layer: &str| if keepdims { format!("{layer}_keepdims") } else { layer.to_owned() };
        add(&name("global_max_pooling2d"), image().add(GlobalMaxPooling2D::new().keepdims(keepdims)));
        add(&name("global_average_pooling2d"), image().add(GlobalAveragePooling2D::new().keepdims(keepdims)));
        add(&name("global_max_pooling1d"), sequence().add(GlobalMaxPooling1D::new().keepdims(keepdims)));
        add(&name("global_average_pooling1d"), sequence().add(GlobalAveragePooling1D::new().keepdims(keepdims)));
    }
    let batch = BatchNormalization::new;
    add("batch_normalization", image().add(batch()));
    add("batch_normalization_row", row().add(batch().scale(false).epsilon(0.1)));
    add("batch_normalization_axis1", image().add(batch().axis(1).center(false)));
    add("batch_normalization_axis2", image().add(batch().axis(2)));
    let rows = LayerNormalization::new;
    add("layer_normalization", image().add(rows()));
    add("layer_normalization_axes", image().add(rows().axis([1, 3]).epsilon(0.1)));
    add("layer_normalization_plain", row().add(rows().center(false).scale(false)));
    add("prelu", image().add(PReLU::new()));
    add("prelu_shared", image().add(Conv2D::new(3, 2)).add(PReLU::new().shared_axes([1, 2])));
    add("flatten", image().add(Flatten::new()));
    add("flatten_dense", image().add(Conv2D::new(3, 2)).add(Flatten::new()).add(Dense::new(4)));
    add("reshape", image().add(MaxPooling2D::new(2)).add(Reshape::new([6, -1])));
    add("permute", image().add(Permute::new([3, 1, 2])));
    add("permute_conv2d", image().add(Permute::new([2, 1, 3])).add(Conv2D::new(3, 2)).add(Permute::new([3, 1, 2])));
    add("zero_padding2d", image().add(ZeroPadding2D::new(((1, 2), (0, 3)))));
    add("zero_padding2d_conv2d", image().add(Conv2D::new(3, 2)).add(ZeroPadding2D::new(1)));
    add("cropping2d", image().add(Cropping2D::new(((1, 2), (0, 3)))));
    add("cropping2d_conv2d", image().add(Conv2D::new(3, 2)).add(Cropping2D::new(1)));
    add("up_sampling2d", image().add(UpSampling2D::new((2, 3))));
    add("up_sampling2d_bilinear", image().add(UpSampling2D::new((2, 3)).interpolation(Bilinear)));
    add("rescaling", image().add(Rescaling::new(1.0 / 127.5).offset(-1.0)));
    add("dropout", row().add(Dropout::new(0.5)));
    let training = image()
        .add(RandomFlip::new(FlipMode::Horizontal))
        .add(RandomTranslation::new(0.1, 0.1))
        .add(RandomRotation::new(0.1))
        .add(RandomZoom::new(0.1))
        .add(RandomContrast::new(0.1))
        .add(RandomBrightness::new(0.1))
        .add(RandomErasing::new(0.1));
    let noisy = training.add(GaussianNoise::new(0.1)).add(Conv2D::new(3, 2)).add(SpatialDropout2D::new(0.1));
    add("training_only", noisy.add(Flatten::new()).add(Dropout::new(0.5)).add(Dense::new(3)));
    for activation in activations() {
        let name = format!("{activation:?}").to_lowercase().replace(|c: char| !c.is_alphanumeric(), "_");
        add(&format!("dense_{name}"), row().add(Dense::new(5).activation(activation)).add(Dense::new(2)));
        add(&format!("conv2d_{name}"), image().add(Conv2D::new(3, 2).activation(activation)).add(Flatten::new()));
        add(&format!("head_{name}"), row().add(Dense::new(5).activation(activation)));
        add(&format!("layer_{name}"), sequence().add(activation));
    }
    add("reference", reference());
    cases
}

/// The network of the README.
fn reference() -> Sequential {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
}

fn activations() -> [Activation; 13] {
    [
        Activation::Relu,
        Activation::LeakyRelu { negative_slope: 0.3 },
        Activation::Elu { alpha: 0.7 },
        Activation::Selu,
        Activation::gelu(),
        Activation::Gelu { approximate: true },
        Activation::Silu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softplus,
        Activation::Softmax,
        Activation::HardSigmoid,
        Activation::Linear,
    ]
}

/// The model of a plan, with weights none of which is 0, and samples for it.
fn model(name: &str, plan: Sequential) -> (Model, Tensor) {
    let mut model = plan.build().unwrap_or_else(|error| panic!("{name}: {error}"));
    let infos = model.layout().infos().iter().enumerate();
    let weights = infos.map(|(i, info)| {
        let fan = info.shape.dims().iter().rev().skip(1).product::<usize>().max(4) as f32 / 4.0;
        let (low, high) = match info.name.ends_with("variance") {
            true => (0.5, 1.5),
            false => (-0.5 / fan.sqrt(), 0.5 / fan.sqrt()),
        };
        Tensor::random_uniform(info.shape, low, high, i as u64)
    });
    let weights: Vec<Tensor> = weights.collect();
    model.set_weights(&weights).unwrap();
    let shape = model.input_shape().batch(3);
    let x = match name {
        "embedding" => Tensor::random_uniform(shape, 0.0, 9.0, 1).map(f32::floor),
        _ => Tensor::random_normal(shape, 0.0, 1.0, 1),
    };
    (model, x)
}

fn largest_difference(name: &str, a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.shape(), b.shape(), "{name}");
    a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_layer_goes_out_and_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    for (name, plan) in cases() {
        let (model, x) = model(&name, plan);
        model.save(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = load_model(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let difference = largest_difference(&name, &model.predict(&x).unwrap(), &again.predict(&x).unwrap());
        assert!(difference <= TOLERANCE, "{name}: {difference}\n{}", again.summary());
    }
}

/// Writes the cases for `data-scripts/check_onnx.py`, which gives them to onnxruntime, into the folder `CORNU_ONNX_CASES`.
#[test]
#[ignore = "data-scripts/check_onnx.py asks for it"]
fn cases_for_onnxruntime() {
    let folder = env::var_os("CORNU_ONNX_CASES").expect("check_onnx.py sets it");
    let folder = Path::new(&folder);
    let mut cases = cases();
    cases.push(("layer_normalization_rms".into(), rms()));
    for (name, plan) in cases {
        let (model, x) = model(&name, plan);
        model.save(folder.join(format!("{name}.onnx"))).unwrap();
        write(folder, &name, &x, &model.predict(&x).unwrap());
    }
    // Trained by PyTorch, on all test images.
    let model = load_model(folder.join("mnist/torch.onnx")).unwrap();
    let bytes = fs::read(folder.join("mnist/images")).unwrap();
    let pixels = bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let x = Tensor::new([bytes.len() / 4 / 784, 28, 28, 1], pixels).unwrap();
    model.save(folder.join("mnist/cornu.onnx")).unwrap();
    write(&folder.join("mnist"), "cornu", &x, &model.predict(&x).unwrap());
}

fn write(folder: &Path, name: &str, x: &Tensor, y: &Tensor) {
    for (tensor, ending) in [(x, "x"), (y, "y")] {
        let bytes: Vec<u8> = tensor.data().iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(folder.join(format!("{name}.{ending}")), bytes).unwrap();
    }
}

fn rms() -> Sequential {
    Sequential::new([7, 8, 4]).add(LayerNormalization::new().rms_scaling(true))
}

/// The names of the fixtures.
fn fixtures() -> Vec<String> {
    let folder = fs::read_dir("tests/fixtures/onnx").unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(".onnx")?.to_owned())).collect();
    names.sort();
    names
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(format!("tests/fixtures/onnx/{name}.onnx")).unwrap()
}

#[test]
fn models_of_pytorch_give_what_onnxruntime_makes_of_them() {
    let names = fixtures();
    assert!(names.len() >= 15, "{names:?}");
    for name in names {
        let model = Model::from_bytes(&fixture(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let file = fs::read(format!("tests/fixtures/onnx/{name}.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let [x, y] = ["x", "y"].map(|key| {
            let tensor = tensors.tensor(key).unwrap();
            let values = tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            Tensor::new(Shape::new(tensor.shape()).unwrap(), values).unwrap()
        });
        let difference = largest_difference(&name, &model.predict(&x).unwrap(), &y);
        assert!(difference <= TOLERANCE, "{name}: {difference}\n{}", model.summary());
        println!("{name}: {difference:.1e}");
    }
}

/// A layer of a user's that does nothing.
#[derive(Clone, Debug)]
struct Own;

impl LayerConfig for Own {
    type Built = Own;

    fn class_name(&self) -> &'static str {
        "Own"
    }

    fn build(&self, cx: &mut Build) -> cornu::Result<(Own, Shape)> {
        Ok((Own, cx.input()))
    }
}

impl Layer for Own {
    type Work<T: Scalar> = ();

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        y.data.copy_from_slice(x.data);
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        if let Some(dx) = dx {
            dx.data.copy_from_slice(taped.dy.data);
        }
    }
}

#[test]
fn a_layer_of_a_users_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let model = Sequential::new([4]).add(Dense::new(2)).add(Own.named("mine")).build().unwrap();
    let error = model.save(&path).unwrap_err().to_string();
    assert!(error.contains("save: Own \"mine\" (layer 1): ONNX has no operators for it"), "{error}");
    assert!(!path.exists());
}

/// A model of 500 bytes with all that a file has.
fn small() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let plan = Sequential::new([3, 3, 1]).add(Conv2D::new(2, 2)).add(Flatten::new()).add(Dense::new(2));
    plan.build().unwrap().save(&path).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn no_cut_file_is_read() {
    let bytes = small();
    assert!(Model::from_bytes(&bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(Model::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    for name in fixtures() {
        let bytes = fixture(&name);
        for length in 0..bytes.len() {
            _ = Model::from_bytes(&bytes[..length]);
        }
    }
}

/// ONNX has no checksum, so a flipped bit can be another model; it does not panic, and takes no more memory than a model of the size
/// of the file.
#[test]
fn no_flipped_bit_panics() {
    let files = fixtures().iter().map(|name| fixture(name)).chain([small()]).collect::<Vec<_>>();
    for (i, mut bytes) in files.into_iter().enumerate() {
        for bit in (i % 17..8 * bytes.len()).step_by(17) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(model) = Model::from_bytes(&bytes) {
                assert!(model.count_params() <= bytes.len());
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
