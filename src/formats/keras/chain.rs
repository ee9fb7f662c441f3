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
        match inputs(layer)[..] {
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
    let last = chain.last().map_or("", |layer| name(layer));
    if let Some(output) = outputs(model).into_iter().find(|&output| output != last) {
        return Err(not(&format!("it gives what \"{output}\" gives, which is not the last layer")));
    }
    Ok(Cow::Owned(json!({"class_name": "Sequential", "config": {"layers": chain}})))
}

fn name(layer: &Value) -> &str {
    let own = layer.get("name").or_else(|| layer.pointer("/config/name"));
    own.and_then(Value::as_str).unwrap_or_default()
}

/// The names of the layers whose outputs are the model's.
fn outputs(model: &Value) -> Vec<&str> {
    let outputs = model.pointer("/config/output_layers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    // Of one output, Keras 3 writes no list.
    match outputs.first().and_then(Value::as_str) {
        Some(name) => vec![name],
        None => outputs.iter().map(|output| output.get(0).and_then(Value::as_str).unwrap_or_default()).collect(),
    }
}

/// The names of the layers that a layer takes its input from; an empty one for what cannot be read.
fn inputs(layer: &Value) -> Vec<&str> {
    let nodes = layer.get("inbound_nodes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let inputs = nodes.iter().flat_map(|node| {
        // Keras 3 writes the arguments of the call, Keras 2 the tensors.
        let arguments = node.get("args").unwrap_or(node).as_array().map_or(&[][..], Vec::as_slice);
        arguments.iter().map(|argument| {
            let name = argument.pointer("/config/keras_history/0").or_else(|| argument.get(0));
            name.and_then(Value::as_str).unwrap_or_default()
        })
    });
    inputs.collect()
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
    fn the_output_is_that_of_the_last_layer() {
        let layers = [layer("a", &[]), layer("b", &["a"]), layer("c", &["b"])];
        for (outputs, words) in [
            (json!(["c", 0, 0]), ""),
            (json!([["c", 0, 0]]), ""),
            (json!([["c", 0, 0], ["b", 0, 0]]), "it gives what \"b\" gives"),
        ] {
            let model = json!({"class_name": "Model", "config": {"layers": layers, "output_layers": outputs}});
            let error = sequential(&model).err().unwrap_or_default();
            assert!(error.contains(words) && error.is_empty() == words.is_empty(), "{error}");
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
