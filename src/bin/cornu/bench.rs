//! `cornu bench MODEL`

use std::{
    error::Error,
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use cornu::{Model, Tensor, load_model};
use serde_json::json;

#[derive(clap::Args)]
pub struct Args {
    /// The file of the model
    model: PathBuf,
    /// How many samples are predicted at a time, numbers between commas
    #[arg(long, value_delimiter = ',', default_value = "1,32,256", value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch_sizes: Vec<u32>,
    /// For how many seconds each batch size is measured
    #[arg(long, default_value_t = 1.0, value_parser = seconds, allow_negative_numbers = true)]
    seconds: f64,
    /// Print an object of JSON for each batch size
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    match (0.0..=3600.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("expected 0 to 3600".to_owned()),
    }
}

/// The predictions before those that are measured: they make what the model keeps, and wake the processor.
const WARM_UP: usize = 3;

/// How often a batch is predicted at least.
const RUNS: usize = 5;

pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let model = load_model(&args.model)?;
    if !args.json {
        writeln!(out, "{:>10}  {:>12}  {:>12}  {:>12}", "batch size", "median (µs)", "fastest (µs)", "samples/s")?;
    }
    for &n in &args.batch_sizes {
        let times = measure(&model, n as usize, Duration::from_secs_f64(args.seconds))?;
        let microseconds = |time: Duration| 1e6 * time.as_secs_f64();
        let (median, fastest) = (microseconds(times[times.len() / 2]), microseconds(times[0]));
        let rate = 1e6 * f64::from(n) / median;
        if args.json {
            let line = json!({
                "batch_size": n, "median_us": median, "fastest_us": fastest, "samples_per_s": rate, "runs": times.len(),
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{n:>10}  {median:>12.1}  {fastest:>12.1}  {rate:>12.0}")?;
        }
        out.flush()?;
    }
    Ok(())
}

/// How long predictions of `n` samples took, sorted.
fn measure(model: &Model, n: usize, total: Duration) -> cornu::Result<Vec<Duration>> {
    let x = Tensor::random_uniform(model.input_shape().batch(n), 0.0, 1.0, 0);
    for _ in 0..WARM_UP {
        model.predict(&x)?;
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < RUNS || start.elapsed() < total {
        let start = Instant::now();
        std::hint::black_box(model.predict(&x)?);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}
