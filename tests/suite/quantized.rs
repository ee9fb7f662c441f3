//! Models of integers: near the model they come from, the same bits however they run, whole from their files.

use cornu::{Score, kernels::int8::LEVELS, prelude::*};
use rayon::ThreadPoolBuilder;

/// Images with some structure: blobs, brighter to one side.
fn images(n: usize, [h, w, c]: [usize; 3]) -> Tensor {
    let noise = Tensor::<f32>::random_uniform([n, h, w, c], 0.0, 1.0, 7);
    Tensor::from_fn([n, h, w, c], |[i, y, x, channel]| {
        let wave = ((i * 3 + y * 2 + x * (1 + i % 3) + channel) as f32 * 0.37).sin();
        (0.5 + 0.4 * wave + 0.1 * noise[[i, y, x, channel]]).clamp(0.0, 1.0)
    })
}

fn conv(filters: usize, kernel: usize) -> Conv2D {
    Conv2D::new(filters, kernel).activation(Activation::Relu)
}

/// Models of images of 12 by 11 with 3 channels: what integers compute, and what they do not, in many orders.
fn models() -> Vec<(&'static str, Model)> {
    let input = || Sequential::new([12, 11, 3]);
    let models = [
        (
            "all in integers",
            input()
                .add(conv(8, 3))
                .add(MaxPooling2D::new(2))
                .add(conv(18, 3).padding(Padding::Same))
                .add(MaxPooling2D::new(3).strides(2).padding(Padding::Same))
                .add(Dropout::new(0.5))
                .add(Flatten::new())
                .add(Dense::new(20).activation(Activation::Relu))
                .add(Dense::new(5).activation(Activation::Softmax)),
        ),
        (
            "relu behind, strides, dilation",
            input()
                .add(Rescaling::new(2.0).offset(-1.0))
                .add(Conv2D::new(6, (3, 2)).strides((2, 1)).padding(Padding::Same))
                .add(MaxPooling2D::new((1, 2)))
                .add(Activation::Relu)
                .add(Conv2D::new(9, 2).dilation_rate(2).use_bias(false))
                .add(Flatten::new())
                .add(Dense::new(1).activation(Activation::Sigmoid)),
        ),
        (
            "normalization",
            input()
                .add(Conv2D::new(8, 3).use_bias(false))
                .add(BatchNormalization::new())
                .add(Activation::Relu)
                .add(Conv2D::new(8, 3))
                .add(GlobalAveragePooling2D::new())
                .add(Dense::new(4)),
        ),
        (
            "numbers in front, between and behind",
            input()
                .add(DepthwiseConv2D::new(3).padding(Padding::Same))
                .add(LayerNormalization::new())
                .add(Conv2D::new(8, 1).activation(Activation::Tanh))
                .add(AveragePooling2D::new(2))
                .add(Conv2D::new(8, 3).groups(2).activation(Activation::Sigmoid))
                .add(conv(7, 3))
                .add(GlobalMaxPooling2D::new())
                .add(Activation::Softmax),
        ),
        (
            "softmax inside, dense on the last axis",
            input()
                .add(Dense::new(6).activation(Activation::Softmax))
                .add(Dense::new(7).activation(Activation::Relu))
                .add(MaxPooling2D::new((12, 11)))
                .add(Reshape::new([7]))
                .add(Dense::new(3))
                .add(Dropout::new(0.1)),
        ),
        (
            "other shapes between",
            input()
                .add(conv(8, 3))
                .add(Reshape::new([9, 10, 8]))
                .add(MaxPooling2D::new(2))
                .add(conv(4, 2))
                .add(Flatten::new())
                .add(Dense::new(3)),
        ),
        ("one convolution", input().add(Conv2D::new(5, 3).activation(Activation::Relu))),
        (
            "a softmax of each pixel, not the last layer",
            input()
                .add(Rescaling::new(2.0).offset(-1.0))
                .add(Conv2D::new(5, 3).padding(Padding::Same).strides(2).activation(Activation::Softmax))
                .add(Dropout::new(0.5))
                .add(Activation::Linear),
        ),
        (
            "a sigmoid of its own behind",
            input()
                .add(Conv2D::new(17, (5, 1)).padding(Padding::Same).dilation_rate((2, 1)))
                .add(GlobalAveragePooling2D::new())
                .add(Dense::new(3))
                .add(Activation::Sigmoid),
        ),
        (
            "a depthwise convolution of a single channel",
            input()
                .add(Conv2D::new(1, 1))
                .add(DepthwiseConv2D::new(3).depth_multiplier(4).padding(Padding::Same))
                .add(Flatten::new())
                .add(Dense::new(2)),
        ),
        (
            "sequences",
            input()
                .add(Reshape::new([12, 33]))
                .add(Conv1D::new(8, 3).activation(Activation::Relu))
                .add(MaxPooling1D::new(2))
                .add(Conv1D::new(4, 3).padding(Padding::Causal))
                .add(Flatten::new())
                .add(Dense::new(2)),
        ),
    ];
    models.map(|(name, plan)| (name, plan.seed(3).build().unwrap())).into()
}

#[test]
fn predictions_are_near_those_in_numbers() {
    let x = images(60, [12, 11, 3]);
    for (name, model) in models() {
        let quantized = model.quantize(&x).unwrap();
        assert_eq!(quantized.input_shape(), model.input_shape());
        assert_eq!(quantized.output_shape(), model.output_shape());
        let (expected, y) = (model.predict(&x).unwrap(), quantized.predict(&x).unwrap());
        assert_eq!(y.shape(), expected.shape());
        let (low, high) = expected.data().iter().fold((0.0_f32, 0.0_f32), |(low, high), y| (low.min(*y), high.max(*y)));
        let difference = expected.data().iter().zip(y.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 0.05 * (high - low), "{name}: {difference} of {low}..{high}");
        let differs = y != expected;
        assert!(differs, "{name} computes in numbers");
    }
}

#[test]
fn batches_and_threads_do_not_change_a_bit() {
    // More than the layers in numbers take at a time.
    let x = images(1100, [12, 11, 3]);
    for (name, model) in models() {
        let quantized = model.quantize(x.slice(..50).unwrap()).unwrap();
        let y = quantized.predict(&x).unwrap();
        for threads in [1, 3] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| quantized.predict(&x)).unwrap(), y, "{name}: {threads} threads");
        }
        let outputs = y.len() / x.shape().dims()[0];
        for i in [0, 1, 500, 1099] {
            let one = quantized.predict(x.slice(i..=i).unwrap()).unwrap();
            assert_eq!(one.data(), &y.data()[i * outputs..][..outputs], "{name}: sample {i}");
        }
        assert_eq!(model.quantize(x.slice(..50).unwrap()).unwrap().predict(&x).unwrap(), y, "{name}: again");
    }
}

#[test]
fn bytes_are_the_numbers_that_they_are() {
    let bytes = images(40, [12, 11, 3]).map(|x| (255.0 * x) as u8);
    let numbers = bytes.map(f32::from);
    for (name, model) in models() {
        let plan = Sequential::new([12, 11, 3]).add(Rescaling::new(1.0 / 255.0).named("bytes")).extend(&model);
        let quantized = plan.build().unwrap().quantize(&bytes).unwrap();
        let y = quantized.predict(&bytes).unwrap();
        assert_eq!(y, quantized.predict(&numbers).unwrap(), "{name}");
        // The same ranges, up to the rounding of the scale.
        let expected = model.predict(&bytes.scaled(1.0 / 255.0)).unwrap();
        let difference = expected.data().iter().zip(y.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let largest = expected.data().iter().fold(0.0_f32, |largest, y| largest.max(y.abs()));
        assert!(difference < 0.1 * largest, "{name}: {difference} of {largest}");
    }
}

#[test]
fn a_file_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("int8.safetensors");
    let x = images(40, [12, 11, 3]);
    for (name, model) in models() {
        let quantized = model.quantize(&x).unwrap();
        quantized.save(&path).unwrap();
        let loaded = QuantizedModel::load(&path).unwrap();
        assert_eq!(loaded.predict(&x).unwrap(), quantized.predict(&x).unwrap(), "{name}");
        assert_eq!(loaded.summary(), quantized.summary());
        for error in [load_model(&path).unwrap_err(), model.clone().load_weights(&path).unwrap_err()] {
            assert!(error.to_string().contains("QuantizedModel::load reads it"), "{error}");
        }
    }
    models()[0].1.save(&path).unwrap();
    let error = QuantizedModel::load(&path).unwrap_err().to_string();
    assert!(error.contains("not quantized; load_model reads it"), "{error}");
}

#[test]
fn a_file_is_a_quarter_as_large() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["float.safetensors", "int8.safetensors"].map(|name| folder.path().join(name));
    let model = Sequential::new([28, 28, 1])
        .add(conv(32, 3))
        .add(MaxPooling2D::new(2))
        .add(conv(64, 3))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
        .unwrap();
    model.save(&paths[0]).unwrap();
    model.quantize(&images(20, [28, 28, 1])).unwrap().save(&paths[1]).unwrap();
    let [float, int8] = paths.map(|path| std::fs::metadata(path).unwrap().len());
    assert!(int8 < float * 27 / 100, "{int8} of {float} bytes");
    // What is no weight: names, shapes and layers as JSON, a scale for each filter, and 5 bytes for what each layer reads.
    let (weights, filters) = (model.count_params() as u64 - 106, 106);
    assert!(int8 - weights - 2 * 4 * filters - 3 * 5 < 2700, "{int8} bytes for {weights} weights");
}

#[test]
fn a_compiled_model_is_evaluated() {
    let x = images(300, [8, 8, 1]);
    let y: Labels = (0..300).map(|i| (i % 3) as u8).collect::<Vec<_>>().into();
    let mut model = Sequential::new([8, 8, 1])
        .add(conv(8, 3))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(3).activation(Activation::Softmax))
        .compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
        .unwrap();
    model.fit(&x, &y, Fit::new().epochs(30).verbose(0)).unwrap();
    let mut quantized = model.quantize(&x).unwrap();
    let accuracy = |score: Score| score.accuracy().unwrap();
    let score = quantized.evaluate(&x, &y).unwrap();
    let expected = model.evaluate(&x, &y).unwrap();
    assert!((score.loss - expected.loss).abs() < 0.02 * expected.loss, "{score} instead of {expected}");
    let classes = quantized.predict_classes(&x).unwrap();
    let right = classes.iter().zip(y.iter()).filter(|(a, b)| a == b).count();
    assert_eq!(accuracy(score), right as f64 / 300.0);
    assert!(accuracy(expected) > 0.9);

    quantized.compile(SparseCategoricalCrossentropy::default(), []).unwrap();
    assert!(quantized.evaluate(&x, &y).unwrap().accuracy().is_none());
    let model = Sequential::from(&model).build().unwrap();
    let error = model.quantize(&x).unwrap().evaluate(&x, &y).unwrap_err().to_string();
    assert!(error.contains("call compile(loss, metrics) first"), "{error}");
}

#[test]
fn the_summary_counts_bytes() {
    let model =
        Sequential::new([4]).add(Dense::new(8).activation(Activation::Relu)).add(Dense::new(2)).build().unwrap();
    let quantized = model.quantize(&Tensor::random_normal([20, 4], 0.0, 1.0, 0)).unwrap();
    assert_eq!(quantized.count_params(), 58);
    let summary = quantized.summary();
    // 48 bytes, and 4 for each of 10 biases and 10 scales.
    assert!(summary.contains("Total params: 58 (128.00 B)"), "{summary}");
    assert!(summary.contains("int8 params: 48 (48.00 B)"), "{summary}");
    assert!(summary.contains("dense_1 (Dense)"), "{summary}");
}

/// A filter without weights gives its bias, wherever its input lies and whatever stands at the border.
#[test]
fn filters_of_zeros_give_their_bias() {
    let mut model = Sequential::new([5, 5, 2]).add(Conv2D::new(3, 3).padding(Padding::Same)).build().unwrap();
    let kernel = Tensor::from_fn([3, 3, 2, 3], |[y, x, c, f]| if f == 1 { 0.0 } else { (y + x + c) as f32 - 2.0 });
    model.set_weights(&[kernel, Tensor::from([0.5, -7.25, 1.0])]).unwrap();
    let x = Tensor::random_uniform([4, 5, 5, 2], -3.0, -1.0, 0);
    let y = model.quantize(&x).unwrap().predict(&x).unwrap();
    assert!(y.data().iter().skip(1).step_by(3).all(|&y| y == -7.25), "{y:?}");

    // 0 is held exactly, so padding is 0: a kernel of ones counts what it sees.
    model.set_weights(&[Tensor::ones([3, 3, 2, 3]), Tensor::zeros(3)]).unwrap();
    let twos = Tensor::full([1, 5, 5, 2], -2.0);
    let y = model.quantize(&twos).unwrap().predict(&twos).unwrap();
    let counted = |y: usize| if y == 0 || y == 4 { 2.0 } else { 3.0 };
    let expected = Tensor::<f32>::from_fn([1, 5, 5, 3], |[_, y, x, _]| -4.0 * counted(y) * counted(x));
    assert!(y.data().iter().zip(expected.data()).all(|(a, b)| (a - b).abs() < 1e-4), "{y:?}");
}

/// Data that says nothing of what the model will see must not break it.
#[test]
fn poor_samples_are_no_error() {
    for x in [Tensor::zeros([2, 12, 11, 3]), Tensor::full([1, 12, 11, 3], -4.0), Tensor::full([1, 12, 11, 3], 1e-40)] {
        for (name, model) in models() {
            let quantized = model.quantize(&x).unwrap();
            let y = quantized.predict(&images(3, [12, 11, 3])).unwrap();
            assert!(y.data().iter().all(|y| y.is_finite()), "{name}: {y:?}");
            let (expected, y) = (model.predict(&x).unwrap(), quantized.predict(&x).unwrap());
            let largest = expected.data().iter().fold(0.0_f32, |largest, y| largest.max(y.abs()));
            let difference = expected.data().iter().zip(y.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference <= 0.05 * largest + 1e-6, "{name}: {difference} of {largest}");
        }
    }
}

#[test]
fn what_cannot_be_quantized_is_an_error() {
    let model = Sequential::new([4]).add(Dense::new(2).named("scores")).build().unwrap();
    let error = |x: &Tensor| model.quantize(x).unwrap_err().to_string();
    assert!(error(&Tensor::zeros([0, 4])).contains("no samples"));
    assert!(error(&Tensor::zeros([3, 5])).contains("shape (n, 4)"));
    for number in [f32::NAN, f32::INFINITY] {
        assert!(error(&Tensor::from([[0.0, 1.0, number, 0.0]])).contains("what scores reads is not finite"));
    }
    let quantized = model.quantize(&Tensor::<f32>::ones([1, 4])).unwrap();
    assert!(quantized.predict(&Tensor::<f32>::zeros([0, 4])).unwrap_err().to_string().contains("no samples"));
    assert!(quantized.predict(&Tensor::<f32>::zeros([2, 5])).unwrap_err().to_string().contains("shape (n, 4)"));
    let idle = Sequential::new([4]).add(Activation::Relu).build().unwrap();
    let message = idle.quantize(&Tensor::<f32>::zeros([3, 4])).unwrap_err().to_string();
    assert!(message.contains("no layer can compute in integers"), "{message}");

    let mut huge = model.clone();
    huge.set_weights(&[Tensor::full([4, 2], f32::INFINITY), Tensor::zeros(2)]).unwrap();
    let message = huge.quantize(&Tensor::<f32>::zeros([3, 4])).unwrap_err().to_string();
    assert!(message.contains("scores has weights that are not finite"), "{message}");
}

#[test]
fn ranges_of_a_single_number_and_numbers_beyond_the_range() {
    let model = Sequential::new([3]).add(Dense::new(2)).build().unwrap();
    for x in [Tensor::<f32>::zeros([2, 3]), Tensor::full([2, 3], 5.0), Tensor::full([2, 3], -5.0)] {
        let quantized = model.quantize(&x).unwrap();
        let (expected, y) = (model.predict(&x).unwrap(), quantized.predict(&x).unwrap());
        assert!(expected.data().iter().zip(y.data()).all(|(a, b)| (a - b).abs() < 0.1), "{expected:?} {y:?}");
        // Cut off at the range, and none for NaN.
        let beyond = Tensor::from([[f32::INFINITY, f32::NEG_INFINITY, f32::NAN], [1e30, -1e30, 0.0]]);
        assert!(quantized.predict(&beyond).unwrap().data().iter().all(|y| y.is_finite()));
    }
    assert_eq!(LEVELS, 127);
}
