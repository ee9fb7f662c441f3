//! Functional models that are a chain of layers.

use std::{borrow::Cow, collections::HashMap};

use serde_json::{Value, json};

use crate::config::{class_of, shortened};

/// The `Sequential` of the same layers, if the model is of the functional API, and each of its layers takes what the one before it gives.
pub(super) fn sequential(model: &Value) -> Result<Cow<'_, Value>, String> {
    let class = class_of(model)?;
    if !matches!(class, "Functional" | "Model") {
        return Ok(Cow::Borrowed(model));
    }
    let layers = model.pointer("/config/layers").and_then(Value::as_array);
    let layers = layers.ok_or_else(|| format!("{class}: expected a list of layers, got {}", shortened(model)))?;
    let not = |what: &str| format!("{class}: {what}; only models whose layers follow one another can be read");
    let mut after = HashMap::new();
    let mut first = None;
    for layer in layers {
        let name = name(layer);
        let place = |message| format!("{class}: {} \"{name}\" {message}", class_of(layer).unwrap_or_default());
        match inputs(layer).map_err(place)?[..] {
            [] if first.is_none() => first = Some(layer),
            [] => return Err(not(&format!("\"{name}\" is a second input"))),
            [input] => {
                if after.insert(input, layer).is_some() {
                    return Err(not(&format!("what \"{input}\" gives goes to \"{name}\" and to another layer")));
                }
            }
            _ => return Err(not(&format!("\"{name}\" takes what several layers give, or is used several times"))),
        }
    }
    let next = |layer: &&Value| after.remove(name(layer));
    let chain: Vec<&Value> = std::iter::successors(first, next).collect();
    if chain.len() != layers.len() {
        return Err(not(&format!("{} of its {} layers do", chain.len(), layers.len())));
    }
    for (key, end) in [("input_layers", chain.first()), ("output_layers", chain.last())] {
        let ends = model["config"].get(key).filter(|ends| !ends.is_null());
        if let (Some(ends), Some(end)) = (ends, end)
            && tensors(ends) != Ok(vec![name(end)])
        {
            return Err(not(&format!("{key}: expected \"{}\" alone, got {}", name(end), shortened(ends))));
        }
    }
    Ok(Cow::Owned(json!({"class_name": "Sequential", "config": {"layers": chain}})))
}

fn name(layer: &Value) -> &str {
    let own = layer.get("name").or_else(|| layer.pointer("/config/name"));
    own.and_then(Value::as_str).unwrap_or_default()
}

/// The names of the layers that a layer takes its input from, if nothing else is in its calls that says something.
fn inputs(layer: &Value) -> Result<Vec<&str>, String> {
    let nodes = layer.get("inbound_nodes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut inputs = Vec::new();
    for node in nodes {
        // Keras 3 writes the arguments of the call, Keras 2 the tensors.
        let Some(arguments) = node.get("args") else {
            inputs.extend(tensors(node)?);
            continue;
        };
        inputs.extend(tensors(arguments)?);
        for (key, value) in node.get("kwargs").and_then(Value::as_object).into_iter().flatten() {
            // Keras 3 writes defaults, too, and its `fit` and `predict` say whether a layer trains, whatever its call has said.
            if key != "training" {
                inputs.extend(tensors(value).map_err(|_| with(format!("{key}={}", shortened(value))))?);
            }
        }
    }
    Ok(inputs)
}

/// The names of the layers that give what is in a value: a tensor, or a list or a dictionary of some, nested as a user has nested them.
fn tensors(json: &Value) -> Result<Vec<&str>, String> {
    match json {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => match items.first().and_then(Value::as_str) {
            Some(name) => {
                // Keras 2 adds to `["dense", 0, 0]` what its call was given, and heeds it.
                let mut arguments = items.get(3).and_then(Value::as_object).into_iter().flatten();
                match arguments.find(|(_, value)| !value.is_null()) {
                    Some((key, value)) => Err(with(format!("{key}={}", shortened(value)))),
                    None => Ok(vec![name]),
                }
            }
            None => all(items),
        },
        Value::Object(items) => match json.pointer("/config/keras_history/0").and_then(Value::as_str) {
            Some(name) => Ok(vec![name]),
            None => all(items.values()),
        },
        other => Err(with(shortened(other))),
    }
}

fn all<'a>(items: impl IntoIterator<Item = &'a Value>) -> Result<Vec<&'a str>, String> {
    let names: Vec<Vec<&str>> = items.into_iter().map(tensors).collect::<Result<_, _>>()?;
    Ok(names.concat())
}

fn with(argument: String) -> String {
    format!("is called with {argument}; only calls with a tensor and nothing else can be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, inputs: &[&str]) -> Value {
        let tensor = |name: &&str| json!({"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}});
        let nodes = match inputs {
            [] => json!([]),
            inputs => json!([{"args": inputs.iter().map(tensor).collect::<Vec<_>>(), "kwargs": {}}]),
        };
        json!({"class_name": "Dense", "name": name, "config": {"name": name}, "inbound_nodes": nodes})
    }

    fn names(layers: &[Value]) -> Result<Vec<String>, String> {
        let model = json!({"class_name": "Functional", "config": {"layers": layers}});
        let chain = sequential(&model)?;
        let layers = chain["config"]["layers"].as_array().unwrap();
        Ok(layers.iter().map(|layer| name(layer).to_owned()).collect())
    }

    #[test]
    fn layers_are_put_into_the_order_of_their_calls() {
        assert_eq!(names(&[layer("c", &["b"]), layer("a", &[]), layer("b", &["a"])]).unwrap(), ["a", "b", "c"]);
        let of_keras_2 = json!({"class_name": "Dense", "name": "b", "inbound_nodes": [[["a", 0, 0, {}]]]});
        assert_eq!(names(&[layer("a", &[]), of_keras_2]).unwrap(), ["a", "b"]);
    }

    #[test]
    fn the_input_is_that_of_the_first_layer_and_the_output_that_of_the_last() {
        let read = |key: &str, ends: Value| {
            let layers = [layer("a", &[]), layer("b", &["a"]), layer("c", &["b"])];
            let mut model = json!({"class_name": "Model", "config": {"layers": layers}});
            model["config"][key] = ends;
            sequential(&model).map(|_| ())
        };
        for (key, own, other) in [("input_layers", "a", "b"), ("output_layers", "c", "b")] {
            for ends in [json!([own, 0, 0]), json!([[own, 0, 0]]), json!({"x": [own, 0, 0]}), json!(null)] {
                assert_eq!(read(key, ends), Ok(()));
            }
            for ends in [
                json!([[own, 0, 0], [other, 0, 0]]),
                json!({"x": [own, 0, 0], "y": [other, 0, 0]}),
                json!({"x": [[own, 0, 0]], "y": {"z": [other, 0, 0]}}),
                json!([[own, 0, 0], [own, 0, 0]]),
                json!([other, 0, 0]),
                json!([]),
                json!(3),
            ] {
                let error = read(key, ends.clone()).unwrap_err();
                let words = format!("Model: {key}: expected \"{own}\" alone, got {ends}");
                assert!(error.starts_with(&words), "{error} is not {words}");
            }
        }
    }

    /// What is read of the calls of a layer `b` behind a layer `a`.
    fn calls(nodes: Value) -> String {
        let second = json!({"class_name": "Dropout", "name": "b", "inbound_nodes": nodes});
        names(&[layer("a", &[]), second]).map_or_else(|error| error, |names| names.join(" "))
    }

    #[test]
    fn arguments_of_a_call_that_say_nothing_are_passed_over() {
        let tensor = json!({"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}});
        // Keras 3 writes `mask` of BatchNormalization, `training` of Dropout and RandomFlip.
        for kwargs in [json!({}), json!({"mask": null}), json!({"training": false}), json!({"training": true})] {
            assert_eq!(calls(json!([{"args": [tensor], "kwargs": kwargs}])), "a b");
        }
        assert_eq!(calls(json!([{"args": [], "kwargs": {"inputs": tensor, "training": true}}])), "a b");
        assert_eq!(calls(json!([[["a", 0, 0, {"mask": null, "training": null}]]])), "a b");
    }

    #[test]
    fn arguments_of_a_call_that_say_something_are_errors() {
        let tensor = json!({"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}});
        let only = "only calls with a tensor and nothing else can be read";
        for (nodes, words) in [
            // Keras 2 does not train a batch normalization that is called so, and drops in prediction, too.
            (json!([[["a", 0, 0, {"training": false}]]]), "Dropout \"b\" is called with training=false"),
            (json!([[["a", 0, 0, {"training": true}]]]), "\"b\" is called with training=true"),
            (json!([["a", 0, 0, {"y": 2.0, "name": null}]]), "\"b\" is called with y=2.0"),
            (json!([{"args": [tensor, 2.0], "kwargs": {}}]), "\"b\" is called with 2.0"),
            (json!([{"args": [tensor], "kwargs": {"axis": -1}}]), "\"b\" is called with axis=-1"),
        ] {
            let error = calls(nodes);
            assert!(error.contains(words) && error.ends_with(only), "{error} lacks {words}");
        }
        for nodes in [
            json!([{"args": [tensor], "kwargs": {"mask": tensor}}]),
            json!([{"args": [[tensor, tensor]], "kwargs": {}}]),
            json!([[["a", 0, 0, {}], ["a", 0, 0, {}]]]),
        ] {
            let error = calls(nodes);
            assert!(error.contains("\"b\" takes what several layers give"), "{error}");
        }
    }

    #[test]
    fn what_is_no_chain_is_an_error_that_names_the_layer() {
        for (layers, words) in [
            (vec![layer("a", &[]), layer("b", &[])], "\"b\" is a second input"),
            (vec![layer("a", &[]), layer("b", &["a"]), layer("c", &["a"])], "what \"a\" gives goes to \"c\""),
            (vec![layer("a", &[]), layer("b", &["a", "a"])], "\"b\" takes what several"),
            (vec![layer("a", &[]), layer("b", &["c"]), layer("c", &["b"])], "1 of its 3 layers do"),
        ] {
            let error = names(&layers).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
