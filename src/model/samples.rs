//! [`Samples`]: checked samples with their targets and weights.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    check::{self, Prepared},
    graph::Graph,
    objective::{Objective, Outputs},
};
use crate::{
    Error, Result, Scalar, Shape,
    data::{Batch, Input, Targets},
};

/// Samples, what is wanted for them, and what their losses are multiplied by.
pub(super) struct Samples<'a, T> {
    pub x: Input<'a, T>,
    pub targets: Prepared<'a, T>,
    weights: Option<Vec<f64>>,
}

impl<'a, T: Scalar> Samples<'a, T> {
    pub fn new(place: &str, graph: &Graph, objective: &Objective, x: Input<'a, T>, y: Targets<'a, T>) -> Result<Self> {
        check::input(place, &x, graph)?;
        let targets = check::targets(place, objective, x.samples(), y)?;
        Ok(Samples { x, targets, weights: None })
    }

    /// Those of a batch of a data set.
    pub fn of_batch(
        place: &str,
        graph: &Graph,
        objective: &Objective,
        batch: &'a Batch<T>,
        class_weight: &BTreeMap<usize, f64>,
    ) -> Result<Self> {
        let mut samples = Samples::new(place, graph, objective, batch.x.view(), batch.y.view())?;
        let n = samples.x.samples();
        samples.weigh(place, batch.sample_weight.as_deref(), class_weight, n, objective.output())?;
        Ok(samples)
    }

    /// Sets the weights of all samples, or those of the classes of the samples that are trained on, `0..split`;
    /// [`check::class_weight`] has seen the latter.
    pub fn weigh(
        &mut self,
        place: &str,
        sample: Option<&[f32]>,
        class: &BTreeMap<usize, f64>,
        split: usize,
        output: Shape,
    ) -> Result<()> {
        let classes = output.last();
        let n = self.x.samples();
        if let Some(weights) = sample {
            if !class.is_empty() {
                return Err(Error::argument(place, "give sample_weight or class_weight, not both"));
            }
            if weights.len() != n {
                return Err(Error::data(place, format!("x has {n} samples, but sample_weight has {}", weights.len())));
            }
            if let Some(i) = weights.iter().position(|&weight| !check::is_weight(weight.into())) {
                return Err(Error::data(
                    place,
                    format!("sample_weight of sample {i} must be a finite number of at least 0, got {}", weights[i]),
                ));
            }
            self.weights = Some(weights.iter().map(|&weight| weight.into()).collect());
        } else if !class.is_empty() {
            let weight =
                |i| if i < split { class.get(&self.targets.class(i, classes)).copied().unwrap_or(1.0) } else { 1.0 };
            self.weights = Some((0..n).map(weight).collect());
        }
        Ok(())
    }

    /// A class that is weighed must be that of a sample to train on.
    pub fn check_weighed(&self, class: &BTreeMap<usize, f64>, split: usize, output: Shape) -> Result<()> {
        if class.is_empty() {
            return Ok(());
        }
        let present: BTreeSet<usize> = (0..split).map(|i| self.targets.class(i, output.last())).collect();
        match class.keys().find(|class| !present.contains(class)) {
            None => Ok(()),
            Some(class) => Err(Error::argument(
                "fit",
                format!("class_weight names class {class}, but no sample to train on is of it; leave it out"),
            )),
        }
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
