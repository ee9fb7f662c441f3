//! Metrics as Keras writes them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Metric, StatefulMetric};
use crate::{
    config::{self, Arguments, Known, Object},
    losses::TargetKind,
};

impl Metric {
    /// What Keras writes, where the loss takes such targets: of metrics without arguments their names.
    pub(crate) fn to_json(&self, targets: TargetKind) -> Result<Value, String> {
        let labels = targets == TargetKind::Labels;
        Ok(match self {
            Metric::TopKAccuracy(k) => {
                let class = if labels { "SparseTopKCategoricalAccuracy" } else { "TopKCategoricalAccuracy" };
                config::write(Arc::<dyn StatefulMetric>::MODULE, class, json!({"name": self.name(), "k": k}))
            }
            Metric::Stateful(metric) => {
                let mut json = config::to_json(metric)?;
                // Keras asks for what the model says itself.
                if json["class_name"] == "MeanIoU" {
                    json["config"]["sparse_y_true"] = labels.into();
                }
                json
            }
            _ => self.name().into(),
        })
    }

    /// The metric that Keras has written. Those of the enum have names of their own.
    pub(crate) fn of_json(json: &Value, known: &Known<Arc<dyn StatefulMetric>>) -> Result<Self, String> {
        // As a class, it is another metric.
        if json.as_str().is_some_and(|name| ["accuracy", "acc"].contains(&name.to_lowercase().as_str())) {
            return Ok(Metric::Accuracy);
        }
        let (class, config) = config::parse(json)?;
        // How Keras 2 writes functions.
        if let Some(function) = config.get("fn").filter(|_| class == "MeanMetricWrapper") {
            return Metric::of_json(function, known);
        }
        let mut metric = match &*config::letters(class) {
            "binaryaccuracy" => Metric::BinaryAccuracy,
            "categoricalaccuracy" => Metric::CategoricalAccuracy,
            "cosinesimilarity" => Metric::CosineSimilarity,
            "meanabsoluteerror" => Metric::MeanAbsoluteError,
            "meansquarederror" => Metric::MeanSquaredError,
            "sparsecategoricalaccuracy" => Metric::SparseCategoricalAccuracy,
            "sparsetopkcategoricalaccuracy" | "topkcategoricalaccuracy" => Metric::TopKAccuracy(5),
            _ => return known.read(json).map(Metric::Stateful),
        };
        let mut arguments = Arguments::reading(config);
        arguments.ignored("name").ignored("dtype");
        match &mut metric {
            Metric::BinaryAccuracy => arguments.fixed("threshold", 0.5),
            Metric::CosineSimilarity => arguments.fixed("axis", -1),
            Metric::TopKAccuracy(k) => arguments.argument("k", k),
            _ => &mut arguments,
        };
        arguments.finish().map_err(|message| format!("{class}: {message}"))?;
        Ok(metric)
    }
}
