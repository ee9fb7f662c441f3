//! Configurations: the arguments of layers, and of all that they take, as Keras writes them in JSON.
//!
//! One function of each kind, such as [`LayerConfig::arguments`](crate::layers::LayerConfig::arguments), tells its arguments by
//! their names in Keras. The same function writes a configuration and reads one, so the two cannot differ.

mod argument;
mod known;
mod object;
mod registry;

use serde_json::{Map, Value};

use crate::params::WeightSpec;

pub use argument::Argument;
pub(crate) use argument::{choice, named};
pub(crate) use known::{Known, letters};
pub(crate) use object::{Object, OfClass, class_of, parse, read, to_json, write};
pub use registry::Registry;
pub(crate) use registry::optimizer_to_json;

/// The arguments of a configuration, which are being written or read.
///
/// ```
/// use cornu::{config::Arguments, prelude::*};
///
/// let mut arguments = Arguments::default();
/// arguments.argument("rate", &mut 0.5).argument("noise_shape", &mut None::<usize>);
/// assert_eq!(arguments.written()?["rate"], 0.5);
///
/// let (mut rate, mut noise_shape) = (0.0, None::<usize>);
/// let mut arguments = Arguments::reading(serde_json::from_str(r#"{"rate": 0.25, "noise_shape": null}"#).unwrap());
/// arguments.argument("rate", &mut rate).argument("noise_shape", &mut noise_shape);
/// arguments.finish()?;
/// assert_eq!((rate, noise_shape), (0.25, None));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Default)]
pub struct Arguments {
    /// Those that were written, or those that are yet to be read.
    map: Map<String, Value>,
    reading: bool,
    error: Option<String>,
}

impl Arguments {
    /// Arguments that are read from the object `map`.
    pub fn reading(map: Map<String, Value>) -> Self {
        Arguments { map, reading: true, error: None }
    }

    /// An argument: it is written, or overwritten where the configuration has it.
    pub fn argument<A: Argument>(&mut self, name: &str, value: &mut A) -> &mut Self {
        if !self.reading {
            self.map.insert(name.into(), value.to_json());
        } else if let Some(json) = self.map.remove(name) {
            match A::from_json(&json) {
                Ok(read) => *value = read,
                Err(message) => self.fail(format!("{name}: {message}")),
            }
        }
        self
    }

    /// An argument without a default: to read a configuration without it is an error.
    pub fn required<A: Argument>(&mut self, name: &str, value: &mut A) -> &mut Self {
        if self.reading && !self.map.contains_key(name) {
            self.fail(format!("{name} is missing"));
        }
        self.argument(name, value)
    }

    /// An argument of Keras's for which there is one value here: to read another is an error.
    pub fn fixed(&mut self, name: &str, only: impl Into<Value>) -> &mut Self {
        let only = only.into();
        if !self.reading {
            self.map.insert(name.into(), only);
        } else if let Some(json) = self.map.remove(name).filter(|json| *json != only) {
            self.fail(format!("{name}: only {only} is supported, got {}", shortened(&json)));
        }
        self
    }

    /// An argument of Keras's that says nothing here, such as the seed of a layer; it is not written.
    pub fn ignored(&mut self, name: &str) -> &mut Self {
        self.map.remove(name);
        self
    }

    /// An argument that Keras writes as a list of one, such as the `kernel_size` of a [`Conv1D`](crate::layers::Conv1D).
    pub fn one(&mut self, name: &str, value: &mut usize) -> &mut Self {
        let mut list = vec![*value];
        self.argument(name, &mut list);
        match list[..] {
            [one] => *value = one,
            _ => self.fail(format!("{name}: expected one number, got {list:?}")),
        }
        self
    }

    /// An argument that Keras 2 writes as a list of one.
    pub(crate) fn or_list_of_one<A: Argument>(&mut self, name: &str, value: &mut A) -> &mut Self {
        if self.reading
            && let Some(json) = self.map.get_mut(name)
            && let Some([item]) = json.as_array().map(Vec::as_slice)
        {
            *json = item.clone();
        }
        self.argument(name, value)
    }

    /// As [`one`](Arguments::one), or `null`.
    pub fn optional_one(&mut self, name: &str, value: &mut Option<usize>) -> &mut Self {
        let mut list = value.map(|one| vec![one]);
        self.argument(name, &mut list);
        match list.as_deref() {
            None => *value = None,
            Some(&[one]) => *value = Some(one),
            Some(list) => self.fail(format!("{name}: expected one number, got {list:?}")),
        }
        self
    }

    /// The three arguments of a weight: `name_initializer`, `name_regularizer`, `name_constraint`.
    pub fn weight(&mut self, name: &str, spec: &mut WeightSpec) -> &mut Self {
        self.argument(&format!("{name}_initializer"), &mut spec.initializer)
            .argument(&format!("{name}_regularizer"), &mut spec.regularizer)
            .argument(&format!("{name}_constraint"), &mut spec.constraint)
    }

    /// Says that what is configured cannot be: `message` goes into the error.
    pub fn fail(&mut self, message: impl Into<String>) {
        self.error.get_or_insert(message.into());
    }

    /// Whether a configuration is being read.
    pub fn is_reading(&self) -> bool {
        self.reading
    }

    /// The configuration that was written.
    ///
    /// # Errors
    /// The first message given to [`fail`](Arguments::fail).
    pub fn written(&mut self) -> Result<Map<String, Value>, String> {
        self.error.take().map_or_else(|| Ok(std::mem::take(&mut self.map)), Err)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// When an argument could not be read, or one is left over. One that is left and `null` or `false` says nothing, as newer versions of Keras
    /// write what they can and this model does not use.
    pub fn finish(&mut self) -> Result<(), String> {
        let unused = |json: &Value| matches!(json, Value::Null | Value::Bool(false));
        if let Some((name, json)) = self.map.iter().find(|(_, json)| !unused(json)) {
            self.error.get_or_insert(format!("there is no argument {name} (it is {})", shortened(json)));
        }
        self.error.take().map_or(Ok(()), Err)
    }
}

/// A value in an error: of a long one, its start.
pub(crate) fn shortened(json: &Value) -> String {
    const LONGEST: usize = 80;
    let text = json.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: Value, f: impl FnOnce(&mut Arguments)) -> Result<(), String> {
        let Value::Object(map) = json else { panic!() };
        let mut arguments = Arguments::reading(map);
        f(&mut arguments);
        arguments.finish()
    }

    #[test]
    fn what_a_configuration_lacks_keeps_its_default() {
        let mut rate = 0.5;
        read(json!({}), |a| _ = a.argument("rate", &mut rate)).unwrap();
        assert_eq!(rate, 0.5);
        let error = read(json!({}), |a| _ = a.required("rate", &mut rate)).unwrap_err();
        assert_eq!(error, "rate is missing");
    }

    #[test]
    fn what_is_left_over_is_an_error_unless_it_says_nothing() {
        read(json!({"a": null, "b": false}), |_| ()).unwrap();
        let error = read(json!({"groups": 3}), |_| ()).unwrap_err();
        assert_eq!(error, "there is no argument groups (it is 3)");
    }

    #[test]
    fn one_value_only() {
        let fixed = |json| read(json, |a| _ = a.fixed("data_format", "channels_last"));
        fixed(json!({})).unwrap();
        fixed(json!({"data_format": "channels_last"})).unwrap();
        let error = fixed(json!({"data_format": "channels_first"})).unwrap_err();
        assert_eq!(error, "data_format: only \"channels_last\" is supported, got \"channels_first\"");
    }

    #[test]
    fn the_first_error_counts_and_long_values_are_cut() {
        let mut x = 0_usize;
        let error =
            read(json!({"a": "é".repeat(200), "b": -1}), |a| _ = a.argument("a", &mut x).argument("b", &mut x));
        let error = error.unwrap_err();
        assert!(
            error.starts_with("a: expected a whole number of at least 0, got \"é") && error.ends_with('…'),
            "{error}"
        );
    }
}
