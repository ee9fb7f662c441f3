//! [`Model`]: built layers with their weights, that predicts, trains and is looked at.

mod architecture;
mod check;
mod checkpoint;
mod compile_config;
mod compiled;
mod curve;
mod evaluate;
mod explain;
mod fit;
mod graph;
mod history;
#[cfg(feature = "image")]
mod image_input;
mod infer;
mod layer_info;
mod objective;
mod options;
mod packed;
mod penalty;
mod progress;
mod quantized;
mod samples;
mod sequential;
mod source;
mod space;
mod summary;
mod surgery;
mod tape;
mod trainer;

use std::{fmt, ops::Range};

pub use crate::data::DEFAULT_BATCH_SIZE;
pub(crate) use checkpoint::Checkpoint;
pub use compiled::OptimizerState;
pub use history::{Epoch, History, Score};
pub use layer_info::LayerRef;
pub use options::Fit;
pub use quantized::QuantizedModel;
pub(crate) use quantized::QuantizedWeights;
pub(crate) use sequential::DynConfig;
pub use sequential::Sequential;
#[cfg(feature = "keras")]
pub(crate) use sequential::snake_case;

use self::{
    compiled::Compiled,
    graph::Graph,
    infer::{Boundaries, Infer},
    layer_info::LayerInfo,
    packed::Weights,
    space::{Pool, Spaces},
};
use crate::{
    Error, Labels, Result, Scalar, Shape, Tensor,
    data::Input,
    params::{ParamInfo, ParamLayout},
};

/// A built model: layers that fit each other, and their weights.
///
/// [`Sequential`] makes one. It predicts as it is; [`fit`](Model::fit) and [`evaluate`](Model::evaluate) need
/// [`compile`](Model::compile) first. Predicting needs no `&mut`, so many threads can share a model.
pub struct Model<T = f32> {
    layers: Vec<LayerInfo>,
    graph: Graph,
    weights: Weights<T>,
    spaces: Spaces<T>,
    boundaries: Pool<Boundaries<T>>,
    compiled: Option<Compiled<T>>,
    history: History,
}

impl<T: Scalar> Model<T> {
    pub(crate) fn new(layers: Vec<LayerInfo>, graph: Graph, params: Vec<T>) -> Self {
        Model {
            layers,
            graph,
            weights: Weights::new(params),
            spaces: Spaces::new(),
            boundaries: Pool::new(),
            compiled: None,
            history: History::default(),
        }
    }

    /// The shape of one sample of the input.
    pub fn input_shape(&self) -> Shape {
        self.graph.input
    }

    /// The shape of one sample of the output.
    pub fn output_shape(&self) -> Shape {
        self.graph.output()
    }

    /// The layers in their order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = LayerRef<'_, T>> {
        (0..self.layers.len()).map(|index| LayerRef { index, model: self })
    }

    /// The layer of this name.
    ///
    /// # Errors
    /// When there is none; the error lists the names there are.
    pub fn get_layer(&self, name: &str) -> Result<LayerRef<'_, T>> {
        Ok(LayerRef { index: self.layer_index("get_layer", name)?, model: self })
    }

    fn layer_index(&self, method: &'static str, name: &str) -> Result<usize> {
        self.layers.iter().position(|layer| layer.name == name).ok_or_else(|| {
            let names: Vec<_> = self.layers().map(|layer| layer.name()).collect();
            Error::argument(method, format!("no layer is named \"{name}\"; there are {}", names.join(", ")))
        })
    }

    /// How many numbers the weights hold.
    pub fn count_params(&self) -> usize {
        self.params().len()
    }

    /// All weights as one flat array, in the order of [`layout`](Model::layout).
    pub fn params(&self) -> &[T] {
        self.weights.values()
    }

    /// Replaces [`params`](Model::params) by others of the same model.
    pub(crate) fn set_params(&mut self, params: &[T]) {
        self.weights.values_mut().copy_from_slice(params);
    }

    /// Where each weight stands in [`params`](Model::params), with its name and shape.
    pub fn layout(&self) -> &ParamLayout {
        &self.graph.layout
    }

    /// A copy of all weights, in Keras's order: layer by layer, kernel and bias.
    pub fn get_weights(&self) -> Vec<Tensor<T>> {
        self.graph.layout.infos().iter().map(|info| self.weight(info)).collect()
    }

    /// Replaces all weights, in the order of [`get_weights`](Model::get_weights).
    ///
    /// # Errors
    /// When the number of weights or a shape differs; then no weight has changed.
    pub fn set_weights(&mut self, weights: &[Tensor<T>]) -> Result<()> {
        let infos = self.graph.layout.infos();
        if weights.len() != infos.len() {
            return Err(Error::argument(
                "set_weights",
                format!("the model has {} weights, got {}", infos.len(), weights.len()),
            ));
        }
        for (info, weight) in infos.iter().zip(weights) {
            if weight.shape() != info.shape {
                return Err(Error::shape(
                    format!("set_weights: {}", info.name),
                    format!("shape {}", info.shape),
                    weight.shape(),
                    "no weight was changed",
                ));
            }
        }
        let values = self.weights.values_mut();
        for (info, weight) in infos.iter().zip(weights) {
            values[info.range()].copy_from_slice(weight.data());
        }
        Ok(())
    }

    /// Freezes a layer, by its name, or lets training move its weights again. What stands before the first layer that is trained takes no
    /// gradient and keeps no activations; a frozen [`BatchNormalization`](crate::layers::BatchNormalization) computes as in
    /// prediction.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let mut model = Sequential::new([8]).add(Dense::new(4)).add(Dense::new(2)).build()?;
    /// model.set_trainable("dense", false)?;
    /// assert!(model.summary().contains("Trainable params: 10"));
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When no layer has this name.
    pub fn set_trainable(&mut self, layer: &str, trainable: bool) -> Result<()> {
        let index = self.layer_index("set_trainable", layer)?;
        self.graph.nodes[index].trainable = trainable;
        self.follow_trainable();
        Ok(())
    }

    /// Freezes all layers up to this one, itself included.
    ///
    /// # Errors
    /// As [`set_trainable`](Model::set_trainable).
    pub fn freeze_until(&mut self, layer: &str) -> Result<()> {
        let index = self.layer_index("freeze_until", layer)?;
        self.graph.nodes[..=index].iter_mut().for_each(|node| node.trainable = false);
        self.follow_trainable();
        Ok(())
    }

    /// Lets the weights of a layer, by its name, move at a rate of their own: the optimizer's learning rate, or what its schedule
    /// gives, times `multiplier`; 1 is how every layer begins. Layers that were trained before are often moved more slowly than new ones.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let plan = Sequential::new([8]).add(Dense::new(4).named("old")).add(Dense::new(2).named("new"));
    /// let mut model = plan.compile(SGD::new(0.1), MeanSquaredError, [])?;
    /// model.set_learning_rate_multiplier("old", 0.1)?;
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When no layer has this name, or the multiplier is not a finite number above 0; to move a layer not at all, see
    /// [`set_trainable`](Model::set_trainable).
    pub fn set_learning_rate_multiplier(&mut self, layer: &str, multiplier: f64) -> Result<()> {
        let method = "set_learning_rate_multiplier";
        let index = self.layer_index(method, layer)?;
        sequential::check_rate(multiplier).map_err(|message| Error::argument(method, message))?;
        self.graph.nodes[index].rate = multiplier;
        self.follow_trainable();
        Ok(())
    }

    fn follow_trainable(&mut self) {
        if let Some(compiled) = &mut self.compiled {
            compiled.follow(&self.graph, self.weights.values());
        }
    }

    /// Whether it is known how the model is trained.
    pub(crate) fn is_compiled(&self) -> bool {
        self.compiled.is_some()
    }

    /// Keras's name of the optimizer, if there is one.
    #[cfg(feature = "keras")]
    pub(crate) fn optimizer_name(&self) -> Option<&'static str> {
        self.compiled.as_ref().map(|compiled| compiled.optimizer.name())
    }

    fn weight(&self, info: &ParamInfo) -> Tensor<T> {
        Tensor::new(info.shape, self.params()[info.range()].to_vec()).expect("a weight has its declared shape")
    }

    /// How many samples of a batch a thread takes through the layers at a time.
    ///
    /// As many as a core's cache has room for the activations of. It follows from the layers alone, since the order of additions
    /// depends on it, and so the bits. A layer that needs the whole batch, such as [`Dense`](crate::layers::Dense), gets it.
    pub fn shard_size(&self) -> usize {
        self.graph.shard
    }

    /// What the last [`fit`](Model::fit) that began to train gave, also when it ended with an error: the epochs that it finished.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The model's answers to `x: [n, ..input]`: `[n, ..output]`.
    ///
    /// `x` is a tensor of the model's numbers, or of bytes. Nothing is allocated but the result, once the model has predicted before.
    ///
    /// # Errors
    /// When a sample of `x` has another shape than the model's input, or there is none.
    pub fn predict<'a>(&self, x: impl Into<Input<'a, T>>) -> Result<Tensor<T>> {
        self.predict_with(x, usize::MAX)
    }

    /// [`predict`](Model::predict), at most `batch_size` samples at a time, which bounds the memory that it takes; the result is
    /// the same.
    ///
    /// # Errors
    /// As [`predict`](Model::predict), and when `batch_size` is 0.
    pub fn predict_with<'a>(&self, x: impl Into<Input<'a, T>>, batch_size: usize) -> Result<Tensor<T>> {
        let x = x.into();
        check::input("predict", &x, &self.graph)?;
        check::batch_size("predict", batch_size)?;
        let (n, output) = (x.samples(), self.output_shape());
        let mut y = vec![T::zero(); n * output.size()];
        let mut run = || {
            self.infer(&x, 0..n, batch_size, &mut y);
            self.graph.head.apply(&mut y, output.last());
        };
        // Few samples are done before a thread of the pool has woken up; for many, only a thread of the pool starts parallel
        // loops without waiting.
        if n <= self.graph.shard {
            run()
        } else {
            rayon::scope(|_| run())
        }
        Tensor::new(output.batch(n), y)
    }

    /// The class of each sample: the index of the largest of the model's outputs, or, for a single output, whether it is
    /// above 0.5. [`Labels::of_outputs`] is the same for outputs that are there already.
    ///
    /// # Errors
    /// As [`predict`](Model::predict), and when the output of a sample is not a vector.
    pub fn predict_classes<'a>(&self, x: impl Into<Input<'a, T>>) -> Result<Labels> {
        self.classes("predict_classes")?;
        Labels::of_outputs(&self.predict(x)?)
    }

    /// The number of classes of an output that is a vector.
    fn classes(&self, method: &'static str) -> Result<usize> {
        check_classes(method, self.output_shape())
    }

    /// What the nodes make of some of the samples in `x`, at most `batch_size` at a time, without the head.
    fn infer(&self, x: &Input<T>, samples: Range<usize>, batch_size: usize, y: &mut [T]) {
        let (graph, packed) = (&self.graph, self.weights.packed(&self.graph));
        let batch = batch_size.min(infer::largest_batch(graph)).min(samples.len());
        let width = graph.output().size();
        let pass = Infer { graph, params: self.params(), packed, spaces: &self.spaces };
        self.boundaries.lend_or(Boundaries::default, |Boundaries { input, outputs }| {
            for (i, y) in y.chunks_mut(batch * width).enumerate() {
                let (start, n) = (samples.start + i * batch, y.len() / width);
                pass.run(n, x.rows(start..start + n, input), y, outputs);
            }
        });
    }
}

/// The number of classes of an output that is a vector.
fn check_classes(method: &'static str, output: Shape) -> Result<usize> {
    let [classes] = *output.dims() else {
        let help = "end the model in a Dense layer with a unit for each class";
        return Err(Error::shape(method, "a model whose output has rank 1", output, help));
    };
    Ok(classes)
}

impl<T: Scalar> Clone for Model<T> {
    fn clone(&self) -> Self {
        Model {
            layers: self.layers.clone(),
            graph: self.graph.clone(),
            weights: Weights::new(self.params().to_vec()),
            spaces: Spaces::new(),
            boundaries: Pool::new(),
            compiled: self.compiled.clone(),
            history: self.history.clone(),
        }
    }
}

impl<T> fmt::Debug for Model<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("input", &self.graph.input).field("layers", &self.layers).finish_non_exhaustive()
    }
}
