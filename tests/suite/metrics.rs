//! Metrics with a state of their own, ours and a user's: in an epoch, in a monitor, and where they do not fit.

use cornu::{callbacks::EarlyStopping, prelude::*};

fn quiet<'a>() -> Fit<'a> {
    Fit::new().verbose(0).batch_size(3).shuffle(false)
}

/// The mean prediction.
#[derive(Clone, Debug)]
struct Height {
    rises: bool,
}

impl StatefulMetric for Height {
    fn name(&self) -> &str {
        "height"
    }

    fn class_name(&self) -> &'static str {
        "Height"
    }

    fn rises(&self) -> bool {
        self.rises
    }

    fn state(&self, _: Shape) -> Vec<f64> {
        vec![0.0; 2]
    }

    fn update(&self, state: &mut [f64], _: Target, prediction: &[f64], _: usize) {
        state[0] += prediction[0];
        state[1] += 1.0;
    }

    fn result(&self, state: &[f64]) -> f64 {
        state[0] / state[1]
    }
}

#[test]
fn each_epoch_counts_anew_and_weights_do_not_count() {
    let x = Tensor::random_uniform([20, 1], 0.0, 1.0, 3);
    let y: Labels = (0..20).map(|i| i % 3 / 2).collect::<Vec<u8>>().into();
    let metrics = [AUC::new().into(), Metric::BinaryAccuracy, F1Score::new(Averaging::Micro).threshold(0.5).into()];
    let plan = Sequential::new([1]).add(Dense::new(1).kernel_initializer(Initializer::Ones));
    let mut model = plan.compile(SGD::new(0.0), MeanSquaredError, metrics).unwrap();
    let expected = model.evaluate(&x, &y).unwrap().metrics;
    assert_eq!(
        expected.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["auc", "binary_accuracy", "f1_score"]
    );
    let options = quiet().epochs(3).validation_data(&x, &y).class_weight([(1, 5.0)]);
    for epoch in model.fit(&x, &y, options).unwrap().epochs {
        assert_eq!(epoch.train.metrics, expected);
        assert_eq!(epoch.validation.unwrap().metrics, expected);
    }
}

#[test]
fn a_monitor_rises_if_the_metric_does() {
    let (x, y) = (Tensor::full([6, 1], 1.0), Tensor::full([6, 1], 1.0));
    for (rises, best_epoch) in [(true, 3), (false, 0)] {
        for monitor in ["height", "val_height"] {
            let plan = Sequential::new([1]).add(Dense::new(1).kernel_initializer(Initializer::Zeros));
            let mut model = plan.compile(SGD::new(0.1), MeanSquaredError, [Height { rises }.into()]).unwrap();
            let mut stopping = EarlyStopping::new().monitor(monitor).patience(9);
            let options = quiet().epochs(4).validation_data(&x, &y).callback(&mut stopping);
            model.fit(&x, &y, options).unwrap();
            assert_eq!(stopping.best_epoch(), Some(best_epoch), "{monitor}");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_at_compile() {
    let labels = || SparseCategoricalCrossentropy::default().from_logits(true);
    let classes = || Sequential::new([4]).add(Activation::Linear);
    let image = || Sequential::new([2, 2, 4]).add(Activation::Linear);
    let single = || Sequential::new([1]).add(Activation::Linear);
    let message = |result: cornu::Result<Model>| result.unwrap_err().to_string();
    let of_values =
        |plan: Sequential, metric: Metric| message(plan.compile(SGD::default(), MeanSquaredError, [metric]));
    let of_labels = |plan: Sequential, metric: Metric| message(plan.compile(SGD::default(), labels(), [metric]));
    let expect = |message: String, words: &[&str]| {
        for word in ["compile: metrics"].iter().chain(words) {
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        }
    };

    for threshold in [-0.1, 1.1, f64::NAN] {
        let words = ["threshold must lie in [0, 1]", &format!("got {threshold}")];
        expect(of_values(classes(), Precision::new().threshold(threshold).into()), &words);
        expect(of_values(classes(), Recall::new().threshold(threshold).into()), &words);
    }
    for threshold in [0.0, 1.1, f64::NAN] {
        let metric = F1Score::new(Averaging::Macro).threshold(threshold);
        expect(of_values(classes(), metric.into()), &["f1_score: threshold", "(0, 1]", &format!("got {threshold}")]);
    }
    for k in [0, 5] {
        expect(
            of_labels(classes(), Recall::new().top_k(k).into()),
            &["recall: top_k", "classes, 4", &format!("got {k}")],
        );
    }
    expect(of_labels(classes(), Precision::new().class_id(4).into()), &["precision: class_id", "classes, 4", "got 4"]);
    expect(of_values(single(), F1Score::new(Averaging::Macro).into()), &["f1_score", "threshold, such as 0.5"]);
    expect(
        of_values(image(), F1Score::new(Averaging::Macro).into()),
        &["f1_score", "(classes,)", "(2, 2, 4)", "Flatten"],
    );
    expect(of_values(classes(), AUC::new().num_thresholds(1).into()), &["auc: num_thresholds", "at least 2", "got 1"]);
    for num_classes in [0, 1, 3, 5] {
        let words = ["mean_io_u: num_classes", "last axis, 4", &format!("got {num_classes}")];
        expect(of_values(image(), MeanIoU::new(num_classes).into()), &words);
    }
    expect(of_values(image(), MeanIoU::new(4).ignore_class(4).into()), &["ignore_class", "classes, 4", "got 4"]);
    expect(of_labels(classes(), R2Score::new().into()), &["r2_score", "takes labels", "Accuracy"]);
    expect(of_values(image(), R2Score::new().into()), &["r2_score", "(values,)", "(2, 2, 4)", "Flatten"]);
    expect(of_labels(classes(), Metric::CosineSimilarity), &["cosine_similarity", "takes labels", "Accuracy"]);
}

#[test]
fn names_differ() {
    let compile = |metrics: [Metric; 2]| {
        Sequential::new([4]).add(Activation::Linear).compile(SGD::default(), MeanSquaredError, metrics)
    };
    let class = |id, name| Precision::new().class_id(id).name(name).into();
    let message = |metrics| compile(metrics).unwrap_err().to_string();
    assert!(message([class(0, "cat"), class(1, "cat")]).contains("cat is given twice"));
    for reserved in ["loss", "val_cat"] {
        assert!(message([Metric::Accuracy, class(0, reserved)]).contains(&format!("\"{reserved}\"")));
    }
    compile([class(0, "cat"), class(1, "dog")]).unwrap();
}
