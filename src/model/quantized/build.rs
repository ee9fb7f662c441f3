//! How a [`Program`] is made of layers.

use std::ops::Range;

use super::{
    kind::Kind,
    program::{Chain, Product, Program, Step},
    weights::QuantizedWeights,
};
use crate::{
    Activation, Error, Model, Result, Shape,
    kernels::{
        conv::Conv,
        int8::{self, Finish, LEVELS, Quantizer, Tile},
    },
    model::{Sequential, layer_info::LayerInfo, space},
};

/// What the bytes of a shard should take at most, so that they stay in the cache of a core.
const SHARD_BYTES: usize = 256 * 1024;
const MAX_SHARD: usize = 16;

/// The layers of a model: those with `weights` compute in integers, the others have weights of their own in the plan.
pub(super) struct Layers<'a> {
    pub plan: &'a Sequential,
    pub infos: &'a [LayerInfo],
    pub kinds: &'a [Kind],
    pub weights: &'a [Option<QuantizedWeights>],
}

impl Layers<'_> {
    /// What the layers compute.
    pub fn program(&self) -> Result<Program> {
        let (mut chains, mut start) = (Vec::new(), 0);
        while let Some(first) = self.next_product(start) {
            let (chain, end) = self.chain(start, first)?;
            chains.push(chain);
            start = end;
        }
        let back = self.numbers(start..self.kinds.len())?;
        Ok(Program { chains, back, tile: Tile::new(), spaces: space::Pool::new() })
    }

    /// The chain that begins with product `first`, with the layers before it from `start` on; and where it ends.
    fn chain(&self, start: usize, first: usize) -> Result<(Chain, usize)> {
        let mapped = |i: &usize| matches!(self.kinds[*i], Kind::Idle | Kind::Rescaling(_));
        let entry = (start..first).rev().take_while(mapped).last().unwrap_or(first);
        let rescaling = |kind: &Kind| if let Kind::Rescaling(parts) = kind { Some(*parts) } else { None };
        let (mut last, mut steps) = (first, Vec::new());
        while let Some(next) = self.reader_of_bytes(last) {
            steps.extend(self.steps(last, next)?);
            last = next;
        }
        let (_, activation, _) = self.product(last);
        let relu = activation == Activation::Relu;
        let is_head = last + 1 == self.kinds.len() && matches!(activation, Activation::Softmax | Activation::Sigmoid);
        let input = self.input(entry);
        let chain = Chain {
            front: self.numbers(start..entry)?,
            rescalings: self.kinds[entry..first].iter().filter_map(rescaling).collect(),
            quantizer: self.product(first).2.input,
            shard: shard(input, &steps),
            steps,
            last: self.build(last, [1, 1], Outcome::Numbers { relu })?,
            activation: if relu || is_head { Activation::Linear } else { activation },
            input,
            output: self.infos[last].output,
        };
        Ok((chain, last + 1))
    }

    /// The product that reads what product `i` gives, if all between them works on bytes.
    fn reader_of_bytes(&self, i: usize) -> Option<usize> {
        let next = self.next_product(i + 1)?;
        let simple = matches!(self.product(i).1, Activation::Linear | Activation::Relu);
        (simple && self.kinds[i + 1..next].iter().all(Kind::keeps_bytes)).then_some(next)
    }

    /// Product `i` and what stands between it and product `next`, whose bytes it gives. A relu can be anywhere: it commutes with a maximum.
    fn steps(&self, i: usize, next: usize) -> Result<Vec<Step>> {
        let (conv, activation, _) = self.product(i);
        let between = &self.kinds[i + 1..next];
        let relu = activation == Activation::Relu || between.iter().any(|kind| matches!(kind, Kind::Relu));
        let pool = |kind: &Kind| if let Kind::MaxPool(pool) = kind { Some(*pool) } else { None };
        let mut pools = between.iter().filter_map(pool).peekable();
        // Another shape may stand between them.
        let same_image = |window: [usize; 2], channels| (window, channels) == (conv.window.output, conv.filters);
        let fused = pools.next_if(|pool| pool.window.is_packed() && same_image(pool.window.input, pool.channels));
        let window = fused.map_or([1, 1], |pool| pool.window.kernel);
        let product = self.build(i, window, Outcome::Bytes { relu, quantizer: self.product(next).2.input })?;
        Ok([Step::Product(product)].into_iter().chain(pools.map(Step::MaxPool)).collect())
    }

    /// Product `i` with a pooling behind it.
    fn build(&self, i: usize, pool: [usize; 2], outcome: Outcome) -> Result<Product> {
        let (conv, _, weights) = self.product(i);
        product(conv, pool, weights, outcome).map_err(|message| Error::argument(&*self.infos[i].name, message))
    }

    /// Layers as a model of numbers; `None` where they do nothing.
    fn numbers(&self, layers: Range<usize>) -> Result<Option<Model>> {
        if self.kinds[layers.clone()].iter().all(|kind| matches!(kind, Kind::Idle)) {
            return Ok(None);
        }
        Sequential::of(self.input(layers.start), self.plan.layers[layers].iter().cloned()).build().map(Some)
    }

    /// One sample of what layer `i` reads.
    fn input(&self, i: usize) -> Shape {
        if i == 0 { self.plan.input } else { self.infos[i - 1].output }
    }

    /// The first layer from `start` on that computes in integers.
    fn next_product(&self, start: usize) -> Option<usize> {
        (start..self.kinds.len()).find(|&i| self.weights[i].is_some())
    }

    /// What product `i` is.
    fn product(&self, i: usize) -> (&Conv, Activation, &QuantizedWeights) {
        match (&self.kinds[i], &self.weights[i]) {
            (Kind::Product(conv, activation), Some(weights)) => (conv, *activation, weights),
            _ => unreachable!("only products have weights in integers"),
        }
    }
}

/// How many samples a thread takes at a time: results do not depend on it.
fn shard(input: Shape, steps: &[Step]) -> usize {
    let widest = steps.iter().map(Step::output_len).max().unwrap_or(0).max(input.size());
    (SHARD_BYTES / (2 * widest)).clamp(1, MAX_SHARD)
}

/// What sums become.
enum Outcome {
    Bytes { relu: bool, quantizer: Quantizer },
    Numbers { relu: bool },
}

/// A convolution with all that it reads. An error says which number is too large.
fn product(conv: &Conv, pool: [usize; 2], weights: &QuantizedWeights, outcome: Outcome) -> Result<Product, String> {
    let conv = int8::Conv::new(conv, pool).expect("the kind of the layer says so, and a pooling leaves something");
    let (scale, zero, bounds) = match outcome {
        Outcome::Bytes { relu, quantizer: Quantizer { scale, zero } } => {
            (scale, zero, [if relu { zero.into() } else { 0.0 }, LEVELS.into()])
        }
        Outcome::Numbers { relu } => (1.0, 0, [if relu { 0.0 } else { f32::NEG_INFINITY }, f32::INFINITY]),
    };
    let input = f64::from(weights.input.scale) / f64::from(scale);
    let factors: Vec<f32> = weights.scales.iter().map(|&of_filter| (input * f64::from(of_filter)) as f32).collect();
    let shifts: Vec<f32> = match &weights.bias {
        Some(bias) => bias.iter().map(|bias| bias / scale + f32::from(zero)).collect(),
        None => vec![zero.into(); factors.len()],
    };
    if let Some(wrong) = factors.iter().chain(&shifts).find(|number| !number.is_finite()) {
        return Err(format!("its scales and biases lie so far apart that a factor is {wrong}"));
    }
    let finish = Finish::new(&factors, &shifts, bounds);
    Ok(Product { weights: conv.pack(&weights.kernel, weights.input.zero), conv, finish })
}
