//! [`Objective`]: loss and metrics over the samples of a batch, and the gradient that training starts from.

use std::sync::Arc;

use super::{check::Prepared, history::Score};
use crate::{
    Activation, Error, Metric, Result, Scalar, Shape,
    losses::{Loss, Target, TargetKind},
};

/// The loss and the metrics of a compiled model.
#[derive(Debug)]
pub(crate) struct Objective {
    loss: Arc<dyn Loss>,
    /// The loss on the logits, where the head and the loss have such a form.
    on_logits: Option<Box<dyn Loss>>,
    head: Activation,
    output: Shape,
    metrics: Vec<Metric>,
}

/// The outputs of a batch, without the head, and what was wanted.
pub(crate) struct Outputs<'a, T> {
    /// `[n, ..output]`
    pub z: &'a [T],
    pub targets: &'a Prepared<'a, T>,
    /// The sample that each row of `z` belongs to.
    pub indices: &'a [usize],
    /// What each sample's loss is multiplied by.
    pub weights: Option<&'a [f64]>,
}

/// Sums over the samples seen so far.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    loss: f64,
    /// What each metric counts in.
    metrics: Vec<Vec<f64>>,
    samples: usize,
    /// One sample's logits, output, gradient and target.
    rows: [Vec<f64>; 4],
}

impl Sums {
    /// How many samples have been added.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// All sums, one after the other.
    pub fn numbers(&self) -> Vec<f64> {
        let metrics = self.metrics.iter().flatten().copied();
        [self.loss, self.samples as f64].into_iter().chain(metrics).collect()
    }

    /// Replaces the sums by [`numbers`](Sums::numbers), if they are as many.
    pub fn set_numbers(&mut self, numbers: &[f64]) -> Option<()> {
        let (&[loss, samples], mut rest) = numbers.split_first_chunk()?;
        let len: usize = self.metrics.iter().map(Vec::len).sum();
        if rest.len() != len {
            return None;
        }
        (self.loss, self.samples) = (loss, samples as usize);
        for metric in &mut self.metrics {
            let (numbers, others) = rest.split_at(metric.len());
            metric.copy_from_slice(numbers);
            rest = others;
        }
        Some(())
    }

    /// Adds what regularizers add to the loss of each of `n` samples.
    pub fn penalize(&mut self, penalty: f64, n: usize) {
        self.loss += penalty * n as f64;
    }
}

impl Objective {
    pub fn new(loss: Arc<dyn Loss>, metrics: Vec<Metric>, head: Activation, output: Shape) -> Result<Self> {
        loss.check(output).map_err(|message| Error::argument(format!("compile: {}", loss.name()), message))?;
        for (i, metric) in metrics.iter().enumerate() {
            metric.check(loss.target_kind(), output).map_err(|message| Error::argument("compile: metrics", message))?;
            let name = metric.name();
            if metrics[..i].iter().any(|other| other.name() == name) {
                let message = format!("{name} is given twice; metrics need names that differ");
                return Err(Error::argument("compile: metrics", message));
            }
            // These would hide figures of an epoch.
            if name == "loss" || name.starts_with("val_") {
                let message =
                    format!("a metric cannot be called \"{name}\": \"loss\" and \"val_\" have a meaning of their own");
                return Err(Error::argument("compile: metrics", message));
            }
        }
        let on_logits = loss.on_logits(head);
        Ok(Objective { loss, on_logits, head, output, metrics })
    }

    pub fn loss(&self) -> &Arc<dyn Loss> {
        &self.loss
    }

    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    pub fn loss_name(&self) -> &'static str {
        self.loss.name()
    }

    pub fn target_kind(&self) -> TargetKind {
        self.loss.target_kind()
    }

    pub fn check_target(&self, target: Target) -> Result<(), String> {
        self.loss.check_target(target)
    }

    pub fn output(&self) -> Shape {
        self.output
    }

    /// The names of the figures of an epoch.
    pub fn monitors(&self, validation: bool) -> Vec<String> {
        let names = || ["loss".to_owned()].into_iter().chain(self.metrics.iter().map(Metric::name));
        let validation = names().map(|name| format!("val_{name}")).filter(|_| validation);
        names().chain(validation).collect()
    }

    /// Whether more of the figure of this name is better.
    pub fn rises(&self, monitor: &str) -> bool {
        let name = monitor.strip_prefix("val_").unwrap_or(monitor);
        self.metrics.iter().any(|metric| metric.name() == name && metric.rises())
    }

    pub fn sums(&self) -> Sums {
        let row = || vec![0.0; self.output.size()];
        let metrics = self.metrics.iter().map(|metric| metric.state(self.output)).collect();
        Sums { loss: 0.0, metrics, samples: 0, rows: [row(), row(), row(), row()] }
    }

    /// Adds the samples of a batch to `sums`, and returns the batch's mean loss. Overwrites `dz` with the gradient of that
    /// mean to `z`.
    pub fn score<T: Scalar>(&self, outputs: &Outputs<T>, mut dz: Option<&mut [T]>, sums: &mut Sums) -> f64 {
        let (n, len, classes) = (outputs.indices.len(), self.output.size(), self.output.last());
        let [logits, prediction, gradient, target] = &mut sums.rows;
        let mut batch_loss = 0.0;
        for (row, &index) in outputs.indices.iter().enumerate() {
            let elements = row * len..(row + 1) * len;
            for (logit, z) in logits.iter_mut().zip(&outputs.z[elements.clone()]) {
                *logit = z.as_f64();
            }
            prediction.copy_from_slice(logits);
            self.head.apply(prediction, classes);
            let target = outputs.targets.target(index, target);
            let wanted = dz.is_some().then_some(&mut gradient[..]);
            let loss = match &self.on_logits {
                Some(loss) => loss.sample(target, logits, classes, wanted),
                None => self.loss.sample(target, prediction, classes, wanted),
            };
            let weight = outputs.weights.map_or(1.0, |weights| weights[index]);
            batch_loss += loss * weight;
            // Not a sum of batches, so that the mean is the same for any size of batch.
            sums.loss += loss * weight;
            if let Some(dz) = &mut dz {
                if self.on_logits.is_none() {
                    self.head.backward(logits, prediction, gradient, classes);
                }
                for (dz, gradient) in dz[elements].iter_mut().zip(&*gradient) {
                    *dz = T::of(gradient * weight / n as f64);
                }
            }
            for (state, metric) in sums.metrics.iter_mut().zip(&self.metrics) {
                metric.update(state, target, prediction, classes);
            }
        }
        sums.samples += n;
        batch_loss / n as f64
    }

    /// The mean loss and the metrics of the samples seen so far.
    pub fn means(&self, sums: &Sums) -> Score {
        let metrics =
            self.metrics.iter().zip(&sums.metrics).map(|(metric, state)| (metric.name(), metric.result(state)));
        Score { loss: sums.loss / sums.samples as f64, metrics: metrics.collect() }
    }
}
