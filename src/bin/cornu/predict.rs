//! `cornu predict MODEL IMAGE…`

use std::{
    error::Error,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use cornu::{Labels, Model, Tensor, data::ImageInput, load_model};
use serde_json::json;

use crate::{Outcome, report};

#[derive(clap::Args)]
pub struct Args {
    /// The file of the model
    model: PathBuf,
    /// PNG, JPEG and PNM files; an image of another size than the model's input is resized
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// What pixels from 0 to 255 are multiplied by [default: 1/255, or 1 if the model begins with a Rescaling]
    #[arg(long, value_parser = crate::scale, allow_negative_numbers = true)]
    scale: Option<f64>,
    /// Print an object of JSON for each image, with all of the model's outputs
    #[arg(long)]
    json: bool,
}

/// An image that cannot be read is told, and the others are predicted.
pub fn run(args: &Args, out: &mut impl Write) -> Outcome {
    let model = load_model(&args.model)?;
    let mut input = model.image_input()?;
    if let Some(scale) = args.scale {
        input = input.scale(scale);
    }
    let mut code = ExitCode::SUCCESS;
    for image in &args.images {
        match predict(&model, &input, image) {
            Ok(prediction) if args.json => writeln!(out, "{}", prediction.json(image))?,
            Ok(Prediction { class, probability, .. }) => {
                writeln!(out, "{}\t{class}\t{probability:.4}", image.display())?;
            }
            Err(error) => {
                report(&*error);
                code = ExitCode::FAILURE;
            }
        }
    }
    out.flush()?;
    Ok(code)
}

struct Prediction {
    class: usize,
    /// The output of the class; of a model with one output, which is the probability of class 1, also what is left for class 0.
    probability: f32,
    outputs: Vec<f32>,
}

fn predict(model: &Model, input: &ImageInput, image: &Path) -> Result<Prediction, Box<dyn Error>> {
    let x: Tensor = input.read(image)?;
    let y = model.predict(&x)?;
    let class = Labels::of_outputs(&y)?.get(0).expect("a class for the image");
    let outputs = y.into_data();
    if let Some(output) = outputs.iter().find(|output| !output.is_finite()) {
        let message =
            format!("{}: an output of the model is {output}; look at its weights and at --scale", image.display());
        return Err(message.into());
    }
    let probability = match outputs[..] {
        [p] if class == 0 => 1.0 - p,
        [p] => p,
        _ => outputs[class],
    };
    Ok(Prediction { class, probability, outputs })
}

impl Prediction {
    fn json(&self, image: &Path) -> serde_json::Value {
        // As short as the number of 32 bits is.
        let number = |x: f32| x.to_string().parse::<f64>().expect("what is printed is a number");
        let outputs: Vec<f64> = self.outputs.iter().copied().map(number).collect();
        json!({
            "image": image.to_string_lossy(),
            "class": self.class,
            "probability": number(self.probability),
            "outputs": outputs,
        })
    }
}
