//! The format of [`Model::save`] that is cornu's own.

use serde_json::Value;

use super::{archive::Archive, optimizer_state, quantized::QUANTIZATION, weights};
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
    let compile_config = model.compile_config().map_err(refuse)?;
    if !compile_config.is_null() {
        archive.strings.insert(COMPILE_CONFIG.into(), compile_config.to_string());
        optimizer_state::add(model.optimizer_state()?, &mut archive).map_err(refuse)?;
    }
    archive.bytes().map_err(refuse)
}

/// The model in such a file.
pub(super) fn parse<T: Scalar>(bytes: &[u8], registry: &Registry) -> Result<Model<T>, String> {
    let archive = Archive::parse(bytes)?;
    if archive.strings.contains_key(QUANTIZATION) {
        return Err("its weights are quantized; QuantizedModel::load reads it".to_owned());
    }
    let Some(architecture) = archive.strings.get(ARCHITECTURE) else {
        return Err(
            "it holds weights, but not the layers they belong to; build the model and call load_weights".to_owned()
        );
    };
    let plan = Sequential::of_architecture(&json(ARCHITECTURE, architecture)?, registry)?;
    let params = |layout: &_| weights::all(layout, &archive).map_err(|message| Error::data("weights", message));
    let mut model = plan.build_with(params).map_err(|error| error.to_string())?;
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
