//! How near the kernels come to what the machine can do: the reference model, layer by layer, on one thread.
//!
//! ```text
//! cargo run --release --example roofline
//! ```
//!
//! The first lines of the output are the two roofs, each the best of many runs: how many floating-point operations the cores make
//! if they never wait for memory (multiply-adds on registers alone), and how many bytes the memory delivers (the triad
//! `a = b + s c` of [STREAM](https://www.cs.virginia.edu/stream/) on arrays beyond any cache; the read of `a` that most CPUs make
//! before they write it is not counted).
//!
//! A line of the table is one pass of one layer over the samples that the executor gives it at a time: a shard for
//! convolutions and poolings, the batch for the dense layer. Its time is the median of many runs.
//!
//! - `MFLOP/sample` counts a multiplication and an addition as two, and the taps in the padding, too. A pooling only compares.
//! - `of peak` is the share of the first roof, of one thread. Where it is high, the arithmetic is the limit.
//! - `kB/sample` is what the kernel is given, each element counted once, or twice if it is both read and written; weights
//!   are shared by the samples.
//! - `GB/s` is that by the time. The samples of a shard stay in the cache, so it can be more than what the memory delivers.
//!   Where `of peak` is low and `GB/s` is near the second roof or above it, the data is the limit.
//!
//! The backward pass computes what training needs: the first layer has no gradient to its input, the other convolution and the dense
//! layer have two gradients. Activations and the gradients to biases are not in the table.

use std::{error::Error, hint::black_box, ops::Add, time::Instant};

use cornu::{
    kernels::{
        Pass, Window,
        conv::{self, Conv},
        conv_winograd::Winograd,
        dense,
        pool::{self, Pool},
        tile,
    },
    prelude::*,
};
use rayon::{ThreadPoolBuilder, prelude::*};

/// The batch of the reference model.
const BATCH: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let one = ThreadPoolBuilder::new().num_threads(1).build()?;
    let (peak, threads) = (one.install(peak), rayon::current_num_threads());
    println!("{:22}{:>12}{:>15}", "", "one thread", format!("{threads} threads"));
    println!("{:22}{:>12.1}{:>15.1}", "GFLOP/s of registers", peak / 1e9, self::peak() / 1e9);
    println!("{:22}{:>12.1}{:>15.1}", "GB/s of memory", one.install(bandwidth) / 1e9, bandwidth() / 1e9);

    let shard = reference_model()?.shard_size();
    println!("\nA shard is {shard} samples, a batch {BATCH}. One thread:\n");
    one.install(|| table(shard, peak));
    println!(
        "\n* Winograd's algorithm makes fewer multiplications than are counted here; more than 100 % is its doing."
    );
    Ok(())
}

fn reference_model() -> cornu::Result<Model> {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
}

fn table(shard: usize, peak: f64) {
    println!("layer            pass      µs/sample   MFLOP/sample   GFLOP/s   of peak   kB/sample    GB/s");
    let convolution = |size, channels, filters| Conv { window: window(size, 3, 1), channels, filters, groups: 1 };
    let pooling = |size, channels| Pool { window: window(size, 2, 2), channels };
    let layers = [
        ("Conv2D(32, 3x3)", time_conv(&convolution(28, 1, 32), shard, true)),
        ("MaxPooling2D(2)", time_pool(&pooling(26, 32), shard)),
        ("Conv2D(64, 3x3)", time_conv(&convolution(13, 32, 64), shard, false)),
        ("MaxPooling2D(2)", time_pool(&pooling(11, 64), shard)),
        ("Dense(10)", time_dense([1600, 10], BATCH)),
    ];
    for (layer, passes) in &layers {
        for (pass, cost) in ["forward", "backward"].into_iter().zip(passes) {
            cost.print(layer, pass, peak);
        }
    }
    let passes = layers.iter().flat_map(|(_, passes)| passes);
    passes.fold(Cost::default(), |sum, &cost| sum + cost).print("all", "", peak);
}

/// A window without padding over images of `size` by `size`.
fn window(size: usize, kernel: usize, stride: usize) -> Window {
    Window {
        input: [size; 2],
        output: [(size - kernel) / stride + 1; 2],
        kernel: [kernel; 2],
        strides: [stride; 2],
        dilation: [1; 2],
        padding: [0; 2],
    }
}

fn time_conv(conv: &Conv, n: usize, first: bool) -> [Cost; 2] {
    let (x, mut y) = (random(n * conv.input_len()), vec![0.0; n * conv.output_len()]);
    let (kernel, bias, mut scratch) =
        (random(conv.kernel_len()), random(conv.filters), vec![0.0; conv.scratch_len::<f32>()]);
    let [forward, backward] = [Pass::Forward, Pass::Backward].map(|pass| {
        let mut packed = vec![0.0; conv.packed_len::<f32>(pass)];
        conv.pack(&kernel, pass, &mut packed);
        packed
    });
    let seconds = median(|| {
        conv::forward(conv, black_box(&x), &forward, Some(&bias), black_box(&mut y), &mut scratch, |_| {});
    });
    let elements = x.len() + forward.len() + bias.len() + y.len();
    let winograd = Winograd::<f32>::new(conv).is_some();
    let there = Cost { winograd, ..Cost::of(n, seconds, n * conv.flops(), 4 * elements) };

    let (dy, mut dkernel, mut dx) = (y, vec![0.0; kernel.len()], vec![0.0; x.len()]);
    let seconds = median(|| {
        let (x, dy) = (black_box(&x), black_box(&dy));
        if first {
            conv::kernel_gradient(conv, x, dy, &mut dkernel, &mut scratch);
        } else {
            conv::gradients(conv, (x, &mut dkernel), dy, (&backward, &mut dx), &mut scratch);
        }
    });
    let to_input = if first { 0 } else { backward.len() + dx.len() };
    let elements = x.len() + dy.len() + 2 * dkernel.len() + to_input;
    let products = if first { 1 } else { 2 };
    [there, Cost { winograd, ..Cost::of(n, seconds, products * n * conv.flops(), 4 * elements) }]
}

fn time_pool(pool: &Pool, n: usize) -> [Cost; 2] {
    let mut x = random(n * pool.window.pixels() * pool.channels);
    let outputs = n * pool.window.outputs() * pool.channels;
    let (mut y, mut winners) = (vec![0.0; outputs], vec![0; outputs]);
    let there = median(|| pool::max(pool, black_box(&x), black_box(&mut y), Some(&mut winners)));
    let back = median(|| pool::max_gradient(pool, black_box(&y), &winners, black_box(&mut x)));
    [there, back].map(|seconds| Cost::of(n, seconds, 0, 4 * (x.len() + y.len() + winners.len())))
}

fn time_dense(sizes: [usize; 2], n: usize) -> [Cost; 2] {
    let [features, units] = sizes;
    let (x, kernel, bias) = (random(n * features), random(features * units), random(units));
    let mut y = vec![0.0; n * units];
    let flops = 2 * n * kernel.len();
    let seconds =
        median(|| dense::forward(black_box(&x), black_box(&kernel), Some(&bias), sizes, black_box(&mut y), |_| {}));
    let there = Cost::of(n, seconds, flops, 4 * (x.len() + kernel.len() + bias.len() + y.len()));

    let (dy, mut dkernel, mut dx) = (y, vec![0.0; kernel.len()], vec![0.0; x.len()]);
    let seconds = median(|| {
        dense::kernel_gradient(black_box(&x), black_box(&dy), sizes, &mut dkernel);
        dense::input_gradient(black_box(&kernel), &dy, sizes, &mut dx);
    });
    let elements = x.len() + dy.len() + 2 * dkernel.len() + kernel.len() + dx.len();
    [there, Cost::of(n, seconds, 2 * flops, 4 * elements)]
}

/// What a pass takes for one sample.
#[derive(Clone, Copy, Default)]
struct Cost {
    seconds: f64,
    flops: f64,
    bytes: f64,
    winograd: bool,
}

impl Cost {
    /// The share of one of `n` samples.
    fn of(n: usize, seconds: f64, flops: usize, bytes: usize) -> Self {
        let n = n as f64;
        Cost { seconds: seconds / n, flops: flops as f64 / n, bytes: bytes as f64 / n, winograd: false }
    }

    fn print(self, layer: &str, pass: &str, peak: f64) {
        let Cost { seconds, flops, bytes, winograd } = self;
        // A pooling has none to count.
        let counted = |number: String| if flops > 0.0 { number } else { "-".to_string() };
        let rate = flops / seconds;
        println!(
            "{layer:<17}{pass:<9}{:>10.2}{:>15}{:>10}{:>10}{}{:>11.1}{:>8.1}",
            seconds * 1e6,
            counted(format!("{:.3}", flops / 1e6)),
            counted(format!("{:.1}", rate / 1e9)),
            counted(format!("{:.1} %", 100.0 * rate / peak)),
            if winograd { '*' } else { ' ' },
            bytes / 1e3,
            bytes / seconds / 1e9,
        );
    }
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            seconds: self.seconds + other.seconds,
            flops: self.flops + other.flops,
            bytes: self.bytes + other.bytes,
            winograd: self.winograd || other.winograd,
        }
    }
}

/// Floating-point operations a second of all threads of the pool that it runs in.
fn peak() -> f64 {
    const STEPS: usize = 100_000;
    let flops: usize = rayon::broadcast(|_| tile::peak_flops(STEPS)).into_iter().sum();
    let times = times(|| {
        rayon::broadcast(|_| tile::peak_flops(STEPS));
    });
    flops as f64 / times[0]
}

/// Bytes a second of all threads of the pool that it runs in.
fn bandwidth() -> f64 {
    /// An array takes 64 MiB.
    const LEN: usize = 16 << 20;
    let (mut a, b, c) = (vec![1.0_f32; LEN], vec![1.0_f32; LEN], vec![1.0_f32; LEN]);
    let part = LEN.div_ceil(rayon::current_num_threads());
    let times = times(|| {
        let parts = a.par_chunks_mut(part).zip(b.par_chunks(part)).zip(c.par_chunks(part));
        parts.for_each(|((a, b), c)| {
            for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                *a = b + 3.0 * c;
            }
        });
        black_box(&mut a);
    });
    (3 * LEN * size_of::<f32>()) as f64 / times[0]
}

fn random(len: usize) -> Vec<f32> {
    Tensor::random_uniform([len], -1.0, 1.0, 0).into_data()
}

/// The median of the seconds that `f` takes.
fn median(f: impl FnMut()) -> f64 {
    let times = times(f);
    times[times.len() / 2]
}

/// The seconds that `f` takes, the shortest first.
fn times(mut f: impl FnMut()) -> Vec<f64> {
    /// The runs that are measured, and how many seconds each is to take at least, that the clock measures it well.
    const RUNS: usize = 101;
    const RUN: f64 = 2e-3;
    let mut seconds = |calls: usize| {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        start.elapsed().as_secs_f64() / calls as f64
    };
    // The first call finds cold caches.
    seconds(1);
    let calls = (RUN / seconds(1)).ceil() as usize;
    let mut times = (0..RUNS).map(|_| seconds(calls)).collect::<Vec<_>>();
    times.sort_by(f64::total_cmp);
    times
}
