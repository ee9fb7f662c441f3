//! The contract of a layer: a configuration that is built, and a pure function with its gradient.

use std::{any::Any, fmt::Debug};

use super::ChannelAffine;
use crate::{
    Activation, Error, Result, Scalar, Shape, Tensor,
    aligned::Aligned,
    config::Arguments,
    kernels::Pass,
    params::{ParamId, ParamLayout, WeightSpec},
    rng::{self, Rng},
    tensor::{View, ViewMut},
};

/// What a user writes: the plain data from which a layer is built, such as [`Conv2D`](crate::layers::Conv2D).
///
/// To add a layer of your own, implement this for its configuration and [`Layer`] for its built form;
/// `examples/custom_layer.rs` does it, and [`gradcheck`](crate::gradcheck) checks it.
pub trait LayerConfig: Clone + Debug + Send + Sync + 'static {
    /// The built layer.
    type Built: Layer;

    /// The name of the layer's kind, as Keras spells it: `"Conv2D"`.
    fn class_name(&self) -> &'static str;

    /// Tells the layer's arguments by their names in Keras, to write or to read its configuration; see [`Arguments`]. Without it, a
    /// model with the layer keeps its weights in files, but not its architecture.
    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.fail(format!("{} does not tell its arguments (LayerConfig::arguments)", self.class_name()));
    }

    /// Sees the shape that comes in ([`Build::input`]), declares the weights, and returns the built layer with the
    /// shape of one sample of its output.
    ///
    /// # Errors
    /// When an argument is out of its range or the layer cannot take the shape that comes in.
    fn build(&self, cx: &mut Build) -> Result<(Self::Built, Shape)>;

    /// The layer without its final activation, and that activation. When the last layer of a model ends in a softmax
    /// or a sigmoid, training computes the loss on the logits that the first part gives.
    fn split_activation(&self) -> Option<(Self, Activation)> {
        None
    }

    /// The layer with a relu behind it, if that is the same as a relu before it, and less work: the maximum of a window
    /// commutes with relu, gradient included. A model then takes the relu off the layer before.
    fn then_relu(&self) -> Option<Self> {
        None
    }

    /// What the layer is in prediction, if it is a scale and a shift for each channel, the last axis; `weights` are in the order in which
    /// they were declared. [`Model::fold_batch_norm`](crate::Model::fold_batch_norm) asks.
    fn channel_affine(&self, _input: Shape, _weights: &[Tensor<f64>]) -> Option<ChannelAffine> {
        None
    }

    /// The layer with a scale and a shift for each channel of its output behind it, if it can be one layer with them, and its weights.
    fn absorb(&self, _weights: &[Tensor<f64>], _affine: &ChannelAffine) -> Option<(Self, Vec<Tensor<f64>>)> {
        None
    }

    /// The name that the user gave this layer, if any.
    fn name(&self) -> Option<&str> {
        None
    }

    /// Gives the layer a name; without one it is called by its kind and number: `conv2d`, `conv2d_1`.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let model = Sequential::new([4]).add(Dense::new(2).named("scores")).build()?;
    /// assert_eq!(model.get_layer("scores")?.count_params(), 10);
    /// # Ok::<(), cornu::Error>(())
    /// ```
    fn named(self, name: impl Into<String>) -> Named<Self> {
        Named { layer: self, name: name.into() }
    }
}

/// A layer's configuration with a name of the user's, made by [`LayerConfig::named`].
#[derive(Clone, Debug, PartialEq)]
pub struct Named<C> {
    layer: C,
    name: String,
}

impl<C: LayerConfig> LayerConfig for Named<C> {
    type Built = C::Built;

    fn class_name(&self) -> &'static str {
        self.layer.class_name()
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        self.layer.arguments(arguments);
    }

    fn build(&self, cx: &mut Build) -> Result<(Self::Built, Shape)> {
        self.layer.build(cx)
    }

    fn split_activation(&self) -> Option<(Self, Activation)> {
        let (layer, activation) = self.layer.split_activation()?;
        Some((layer.named(self.name.clone()), activation))
    }

    fn then_relu(&self) -> Option<Self> {
        Some(self.layer.then_relu()?.named(self.name.clone()))
    }

    fn channel_affine(&self, input: Shape, weights: &[Tensor<f64>]) -> Option<ChannelAffine> {
        self.layer.channel_affine(input, weights)
    }

    fn absorb(&self, weights: &[Tensor<f64>], affine: &ChannelAffine) -> Option<(Self, Vec<Tensor<f64>>)> {
        let (layer, weights) = self.layer.absorb(weights, affine)?;
        Some((layer.named(self.name.clone()), weights))
    }

    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }
}

/// What a configuration sees while it is built, and where it declares its weights.
#[derive(Debug)]
pub struct Build<'a> {
    class: &'static str,
    name: &'a str,
    index: usize,
    input: Shape,
    layout: &'a mut ParamLayout,
}

impl<'a> Build<'a> {
    pub(crate) fn new(
        class: &'static str,
        name: &'a str,
        index: usize,
        input: Shape,
        layout: &'a mut ParamLayout,
    ) -> Self {
        Build { class, name, index, input, layout }
    }

    /// The shape of one sample of the input, without the batch.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// The shape of one sample of the input, when it has as many dimensions as the layer needs.
    ///
    /// # Errors
    /// When it has not; `help` says how to mend it.
    pub fn input_of_rank<const RANK: usize>(&self, help: &str) -> Result<[usize; RANK]> {
        self.input.dims().try_into().map_err(|_| self.shape_error(format!("input of rank {RANK}"), help))
    }

    /// Declares a weight that gradients move, Keras's `add_weight`. Its name is unique within the layer.
    ///
    /// # Errors
    /// When an argument of `spec` (an [`Initializer`](crate::Initializer), or more) is out of range, or the shape is larger than any
    /// memory.
    pub fn weight(&mut self, name: &str, shape: impl Into<Shape>, spec: impl Into<WeightSpec>) -> Result<ParamId> {
        self.declare(name, shape.into(), spec.into(), true)
    }

    /// Declares a weight that no gradient moves, such as a table of constants or a moving average.
    ///
    /// # Errors
    /// As [`weight`](Build::weight).
    pub fn constant(&mut self, name: &str, shape: impl Into<Shape>, spec: impl Into<WeightSpec>) -> Result<ParamId> {
        self.declare(name, shape.into(), spec.into(), false)
    }

    fn declare(&mut self, name: &str, shape: Shape, spec: WeightSpec, trainable: bool) -> Result<ParamId> {
        spec.check(shape).map_err(|message| self.argument_error(format!("{name}: {message}")))?;
        self.layout.declare(format!("{}/{name}", self.name), shape, spec, trainable)
    }

    /// The error of a layer that cannot take the shape that comes in.
    pub fn shape_error(&self, expected: impl Into<String>, help: impl Into<Box<str>>) -> Error {
        Error::shape(self.place(), expected, self.input, help)
    }

    /// The error of an argument out of its range.
    pub fn argument_error(&self, message: impl Into<String>) -> Error {
        Error::argument(self.place(), message)
    }

    /// `Conv2D "conv2d_1" (layer 2)`.
    fn place(&self) -> String {
        format!("{} \"{}\" (layer {})", self.class, self.name, self.index)
    }
}

/// A built layer: a function of its input and of the model's weights, with its gradient, that keeps nothing.
///
/// All that a step needs lives in the [`Work`](Layer::Work) and the [`Scratch`] that the executor lends, so one model
/// serves many threads and a test calls a layer like a function.
pub trait Layer: Debug + Send + Sync + 'static {
    /// What a forward pass of training leaves for the backward pass: the winners of a pooling, a mask, statistics.
    /// `()` where there is nothing. Its buffers are grown once and then reused.
    type Work<T: Scalar>: Default + Send + Sync + 'static;

    /// Whether the executor may cut the batch into parts.
    fn scope(&self) -> Scope {
        Scope::PerSample
    }

    /// Whether the output is the input, element by element, in training as in prediction: then the executor does not call the layer
    /// where it can do without.
    fn is_identity(&self) -> bool {
        false
    }

    /// Whether the output is the input in prediction, as that of a dropout is.
    fn is_idle_in_prediction(&self) -> bool {
        self.is_identity()
    }

    /// The layer with the one behind it, where one that does the work of both is less work: the model runs it in place of the two. `next`
    /// is the built layer, to be downcast.
    fn fuse(&self, _next: &dyn Any) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// What [`backward`](Layer::backward) reads of the forward pass. What nobody reads is not kept until then, which saves memory
    /// and the way to it; all is, by default.
    fn reads(&self) -> Reads {
        Reads { x: true, y: true }
    }

    /// How many indices there are, for a layer whose input is indices: whole numbers from 0 on. A model checks that those
    /// for its first layer are, since a forward pass cannot fail.
    fn indices(&self) -> Option<usize> {
        None
    }

    /// The bytes that [`Work`](Layer::Work) holds after a forward pass of training whose output has `outputs` elements;
    /// only [`summary`](crate::Model::summary) asks.
    fn work_bytes<T: Scalar>(&self, _outputs: usize) -> usize {
        0
    }

    /// How many elements [`pack`](Layer::pack) writes.
    fn packed_len<T: Scalar>(&self, _pass: Pass) -> usize {
        0
    }

    /// Brings the weights into a form that the kernels of a pass read faster; overwrites all of `packed`. It is called once
    /// when the weights have changed, not for each part of a batch, and
    /// [`Forward::packed`] and [`Backward::packed`] hold the result.
    fn pack<T: Scalar>(&self, _params: Params<T>, _pass: Pass, _packed: &mut [T]) {}

    /// Computes the output `y` from the input `x`; overwrites all of `y`.
    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, work: &mut Self::Work<T>, x: View<T>, y: ViewMut<T>);

    /// Computes the gradients from `dy`, the gradient of the loss to the output: overwrites all of `dx`, the gradient
    /// to the input (`None`: nobody needs it), and **adds** to `cx.grads` those to the weights.
    ///
    /// `work` is what [`forward`](Layer::forward) left for the same samples. `taped.dy` may be overwritten.
    fn backward<T: Scalar>(
        &self,
        cx: &mut Backward<T>,
        work: &mut Self::Work<T>,
        taped: Taped<T>,
        dx: Option<ViewMut<T>>,
    );

    /// For [`Scope::Summed`]: adds to `sums` what the samples of `x` contribute to the sums over the batch that
    /// [`forward`](Layer::forward) needs.
    fn sum<T: Scalar>(&self, _work: &mut Self::Work<T>, _x: View<T>, _sums: &mut [f64]) {}

    /// For [`Scope::Summed`]: adds to `sums` what some samples contribute to the sums over the batch that
    /// [`backward`](Layer::backward) needs, and to `cx.grads` the gradients to the weights.
    fn sum_gradient<T: Scalar>(
        &self,
        _cx: &mut Backward<T>,
        _work: &mut Self::Work<T>,
        _x: View<T>,
        _dy: View<T>,
        _sums: &mut [f64],
    ) {
    }

    /// For [`Scope::Summed`]: stores what a step of training leaves in the weights that no gradient moves, such as moving averages. It
    /// is called after the backward pass, with the sums of [`sum`](Layer::sum), unless the layer is frozen.
    fn store<T: Scalar>(&self, _sums: &[f64], _state: &mut State<T>) {}
}

/// The weights of a model, for [`Layer::store`].
#[derive(Debug)]
pub struct State<'a, T> {
    pub(crate) values: &'a mut [T],
    pub(crate) layout: &'a ParamLayout,
}

impl<T> State<'_, T> {
    /// The values of a weight.
    pub fn of(&mut self, id: ParamId) -> &mut [T] {
        &mut self.values[self.layout.range(id)]
    }
}

/// Which parts of [`Taped`] a layer's backward pass reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// [`Taped::x`].
    pub x: bool,
    /// [`Taped::y`].
    pub y: bool,
}

/// How a layer sees the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Samples are independent: the executor calls the layer for parts of the batch, in parallel.
    PerSample,
    /// The layer sees the whole batch at once and parallelizes inside its kernel, over fixed blocks.
    WholeBatch,
    /// Samples are independent but for sums over the batch, such as those of a mean. In a step of training, unless the layer is
    /// frozen, [`Layer::sum`] runs for all parts of the batch before [`Layer::forward`] does for any, which finds the totals in
    /// [`Forward::sums`]; then [`Layer::sum_gradient`] for all parts before [`Layer::backward`], which finds those in
    /// [`Backward::gradient_sums`] and has only `dx` to compute. Otherwise there are no sums. The layer's [`Work`](Layer::Work) is
    /// memory to compute in, and what it holds does not outlive a call.
    Summed {
        /// How many numbers [`Layer::sum`] adds up.
        forward: usize,
        /// How many numbers [`Layer::sum_gradient`] adds up.
        backward: usize,
    },
}

/// Whether a forward pass predicts or trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Prediction: nothing is random, and nothing need be left for a backward pass.
    Infer,
    /// Prediction whose gradient is wanted: nothing is random, but a backward pass follows.
    Explain,
    /// A step of training.
    Train {
        /// The seed of the run.
        seed: u64,
        /// The step, counted over all epochs.
        step: u64,
    },
}

/// The values of a model's weights.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) layout: &'a ParamLayout,
}

impl<'a, T> Params<'a, T> {
    /// The values of a weight.
    pub fn of(&self, id: ParamId) -> &'a [T] {
        &self.values[self.layout.range(id)]
    }
}

/// What a layer may use in a forward pass.
#[derive(Debug)]
pub struct Forward<'a, T> {
    /// Memory to compute in.
    pub scratch: &'a mut Scratch<T>,
    /// What [`Layer::pack`] made for this pass.
    pub packed: &'a [T],
    pub(crate) params: Params<'a, T>,
    pub(crate) sums: &'a [f64],
    pub(crate) mode: Mode,
    pub(crate) trainable: bool,
    /// The layer's index: its random stream.
    pub(crate) stream: u64,
    /// The index in the batch of the first sample of `x`.
    pub(crate) first_sample: usize,
}

impl<'a, T: Scalar> Forward<'a, T> {
    /// The values of a weight.
    pub fn param(&self, id: ParamId) -> &'a [T] {
        self.params.of(id)
    }

    /// The sums over the batch that [`Layer::sum`] adds up; empty outside training, and for a frozen layer.
    pub fn sums(&self) -> &'a [f64] {
        self.sums
    }

    /// Whether this is a step of training: only then a layer is random, or computes statistics of the batch.
    pub fn training(&self) -> bool {
        matches!(self.mode, Mode::Train { .. })
    }

    /// Whether a backward pass follows, for which [`Layer::Work`] has to be left.
    pub fn keeps(&self) -> bool {
        self.mode != Mode::Infer
    }

    /// Whether training moves the layer's weights; if not, the layer is frozen, and batch normalization, for one, computes as in
    /// prediction.
    pub fn trainable(&self) -> bool {
        self.trainable
    }

    /// The random numbers of sample `i` of the input in this step; `None` outside training. They do not depend on
    /// the number of threads.
    pub fn rng(&self, i: usize) -> Option<Rng> {
        match self.mode {
            Mode::Infer | Mode::Explain => None,
            Mode::Train { seed, step } => Some(rng::stream(seed, self.stream, step, (self.first_sample + i) as u64)),
        }
    }
}

/// What a layer may use in a backward pass, and where it adds the gradients of its weights.
#[derive(Debug)]
pub struct Backward<'a, T> {
    /// The gradients to the weights, to be added to.
    pub grads: Grads<'a, T>,
    /// Memory to compute in.
    pub scratch: &'a mut Scratch<T>,
    /// What [`Layer::pack`] made for this pass; empty where nobody needs `dx`.
    pub packed: &'a [T],
    pub(crate) params: Params<'a, T>,
    /// Those of the forward and of the backward pass.
    pub(crate) sums: [&'a [f64]; 2],
    pub(crate) trainable: bool,
}

impl<'a, T: Scalar> Backward<'a, T> {
    /// [`Forward::sums`] of the forward pass.
    pub fn sums(&self) -> &'a [f64] {
        self.sums[0]
    }

    /// The sums over the batch that [`Layer::sum_gradient`] adds up; empty where [`sums`](Backward::sums) are.
    pub fn gradient_sums(&self) -> &'a [f64] {
        self.sums[1]
    }

    /// Whether anybody needs the gradients to the layer's weights; those of a frozen layer are ignored.
    pub fn trainable(&self) -> bool {
        self.trainable
    }

    /// The values of a weight.
    pub fn param(&self, id: ParamId) -> &'a [T] {
        self.params.of(id)
    }
}

/// The gradients to a model's weights, or to those of a part of its layers.
#[derive(Debug)]
pub struct Grads<'a, T> {
    pub(crate) values: &'a mut [T],
    /// The index in the flat array of the first of `values`.
    pub(crate) offset: usize,
    pub(crate) layout: &'a ParamLayout,
}

impl<T> Grads<'_, T> {
    /// The gradient to a weight, to be added to.
    pub fn of(&mut self, id: ParamId) -> &mut [T] {
        let range = self.layout.range(id);
        &mut self.values[range.start - self.offset..range.end - self.offset]
    }
}

/// What the forward pass saw, and the gradient that comes back.
#[derive(Debug)]
pub struct Taped<'a, T> {
    /// The input; it has no samples when [`Layer::reads`] does not ask for it.
    pub x: View<'a, T>,
    /// The output, likewise.
    pub y: View<'a, T>,
    /// The gradient of the loss to the output. The layer may overwrite it: nobody reads it afterwards.
    pub dy: ViewMut<'a, T>,
}

impl<'a, T> Taped<'a, T> {
    /// `n` samples, of which a layer gets what it reads.
    pub(crate) fn new(reads: Reads, n: usize, x: (Shape, &'a [T]), y: (Shape, &'a [T]), dy: &'a mut [T]) -> Self {
        let view = |read: bool, (sample, data): (Shape, &'a [T])| {
            if read { View::new(sample.batch(n), data) } else { View::new(sample.batch(0), &[]) }
        };
        Taped { x: view(reads.x, x), y: view(reads.y, y), dy: ViewMut::new(y.0.batch(n), dy) }
    }
}

/// Memory that a layer computes in; what it holds does not outlive the call.
#[derive(Debug, Default)]
pub struct Scratch<T>(Aligned<T>);

impl<T: Scalar> Scratch<T> {
    /// `len` elements of any value, at the start of a cache line. Grown once, then reused.
    pub fn take(&mut self, len: usize) -> &mut [T] {
        self.0.grown(len)
    }
}
