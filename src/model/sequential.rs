//! [`Sequential`]: the layers of a model one after the other, before they are built.

use std::{collections::HashSet, fmt::Debug, iter, sync::Arc};

use serde_json::{Map, Value};

use super::{
    Model,
    graph::{Graph, Node},
    layer_info::LayerInfo,
};
use crate::{
    Activation, Error, Metric, Result, Scalar, Shape, Tensor,
    config::Arguments,
    layers::{Build, ChannelAffine, LayerConfig, erased::DynLayer},
    losses::Loss,
    optimizers::Optimizer,
    params::{ParamInfo, ParamLayout},
};

/// A model as a list of layers, each reading what the one before it gives: `keras.Sequential`.
///
/// It is a plan: [`build`](Sequential::build) or [`compile`](Sequential::compile) checks that the layers fit each other
/// and makes a [`Model`] of it.
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 1])
///     .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
///     .add(MaxPooling2D::new((2, 2)))
///     .add(Flatten::new())
///     .add(Dense::new(10).activation(Activation::Softmax))
///     .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
/// assert_eq!(model.count_params(), 54_410);
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// A model's layers can be taken with their weights into a new plan, for transfer learning:
///
/// ```
/// # use cornu::prelude::*;
/// # let digits = Sequential::new([8]).add(Dense::new(6)).add(Dense::new(5)).build()?;
/// let plan = Sequential::from(&digits).pop().freeze().add(Dense::new(3).activation(Activation::Softmax));
/// let model = plan.compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
/// assert_eq!(model.get_weights()[..2], digits.get_weights()[..2]);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sequential {
    pub(super) input: Shape,
    pub(super) layers: Vec<Planned>,
    seed: u64,
}

/// A layer of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub config: Arc<dyn DynConfig>,
    /// The name, and the weights, that it has in the model or the file from which it was taken; a file of the architecture has none.
    pub taken: Option<(String, Vec<Tensor<f64>>)>,
    pub trainable: bool,
    /// What the learning rate is multiplied by for its weights.
    pub rate: f64,
}

impl Planned {
    /// Those of a layer that was taken from a model.
    pub fn weights(&self) -> &[Tensor<f64>] {
        self.taken.as_ref().map_or(&[], |(_, weights)| weights)
    }
}

impl Sequential {
    /// A model without layers for samples of shape `input` (without the batch).
    pub fn new(input: impl Into<Shape>) -> Self {
        Sequential { input: input.into(), layers: Vec::new(), seed: 0 }
    }

    /// These layers.
    pub(super) fn of(input: Shape, layers: impl Iterator<Item = Planned>) -> Self {
        Sequential { layers: layers.collect(), ..Sequential::new(input) }
    }

    /// Layers by their configurations.
    #[cfg(feature = "onnx")]
    pub(crate) fn of_configs(input: Shape, layers: impl IntoIterator<Item = Arc<dyn DynConfig>>) -> Self {
        let planned = |config| Planned { config, taken: None, trainable: true, rate: 1.0 };
        Sequential::of(input, layers.into_iter().map(planned))
    }

    /// Adds a layer at the end.
    #[allow(clippy::should_implement_trait, reason = "Keras's name")]
    pub fn add(mut self, layer: impl LayerConfig) -> Self {
        self.layers.push(Planned { config: Arc::new(layer), taken: None, trainable: true, rate: 1.0 });
        self
    }

    /// Adds the layers of a model, with their names and copies of their weights.
    pub fn extend<T: Scalar>(mut self, model: &Model<T>) -> Self {
        self.layers.extend(model.planned());
        self
    }

    /// Removes the last layer, if there is one.
    pub fn pop(mut self) -> Self {
        self.layers.pop();
        self
    }

    /// Freezes the layers that there are so far, as [`Model::set_trainable`] does.
    pub fn freeze(mut self) -> Self {
        self.layers.iter_mut().for_each(|layer| layer.trainable = false);
        self
    }

    /// The seed of the initial weights; 0 by default. The same seed gives the same weights on every machine.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Builds the layers and draws their weights; such a model predicts.
    ///
    /// # Errors
    /// When a layer's arguments are out of range, or a layer cannot take the shape that comes in: the error shows the
    /// layers with the shapes so far. When there is no memory for the weights.
    pub fn build(self) -> Result<Model> {
        self.build_as()
    }

    /// [`build`](Sequential::build) for either scalar: `build_as::<f64>()` makes a model in double precision. To train it,
    /// [compile](Model::compile) the model.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let mut model = Sequential::new([3]).add(Dense::new(1)).build_as::<f64>()?;
    /// model.compile(SGD::default(), MeanSquaredError, [Metric::MeanAbsoluteError])?;
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`build`](Sequential::build).
    pub fn build_as<T: Scalar>(self) -> Result<Model<T>> {
        let plan = self.plan()?;
        let mut params = plan.layout.initialize(self.seed)?;
        for (layer, node) in self.layers.iter().zip(&plan.nodes) {
            if let Some((_, weights)) = &layer.taken {
                put_weights(weights, &plan.layout.infos()[node.weights.clone()], &mut params)?;
            }
        }
        Ok(plan.model(params))
    }

    /// Builds the layers with weights that `params` gives, as [`Model::params`] has them, for what the layers have declared. No memory
    /// is taken for the weights before, so a file can be asked first whether it has them.
    pub(crate) fn build_with<T: Scalar>(self, params: impl FnOnce(&ParamLayout) -> Result<Vec<T>>) -> Result<Model<T>> {
        let plan = self.plan()?;
        let params = params(&plan.layout)?;
        assert_eq!(params.len(), plan.layout.len(), "a number for each weight");
        Ok(plan.model(params))
    }

    /// The built layers without their weights.
    pub(super) fn graph(&self) -> Result<(Vec<LayerInfo>, Graph)> {
        let Plan { input, nodes, infos, layout, head, .. } = self.plan()?;
        Ok((infos, Graph::new(input, nodes, head, layout)))
    }

    /// The built layers.
    fn plan(&self) -> Result<Plan> {
        let mut plan = Plan::new(self.input)?;
        if self.layers.is_empty() {
            return Err(Error::argument("Sequential", "a model needs at least one layer; add one"));
        }
        for (i, layer) in self.layers.iter().enumerate() {
            if let Err(error) = plan.push(layer, self.layers.get(i + 1).map(|next| &*next.config)) {
                return Err(plan.explain(error, &*layer.config));
            }
        }
        Ok(plan)
    }

    /// The names of the layers.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        Ok(self.plan()?.infos.into_iter().map(|info| info.name).collect())
    }

    /// Builds the layers and says how the model is trained: by which optimizer, on which loss, and what is measured
    /// besides.
    ///
    /// # Errors
    /// As [`build`](Sequential::build) and [`Model::compile`].
    pub fn compile(
        self,
        optimizer: impl Optimizer,
        loss: impl Loss,
        metrics: impl IntoIterator<Item = Metric>,
    ) -> Result<Model> {
        let mut model = self.build()?;
        model.compile(optimizer, loss, metrics)?;
        Ok(model)
    }
}

impl<T: Scalar> From<&Model<T>> for Sequential {
    /// The layers of a model, with their names and copies of their weights.
    fn from(model: &Model<T>) -> Self {
        Sequential::new(model.input_shape()).extend(model)
    }
}

/// Whether a learning rate can be multiplied by this; if not, why.
pub(super) fn check_rate(multiplier: f64) -> Result<(), String> {
    match multiplier > 0.0 && multiplier.is_finite() {
        true => Ok(()),
        false => Err(format!("multiplier must be a finite number above 0, got {multiplier}; see set_trainable")),
    }
}

/// Copies the weights of a layer that was taken from another model into the flat array.
fn put_weights<T: Scalar>(weights: &[Tensor<f64>], infos: &[ParamInfo], params: &mut [T]) -> Result<()> {
    for (weight, info) in weights.iter().zip(infos) {
        if weight.shape() != info.shape {
            let help = "a layer keeps its weights only where the shape that comes in is that of its old model";
            return Err(Error::shape(&*info.name, format!("a weight of shape {}", info.shape), weight.shape(), help));
        }
        for (param, &weight) in params[info.range()].iter_mut().zip(weight.data()) {
            *param = T::of(weight);
        }
    }
    Ok(())
}

/// The elements of the largest sample: a million million. With it, no sum of bytes over a batch and its layers overflows.
const MAX_SAMPLE: usize = 1 << 40;

/// The layers built so far.
struct Plan {
    input: Shape,
    nodes: Vec<Node>,
    infos: Vec<LayerInfo>,
    names: HashSet<String>,
    layout: ParamLayout,
    head: Activation,
    /// Whether the last layer has left its relu to the next one.
    relu: bool,
}

impl Plan {
    fn new(input: Shape) -> Result<Self> {
        if input.size() == 0 || input.rank() >= crate::MAX_RANK {
            return Err(Error::shape(
                "Sequential::new",
                format!("a sample of at most {} dimensions, none of them 0", crate::MAX_RANK - 1),
                input,
                "leave out the batch",
            ));
        }
        if input.size() > MAX_SAMPLE {
            return Err(Error::argument(
                "Sequential::new",
                format!("a sample of shape {input} is larger than any memory"),
            ));
        }
        Ok(Plan {
            input,
            nodes: Vec::new(),
            infos: Vec::new(),
            names: HashSet::new(),
            layout: ParamLayout::default(),
            head: Activation::Linear,
            relu: false,
        })
    }

    fn push(&mut self, planned: &Planned, next: Option<&dyn DynConfig>) -> Result<()> {
        let layer = &*planned.config;
        let class = layer.class_name();
        let name = self.unique_name(planned)?;
        let (weights, offset) = (self.layout.infos().len(), self.layout.len());
        let mut cx = Build::new(class, &name, self.infos.len(), self.output(), &mut self.layout);
        let with_relu = layer.then_relu().filter(|_| self.relu);
        let layer = with_relu.as_deref().unwrap_or(layer);
        // Without its softmax or sigmoid, the last layer gives logits; see `Graph::head`. A relu goes to where it costs less.
        let split = layer.split_activation().filter(|(_, activation)| match (activation, next) {
            (Activation::Softmax | Activation::Sigmoid, None) => true,
            (Activation::Relu, Some(next)) => next.then_relu().is_some(),
            _ => false,
        });
        let (built, output) = split.as_ref().map_or(layer, |(layer, _)| &**layer).build(&mut cx)?;
        if output.size() == 0 || output.rank() >= crate::MAX_RANK {
            return Err(cx.shape_error("an input that leaves something", format!("the output would be {output}")));
        }
        if output.size() > MAX_SAMPLE {
            return Err(cx.argument_error(format!("an output of shape {output} is larger than any memory")));
        }
        self.relu = split.as_ref().is_some_and(|_| next.is_some());
        self.head = split.filter(|_| next.is_none()).map_or(Activation::Linear, |(_, head)| head);
        let (weights, params) = (weights..self.layout.infos().len(), offset..self.layout.len());
        self.nodes.push(Node {
            layer: built,
            output,
            weights,
            params,
            trainable: planned.trainable,
            rate: planned.rate,
        });
        self.names.insert(name.clone());
        self.infos.push(LayerInfo { name, config: planned.config.clone(), output });
        Ok(())
    }

    fn model<T: Scalar>(self, params: Vec<T>) -> Model<T> {
        let Plan { input, nodes, infos, layout, head, .. } = self;
        Model::new(infos, Graph::new(input, nodes, head, layout), params)
    }

    fn output(&self) -> Shape {
        self.nodes.last().map_or(self.input, |node| node.output)
    }

    /// The user's name, or the kind and its number, as Keras counts: `conv2d`, `conv2d_1`.
    fn unique_name(&self, planned: &Planned) -> Result<String> {
        let layer = &*planned.config;
        let taken = planned.taken.as_ref().map(|(name, _)| name.as_str());
        if let Some(name) = taken.or(layer.name()) {
            return match self.names.contains(name) {
                false => Ok(name.to_owned()),
                true => Err(Error::argument(
                    format!("{} \"{name}\" (layer {})", layer.class_name(), self.infos.len()),
                    "another layer has this name; names are unique in a model",
                )),
            };
        }
        let base = snake_case(layer.class_name());
        let numbered = (1..).map(|i| format!("{base}_{i}"));
        let mut names = iter::once(base.clone()).chain(numbered);
        Ok(names.find(|name| !self.names.contains(name)).expect("there are more numbers than layers"))
    }

    /// Adds the stack of layers so far to the error of a shape, with an arrow at the layer that failed.
    fn explain(&self, error: Error, failed: &dyn DynConfig) -> Error {
        let Error::Shape { place, expected, got, help } = error else {
            return error;
        };
        let row = |mark: &str, layer: &str, shape: String| format!("\n  {mark} {layer:<32} {shape}");
        let mut stack = row(" ", "input", self.input.to_string());
        for info in &self.infos {
            stack += &row(" ", &format!("{} ({})", info.name, info.config.class_name()), info.output.to_string());
        }
        stack += &row(">", failed.class_name(), "does not fit here".to_owned());
        Error::Shape { place, expected, got, help: format!("{help}{stack}").into() }
    }
}

/// `MaxPooling2D` becomes `max_pooling2d`, as in Keras.
pub(crate) fn snake_case(class: &str) -> String {
    let mut name = String::new();
    let mut previous = None;
    let mut letters = class.chars().peekable();
    while let Some(letter) = letters.next() {
        let next_is_lower = letters.peek().is_some_and(|next| next.is_lowercase());
        let begins_word = previous.is_some_and(|p: char| p.is_lowercase() || (p.is_ascii_digit() && next_is_lower));
        let ends_acronym = previous.is_some_and(|p: char| p.is_uppercase()) && next_is_lower;
        if letter.is_uppercase() && (begins_word || ends_acronym) {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
        previous = Some(letter);
    }
    name
}

/// A [`LayerConfig`] as an object.
pub(crate) trait DynConfig: Debug + Send + Sync {
    fn class_name(&self) -> &'static str;
    fn config(&self) -> Result<Map<String, Value>, String>;
    /// This layer, with the arguments that are being read.
    fn read(&self, arguments: &mut Arguments) -> Arc<dyn DynConfig>;
    fn name(&self) -> Option<&str>;
    fn build(&self, cx: &mut Build) -> Result<(Arc<dyn DynLayer>, Shape)>;
    fn split_activation(&self) -> Option<(Box<dyn DynConfig>, Activation)>;
    fn then_relu(&self) -> Option<Box<dyn DynConfig>>;
    fn channel_affine(&self, input: Shape, weights: &[Tensor<f64>]) -> Option<ChannelAffine>;
    fn absorb(&self, weights: &[Tensor<f64>], affine: &ChannelAffine) -> Option<Absorbed>;
}

/// A layer that does another's work as well, and its weights.
pub(crate) type Absorbed = (Arc<dyn DynConfig>, Vec<Tensor<f64>>);

impl<C: LayerConfig> DynConfig for C {
    fn class_name(&self) -> &'static str {
        LayerConfig::class_name(self)
    }

    fn config(&self) -> Result<Map<String, Value>, String> {
        let mut arguments = Arguments::default();
        self.clone().arguments(&mut arguments);
        arguments.written()
    }

    fn read(&self, arguments: &mut Arguments) -> Arc<dyn DynConfig> {
        let mut layer = self.clone();
        layer.arguments(arguments);
        Arc::new(layer)
    }

    fn name(&self) -> Option<&str> {
        LayerConfig::name(self)
    }

    fn build(&self, cx: &mut Build) -> Result<(Arc<dyn DynLayer>, Shape)> {
        let (layer, output) = LayerConfig::build(self, cx)?;
        Ok((Arc::new(layer), output))
    }

    fn split_activation(&self) -> Option<(Box<dyn DynConfig>, Activation)> {
        let (layer, activation) = LayerConfig::split_activation(self)?;
        Some((Box::new(layer), activation))
    }

    fn then_relu(&self) -> Option<Box<dyn DynConfig>> {
        Some(Box::new(LayerConfig::then_relu(self)?))
    }

    fn channel_affine(&self, input: Shape, weights: &[Tensor<f64>]) -> Option<ChannelAffine> {
        LayerConfig::channel_affine(self, input, weights)
    }

    fn absorb(&self, weights: &[Tensor<f64>], affine: &ChannelAffine) -> Option<Absorbed> {
        let (layer, weights) = LayerConfig::absorb(self, weights, affine)?;
        Some((Arc::new(layer), weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn names_are_those_of_keras() {
        for (class, name) in [
            ("Conv2D", "conv2d"),
            ("MaxPooling2D", "max_pooling2d"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("ZeroPadding2D", "zero_padding2d"),
            ("Dense", "dense"),
            ("PReLU", "p_re_lu"),
            ("Conv2DTranspose", "conv2d_transpose"),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }

    #[test]
    fn layers_are_counted_by_kind() {
        let model = Sequential::new([8, 8, 1])
            .add(Conv2D::new(2, 3))
            .add(Conv2D::new(2, 3))
            .add(Flatten::new())
            .add(Dense::new(3).named("conv2d_2"))
            .add(Dense::new(3))
            .build()
            .unwrap();
        let names: Vec<_> = model.layers().map(|layer| layer.name().to_owned()).collect();
        assert_eq!(names, ["conv2d", "conv2d_1", "flatten", "conv2d_2", "dense"]);
    }

    #[test]
    fn a_layer_that_does_not_fit_is_shown_in_its_stack() {
        let error = Sequential::new([28, 28, 1])
            .add(Conv2D::new(32, 3))
            .add(MaxPooling2D::new(40))
            .build()
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("MaxPooling2D \"max_pooling2d\" (layer 1): expected"), "{error}");
        assert!(error.contains("conv2d (Conv2D)                  (26, 26, 32)"), "{error}");
        assert!(error.contains("> MaxPooling2D"), "{error}");
    }

    #[test]
    fn names_must_differ() {
        let layer = Dense::new(2).named("a");
        let error = Sequential::new([3]).add(layer.clone()).add(layer).build().unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
    }

    #[test]
    fn an_empty_input_is_an_error() {
        assert!(Sequential::new([28, 0, 1]).build().is_err());
    }
}
