//! `cornu evaluate MODEL DATA`

use std::{error::Error, io::Write, path::PathBuf};

use cornu::{
    load_model,
    losses::{BinaryCrossentropy, SparseCategoricalCrossentropy},
    prelude::*,
};
use serde_json::{Map, Value};

#[derive(clap::Args)]
pub struct Args {
    /// The file of the model
    model: PathBuf,
    /// A folder that has a sub-folder of images for each class, or the test set of mnist, fashion_mnist or cifar10
    ///
    /// The sorted names of the sub-folders are the classes 0, 1, 2 and so on. A folder called as a data set is ./mnist.
    data: PathBuf,
    /// What pixels from 0 to 255 are multiplied by [default: 1/255, or 1 if the model begins with a Rescaling]
    #[arg(long)]
    scale: Option<f64>,
    /// Print one object of JSON
    #[arg(long)]
    json: bool,
}

/// What a model is evaluated on.
enum Data {
    Memory(Tensor, Labels),
    Folder(ImageFolder),
}

pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let mut model = load_model(&args.model)?;
    let mut input = model.image_input()?;
    if let Some(scale) = args.scale {
        input = input.scale(scale);
    }
    let score = score(&mut model, &args.data(&input)?)?;
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
    fn data(&self, input: &ImageInput) -> cornu::Result<Data> {
        let (_, test) = match self.data.to_str() {
            Some("mnist") => datasets::mnist::load()?,
            Some("fashion_mnist") => datasets::fashion_mnist::load()?,
            Some("cifar10") => datasets::cifar10::load()?,
            _ => return Ok(Data::Folder(ImageFolder::new(&self.data)?.shuffle(false).image_input(input.clone()))),
        };
        Ok(Data::Memory(input.samples(&test.images)?, test.labels))
    }
}

/// Loss and metrics as the model was compiled with them. If it was not, or with a loss that takes no labels: crossentropy and
/// accuracy.
fn score(model: &mut Model, data: &Data) -> cornu::Result<Score> {
    match evaluate(model, data) {
        Err(cornu::Error::NotCompiled { .. } | cornu::Error::Data { .. }) => {
            compile_for_labels(model)?;
            evaluate(model, data)
        }
        score => score,
    }
}

fn evaluate(model: &Model, data: &Data) -> cornu::Result<Score> {
    match data {
        Data::Memory(x, y) => model.evaluate_with(x, y, 1024),
        Data::Folder(folder) => model.evaluate_dataset(folder),
    }
}

/// The optimizer is of no account.
fn compile_for_labels(model: &mut Model) -> cornu::Result<()> {
    let (optimizer, metrics) = (SGD::default(), [Metric::Accuracy]);
    let logits = !ends_in_probabilities(model)?;
    match model.output_shape().last() {
        1 => model.compile(optimizer, BinaryCrossentropy::default().from_logits(logits), metrics),
        _ => model.compile(optimizer, SparseCategoricalCrossentropy::default().from_logits(logits), metrics),
    }
}

/// Whether the last layer is a softmax or a sigmoid, or ends in one.
fn ends_in_probabilities(model: &Model) -> cornu::Result<bool> {
    let json: Value = serde_json::from_str(&model.to_json()?).expect("to_json writes JSON");
    let last = json["config"]["layers"].as_array().and_then(|layers| layers.last());
    let last = last.map_or(&Value::Null, |layer| &layer["config"]["activation"]);
    Ok(matches!(last.as_str(), Some("softmax" | "sigmoid")))
}
