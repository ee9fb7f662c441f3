//! cornu in the comparison, as a user has it: `cargo build --release` and no flags.

use cornu::prelude::*;
use measure::{Args, BATCH, PREDICTION_BATCH, Peer, Result};

#[path = "../../measure.rs"]
mod measure;

struct Cornu {
    x_train: Tensor,
    y_train: Labels,
    x_test: Tensor,
    y_test: Labels,
}

impl Cornu {
    fn load(args: &Args) -> Result<Self> {
        let (train, test) = datasets::mnist::load_from(&args.data)?;
        let (x_train, y_train) = first(train, args.limit)?;
        let (x_test, y_test) = first(test, args.limit)?;
        Ok(Cornu { x_train, y_train, x_test, y_test })
    }
}

fn first(split: Split, limit: usize) -> Result<(Tensor, Labels)> {
    let n = split.labels.len().min(limit);
    Ok((split.images.slice(..n)?.to_tensor().scaled(1.0 / 255.0), split.labels.slice(..n)?))
}

impl Peer for Cornu {
    type Model = Model;

    const SETTING: &str = "a plain release build, without flags";

    fn len(&self) -> usize {
        self.y_train.len()
    }

    fn test_labels(&self) -> Vec<usize> {
        self.y_test.iter().collect()
    }

    fn train(&self, n: usize, seed: u64) -> Result<Model> {
        let mut model = Sequential::new([28, 28, 1])
            .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
            .add(MaxPooling2D::new((2, 2)))
            .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
            .add(MaxPooling2D::new((2, 2)))
            .add(Flatten::new())
            .add(Dense::new(10).activation(Activation::Softmax))
            .seed(seed)
            .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
        let (x, y) = (self.x_train.slice(..n)?, self.y_train.slice(..n)?);
        model.fit(x, &y, Fit::new().batch_size(BATCH).seed(seed).verbose(0))?;
        Ok(model)
    }

    fn predict_all(&self, model: &Model) -> Result<Vec<f32>> {
        Ok(model.predict_with(&self.x_test, PREDICTION_BATCH)?.into_data())
    }

    fn predict_one(&self, model: &Model, i: usize) -> Result<Vec<f32>> {
        Ok(model.predict(self.x_test.slice(i..=i)?)?.into_data())
    }
}

fn main() -> Result<()> {
    let args = Args::parse()?;
    measure::run(&Cornu::load(&args)?, args.seed)
}
