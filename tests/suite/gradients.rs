//! The gradients of whole models, with every loss, by finite differences.

use cornu::{
    Result, Scalar,
    gradcheck::{self, Report},
    layers::{Backward, Build, Forward, Taped},
    losses::Loss,
    prelude::*,
    tensor::{View, ViewMut},
};

const CLASSES: usize = 4;

/// The reference network in small.
fn network(head: Activation) -> Sequential {
    Sequential::new([8, 8, 1])
        .add(Conv2D::new(3, 3).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(4, 2).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(CLASSES).activation(head))
        .seed(3)
}

/// `samples` images of `size` pixels a side, and their classes.
fn data(samples: usize, size: usize) -> (Tensor<f64>, Labels) {
    let labels: Vec<u32> = (0..samples as u32).map(|i| (i * 7 + i / 3) % CLASSES as u32).collect();
    (Tensor::random_normal([samples, size, size, 1], 0.0, 1.0, 5), labels.into())
}

fn compiled(network: Sequential, loss: impl Loss) -> Model<f64> {
    let mut model = network.build_as::<f64>().unwrap();
    model.compile(SGD::default(), loss, []).unwrap();
    model
}

fn assert_right(report: Result<Report>, what: &str) {
    let report = report.unwrap();
    assert!(report.max_relative_error < 1e-6, "{what}: {report}");
}

#[test]
fn losses_of_labels() {
    let (x, y) = data(5, 8);
    for (head, from_logits) in [
        (Activation::Softmax, false),
        (Activation::Linear, true),
        // No form on the logits: the gradient goes back through the head.
        (Activation::Sigmoid, false),
        (Activation::Softplus, false),
    ] {
        let model = compiled(network(head), SparseCategoricalCrossentropy::default().from_logits(from_logits));
        assert_right(gradcheck::check_model(&model, &x, &y), &format!("labels, {head:?}"));
    }
}

#[test]
fn losses_of_one_hot_classes() {
    let (x, labels) = data(5, 8);
    let y = labels.one_hot::<f64>(CLASSES).unwrap();
    for smoothing in [0.0, 0.1] {
        for (head, from_logits) in
            [(Activation::Softmax, false), (Activation::Linear, true), (Activation::Sigmoid, false)]
        {
            let what = format!("one-hot, {head:?}, {smoothing}");
            let loss = CategoricalCrossentropy::default().from_logits(from_logits).label_smoothing(smoothing);
            assert_right(gradcheck::check_model(&compiled(network(head), loss), &x, &y), &what);
        }
        for (head, from_logits) in
            [(Activation::Sigmoid, false), (Activation::Linear, true), (Activation::Softmax, false)]
        {
            let what = format!("binary, {head:?}, {smoothing}");
            let loss = BinaryCrossentropy::default().from_logits(from_logits).label_smoothing(smoothing);
            assert_right(gradcheck::check_model(&compiled(network(head), loss), &x, &y), &what);
        }
    }
}

#[test]
fn losses_of_numbers() {
    let (x, _) = data(5, 8);
    let y = Tensor::random_normal([5, CLASSES], 0.0, 1.0, 6);
    for head in [Activation::Linear, Activation::Softmax, Activation::Sigmoid, Activation::Silu] {
        let what = format!("{head:?}");
        assert_right(gradcheck::check_model(&compiled(network(head), MeanSquaredError), &x, &y), &what);
        assert_right(gradcheck::check_model(&compiled(network(head), MeanAbsoluteError), &x, &y), &what);
        assert_right(gradcheck::check_model(&compiled(network(head), Huber::default().delta(0.5)), &x, &y), &what);
    }
}

#[test]
fn a_head_of_its_own() {
    let (x, y) = data(5, 8);
    let network = network(Activation::Linear).add(Activation::Softmax);
    let model = compiled(network, SparseCategoricalCrossentropy::default());
    assert_right(gradcheck::check_model(&model, &x, &y), "softmax as a layer");
}

#[test]
fn every_layer_in_one_model() {
    let (x, y) = data(6, 7);
    let tail = |pooling: Sequential| pooling.add(Dense::new(CLASSES).activation(Activation::Softmax));
    let body = Sequential::new([7, 7, 1])
        .add(Rescaling::new(0.5).offset(0.1))
        .add(ZeroPadding2D::new(((1, 0), (0, 1))))
        .add(Conv2D::new(4, 3).strides(2).padding(Padding::Same).activation(Activation::Gelu { approximate: false }))
        .add(AveragePooling2D::new(2).strides(1))
        .add(Dropout::new(0.3))
        .add(Conv2D::new(4, 2).groups(2).use_bias(false))
        .add(Activation::Tanh)
        .add(Reshape::new([2, -1, 2]));
    for (what, network) in [
        ("GlobalAveragePooling2D", tail(body.clone().add(GlobalAveragePooling2D::new()))),
        ("GlobalMaxPooling2D", tail(body.add(GlobalMaxPooling2D::new()))),
    ] {
        let model = compiled(network, SparseCategoricalCrossentropy::default());
        assert_right(gradcheck::check_model(&model, &x, &y), what);
    }
}

/// More samples than the executor has lanes of shards, the last of them not full, and a dropout in each segment.
#[test]
fn a_batch_in_many_parts() {
    let (x, y) = data(295, 4);
    let network = Sequential::new([4, 4, 1])
        .add(Conv2D::new(2, 2).activation(Activation::Tanh))
        .add(Dropout::new(0.5))
        .add(Flatten::new())
        .add(Dense::new(3).activation(Activation::Silu))
        .add(Dropout::new(0.2))
        .add(Dense::new(CLASSES).activation(Activation::Softmax));
    let model = compiled(network, SparseCategoricalCrossentropy::default());
    assert_right(gradcheck::check_model(&model, &x, &y), "295 samples");
}

/// Layers that wait for sums over the batch: first, one after the other, alone between layers that take the whole batch, last.
#[test]
fn sums_over_a_batch_in_many_parts() {
    let (x, y) = data(295, 4);
    let network = Sequential::new([4, 4, 1])
        .add(BatchNormalization::new())
        .add(Conv2D::new(2, 2).activation(Activation::Tanh))
        .add(BatchNormalization::new().center(false))
        .add(BatchNormalization::new().scale(false).axis(1))
        .add(Activation::Tanh)
        .add(Flatten::new())
        .add(BatchNormalization::new())
        .add(Dense::new(3).activation(Activation::Silu))
        .add(BatchNormalization::new())
        .add(Dense::new(CLASSES))
        .add(BatchNormalization::new());
    let model = compiled(network, SparseCategoricalCrossentropy::default().from_logits(true));
    assert_right(gradcheck::check_model(&model, &x, &y), "295 samples");
}

/// `y = 2 x`, whose gradient forgets the 2: a layer as a user would write it.
#[derive(Clone, Debug)]
struct Doubled;

impl LayerConfig for Doubled {
    type Built = Doubled;

    fn class_name(&self) -> &'static str {
        "Doubled"
    }

    fn build(&self, cx: &mut Build) -> Result<(Doubled, Shape)> {
        Ok((Doubled, cx.input()))
    }
}

impl Layer for Doubled {
    type Work<T: Scalar> = ();

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        for (y, &x) in y.data.iter_mut().zip(x.data) {
            *y = x + x;
        }
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        if let Some(dx) = dx {
            dx.data.copy_from_slice(taped.dy.data);
        }
    }
}

#[test]
fn a_wrong_layer_is_found_in_a_model() {
    let (x, y) = data(3, 3);
    let network = Sequential::new([3, 3, 1])
        .add(Flatten::new())
        .add(Dense::new(5).activation(Activation::Tanh))
        .add(Doubled)
        .add(Dense::new(CLASSES));
    let loss = SparseCategoricalCrossentropy::default().from_logits(true);
    let report = gradcheck::check_model(&compiled(network, loss), &x, &y).unwrap();
    assert!((report.max_relative_error - 0.5).abs() < 1e-6, "{report}");
    assert!(report.worst.place.starts_with("dense/"), "{report}");
    assert!(gradcheck::check_layer(&Doubled, 4).unwrap().max_relative_error > 0.49);
}

#[test]
fn what_gradients_refuses_is_an_error() {
    let (x, y) = data(3, 8);
    let model = network(Activation::Softmax).build_as::<f64>().unwrap();
    assert!(matches!(gradcheck::check_model(&model, &x, &y), Err(Error::NotCompiled { .. })));
    let model = compiled(network(Activation::Softmax), SparseCategoricalCrossentropy::default());
    assert!(gradcheck::check_model(&model, &data(4, 8).0, &y).is_err());
}
