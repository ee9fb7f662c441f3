//! burn in the comparison.

use burn::{
    module::Module,
    nn::{
        Initializer, Linear, LinearConfig,
        conv::{Conv2d, Conv2dConfig},
        loss::{CrossEntropyLoss, CrossEntropyLossConfig},
        pool::{MaxPool2d, MaxPool2dConfig},
    },
    optim::{AdamConfig, GradientsParams},
    tensor::{
        Device, Int, Tensor, TensorData,
        activation::{relu, softmax},
    },
};
use measure::{Args, BATCH, PREDICTION_BATCH, Peer, Result};
use mnist::Split;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

#[path = "../../measure.rs"]
mod measure;
#[path = "../../mnist.rs"]
mod mnist;

struct Burn {
    train: Split,
    x_test: Tensor<4>,
    y_test: Vec<u8>,
    device: Device,
}

impl Burn {
    fn load(args: &Args) -> Result<Self> {
        let device = Device::flex();
        let train = Split::load(&args.data, "train", args.limit)?;
        let test = Split::load(&args.data, "t10k", args.limit)?;
        let x_test = images(&test, 0..test.labels.len(), &device);
        Ok(Burn { train, x_test, y_test: test.labels, device })
    }
}

fn images(split: &Split, indices: impl ExactSizeIterator<Item = usize>, device: &Device) -> Tensor<4> {
    let n = indices.len();
    Tensor::from_data(TensorData::new(split.images(indices), [n, 1, 28, 28]), device)
}

#[derive(Module, Debug)]
struct Network {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    dense: Linear,
}

impl Network {
    /// Keras's initial weights.
    fn new(device: &Device) -> Self {
        let glorot = Initializer::XavierUniform { gain: 1.0 };
        let conv = |channels: [usize; 2]| {
            let mut conv = Conv2dConfig::new(channels, [3, 3]).with_initializer(glorot.clone()).init(device);
            conv.bias = Some(Initializer::Zeros.init([channels[1]], device));
            conv
        };
        let mut dense = LinearConfig::new(1600, 10).with_initializer(glorot.clone()).init(device);
        dense.bias = Some(Initializer::Zeros.init([10], device));
        Network { conv1: conv([1, 32]), conv2: conv([32, 64]), pool: MaxPool2dConfig::new([2, 2]).init(), dense }
    }

    fn logits(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(relu(self.conv1.forward(x)));
        let x = self.pool.forward(relu(self.conv2.forward(x)));
        self.dense.forward(x.flatten(1, 3))
    }

    fn probabilities(&self, x: Tensor<4>) -> Result<Vec<f32>> {
        Ok(softmax(self.logits(x), 1).into_data().try_into_vec()?)
    }
}

impl Peer for Burn {
    type Model = Network;

    const SETTING: &str = "backend flex, target-cpu=native";

    fn len(&self) -> usize {
        self.train.labels.len()
    }

    fn test_labels(&self) -> Vec<usize> {
        self.y_test.iter().map(|&label| label.into()).collect()
    }

    fn train(&self, n: usize, seed: u64) -> Result<Network> {
        let device = self.device.clone().autodiff();
        device.seed(seed);
        let mut network = Network::new(&device);
        let mut optimizer = AdamConfig::new().with_epsilon(1e-7).init();
        let loss: CrossEntropyLoss = CrossEntropyLossConfig::new().init(&device);
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut StdRng::seed_from_u64(seed));
        for batch in order.chunks(BATCH) {
            let x = images(&self.train, batch.iter().copied(), &device);
            let labels: Vec<i32> = batch.iter().map(|&i| self.train.labels[i].into()).collect();
            let y = Tensor::<1, Int>::from_data(labels.as_slice(), &device);
            let gradients = loss.forward(network.logits(x), y).backward();
            let gradients = GradientsParams::from_grads(gradients, &network);
            network = optimizer.step(1e-3, network, gradients);
        }
        Ok(network.valid())
    }

    fn predict_all(&self, network: &Network) -> Result<Vec<f32>> {
        let batches = self.x_test.clone().split(PREDICTION_BATCH, 0).into_iter();
        Ok(batches.map(|x| network.probabilities(x)).collect::<Result<Vec<_>>>()?.concat())
    }

    fn predict_one(&self, network: &Network, i: usize) -> Result<Vec<f32>> {
        network.probabilities(self.x_test.clone().slice([i..i + 1]))
    }
}

fn main() -> Result<()> {
    let args = Args::parse()?;
    measure::run(&Burn::load(&args)?, args.seed)
}
