//! [`Rescaling`].

use super::{Backward, Build, Forward, Layer, LayerConfig, Reads, Taped};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    tensor::{View, ViewMut},
};

/// `y = x * scale + offset`, `keras.layers.Rescaling`. As a model's first layer it brings bytes to the range that the
/// model learns in.
///
/// - input: `[n, ..]`
/// - output: `[n, ..]`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([2]).add(Rescaling::new(1.0 / 127.5).offset(-1.0)).build()?;
/// let bytes = Tensor::from([[0u8, 255]]);
/// assert_eq!(model.predict(&bytes)?, Tensor::from([[-1.0, 1.0]]));
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rescaling {
    scale: f64,
    offset: f64,
}

impl Rescaling {
    /// Multiplies by `scale`.
    pub fn new(scale: f64) -> Self {
        Rescaling { scale, offset: 0.0 }
    }

    /// What it multiplies by, and what it adds.
    pub(crate) fn parts(&self) -> [f64; 2] {
        [self.scale, self.offset]
    }

    /// What is added afterwards; 0 by default.
    pub fn offset(mut self, offset: f64) -> Self {
        self.offset = offset;
        self
    }
}

impl LayerConfig for Rescaling {
    type Built = Self;

    fn class_name(&self) -> &'static str {
        "Rescaling"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("scale", &mut self.scale).argument("offset", &mut self.offset);
    }

    fn build(&self, cx: &mut Build) -> Result<(Self, Shape)> {
        for (name, value) in [("scale", self.scale), ("offset", self.offset)] {
            if !value.is_finite() {
                return Err(cx.argument_error(format!("{name} must be a finite number, got {value}")));
            }
        }
        Ok((self.clone(), cx.input()))
    }
}

impl Layer for Rescaling {
    type Work<T: Scalar> = ();

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        let (scale, offset) = (T::of(self.scale), T::of(self.offset));
        for (y, &x) in y.data.iter_mut().zip(x.data) {
            *y = x * scale + offset;
        }
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        let scale = T::of(self.scale);
        for (dx, &dy) in dx.into_iter().flat_map(|dx| dx.data).zip(&*taped.dy.data) {
            *dx = dy * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sequential, gradcheck::check_layer};

    #[test]
    fn arguments_must_be_finite() {
        for layer in [Rescaling::new(f64::NAN), Rescaling::new(1.0).offset(f64::INFINITY)] {
            assert!(Sequential::new([2]).add(layer).build().is_err());
        }
    }

    #[test]
    fn gradients() {
        for layer in [Rescaling::new(1.0 / 255.0), Rescaling::new(-2.0).offset(-1.0)] {
            let report = check_layer(&layer, [2, 3]).unwrap();
            assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
        }
    }
}
