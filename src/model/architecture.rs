//! The layers of a model as JSON, in the schema in which Keras writes a `Sequential`.

use serde_json::{Map, Value, json};

use super::{
    Model, Sequential,
    sequential::{Planned, check_rate},
};
use crate::{
    Error, Result, Scalar, Shape,
    config::{self, Argument, Arguments, Registry, shortened},
};

/// More than any model that computes; a file that says it has more is wrong, and building them would take long.
const MAX_LAYERS: usize = 10_000;

impl Sequential {
    /// The layers with their arguments as JSON, in the schema of Keras's `model.to_json()`: `keras.models.model_from_json` reads it.
    ///
    /// Weights and the seed are not in it.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let plan = Sequential::new([28, 28, 1]).add(Flatten::new()).add(Dense::new(10).activation(Activation::Softmax));
    /// let same = Sequential::from_json(&plan.to_json()?)?;
    /// assert_eq!(same.build()?.count_params(), 7850);
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`build`](Sequential::build), when a layer of a user's does not tell its
    /// [arguments](crate::layers::LayerConfig::arguments), and when there are more layers than are read, 10,000 with that of the input.
    pub fn to_json(&self) -> Result<String> {
        Ok(format!("{:#}", self.architecture()?))
    }

    /// The plan that [`to_json`](Sequential::to_json), or Keras, has written. Layers have their names; what is written of compilation
    /// is not read.
    ///
    /// # Errors
    /// When `json` is no JSON, no `Sequential`, or has a layer or an argument that does not exist here: the error names the layer, and
    /// says what it has and what was expected.
    pub fn from_json(json: &str) -> Result<Self> {
        Sequential::from_json_with(json, &Registry::default())
    }

    /// [`from_json`](Sequential::from_json) where there are layers of your own.
    ///
    /// # Errors
    /// Those of [`from_json`](Sequential::from_json).
    pub fn from_json_with(json: &str, registry: &Registry) -> Result<Self> {
        let json = serde_json::from_str(json).map_err(|error| wrong(format!("not JSON: {error}")))?;
        Sequential::of_architecture(&json, registry).map_err(wrong)
    }

    /// The object that [`to_json`](Sequential::to_json) writes.
    pub(crate) fn architecture(&self) -> Result<Value> {
        let names = self.names()?;
        architecture(self.input, names.iter().map(String::as_str).zip(&self.layers))
    }

    /// The plan that such an object stands for.
    pub(crate) fn of_architecture(json: &Value, registry: &Registry) -> Result<Self, String> {
        let class = config::class_of(json)?;
        if class != "Sequential" {
            return Err(format!(
                "expected a Sequential, got a {class}: only models whose layers follow one another can be read"
            ));
        }
        let config = json.get("config").unwrap_or(&Value::Null);
        let layers = config.get("layers").and_then(Value::as_array);
        let layers = layers.ok_or_else(|| format!("Sequential: expected a list of layers, got {}", shortened(json)))?;
        check_count(layers.len())?;
        let mut input = config.get("build_input_shape").filter(|shape| !shape.is_null()).cloned();
        let mut planned = Vec::new();
        for (i, json) in layers.iter().enumerate() {
            let (class, mut config) = config::parse(json).map_err(|message| format!("layers[{i}]: {message}"))?;
            let name = config.get("name").and_then(Value::as_str).unwrap_or(class).to_owned();
            let place = |message| format!("layers[{i}] {class} \"{name}\": {message}");
            // Keras 2 has it in the first layer that comes.
            let shape = config.remove("batch_shape").or_else(|| config.remove("batch_input_shape"));
            if i == 0 && shape.is_some() {
                input = shape;
            }
            if matches!(class, "Sequential" | "Functional" | "Model") && config.contains_key("layers") {
                return Err(place("a model in a model cannot be read; add its layers to the outer one".to_owned()));
            }
            if class != "InputLayer" {
                planned.push(Planned::of_json(class, &name, config, json, registry).map_err(place)?);
            }
        }
        let input =
            input.ok_or("Sequential: the shape of the input is missing: build the model before it is written")?;
        Ok(Sequential::of(input_shape(&input)?, planned.into_iter()))
    }
}

impl<T: Scalar> Model<T> {
    /// [`Sequential::to_json`] of the model's layers.
    ///
    /// # Errors
    /// When a layer of a user's does not tell its [arguments](crate::layers::LayerConfig::arguments), or there are more than are read.
    pub fn to_json(&self) -> Result<String> {
        Ok(format!("{:#}", self.architecture()?))
    }

    /// The object that [`to_json`](Model::to_json) writes.
    pub(crate) fn architecture(&self) -> Result<Value> {
        let layers: Vec<Planned> = self.bare(0..self.layers.len()).collect();
        architecture(self.input_shape(), self.layers().map(|layer| layer.name()).zip(&layers))
    }
}

impl Planned {
    fn to_json(&self, name: &str) -> Result<Value, String> {
        let mut config = self.config.config()?;
        config.insert("name".into(), name.into());
        // Keras's SpatialDropout2D, which has no weights, does not take it.
        if self.config.class_name() != "SpatialDropout2D" {
            config.insert("trainable".into(), self.trainable.into());
        }
        config.insert("dtype".into(), "float32".into());
        let mut json = config::write("keras.layers", self.config.class_name(), config);
        if self.rate != 1.0 {
            json["learning_rate_multiplier"] = self.rate.into();
        }
        Ok(json)
    }

    fn of_json(
        class: &str,
        name: &str,
        config: Map<String, Value>,
        json: &Value,
        registry: &Registry,
    ) -> Result<Self, String> {
        let (mut trainable, mut rate) = (true, 1.0);
        let mut arguments = Arguments::reading(config);
        arguments.ignored("name").argument("trainable", &mut trainable).ignored("dtype");
        let config = registry.layer(class, &mut arguments)?;
        arguments.finish()?;
        if let Some(json) = json.get("learning_rate_multiplier") {
            let read = f64::from_json(json).and_then(|rate| check_rate(rate).map(|()| rate));
            rate = read.map_err(|message| format!("learning_rate_multiplier: {message}"))?;
        }
        Ok(Planned { config, taken: Some((name.to_owned(), Vec::new())), trainable, rate })
    }
}

/// For the reader, and for the writer so that it writes none that cannot be read.
fn check_count(layers: usize) -> Result<(), String> {
    match layers > MAX_LAYERS {
        true => Err(format!("Sequential: {layers} layers are more than {MAX_LAYERS}")),
        false => Ok(()),
    }
}

/// The layers by their names.
fn architecture<'a>(input: Shape, named: impl Iterator<Item = (&'a str, &'a Planned)>) -> Result<Value> {
    let input = batch_shape(input);
    let mut layers = vec![config::write(
        "keras.layers",
        "InputLayer",
        json!({"name": "input_layer", "batch_shape": input, "dtype": "float32", "sparse": false}),
    )];
    for (i, (name, planned)) in named.enumerate() {
        layers.push(planned.to_json(name).map_err(|message| {
            Error::argument(format!("{} \"{name}\" (layer {i})", planned.config.class_name()), message)
        })?);
    }
    check_count(layers.len()).map_err(|message| Error::argument("layers", message))?;
    let layers = json!({"name": "sequential", "trainable": true, "dtype": "float32", "layers": layers,
        "build_input_shape": input});
    Ok(config::write("keras", "Sequential", layers))
}

/// `[null, 28, 28, 1]`
fn batch_shape(sample: Shape) -> Value {
    [Value::Null].into_iter().chain(sample.dims().iter().map(|&dim| dim.into())).collect()
}

fn input_shape(json: &Value) -> Result<Shape, String> {
    let dims = json.as_array().and_then(|dims| dims.split_first()).map(|(_, sample)| sample);
    let sizes = dims.and_then(|dims| dims.iter().map(|dim| usize::from_json(dim).ok()).collect::<Option<Vec<_>>>());
    let shape = sizes.and_then(|sizes| Shape::new(&sizes).ok());
    shape.ok_or_else(|| {
        format!(
            "the shape of the input is {}; expected one whose sizes are all known but the first, as [null, 28, 28, 1]",
            shortened(json)
        )
    })
}

fn wrong(message: String) -> Error {
    Error::argument("Sequential::from_json", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn read(layers: &str) -> String {
        let json = format!(r#"{{"class_name": "Sequential", "config": {{"layers": [{layers}]}}}}"#);
        Sequential::from_json(&json).map(|_| ()).unwrap_err().to_string()
    }

    const INPUT: &str = r#"{"class_name": "InputLayer", "config": {"batch_shape": [null, 28, 28, 1]}}"#;

    #[test]
    fn names_frozen_layers_and_rates_are_kept() {
        let mut model = Sequential::new([8, 8, 1])
            .add(Conv2D::new(2, 3).named("first"))
            .add(Flatten::new())
            .add(Dense::new(3))
            .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [])
            .unwrap();
        model.set_trainable("first", false).unwrap();
        model.set_learning_rate_multiplier("dense", 0.5).unwrap();
        let json = model.to_json().unwrap();
        let again = Sequential::from_json(&json).unwrap().build().unwrap();
        assert_eq!(again.to_json().unwrap(), json);
        assert!(!again.get_layer("first").unwrap().trainable());
        assert_eq!(again.count_params(), model.count_params());
    }

    #[test]
    fn files_of_keras_2() {
        let first = r#"{"class_name": "Dense", "config": {"name": "d", "batch_input_shape": [null, 4], "units": 2}}"#;
        let json = format!(r#"{{"class_name": "Sequential", "config": {{"name": "s", "layers": [{first}]}}}}"#);
        assert_eq!(Sequential::from_json(&json).unwrap().build().unwrap().input_shape(), [4].into());
    }

    #[test]
    fn what_cannot_be_read_names_the_place() {
        let errors = [
            (Sequential::from_json("{").unwrap_err().to_string(), "not JSON"),
            (Sequential::from_json(r#"{"class_name": "Functional"}"#).unwrap_err().to_string(), "got a Functional"),
            (Sequential::from_json(r#"{"class_name": "Sequential"}"#).unwrap_err().to_string(), "list of layers"),
            (read(r#"{"class_name": "Dense", "config": {"units": 1}}"#), "shape of the input is missing"),
            (read(r#"{"class_name": "InputLayer", "config": {"batch_shape": [null, null, 3]}}"#), "[null,null,3]"),
            (read(&format!("{INPUT}, 3")), "layers[1]: expected an object with a class_name, got 3"),
            (
                read(&format!(r#"{INPUT}, {{"class_name": "Lambda", "config": {{"name": "l"}}}}"#)),
                "layers[1] Lambda \"l\": there is no such layer",
            ),
            (
                read(&format!(r#"{INPUT}, {{"class_name": "Sequential", "config": {{"name": "s", "layers": []}}}}"#)),
                "layers[1] Sequential \"s\": a model in a model",
            ),
            (
                read(&format!(r#"{INPUT}, {{"class_name": "Flatten", "learning_rate_multiplier": "x"}}"#)),
                "layers[1] Flatten \"Flatten\": learning_rate_multiplier: expected a number, got \"x\"",
            ),
            (
                read(&format!(r#"{INPUT}, {{"class_name": "Dense", "config": {{}}}}"#)),
                "layers[1] Dense \"Dense\": units is missing",
            ),
            (
                read(&format!(r#"{INPUT}, {{"class_name": "Dense", "config": {{"units": -1}}}}"#)),
                "units: expected a whole number",
            ),
            (
                read(&format!(r#"{INPUT}, {{"class_name": "Dense", "config": {{"units": 1, "lora_rank": 4}}}}"#)),
                "no argument lora_rank",
            ),
            (
                read(&format!(
                    r#"{INPUT}, {{"class_name": "Flatten", "config": {{"data_format": "channels_first"}}}}"#
                )),
                "only \"channels_last\"",
            ),
        ];
        for (error, words) in &errors {
            assert!(error.contains(words), "{error} lacks {words}");
        }
    }

    #[test]
    fn too_many_layers_are_an_error_and_are_not_written() {
        let layers = vec![r#"{"class_name":"Flatten"}"#; MAX_LAYERS + 1].join(",");
        assert!(read(&layers).contains("10001 layers are more than 10000"));
        // One of those that are written is the input.
        let plan =
            |layers| (0..layers).fold(Sequential::new([4]), |plan, i| plan.add(Activation::Relu.named(format!("{i}"))));
        Sequential::from_json(&plan(MAX_LAYERS - 1).to_json().unwrap()).unwrap();
        let error = plan(MAX_LAYERS).to_json().unwrap_err().to_string();
        assert!(error.contains("10001 layers are more than 10000"), "{error}");
    }
}
