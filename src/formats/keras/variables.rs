//! [`Variables`]: where Keras's files of HDF5 have the weights and the optimizer's state.

use std::collections::HashMap;

use serde_json::Value;

use super::{Group, hdf5::Dataset};
use crate::{Scalar, config::class_of, model::snake_case, params::ParamInfo};

/// The two ways in which Keras has stored variables.
pub(super) enum Variables<'a> {
    /// Keras 3: `layers/conv2d_1/vars/0` is the first of the second `Conv2D`, whatever its name.
    ByClass(Group<'a>),
    /// The older: each layer's group has its name, and the names of its weights as an attribute.
    ByName { layers: Group<'a>, optimizer: Option<Group<'a>> },
}

/// In an optimizer, the one that it wraps.
const INNER: &str = "inner_optimizer";

/// A layer of the model that is read.
pub(super) struct Layer<'a> {
    name: &'a str,
    class: &'a str,
    weights: Vec<&'a ParamInfo>,
}

/// The names and classes of the layers of a `Sequential`, without that of its input.
pub(super) fn classes(architecture: &Value) -> Result<Vec<(String, String)>, String> {
    let layers = architecture.pointer("/config/layers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut classes = Vec::with_capacity(layers.len());
    for layer in layers {
        let class = class_of(layer)?;
        let name = layer.pointer("/config/name").and_then(Value::as_str).unwrap_or(class);
        if class != "InputLayer" {
            classes.push((name.to_owned(), class.to_owned()));
        }
    }
    Ok(classes)
}

impl<'a> Layer<'a> {
    /// The layers with the weights that they have declared.
    pub fn of_layout(classes: &'a [(String, String)], infos: &'a [ParamInfo]) -> Vec<Self> {
        let mut weights: HashMap<&str, Vec<&ParamInfo>> =
            classes.iter().map(|(name, _)| (&**name, Vec::new())).collect();
        for info in infos {
            // The name of a layer and that of a weight may have a / in them, too.
            let mut fronts = info.name.rmatch_indices('/').map(|(at, _)| &info.name[..at]);
            if let Some(layer) = fronts.find(|front| weights.contains_key(front)) {
                weights.entry(layer).or_default().push(info);
            }
        }
        let layer = |(name, class): &'a (String, String)| {
            let weights = weights.remove(&**name).unwrap_or_default();
            Layer { name, class, weights }
        };
        classes.iter().map(layer).collect()
    }
}

/// The weights of all layers, one after the other, if the file has those of the model and no others. Memory is taken only then.
pub(super) fn params<T: Scalar>(layers: &[Layer], variables: &Variables) -> Result<Vec<T>, String> {
    let found = variables.of_layers(layers)?;
    let mut params = Vec::new();
    for (layer, found) in layers.iter().zip(&found) {
        if found.len() != layer.weights.len() {
            let names: Vec<&str> = layer.weights.iter().map(|info| &*info.name).collect();
            let Layer { name, class, .. } = layer;
            return Err(format!(
                "{class} \"{name}\" has {} weights in the file, expected {} ({})",
                found.len(),
                names.len(),
                names.join(", ")
            ));
        }
        for (info, dataset) in layer.weights.iter().zip(found) {
            if dataset.shape() != info.shape.dims() {
                let (path, name, expected) = (dataset.path(), &info.name, info.shape);
                return Err(format!("{path}, which is {name}, has shape {:?}, expected {expected}", dataset.shape()));
            }
        }
    }
    for dataset in found.iter().flatten() {
        params.extend(dataset.values::<T>()?);
    }
    Ok(params)
}

impl<'a> Variables<'a> {
    /// Those of a file, of a model or of its weights alone.
    pub fn of_file(root: Group<'a>) -> Result<Self, String> {
        if root.has("model_weights") {
            return Ok(Variables::ByName { layers: root.group("model_weights")?, optimizer: None });
        }
        Ok(match list(&root, "layer_names")? {
            Some(_) => Variables::ByName { layers: root, optimizer: None },
            None => Variables::ByClass(root),
        })
    }

    /// The weights of each layer.
    fn of_layers(&self, layers: &[Layer]) -> Result<Vec<Vec<Dataset<'a>>>, String> {
        match self {
            Variables::ByClass(root) => {
                let mut counter = Counter::default();
                let groups = root.group("layers")?;
                let of_layer = |layer: &Layer| {
                    let name = counter.name(layer.class);
                    // A layer without weights may have no group.
                    if groups.has(&name) { numbered(&groups.group(&name)?) } else { Ok(Vec::new()) }
                };
                layers.iter().map(of_layer).collect()
            }
            Variables::ByName { layers: groups, .. } => {
                let names = list(groups, "layer_names")?.ok_or_else(|| missing(groups, "layer_names"))?;
                let mut stored = Vec::new();
                for name in names {
                    let variables = named(&groups.group(&name)?)?;
                    stored.extend((!variables.is_empty()).then_some(variables));
                }
                let expected = layers.iter().filter(|layer| !layer.weights.is_empty()).count();
                if stored.len() != expected {
                    return Err(format!(
                        "the file has {} layers with weights, and the model has {expected}",
                        stored.len()
                    ));
                }
                let mut stored = stored.into_iter();
                let of_layer = |layer: &Layer| match layer.weights.is_empty() {
                    true => Vec::new(),
                    false => stored.next().unwrap_or_default(),
                };
                Ok(layers.iter().map(of_layer).collect())
            }
        }
    }

    /// All variables of the optimizer; none where the file has none.
    pub fn of_optimizer(&self) -> Result<Vec<Dataset<'a>>, String> {
        match self {
            Variables::ByClass(root) if root.has("optimizer") => {
                let optimizer = root.group("optimizer")?;
                // That of a model in half precision scales the loss, and has another in it.
                let inner = optimizer.has(INNER).then(|| optimizer.group(INNER)).transpose()?;
                numbered(inner.as_ref().unwrap_or(&optimizer))
            }
            Variables::ByName { optimizer: Some(optimizer), .. } => named(optimizer),
            _ => Ok(Vec::new()),
        }
    }
}

/// The datasets `0`, `1`, … of the group `vars` in a group.
fn numbered<'a>(group: &Group<'a>) -> Result<Vec<Dataset<'a>>, String> {
    if !group.has("vars") {
        return Ok(Vec::new());
    }
    let vars = group.group("vars")?;
    (0..vars.names().count()).map(|i| vars.dataset(&i.to_string())).collect()
}

/// The datasets that a group names.
fn named<'a>(group: &Group<'a>) -> Result<Vec<Dataset<'a>>, String> {
    let names = list(group, "weight_names")?.ok_or_else(|| missing(group, "weight_names"))?;
    names.iter().map(|name| group.dataset(name)).collect()
}

fn missing(group: &Group, attribute: &str) -> String {
    format!("{}: it has no attribute {attribute}", group.path())
}

/// An attribute that is a list of names. A long one is in parts: `layer_names0`, `layer_names1`, …
fn list(group: &Group, name: &str) -> Result<Option<Vec<String>>, String> {
    if let Some(strings) = group.strings(name)? {
        return Ok(Some(strings));
    }
    let mut all = Vec::new();
    for i in 0.. {
        match group.strings(&format!("{name}{i}"))? {
            Some(strings) => all.extend(strings),
            None if i == 0 => return Ok(None),
            None => break,
        }
    }
    Ok(Some(all))
}

/// Names by class and number, as Keras counts the layers of a list: `conv2d`, `conv2d_1`.
#[derive(Default)]
pub(super) struct Counter(HashMap<String, usize>);

impl Counter {
    pub fn name(&mut self, class: &str) -> String {
        let base = snake_case(class);
        let count = self.0.entry(base.clone()).or_default();
        *count += 1;
        if *count == 1 { base } else { format!("{base}_{}", *count - 1) }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        config::Registry,
        formats::{keras, own::Own},
        prelude::*,
    };

    #[test]
    fn names_of_weights_may_have_a_slash() {
        let own = Own(&[("block/first/kernel", 2), ("block/bias", 3)]);
        let plan = Sequential::new([4]).add(Dense::new(2)).add(own.clone()).add(Dense::new(2));
        let model = plan.seed(1).build().unwrap();
        let bytes = keras::bytes(&model).unwrap();
        let again: Model = keras::parse(&bytes, &Registry::default().with(own)).unwrap();
        assert_eq!(again.params(), model.params());
        assert_eq!(keras::weights(&again, &bytes).unwrap(), model.params());
    }

    #[test]
    fn names_of_layers_may_have_a_slash() {
        let plan = Sequential::new([4]).add(Dense::new(2).named("a")).add(Dense::new(3).named("a/b"));
        let model = plan.build().unwrap();
        let classes = ["a", "a/b"].map(|name| (name.to_owned(), "Dense".to_owned()));
        let layers = super::Layer::of_layout(&classes, model.layout().infos());
        let names = layers.iter().map(|layer| layer.weights.iter().map(|info| &*info.name).collect::<Vec<_>>());
        assert_eq!(names.collect::<Vec<_>>(), [["a/kernel", "a/bias"], ["a/b/kernel", "a/b/bias"]]);
    }
}
