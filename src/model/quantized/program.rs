//! [`Program`]: the layers of a quantized model in the order in which they run.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    Activation, Model, Shape,
    data::Input,
    kernels::{
        int8::{Conv, Finish, Output, Quantizer, SLACK, Scratch, Tile, Weights, max_pool},
        pool::Pool,
    },
    model::space,
    tensor::View,
};

/// Samples that run at a time where some layers compute in numbers, whose outputs are kept for all of them.
const BATCH: usize = 1024;

/// What a quantized model computes.
pub(super) struct Program {
    pub chains: Vec<Chain>,
    /// The layers behind the last chain.
    pub back: Option<Model>,
    pub tile: Tile,
    pub spaces: space::Pool<Space>,
}

/// Layers that compute in integers: numbers become bytes at its start, and sums become numbers at its end.
pub(super) struct Chain {
    /// The layers before it.
    pub front: Option<Model>,
    /// The layers before it that [`Rescaling`](crate::layers::Rescaling)s are: `[scale, offset]`.
    pub rescalings: Vec<[f32; 2]>,
    pub quantizer: Quantizer,
    pub steps: Vec<Step>,
    pub last: Product,
    /// What is applied to the numbers.
    pub activation: Activation,
    /// One sample of the input and of the output.
    pub input: Shape,
    pub output: Shape,
    /// How many samples a thread takes at a time.
    pub shard: usize,
}

/// A layer from bytes to bytes.
pub(super) enum Step {
    Product(Product),
    MaxPool(Pool),
}

/// A convolution with all that it reads.
pub(super) struct Product {
    pub conv: Conv,
    pub weights: Weights,
    pub finish: Finish,
}

/// What a thread computes in.
#[derive(Default)]
pub(super) struct Space {
    buffers: [Vec<u8>; 2],
    scratch: Scratch,
}

impl Program {
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
    pub fn output_len(&self) -> usize {
        match self {
            Step::Product(product) => product.conv.output_len(),
            Step::MaxPool(pool) => pool.window.outputs() * pool.channels,
        }
    }
}

impl Product {
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
