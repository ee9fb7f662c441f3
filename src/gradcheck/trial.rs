//! [`Trial`]: a layer that is run outside a model.

use super::compare::place;
use crate::{
    Error, Initializer, MAX_RANK, Result, Shape, Tensor,
    layers::{Backward, Build, Forward, Grads, Layer, LayerConfig, Mode, Params, Pass, Scope, Scratch, Taped},
    params::ParamLayout,
    rng,
    tensor::{View, ViewMut},
};

/// Weights, masks and gradients are the same in each run.
pub(super) const SEED: u64 = 1;

/// A layer that can be run at any point.
pub(super) struct Trial<L: Layer> {
    pub class: &'static str,
    layer: L,
    layout: ParamLayout,
    input: Shape,
    output: Shape,
    samples: usize,
    /// Where the layer stands: `x`, then all weights.
    point: Vec<f64>,
    /// The gradient to the output.
    pub dy: Vec<f64>,
    work: L::Work<f64>,
    /// Those over the batch, forward and backward.
    sums: [Vec<f64>; 2],
    scratch: Scratch<f64>,
}

impl<L: Layer> Trial<L> {
    pub fn new<C: LayerConfig<Built = L>>(config: &C, x: &Tensor<f64>) -> Result<Self> {
        let class = config.class_name();
        let (input, samples) = (x.shape().sample(), x.shape().dims().first().copied().unwrap_or(0));
        if x.is_empty() || x.rank() == 0 {
            return Err(Error::shape("check_layer", "samples (n, ..input), none of the dimensions 0", x.shape(), ""));
        }
        let mut layout = ParamLayout::default();
        let (layer, output) = config.build(&mut Build::new(class, "checked", 0, input, &mut layout))?;
        if output.size() == 0 || output.rank() >= MAX_RANK {
            let expected = format!("an output of fewer than {MAX_RANK} dimensions, none of them 0");
            return Err(Error::shape(class, expected, output, ""));
        }
        // Not as the weights start: the zeros of a bias would hide mistakes. This keeps the outputs near 1.
        let mut params = layout.initialize(SEED)?;
        for (i, info) in layout.infos().iter().enumerate().filter(|(_, info)| info.trainable) {
            let mut rng = rng::stream(SEED, rng::WEIGHTS, i as u64, 0);
            Initializer::LecunNormal.fill(info.shape, &mut rng, &mut params[info.range()]);
        }
        Ok(Trial {
            class,
            layer,
            layout,
            input,
            output,
            samples,
            point: [x.data(), &params].concat(),
            dy: Tensor::random_normal(output.batch(samples), 0.0, 1.0, SEED + 1).into_data(),
            work: Default::default(),
            sums: Default::default(),
            scratch: Scratch::default(),
        })
    }

    /// Name, shape and place in the point of what has a gradient.
    pub fn arrays(&self) -> Vec<(String, Shape, usize)> {
        let x_len = self.samples * self.input.size();
        let weights = self.layout.infos().iter().filter(|info| info.trainable).map(|info| {
            let name = info.name.rsplit('/').next().unwrap_or(&info.name);
            (name.to_owned(), info.shape, x_len + info.range().start)
        });
        [("dx".to_owned(), self.input.batch(self.samples), 0)].into_iter().chain(weights).collect()
    }

    /// Overwrites `y`, the output of as many samples, from sample `first` on.
    fn forward(&mut self, first: usize, y: &mut [f64]) {
        let n = y.len() / self.output.size().max(1);
        let (x, params) = self.point.split_at(self.samples * self.input.size());
        let params = Params { values: params, layout: &self.layout };
        let x = View::new(self.input.batch(n), &x[first * self.input.size()..][..n * self.input.size()]);
        if let Scope::Summed { forward, .. } = self.layer.scope() {
            self.sums[0] = vec![0.0; forward];
            self.layer.sum(&mut self.work, x, &mut self.sums[0]);
        }
        let mut cx = Forward {
            scratch: &mut self.scratch,
            packed: &packed(&self.layer, params, Pass::Forward),
            params,
            sums: &self.sums[0],
            mode: Mode::Train { seed: SEED, step: 0 },
            trainable: true,
            stream: 0,
            first_sample: first,
        };
        self.layer.forward(&mut cx, &mut self.work, x, ViewMut::new(self.output.batch(n), y));
    }

    /// The output at the point, on which the contract of a forward pass is checked.
    pub fn output(&mut self) -> Result<Vec<f64>> {
        let class = self.class;
        let broken = |message: String| Err(Error::data(class, message));
        let len = self.output.size();
        let mut y = vec![f64::NAN; self.samples * len];
        self.poison_scratch();
        self.forward(0, &mut y);
        if let Some(i) = y.iter().position(|y| !y.is_finite()) {
            let place = place("y", self.output.batch(self.samples), i);
            return broken(format!("forward does not overwrite {place}, or with NaN or infinity"));
        }
        if self.layer.scope() == Scope::PerSample {
            let mut alone = vec![f64::NAN; len];
            for (i, y) in y.chunks_exact(len).enumerate() {
                self.forward(i, &mut alone);
                // A kernel may add in another order for a smaller batch.
                if !alone.iter().zip(y).all(|(a, y)| (a - y).abs() <= 1e-9 * y.abs().max(1.0)) {
                    return broken(format!(
                        "the output for sample {i} depends on the other samples; a layer like that has Scope::WholeBatch or Summed"
                    ));
                }
            }
        }
        Ok(y)
    }

    /// By how much `sum(dy * y)` grows when a coordinate does; `y` is the output at the point. The differences are taken
    /// before they are summed, so outputs that do not move add no rounding.
    pub fn rise(&mut self, coordinate: usize, step: f64, y: &[f64]) -> f64 {
        let old = self.point[coordinate];
        self.point[coordinate] = old + step;
        let mut moved = vec![f64::NAN; y.len()];
        self.forward(0, &mut moved);
        self.point[coordinate] = old;
        moved.iter().zip(y).zip(&self.dy).map(|((moved, y), dy)| dy * (moved - y)).sum()
    }

    /// The gradient to the point by the backward pass, on which its contract is checked.
    pub fn gradient(&mut self) -> Result<Vec<f64>> {
        let mut dx = vec![f64::NAN; self.samples * self.input.size()];
        let grads = self.backward(Some(&mut dx));
        let bits = |grads: &[f64]| grads.iter().map(|grad| grad.to_bits()).collect::<Vec<_>>();
        if bits(&grads) != bits(&self.backward(None)) {
            return Err(Error::data(
                self.class,
                "the gradients to the weights change when dx is None, as it is for the first layer of a model",
            ));
        }
        Ok([dx, grads].concat())
    }

    /// The gradients to the weights.
    fn backward(&mut self, dx: Option<&mut [f64]>) -> Vec<f64> {
        let mut y = vec![f64::NAN; self.dy.len()];
        let x_len = self.samples * self.input.size();
        // A work that has seen other samples before, as in training.
        self.work = Default::default();
        self.point[..x_len].reverse();
        self.forward(0, &mut y);
        self.point[..x_len].reverse();
        self.forward(0, &mut y);
        self.poison_scratch();
        // Not zeros, to which storing would be as good as adding.
        let before = Tensor::random_normal(self.layout.len(), 0.0, 1.0, SEED + 2).into_data();
        let mut grads = before.clone();
        let mut dy = self.dy.clone();
        let (x, params) = self.point.split_at(x_len);
        let input = self.input.batch(self.samples);
        let params = Params { values: params, layout: &self.layout };
        let packed = if dx.is_some() { packed(&self.layer, params, Pass::Backward) } else { Vec::new() };
        let [forward_sums, gradient_sums] = &mut self.sums;
        let mut cx = Backward {
            grads: Grads { values: &mut grads, offset: 0, layout: &self.layout },
            scratch: &mut self.scratch,
            packed: &packed,
            params,
            sums: [forward_sums, &[]],
            trainable: true,
        };
        if let Scope::Summed { backward, .. } = self.layer.scope() {
            *gradient_sums = vec![0.0; backward];
            let dy = View::new(self.output.batch(self.samples), &dy);
            self.layer.sum_gradient(&mut cx, &mut self.work, View::new(input, x), dy, gradient_sums);
            cx.sums[1] = gradient_sums;
        }
        // As the executor does: what the layer does not ask for is not there.
        let taped = Taped::new(self.layer.reads(), self.samples, (self.input, x), (self.output, &y), &mut dy);
        self.layer.backward(&mut cx, &mut self.work, taped, dx.map(|dx| ViewMut::new(input, dx)));
        grads.iter().zip(before).map(|(grad, before)| grad - before).collect()
    }

    /// Scratch is of any value.
    fn poison_scratch(&mut self) {
        self.scratch.take(1 << 12).fill(f64::NAN);
    }
}

/// The weights in the form in which a pass reads them.
fn packed(layer: &impl Layer, params: Params<f64>, pass: Pass) -> Vec<f64> {
    let mut packed = vec![f64::NAN; layer.packed_len::<f64>(pass)];
    layer.pack(params, pass, &mut packed);
    packed
}
