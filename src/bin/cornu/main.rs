//! The program `cornu`: looks at models, converts them, and predicts, evaluates and times with them.
//!
//! Results go to stdout, errors to stderr. The exit code is 0, 1 for what went wrong, 2 for arguments that do not fit.

mod bench;
mod evaluate;
mod predict;

use std::{
    error::Error,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use cornu::load_model;

/// What a command gives: whether all went well, and what was worth an error of its own was told already.
type Outcome = Result<ExitCode, Box<dyn Error>>;

/// Looks at models, converts them, and predicts, evaluates and times with them.
#[derive(Parser)]
#[command(name = "cornu", version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the layers of a model, their shapes and weights, and the memory that it takes
    Summary {
        /// The file of the model
        file: PathBuf,
    },
    /// Reads a model and writes it in the format that the second name's ending tells
    ///
    /// Read are safetensors, Keras's .keras and .h5, and ONNX, whatever their name is; written are .safetensors, .keras and .onnx. The
    /// file is written whole or not at all; one that is there is replaced.
    Convert {
        /// The file of the model
        input: PathBuf,
        /// The file to write
        output: PathBuf,
    },
    /// Prints class and probability of images, a line for each: the file, the class, the probability, separated by tabs
    Predict(predict::Args),
    /// Prints loss and accuracy of a model on labelled images
    Evaluate(evaluate::Args),
    /// Measures how long predictions take
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args.command, &mut io::stdout().lock()) {
        Ok(code) => code,
        // Whoever reads what is printed has seen enough, as in `cornu summary model.keras | head`.
        Err(error) if error.downcast_ref().is_some_and(|io: &io::Error| io.kind() == io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            report(&*error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, out: &mut impl Write) -> Outcome {
    match command {
        Command::Summary { file } => writeln!(out, "{}", load_model(file)?.summary())?,
        Command::Convert { input, output } => load_model(input)?.save(output)?,
        Command::Predict(args) => return predict::run(&args, out),
        Command::Evaluate(args) => evaluate::run(&args, out)?,
        Command::Bench(args) => bench::run(&args, out)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn report(error: &dyn Error) {
    // Nobody may be there to read it.
    let _ = writeln!(io::stderr(), "error: {error}");
}

/// What pixels are multiplied by.
fn scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|error| format!("{error}"))?;
    match (scale as f32).is_normal() {
        true => Ok(scale),
        false => Err("expected a finite number other than 0 in the range of 32 bits".to_owned()),
    }
}
