use cornu::{data::Targets, losses::Loss, prelude::*};

use crate::{
    cases::{self, Case},
    compile_configs,
};

#[test]
fn metrics_are_those_of_keras() {
    for case in cases::read("metrics.safetensors") {
        let metric = metric(case.name.trim_end_matches("_ties"));
        // The loss only says of what kind the targets are.
        let values = || model(&case, MeanSquaredError, &metric);
        let labels = || model(&case, SparseCategoricalCrossentropy::default().from_logits(true), &metric);
        let of_values = || evaluate(&case, &values(), (&case.tensor::<f32>("y_true")).into(), &metric);
        let of_labels = |y_true: &Labels| evaluate(&case, &labels(), y_true.into(), &metric);
        let y_true = case.get("y_true");
        compile_configs::check("metrics", &case.name, if y_true.rank() == 1 { labels() } else { values() });
        let value = if y_true.rank() == 1 { of_labels(&case.labels("y_true")) } else { of_values() };
        case.assert_close("value", &Tensor::full((), value), 0.0);
        let is_one_hot = || y_true.sum_axis(1).unwrap().data().iter().all(|&sum| sum == 1.0);
        if y_true.rank() == 2 && y_true.shape().last() > 1 && is_one_hot() {
            assert_eq!(of_labels(&y_true.argmax(1).unwrap()), value, "{}", case.name);
        }
    }
}

fn metric(case: &str) -> Metric {
    let auc = |curve| AUC::new().curve(curve);
    match case {
        "accuracy_sparse" | "accuracy_categorical" | "accuracy_binary" => Metric::Accuracy,
        "accuracy_binary_many" => Metric::BinaryAccuracy,
        "top1_sparse" | "top1_categorical" => Metric::TopKAccuracy(1),
        "top2_sparse" | "top2_categorical" => Metric::TopKAccuracy(2),
        "top5_sparse" | "top5_categorical" => Metric::TopKAccuracy(5),
        "mse" => Metric::MeanSquaredError,
        "mae" => Metric::MeanAbsoluteError,
        "cosine_similarity" | "cosine_similarity_zeros" | "cosine_similarity_images" => Metric::CosineSimilarity,
        "precision" | "precision_none" => Precision::new().into(),
        "precision_threshold" => Precision::new().threshold(0.3).into(),
        "precision_class" => Precision::new().class_id(2).into(),
        "precision_class_absent" => Precision::new().class_id(4).into(),
        "precision_images" => Precision::new().class_id(1).into(),
        "precision_top2" => Precision::new().top_k(2).into(),
        "precision_top3_threshold" => Precision::new().top_k(3).class_id(1).threshold(0.25).into(),
        "recall" | "recall_none" => Recall::new().into(),
        "recall_threshold" => Recall::new().threshold(0.3).into(),
        "recall_class" => Recall::new().class_id(2).into(),
        "recall_class_absent" => Recall::new().class_id(4).into(),
        "recall_images" => Recall::new().class_id(1).into(),
        "recall_top2" => Recall::new().top_k(2).into(),
        "recall_top3_threshold" => Recall::new().top_k(3).class_id(1).threshold(0.25).into(),
        "f1_macro" | "f1_macro_zeros" => F1Score::new(Averaging::Macro).into(),
        "f1_micro" => F1Score::new(Averaging::Micro).into(),
        "f1_weighted" => F1Score::new(Averaging::Weighted).into(),
        "f1_macro_threshold" => F1Score::new(Averaging::Macro).threshold(0.4).into(),
        "f1_micro_threshold" => F1Score::new(Averaging::Micro).threshold(0.4).into(),
        "f1_weighted_threshold" | "f1_weighted_none" => F1Score::new(Averaging::Weighted).threshold(0.4).into(),
        "auc_roc" | "auc_roc_classes" | "auc_roc_all" | "auc_roc_none" => AUC::new().into(),
        "auc_roc_few" | "auc_roc_edges" => auc(Curve::Roc).num_thresholds(5).into(),
        "auc_roc_two" => auc(Curve::Roc).num_thresholds(2).into(),
        "auc_roc_logits" => auc(Curve::Roc).from_logits(true).into(),
        "auc_pr" | "auc_pr_classes" | "auc_pr_all" | "auc_pr_none" => auc(Curve::Pr).into(),
        "auc_pr_few" | "auc_pr_edges" => auc(Curve::Pr).num_thresholds(5).into(),
        "auc_pr_two" => auc(Curve::Pr).num_thresholds(2).into(),
        "auc_pr_logits" => auc(Curve::Pr).from_logits(true).into(),
        "mean_iou" | "mean_iou_one_hot" => MeanIoU::new(5).into(),
        "mean_iou_6" => MeanIoU::new(6).into(),
        "mean_iou_ignore" => MeanIoU::new(5).ignore_class(1).into(),
        "mean_iou_images" => MeanIoU::new(3).into(),
        "r2" | "r2_bad" | "r2_constant" => R2Score::new().into(),
        name => panic!("the case {name} is not tested; add its metric here"),
    }
}

/// A model that gives `y_pred` for it.
fn model(case: &Case, loss: impl Loss, metric: &Metric) -> Model {
    let plan = Sequential::new(case.get("y_pred").shape().sample()).add(Activation::Linear);
    plan.compile(SGD::default(), loss, [metric.clone()]).unwrap()
}

/// What `evaluate` reports, whatever the size of the batches.
fn evaluate(case: &Case, model: &Model, y_true: Targets, metric: &Metric) -> f64 {
    let y_pred: Tensor = case.tensor("y_pred");
    let value = |batch_size| model.evaluate_with(&y_pred, y_true, batch_size).unwrap().get(&metric.name()).unwrap();
    assert_eq!(value(4), value(usize::MAX), "{}", case.name);
    value(4)
}
