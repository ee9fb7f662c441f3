//! candle in the comparison.

use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::{AdamW, Conv2d, Linear, Module, Optimizer, ParamsAdamW, loss::cross_entropy, ops::softmax};
use measure::{Args, BATCH, PREDICTION_BATCH, Peer, Result};
use mnist::Split;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

#[path = "../../measure.rs"]
mod measure;
#[path = "../../mnist.rs"]
mod mnist;

const CPU: Device = Device::Cpu;

struct Candle {
    train: Split,
    x_test: Tensor,
    y_test: Vec<u8>,
}

impl Candle {
    fn load(args: &Args) -> Result<Self> {
        let train = Split::load(&args.data, "train", args.limit)?;
        let test = Split::load(&args.data, "t10k", args.limit)?;
        let x_test = images(&test, 0..test.labels.len())?;
        Ok(Candle { train, x_test, y_test: test.labels })
    }
}

fn images(split: &Split, indices: impl ExactSizeIterator<Item = usize>) -> Result<Tensor> {
    let n = indices.len();
    Ok(Tensor::from_vec(split.images(indices), (n, 1, 28, 28), &CPU)?)
}

struct Network {
    conv1: Conv2d,
    conv2: Conv2d,
    dense: Linear,
}

impl Network {
    /// The network with Keras's initial weights, and those weights for the optimizer.
    fn new(rng: &mut StdRng) -> Result<(Self, Vec<Var>)> {
        let mut vars = Vec::new();
        let mut layer = |shape: &[usize]| -> Result<(Tensor, Option<Tensor>)> {
            let window: usize = shape[2..].iter().product();
            let limit = (6.0 / ((shape[0] + shape[1]) * window) as f32).sqrt();
            let weight = (0..shape.iter().product()).map(|_| rng.random_range(-limit..limit)).collect();
            let weight = Var::from_vec(weight, shape, &CPU)?;
            let bias = Var::zeros(shape[0], DType::F32, &CPU)?;
            vars.extend([weight.clone(), bias.clone()]);
            Ok((weight.into_inner(), Some(bias.into_inner())))
        };
        let (conv1, conv2, dense) = (layer(&[32, 1, 3, 3])?, layer(&[64, 32, 3, 3])?, layer(&[10, 1600])?);
        let network = Network {
            conv1: Conv2d::new(conv1.0, conv1.1, Default::default()),
            conv2: Conv2d::new(conv2.0, conv2.1, Default::default()),
            dense: Linear::new(dense.0, dense.1),
        };
        Ok((network, vars))
    }

    fn logits(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let x = self.conv1.forward(x)?.relu()?.max_pool2d(2)?;
        let x = self.conv2.forward(&x)?.relu()?.max_pool2d(2)?;
        self.dense.forward(&x.flatten_from(1)?)
    }

    fn probabilities(&self, x: &Tensor) -> candle_core::Result<Vec<f32>> {
        softmax(&self.logits(x)?, D::Minus1)?.flatten_all()?.to_vec1()
    }
}

impl Peer for Candle {
    type Model = Network;

    const SETTING: &str = "its own matrix products (gemm), target-cpu=native";

    fn len(&self) -> usize {
        self.train.labels.len()
    }

    fn test_labels(&self) -> Vec<usize> {
        self.y_test.iter().map(|&label| label.into()).collect()
    }

    fn train(&self, n: usize, seed: u64) -> Result<Network> {
        let mut rng = StdRng::seed_from_u64(seed);
        let (network, vars) = Network::new(&mut rng)?;
        let mut optimizer = AdamW::new(vars, ParamsAdamW { eps: 1e-7, weight_decay: 0.0, ..Default::default() })?;
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut rng);
        for batch in order.chunks(BATCH) {
            let x = images(&self.train, batch.iter().copied())?;
            let y: Vec<u32> = batch.iter().map(|&i| self.train.labels[i].into()).collect();
            let y = Tensor::from_vec(y, batch.len(), &CPU)?;
            optimizer.backward_step(&cross_entropy(&network.logits(&x)?, &y)?)?;
        }
        Ok(network)
    }

    fn predict_all(&self, network: &Network) -> Result<Vec<f32>> {
        let n = self.y_test.len();
        let batches = (0..n).step_by(PREDICTION_BATCH).map(|start| {
            let x = self.x_test.narrow(0, start, PREDICTION_BATCH.min(n - start))?;
            network.probabilities(&x)
        });
        Ok(batches.collect::<candle_core::Result<Vec<_>>>()?.concat())
    }

    fn predict_one(&self, network: &Network, i: usize) -> Result<Vec<f32>> {
        Ok(network.probabilities(&self.x_test.narrow(0, i, 1)?)?)
    }
}

fn main() -> Result<()> {
    let args = Args::parse()?;
    measure::run(&Candle::load(&args)?, args.seed)
}
