//! Keras's files: `.keras`, which is a zip of two JSON files and one of HDF5, and the HDF5 files `.h5` and `.weights.h5`.

mod chain;
mod optimizer;
mod variables;

use std::io::{Cursor, Write};

use serde_json::{Value, json};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use self::variables::{Counter, Layer, Variables, params};
use super::{
    HDF5, ZIP,
    entries::Entries,
    hdf5::{self, File, Group, Numbers},
};
use crate::{Error, Model, Result, Scalar, Sequential, config::Registry};

/// The files in a `.keras` file.
const METADATA: &str = "metadata.json";
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.weights.h5";

/// The longest JSON, in bytes; a layer takes a thousand. It takes many times as much memory once it is read.
const MAX_CONFIG: u64 = 16 << 20;

/// Whether a file is one of Keras's.
pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP) || bytes.starts_with(HDF5)
}

/// The model in a `.keras` or `.h5` file.
pub(super) fn parse<T: Scalar>(bytes: &[u8], registry: &Registry) -> Result<Model<T>, String> {
    if !bytes.starts_with(ZIP) {
        return parse_h5(bytes, registry);
    }
    let entries = entries(bytes)?;
    let config = json(CONFIG, &entries.unpacked(CONFIG, limit(bytes).min(MAX_CONFIG))?)?;
    let weights = entries.unpacked(WEIGHTS, limit(bytes))?;
    let inside = |message| format!("{WEIGHTS}: {message}");
    let file = File::parse(&weights).map_err(inside)?;
    let variables = Variables::ByClass(file.root().map_err(inside)?);
    // Keras writes {} of a model that is not compiled.
    let compile_config = config.get("compile_config").filter(|&config| *config != json!({}));
    build(&config, compile_config, &variables, registry)
}

/// The model in a `.h5` file, as Keras 2 and 3 write it.
fn parse_h5<T: Scalar>(bytes: &[u8], registry: &Registry) -> Result<Model<T>, String> {
    let file = File::parse(bytes)?;
    let root = file.root()?;
    let attribute = |name: &str| {
        let strings = root.strings(name)?;
        strings.and_then(|strings| strings.into_iter().next()).map(|text| json(name, text.as_bytes())).transpose()
    };
    let Some(config) = attribute("model_config")? else {
        return Err(
            "it holds weights, but not the layers they belong to; build the model and call load_weights".to_owned()
        );
    };
    let layers = root.group("model_weights")?;
    // What is damaged there does not matter to who reads the model without it.
    if registry.is_uncompiled() {
        return build(&config, None, &Variables::ByName { layers, optimizer: None }, registry);
    }
    let mut training = attribute("training_config")?;
    // Keras 2 calls its later optimizers so.
    let class = training.as_mut().and_then(|training| training.pointer_mut("/optimizer_config/class_name"));
    if let Some(Value::String(class)) = class
        && let Some(own) = class.strip_prefix("Custom>")
    {
        *class = own.to_owned();
    }
    let optimizer = root.has("optimizer_weights").then(|| root.group("optimizer_weights")).transpose()?;
    let variables = Variables::ByName { layers, optimizer };
    build(&config, training.as_ref(), &variables, registry)
}

fn build<T: Scalar>(
    config: &Value,
    compile_config: Option<&Value>,
    variables: &Variables,
    registry: &Registry,
) -> Result<Model<T>, String> {
    let architecture = chain::sequential(config)?;
    let plan = Sequential::of_architecture(&architecture, registry)?;
    let classes = variables::classes(&architecture)?;
    let mut model = plan
        .build_with(|layout| {
            let layers = Layer::of_layout(&classes, layout.infos());
            params(&layers, variables).map_err(|message| Error::data("weights", message))
        })
        .map_err(|error| error.to_string())?;
    if let Some(compile_config) = compile_config {
        model.compile_from(compile_config, registry)?;
    }
    if model.is_compiled() {
        let state = optimizer::state(&model, &variables.of_optimizer()?);
        let state = state.map_err(|message| {
            format!(
                "the optimizer's state: {message}; without it, load_model_with reads the model by Registry::uncompiled"
            )
        })?;
        model.set_optimizer_state(&state).map_err(|error| error.to_string())?;
    }
    Ok(model)
}

/// The weights in a `.weights.h5`, `.h5` or `.keras` file as [`Model::params`], if it has those of the model and no others.
pub(super) fn weights<T: Scalar>(model: &Model<T>, bytes: &[u8]) -> Result<Vec<T>, String> {
    let classes: Vec<_> =
        model.layers().map(|layer| (layer.name().to_owned(), layer.class_name().to_owned())).collect();
    let layers = Layer::of_layout(&classes, model.layout().infos());
    let unpacked;
    let bytes = if bytes.starts_with(ZIP) {
        unpacked = entries(bytes)?.unpacked(WEIGHTS, limit(bytes))?;
        &*unpacked
    } else {
        bytes
    };
    let file = File::parse(bytes)?;
    params(&layers, &Variables::of_file(file.root()?)?)
}

/// The `.keras` file of a model.
pub(super) fn bytes<T: Scalar>(model: &Model<T>) -> Result<Vec<u8>> {
    let refuse = |message| Error::argument("save", message);
    let mut config = model.architecture()?;
    let compile_config = model.compile_config().map_err(refuse)?;
    if !compile_config.is_null() {
        config["compile_config"] = compile_config;
    }
    let mut datasets = Vec::new();
    let mut counter = Counter::default();
    for layer in model.layers() {
        if layer.name().contains('/') {
            return Err(refuse(format!("Keras has no layer whose name has a /, as \"{}\"; rename it", layer.name())));
        }
        let group = counter.name(layer.class_name());
        for (i, info) in layer.weight_infos().iter().enumerate() {
            let numbers = model.params()[info.range()].iter().map(|x| x.as_f64() as f32).collect();
            datasets.push((format!("layers/{group}/vars/{i}"), info.shape.dims().to_vec(), Numbers::F32(numbers)));
        }
    }
    if model.is_compiled() {
        let variables = optimizer::variables(model)?.into_iter().enumerate();
        datasets.extend(variables.map(|(i, (shape, numbers))| (format!("optimizer/vars/{i}"), shape, numbers)));
    }
    let weights = hdf5::write(&datasets).map_err(refuse)?;
    // The version of Keras whose format this is.
    let metadata = json!({"keras_version": "3.0.0", "saved_by": concat!("cornu ", env!("CARGO_PKG_VERSION"))});
    let config = config.to_string().into_bytes();
    check_config(CONFIG, &config).map_err(refuse)?;
    let files = [(METADATA, metadata.to_string().into_bytes()), (CONFIG, config), (WEIGHTS, weights)];
    zip(&files).map_err(|error| refuse(format!("the zip cannot be written: {error}")))
}

/// A zip of files that are not compressed, as Keras writes them; the same bytes for the same files.
fn zip(files: &[(&str, Vec<u8>)]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .large_file(bytes.len() > u32::MAX as usize);
        zip.start_file(*name, options)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// How many bytes a file in a zip may have: Keras compresses none, and other programs cannot compress weights by much.
fn limit(zip: &[u8]) -> u64 {
    (zip.len() as u64).saturating_mul(8).saturating_add(1 << 16)
}

/// The files in a zip, if it is not one of those that others have made.
fn entries(zip: &[u8]) -> Result<Entries<'_>, String> {
    let entries = Entries::parse(zip)?;
    if entries.names().any(|name| name == "data.pkl" || name.ends_with("/data.pkl")) {
        return Err(
            "it is of PyTorch; build the model, and with the feature torch load_torch reads its weights".to_owned()
        );
    }
    if entries.names().next().is_some() && entries.names().all(|name| name.ends_with(".npy")) {
        return Err("it holds arrays of NumPy, and no model; with the feature numpy Npz::read reads them".to_owned());
    }
    Ok(entries)
}

fn json(name: &str, text: &[u8]) -> Result<Value, String> {
    check_config(name, text)?;
    serde_json::from_slice(text).map_err(|error| format!("{name} is not JSON: {error}"))
}

/// For the reader, and for the writer so that it writes none that cannot be read.
fn check_config(name: &str, text: &[u8]) -> Result<(), String> {
    match text.len() as u64 {
        len if len > MAX_CONFIG => Err(format!("{name} has {len} bytes, and may have {MAX_CONFIG}")),
        _ => Ok(()),
    }
}
