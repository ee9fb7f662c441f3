//! Serves a model over HTTP: predictions for JSON and for PNG, and a page on which digits are drawn and read.
//!
//! ```text
//! cargo run --release --features image --example serve                      # trains on MNIST for an epoch first
//! cargo run --release --features image --example serve -- model.safetensors
//! curl -d '{"instances": [[0.0, 0.5, 1.0, ...]]}' http://127.0.0.1:8080/predict
//! curl -H 'content-type: image/png' --data-binary @digit.png http://127.0.0.1:8080/predict
//! ```
//!
//! It is meant to be read: `server` takes connections and stops gracefully, `routes` answers requests, `instances` reads JSON,
//! `batcher` predicts for many requests at once, `patience` ends what is too slow, and connections such that the last answer arrives.

mod batcher;
mod instances;
mod patience;
mod routes;
mod server;
#[cfg(test)]
mod tests;

use std::{
    error::Error,
    fmt::Display,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use cornu::prelude::*;
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{batcher::Batcher, routes::App};

/// Serves a model over HTTP.
#[derive(Parser)]
struct Args {
    /// The file of the model [default: a network that is trained on MNIST for an epoch]
    model: Option<PathBuf>,
    /// Where to listen; port 0 is any that is free
    #[arg(long, default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    #[command(flatten)]
    limits: Limits,
}

/// What the server takes at most, so that it sheds load instead of growing.
#[derive(clap::Args, Clone)]
struct Limits {
    /// Connections at a time; more wait in the operating system
    #[arg(long, default_value_t = 256, value_parser = count())]
    connections: usize,
    /// Samples that wait for the model or are in it; more are refused with status 503
    #[arg(long, default_value_t = 1024, value_parser = count())]
    queue: usize,
    /// Samples that the model takes at a time, if as many wait, and that a request may bring
    #[arg(long, default_value_t = 64, value_parser = count())]
    batch: usize,
    /// Bytes of a body
    #[arg(long, default_value_t = 1 << 20, value_parser = count())]
    bytes: usize,
    /// Bytes of a PNG once it is decoded
    #[arg(long, default_value_t = 32 << 20, value_parser = count())]
    decoded: usize,
    /// Seconds for the header of a request, for its body, for decoding, for the model, for the client to take the answer, and for the end
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    patience: Duration,
    /// Seconds after which a connection ends with its next answer, so that those who wait get their turn
    #[arg(long, default_value = "60", value_name = "SECONDS", value_parser = seconds)]
    life: Duration,
}

impl Limits {
    /// The samples of a request: no single one shall fill the queue.
    fn instances(&self) -> usize {
        self.batch.min(self.queue)
    }
}

fn count() -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    clap::value_parser!(u32).range(1..=1 << 30).map(|n| n as usize)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    match (0.001..=3600.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("expected 0.001 to 3600".to_owned()),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(io::stderr(), format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line. When nobody reads it any more, the server goes on without.
fn tell(mut out: impl Write, line: impl Display) {
    let _ = writeln!(out, "{line}");
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    // First the address: that it is taken is said now and not after a training. Who connects meanwhile waits.
    let listener = runtime.block_on(TcpListener::bind(args.address));
    let listener = listener.map_err(|error| format!("--address {}: {error}", args.address))?;
    let model = match &args.model {
        Some(path) => cornu::load_model(path)?,
        None => trained()?,
    };
    let limits = args.limits.clone();
    runtime.block_on(async {
        let stop = server::stop_signal()?;
        tell(io::stdout(), format_args!("listening on http://{}", listener.local_addr()?));
        server::serve(listener, App::new(model, limits), stop).await;
        tell(io::stdout(), "stopped");
        Ok(())
    })
}

/// The network of Keras's MNIST example, after one epoch.
fn trained() -> cornu::Result<Model> {
    tell(io::stdout(), "no model is given; training one on MNIST for an epoch");
    let (train, test) = datasets::mnist::load()?;
    let mut model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
        .add(MaxPooling2D::new((2, 2)))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
    model.fit(&train.images.scaled(1.0 / 255.0), &train.labels, Fit::new().batch_size(64))?;
    let score = model.evaluate(&test.images.scaled(1.0 / 255.0), &test.labels)?;
    tell(io::stdout(), format_args!("test: {score}"));
    Ok(model)
}
