//! Models made of the layers of others, and what a prediction comes from.

use cornu::prelude::*;

fn network() -> Sequential {
    Sequential::new([9, 8, 2])
        .add(RandomFlip::default())
        .add(Conv2D::new(4, 3).activation(Activation::Relu).named("conv"))
        .add(MaxPooling2D::new(2))
        .add(BatchNormalization::new())
        .add(Conv2D::new(3, 2).activation(Activation::Silu).named("last"))
        .add(Dropout::new(0.5))
        .add(SpatialDropout2D::new(0.5))
        .add(GaussianNoise::new(0.1))
        .add(Flatten::new())
        .add(Dense::new(4).activation(Activation::Softmax))
}

fn images(n: usize) -> Tensor<f64> {
    Tensor::random_normal([n, 9, 8, 2], 0.0, 1.0, 1)
}

/// The score of a class: the output before the softmax, but for what all classes share.
fn score(model: &Model<f64>, x: &Tensor<f64>, sample: usize, class: usize, classes: usize) -> f64 {
    let logs: Vec<f64> =
        model.predict(x).unwrap().data()[sample * classes..][..classes].iter().map(|p| p.ln()).collect();
    logs[class]
}

#[test]
fn the_gradient_to_the_input_is_that_of_finite_differences() {
    let model = network().build_as::<f64>().unwrap();
    let x = images(70);
    let classes = Labels::from((0..70).map(|i| i % 4).collect::<Vec<u32>>());
    let gradient = model.input_gradient(&x, &classes).unwrap();
    // A softmax shifts all classes by the same, so differences of two classes' gradients are compared.
    let other = Labels::from((0..70).map(|i| (i + 1) % 4).collect::<Vec<u32>>());
    let others = model.input_gradient(&x, &other).unwrap();
    for (sample, element) in [(0, 5), (3, 77), (63, 1), (64, 100), (69, 143)] {
        let at = sample * 144 + element;
        let moved = |step: f64| {
            let mut x = x.clone();
            x.data_mut()[at] += step;
            let class = sample % 4;
            score(&model, &x, sample, class, 4) - score(&model, &x, sample, (class + 1) % 4, 4)
        };
        let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        approx::assert_relative_eq!(
            gradient.data()[at] - others.data()[at],
            slope,
            epsilon = 1e-7,
            max_relative = 1e-5
        );
    }
    let map = model.saliency(&x, &classes).unwrap();
    assert_eq!(map.shape(), [70, 9, 8].into());
    assert_eq!(map.data()[0], gradient.data()[0].abs().max(gradient.data()[1].abs()));
}

#[test]
fn grad_cam_weighs_the_channels_by_their_gradients() {
    // Behind the layer stands a mean, whose gradient is the same at all pixels: the map is relu(A w) / pixels.
    let plan = Sequential::new([6, 6, 1])
        .add(Conv2D::new(3, 3).activation(Activation::Relu).named("conv"))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(2).activation(Activation::Softmax));
    let model = plan.build().unwrap();
    let x = Tensor::random_normal([2, 6, 6, 1], 0.0, 1.0, 2);
    let map = model.grad_cam(&x, "conv", &Labels::from(vec![1_u32, 0])).unwrap();
    let (a, w) = (model.slice(..1).unwrap().predict(&x).unwrap(), &model.get_weights()[2]);
    for (i, class) in [(0, 1), (1, 0)] {
        for y in 0..4 {
            for x in 0..4 {
                let sum: f32 = (0..3).map(|c| a[[i, y, x, c]] * w[[c, class]]).sum();
                approx::assert_relative_eq!(map[[i, y, x]], (sum / 16.0).max(0.0), epsilon = 1e-6, max_relative = 1e-4);
            }
        }
    }
    let classes = Labels::from(vec![0_u32, 1]);
    for (layer, part) in [("conv2d", "conv, global"), ("global_average_pooling2d", "images"), ("dense", "images")] {
        let error = model.grad_cam(&x, layer, &classes).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let error = model.input_gradient(&x, &Labels::from(vec![0_u32, 2])).unwrap_err().to_string();
    assert!(error.contains("sample 1") && error.contains("below 2"), "{error}");
    assert!(model.input_gradient(&x, &Labels::from(vec![0_u32])).is_err());
}

#[test]
fn the_parts_of_a_model_are_the_model() {
    let model = network().seed(4).build_as::<f64>().unwrap();
    let x = images(5);
    let y = model.predict(&x).unwrap();
    for cut in 1..9 {
        let (front, back) = (model.slice(..cut).unwrap(), model.slice(cut..).unwrap());
        assert_eq!(back.predict(&front.predict(&x).unwrap()).unwrap(), y, "cut at {cut}");
        let whole = Sequential::from(&front).extend(&back).build_as::<f64>().unwrap();
        assert_eq!(whole.predict(&x).unwrap(), y);
        let names = |model: &Model<f64>| model.layers().map(|layer| layer.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&whole), names(&model));
    }
    for wrong in [3..3, 5..11] {
        assert!(model.slice(wrong).is_err());
    }
}

#[test]
fn a_new_head_learns_on_frozen_layers() {
    let old = network().build().unwrap();
    let plan = Sequential::from(&old).pop().freeze().add(Dense::new(2).activation(Activation::Softmax).named("head"));
    let mut new = plan.compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Metric::Accuracy]).unwrap();
    let x: Tensor = images(64).cast();
    let y = Labels::from(x.data().chunks_exact(144).map(|x| u32::from(x[40] > 0.0)).collect::<Vec<_>>());
    // The layers before the head are not random here.
    let plan = Sequential::from(&old.slice(1..5).unwrap()).add(Flatten::new()).freeze();
    let plan = plan.add(Dense::new(2).activation(Activation::Softmax).named("head"));
    let mut whole = plan.compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), []).unwrap();
    let (features, mut head) = whole.precompute_features(&x).unwrap();
    head.compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), []).unwrap();
    let fit = || Fit::new().epochs(3).batch_size(16).verbose(0);
    let (of_whole, of_head) = (whole.fit(&x, &y, fit()).unwrap(), head.fit(&features, &y, fit()).unwrap());
    assert_eq!(of_whole.get("loss"), of_head.get("loss"));
    assert_eq!(whole.get_layer("head").unwrap().get_weights(), head.get_weights());

    new.fit(&x, &y, fit()).unwrap();
    let kept = old.get_weights().len() - 2;
    assert_eq!(new.get_weights()[..kept], old.get_weights()[..kept]);
    assert!(old.precompute_features(&x).is_err(), "nothing is frozen");
}

#[test]
fn a_layer_that_sees_another_shape_loses_its_weights() {
    let old = Sequential::new([4]).add(Dense::new(3)).build().unwrap();
    let error = Sequential::new([5]).extend(&old).build().unwrap_err().to_string();
    assert!(error.contains("dense/kernel") && error.contains("(4, 3)"), "{error}");
}

/// The model with weights that are not as they start: a mean of 0 and a variance of 1 would hide mistakes.
fn with_random_weights(mut model: Model<f64>) -> Model<f64> {
    let infos = model.layout().infos().iter().enumerate();
    let weight = |(seed, info): (usize, &cornu::params::ParamInfo)| match info.name.ends_with("moving_variance") {
        true => Tensor::random_uniform(info.shape, 0.1, 2.0, seed as u64),
        false => Tensor::random_normal(info.shape, 0.0, 0.5, seed as u64),
    };
    let weights: Vec<_> = infos.map(weight).collect();
    model.set_weights(&weights).unwrap();
    model
}

#[test]
fn batch_normalization_folds_into_every_layer_with_a_kernel() {
    let images = || Sequential::new([9, 8, 4]);
    let norm = BatchNormalization::new;
    for (what, plan, layers) in [
        ("Conv2D", images().add(Conv2D::new(6, 3).groups(2)).add(norm()), 1),
        ("no bias", images().add(Conv2D::new(6, 3).use_bias(false).named("c")).add(norm().center(false)), 1),
        ("DepthwiseConv2D", images().add(DepthwiseConv2D::new(3).depth_multiplier(2)).add(norm().scale(false)), 1),
        ("SeparableConv2D", images().add(SeparableConv2D::new(5, 3)).add(norm().epsilon(0.1)), 1),
        ("Conv2DTranspose", images().add(Conv2DTranspose::new(5, 3).strides(2)).add(norm()), 1),
        ("Conv1D", Sequential::new([9, 4]).add(Conv1D::new(5, 3)).add(norm()), 1),
        ("Dense", images().add(Dense::new(5)).add(norm().axis(3)), 1),
        ("twice", images().add(Dense::new(5)).add(norm()).add(norm()).add(Activation::Relu), 2),
        (
            "a relu that moves",
            images().add(Conv2D::new(5, 3)).add(norm()).add(Activation::Relu).add(MaxPooling2D::new(2)),
            3,
        ),
        ("another axis", images().add(Conv2D::new(5, 3)).add(norm().axis(1)), 2),
        ("an activation between", images().add(Conv2D::new(5, 3).activation(Activation::Tanh)).add(norm()), 2),
        ("nothing before", images().add(norm()).add(Conv2D::new(5, 3)), 2),
    ] {
        let model = with_random_weights(plan.build_as().unwrap());
        let folded = model.fold_batch_norm().unwrap();
        assert_eq!(folded.layers().len(), layers, "{what}");
        let x = Tensor::random_normal(model.input_shape().batch(3), 0.0, 1.0, 1);
        let (y, expected) = (folded.predict(&x).unwrap(), model.predict(&x).unwrap());
        let largest = expected.data().iter().fold(0.0, |largest: f64, y| largest.max(y.abs()));
        for (y, expected) in y.data().iter().zip(expected.data()) {
            assert!((y - expected).abs() <= 1e-12 * largest, "{what}: {y}, {expected}");
        }
    }
}

#[test]
fn a_dropout_of_the_head_is_not_a_frozen_layer() {
    let plan = Sequential::new([4]).add(Dense::new(3)).freeze().add(Dropout::new(0.5)).add(Dense::new(2));
    let (features, head) = plan.build().unwrap().precompute_features(&Tensor::<f32>::ones([2, 4])).unwrap();
    assert_eq!(features.shape(), [2, 3].into());
    assert_eq!(head.layers().map(|layer| layer.class_name()).collect::<Vec<_>>(), ["Dropout", "Dense"]);
}
