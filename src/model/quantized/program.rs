//! [`Program`]: the layers of a quantized model in the order in which they run.

use std::ops::Range;

use rayon::prelude::*;

use super::{kind::Kind, weights::QuantizedWeights};
use crate::{
    Activation, Error, Model, Result, Shape,
    data::Input,
    kernels::{
        int8::{Conv, Finish, LEVELS, Output, Quantizer, SLACK, Scratch, Tile, Weights, max_pool},
        pool::Pool,
    },
    model::{Sequential, layer_info::LayerInfo, space},
    tensor::View,
};

/// Samples that run at a time where some layers compute in numbers, whose outputs are kept for all of them.
const BATCH: usize = 1024;

/// What the bytes of a shard should take at most, so that they stay in the cache of a core.
const SHARD_BYTES: usize = 256 * 1024;
const MAX_SHARD: usize = 16;

/// What a quantized model computes.
pub(super) struct Program {
    chains: Vec<Chain>,
    /// The layers behind the last chain.
    back: Option<Model>,
    tile: Tile,
    spaces: space::Pool<Space>,
}

/// Layers that compute in integers: numbers become bytes at its start, and sums become numbers at its end.
struct Chain {
    /// The layers before it.
    front: Option<Model>,
    /// The layers before it that [`Rescaling`](crate::layers::Rescaling)s are: `[scale, offset]`.
    rescalings: Vec<[f32; 2]>,
    quantizer: Quantizer,
    steps: Vec<Step>,
    last: Product,
    /// What is applied to the numbers.
    activation: Activation,
    /// One sample of the input and of the output.
    input: Shape,
    output: Shape,
    /// How many samples a thread takes at a time.
    shard: usize,
}

/// A layer from bytes to bytes.
enum Step {
    Product(Product),
    MaxPool(Pool),
}

/// A convolution with all that it reads.
struct Product {
    conv: Conv,
    weights: Weights,
    finish: Finish,
}

/// What a thread computes in.
#[derive(Default)]
struct Space {
    buffers: [Vec<u8>; 2],
    scratch: Scratch,
}

impl Program {
    /// The program of built layers: those with `weights` compute in integers, those without have weights of their own in the plan.
    pub fn new(
        plan: &Sequential,
        infos: &[LayerInfo],
        kinds: &[Kind],
        weights: &[Option<QuantizedWeights>],
    ) -> Result<Self> {
        let input = |i: usize| if i == 0 { plan.input } else { infos[i - 1].output };
        let between = |layers: Range<usize>| -> Result<Option<Model>> {
            if kinds[layers.clone()].iter().all(|kind| matches!(kind, Kind::Idle)) {
                return Ok(None);
            }
            Sequential::of(input(layers.start), plan.layers[layers].iter().cloned()).build().map(Some)
        };
        let mut products = (0..kinds.len()).filter_map(|i| Some((i, weights[i].as_ref()?))).peekable();
        let (mut chains, mut start) = (Vec::new(), 0);
        while let Some((first, weights)) = products.next() {
            let mapped = |i: &usize| matches!(kinds[*i], Kind::Idle | Kind::Rescaling(_));
            let entry = (start..first).rev().take_while(mapped).last().unwrap_or(first);
            let rescaling = |kind: &Kind| if let Kind::Rescaling(parts) = kind { Some(*parts) } else { None };
            let (mut i, mut layer, mut steps) = (first, weights, Vec::new());
            let last = loop {
                let Kind::Product(conv, activation) = &kinds[i] else { unreachable!("only products have weights") };
                let product = |pool, outcome| {
                    Product::new(conv, pool, layer, outcome)
                        .map_err(|message| Error::argument(&*infos[i].name, message))
                };
                let simple = matches!(activation, Activation::Linear | Activation::Relu);
                let keeps =
                    |&mut (next, _): &mut (usize, _)| simple && kinds[i + 1..next].iter().all(Kind::keeps_bytes);
                let Some((next, next_layer)) = products.next_if(|next| keeps(&mut next.clone())) else {
                    break product([1, 1], Outcome::Numbers { relu: *activation == Activation::Relu })?;
                };
                let behind = &kinds[i + 1..next];
                let relu = *activation == Activation::Relu || behind.iter().any(|kind| matches!(kind, Kind::Relu));
                let outcome = Outcome::Bytes { relu, quantizer: next_layer.input };
                let mut pools =
                    behind.iter().filter_map(|kind| if let Kind::MaxPool(pool) = kind { Some(pool) } else { None });
                let mut pools = pools.by_ref().peekable();
                let fused = pools.next_if(|pool| pool.window.is_packed()).map_or([1, 1], |pool| pool.window.kernel);
                steps.push(Step::Product(product(fused, outcome)?));
                steps.extend(pools.map(|pool| Step::MaxPool(*pool)));
                (i, layer) = (next, next_layer);
            };
            let Kind::Product(_, activation) = &kinds[i] else { unreachable!("only products have weights") };
            let is_head = i + 1 == kinds.len() && matches!(activation, Activation::Softmax | Activation::Sigmoid);
            let done = is_head || *activation == Activation::Relu;
            let input = input(entry);
            chains.push(Chain {
                front: between(start..entry)?,
                rescalings: kinds[entry..first].iter().filter_map(rescaling).collect(),
                quantizer: weights.input,
                shard: shard(input, &steps),
                steps,
                last,
                activation: if done { Activation::Linear } else { *activation },
                input,
                output: infos[i].output,
            });
            start = i + 1;
        }
        let back = between(start..kinds.len())?;
        Ok(Program { chains, back, tile: Tile::new(), spaces: space::Pool::new() })
    }

    /// How many samples a thread takes through the first layers at a time.
    pub fn shard(&self) -> usize {
        self.chains.first().map_or(1, |chain| chain.shard)
    }

    /// Overwrites `y` with what the layers make of samples, without a softmax or sigmoid at the end of the last.
    pub fn run(&self, x: &Input, y: &mut [f32]) {
        let n = x.samples();
        let batch =
            if self.chains.len() == 1 && self.back.is_none() && self.chains[0].front.is_none() { n } else { BATCH };
        let width = y.len() / n;
        for (i, y) in y.chunks_mut(batch * width).enumerate() {
            let samples = i * batch..i * batch + y.len() / width;
            self.batch(&part(x, samples), y);
        }
    }

    fn batch(&self, x: &Input, y: &mut [f32]) {
        let n = x.samples();
        let (mut kept, mut shape) = (None::<Vec<f32>>, x.shape().sample());
        for (i, chain) in self.chains.iter().enumerate() {
            if let Some(front) = &chain.front {
                let source = kept.as_ref().map_or(*x, |values| Input::Values(View::new(shape.batch(n), values)));
                kept = Some(numbers(front, &source));
            }
            let source = kept.as_ref().map_or(*x, |values| Input::Values(View::new(chain.input.batch(n), values)));
            shape = chain.output;
            if i + 1 == self.chains.len() && self.back.is_none() {
                return chain.run(self.tile, &source, y, &self.spaces);
            }
            let mut values = vec![0.0; n * shape.size()];
            chain.run(self.tile, &source, &mut values, &self.spaces);
            kept = Some(values);
        }
        let source = kept.as_ref().map_or(*x, |values| Input::Values(View::new(shape.batch(n), values)));
        if let Some(back) = &self.back {
            back.infer(&source, 0..n, usize::MAX, y);
        }
    }
}

/// What a model makes of samples.
fn numbers(model: &Model, x: &Input) -> Vec<f32> {
    let mut y = vec![0.0; x.samples() * model.output_shape().size()];
    model.infer(x, 0..x.samples(), usize::MAX, &mut y);
    model.graph.head.apply(&mut y, model.output_shape().last());
    y
}

/// Some of the samples.
fn part<'a>(x: &Input<'a>, samples: Range<usize>) -> Input<'a> {
    let (shape, len) = (x.shape().sample().batch(samples.len()), x.shape().sample().size());
    let elements = samples.start * len..samples.end * len;
    match x {
        Input::Values(x) => Input::Values(View::new(shape, &x.data[elements])),
        Input::Bytes(x) => Input::Bytes(View::new(shape, &x.data[elements])),
    }
}

/// How many samples a thread takes at a time: results do not depend on it.
fn shard(input: Shape, steps: &[Step]) -> usize {
    let widest = steps.iter().map(Step::output_len).max().unwrap_or(0).max(input.size());
    (SHARD_BYTES / (2 * widest)).clamp(1, MAX_SHARD)
}

impl Chain {
    fn run(&self, tile: Tile, x: &Input, y: &mut [f32], spaces: &space::Pool<Space>) {
        let (n, width, shard) = (x.samples(), self.output.size(), self.shard);
        let run = |(i, y): (usize, &mut [f32])| {
            let x = part(x, i * shard..i * shard + y.len() / width);
            spaces.lend_or(Space::default, |space| self.shard(tile, &x, y, space));
        };
        // A single shard is not worth the way to another thread.
        if n <= shard {
            return run((0, y));
        }
        y.par_chunks_mut(shard * width).enumerate().for_each(run);
    }

    fn shard(&self, tile: Tile, x: &Input, y: &mut [f32], Space { buffers, scratch }: &mut Space) {
        let n = x.samples();
        let [from, to] = buffers;
        let len = n * self.input.size();
        grow(from, len + SLACK);
        match x {
            Input::Values(x) => self.quantize(x.data, |x| x, &mut from[..len]),
            Input::Bytes(x) => self.quantize(x.data, f32::from, &mut from[..len]),
        }
        let mut held = len;
        for step in &self.steps {
            let len = n * step.output_len();
            grow(to, len + SLACK);
            match step {
                Step::Product(product) => product.run(tile, from, &mut to[..len], scratch),
                Step::MaxPool(pool) => max_pool(pool, &from[..held], &mut to[..len]),
            }
            held = len;
            std::mem::swap(from, to);
        }
        self.last.run(tile, from, y, scratch);
        self.activation.apply(y, self.output.last());
    }

    /// The samples as bytes.
    fn quantize<X: Copy>(&self, x: &[X], number: impl Fn(X) -> f32, bytes: &mut [u8]) {
        match self.rescalings[..] {
            [] => self.quantizer.quantize(x, number, bytes),
            [[scale, offset]] => self.quantizer.quantize(x, |x| number(x) * scale + offset, bytes),
            _ => {
                let rescale = |x, [scale, offset]: &[f32; 2]| x * scale + offset;
                self.quantizer.quantize(x, |x| self.rescalings.iter().fold(number(x), rescale), bytes);
            }
        }
    }
}

impl Step {
    /// The bytes of a sample.
    fn output_len(&self) -> usize {
        match self {
            Step::Product(product) => product.conv.output_len(),
            Step::MaxPool(pool) => pool.window.outputs() * pool.channels,
        }
    }
}

/// What sums become.
#[derive(Clone, Copy)]
enum Outcome {
    Bytes { relu: bool, quantizer: Quantizer },
    Numbers { relu: bool },
}

impl Product {
    /// An error says which number is too large.
    fn new(
        conv: &crate::kernels::conv::Conv,
        pool: [usize; 2],
        layer: &QuantizedWeights,
        outcome: Outcome,
    ) -> Result<Self, String> {
        let conv = Conv::new(conv, pool).expect("the kind of the layer says so, and a pooling leaves something");
        let (scale, zero, bounds) = match outcome {
            Outcome::Bytes { relu, quantizer: Quantizer { scale, zero } } => {
                (scale, zero, [if relu { zero.into() } else { 0.0 }, LEVELS.into()])
            }
            Outcome::Numbers { relu } => (1.0, 0, [if relu { 0.0 } else { f32::NEG_INFINITY }, f32::INFINITY]),
        };
        let factors = layer
            .scales
            .iter()
            .map(|&of_filter| (f64::from(layer.input.scale) * f64::from(of_filter) / f64::from(scale)) as f32);
        let factors: Vec<f32> = factors.collect();
        let shifts: Vec<f32> = match &layer.bias {
            Some(bias) => bias.iter().map(|bias| bias / scale + f32::from(zero)).collect(),
            None => vec![zero.into(); factors.len()],
        };
        if let Some(wrong) = factors.iter().chain(&shifts).find(|number| !number.is_finite()) {
            return Err(format!("its scales and biases lie so far apart that a factor is {wrong}"));
        }
        let (weights, finish) = (conv.pack(&layer.kernel, layer.input.zero), Finish::new(&factors, &shifts, bounds));
        Ok(Product { conv, weights, finish })
    }

    fn run<O: Output>(&self, tile: Tile, x: &[u8], y: &mut [O], scratch: &mut Scratch) {
        self.conv.forward(tile, x, &self.weights, &self.finish, y, scratch);
    }
}

fn grow(buffer: &mut Vec<u8>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
}

#[cfg(test)]
mod tests {
    use crate::{kernels::int8::Tile, prelude::*};

    #[test]
    fn every_tile_predicts_the_same_bits() {
        let plan = Sequential::new([9, 8, 3])
            .add(Conv2D::new(20, 3).padding(Padding::Same).activation(Activation::Relu))
            .add(MaxPooling2D::new(2))
            .add(Conv2D::new(7, 2))
            .add(Flatten::new())
            .add(Dense::new(4).activation(Activation::Softmax));
        let x = Tensor::random_normal([30, 9, 8, 3], 0.0, 1.0, 0);
        let mut model = plan.build().unwrap().quantize(&x).unwrap();
        let expected = model.predict(&x).unwrap();
        for tile in Tile::all() {
            model.program.tile = tile;
            assert_eq!(model.predict(&x).unwrap(), expected, "{}", tile.name);
        }
    }
}
