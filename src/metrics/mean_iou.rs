//! [`MeanIoU`]: how far predicted and wanted classes overlap.

use super::{StatefulMetric, argmax, check_one_hot};
use crate::{
    Shape,
    config::Arguments,
    losses::{Target, TargetKind},
};

/// The intersection over the union of what is predicted and what is wanted, as `keras.metrics.MeanIoU` and `OneHotMeanIoU`:
/// `tp / (tp + fp + fn)` of each class, and of the classes that occur the mean.
///
/// In each row of the output (its last axis) the largest class is predicted. Targets are labels, or rows of which the largest is
/// wanted: for images, `[h, w, classes]`.
///
/// ```
/// use cornu::prelude::*;
///
/// let plan = Sequential::new([8, 8, 3]).add(Conv2D::new(4, 1).activation(Activation::Softmax));
/// plan.compile(Adam::default(), CategoricalCrossentropy::default(), [MeanIoU::new(4).into()])?;
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MeanIoU {
    name: String,
    num_classes: usize,
    ignore_class: Option<usize>,
}

impl MeanIoU {
    /// Of this number of classes, as the output's last axis has.
    pub fn new(num_classes: usize) -> Self {
        MeanIoU { name: "mean_io_u".into(), num_classes, ignore_class: None }
    }

    /// The class that is no class: where it is wanted, nothing counts.
    pub fn ignore_class(mut self, class: usize) -> Self {
        self.ignore_class = Some(class);
        self
    }

    /// The key in a history; `"mean_io_u"` by default, as in Keras.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl StatefulMetric for MeanIoU {
    fn name(&self) -> &str {
        &self.name
    }
    fn class_name(&self) -> &'static str {
        "MeanIoU"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("name", &mut self.name)
            .required("num_classes", &mut self.num_classes)
            .argument("ignore_class", &mut self.ignore_class)
            .ignored("sparse_y_true")
            .fixed("sparse_y_pred", false)
            .fixed("axis", -1);
    }

    fn rises(&self) -> bool {
        true
    }

    fn check(&self, targets: TargetKind, output: Shape) -> Result<(), String> {
        let classes = output.last();
        if self.num_classes < 2 || self.num_classes != classes {
            return Err(format!(
                "num_classes must be at least 2 and the size of the output's last axis, {classes}; got {}",
                self.num_classes
            ));
        }
        if let Some(class) = self.ignore_class.filter(|&class| class >= classes) {
            return Err(format!("ignore_class must be below the number of classes, {classes}; got {class}"));
        }
        check_one_hot(targets, output)
    }

    /// Of each class: how often it is predicted and wanted, and how often one of the two.
    fn state(&self, _: Shape) -> Vec<f64> {
        vec![0.0; 2 * self.num_classes]
    }

    fn update(&self, state: &mut [f64], target: Target, prediction: &[f64], classes: usize) {
        let (state, _) = state.as_chunks_mut::<2>();
        for (i, row) in prediction.chunks_exact(classes).enumerate() {
            let wanted = match target {
                Target::Label(label) => label,
                Target::Values(values) => argmax(&values[i * classes..][..classes]),
            };
            let predicted = argmax(row);
            if Some(wanted) == self.ignore_class {
                continue;
            }
            state[wanted][1] += 1.0;
            if predicted == wanted {
                state[wanted][0] += 1.0;
            } else {
                state[predicted][1] += 1.0;
            }
        }
    }

    fn result(&self, state: &[f64]) -> f64 {
        let occurring = || state.as_chunks::<2>().0.iter().filter(|[_, union]| *union > 0.0);
        super::ratio(occurring().map(|[both, union]| both / union).sum(), occurring().count() as f64)
    }
}
