//! How a model is trained, in the schema of Keras's `model.get_compile_config()`.

use serde_json::{Value, json};

use super::Model;
use crate::{
    Error, Result, Scalar,
    config::{self, Registry, shortened},
};

impl<T: Scalar> Model<T> {
    /// The optimizer, the loss and the metrics as JSON, in the schema of Keras's `model.get_compile_config()`.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let plan = Sequential::new([4]).add(Dense::new(1));
    /// let model = plan.clone().compile(Adam::new(0.1).clipnorm(1.0), Huber::default(), [Metric::MeanAbsoluteError])?;
    /// let mut other = plan.build()?;
    /// other.compile_from_config(&model.get_compile_config()?)?;
    /// assert_eq!(other.learning_rate()?, 0.1);
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the model is not compiled, or an optimizer, a loss, a metric or a schedule of your own does not tell its arguments.
    pub fn get_compile_config(&self) -> Result<String> {
        self.compiled("get_compile_config")?;
        let json = self.compile_config().map_err(|message| Error::argument("get_compile_config", message))?;
        Ok(format!("{json:#}"))
    }

    /// Compiles the model as [`get_compile_config`](Model::get_compile_config), or Keras, has written; see [`compile`](Model::compile).
    ///
    /// # Errors
    /// When `json` is no JSON, or has an optimizer, a loss, a metric or an argument that does not exist here; then nothing has changed.
    pub fn compile_from_config(&mut self, json: &str) -> Result<()> {
        let refuse = |message| Error::argument("compile_from_config", message);
        let json = serde_json::from_str(json).map_err(|error| refuse(format!("not JSON: {error}")))?;
        self.compile_as(&json, &Registry::default()).map_err(refuse)
    }

    /// The optimizer, the loss and the metrics as Keras writes them; `null` when the model is not compiled.
    pub(crate) fn compile_config(&self) -> Result<Value, String> {
        let Some(compiled) = &self.compiled else {
            return Ok(Value::Null);
        };
        let objective = &compiled.objective;
        let metrics = objective.metrics().iter().map(|metric| metric.to_json(objective.target_kind()));
        Ok(json!({
            "optimizer": config::optimizer_to_json(&*compiled.optimizer)?,
            "loss": config::to_json(objective.loss())?,
            "loss_weights": null,
            "metrics": metrics.collect::<Result<Vec<_>, _>>()?,
            "weighted_metrics": null,
            "run_eagerly": false,
            "steps_per_execution": 1,
            "jit_compile": false,
        }))
    }

    /// Compiles the model as such an object says; `null`, or a registry that is [`uncompiled`](Registry::uncompiled), leaves it uncompiled. What
    /// Keras 2 writes in its files, too, is read.
    pub(crate) fn compile_from(&mut self, json: &Value, registry: &Registry) -> Result<(), String> {
        if json.is_null() || registry.is_uncompiled() {
            return Ok(());
        }
        self.compile_as(json, registry).map_err(|message| {
            format!("compile_config: {message}; without how it is trained, load_model_with reads the model by Registry::uncompiled")
        })
    }

    fn compile_as(&mut self, json: &Value, registry: &Registry) -> Result<(), String> {
        let get = |name: &str| json.get(name).unwrap_or(&Value::Null);
        let optimizer = json.get("optimizer").unwrap_or_else(|| get("optimizer_config"));
        let optimizer = registry.optimizer(optimizer).map_err(|message| format!("optimizer: {message}"))?;
        let loss = match items(get("loss"))[..] {
            [loss] => registry.loss(loss).map_err(|message| format!("loss: {message}"))?,
            _ => return Err(format!("loss: expected that of one output, got {}", shortened(get("loss")))),
        };
        if let Some(weight) = items(get("loss_weights")).into_iter().find(|weight| weight.as_f64() != Some(1.0)) {
            return Err(format!("loss_weights: only 1 is supported, got {}", shortened(weight)));
        }
        if let Some(metric) = items(get("weighted_metrics")).first() {
            let metric = shortened(metric);
            return Err(format!("weighted_metrics: sample weights do not count in metrics here, got {metric}"));
        }
        let metrics = items(get("metrics")).into_iter().map(|metric| registry.metric(metric));
        let metrics = metrics.collect::<Result<_, _>>().map_err(|message| format!("metrics: {message}"))?;
        self.compile_with(optimizer, loss, metrics).map_err(|error| error.to_string())
    }
}

/// What Keras writes as itself, or as a list or a dictionary with an entry for each output.
fn items(json: &Value) -> Vec<&Value> {
    match json {
        Value::Null => Vec::new(),
        Value::Array(list) => list.iter().flat_map(items).collect(),
        Value::Object(map) if !map.contains_key("class_name") => map.values().flat_map(items).collect(),
        item => vec![item],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Arguments,
        losses::{Loss, Target},
        metrics::StatefulMetric,
        optimizers::{Base, Optimizer, schedules::Schedule},
        prelude::*,
    };

    fn plan() -> Sequential {
        Sequential::new([4]).add(Dense::new(3).activation(Activation::Softmax))
    }

    fn read(json: Value) -> Result<Model, String> {
        let mut model = plan().build().unwrap();
        model.compile_from(&json, &Registry::default())?;
        Ok(model)
    }

    #[test]
    fn what_is_written_is_read() {
        let schedule = CosineDecay::new(0.1 + 0.2, 100).warmup_target(1e-3).warmup_steps(7);
        let optimizer = AdamW::new(schedule)
            .beta_1(0.8)
            .exclude_from_weight_decay(BIASES_AND_NORMALIZATION)
            .global_clipnorm(0.5)
            .use_ema(true)
            .ema_overwrite_frequency(5)
            .gradient_accumulation_steps(3);
        let metrics = [Metric::Accuracy, Metric::TopKAccuracy(2), F1Score::new(Averaging::Weighted).name("f").into()];
        let model = plan().compile(optimizer, SparseCategoricalCrossentropy::default(), metrics).unwrap();
        let json = model.compile_config().unwrap();
        let again = read(serde_json::from_str(&json.to_string()).unwrap()).unwrap();
        assert_eq!(again.compile_config().unwrap(), json);
        let debug = |model: &Model| format!("{:?}", model.compiled("test").unwrap());
        assert_eq!(debug(&again), debug(&model));
    }

    #[test]
    fn a_model_that_is_not_compiled_stays_so() {
        let model = plan().build().unwrap();
        assert_eq!(model.compile_config(), Ok(Value::Null));
        assert!(read(Value::Null).unwrap().optimizer_state().is_err());
    }

    #[test]
    fn forms_that_keras_allows() {
        let sgd =
            json!({"class_name": "SGD", "config": {"learning_rate": 0.5, "decay": 0.0, "is_legacy_optimizer": false}});
        for loss in [json!("mse"), json!(["MeanSquaredError"]), json!({"dense": "mean_squared_error"})] {
            let wrapped =
                json!({"class_name": "MeanMetricWrapper", "config": {"fn": "mae", "name": "m", "dtype": "float32"}});
            let json =
                json!({"optimizer_config": sgd, "loss": loss, "loss_weights": [1.0], "metrics": [[wrapped, "mse"]]});
            let model = read(json).unwrap();
            assert_eq!(model.learning_rate().unwrap(), 0.5);
            let objective = &model.compiled("test").unwrap().objective;
            assert_eq!(objective.loss_name(), "mean_squared_error");
            assert_eq!(objective.monitors(false), ["loss", "mae", "mse"]);
        }
    }

    #[test]
    fn what_cannot_be_read_names_the_place() {
        let with = |name: &str, value: Value| {
            let mut json = json!({"optimizer": "adam", "loss": "mse", "metrics": null});
            json[name] = value;
            read(json).map(|_| ()).unwrap_err()
        };
        for (error, words) in [
            (with("optimizer", json!("ftrl")), "optimizer: keras.optimizers has no ftrl here, but Adadelta,"),
            (
                with("optimizer", json!({"class_name": "Adam", "config": {"beta_1": "x"}})),
                "optimizer: Adam: beta_1: expected a number",
            ),
            (with("optimizer", json!({"class_name": "Adam", "config": {"beta_1": 2.0}})), "beta_1 must lie in [0, 1)"),
            (
                with("optimizer", json!({"class_name": "Adam", "config": {"learning_rate": {"class_name": "Noam"}}})),
                "learning_rate: keras.optimizers.schedules has no Noam",
            ),
            (with("optimizer", Value::Null), "optimizer: expected an object with a class_name, got null"),
            (with("loss", json!(["mse", "mae"])), "loss: expected that of one output, got [\"mse\",\"mae\"]"),
            (
                with("loss", json!({"class_name": "Huber", "config": {"reduction": "sum"}})),
                "loss: Huber: reduction: expected",
            ),
            (with("loss", Value::Null), "loss: expected that of one output, got null"),
            (with("loss_weights", json!([0.5])), "loss_weights: only 1 is supported, got 0.5"),
            (with("weighted_metrics", json!(["mse"])), "weighted_metrics: sample weights"),
            (with("metrics", json!(["poisson"])), "metrics: keras.metrics has no poisson here, but"),
            (with("metrics", json!([{"class_name": "Accuracy"}])), "metrics: keras.metrics has no Accuracy"),
            (
                with("metrics", json!([{"class_name": "BinaryAccuracy", "config": {"threshold": 0.1}}])),
                "threshold: only 0.5",
            ),
            (
                with("metrics", json!([{"class_name": "F1Score", "config": {"average": null}}])),
                "metrics: F1Score: average: expected",
            ),
        ] {
            assert!(error.contains(words), "{error} lacks {words}");
        }
    }

    #[derive(Clone, Debug)]
    struct Own {
        base: Base,
        power: f64,
        name: String,
    }

    impl Own {
        fn new() -> Self {
            Own { base: Base::new(0.1), power: 1.0, name: "own".into() }
        }
    }

    impl Optimizer for Own {
        fn name(&self) -> &'static str {
            "own"
        }

        fn arguments(&mut self, arguments: &mut Arguments) {
            arguments.argument("power", &mut self.power);
        }

        fn base(&self) -> &Base {
            &self.base
        }

        fn base_mut(&mut self) -> &mut Base {
            &mut self.base
        }

        fn slots(&self) -> &'static [&'static str] {
            &[]
        }

        fn update<T: Scalar>(&self, _: u64, _: f64, _: &mut [T], _: &[T], _: &mut [&mut [T]]) {}
    }

    impl Loss for Own {
        fn name(&self) -> &'static str {
            "own"
        }

        fn arguments(&mut self, arguments: &mut Arguments) {
            arguments.argument("power", &mut self.power);
        }

        fn sample(&self, _: Target, _: &[f64], _: usize, _: Option<&mut [f64]>) -> f64 {
            0.0
        }
    }

    impl StatefulMetric for Own {
        fn name(&self) -> &str {
            &self.name
        }

        fn class_name(&self) -> &'static str {
            "own"
        }

        fn arguments(&mut self, arguments: &mut Arguments) {
            arguments.argument("name", &mut self.name).argument("power", &mut self.power);
        }

        fn rises(&self) -> bool {
            true
        }

        fn state(&self, _: Shape) -> Vec<f64> {
            Vec::new()
        }

        fn update(&self, _: &mut [f64], _: Target, _: &[f64], _: usize) {}

        fn result(&self, _: &[f64]) -> f64 {
            0.0
        }
    }

    impl Schedule for Own {
        fn class_name(&self) -> &'static str {
            "own"
        }

        fn arguments(&mut self, arguments: &mut Arguments) {
            arguments.argument("power", &mut self.power);
        }

        fn rate(&self, _: u64) -> f64 {
            self.power
        }
    }

    #[test]
    fn ones_own_are_read_where_they_are_registered() {
        let own = Own { power: 0.25, name: "mine".into(), ..Own::new() };
        let optimizer = Own { base: Base::new(own.clone()), ..own.clone() };
        let model = plan().compile(optimizer, own.clone(), [own.into()]).unwrap();
        let json = model.compile_config().unwrap();
        let mut again = plan().build().unwrap();
        let registry = Registry::default().with_loss(Own::new()).with_metric(Own::new()).with_optimizer(Own::new());
        let error = again.compile_from(&json, &registry).unwrap_err();
        assert!(error.contains("learning_rate: keras.optimizers.schedules has no own here"), "{error}");
        again.compile_from(&json, &registry.with_schedule(Own::new())).unwrap();
        assert_eq!(again.compile_config().unwrap(), json);
        assert_eq!(again.learning_rate().unwrap(), 0.25);
    }

    #[test]
    fn what_does_not_tell_its_arguments_is_not_written() {
        #[derive(Clone, Debug)]
        struct Silent;
        impl Loss for Silent {
            fn name(&self) -> &'static str {
                "silent"
            }

            fn sample(&self, _: Target, _: &[f64], _: usize, _: Option<&mut [f64]>) -> f64 {
                0.0
            }
        }
        let model = plan().compile(SGD::default(), Silent, []).unwrap();
        let error = model.compile_config().unwrap_err();
        assert_eq!(error, "silent: it does not tell its arguments (Loss::arguments)");
    }
}
