use cornu::{
    Scalar,
    losses::{Loss, Target, TargetKind},
    prelude::*,
};

use crate::{
    cases::{self, Case},
    compile_configs,
    given::Given,
};

/// Near 1, a probability in float32 is off by 6e-8, and so is its logarithm; Keras clips at such a number besides. So
/// a loss near 0 has only this absolute accuracy.
const FLOOR: f64 = 1e-6;

#[test]
fn losses_are_those_of_keras() {
    for case in cases::read("losses.safetensors") {
        let sparse = SparseCategoricalCrossentropy::default();
        let categorical = CategoricalCrossentropy::default();
        let binary = BinaryCrossentropy::default();
        let (linear, softmax, sigmoid) = (Activation::Linear, Activation::Softmax, Activation::Sigmoid);
        match case.name.trim_end_matches("_weighted") {
            "sparse_logits" | "sparse_big_logits" => check(&case, linear, sparse.from_logits(true)),
            "sparse_probabilities" | "sparse_unnormalized" | "sparse_zeros_and_ones" | "sparse_some_zeros" => {
                check(&case, linear, sparse);
            }
            "categorical_logits" => check(&case, linear, categorical.from_logits(true)),
            "categorical_logits_smooth" => {
                check(&case, linear, categorical.from_logits(true).label_smoothing(0.1));
            }
            "categorical_probabilities"
            | "categorical_unnormalized"
            | "categorical_zeros_and_ones"
            | "categorical_some_zeros" => check(&case, linear, categorical),
            "categorical_probabilities_smooth" => check(&case, linear, categorical.label_smoothing(0.1)),
            "binary_logits" | "binary_big_logits" => check(&case, linear, binary.from_logits(true)),
            "binary_logits_smooth" => check(&case, linear, binary.from_logits(true).label_smoothing(0.1)),
            "binary_probabilities" | "binary_zeros_and_ones" | "binary_some_zeros" => check(&case, linear, binary),
            "binary_probabilities_smooth" => check(&case, linear, binary.label_smoothing(0.1)),
            "mse" | "mse_rank3" => check(&case, linear, MeanSquaredError),
            "mae" => check(&case, linear, MeanAbsoluteError),
            "huber" => check(&case, linear, Huber::default()),
            "huber_delta_half" => check(&case, linear, Huber::default().delta(0.5)),
            "softmax_sparse" | "softmax_sparse_big" => check(&case, softmax, sparse),
            "softmax_categorical" | "softmax_categorical_big" => check(&case, softmax, categorical),
            "softmax_categorical_smooth" => check(&case, softmax, categorical.label_smoothing(0.1)),
            "sigmoid_binary" | "sigmoid_binary_one_unit" | "sigmoid_binary_one_unit_big" => {
                check(&case, sigmoid, binary);
            }
            name => panic!("the case {name} is not tested; add its loss here"),
        }
    }
}

/// `head` is the last activation, into which `y_pred` goes.
fn check(case: &Case, head: Activation, loss: impl Loss + Clone) {
    let plan = Sequential::new(case.get("y_pred").shape().sample()).add(head);
    let model = plan.compile(SGD::default(), loss.clone(), []).unwrap();
    compile_configs::check("losses", case.name.trim_end_matches("_weighted"), model);
    by_row(case, head, &loss);
    by_model::<f32>(case, head, loss.clone());
    by_model::<f64>(case, head, loss);
}

/// The loss of each row of the last axis, which Keras keeps apart, and the gradient of their mean, from the loss alone.
fn by_row(case: &Case, head: Activation, loss: &dyn Loss) {
    let on_logits = loss.on_logits(head);
    assert_eq!(on_logits.is_some(), head != Activation::Linear, "{}", case.name);
    let loss = on_logits.as_deref().unwrap_or(loss);
    let (y_true, y_pred) = (case.get("y_true"), case.get("y_pred"));
    let classes = y_pred.shape().last();
    let rows = y_pred.data().chunks_exact(classes);
    let n = rows.len() as f64;
    let (mut losses, mut gradients) = (Vec::new(), Vec::new());
    for (i, row) in rows.enumerate() {
        let target = match loss.target_kind() {
            TargetKind::Labels => Target::Label(y_true.data()[i] as usize),
            TargetKind::Values => Target::Values(&y_true.data()[i * classes..][..classes]),
        };
        let weight = weights(case).map_or(1.0, |weights| weights[i].into());
        let mut gradient = vec![0.0; classes];
        losses.push(weight * loss.sample(target, row, classes, Some(&mut gradient)));
        gradients.extend(gradient.iter().map(|g| g * weight / n));
    }
    case.assert_close("per_sample", &Tensor::new(case.get("per_sample").shape(), losses).unwrap(), FLOOR);
    case.assert_close("dy_pred", &Tensor::new(y_pred.shape(), gradients).unwrap(), 0.0);
}

/// The loss that `fit` reports, and the gradient of its step.
fn by_model<T: Scalar>(case: &Case, head: Activation, loss: impl Loss) {
    let y_pred = case.tensor::<T>("y_pred");
    let given = Given::new(y_pred.shape());
    let kind = loss.target_kind();
    let mut model = Sequential::new(Given::INPUT).add(given.clone()).add(head).build_as::<T>().unwrap();
    model.set_weights(&[y_pred]).unwrap();
    model.compile(KeepGradient(Base::new(1.0)), loss, []).unwrap();

    let (x, weights) = (given.input(), weights(case));
    let mut fit = Fit::new().shuffle(false).verbose(0);
    if let Some(weights) = &weights {
        fit = fit.sample_weight(weights);
    }
    let history = match kind {
        TargetKind::Labels => model.fit(&x, &case.labels("y_true"), fit).unwrap(),
        TargetKind::Values => model.fit(&x, &case.tensor::<T>("y_true"), fit).unwrap(),
    };
    case.assert_close("loss", &Tensor::full((), history.epochs[0].train.loss), FLOOR);
    case.assert_close("dy_pred", &model.get_weights()[0], 0.0);
}

fn weights(case: &Case) -> Option<Vec<f32>> {
    case.has("sample_weight").then(|| case.tensor("sample_weight").into_data())
}

/// Leaves the gradient in the place of the weights.
#[derive(Clone, Debug)]
struct KeepGradient(Base);

impl Optimizer for KeepGradient {
    fn name(&self) -> &'static str {
        "keep_gradient"
    }

    fn base(&self) -> &Base {
        &self.0
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.0
    }

    fn slots(&self) -> &'static [&'static str] {
        &[]
    }

    fn update<T: Scalar>(&self, _: u64, _: f64, weights: &mut [T], gradients: &[T], _: &mut [&mut [T]]) {
        weights.copy_from_slice(gradients);
    }
}
