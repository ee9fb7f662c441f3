//! The measurement, the same for every program here that is written in Rust; measure.py is its twin.

use std::{env, error::Error, hint::black_box, path::PathBuf, time::Instant};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many images a training step takes.
pub const BATCH: usize = 64;

/// How many images a prediction takes when all test images are to be predicted.
pub const PREDICTION_BATCH: usize = 256;

/// The images of the training before the clock starts: 20 full batches and one of 32 images, as the last of an epoch.
const WARM_UP: usize = 20 * BATCH + 32;

/// The best of so many passes over all test images counts, after one that does not.
const PASSES: usize = 5;

/// The median of so many single predictions counts, after a tenth of them that does not.
const SINGLES: usize = 1000;

/// A library, and MNIST in the form that suits it: images of 0 to 1 as f32, or u8 that it converts batch by batch.
pub trait Peer {
    /// The network of Keras's MNIST example with the weights of its layers.
    type Model;

    /// The choices that were made for the library, for the table.
    const SETTING: &str;

    /// How many images there are to train on.
    fn len(&self) -> usize;

    /// The labels of the test images.
    fn test_labels(&self) -> Vec<usize>;

    /// A new model, trained for one epoch on the first `n` images, shuffled, in batches of [`BATCH`].
    fn train(&self, n: usize, seed: u64) -> Result<Self::Model>;

    /// The probabilities of all test images, `[images, 10]`, in batches of [`PREDICTION_BATCH`].
    fn predict_all(&self, model: &Self::Model) -> Result<Vec<f32>>;

    /// The probabilities of the test image `i`, which lies ready in the library's own form.
    fn predict_one(&self, model: &Self::Model, i: usize) -> Result<Vec<f32>>;
}

/// What run.py asks of a program: where MNIST lies, how many images to take of each part, and the seed.
pub struct Args {
    pub data: PathBuf,
    pub limit: usize,
    pub seed: u64,
}

impl Args {
    pub fn parse() -> Result<Self> {
        let args: Vec<String> = env::args().skip(1).collect();
        let [data, limit, seed] = args.as_slice() else {
            return Err("usage: DATA-FOLDER LIMIT SEED".into());
        };
        Ok(Args { data: data.into(), limit: limit.parse()?, seed: seed.parse()? })
    }
}

/// Measures the library and prints a line of JSON.
pub fn run<P: Peer>(peer: &P, seed: u64) -> Result<()> {
    peer.train(peer.len().min(WARM_UP), seed)?;
    let start = Instant::now();
    let model = peer.train(peer.len(), seed)?;
    let epoch = start.elapsed().as_secs_f64();

    let labels = peer.test_labels();
    let probabilities = peer.predict_all(&model)?;
    let mut passes = seconds(PASSES, |_| peer.predict_all(&model))?;
    let one = |i| peer.predict_one(&model, i % labels.len());
    seconds(SINGLES / 10, one)?;
    let mut singles = seconds(SINGLES, one)?;

    passes.sort_by(f64::total_cmp);
    singles.sort_by(f64::total_cmp);
    println!(
        r#"{{"epoch_s": {epoch}, "predict_10000_s": {}, "predict_one_us": {}, "accuracy": {}, "setting": "{}"}}"#,
        passes[0],
        singles[SINGLES / 2] * 1e6,
        accuracy(&probabilities, &labels),
        P::SETTING
    );
    Ok(())
}

/// How long each of `n` predictions takes.
fn seconds(n: usize, predict: impl Fn(usize) -> Result<Vec<f32>>) -> Result<Vec<f64>> {
    let timed = |i| {
        let start = Instant::now();
        black_box(predict(i)?);
        Ok(start.elapsed().as_secs_f64())
    };
    (0..n).map(timed).collect()
}

/// The fraction of the images whose label has the largest probability.
fn accuracy(probabilities: &[f32], labels: &[usize]) -> f64 {
    let classes = probabilities.len() / labels.len();
    let right = probabilities.chunks_exact(classes).zip(labels).filter(|(row, label)| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row[**label] == largest
    });
    right.count() as f64 / labels.len() as f64
}
