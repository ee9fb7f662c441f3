//! [`QuantizedModel::save`] and [`QuantizedModel::load`].

use std::{collections::HashSet, io::Write, path::Path};

use serde_json::Value;

use super::{
    archive::{Archive, Array},
    native::{ARCHITECTURE, json},
    read,
    weights::check_shape,
};
use crate::{
    Error, QuantizedModel, Result, Scalar, Sequential, Tensor, atomic,
    config::Registry,
    kernels::int8::{LEVELS, Quantizer},
    model::QuantizedWeights,
    params::ParamInfo,
};

/// The string of the archive that tells the file from that of [`Model::save`](crate::Model::save), and what it says.
const QUANTIZATION: &str = "quantization";
const INT8: &str = "int8";

/// What a layer that computes in integers has, behind its name and a slash.
const KERNEL: &str = "kernel_int8";
const SCALES: &str = "kernel_scale";
const INPUT_SCALE: &str = "input_scale";
const INPUT_ZERO: &str = "input_zero_point";

impl QuantizedModel {
    /// Writes the model to a file in the format [safetensors](https://github.com/huggingface/safetensors), which is replaced as a whole: a crash
    /// leaves the old one.
    ///
    /// A layer that computes in integers has `dense/kernel_int8` in the shape of its kernel, and in `f32`
    /// `dense/kernel_scale` (of each filter), `dense/bias`, `dense/input_scale`, and as a byte `dense/input_zero_point`: a weight is
    /// `scale[f] * kernel[.., f]`, a number of its input `input_scale * (byte - input_zero_point)`, where a byte is 0 to 127. Other layers have their weights in `f32`. The metadata has
    /// the layers as JSON in Keras's schema, less what only training needs; how the model is evaluated is not written.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let model = Sequential::new([4]).add(Dense::new(2)).build()?;
    /// let x = Tensor::random_normal([100, 4], 0.0, 1.0, 0);
    /// let quantized = model.quantize(&x)?;
    /// let path = std::env::temp_dir().join(format!("cornu-{}-int8.safetensors", std::process::id()));
    /// quantized.save(&path)?;
    /// assert_eq!(QuantizedModel::load(&path)?.predict(&x)?, quantized.predict(&x)?);
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be written, it could not be read (10,000 layers, and 16 MiB of names and arguments, can), or a layer of your own
    /// does not tell its arguments.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let bytes = self.bytes()?;
        atomic::replace(path.as_ref(), |file| file.write_all(&bytes))
    }

    /// Reads what [`save`](QuantizedModel::save) wrote. To evaluate the model, [compile](QuantizedModel::compile) it.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or holds what does not exist here: the error says what is wrong and where.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        QuantizedModel::load_with(path, &Registry::default())
    }

    /// [`load`](QuantizedModel::load) where there are layers of your own.
    ///
    /// # Errors
    /// As [`load`](QuantizedModel::load).
    pub fn load_with(path: impl AsRef<Path>, registry: &Registry) -> Result<Self> {
        let path = path.as_ref();
        parse(&read(path)?, registry).map_err(|message| Error::format(path, message))
    }

    /// [`load_with`](QuantizedModel::load_with) from memory.
    ///
    /// # Errors
    /// As [`load`](QuantizedModel::load).
    pub fn from_bytes(bytes: &[u8], registry: &Registry) -> Result<Self> {
        parse(bytes, registry).map_err(|message| Error::data("QuantizedModel::from_bytes", message))
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let (mut archive, mut architecture) = (Archive::default(), self.plan().architecture()?);
        shorten(
            &mut architecture,
            &self.layers().filter(|layer| layer.integers.is_some()).map(|layer| layer.name).collect(),
        );
        for layer in self.layers() {
            match layer.integers {
                Some(weights) => add(layer.name, weights, layer.infos, &mut archive),
                None => archive.arrays.extend(layer.infos.iter().zip(layer.weights).map(|(info, weight)| {
                    (info.name.clone(), Array::new(weight.shape(), weight.cast::<f32>().data()))
                })),
            }
        }
        archive.strings.insert(QUANTIZATION.into(), INT8.into());
        archive.strings.insert(ARCHITECTURE.into(), architecture.to_string());
        archive.bytes().map_err(|message| Error::argument("save", message))
    }
}

/// Adds the weights of a layer that computes in integers.
fn add(name: &str, weights: &QuantizedWeights, infos: &[ParamInfo], archive: &mut Archive) {
    let mut insert = |part: &str, array| _ = archive.arrays.insert(format!("{name}/{part}"), array);
    insert(KERNEL, Array::integers(infos[0].shape, &weights.kernel));
    insert(SCALES, Array::vector(&weights.scales));
    insert(INPUT_SCALE, Array::vector(&[weights.input.scale]));
    insert(INPUT_ZERO, Array::integers(1.into(), &[weights.input.zero as i8]));
    if let (Some(bias), Some(info)) = (&weights.bias, infos.get(1)) {
        archive.arrays.insert(info.name.clone(), Array::vector(bias));
    }
}

/// Takes away what reading does without: how weights begin and are trained, what has one value only, that the input is a layer, and where Keras
/// has the classes. It would be a tenth of a small file.
fn shorten(architecture: &mut Value, integers: &HashSet<&str>) {
    let keep = |json: &mut Value, keep: &dyn Fn(&str) -> bool| {
        if let Some(object) = json.as_object_mut() {
            object.retain(|key, _| keep(key));
        }
    };
    keep(architecture, &|key| ["class_name", "config"].contains(&key));
    let config = &mut architecture["config"];
    keep(config, &|key| ["build_input_shape", "layers"].contains(&key));
    let Some(layers) = config["layers"].as_array_mut() else { return };
    layers.retain(|layer| layer["class_name"] != "InputLayer");
    for layer in layers {
        keep(layer, &|key| ["class_name", "config"].contains(&key));
        let config = &mut layer["config"];
        // What others call their arguments is their affair.
        let in_integers = config["name"].as_str().is_some_and(|name| integers.contains(name));
        let endings = ["_initializer", "_regularizer", "_constraint", "data_format"];
        let is_idle = |key: &str| in_integers && endings.iter().any(|ending| key.ends_with(ending));
        keep(config, &|key| !["trainable", "dtype"].contains(&key) && !is_idle(key));
    }
}

/// An error for who reads weights in numbers, if the archive has others.
pub(super) fn refuse(archive: &Archive) -> Result<(), String> {
    match archive.strings.contains_key(QUANTIZATION) {
        true => Err("its weights are quantized; QuantizedModel::load reads it".to_owned()),
        false => Ok(()),
    }
}

/// The model in such a file.
fn parse(bytes: &[u8], registry: &Registry) -> Result<QuantizedModel, String> {
    let mut archive = Archive::parse(bytes)?;
    match archive.strings.get(QUANTIZATION).map(String::as_str) {
        Some(INT8) => {}
        Some(other) => return Err(format!("its weights are \"{other}\", expected \"{INT8}\"")),
        None => {
            return Err("its weights are not quantized; load_model reads it, and quantize makes integers of it".into());
        }
    }
    let architecture = archive.strings.get(ARCHITECTURE).ok_or_else(|| format!("it lacks {ARCHITECTURE}"))?;
    let plan = Sequential::of_architecture(&json(ARCHITECTURE, architecture)?, registry)?;
    let model = QuantizedModel::of_layers(plan, |name, infos, computes_in_integers| {
        if archive.arrays.contains_key(&format!("{name}/{KERNEL}")) {
            if !computes_in_integers {
                return Err(format!("{name}/{KERNEL}: the layer cannot compute in integers"));
            }
            return Ok(LayerWeights::Integers(take(name, infos, &mut archive)?));
        }
        let mut weight = |info: &ParamInfo| {
            let array = archive.arrays.remove(&info.name).ok_or_else(|| format!("it lacks {}", info.name))?;
            check_shape(info, &array).map_err(|message| format!("{}: {message}", info.name))?;
            Tensor::new(info.shape, floats(&info.name, &array)?).map_err(|error| error.to_string())
        };
        Ok(LayerWeights::Numbers(infos.iter().map(&mut weight).collect::<Result<_, _>>()?))
    })?;
    match archive.arrays.keys().next() {
        None => Ok(model),
        Some(name) => Err(format!("it holds {name}, which no layer has")),
    }
}

/// The numbers of an array that is none of integers.
fn floats<T: Scalar>(name: &str, array: &Array) -> Result<Vec<T>, String> {
    match array.as_integers() {
        None => Ok(array.values()),
        Some(_) => Err(format!("{name}: expected the type F32 or F64, got I8")),
    }
}

/// The weights of a layer in a file.
pub(crate) enum LayerWeights {
    Integers(QuantizedWeights),
    Numbers(Vec<Tensor<f64>>),
}

/// Takes the integers of a layer out of the archive.
fn take(name: &str, infos: &[ParamInfo], archive: &mut Archive) -> Result<QuantizedWeights, String> {
    let mut array = |name: String, shape: &[usize]| {
        let array = archive.arrays.remove(&name).ok_or_else(|| format!("it lacks {name}"))?;
        match array.shape == shape {
            true => Ok((name, array)),
            false => Err(format!("{name}: expected shape {shape:?}, got {:?}", array.shape)),
        }
    };
    let filters = [infos[0].shape.last()];
    let integers =
        |(name, array): (String, Array)| array.as_integers().ok_or_else(|| format!("{name}: expected the type I8"));
    let numbers = |(name, array): (String, Array), least: f32| {
        let values: Vec<f32> = floats(&name, &array)?;
        match values.iter().find(|value| !(value.is_finite() && **value >= least)) {
            None => Ok(values),
            Some(wrong) if least > 0.0 => Err(format!("{name}: expected finite numbers above 0, got {wrong}")),
            Some(wrong) => Err(format!("{name}: expected finite numbers, got {wrong}")),
        }
    };
    let kernel = integers(array(format!("{name}/{KERNEL}"), infos[0].shape.dims())?)?;
    let scales = numbers(array(format!("{name}/{SCALES}"), &filters)?, f32::MIN_POSITIVE)?;
    let bias = infos.get(1).map(|info| numbers(array(info.name.clone(), &filters)?, f32::MIN)).transpose()?;
    let scale = numbers(array(format!("{name}/{INPUT_SCALE}"), &[1])?, f32::MIN_POSITIVE)?[0];
    let zero = integers(array(format!("{name}/{INPUT_ZERO}"), &[1])?)?[0];
    let zero = u8::try_from(zero).map_err(|_| format!("{name}/{INPUT_ZERO}: expected 0 to {LEVELS}, got {zero}"))?;
    Ok(QuantizedWeights { kernel, scales, bias, input: Quantizer { scale, zero } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn quantized() -> QuantizedModel {
        let model = Sequential::new([6, 5, 2])
            .add(Conv2D::new(3, 2).activation(Activation::Relu))
            .add(AveragePooling2D::new(2))
            .add(LayerNormalization::new())
            .add(Flatten::new())
            .add(Dense::new(2).activation(Activation::Softmax));
        model.build().unwrap().quantize(&Tensor::random_normal([30, 6, 5, 2], 0.0, 1.0, 0)).unwrap()
    }

    /// The error of the file whose archive `change` has changed; its checksum is right.
    fn error(change: impl FnOnce(&mut Archive)) -> String {
        let mut archive = Archive::parse(&quantized().bytes().unwrap()).unwrap();
        change(&mut archive);
        parse(&archive.bytes().unwrap(), &Registry::default()).map(|_| ()).unwrap_err()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = quantized().bytes().unwrap();
        let again = QuantizedModel::from_bytes(&bytes, &Registry::default()).unwrap();
        assert_eq!(again.bytes().unwrap(), bytes);
        let x = Tensor::random_normal([5, 6, 5, 2], 0.0, 1.0, 1);
        assert_eq!(again.predict(&x).unwrap(), quantized().predict(&x).unwrap());
    }

    #[test]
    fn what_a_file_can_break_is_an_error() {
        let put = |name: &str, array: Array| error(|archive| _ = archive.arrays.insert(name.into(), array));
        let take = |name: &str| error(|archive| _ = archive.arrays.remove(name).unwrap());
        for (error, words) in [
            (
                put("conv2d/kernel_int8", Array::integers([2, 2, 2].into(), &[1; 8])),
                "kernel_int8: expected shape [2, 2, 2, 3], got [2, 2, 2]",
            ),
            (
                put("conv2d/kernel_int8", Array::new([2, 2, 2, 3].into(), &[1.0_f32; 24])),
                "kernel_int8: expected the type I8",
            ),
            (put("conv2d/kernel_scale", Array::vector(&[1.0_f32; 2])), "kernel_scale: expected shape [3], got [2]"),
            (
                put("conv2d/kernel_scale", Array::integers(3.into(), &[1; 3])),
                "conv2d/kernel_scale: expected the type F32 or F64, got I8",
            ),
            (
                put("layer_normalization/gamma", Array::integers(3.into(), &[1; 3])),
                "layer_normalization/gamma: expected the type F32 or F64, got I8",
            ),
            (put("conv2d/kernel_scale", Array::vector(&[1.0_f32, 0.0, 1.0])), "expected finite numbers above 0, got 0"),
            (put("conv2d/kernel_scale", Array::vector(&[1.0_f32, -1.0, 1.0])), "above 0, got -1"),
            (put("conv2d/kernel_scale", Array::vector(&[1.0_f32, f32::NAN, 1.0])), "above 0, got NaN"),
            (put("conv2d/kernel_scale", Array::vector(&[1.0_f32, f32::INFINITY, 1.0])), "above 0, got inf"),
            (put("conv2d/kernel_scale", Array::vector(&[1.0_f64, f64::MAX, 1.0])), "above 0, got inf"),
            (
                error(|archive| {
                    archive.arrays.insert("dense/kernel_scale".into(), Array::vector(&[f32::MAX; 2]));
                    archive.arrays.insert("dense/input_scale".into(), Array::vector(&[2.0_f32]));
                }),
                "dense: its scales and biases lie so far apart that a factor is inf",
            ),
            (
                put("conv2d/bias", Array::vector(&[1.0_f32, f32::NAN, 1.0])),
                "conv2d/bias: expected finite numbers, got NaN",
            ),
            (put("dense/input_scale", Array::vector(&[0.0_f32])), "dense/input_scale: expected finite numbers above 0"),
            (put("dense/input_zero_point", Array::integers(1.into(), &[-1])), "expected 0 to 127, got -1"),
            (put("dense/input_zero_point", Array::integers(2.into(), &[1, 1])), "expected shape [1], got [2]"),
            (
                put("layer_normalization/gamma", Array::vector(&[1.0_f32])),
                "layer_normalization/gamma: expected shape (3,), got [1]",
            ),
            (
                put("flatten/kernel_int8", Array::vector(&[1.0_f32])),
                "flatten/kernel_int8: the layer cannot compute in integers",
            ),
            (put("other", Array::vector(&[1.0_f32])), "it holds other, which no layer has"),
            (take("conv2d/kernel_int8"), "it lacks conv2d/kernel"),
            (take("dense/input_scale"), "it lacks dense/input_scale"),
            (take("dense/bias"), "it lacks dense/bias"),
            (take("layer_normalization/beta"), "it lacks layer_normalization/beta"),
            (error(|archive| _ = archive.strings.remove(QUANTIZATION)), "not quantized"),
            (
                error(|archive| _ = archive.strings.insert(QUANTIZATION.into(), "int4".into())),
                "its weights are \"int4\"",
            ),
            (error(|archive| _ = archive.strings.remove(ARCHITECTURE)), "it lacks architecture"),
            (error(|archive| _ = archive.strings.insert(ARCHITECTURE.into(), "{".into())), "is not JSON"),
        ] {
            assert!(error.contains(words), "{error} lacks {words}");
        }
    }

    /// What a layer with a relu gives is held from 0 on when it is calibrated, but a file may say otherwise.
    #[test]
    fn a_relu_ends_at_the_zero_of_its_reader() {
        let plan = Sequential::new([6]).add(Dense::new(40).activation(Activation::Relu)).add(Dense::new(3));
        let x = Tensor::random_normal([30, 6], 0.0, 1.0, 0);
        let quantized = plan.build().unwrap().quantize(&x).unwrap();
        let mut archive = Archive::parse(&quantized.bytes().unwrap()).unwrap();
        let scale = archive.arrays["dense_1/input_scale"].values::<f32>()[0];
        archive.arrays.insert("dense_1/input_scale".into(), Array::vector(&[1.5 * scale]));
        archive.arrays.insert("dense_1/input_zero_point".into(), Array::integers(1.into(), &[42]));
        let moved = parse(&archive.bytes().unwrap(), &Registry::default()).unwrap();
        let (expected, y) = (quantized.predict(&x).unwrap(), moved.predict(&x).unwrap());
        let largest = expected.data().iter().fold(0.0_f32, |largest, y| largest.max(y.abs()));
        let difference = expected.data().iter().zip(y.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 0.05 * largest, "{difference} of {largest}");
    }

    #[test]
    fn a_model_larger_than_its_file_takes_no_memory() {
        let error = error(|archive| {
            let architecture = archive.strings.get_mut(ARCHITECTURE).unwrap();
            *architecture = architecture.replace("\"filters\":3", "\"filters\":3000000000");
        });
        assert!(error.contains("expected shape [2, 2, 2, 3000000000]"), "{error}");
    }

    #[test]
    fn a_file_without_integers_is_an_error() {
        let error = error(|archive| {
            *archive = Archive { strings: std::mem::take(&mut archive.strings), ..Archive::default() };
            let plan = Sequential::new([4]).add(Flatten::new());
            archive.strings.insert(ARCHITECTURE.into(), plan.architecture().unwrap().to_string());
        });
        assert!(error.contains("no layer can compute in integers"), "{error}");
    }
}
