//! [`Flatten`].

use super::{Backward, Build, Forward, Layer, LayerConfig, Reads, Taped};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    tensor::{View, ViewMut},
};

/// All elements of a sample in one dimension, `keras.layers.Flatten`.
///
/// - input: `[n, ..]`
/// - output: `[n, product of the rest]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flatten;

impl Flatten {
    /// A `Flatten`; it has no arguments.
    pub fn new() -> Self {
        Flatten
    }
}

impl LayerConfig for Flatten {
    type Built = Relabel;

    fn class_name(&self) -> &'static str {
        "Flatten"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(Relabel, Shape)> {
        Ok((Relabel, cx.input().size().into()))
    }
}

/// The same elements in the same order, under another shape.
#[derive(Debug)]
pub struct Relabel;

impl Layer for Relabel {
    type Work<T: Scalar> = ();

    fn is_identity(&self) -> bool {
        true
    }

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        y.data.copy_from_slice(x.data);
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        if let Some(dx) = dx {
            dx.data.copy_from_slice(taped.dy.data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::check_layer;

    #[test]
    fn gradients() {
        for input in [Shape::from([2, 3, 4]), 5.into(), ().into()] {
            let report = check_layer(&Flatten, input).unwrap();
            assert!(report.max_relative_error < 1e-6, "{input}: {report}");
        }
    }
}
