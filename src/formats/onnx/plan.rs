//! [`Plan`]: the layers that have been read so far, and what goes into the next.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{channels_last, constant::Constant};
use crate::{
    Activation, Error, MAX_RANK, Model, Scalar, Sequential, Shape,
    config::{Argument, Arguments, Registry},
    layers::Build,
    model::DynConfig,
    params::ParamLayout,
};

/// More than any chain of layers that computes; each is built, and gets a name of its own.
const MAX_LAYERS: usize = 2000;

/// The elements of the largest sample, so that no product of its dimensions overflows.
const MAX_SAMPLE: usize = 1 << 40;

pub(super) struct Plan {
    registry: Registry,
    input: Shape,
    layers: Vec<Step>,
    /// A sample of the current value, as cornu has it.
    pub sample: Vec<usize>,
    /// Dimension `i` of the current value's sample in the file is dimension `order[i]` of cornu's.
    pub order: Vec<usize>,
    /// The sample and the order before a `Flatten` whose order of elements the next `Dense` sees to.
    pub flattened: Option<(Vec<usize>, Vec<usize>)>,
    /// Whether no element of the current value is below 0.
    pub non_negative: bool,
    /// The numbers of the weights so far, and the most there may be.
    numbers: usize,
    most_numbers: usize,
}

/// A layer by its configuration in Keras's schema.
struct Step {
    class: &'static str,
    config: Map<String, Value>,
    weights: Vec<Constant>,
}

impl Plan {
    /// No layers, for samples of these dimensions and in this order.
    pub fn new(sample: &[usize], order: Vec<usize>, most_numbers: usize) -> Result<Self, String> {
        let input = Shape::new(sample).map_err(|error| error.to_string())?;
        Ok(Plan {
            registry: Registry::default(),
            input: checked(input)?,
            layers: Vec::new(),
            sample: sample.to_vec(),
            order,
            flattened: None,
            non_negative: false,
            numbers: 0,
            most_numbers,
        })
    }

    /// The dimensions of the current value's sample in the file.
    pub fn sample_in_file(&self) -> Vec<usize> {
        self.order.iter().map(|&dimension| self.sample[dimension]).collect()
    }

    /// A layer more; the order stays where the number of dimensions does.
    pub fn push(&mut self, class: &'static str, config: Value, weights: Vec<Constant>) -> Result<(), String> {
        if self.layers.len() == MAX_LAYERS {
            return Err(format!("the model has more than {MAX_LAYERS} layers"));
        }
        let Value::Object(config) = config else { unreachable!("a configuration is an object") };
        self.numbers += weights.iter().map(|weight| weight.values.len()).sum::<usize>();
        if self.numbers > self.most_numbers {
            return Err("so many nodes share the same weights that the model would be far larger than its file".into());
        }
        let step = Step { class, config, weights };
        self.sample = self.output(&step)?;
        if self.order.len() != self.sample.len() {
            self.order = channels_last(self.sample.len());
        }
        self.non_negative &= !matches!(class, "Rescaling" | "PReLU" | "Embedding") && step.weights.is_empty();
        self.layers.push(step);
        Ok(())
    }

    /// What a layer makes of the current sample, if it has the weights for it.
    fn output(&self, step: &Step) -> Result<Vec<usize>, String> {
        let layer = step.layer(&self.registry)?;
        let mut layout = ParamLayout::default();
        let input = Shape::new(&self.sample).map_err(|error| error.to_string())?;
        let mut cx = Build::new(step.class, "", self.layers.len(), input, &mut layout);
        let (_, output) = layer.build(&mut cx).map_err(|error| error.to_string())?;
        let declared = layout.infos().iter().map(|info| info.shape.dims());
        if !declared.eq(step.weights.iter().map(|weight| &weight.dims[..])) {
            let declared: Vec<_> = layout.infos().iter().map(|info| info.shape.to_string()).collect();
            let got: Vec<_> = step.weights.iter().map(|weight| &weight.dims).collect();
            return Err(format!("expected weights of the shapes {}, got {got:?}", declared.join(", ")));
        }
        Ok(checked(output)?.dims().to_vec())
    }

    /// An activation, in the layer before it where that has none yet.
    pub fn activation(&mut self, activation: Activation) -> Result<(), String> {
        activation.check()?;
        let json = activation.to_json();
        match self.layers.last_mut() {
            Some(step) if step.takes_activation() => _ = step.config.insert("activation".into(), json),
            _ => self.push("Activation", json!({ "activation": json }), Vec::new())?,
        }
        let non_negative = match activation {
            Activation::Linear => return Ok(()),
            Activation::Relu | Activation::Sigmoid | Activation::Softmax => true,
            Activation::Softplus | Activation::HardSigmoid => true,
            _ => false,
        };
        self.non_negative = non_negative;
        Ok(())
    }

    /// Adds a number to each channel by the layer before, if that is a [`Dense`](crate::layers::Dense) without a bias and this suits it.
    pub fn add_bias(&mut self, bias: &Constant) -> bool {
        let rank = self.sample.len();
        let channels_last = self.order.last().is_some_and(|&last| last + 1 == rank);
        let Some(step) = self.layers.last_mut() else { return false };
        // The file's last axis must be that of the channels, and the bias must add no axis.
        let suits = channels_last
            && bias.dims.len() <= rank + 1
            && step.class == "Dense"
            && step.weights.len() == 1
            && step.takes_activation()
            && bias.dims.iter().rev().skip(1).all(|&dim| dim == 1)
            && bias.dims.last() == step.weights[0].dims.last();
        if suits {
            step.config.insert("use_bias".into(), true.into());
            step.weights.push(Constant::vector(bias.values.clone()));
            self.numbers += bias.values.len();
        }
        suits
    }

    /// Multiplies and adds, by the layer before where that multiplies alone.
    pub fn rescale(&mut self, scale: f64, offset: f64) -> Result<(), String> {
        match self.layers.last_mut() {
            Some(step) if step.class == "Rescaling" && scale == 1.0 && step.config["offset"] == 0.0 => {
                step.config.insert("offset".into(), offset.into());
                self.non_negative = false;
                Ok(())
            }
            _ => self.push("Rescaling", json!({"scale": scale, "offset": offset}), Vec::new()),
        }
    }

    /// Brings cornu's dimensions into another order, so that dimension `i` of the file's is `order[i]` of cornu's.
    pub fn arrange(&mut self, order: &[usize]) -> Result<(), String> {
        if self.order == order {
            return Ok(());
        }
        let mut dims = vec![0; order.len()];
        for (&new, old) in order.iter().zip(&self.order) {
            dims[new] = old + 1;
        }
        self.push("Permute", json!({ "dims": dims }), Vec::new())?;
        self.order = order.to_vec();
        Ok(())
    }

    /// The elements in the order of the file, with other dimensions.
    pub fn reshape(&mut self, dims: &[usize]) -> Result<(), String> {
        self.arrange(&channels_last(self.sample.len()))?;
        if self.sample != dims {
            self.push("Reshape", json!({ "target_shape": dims }), Vec::new())?;
        }
        Ok(())
    }

    /// All elements in one dimension: in the order of the file, unless a `Dense` is next that sees to it.
    pub fn flatten(&mut self, before_dense: bool) -> Result<(), String> {
        if self.sample.len() == 1 {
            return Ok(());
        }
        // Dimensions of 1 make no other order of the elements.
        let moved = |order: &[usize]| order.iter().filter(|&&dimension| self.sample[dimension] != 1).is_sorted();
        if !moved(&self.order) {
            match before_dense {
                true => self.flattened = Some((self.sample.clone(), self.order.clone())),
                false => self.arrange(&channels_last(self.sample.len()))?,
            }
        }
        self.push("Flatten", json!({}), Vec::new())
    }

    /// Zeros around the image, or the sequence, before and after each of its axes.
    pub fn pad(&mut self, sides: &[[usize; 2]]) -> Result<(), String> {
        match *sides {
            _ if sides.iter().all(|side| *side == [0, 0]) => Ok(()),
            [height, width] => self.push("ZeroPadding2D", json!({ "padding": [height, width] }), Vec::new()),
            [steps] => {
                self.as_line(|plan| plan.push("ZeroPadding2D", json!({ "padding": [[0, 0], steps] }), Vec::new()))
            }
            _ => Err(format!("padding of {} axes is not supported, only of one and of two", sides.len())),
        }
    }

    /// A sequence `[steps, channels]` as an image one pixel high, for a layer that takes images.
    fn as_line(&mut self, f: impl FnOnce(&mut Plan) -> Result<(), String>) -> Result<(), String> {
        let order = self.order.clone();
        let line = [&[1][..], &self.sample].concat();
        self.push("Reshape", json!({ "target_shape": line }), Vec::new())?;
        f(self)?;
        let sequence = self.sample[1..].to_vec();
        self.push("Reshape", json!({ "target_shape": sequence }), Vec::new())?;
        self.order = order;
        Ok(())
    }

    /// The model of these layers.
    pub fn finish<T: Scalar>(mut self) -> Result<Model<T>, String> {
        if self.flattened.is_some() {
            return Err("no Gemm or MatMul takes the elements behind a Flatten, which have another order here".into());
        }
        if self.layers.is_empty() {
            self.push("Activation", json!({ "activation": "linear" }), Vec::new())?;
        }
        let layers = self.layers.iter().map(|step| step.layer(&self.registry)).collect::<Result<Vec<_>, _>>()?;
        let model = Sequential::of_configs(self.input, layers).build_with(|layout| {
            let weights: Vec<&Constant> = self.layers.iter().flat_map(|step| &step.weights).collect();
            let declared = layout.infos().iter().map(|info| info.shape.dims());
            if !declared.eq(weights.iter().map(|weight| &weight.dims[..])) {
                return Err(Error::argument("weights", "the layers have declared others than before"));
            }
            // At once, not in steps of which the last is twice as large as is needed.
            let mut params = Vec::with_capacity(self.numbers);
            params.extend(weights.iter().flat_map(|weight| &weight.values).map(|&value| T::of(value)));
            Ok(params)
        });
        model.map_err(|error| error.to_string())
    }
}

/// A sample that a model can have.
fn checked(sample: Shape) -> Result<Shape, String> {
    match sample.size() > 0 && sample.size() <= MAX_SAMPLE && sample.rank() < MAX_RANK {
        true => Ok(sample),
        false => {
            Err(format!("a sample of the shape {sample} is larger than any memory, empty, or has too many dimensions"))
        }
    }
}

impl Step {
    fn layer(&self, registry: &Registry) -> Result<Arc<dyn DynConfig>, String> {
        let mut arguments = Arguments::reading(self.config.clone());
        let layer = registry.layer(self.class, &mut arguments)?;
        arguments.finish().map(|()| layer)
    }

    fn takes_activation(&self) -> bool {
        matches!(self.class, "Conv1D" | "Conv2D" | "Conv2DTranspose" | "Dense")
            && !self.config.contains_key("activation")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_in_another_order_are_no_output() {
        let mut plan = Plan::new(&[2, 2, 3], vec![2, 0, 1], 1000).unwrap();
        plan.flatten(true).unwrap();
        assert!(plan.flattened.is_some());
        let error = plan.finish::<f32>().map(|_| ()).unwrap_err();
        assert!(error.contains("behind a Flatten, which have another order"), "{error}");
    }
}
