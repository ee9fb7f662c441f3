//! [`Object`]: what Keras writes with its class, such as an initializer.

use serde_json::{Map, Value, json};

use super::{Arguments, shortened};

/// What Keras writes as `{"module": "keras.initializers", "class_name": "HeNormal", "config": {...}}`, or as a name.
pub(crate) trait Object: Clone {
    /// `"keras.initializers"`.
    const MODULE: &'static str;

    /// Keras's name of the class: `"HeNormal"`.
    fn class_name(&self) -> &'static str;

    /// The arguments, by their names in Keras.
    fn arguments(&mut self, arguments: &mut Arguments);
}

/// An object of one of the classes that there are here.
pub(crate) trait OfClass: Object {
    /// One of the class, with Keras's defaults; `None` when there is no such class here.
    fn of_class(class: &str) -> Option<Self>;
}

/// The object as Keras writes it.
pub(crate) fn to_json<O: Object>(object: &O) -> Result<Value, String> {
    let mut arguments = Arguments::default();
    object.clone().arguments(&mut arguments);
    let config = arguments.written().map_err(|message| format!("{}: {message}", object.class_name()))?;
    Ok(write(O::MODULE, object.class_name(), config))
}

/// The object with the arguments of a configuration.
pub(crate) fn read<O: Object>(mut object: O, config: Map<String, Value>) -> Result<O, String> {
    let class = object.class_name();
    let mut arguments = Arguments::reading(config);
    object.arguments(&mut arguments);
    arguments.finish().map_err(|message| format!("{class}: {message}"))?;
    Ok(object)
}

/// The object of Keras's for a class and its configuration.
pub(crate) fn write(module: &str, class: &str, config: impl Into<Value>) -> Value {
    let config = config.into();
    json!({"module": module, "class_name": class, "config": config, "registered_name": null})
}

/// The class and the configuration of an object of Keras's; a name alone stands for a class with its defaults.
pub(crate) fn parse(json: &Value) -> Result<(&str, Map<String, Value>), String> {
    let class = class_of(json)?;
    match json.get("config") {
        None | Some(Value::Null) => Ok((class, Map::new())),
        Some(Value::Object(config)) => Ok((class, config.clone())),
        // Keras's functions have names, too.
        Some(Value::String(name)) if class == "function" => Ok((name, Map::new())),
        Some(other) => Err(format!("{class}: expected a config that is an object, got {}", shortened(other))),
    }
}

/// The class alone.
pub(crate) fn class_of(json: &Value) -> Result<&str, String> {
    let class = json.as_str().or_else(|| json.get("class_name").and_then(Value::as_str));
    class.ok_or_else(|| format!("expected an object with a class_name, got {}", shortened(json)))
}

impl<O: OfClass> super::Argument for O {
    fn to_json(&self) -> Value {
        to_json(self).expect("such objects can be written")
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        let (class, config) = parse(json)?;
        read(O::of_class(class).ok_or_else(|| format!("{} has no {class} here", O::MODULE))?, config)
    }
}
