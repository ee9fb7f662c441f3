//! [`TorchMapping`]: which tensors of a file go into which layers.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    few,
    layout::{Layout, Orders, layouts, name_of, orders},
    report::{Assigned, TorchReport},
    state_dict::{StateDict, Tensor},
};
use crate::{Model, Scalar, model::LayerRef, params::ParamInfo};

/// What [`load_torch_with`](Model::load_torch_with) is told of a file, where it cannot guess it.
///
/// Names are those of modules in PyTorch, which are the names of tensors without the last part: `features.0` has `features.0.weight`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TorchMapping {
    pub(super) within: Option<String>,
    pairs: Vec<(String, String)>,
    ignored: Vec<String>,
    kept: Vec<String>,
    same_order: Vec<String>,
}

impl TorchMapping {
    /// Nothing: all is guessed.
    pub fn new() -> Self {
        TorchMapping::default()
    }

    /// The tensors whose names begin with `path` and a dot, or that are in a dict of this name; names are then without it. By default
    /// those of the dict `state_dict`, `model_state_dict`, `model`, `net`, `network` or `weights`, of the outermost one, or of the only one.
    pub fn within(mut self, path: impl Into<String>) -> Self {
        self.within = Some(path.into());
        self
    }

    /// The layer takes its weights from this module. A [`SeparableConv2D`](crate::layers::SeparableConv2D) takes two modules: the
    /// one that is given first is the depthwise convolution.
    pub fn map(mut self, module: impl Into<String>, layer: impl Into<String>) -> Self {
        self.pairs.push((module.into(), layer.into()));
        self
    }

    /// No layer takes this module, or those in it.
    pub fn ignore(mut self, module: impl Into<String>) -> Self {
        self.ignored.push(module.into());
        self
    }

    /// The layer keeps the weights that it has.
    pub fn keep(mut self, layer: impl Into<String>) -> Self {
        self.kept.push(layer.into());
        self
    }

    /// The features, and the elements of a sample, that this layer has weights for are in the same order in PyTorch, as behind a
    /// `permute` before the `flatten` there.
    pub fn same_order(mut self, layer: impl Into<String>) -> Self {
        self.same_order.push(layer.into());
        self
    }

    /// All weights of the model, as [`Model::params`], with those of the file in them.
    pub(super) fn apply<T: Scalar>(&self, model: &Model<T>, file: &StateDict) -> Result<(Vec<T>, TorchReport), String> {
        let (mut modules, mut report) = (modules(file), TorchReport::default());
        let layers: Vec<_> = model.layers().collect();
        let mut slots = self.slots(model, &layers)?;
        for name in &self.ignored {
            let inside = |module: &Module| module.name == *name || module.name.starts_with(&format!("{name}."));
            let (gone, rest): (Vec<_>, Vec<_>) = modules.into_iter().partition(inside);
            if gone.is_empty() {
                return Err(format!("ignore: there is no module {name}; there are {}", listed(&rest)));
            }
            report.ignored.extend(gone.iter().flat_map(Module::names));
            modules = rest;
        }
        let mut pairs = self.given(&mut modules, &mut slots)?;
        pairs.extend(guess(&mut modules, slots, file.ordered)?);
        if !modules.is_empty() {
            return Err(format!(
                "no layer takes {}; the model must have all layers of the file, or be told to ignore(module) or to map(module, layer)",
                listed(&modules)
            ));
        }
        report.ignored.extend(file.tensors.iter().map(|tensor| &tensor.name).filter(|name| is_count(name)).cloned());
        pairs.sort_by_key(|(slot, _)| slot.index);

        let mut params = model.params().to_vec();
        for (slot, module) in &pairs {
            for (target, layout, tensor) in slot.fit(module)? {
                layout.place.gather(&tensor.values()?, &mut params[target.info.range()]);
                report.assigned.push(Assigned {
                    tensor: tensor.name.clone(),
                    tensor_shape: tensor.shape.clone(),
                    weight: target.info.name.clone(),
                    weight_shape: target.info.shape,
                });
            }
        }
        let assigned: HashSet<_> = report.assigned.iter().map(|row| &row.weight).collect();
        let names = model.layout().infos().iter().map(|info| &info.name);
        report.kept = names.filter(|name| !assigned.contains(name)).cloned().collect();
        report.notes = layers.iter().filter_map(note).collect();
        Ok((params, report))
    }

    /// What the layers take, in their order.
    fn slots<'m, T: Scalar>(&self, model: &'m Model<T>, layers: &[LayerRef<'m, T>]) -> Result<Vec<Slot<'m>>, String> {
        let named = self.kept.iter().chain(&self.same_order).chain(self.pairs.iter().map(|(_, layer)| layer));
        for name in named {
            model.get_layer(name).map_err(|error| error.to_string())?;
        }
        let orders = orders(layers, model.input_shape());
        let mut slots = Vec::new();
        for (layer, orders) in layers.iter().zip(orders) {
            let has = |names: &[String]| names.iter().any(|name| name == layer.name());
            let orders = if has(&self.same_order) { Orders::default() } else { orders };
            let targets: Vec<_> =
                layer.weight_infos().iter().map(|info| Target::new(layer.class_name(), info, orders)).collect();
            // The depthwise kernel of a separable convolution is a module of its own.
            let modules = targets.chunk_by(|a, _| !a.info.name.ends_with("/depthwise_kernel"));
            for targets in modules.filter(|_| !has(&self.kept)) {
                slots.push(Slot {
                    index: slots.len(),
                    layer: layer.name(),
                    class: layer.class_name(),
                    targets: targets.to_vec(),
                });
            }
        }
        Ok(slots)
    }

    /// The pairs that were given.
    fn given<'m, 'f>(
        &self,
        modules: &mut Vec<Module<'f>>,
        slots: &mut Vec<Slot<'m>>,
    ) -> Result<Vec<(Slot<'m>, Module<'f>)>, String> {
        let mut pairs = Vec::new();
        for (name, layer) in &self.pairs {
            let module = modules.iter().position(|module| module.name == *name);
            let module =
                module.ok_or_else(|| format!("map: there is no module {name}; left are {}", listed(modules)))?;
            let slot = slots.iter().position(|slot| slot.layer == layer);
            let slot = slot.ok_or_else(|| format!("map: the layer {layer} takes no weights, or no more"))?;
            let (slot, module) = (slots.remove(slot), modules.remove(module));
            slot.fit(&module)?;
            pairs.push((slot, module));
        }
        Ok(pairs)
    }
}

/// The tensors whose names differ in their last part only.
struct Module<'f> {
    name: &'f str,
    /// With the last part of their names.
    tensors: Vec<(&'f str, &'f Tensor<'f>)>,
}

/// What a module goes into: a layer, or a part of it.
struct Slot<'m> {
    index: usize,
    layer: &'m str,
    class: &'static str,
    targets: Vec<Target<'m>>,
}

/// A weight, and what can become it.
#[derive(Clone)]
struct Target<'m> {
    info: &'m ParamInfo,
    /// The last part of its name in PyTorch.
    name: &'m str,
    layouts: Vec<Layout>,
}

impl<'m> Target<'m> {
    fn new(class: &str, info: &'m ParamInfo, orders: Orders) -> Self {
        let weight = info.name.rsplit('/').next().unwrap_or_default();
        Target { info, name: name_of(weight), layouts: layouts(class, weight, info.shape.dims(), orders) }
    }
}

impl Module<'_> {
    fn names(&self) -> impl Iterator<Item = String> {
        self.tensors.iter().map(|(_, tensor)| tensor.name.clone())
    }

    /// `conv1 (weight [8, 1, 3, 3], bias [8])`
    fn shown(&self) -> String {
        let tensors = few(self.tensors.iter().map(|(name, tensor)| format!("{name} {:?}", tensor.shape)));
        format!("{} ({tensors})", self.name)
    }
}

impl<'m> Slot<'m> {
    /// The module's tensors that become its weights; an error says what does not fit.
    fn fit<'s, 'f>(&'s self, module: &Module<'f>) -> Result<Vec<(&'s Target<'m>, &'s Layout, &'f Tensor<'f>)>, String> {
        let place = || format!("{} \"{}\" and the module {}", self.class, self.layer, module.name);
        let mut found = Vec::new();
        for target in &self.targets {
            let tensor = module.tensors.iter().find(|(name, _)| *name == target.name);
            let (_, tensor) = tensor.ok_or_else(|| format!("{}: the file has no {}", place(), target.name))?;
            let layout = target.layouts.iter().find(|layout| layout.shape == tensor.shape).ok_or_else(|| {
                let shape = &target.layouts[0].shape;
                format!("{}: expected {} of shape {shape:?}, got {:?}", place(), target.name, tensor.shape)
            })?;
            found.push((target, layout, *tensor));
        }
        match module.tensors.iter().find(|(name, _)| self.targets.iter().all(|target| target.name != *name)) {
            Some((name, _)) => Err(format!("{}: the file has a {name}, the layer has not", place())),
            None => Ok(found),
        }
    }

    /// `conv2d (Conv2D), which takes weight [8, 1, 3, 3], bias [8]`
    fn shown(&self) -> String {
        let weights: Vec<_> =
            self.targets.iter().map(|target| format!("{} {:?}", target.name, target.layouts[0].shape)).collect();
        format!("{} ({}), which takes {}", self.layer, self.class, weights.join(", "))
    }
}

/// Pairs modules and slots that fit, in the order of both.
fn guess<'m, 'f>(
    modules: &mut Vec<Module<'f>>,
    slots: Vec<Slot<'m>>,
    ordered: bool,
) -> Result<Vec<(Slot<'m>, Module<'f>)>, String> {
    let in_order = ordered
        && modules.len() == slots.len()
        && slots.iter().zip(&*modules).all(|(slot, module)| slot.fit(module).is_ok());
    if in_order {
        return Ok(slots.into_iter().zip(modules.drain(..)).collect());
    }
    let mut pairs = Vec::new();
    for slot in slots {
        let fitting: Vec<usize> = (0..modules.len()).filter(|&i| slot.fit(&modules[i]).is_ok()).collect();
        let Some(&first) = fitting.first() else {
            return Err(format!("no module fits the layer {}; left are {}", slot.shown(), listed(modules)));
        };
        let alike = |&i: &usize| pattern(modules[i].name) == pattern(modules[first].name);
        if !ordered && !fitting.iter().all(alike) {
            return Err(format!(
                "the layer {} fits {}, and a file of safetensors does not tell their order; say which by TorchMapping::map",
                slot.layer,
                few(fitting.iter().map(|&i| modules[i].name.to_owned()))
            ));
        }
        pairs.push((slot, modules.remove(first)));
    }
    Ok(pairs)
}

/// The modules of a file, in their order.
fn modules<'f>(file: &'f StateDict) -> Vec<Module<'f>> {
    let mut places = HashMap::new();
    let mut modules: Vec<Module> = Vec::new();
    for tensor in file.tensors.iter().filter(|tensor| !is_count(&tensor.name)) {
        let (name, last) = tensor.name.rsplit_once('.').unwrap_or(("", &tensor.name));
        let place = *places.entry(name).or_insert(modules.len());
        if place == modules.len() {
            modules.push(Module { name, tensors: Vec::new() });
        }
        modules[place].tensors.push((last, tensor));
    }
    modules
}

/// How many batches a batch normalization has seen, of which its layer here keeps no count.
fn is_count(name: &str) -> bool {
    name.rsplit('.').next() == Some("num_batches_tracked")
}

/// A name without its numbers: modules whose names differ in numbers are in their order.
fn pattern(name: &str) -> String {
    name.split(|letter: char| letter.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
}

fn listed(modules: &[Module]) -> String {
    match modules {
        [] => "none".to_owned(),
        _ => few(modules.iter().map(Module::shown)),
    }
}

/// What a user should know of a layer: PyTorch adds another epsilon by default.
fn note<T: Scalar>(layer: &LayerRef<T>) -> Option<String> {
    let epsilon = layer.info().config.config().ok()?.get("epsilon").and_then(Value::as_f64)?;
    (epsilon != 1e-5).then(|| {
        format!(
            "{} has an epsilon of {epsilon}; PyTorch's is 0.00001 by default: if it is so there, build the layer with epsilon(1e-5)",
            layer.name()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    /// A file of safetensors with tensors of shape `(3, 3)`.
    fn error(names: impl Iterator<Item = String>) -> String {
        let zeros = [0; 36];
        let view = || safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![3, 3], &zeros).unwrap();
        let file = safetensors::serialize(names.map(|name| (name, view())), None).unwrap();
        let model = Sequential::new([3]).add(Dense::new(3).use_bias(false)).build().unwrap();
        let state = StateDict::parse(&file, None).unwrap();
        TorchMapping::new().apply(&model, &state).map(|_| ()).unwrap_err()
    }

    #[test]
    fn errors_list_few_names() {
        let fitting = error(('a'..='k').map(|name| format!("{name}.weight")));
        assert!(fitting.contains("the layer dense fits a, b, c, d, e, f, g, h and 3 more, and a file"), "{fitting}");
        let tensors = error((10..=20).map(|i| format!("a.w{i}")));
        assert!(
            tensors.contains("left are a (w10 [3, 3], ") && tensors.contains("w17 [3, 3] and 3 more)"),
            "{tensors}"
        );
    }
}
