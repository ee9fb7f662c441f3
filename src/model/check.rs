//! What fit, evaluate and predict demand of their data, and what looks suspicious in it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use rayon::prelude::*;

use super::{graph::Graph, objective::Objective};
use crate::{
    Error, Labels, Result, Scalar, Shape,
    data::{Input, Targets},
    losses::{Target, TargetKind},
    tensor::View,
};

/// Targets in the form that the loss reads.
#[derive(Debug)]
pub(crate) enum Prepared<'a, T> {
    Labels(Cow<'a, Labels>),
    /// Labels for a model with a single output, which the loss reads as numbers.
    Numbers(&'a Labels),
    /// `[n, ..output]`
    Values(View<'a, T>),
}

impl<T: Scalar> Prepared<'_, T> {
    /// The target of sample `i`; `row` is as long as the output of a sample.
    pub fn target<'b>(&self, i: usize, row: &'b mut [f64]) -> Target<'b> {
        match self {
            Prepared::Labels(labels) => return Target::Label(class(labels, i)),
            Prepared::Numbers(labels) => row.fill(class(labels, i) as f64),
            Prepared::Values(y) => {
                let wanted = &y.data[i * row.len()..];
                for (number, y) in row.iter_mut().zip(wanted) {
                    *number = y.as_f64();
                }
            }
        }
        Target::Values(row)
    }

    /// The class of sample `i`, for class weights: a label, the largest of several numbers, or a single number rounded.
    pub fn class(&self, i: usize, classes: usize) -> usize {
        match self {
            Prepared::Labels(labels) => class(labels, i),
            Prepared::Numbers(labels) => class(labels, i),
            Prepared::Values(y) if classes == 1 => y.data[i].as_f64().round() as usize,
            Prepared::Values(y) => {
                let row = &y.data[i * classes..(i + 1) * classes];
                (1..classes).fold(0, |best, class| if row[class] > row[best] { class } else { best })
            }
        }
    }

    /// The labels, where they mean classes; integers above 1 for a single output are the numbers of a regression.
    fn labels(&self) -> Option<&Labels> {
        match self {
            Prepared::Labels(labels) => Some(&**labels),
            Prepared::Numbers(labels) => Some(*labels).filter(|labels| labels.max() <= Some(1)),
            Prepared::Values(_) => None,
        }
    }
}

fn class(labels: &Labels, i: usize) -> usize {
    labels.get(i).expect("there is a label for each sample")
}

pub(crate) fn batch_size(method: &str, batch_size: usize) -> Result<()> {
    if batch_size == 0 {
        return Err(Error::argument(method, "batch_size must be at least 1, got 0"));
    }
    Ok(())
}

pub(crate) fn is_weight(weight: f64) -> bool {
    weight >= 0.0 && weight.is_finite()
}

/// Weights of classes must be weights, of classes that the model has, each sample of one.
pub(crate) fn class_weight(method: &str, weights: &BTreeMap<usize, f64>, output: Shape) -> Result<()> {
    let classes = output.last();
    if let Some((class, weight)) = weights.iter().find(|&(_, &weight)| !is_weight(weight)) {
        let message = format!("class_weight of class {class} must be a finite number of at least 0, got {weight}");
        return Err(Error::argument(method, message));
    }
    if !weights.is_empty() && output.size() != classes {
        let message =
            format!("class_weight needs one class for each sample, but an output of shape {output} has several");
        return Err(Error::argument(method, format!("{message}; use sample_weight")));
    }
    // A single output may stand for any number.
    if let Some(class) = weights.keys().find(|&&class| classes > 1 && class >= classes) {
        let message = format!("class_weight names class {class}, but the model has {classes} classes");
        return Err(Error::argument(method, format!("{message}, 0 to {}", classes - 1)));
    }
    Ok(())
}

/// Samples must have the shape of the model's input, and there must be some. Where the first layer takes indices, their
/// elements must be some.
pub(crate) fn input<T: Scalar>(method: &str, x: &Input<T>, graph: &Graph) -> Result<()> {
    let (shape, expected) = (x.shape(), graph.input);
    if shape.rank() != expected.rank() + 1 || shape.sample() != expected {
        let wanted = expected.batch(0).to_string().replacen('0', "n", 1);
        let help = match () {
            () if shape == expected => "a batch of one sample needs a first dimension of 1",
            () if shape.sample().size() == expected.size() => "reshape it; the numbers of elements agree",
            () => "",
        };
        return Err(Error::shape(format!("{method}: x"), format!("shape {wanted}"), shape, help));
    }
    if x.samples() == 0 {
        return Err(Error::data(method, "x has no samples"));
    }
    match graph.nodes[0].layer.indices() {
        Some(count) => indices(method, x, count),
        None => Ok(()),
    }
}

fn indices<T: Scalar>(method: &str, x: &Input<T>, count: usize) -> Result<()> {
    let is_index = |x: f64| x >= 0.0 && x < count as f64 && x.fract() == 0.0;
    let wrong = match x {
        Input::Values(x) => x.data.iter().map(|x| x.as_f64()).enumerate().find(|&(_, x)| !is_index(x)),
        Input::Bytes(x) => x.data.iter().map(|&x| x.into()).enumerate().find(|&(_, x)| !is_index(x)),
    };
    match wrong {
        None => Ok(()),
        Some((i, wrong)) => Err(Error::data(
            method,
            format!(
                "x of sample {} holds {wrong}, but the first layer takes indices, whole numbers from 0 to {}",
                i / x.shape().sample().size(),
                count - 1
            ),
        )),
    }
}

/// Targets must be of the kind that the loss reads, one for each sample, labels below the number of classes, and numbers that
/// the loss can be meant for.
pub(crate) fn targets<'a, T: Scalar>(
    method: &str,
    objective: &Objective,
    samples: usize,
    y: Targets<'a, T>,
) -> Result<Prepared<'a, T>> {
    let prepared = of_kind(method, objective, samples, y)?;
    let mut row = vec![0.0; objective.output().size()];
    for i in 0..samples {
        objective
            .check_target(prepared.target(i, &mut row))
            .map_err(|message| Error::data(method, format!("y of sample {i}: {}: {message}", objective.loss_name())))?;
    }
    Ok(prepared)
}

fn of_kind<'a, T: Scalar>(
    method: &str,
    objective: &Objective,
    samples: usize,
    y: Targets<'a, T>,
) -> Result<Prepared<'a, T>> {
    if y.samples() != samples {
        return Err(Error::data(method, format!("x has {samples} samples, but y has {}", y.samples())));
    }
    let (loss, output) = (objective.loss_name(), objective.output());
    match (objective.target_kind(), y) {
        (TargetKind::Labels, Targets::Labels(labels)) => {
            below(method, labels, output.last())?;
            Ok(Prepared::Labels(Cow::Borrowed(labels)))
        }
        (TargetKind::Labels, Targets::Values(values)) => {
            if values.data.len() != samples {
                return Err(Error::shape(
                    format!("{method}: y"),
                    format!("labels, one for each sample, as {loss} needs them"),
                    values.shape,
                    "for one-hot rows, compile with CategoricalCrossentropy",
                ));
            }
            let labels = Labels::try_from(&values.to_tensor()).map_err(|error| match error {
                Error::Data { message, .. } => Error::data(format!("{method}: y"), message),
                other => other,
            })?;
            below(method, &labels, output.last())?;
            Ok(Prepared::Labels(Cow::Owned(labels)))
        }
        (TargetKind::Values, Targets::Labels(labels)) if output.size() == 1 => Ok(Prepared::Numbers(labels)),
        (TargetKind::Values, Targets::Labels(_)) => Err(Error::data(
            method,
            format!(
                "y holds labels, but {loss} needs numbers of shape {}; use labels.one_hot({}), or compile with \
                 SparseCategoricalCrossentropy",
                output.batch(samples),
                output.last()
            ),
        )),
        (TargetKind::Values, Targets::Values(values)) => {
            let flat = output.size() == 1 && values.data.len() == samples;
            if values.shape != output.batch(samples) && !flat {
                return Err(Error::shape(
                    format!("{method}: y"),
                    format!("the shape of the model's output, {}", output.batch(samples)),
                    values.shape,
                    "",
                ));
            }
            Ok(Prepared::Values(values))
        }
    }
}

fn below(method: &str, labels: &Labels, classes: usize) -> Result<()> {
    match labels.iter().enumerate().find(|&(_, label)| label >= classes) {
        None => Ok(()),
        Some((i, label)) => Err(Error::data(
            method,
            format!(
                "label {label} of sample {i} is out of range: the model has {classes} classes, 0 to {}",
                classes - 1
            ),
        )),
    }
}

/// What looks like a mistake in training data, though it can be trained on.
pub(crate) fn suspicious<T: Scalar>(
    x: &Input<T>,
    train: (&Prepared<T>, Range<usize>),
    validation: Option<(&Prepared<T>, Range<usize>)>,
    rescaled: bool,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let (low, high, finite) = range(x);
    if !finite {
        let sample = first_not_finite(x).unwrap_or(0);
        warnings.push(format!("x holds NaN or infinity, first in sample {sample}"));
    } else if x.shape().rank() == 4 && !rescaled && low >= 0.0 && high > 16.0 && high <= 255.0 {
        warnings.push(format!(
            "the images hold values from {low} to {high}; scale them to 0..1, by a Rescaling layer or \
             images.scaled(1.0 / 255.0)"
        ));
    }
    if let Some(classes) = classes(train) {
        if let [class] = Vec::from_iter(&classes)[..] {
            warnings.push(format!("all samples to train on are of class {class}"));
        }
        if let Some(unseen) = validation.and_then(self::classes).map(|validation| &validation - &classes)
            && !unseen.is_empty()
        {
            warnings.push(format!(
                "the validation part has classes that the training part lacks: {unseen:?}; is the data sorted by class? \
                 Shuffle it first"
            ));
        }
    }
    warnings
}

/// The least and the greatest element, and whether all are finite.
fn range<T: Scalar>(x: &Input<T>) -> (f64, f64, bool) {
    match x {
        Input::Values(x) => x
            .data
            .par_chunks(1 << 16)
            .map(|part| {
                part.iter().fold((f64::INFINITY, f64::NEG_INFINITY, true), |(low, high, finite), x| {
                    let x = x.as_f64();
                    (low.min(x), high.max(x), finite & x.is_finite())
                })
            })
            .reduce(|| (f64::INFINITY, f64::NEG_INFINITY, true), |a, b| (a.0.min(b.0), a.1.max(b.1), a.2 & b.2)),
        Input::Bytes(x) => (
            x.data.par_iter().copied().min().unwrap_or(0).into(),
            x.data.par_iter().copied().max().unwrap_or(0).into(),
            true,
        ),
    }
}

/// The first sample that holds NaN or infinity.
fn first_not_finite<T: Scalar>(x: &Input<T>) -> Option<usize> {
    match x {
        Input::Values(values) => {
            let element = values.data.iter().position(|x| !x.is_finite())?;
            Some(element / values.shape.sample().size())
        }
        Input::Bytes(_) => None,
    }
}

/// The classes of some samples, where there are labels.
fn classes<T: Scalar>((targets, samples): (&Prepared<T>, Range<usize>)) -> Option<BTreeSet<usize>> {
    let labels = targets.labels()?;
    Some(samples.map(|i| class(labels, i)).collect())
}
