//! Bad input is an error before the first step that names the place, what came and what was expected; never a panic.

use cornu::{Scalar, prelude::*};

#[derive(Debug, PartialEq)]
enum Kind {
    Shape,
    Argument,
    Data,
    NotCompiled,
}

/// The result is an error of this kind, whose message contains all of `words`. With `--nocapture` the messages can be
/// read as a user does.
#[track_caller]
fn fails<T>(result: cornu::Result<T>, kind: Kind, words: &[&str]) {
    let error = result.err().expect("an error");
    let message = error.to_string();
    println!("{message}");
    let found = match error {
        Error::Shape { .. } => Kind::Shape,
        Error::Argument { .. } => Kind::Argument,
        Error::Data { .. } => Kind::Data,
        Error::NotCompiled { .. } => Kind::NotCompiled,
        _ => panic!("an error of another kind: {message}"),
    };
    assert_eq!(found, kind, "{message}");
    for word in words {
        assert!(message.contains(word), "\"{word}\" is missing: {message}");
    }
}

/// Three features, two classes, sparse labels.
fn classifier() -> Model {
    Sequential::new([3])
        .add(Dense::new(2).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
        .unwrap()
}

/// Three features, one-hot rows of two classes.
fn one_hot_classifier() -> Model {
    Sequential::new([3])
        .add(Dense::new(2).activation(Activation::Softmax))
        .compile(Adam::default(), CategoricalCrossentropy::default(), [Metric::Accuracy])
        .unwrap()
}

/// One feature, one number.
fn regression(optimizer: impl Optimizer) -> Model {
    Sequential::new([1]).add(Dense::new(1)).compile(optimizer, MeanSquaredError, []).unwrap()
}

/// `n` samples of three features.
fn x(n: usize) -> Tensor {
    Tensor::random_normal([n, 3], 0.0, 1.0, 1)
}

/// `n` labels, 0 and 1 in turn.
fn y(n: usize) -> Labels {
    (0..n).map(|i| (i % 2) as u8).collect::<Vec<_>>().into()
}

fn quiet<'a>() -> Fit<'a> {
    Fit::new().verbose(0)
}

/// Fitting a classifier on eight samples with these options fails, and moves nothing.
#[track_caller]
fn fit_fails(options: Fit, kind: Kind, words: &[&str]) {
    let mut model = classifier();
    let before = model.params().to_vec();
    fails(model.fit(&x(8), &y(8), options.verbose(0)), kind, words);
    assert_eq!(model.params(), before);
}

/// Building this one layer on images of 8 by 8 pixels with 4 channels fails.
#[track_caller]
fn layer_fails(layer: impl LayerConfig, kind: Kind, words: &[&str]) {
    fails(Sequential::new([8, 8, 4]).add(layer).build(), kind, words);
}

#[track_caller]
fn compile_fails(optimizer: impl Optimizer, loss: impl Loss, metrics: &[Metric], words: &[&str]) {
    let plan = Sequential::new([3]).add(Dense::new(4).activation(Activation::Softmax));
    fails(plan.compile(optimizer, loss, metrics.iter().cloned()), Kind::Argument, words);
}

#[track_caller]
fn optimizer_fails(optimizer: impl Optimizer, words: &[&str]) {
    compile_fails(optimizer, SparseCategoricalCrossentropy::default(), &[], words);
}

mod build {
    use super::*;

    #[test]
    fn an_input_of_another_rank() {
        let plan = Sequential::new([28, 28]).add(Conv2D::new(2, 3));
        fails(plan.build(), Kind::Shape, &["Conv2D \"conv2d\" (layer 0)", "rank 3", "(28, 28)", "Reshape"]);
        let plan = Sequential::new([784]).add(Dense::new(3)).add(MaxPooling2D::new(2));
        fails(plan.build(), Kind::Shape, &["MaxPooling2D \"max_pooling2d\" (layer 1)", "rank 3", "(3,)"]);
        let plan = Sequential::new(()).add(Dense::new(3));
        fails(plan.build(), Kind::Shape, &["Dense \"dense\" (layer 0)", "rank 1 or more", "()"]);
    }

    #[test]
    fn a_window_larger_than_its_input() {
        let words = ["(layer 0)", "at least 9 pixels high", "(8, 8, 4)", "Padding::Same"];
        layer_fails(Conv2D::new(2, 9), Kind::Shape, &words);
        layer_fails(MaxPooling2D::new(9), Kind::Shape, &words);
        layer_fails(Conv2D::new(2, (1, 9)), Kind::Shape, &["at least 9 pixels wide"]);
        layer_fails(Conv2D::new(2, 5).dilation_rate(2), Kind::Shape, &["at least 9 pixels high"]);
    }

    #[test]
    fn sizes_of_zero() {
        layer_fails(Conv2D::new(0, 3), Kind::Argument, &["Conv2D \"conv2d\" (layer 0)", "filters", "at least 1"]);
        layer_fails(Conv2D::new(2, 0), Kind::Argument, &["kernel_size", "at least 1", "(0, 0)"]);
        layer_fails(Conv2D::new(2, (3, 0)), Kind::Argument, &["kernel_size", "at least 1", "(3, 0)"]);
        layer_fails(Conv2D::new(2, 3).strides(0), Kind::Argument, &["strides", "at least 1", "(0, 0)"]);
        layer_fails(Conv2D::new(2, 3).dilation_rate(0), Kind::Argument, &["dilation_rate", "at least 1"]);
        layer_fails(Conv2D::new(2, 3).padding(Padding::Causal), Kind::Argument, &["padding", "Causal", "Conv1D"]);
        layer_fails(MaxPooling2D::new(2).padding(Padding::Causal), Kind::Argument, &["padding", "Causal", "Conv1D"]);
        layer_fails(MaxPooling2D::new(0), Kind::Argument, &["pool_size", "at least 1", "(0, 0)"]);
        layer_fails(MaxPooling2D::new(2).strides(0), Kind::Argument, &["strides", "at least 1"]);
        layer_fails(Dense::new(0), Kind::Argument, &["Dense \"dense\" (layer 0)", "units", "at least 1"]);
    }

    #[test]
    fn groups_that_do_not_divide() {
        for (filters, groups) in [(6, 0), (6, 3), (6, 4), (4, 8)] {
            let words = ["groups", "4 channels", &format!("{filters} filters"), &format!("got {groups}")];
            layer_fails(Conv2D::new(filters, 3).groups(groups), Kind::Argument, &words);
        }
    }

    #[test]
    fn arguments_of_depthwise_and_separable_convolutions() {
        let (depthwise, separable) = (DepthwiseConv2D::new, |kernel| SeparableConv2D::new(2, kernel));
        let place = "DepthwiseConv2D \"depthwise_conv2d\" (layer 0)";
        layer_fails(depthwise(3).depth_multiplier(0), Kind::Argument, &[place, "depth_multiplier", "at least 1"]);
        layer_fails(depthwise(0), Kind::Argument, &["kernel_size", "at least 1", "(0, 0)"]);
        layer_fails(depthwise(9), Kind::Shape, &["at least 9 pixels high", "Padding::Same"]);
        layer_fails(depthwise(3).strides(0), Kind::Argument, &["strides", "at least 1"]);
        layer_fails(depthwise(3).padding(Padding::Causal), Kind::Argument, &["padding", "Causal", "Conv1D"]);
        let place = "SeparableConv2D \"separable_conv2d\" (layer 0)";
        layer_fails(separable(3).depth_multiplier(0), Kind::Argument, &[place, "depth_multiplier", "at least 1"]);
        layer_fails(SeparableConv2D::new(0, 3), Kind::Argument, &["filters", "at least 1"]);
        layer_fails(separable(0), Kind::Argument, &["kernel_size", "at least 1", "(0, 0)"]);
        for huge in [usize::MAX, usize::MAX / 2] {
            let words = ["depthwise_conv2d/kernel", &huge.to_string(), "memory"];
            layer_fails(depthwise(3).depth_multiplier(huge), Kind::Argument, &words);
            layer_fails(separable(3).depth_multiplier(huge), Kind::Argument, &["separable_conv2d/", "memory"]);
        }
        let sequence = Sequential::new([8, 4]);
        fails(sequence.clone().add(depthwise(3)).build(), Kind::Shape, &["rank 3", "(8, 4)"]);
        fails(sequence.add(separable(3)).build(), Kind::Shape, &["rank 3", "(8, 4)"]);
    }

    #[test]
    fn arguments_of_a_transposed_convolution() {
        let layer = |strides: usize| Conv2DTranspose::new(2, 2).strides(strides);
        let place = "Conv2DTranspose \"conv2d_transpose\" (layer 0)";
        layer_fails(Conv2DTranspose::new(0, 3), Kind::Argument, &[place, "filters", "at least 1"]);
        layer_fails(Conv2DTranspose::new(2, (3, 0)), Kind::Argument, &["kernel_size", "(3, 0)"]);
        layer_fails(layer(0), Kind::Argument, &["strides", "at least 1", "(0, 0)"]);
        layer_fails(layer(2).dilation_rate(0), Kind::Argument, &["dilation_rate", "at least 1"]);
        layer_fails(
            layer(2).output_padding((1, 2)),
            Kind::Argument,
            &["output_padding", "less than strides", "2 and 2"],
        );
        layer_fails(layer(1).padding(Padding::Causal), Kind::Argument, &["padding", "Causal", "Conv1D"]);
        for huge in [usize::MAX, usize::MAX / 4] {
            layer_fails(layer(huge), Kind::Argument, &["strides", &huge.to_string(), "memory"]);
        }
        layer_fails(
            layer(1).dilation_rate(usize::MAX),
            Kind::Argument,
            &["a window of 2 taps", "larger than any image"],
        );
        layer_fails(layer(1).dilation_rate(usize::MAX / 4), Kind::Argument, &[place, "memory"]);
        layer_fails(layer(1 << 40), Kind::Argument, &[place, "memory"]);
        let plan = Sequential::new([1, 3, 1]).add(layer(2).padding(Padding::Same).output_padding(0));
        fails(plan.build(), Kind::Argument, &["0 pixels high", "output_padding"]);
        fails(Sequential::new([8, 4]).add(layer(1)).build(), Kind::Shape, &["rank 3", "(8, 4)"]);
    }

    #[test]
    fn arguments_of_a_convolution_of_sequences() {
        let conv1d_fails =
            |layer: Conv1D, kind, words: &[&str]| fails(Sequential::new([8, 4]).add(layer).build(), kind, words);
        conv1d_fails(Conv1D::new(0, 3), Kind::Argument, &["Conv1D \"conv1d\" (layer 0)", "filters", "at least 1"]);
        conv1d_fails(Conv1D::new(2, 0), Kind::Argument, &["kernel_size must be at least 1, got 0"]);
        conv1d_fails(Conv1D::new(2, 3).strides(0), Kind::Argument, &["strides must be at least 1, got 0"]);
        conv1d_fails(Conv1D::new(2, 3).dilation_rate(0), Kind::Argument, &["dilation_rate must be at least 1, got 0"]);
        conv1d_fails(Conv1D::new(6, 3).groups(3), Kind::Argument, &["groups", "4 channels", "6 filters", "got 3"]);
        conv1d_fails(
            Conv1D::new(2, 5).dilation_rate(2),
            Kind::Shape,
            &["at least 9 steps long", "(8, 4)", "Padding::Same"],
        );
        conv1d_fails(Conv1D::new(2, usize::MAX).padding(Padding::Causal), Kind::Argument, &["larger than any image"]);
        layer_fails(Conv1D::new(2, 3), Kind::Shape, &["rank 2", "(8, 8, 4)", "sequences"]);
    }

    #[test]
    fn sizes_larger_than_any_memory() {
        for huge in [usize::MAX, usize::MAX / 2] {
            layer_fails(Dense::new(huge), Kind::Argument, &["dense/kernel", &huge.to_string(), "memory"]);
            layer_fails(Conv2D::new(huge, 3), Kind::Argument, &["conv2d/kernel", &huge.to_string(), "memory"]);
            for padding in [Padding::Valid, Padding::Same] {
                assert!(Sequential::new([8, 8, 4]).add(Conv2D::new(2, huge).padding(padding)).build().is_err());
                assert!(Sequential::new([8, 8, 4]).add(MaxPooling2D::new(huge).padding(padding)).build().is_err());
            }
        }
        let apart = Conv2D::new(2, 3).dilation_rate(usize::MAX / 2).padding(Padding::Same);
        layer_fails(apart, Kind::Argument, &["a window of 3 taps", "larger than any image"]);
        layer_fails(Conv2D::new(2, 3).strides(usize::MAX).dilation_rate(4), Kind::Shape, &["at least 9 pixels"]);
        let output = |layer: Conv2D| Sequential::new([8, 8, 4]).add(layer).build().unwrap().output_shape();
        assert_eq!(output(Conv2D::new(2, 3).strides(usize::MAX)), [1, 1, 2].into());
    }

    #[test]
    fn weights_larger_than_this_memory() {
        // 4 PiB: more than a process can address on a common machine.
        let plan = Sequential::new([1 << 30]).add(Dense::new(1 << 20));
        fails(plan.build(), Kind::Argument, &["dense/kernel", "no memory", "(1073741824, 1048576)"]);
    }

    #[test]
    fn samples_larger_than_any_memory() {
        for huge in [usize::MAX, 1 << 32] {
            let plan = Sequential::new([huge, huge, 1]).add(MaxPooling2D::new(2)).add(Flatten::new());
            fails(plan.build(), Kind::Argument, &["Sequential::new", &format!("({huge}, {huge}, 1)"), "memory"]);
        }
        // The weights would fit, the answers to a sample would not.
        let plan = Sequential::new([1 << 16, 1 << 16, 1]).add(Conv2D::new(1 << 10, 1));
        fails(plan.build(), Kind::Argument, &["Conv2D \"conv2d\" (layer 0)", "(65536, 65536, 1024)", "memory"]);
        let large = Sequential::new([1 << 20, 1 << 20, 1]).add(MaxPooling2D::new(1)).add(MaxPooling2D::new(2));
        assert_eq!(large.build().unwrap().output_shape(), [1 << 19, 1 << 19, 1].into());
    }

    #[test]
    fn no_layer() {
        fails(Sequential::new([3]).build(), Kind::Argument, &["Sequential", "at least one layer"]);
    }

    #[test]
    fn an_input_with_a_zero_or_too_many_dimensions() {
        let words = ["Sequential::new", "at most 5 dimensions", "none of them 0", "(28, 0, 1)"];
        fails(Sequential::new([28, 0, 1]).add(Flatten::new()).build(), Kind::Shape, &words);
        let plan = Sequential::new([1; 6]).add(Flatten::new());
        fails(plan.build(), Kind::Shape, &["(1, 1, 1, 1, 1, 1)", "leave out the batch"]);
    }

    #[test]
    fn a_name_twice() {
        let plan = Sequential::new([3]).add(Dense::new(2).named("a")).add(Dense::new(2).named("a"));
        fails(plan.build(), Kind::Argument, &["Dense \"a\" (layer 1)", "another layer has this name"]);
    }

    #[test]
    fn an_initializer_out_of_range() {
        let initializer = Initializer::RandomNormal { mean: 0.0, stddev: f64::NAN };
        let words = ["Dense \"dense\" (layer 0)", "kernel", "stddev", "NaN"];
        layer_fails(Dense::new(2).kernel_initializer(initializer), Kind::Argument, &words);
        layer_fails(Conv2D::new(2, 3).bias_initializer(initializer), Kind::Argument, &["bias", "stddev", "NaN"]);
    }

    #[test]
    fn an_activation_out_of_range() {
        let leaky = |negative_slope| Activation::LeakyRelu { negative_slope };
        layer_fails(leaky(-0.1), Kind::Argument, &["Activation", "(layer 0)", "negative_slope", "at least 0", "-0.1"]);
        layer_fails(Dense::new(2).activation(leaky(f64::NAN)), Kind::Argument, &["negative_slope", "NaN"]);
        layer_fails(Conv2D::new(2, 3).activation(leaky(-1.0)), Kind::Argument, &["negative_slope", "-1"]);
    }
}

mod compile {
    use super::*;

    #[test]
    fn a_learning_rate_out_of_range() {
        for (rate, shown) in [(-0.1, "-0.1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            optimizer_fails(Adam::new(rate), &["compile: adam", "learning_rate", "at least 0", shown]);
            optimizer_fails(SGD::new(rate), &["compile: sgd", "learning_rate", "at least 0", shown]);
        }
    }

    #[test]
    fn optimizer_arguments_out_of_range() {
        optimizer_fails(Adam::default().beta_1(1.0), &["adam", "beta_1", "[0, 1)", "got 1"]);
        optimizer_fails(Adam::default().beta_2(1.0), &["adam", "beta_2", "[0, 1)", "got 1"]);
        optimizer_fails(Adam::default().beta_1(f64::NAN), &["adam", "beta_1", "got NaN"]);
        optimizer_fails(Adam::default().epsilon(0.0), &["adam", "epsilon", "above 0", "got 0"]);
        optimizer_fails(SGD::default().momentum(-0.5), &["sgd", "momentum", "[0, 1]", "got -0.5"]);
    }

    #[test]
    fn arguments_around_the_step_out_of_range() {
        let adam = Adam::default;
        optimizer_fails(adam().weight_decay(-0.1), &["compile: adam", "weight_decay", "at least 0", "-0.1"]);
        optimizer_fails(AdamW::default().weight_decay(f64::NAN), &["compile: adamw", "weight_decay", "NaN"]);
        optimizer_fails(adam().clipnorm(0.0), &["clipnorm", "above 0", "got 0"]);
        optimizer_fails(adam().clipvalue(f64::INFINITY), &["clipvalue", "finite", "inf"]);
        optimizer_fails(adam().global_clipnorm(-1.0), &["global_clipnorm", "above 0", "-1"]);
        let both = adam().clipnorm(1.0).clipvalue(1.0);
        optimizer_fails(both, &["only one of", "got clipnorm and clipvalue", "leave one out"]);
        let both = adam().global_clipnorm(1.0).clipnorm(1.0);
        optimizer_fails(both, &["only one of", "got clipnorm and global_clipnorm"]);
        optimizer_fails(adam().use_ema(true).ema_momentum(1.1), &["ema_momentum", "[0, 1]", "got 1.1"]);
        optimizer_fails(adam().ema_overwrite_frequency(0), &["ema_overwrite_frequency", "at least 1", "got 0"]);
        optimizer_fails(adam().gradient_accumulation_steps(0), &["gradient_accumulation_steps", "at least 1", "got 0"]);
    }

    #[test]
    fn a_schedule_out_of_range() {
        optimizer_fails(
            Adam::new(CosineDecay::new(0.1, 0)),
            &["compile: adam", "learning_rate", "decay_steps", "at least 1", "got 0", "not epochs"],
        );
        optimizer_fails(
            SGD::new(PiecewiseConstantDecay::new([5, 3], [0.1, 0.2, 0.3])),
            &["compile: sgd", "boundaries must rise, got 5 before 3"],
        );
        optimizer_fails(SGD::new(ExponentialDecay::new(f64::NAN, 1, 0.5)), &["initial_learning_rate", "got NaN"]);
    }

    #[test]
    fn an_optimizer_with_too_many_slots() {
        #[derive(Clone, Debug)]
        struct Greedy(Base);
        impl Optimizer for Greedy {
            fn name(&self) -> &'static str {
                "greedy"
            }
            fn base(&self) -> &Base {
                &self.0
            }
            fn base_mut(&mut self) -> &mut Base {
                &mut self.0
            }
            fn slots(&self) -> &'static [&'static str] {
                &["a", "b", "c", "d", "e"]
            }
            fn update<T: Scalar>(&self, _: u64, _: f64, _: &mut [T], _: &[T], _: &mut [&mut [T]]) {}
        }
        optimizer_fails(Greedy(Base::new(0.1)), &["compile: greedy", "slots", "at most 4", "got 5"]);
    }

    #[test]
    fn top_k_out_of_range() {
        for k in [0, 5] {
            let words = ["compile: metrics", "k must be", "classes, 4", &format!("got {k}")];
            compile_fails(
                Adam::default(),
                SparseCategoricalCrossentropy::default(),
                &[Metric::TopKAccuracy(k)],
                &words,
            );
        }
    }

    #[test]
    fn a_metric_twice() {
        let metrics = [Metric::Accuracy, Metric::TopKAccuracy(2), Metric::Accuracy];
        let words = ["compile: metrics", "accuracy is given twice"];
        compile_fails(Adam::default(), SparseCategoricalCrossentropy::default(), &metrics, &words);
    }

    #[test]
    fn label_smoothing_out_of_range() {
        for (smoothing, shown) in [(-0.1, "-0.1"), (1.5, "1.5"), (f64::NAN, "NaN")] {
            let words = ["compile: categorical_crossentropy", "label_smoothing", "[0, 1]", shown];
            let loss = CategoricalCrossentropy::default().label_smoothing(smoothing);
            compile_fails(Adam::default(), loss, &[], &words);
            let loss = BinaryCrossentropy::default().label_smoothing(smoothing);
            compile_fails(Adam::default(), loss, &[], &["compile: binary_crossentropy", "label_smoothing", shown]);
        }
    }

    #[test]
    fn a_loss_that_does_not_fit_the_output() {
        let plan = Sequential::new([8, 8, 1]).add(Conv2D::new(2, 3));
        let result = plan.compile(Adam::default(), SparseCategoricalCrossentropy::default(), []);
        fails(
            result,
            Kind::Argument,
            &["compile: sparse_categorical_crossentropy", "(classes,)", "(6, 6, 2)", "Flatten"],
        );
        let plan = Sequential::new([3]).add(Dense::new(1));
        let result = plan.compile(Adam::default(), SparseCategoricalCrossentropy::default(), []);
        fails(result, Kind::Argument, &["sparse_categorical_crossentropy", "(1,)", "BinaryCrossentropy"]);
    }

    #[test]
    fn a_compile_that_fails_keeps_the_one_before() {
        let mut model = classifier();
        assert!(model.compile(Adam::new(-1.0), MeanSquaredError, []).is_err());
        assert!(model.compile(Adam::default(), MeanSquaredError, [Metric::TopKAccuracy(9)]).is_err());
        assert!(model.evaluate(&x(4), &y(4)).unwrap().accuracy().is_some());
    }

    #[test]
    fn using_a_model_before() {
        let mut model = Sequential::new([3]).add(Dense::new(2)).build().unwrap();
        fails(model.fit(&x(4), &y(4), quiet()), Kind::NotCompiled, &["fit", "not compiled", "compile("]);
        fails(model.evaluate(&x(4), &y(4)), Kind::NotCompiled, &["evaluate", "not compiled", "compile("]);
        fails(model.gradients(&x(4), &y(4)), Kind::NotCompiled, &["gradients", "not compiled", "compile("]);
        assert!(model.predict(&x(4)).is_ok());
    }
}

mod data {
    use super::*;

    /// Fit, evaluate and predict all reject these samples.
    #[track_caller]
    fn samples_fail(x: &Tensor, kind: Kind, words: &[&str]) {
        let mut model = classifier();
        let labels = y(x.shape()[0]);
        let and = |method: &'static str| [&[method][..], words].concat();
        let kind = || match kind {
            Kind::Shape => Kind::Shape,
            _ => Kind::Data,
        };
        fails(model.fit(x, &labels, quiet()), kind(), &and("fit"));
        fails(model.evaluate(x, &labels), kind(), &and("evaluate"));
        fails(model.gradients(x, &labels), kind(), &and("gradients"));
        fails(model.predict(x), kind(), &and("predict"));
        fails(model.predict_classes(x), kind(), &and("predict"));
    }

    #[test]
    fn samples_of_another_shape() {
        samples_fail(&Tensor::zeros([5, 4]), Kind::Shape, &["x", "(n, 3)", "(5, 4)"]);
        samples_fail(&Tensor::zeros([5, 3, 1]), Kind::Shape, &["x", "(n, 3)", "(5, 3, 1)", "reshape"]);
        samples_fail(&Tensor::zeros([3]), Kind::Shape, &["x", "(n, 3)", "(3,)", "a first dimension of 1"]);
        let scalar = Tensor::<f32>::zeros(());
        fails(classifier().predict(&scalar), Kind::Shape, &["predict", "(n, 3)", "got ()"]);
    }

    #[test]
    fn no_samples() {
        samples_fail(&Tensor::zeros([0, 3]), Kind::Data, &["x has no samples"]);
        let options = quiet();
        let (none, labels) = (x(0), y(0));
        fit_fails(options.validation_data(&none, &labels), Kind::Data, &["validation_data", "no samples"]);
    }

    #[test]
    fn x_and_y_of_different_length() {
        let mut model = classifier();
        let words = ["x has 8 samples", "y has 7"];
        fails(model.fit(&x(8), &y(7), quiet()), Kind::Data, &words);
        fails(model.evaluate(&x(8), &y(7)), Kind::Data, &words);
        let (x, y) = (x(8), y(7));
        fit_fails(quiet().validation_data(&x, &y), Kind::Data, &["validation_data", "x has 8 samples", "y has 7"]);
    }

    #[test]
    fn a_batch_of_nothing() {
        let mut model = classifier();
        let words = ["batch_size", "at least 1", "got 0"];
        fails(model.fit(&x(8), &y(8), quiet().batch_size(0)), Kind::Argument, &[&words[..], &["fit"]].concat());
        fails(model.evaluate_with(&x(8), &y(8), 0), Kind::Argument, &[&words[..], &["evaluate"]].concat());
        fails(model.predict_with(&x(8), 0), Kind::Argument, &[&words[..], &["predict"]].concat());
    }

    #[test]
    fn a_batch_larger_than_the_data_is_no_error() {
        let mut model = classifier();
        model.fit(&x(8), &y(8), quiet().batch_size(usize::MAX)).unwrap();
        model.evaluate_with(&x(8), &y(8), usize::MAX).unwrap();
        model.predict_with(&x(8), usize::MAX).unwrap();
    }

    #[test]
    fn a_label_out_of_range() {
        let mut model = classifier();
        let labels = Labels::from(vec![0u8, 1, 2]);
        let words = ["label 2 of sample 2", "2 classes, 0 to 1"];
        fails(model.fit(&x(3), &labels, quiet()), Kind::Data, &words);
        fails(model.evaluate(&x(3), &labels), Kind::Data, &words);
        let mut model = Sequential::new([3])
            .add(Dense::new(1).activation(Activation::Sigmoid))
            .compile(Adam::default(), BinaryCrossentropy::default(), [])
            .unwrap();
        let words = ["fit: y of sample 2", "binary_crossentropy", "from 0 to 1, got 2"];
        fails(model.fit(&x(3), &labels, quiet()), Kind::Data, &words);
        let numbers = Tensor::from([[0.0_f32], [-1.0], [1.0]]);
        fails(model.fit(&x(3), &numbers, quiet()), Kind::Data, &["fit: y of sample 1", "from 0 to 1, got -1"]);
    }

    #[test]
    fn one_hot_rows_for_the_sparse_loss() {
        let rows = y(8).one_hot(2).unwrap();
        let words = ["fit: y", "labels", "(8, 2)", "CategoricalCrossentropy"];
        fails(classifier().fit(&x(8), &rows, quiet()), Kind::Shape, &words);
    }

    #[test]
    fn labels_for_the_categorical_loss() {
        let words = ["fit", "y holds labels", "(8, 2)", "one_hot(2)", "SparseCategoricalCrossentropy"];
        fails(one_hot_classifier().fit(&x(8), &y(8), quiet()), Kind::Data, &words);
    }

    #[test]
    fn values_of_another_shape() {
        let words = ["fit: y", "(8, 2)", "(8, 3)"];
        fails(one_hot_classifier().fit(&x(8), &Tensor::zeros([8, 3]), quiet()), Kind::Shape, &words);
    }

    #[test]
    fn fractional_labels() {
        let labels = Tensor::from([0.0, 1.0, 0.5]);
        fails(classifier().fit(&x(3), &labels, quiet()), Kind::Data, &["fit: y", "whole numbers", "0.5", "index 2"]);
    }

    #[test]
    fn classes_of_an_output_that_is_no_vector() {
        let model = Sequential::new([8, 8, 1]).add(Conv2D::new(2, 3)).build().unwrap();
        let words = ["predict_classes", "rank 1", "(6, 6, 2)", "Dense"];
        fails(model.predict_classes(&Tensor::<f32>::zeros([1, 8, 8, 1])), Kind::Shape, &words);
    }
}

mod options {
    use super::*;

    #[test]
    fn a_validation_split_out_of_range() {
        for (split, shown) in [(0.0, "0"), (1.0, "1"), (-0.1, "-0.1"), (1.5, "1.5"), (f64::NAN, "NaN")] {
            let words = ["fit", "validation_split", "above 0 and below 1", &format!("got {shown}")];
            fit_fails(quiet().validation_split(split), Kind::Argument, &words);
        }
    }

    #[test]
    fn a_validation_split_with_an_empty_side() {
        fit_fails(quiet().validation_split(0.99), Kind::Data, &["0.99 of 8 samples", "nothing to train on"]);
        let one = classifier().fit(&x(1), &y(1), quiet().validation_split(0.1));
        fails(one, Kind::Data, &["0.1 of 1 samples", "nothing to train on"]);
        fit_fails(quiet().validation_split(1e-17), Kind::Data, &["of 8 samples", "nothing to validate on"]);
    }

    #[test]
    fn validation_data_with_a_split() {
        let (x, y) = (x(4), y(4));
        let options = quiet().validation_data(&x, &y).validation_split(0.5);
        fit_fails(options, Kind::Argument, &["give one of validation_data", "validation_split", "not several"]);
    }

    #[test]
    fn validation_data_that_does_not_fit() {
        let (wrong, y) = (Tensor::<f32>::zeros([4, 2]), y(4));
        let words = ["fit: validation_data", "(n, 3)", "(4, 2)"];
        fit_fails(quiet().validation_data(&wrong, &y), Kind::Shape, &words);
    }

    #[test]
    fn sample_weights_out_of_range() {
        fit_fails(quiet().sample_weight(&[1.0; 7]), Kind::Data, &["8 samples", "sample_weight has 7"]);
        for (weight, shown) in [(-1.0, "-1"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            let mut weights = [1.0; 8];
            weights[5] = weight;
            fit_fails(
                quiet().sample_weight(&weights),
                Kind::Data,
                &["sample_weight", "sample 5", "finite", "at least 0", shown],
            );
        }
    }

    #[test]
    fn class_weights_out_of_range() {
        for (weight, shown) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            let words = ["class_weight", "class 1", "finite", "at least 0", shown];
            fit_fails(quiet().class_weight([(1, weight)]), Kind::Argument, &words);
        }
    }

    #[test]
    fn a_class_weight_for_a_class_that_is_not_there() {
        let words = ["class_weight", "class 2", "the model has 2 classes, 0 to 1"];
        fit_fails(quiet().class_weight([(0, 1.0), (2, 3.0)]), Kind::Argument, &words);
    }

    #[test]
    fn a_class_weight_for_a_class_without_samples() {
        let zeros = Labels::from(vec![0u8; 8]);
        let words = ["class_weight names class 1, but no sample to train on is of it; leave it out"];
        let options = || quiet().class_weight([(0, 1.0), (1, 3.0)]);
        fails(classifier().fit(&x(8), &zeros, options()), Kind::Argument, &words);
        // The only sample of class 1 is kept for validation.
        let last = Labels::from(vec![0u8, 0, 0, 0, 0, 0, 0, 1]);
        fails(classifier().fit(&x(8), &last, options().validation_split(0.2)), Kind::Argument, &words);
    }

    #[test]
    fn class_weights_for_samples_of_several_classes() {
        let mut model = Sequential::new([4, 3])
            .add(Dense::new(2).activation(Activation::Softmax))
            .compile(Adam::default(), CategoricalCrossentropy::default(), [])
            .unwrap();
        let (x, y) = (Tensor::<f32>::zeros([8, 4, 3]), Tensor::<f32>::zeros([8, 4, 2]));
        let words = ["class_weight", "(4, 2)", "use sample_weight"];
        fails(model.fit(&x, &y, quiet().class_weight([(0, 2.0)])), Kind::Argument, &words);
    }

    #[test]
    fn sample_weights_with_class_weights() {
        let options = quiet().sample_weight(&[1.0; 8]).class_weight([(0, 2.0)]);
        fit_fails(options, Kind::Argument, &["sample_weight", "class_weight", "not both"]);
    }
}

mod weights {
    use super::*;

    #[test]
    fn a_layer_that_is_not_there() {
        let model = Sequential::new([3]).add(Dense::new(4)).add(Dense::new(2)).build().unwrap();
        let words = ["get_layer", "\"dense_2\"", "dense, dense_1"];
        fails(model.get_layer("dense_2"), Kind::Argument, &words);
    }

    #[test]
    fn too_few_weights_or_other_shapes_change_nothing() {
        let mut model = classifier();
        let before = model.params().to_vec();
        let (kernel, bias) = (Tensor::ones([3, 2]), Tensor::ones([2]));
        fails(model.set_weights(&[]), Kind::Argument, &["set_weights", "2 weights", "got 0"]);
        fails(model.set_weights(std::slice::from_ref(&kernel)), Kind::Argument, &["set_weights", "2 weights", "got 1"]);
        let words = ["set_weights: dense/bias", "(2,)", "(3,)"];
        fails(model.set_weights(&[kernel, Tensor::ones([3])]), Kind::Shape, &words);
        let words = ["set_weights: dense/kernel", "(3, 2)", "(2, 3)"];
        fails(model.set_weights(&[Tensor::ones([2, 3]), bias]), Kind::Shape, &words);
        assert_eq!(model.params(), before);
    }
}

mod not_finite {
    use super::*;

    /// What failed, the epoch and the step.
    #[track_caller]
    fn failure(result: cornu::Result<History>) -> (&'static str, usize, usize) {
        let error = result.unwrap_err();
        println!("{error}");
        let message = error.to_string();
        let Error::NotFinite { what, epoch, step } = error else {
            panic!("an error of another kind: {message}");
        };
        for word in [what, &format!("epoch {epoch}, step {step};"), "learning rate"] {
            assert!(message.contains(word), "\"{word}\" is missing: {message}");
        }
        (what, epoch, step)
    }

    /// The model still answers, and learns from better data.
    fn is_usable(model: &mut Model) {
        let (x, y) = (Tensor::from([[0.5], [1.0]]), Tensor::from([[0.0], [0.0]]));
        assert!(model.predict(&x).unwrap().data().iter().all(|y| y.is_finite()));
        model.compile(SGD::new(0.1), MeanSquaredError, []).unwrap();
        let before = model.evaluate(&x, &y).unwrap().loss;
        model.fit(&x, &y, quiet().epochs(20)).unwrap();
        assert!(model.evaluate(&x, &y).unwrap().loss < before);
    }

    #[test]
    fn a_loss_gives_back_the_weights_before_the_step_that_spoilt_them() {
        let mut model = regression(SGD::new(1e30));
        let before = model.params().to_vec();
        // The first step makes weights of about 1e31, with which the second sample's answer overflows.
        let x = Tensor::from([[1.0], [1e9]]);
        let y = Tensor::from([[2.0], [1.0]]);
        let result = model.fit(&x, &y, quiet().batch_size(1).shuffle(false));
        assert_eq!(failure(result), ("loss", 1, 2));
        assert_eq!(model.history().epochs, []);
        assert_eq!(model.params(), before);
        is_usable(&mut model);
    }

    #[test]
    fn the_epochs_that_were_finished_are_kept() {
        let mut model = regression(SGD::new(1e3));
        let (x, y) = (Tensor::from([[1.0]]), Tensor::from([[2.0]]));
        let (what, epoch, step) = failure(model.fit(&x, &y, quiet().epochs(100)));
        assert!(epoch > 2 && step == 1, "{what} in epoch {epoch}, step {step}");
        let history = model.history();
        assert_eq!(history.epochs.len(), epoch - 1);
        assert!(history.get("loss").unwrap().iter().all(|loss| loss.is_finite()));
        assert!(model.params().iter().all(|weight| weight.is_finite()));
    }

    #[test]
    fn a_gradient_leaves_the_weights_of_its_step() {
        let mut model = regression(SGD::default());
        model.set_weights(&[Tensor::from([[1e20]]), Tensor::from([0.0])]).unwrap();
        let before = model.params().to_vec();
        // The loss, 1e60, is finite in f64; the gradient, 2e40, is not in f32.
        let (x, y) = (Tensor::from([[1e10]]), Tensor::from([[0.0]]));
        let (what, epoch, step) = failure(model.fit(&x, &y, quiet()));
        assert_eq!((what, epoch, step), ("gradient", 1, 1));
        assert_eq!(model.params(), before);
    }

    #[test]
    fn weights_that_overflow_are_given_back() {
        let mut model = regression(SGD::new(1e38));
        let before = model.params().to_vec();
        let (x, y) = (Tensor::from([[1.0]]), Tensor::from([[1e3]]));
        let (what, epoch, step) = failure(model.fit(&x, &y, quiet()));
        assert_eq!((what, epoch, step), ("weights", 1, 1));
        assert_eq!(model.params(), before);
        is_usable(&mut model);
    }

    #[test]
    fn the_optimizer_starts_anew() {
        let momentum = || SGD::new(0.1).momentum(0.9);
        let (mut model, mut fresh) = (regression(momentum()), regression(momentum()));
        let (x, y) = (Tensor::from([[1.0], [f32::NAN]]), Tensor::from([[5.0], [0.0]]));
        let (_, _, step) = failure(model.fit(&x, &y, quiet().batch_size(1).shuffle(false)));
        assert_eq!((step, model.params()), (2, fresh.params()));
        let (x, y) = (Tensor::from([[1.0]]), Tensor::from([[2.0]]));
        for model in [&mut model, &mut fresh] {
            model.fit(&x, &y, quiet()).unwrap();
        }
        assert_eq!(model.params(), fresh.params());
    }

    #[test]
    fn nan_in_the_data_stops_the_first_step() {
        let mut model = regression(Adam::default());
        let before = model.params().to_vec();
        let (x, y) = (Tensor::from([[f32::NAN]]), Tensor::from([[1.0]]));
        let (what, epoch, step) = failure(model.fit(&x, &y, quiet()));
        assert_eq!((what, epoch, step), ("loss", 1, 1));
        let warnings = &model.history().warnings;
        assert!(warnings[0].contains("NaN"), "{warnings:?}");
        assert_eq!(model.params(), before);
        is_usable(&mut model);
    }
}
