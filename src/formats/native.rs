//! The format of [`Model::save`] that is cornu's own.

use serde_json::Value;

use super::{archive::Archive, optimizer_state, quantized, weights};
use crate::{Error, Model, Result, Scalar, Sequential, config::Registry};

/// The strings of the archive.
pub(super) const ARCHITECTURE: &str = "architecture";
const COMPILE_CONFIG: &str = "compile_config";

/// The file of a model.
pub(super) fn bytes<T: Scalar>(model: &Model<T>) -> Result<Vec<u8>> {
    let refuse = |message| Error::argument("save", message);
    let mut archive = Archive::default();
    weights::add_weights(model, &mut archive);
    archive.strings.insert(ARCHITECTURE.into(), model.architecture()?.to_string());
    let compile_config = model.compile_config();
    let compile_config =
        compile_config.map_err(|message| refuse(format!("{message}; save_weights needs no arguments")))?;
    if !compile_config.is_null() {
        archive.strings.insert(COMPILE_CONFIG.into(), compile_config.to_string());
        optimizer_state::add(model.optimizer_state()?, &mut archive).map_err(refuse)?;
    }
    archive.bytes().map_err(refuse)
}

/// The model in such a file.
pub(super) fn parse<T: Scalar>(bytes: &[u8], registry: &Registry) -> Result<Model<T>, String> {
    let archive = Archive::parse(bytes)?;
    quantized::refuse(&archive)?;
    let Some(architecture) = archive.strings.get(ARCHITECTURE) else {
        return Err(
            "it holds weights, but not the layers they belong to; build the model and call load_weights".to_owned()
        );
    };
    let plan = Sequential::of_architecture(&json(ARCHITECTURE, architecture)?, registry)?;
    let params = |layout: &_| weights::all(layout, &archive).map_err(|message| Error::data("weights", message));
    let mut model = plan.build_with(params).map_err(|error| error.to_string())?;
    let names = weights::names(model.layout());
    if let Some(name) =
        archive.arrays.keys().find(|name| !names.contains(name.as_str()) && !optimizer_state::holds(name))
    {
        return Err(format!("it holds {name}, which none of its layers has"));
    }
    if let Some(compile_config) = archive.strings.get(COMPILE_CONFIG) {
        model.compile_from(&json(COMPILE_CONFIG, compile_config)?, registry)?;
    }
    if model.is_compiled() {
        let state = optimizer_state::read(&model, &archive)?;
        model.set_optimizer_state(&state).map_err(|error| error.to_string())?;
    }
    Ok(model)
}

pub(super) fn json(name: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("its {name} is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        formats::{archive::Array, own::Own},
        prelude::*,
    };

    /// The error of a file in which something is changed, but not its checksum.
    fn error(change: impl FnOnce(&mut Archive)) -> String {
        let plan = Sequential::new([4]).add(Dense::new(3).named("a"));
        let model = plan.compile(Adam::default(), MeanSquaredError, [Metric::MeanAbsoluteError]).unwrap();
        let mut archive = Archive::parse(&bytes(&model).unwrap()).unwrap();
        change(&mut archive);
        parse::<f32>(&archive.bytes().unwrap(), &Registry::default()).unwrap_err()
    }

    /// As above, with other words in one of the strings.
    fn replaced(string: &str, old: &str, new: &str) -> String {
        error(|archive| {
            let text = archive.strings.get_mut(string).unwrap();
            assert!(text.contains(old), "{text} lacks {old}");
            *text = text.replace(old, new);
        })
    }

    #[test]
    fn what_is_wrong_is_said_before_memory_is_taken() {
        let set = |name: &'static str, text: &'static str| {
            error(move |archive| _ = archive.strings.insert(name.into(), text.into()))
        };
        let array =
            |name: &'static str, array: Array| error(move |archive| _ = archive.arrays.insert(name.into(), array));
        let nested = "[".repeat(100_000);
        for (error, words) in [
            (set(ARCHITECTURE, "{"), "its architecture is not JSON"),
            (
                error(|archive| _ = archive.strings.insert(ARCHITECTURE.into(), nested)),
                "its architecture is not JSON: recursion",
            ),
            (set(ARCHITECTURE, "{}"), "expected an object with a class_name"),
            (replaced(ARCHITECTURE, "\"units\":3", "\"units\":2000000000000"), "larger than any memory"),
            (
                replaced(ARCHITECTURE, "\"units\":3", "\"units\":1000000000"),
                "a/kernel: expected shape (4, 1000000000), got [4, 3]",
            ),
            (replaced(ARCHITECTURE, "\"a\"", "\"b\""), "it lacks b/kernel"),
            (error(|archive| _ = archive.arrays.remove("a/bias")), "it lacks a/bias"),
            (array("c/kernel", Array::vector(&[1.0_f32])), "it holds c/kernel, which none of its layers has"),
            (set(COMPILE_CONFIG, "?"), "its compile_config is not JSON"),
            (
                replaced(COMPILE_CONFIG, "\"Adam\"", "\"Own\""),
                "compile_config: optimizer: keras.optimizers has no Own here",
            ),
            (replaced(COMPILE_CONFIG, "\"Adam\"", "\"Own\""), "by Registry::uncompiled"),
            (replaced(COMPILE_CONFIG, "\"Adam\"", "\"SGD\""), "there is no argument"),
            (
                set("optimizer steps", "9007199254740992"),
                "optimizer steps: expected a whole number below 2^53, got \"9007199254740992\"",
            ),
            (set("optimizer epochs", "-1"), "optimizer epochs: expected a whole number below 2^53, got \"-1\""),
            (error(|archive| _ = archive.strings.remove("optimizer steps")), "it lacks optimizer steps"),
            (error(|archive| _ = archive.arrays.remove("optimizer/velocity")), "it lacks optimizer/velocity"),
            (
                array("optimizer/velocity", Array::vector(&[1.0_f32])),
                "got momentum of 15 numbers, velocity of 1 numbers",
            ),
            (array("optimizer learning rate", Array::vector(&[f64::NAN])), "learning_rate must be a finite number"),
        ] {
            assert!(error.contains(words), "{error} lacks {words}");
        }
    }

    #[test]
    fn a_weight_with_the_name_of_an_array_of_the_optimizer_is_an_error() {
        let plan = Sequential::new([4]).add(Own(&[("momentum", 1)]).named("optimizer"));
        let model = plan.compile(Adam::default(), MeanSquaredError, []).unwrap();
        let error = bytes(&model).unwrap_err().to_string();
        assert!(error.contains("a weight is called optimizer/momentum"), "{error}");
    }
}
