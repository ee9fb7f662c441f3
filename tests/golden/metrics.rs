use cornu::{data::Targets, losses::Loss, prelude::*};

use crate::cases::{self, Case};

#[test]
fn metrics_are_those_of_keras() {
    for case in cases::read("metrics.safetensors") {
        let metric = match case.name.trim_end_matches("_ties") {
            "accuracy_sparse" | "accuracy_categorical" | "accuracy_binary" => Metric::Accuracy,
            "accuracy_binary_many" => Metric::BinaryAccuracy,
            "top1_sparse" | "top1_categorical" => Metric::TopKAccuracy(1),
            "top2_sparse" | "top2_categorical" => Metric::TopKAccuracy(2),
            "top5_sparse" | "top5_categorical" => Metric::TopKAccuracy(5),
            "mse" => Metric::MeanSquaredError,
            "mae" => Metric::MeanAbsoluteError,
            name => panic!("the case {name} is not tested; add its metric here"),
        };
        // The loss only says of what kind the targets are.
        let value = if case.get("y_true").rank() == 1 {
            let loss = SparseCategoricalCrossentropy::default().from_logits(true);
            evaluate(&case, loss, (&case.labels("y_true")).into(), metric)
        } else {
            evaluate(&case, MeanSquaredError, (&case.tensor::<f32>("y_true")).into(), metric)
        };
        case.assert_close("value", &Tensor::full((), value), 0.0);
    }
}

/// What `evaluate` reports of a model that gives `y_pred`.
fn evaluate(case: &Case, loss: impl Loss, y_true: Targets, metric: Metric) -> f64 {
    let y_pred: Tensor = case.tensor("y_pred");
    let model = Sequential::new(y_pred.shape().sample()).add(Activation::Linear);
    let model = model.compile(SGD::default(), loss, [metric]).unwrap();
    model.evaluate(&y_pred, y_true).unwrap().get(&metric.name()).unwrap()
}
