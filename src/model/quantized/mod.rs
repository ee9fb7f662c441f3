//! [`QuantizedModel`]: a model that predicts in integers of 8 bits.

mod build;
mod calibrate;
mod kind;
mod program;
mod weights;

use std::{fmt, sync::Arc};

pub(crate) use self::weights::QuantizedWeights;
use self::{build::Layers, kind::Kind, program::Program};
use super::{
    Model, Score, Sequential, check, graph::Graph, layer_info::LayerInfo, objective::Objective, samples::Samples,
    summary,
};
use crate::{
    Error, Labels, Metric, Result, Shape, Tensor,
    data::{Input, Targets},
    formats::LayerWeights,
    losses::Loss,
    params::ParamInfo,
};

/// A model whose convolutions and dense layers compute in integers of 8 bits, made by [`Model::quantize`]: it predicts faster on CPUs with AVX2, and
/// its [file](QuantizedModel::save) is little more than a quarter as large. Predictions are the same bits for any number of threads and any batch; what integers
/// compute is the same bits on every CPU.
pub struct QuantizedModel {
    layers: Vec<LayerInfo>,
    graph: Graph,
    /// The layers with their names, and the weights of those that compute in numbers.
    plan: Sequential,
    /// Those of the layers that compute in integers.
    weights: Vec<Option<QuantizedWeights>>,
    program: Program,
    objective: Option<Arc<Objective>>,
}

/// A layer of a quantized model.
pub(crate) struct QuantizedLayer<'a> {
    pub name: &'a str,
    /// The weights that it declared.
    pub infos: &'a [ParamInfo],
    /// Its weights, if it computes in integers.
    pub integers: Option<&'a QuantizedWeights>,
    /// Its weights, if it computes in numbers.
    pub weights: &'a [Tensor<f64>],
}

impl Model {
    /// The model for prediction in integers of 8 bits. Batch normalization is [folded](Model::fold_batch_norm); each
    /// [`Conv2D`](crate::layers::Conv2D) of one group, [`Conv1D`](crate::layers::Conv1D) and [`Dense`](crate::layers::Dense) then holds
    /// its weights as signed bytes, with a scale for each filter, and reads its input as 128 numbers evenly apart. Max pooling, relu and what does nothing in
    /// prediction work on bytes between them; all other layers compute in `f32`.
    ///
    /// `x` are some hundred samples of what the model will see, unlabeled: for what each layer reads of them, the range is chosen whose mean squared error is
    /// least.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let model = Sequential::new([28, 28, 1])
    ///     .add(Conv2D::new(8, 3).activation(Activation::Relu))
    ///     .add(MaxPooling2D::new(2))
    ///     .add(Flatten::new())
    ///     .add(Dense::new(10).activation(Activation::Softmax))
    ///     .build()?;
    /// let images = Tensor::random_uniform([100, 28, 28, 1], 0.0, 1.0, 0);
    /// let quantized = model.quantize(&images)?;
    /// let (p, q) = (model.predict(&images)?, quantized.predict(&images)?);
    /// assert!(p.data().iter().zip(q.data()).all(|(p, q)| (p - q).abs() < 0.02));
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a sample of `x` has another shape than the model's input, there is none, or a number of `x` or of what the layers make of it is not finite; when no
    /// layer can compute in integers.
    pub fn quantize<'a>(&self, x: impl Into<Input<'a>>) -> Result<QuantizedModel> {
        let x = x.into();
        check::input("quantize", &x, &self.graph)?;
        let folded = self.fold_batch_norm()?;
        let plan = Sequential::from(&folded);
        let (layers, _) = plan.graph()?;
        let kinds = kinds(&plan, &layers)?;
        let products: Vec<usize> = (0..kinds.len()).filter(|&i| matches!(kinds[i], Kind::Product(..))).collect();
        let mut weights: Vec<Option<QuantizedWeights>> = vec![None; kinds.len()];
        for (&i, quantizer) in products.iter().zip(calibrate::calibrate(&folded, &products, &x)?) {
            let mut of_layer = folded.layers().nth(i).into_iter().flat_map(|layer| layer.get_weights());
            let (kernel, bias) = (of_layer.next().expect("a product has a kernel"), of_layer.next());
            let bias = bias.as_ref().map(Tensor::data);
            if kernel.data().iter().chain(bias.into_iter().flatten()).any(|weight| !weight.is_finite()) {
                return Err(Error::data("quantize", format!("{} has weights that are not finite", layers[i].name)));
            }
            weights[i] = Some(QuantizedWeights::new(kernel.data(), bias, kernel.shape().last(), quantizer));
        }
        let mut quantized = QuantizedModel::new(plan, weights)?;
        quantized.objective = self.compiled.as_ref().map(|compiled| compiled.objective.clone());
        Ok(quantized)
    }
}

impl QuantizedModel {
    /// A model of layers, of which those without integers have weights in the plan.
    fn new(mut plan: Sequential, weights: Vec<Option<QuantizedWeights>>) -> Result<Self> {
        let (layers, graph) = plan.graph()?;
        let kinds = kinds(&plan, &layers)?;
        if weights.iter().all(Option::is_none) {
            let message = "no layer can compute in integers: a Conv2D of one group, a Conv1D or a Dense can";
            return Err(Error::argument("quantize", message));
        }
        // The weights in numbers are not needed any more.
        for (layer, weights) in plan.layers.iter_mut().zip(&weights) {
            if let (Some((_, taken)), Some(_)) = (&mut layer.taken, weights) {
                taken.clear();
            }
        }
        let built = Layers { plan: &plan, infos: &layers, kinds: &kinds, weights: &weights };
        let program = built.program()?;
        Ok(QuantizedModel { layers, graph, plan, weights, program, objective: None })
    }

    /// The model of a plan and of what `weights` says of each layer: given are its name, the weights that it declared, and whether it can
    /// compute in integers. No memory is taken for weights before.
    pub(crate) fn of_layers(
        mut plan: Sequential,
        mut weights: impl FnMut(&str, &[ParamInfo], bool) -> Result<LayerWeights, String>,
    ) -> Result<Self, String> {
        let (layers, graph) = plan.graph().map_err(|error| error.to_string())?;
        let kinds = kinds(&plan, &layers).map_err(|error| error.to_string())?;
        let mut integers = vec![None; kinds.len()];
        for (i, (layer, node)) in layers.iter().zip(&graph.nodes).enumerate() {
            let infos = &graph.layout.infos()[node.weights.clone()];
            match weights(&layer.name, infos, matches!(kinds[i], Kind::Product(..)))? {
                LayerWeights::Integers(of_layer) => integers[i] = Some(of_layer),
                LayerWeights::Numbers(of_layer) => plan.layers[i].taken = Some((layer.name.clone(), of_layer)),
            }
        }
        QuantizedModel::new(plan, integers).map_err(|error| error.to_string())
    }

    /// The layers, without the weights of those that compute in integers.
    pub(crate) fn plan(&self) -> &Sequential {
        &self.plan
    }

    /// What each layer is and has.
    pub(crate) fn layers(&self) -> impl Iterator<Item = QuantizedLayer<'_>> {
        self.layers.iter().enumerate().map(|(i, layer)| QuantizedLayer {
            name: &layer.name,
            infos: &self.graph.layout.infos()[self.graph.nodes[i].weights.clone()],
            integers: self.weights[i].as_ref(),
            weights: self.plan.layers[i].weights(),
        })
    }

    /// The shape of one sample of the input.
    pub fn input_shape(&self) -> Shape {
        self.graph.input
    }

    /// The shape of one sample of the output.
    pub fn output_shape(&self) -> Shape {
        self.graph.output()
    }

    /// How many weights there are, in integers and in numbers.
    pub fn count_params(&self) -> usize {
        self.graph.layout.len()
    }

    /// The table of [`Model::summary`], and the bytes that the weights take.
    pub fn summary(&self) -> String {
        let layers = self.layers.iter().zip(&self.graph.nodes);
        let rows =
            layers.map(|(layer, node)| (&*layer.name, layer.config.class_name(), layer.output, node.params.len()));
        let mut table = summary::table(rows);
        let integers: usize = self.weights.iter().flatten().map(|weights| weights.kernel.len()).sum();
        let held: usize = self
            .weights
            .iter()
            .flatten()
            .map(|weights| weights.kernel.len() + weights.bias.as_ref().map_or(0, Vec::len))
            .sum();
        let others = (self.count_params() - held) * size_of::<f32>();
        let bytes = self.weights.iter().flatten().map(QuantizedWeights::bytes).sum::<usize>() + others;
        table += &summary::total("Total", self.count_params(), bytes);
        table += &summary::total("int8", integers, integers);
        table.trim_end().to_owned()
    }

    /// The model's answers to `x: [n, ..input]`: `[n, ..output]`, as [`Model::predict`] gives them. Bytes are read as they are. NaN is taken for the
    /// least number that the bytes of the input hold.
    ///
    /// # Errors
    /// When a sample of `x` has another shape than the model's input, or there is none.
    pub fn predict<'a>(&self, x: impl Into<Input<'a>>) -> Result<Tensor> {
        let x = x.into();
        check::input("predict", &x, &self.graph)?;
        let mut y = self.logits(&x);
        self.graph.head.apply(&mut y, self.output_shape().last());
        Tensor::new(self.output_shape().batch(x.samples()), y)
    }

    /// The class of each sample, as [`Model::predict_classes`] gives it.
    ///
    /// # Errors
    /// As [`predict`](QuantizedModel::predict), and when the output of a sample is not a vector.
    pub fn predict_classes<'a>(&self, x: impl Into<Input<'a>>) -> Result<Labels> {
        super::check_classes("predict_classes", self.output_shape())?;
        Labels::of_outputs(&self.predict(x)?)
    }

    /// Says what [`evaluate`](QuantizedModel::evaluate) measures. A model that was compiled when it was quantized keeps its loss and its metrics.
    ///
    /// # Errors
    /// When an argument of the loss or a metric is out of its range or does not fit the shape of the output.
    pub fn compile(&mut self, loss: impl Loss, metrics: impl IntoIterator<Item = Metric>) -> Result<()> {
        let metrics = metrics.into_iter().collect();
        let objective = Objective::new(Arc::new(loss), metrics, self.graph.head, self.output_shape())?;
        self.objective = Some(Arc::new(objective));
        Ok(())
    }

    /// Loss and metrics on samples. What regularizers add to the loss is not in it.
    ///
    /// # Errors
    /// When the model has no loss, or as [`Model::evaluate`].
    pub fn evaluate<'x, 'y>(&self, x: impl Into<Input<'x>>, y: impl Into<Targets<'y>>) -> Result<Score> {
        let Some(objective) = &self.objective else {
            return Err(Error::argument("evaluate", "the model has no loss; call compile(loss, metrics) first"));
        };
        let samples = Samples::new("evaluate", &self.graph, objective, x.into(), y.into())?;
        let z = self.logits(&samples.x);
        let mut sums = objective.sums();
        let indices: Vec<usize> = (0..samples.x.samples()).collect();
        objective.score(&samples.outputs(&z, &indices), None, &mut sums);
        Ok(objective.means(&sums))
    }

    /// What the layers make of samples, without the head.
    fn logits(&self, x: &Input) -> Vec<f32> {
        let n = x.samples();
        let mut y = vec![0.0; n * self.output_shape().size()];
        // As `Model::predict` does it, for its reasons.
        if n <= self.program.shard() {
            self.program.run(x, &mut y);
        } else {
            rayon::scope(|_| self.program.run(x, &mut y));
        }
        y
    }
}

impl fmt::Debug for QuantizedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (input, layers) = (&self.graph.input, &self.layers);
        f.debug_struct("QuantizedModel").field("input", input).field("layers", layers).finish_non_exhaustive()
    }
}

/// What each layer is.
fn kinds(plan: &Sequential, layers: &[LayerInfo]) -> Result<Vec<Kind>> {
    let inputs = [plan.input].into_iter().chain(layers.iter().map(|layer| layer.output));
    plan.layers.iter().zip(inputs).map(|(layer, input)| Kind::of(layer, input)).collect()
}
