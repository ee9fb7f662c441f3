//! [`Samples`]: checked samples with their targets and weights.

use std::collections::BTreeMap;

use super::{
    Model,
    check::{self, Prepared},
    objective::Outputs,
};
use crate::{
    Error, Result, Scalar, Shape,
    data::{Input, Targets},
};

/// Samples, what is wanted for them, and what their losses are multiplied by.
pub(super) struct Samples<'a, T> {
    pub x: Input<'a, T>,
    pub targets: Prepared<'a, T>,
    weights: Option<Vec<f64>>,
}

impl<'a, T: Scalar> Samples<'a, T> {
    pub fn new(method: &'static str, model: &Model<T>, x: Input<'a, T>, y: Targets<'a, T>) -> Result<Self> {
        check::input(method, &x, &model.graph)?;
        let targets = check::targets(method, &model.compiled(method)?.objective, x.samples(), y)?;
        Ok(Samples { x, targets, weights: None })
    }

    /// Sets the weights of all samples, or those of the classes of the samples that are trained on, `0..split`.
    pub fn weigh(
        &mut self,
        sample: Option<&[f32]>,
        class: &BTreeMap<usize, f64>,
        split: usize,
        output: Shape,
    ) -> Result<()> {
        let classes = output.last();
        let n = self.x.samples();
        let invalid = |weight: f64| !(weight >= 0.0 && weight.is_finite());
        if let Some(weights) = sample {
            if !class.is_empty() {
                return Err(Error::argument("fit", "give sample_weight or class_weight, not both"));
            }
            if weights.len() != n {
                return Err(Error::data("fit", format!("x has {n} samples, but sample_weight has {}", weights.len())));
            }
            if let Some(i) = weights.iter().position(|&weight| invalid(weight.into())) {
                return Err(Error::data(
                    "fit",
                    format!("sample_weight of sample {i} must be a finite number of at least 0, got {}", weights[i]),
                ));
            }
            self.weights = Some(weights.iter().map(|&weight| weight.into()).collect());
        } else if !class.is_empty() {
            if let Some((class, weight)) = class.iter().find(|&(_, &weight)| invalid(weight)) {
                return Err(Error::argument(
                    "fit",
                    format!("class_weight of class {class} must be a finite number of at least 0, got {weight}"),
                ));
            }
            if output.size() != classes {
                return Err(Error::argument(
                    "fit",
                    format!(
                        "class_weight needs one class for each sample, but an output of shape {output} has several; use \
                         sample_weight"
                    ),
                ));
            }
            // A single output may stand for any number.
            if let Some(class) = class.keys().find(|&&class| classes > 1 && class >= classes) {
                let message = format!("class_weight names class {class}, but the model has {classes} classes");
                return Err(Error::argument("fit", format!("{message}, 0 to {}", classes - 1)));
            }
            let weight =
                |i| if i < split { class.get(&self.targets.class(i, classes)).copied().unwrap_or(1.0) } else { 1.0 };
            self.weights = Some((0..n).map(weight).collect());
        }
        Ok(())
    }

    pub fn outputs<'b>(&'b self, z: &'b [T], indices: &'b [usize]) -> Outputs<'b, T> {
        Outputs { z, targets: &self.targets, indices, weights: self.weights.as_deref() }
    }
}

/// Where validation begins: `floor(n * (1 - fraction))`, as in Keras, with something on both sides.
pub(super) fn split_at(fraction: Option<f64>, n: usize) -> Result<usize> {
    let Some(fraction) = fraction else {
        return Ok(n);
    };
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::argument("fit", format!("validation_split must be above 0 and below 1, got {fraction}")));
    }
    let split = (n as f64 * (1.0 - fraction)).floor() as usize;
    if split == 0 || split == n {
        return Err(Error::data(
            "fit",
            format!(
                "validation_split {fraction} of {n} samples leaves nothing to {}",
                if split == 0 { "train on" } else { "validate on" }
            ),
        ));
    }
    Ok(split)
}
