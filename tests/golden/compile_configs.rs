use std::fs;

use cornu::prelude::*;
use serde_json::{Map, Value};

use crate::cases;

/// What Keras has written of a kind, with its case.
fn golden(kind: &str) -> Vec<(String, Value)> {
    let text = fs::read_to_string(cases::path("compile_configs.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let of_kind = rows.into_iter().filter(|row| row["kind"] == kind);
    of_kind.map(|row| (row["case"].as_str().unwrap().to_owned(), row["config"].clone())).collect()
}

/// What this crate writes of an object that the model is compiled with is what Keras writes, and reading either gives the same.
pub fn check(kind: &str, case: &str, mut model: Model) {
    let place = match kind {
        "optimizers" => "/optimizer",
        "schedules" => "/optimizer/config/learning_rate",
        "losses" => "/loss",
        "metrics" => "/metrics/0",
        kind => panic!("{kind}"),
    };
    let config = |model: &Model| -> Value { serde_json::from_str(&model.get_compile_config().unwrap()).unwrap() };
    let part = |config: &Value| config.pointer(place).unwrap().clone();
    let golden = golden(kind);
    let (_, keras) = golden.iter().find(|(name, _)| name == case).unwrap_or_else(|| panic!("{kind} lack {case}"));
    let ours = config(&model);
    // Metrics without arguments are written as names; the name "accuracy" stands for several classes.
    let is_name = part(&ours).is_string();
    assert!(is_name || plain(&part(&ours)) == plain(keras), "{case}: {} is not {keras}", part(&ours));

    model.compile_from_config(&ours.to_string()).unwrap();
    assert_eq!(config(&model), ours, "{case}: read again");

    let mut given = ours.clone();
    *given.pointer_mut(place).unwrap() = keras.clone();
    model.compile_from_config(&given.to_string()).unwrap_or_else(|error| panic!("{case}: {error}"));
    let read = part(&config(&model));
    match read.as_str() {
        Some(name) => {
            let long = name.replace("mse", "mean_squared_error").replace("mae", "mean_absolute_error").replace('_', "");
            assert_eq!(keras["class_name"].as_str().unwrap().to_lowercase(), long, "{case}: read");
        }
        None => assert_eq!(plain(&read), plain(keras), "{case}: read"),
    }
}

#[test]
fn compiled_models_of_keras_are_read() {
    for (case, json) in golden("compiled") {
        let mut model = Sequential::new([4]).add(Dense::new(3).activation(Activation::Softmax)).build().unwrap();
        model.compile_from_config(&json.to_string()).unwrap_or_else(|error| panic!("{case}: {error}"));
        let config: Value = serde_json::from_str(&model.get_compile_config().unwrap()).unwrap();
        let parts = [&config["optimizer"], &config["loss"]].map(|part| part["class_name"].as_str().unwrap());
        let metrics = config["metrics"].as_array().unwrap();
        let name = |metric: &Value| metric.as_str().or(metric["config"]["name"].as_str()).unwrap().to_owned();
        let metrics: Vec<String> = metrics.iter().map(name).collect();
        let (expected, names): (_, &[&str]) = match case.as_str() {
            "names" => (["Adam", "SparseCategoricalCrossentropy"], &["accuracy"]),
            "short_names" => (["SGD", "MeanSquaredError"], &["accuracy", "mae", "mse"]),
            "objects" => (["SGD", "CategoricalCrossentropy"], &["found", "accuracy"]),
            "functions" => (["RMSprop", "MeanSquaredError"], &["mae"]),
            "dictionaries" => (["Nadam", "MeanSquaredError"], &["mae"]),
            "lists" => (["Adamax", "MeanSquaredError"], &["mae"]),
            "no_metrics" => (["AdamW", "Huber"], &[]),
            case => panic!("the case {case} is not tested; add what it is read as"),
        };
        assert_eq!(
            (parts, &metrics[..]),
            (expected, &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()[..])
        );
    }
}

/// Without what says nothing, and with one form for what has several.
fn plain(json: &Value) -> Value {
    match json {
        Value::Object(map) => Value::Object(plain_members(map)),
        Value::Array(items) => items.iter().map(plain).collect(),
        // Keras rounds rates to float32.
        Value::Number(number) => number.as_f64().map(|number| number as f32).into(),
        // The class of MeanIoU whose targets are rows.
        Value::String(class) if class == "OneHotMeanIoU" => "MeanIoU".into(),
        _ => json.clone(),
    }
}

fn plain_members(map: &Map<String, Value>) -> Map<String, Value> {
    // Keras does not write the last two; see README.md.
    let ignored = ["name", "dtype", "module", "delta", "exclude_from_weight_decay"];
    let says = |key: &str, value: &Value| !ignored.contains(&key) && !value.is_null() && *value != false;
    map.iter().filter(|(key, value)| says(key, value)).map(|(key, value)| (key.clone(), plain(value))).collect()
}
