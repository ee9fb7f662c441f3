//! `cornu evaluate MODEL DATA`

use std::{error::Error, io::Write, path::PathBuf};

use cornu::{load_model, prelude::*};
use serde_json::{Map, Value};

#[derive(clap::Args)]
pub struct Args {
    /// The file of the model
    model: PathBuf,
    /// A folder of images, a file of NumPy, or the test set of mnist, fashion_mnist or cifar10
    ///
    /// A folder has a sub-folder for each class; their sorted names are the classes 0, 1, 2 and so on. One that is called as a data
    /// set is ./mnist. A file .npz has the arrays x and y, or x_test and y_test; x is taken as it is, y are labels or what the
    /// model shall give.
    data: PathBuf,
    /// What pixels from 0 to 255 are multiplied by [default: 1/255, or 1 if the model begins with a Rescaling]; with .npz, x [default: 1]
    #[arg(long, value_parser = crate::scale, allow_negative_numbers = true)]
    scale: Option<f64>,
    /// Print one object of JSON
    #[arg(long)]
    json: bool,
}

/// What a model is evaluated on.
enum Data {
    Labels(Tensor, Labels),
    Values(Tensor, Tensor),
    Folder(ImageFolder),
}

pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let mut model = load_model(&args.model)?;
    let data = args.data(&model)?;
    let score = score(&mut model, &data)?;
    if args.json {
        let figures = [("loss".to_owned(), score.loss)].into_iter().chain(score.metrics);
        let figures: Map<String, Value> = figures.map(|(name, figure)| (name, figure.into())).collect();
        writeln!(out, "{}", Value::from(figures))?;
    } else {
        writeln!(out, "{score}")?;
    }
    Ok(())
}

impl Args {
    fn data(&self, model: &Model) -> Result<Data, Box<dyn Error>> {
        if self.data.extension().is_some_and(|ending| ending == "npz") {
            return Ok(self.npz(model)?);
        }
        let mut input = model.image_input()?;
        if let Some(scale) = self.scale {
            input = input.scale(scale);
        }
        let (_, test) = match self.data.to_str() {
            Some("mnist") => datasets::mnist::load()?,
            Some("fashion_mnist") => datasets::fashion_mnist::load()?,
            Some("cifar10") => datasets::cifar10::load()?,
            _ if !self.data.is_dir() => {
                let expected = "a folder of images, a file .npz, or one of mnist, fashion_mnist and cifar10";
                return Err(format!("{}: expected {expected}", self.data.display()).into());
            }
            _ => return Ok(Data::Folder(ImageFolder::new(&self.data)?.shuffle(false).image_input(input))),
        };
        Ok(Data::Labels(input.samples(&test.images)?, test.labels))
    }

    fn npz(&self, model: &Model) -> cornu::Result<Data> {
        let npz = Npz::read(&self.data)?;
        let [x_name, y_name] = if npz.names().any(|name| name == "x") { ["x", "y"] } else { ["x_test", "y_test"] };
        let x = npz.get::<f32>(x_name)? * self.scale.unwrap_or(1.0) as f32;
        let x = with_last_dimension(x, model.input_shape())?;
        match npz.get_labels(y_name) {
            // For a single output, whole numbers are numbers.
            Ok(labels) if model.output_shape().size() > 1 => Ok(Data::Labels(x, labels)),
            _ => Ok(Data::Values(x, with_last_dimension(npz.get(y_name)?, model.output_shape())?)),
        }
    }
}

/// Samples of a shape that ends in 1, where files often leave that dimension out.
fn with_last_dimension(samples: Tensor, shape: Shape) -> cornu::Result<Tensor> {
    let dims = samples.shape();
    match dims.dims() {
        [n, sample @ ..] if [sample, &[1]].concat() == shape.dims() => samples.reshape(shape.batch(*n)),
        _ => Ok(samples),
    }
}

/// Loss and metrics as the model was compiled with them. If it was not, or with a loss that does not take such data: those for its last
/// activation, and accuracy.
fn score(model: &mut Model, data: &Data) -> cornu::Result<Score> {
    match evaluate(model, data) {
        Err(cornu::Error::NotCompiled { .. } | cornu::Error::Data { .. }) => {
            compile(model, matches!(data, Data::Values(..)))?;
            evaluate(model, data)
        }
        score => score,
    }
}

fn evaluate(model: &Model, data: &Data) -> cornu::Result<Score> {
    const BATCH: usize = 1024;
    match data {
        Data::Labels(x, y) => model.evaluate_with(x, y, BATCH),
        Data::Values(x, y) => model.evaluate_with(x, y, BATCH),
        Data::Folder(folder) => model.evaluate_dataset(folder),
    }
}

/// The optimizer is of no account.
fn compile(model: &mut Model, values: bool) -> cornu::Result<()> {
    let (optimizer, accuracy) = (SGD::default(), [Metric::Accuracy]);
    let last = last_activation(model)?;
    let logits = last != "softmax" && last != "sigmoid";
    let one = model.output_shape().last() == 1;
    match (values, one || last == "sigmoid") {
        (true, _) if logits => model.compile(optimizer, MeanSquaredError, [Metric::MeanAbsoluteError]),
        (_, true) => model.compile(optimizer, BinaryCrossentropy::default().from_logits(logits), accuracy),
        (true, _) => model.compile(optimizer, CategoricalCrossentropy::default(), accuracy),
        _ => model.compile(optimizer, SparseCategoricalCrossentropy::default().from_logits(logits), accuracy),
    }
}

/// Keras's name of the activation in which the model ends.
fn last_activation(model: &Model) -> cornu::Result<String> {
    let json: Value = serde_json::from_str(&model.to_json()?).expect("to_json writes JSON");
    let last = json["config"]["layers"].as_array().and_then(|layers| layers.last());
    let name = last.and_then(|layer| layer["config"]["activation"].as_str());
    Ok(name.unwrap_or("linear").to_owned())
}
