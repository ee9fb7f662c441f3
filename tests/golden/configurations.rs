use std::{
    collections::{BTreeMap, HashSet},
    fs,
};

use cornu::prelude::*;
use serde_json::{Map, Value, json};

use crate::{augmentation, cases, layers, penalties, training};

/// What this crate writes for a layer is what Keras writes for it, and reading either gives the same layer.
#[test]
fn configurations_are_those_of_keras() {
    let text = fs::read_to_string(cases::path("configurations.json")).unwrap();
    let cases: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let augmentations: HashSet<String> =
        cases::read("augmentation.safetensors").into_iter().map(|case| case.name).collect();
    for (case, golden) in &cases {
        let sample: Vec<usize> = serde_json::from_value(golden["sample"].clone()).unwrap();
        let ours = plan(case, Shape::new(&sample).unwrap(), &augmentations).to_json().unwrap();
        let keras = model(&sample, &golden["layer"]);
        let read = Sequential::from_json(&keras.to_string()).unwrap_or_else(|error| panic!("{case}: {error}"));
        let again = Sequential::from_json(&ours).unwrap_or_else(|error| panic!("{case}: {error}"));
        let expected = layer(&keras);
        assert_eq!(layer(&parse(&ours)), expected, "{case}: written");
        assert_eq!(layer(&parse(&read.to_json().unwrap())), expected, "{case}: read");
        assert_eq!(layer(&parse(&again.to_json().unwrap())), expected, "{case}: read again");
    }
}

/// The layer of a case alone.
fn plan(case: &str, sample: Shape, augmentations: &HashSet<String>) -> Sequential {
    let plan = Sequential::new(sample);
    if case.starts_with("penalties_") {
        return penalties::plan(case, sample);
    }
    if case.starts_with("batch_normalization") && case != "batch_normalization_inference" {
        return plan.add(training::layer(case));
    }
    let dense = Dense::new(3);
    match case {
        "configuration_dropout" => plan.add(Dropout::new(0.25)),
        "configuration_spatial_dropout2d" => plan.add(SpatialDropout2D::new(0.25)),
        "configuration_gaussian_noise" => plan.add(GaussianNoise::new(0.5)),
        "configuration_random_zoom" => plan.add(RandomZoom::new((0.1, 0.2)).fill_mode(FillMode::Wrap)),
        "configuration_random_erasing" => plan.add(RandomErasing::new(0.5)),
        "configuration_zeros_ones" => plan.add(initialized(Initializer::Zeros, Initializer::Ones)),
        "configuration_constant_normal" => {
            plan.add(initialized(Initializer::RandomNormal { mean: 0.5, stddev: 2.0 }, Initializer::Constant(0.5)))
        }
        "configuration_uniform" => plan.add(initialized(
            Initializer::RandomUniform { min: -1.0, max: 2.0 },
            Initializer::TruncatedNormal { mean: 1.0, stddev: 3.0 },
        )),
        "configuration_glorot_he" => plan.add(initialized(Initializer::GlorotNormal, Initializer::HeUniform)),
        "configuration_he_lecun" => plan.add(initialized(Initializer::HeNormal, Initializer::LecunUniform)),
        "configuration_lecun" => plan.add(initialized(Initializer::LecunNormal, Initializer::Zeros)),
        "configuration_unit_norm" => plan.add(dense.kernel_constraint(Constraint::unit_norm())),
        "configuration_leaky_relu" => plan.add(dense.activation(Activation::LeakyRelu { negative_slope: 0.125 })),
        "configuration_elu" => plan.add(dense.activation(Activation::Elu { alpha: 0.5 })),
        _ if augmentations.contains(case) => augmentation::layer(case, plan),
        _ => layers::layer(case, plan),
    }
}

fn initialized(kernel: Initializer, bias: Initializer) -> Dense {
    Dense::new(3).kernel_initializer(kernel).bias_initializer(bias)
}

/// A model of Keras's with one layer.
fn model(sample: &[usize], layer: &Value) -> Value {
    let batch: Vec<Value> = [Value::Null].into_iter().chain(sample.iter().map(|&dim| dim.into())).collect();
    let input = json!({"class_name": "InputLayer", "config": {"batch_shape": batch}});
    json!({"class_name": "Sequential", "config": {"layers": [input, layer]}})
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// The class and the configuration of a model's only layer, without what says nothing, and with one form for what has several.
fn layer(model: &Value) -> (String, Value) {
    let layer = &model["config"]["layers"][1];
    let class = match &layer["class_name"] {
        // Layers that only apply an activation.
        class if ["ReLU", "LeakyReLU", "ELU", "Softmax"].iter().any(|name| class == name) => {
            return activation(class, layer);
        }
        class => class.as_str().unwrap().to_owned(),
    };
    let mut config = plain(&layer["config"]);
    if let Some(size) = config.get("pool_size").cloned().filter(|_| config.get("strides").is_none()) {
        config["strides"] = size;
    }
    if let Some(factor) = config.get("factor").and_then(Value::as_f64) {
        let from_zero = ["RandomContrast", "RandomErasing"].contains(&&*class);
        config["factor"] = json!([if from_zero { 0.0 } else { -factor }, factor]);
    }
    (class, config)
}

fn activation(class: &Value, layer: &Value) -> (String, Value) {
    let (name, default) = match class.as_str().unwrap() {
        "ReLU" => ("relu", true),
        "Softmax" => ("softmax", true),
        "ELU" => ("elu", layer["config"]["alpha"] == 1.0),
        class => (class, false),
    };
    assert!(default || class == "LeakyReLU" || class == "ELU");
    let activation =
        if default { name.into() } else { plain(&json!({"class_name": class, "config": layer["config"]})) };
    ("Activation".into(), json!({"activation": activation}))
}

fn plain(json: &Value) -> Value {
    match json {
        Value::Object(map) => match map.get("class_name").and_then(Value::as_str) {
            Some(class @ ("L1" | "L2")) => {
                let factor = |name: &str| map["config"].get(name).and_then(Value::as_f64).unwrap_or(0.0);
                assert!(factor(&class.to_lowercase()) > 0.0);
                plain(&json!({"class_name": "L1L2", "config": {"l1": factor("l1"), "l2": factor("l2")}}))
            }
            _ => Value::Object(plain_members(map)),
        },
        Value::Array(items) => match &items[..] {
            [one] => plain(one),
            _ => items.iter().map(plain).collect(),
        },
        // Some Keras rounds to float32.
        Value::Number(number) => number.as_f64().map(|number| number as f32).into(),
        _ => json.clone(),
    }
}

fn plain_members(map: &Map<String, Value>) -> Map<String, Value> {
    let ignored = ["name", "trainable", "dtype", "module", "renorm_momentum"];
    let says = |key: &str, value: &Value| !ignored.contains(&key) && !value.is_null() && *value != false;
    map.iter().filter(|(key, value)| says(key, value)).map(|(key, value)| (key.clone(), plain(value))).collect()
}
