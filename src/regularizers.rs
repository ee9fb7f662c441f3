//! [`Regularizer`]: what keeps weights small.

use crate::{
    Scalar,
    config::{self, Arguments},
};

/// A penalty on the size of a weight, which is added to the loss: `keras.regularizers`.
///
/// ```text
/// penalty = l1 * sum(|w|) + l2 * sum(w^2)
/// ```
///
/// ```
/// use cornu::{Regularizer, prelude::*};
///
/// let layer = Dense::new(10).kernel_regularizer(Regularizer::l2(1e-4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regularizer {
    /// The factor of `sum(|w|)`.
    pub l1: f64,
    /// The factor of `sum(w^2)`.
    pub l2: f64,
}

impl Regularizer {
    /// `keras.regularizers.L1`; Keras's default is 0.01.
    pub fn l1(l1: f64) -> Self {
        Regularizer::l1_l2(l1, 0.0)
    }

    /// `keras.regularizers.L2`; Keras's default is 0.01.
    pub fn l2(l2: f64) -> Self {
        Regularizer::l1_l2(0.0, l2)
    }

    /// `keras.regularizers.L1L2`.
    pub fn l1_l2(l1: f64, l2: f64) -> Self {
        Regularizer { l1, l2 }
    }

    /// Whether the factors are in their ranges; if not, which is not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let wrong = [("l1", self.l1), ("l2", self.l2)].into_iter().find(|(_, f)| !(*f >= 0.0 && f.is_finite()));
        wrong.map_or(Ok(()), |(name, factor)| {
            Err(format!("the regularizer's {name} must be a finite number of at least 0, got {factor}"))
        })
    }

    /// The penalty of a weight.
    pub fn penalty<T: Scalar>(&self, weight: &[T]) -> f64 {
        let term = |w: f64| self.l1 * w.abs() + self.l2 * w * w;
        weight.iter().map(|w| term(w.as_f64())).sum()
    }

    /// Adds the gradient of the penalty to that of the weight: `l1 * sign(w) + 2 * l2 * w`; that of `|w|` at 0 is 0, as in Keras.
    pub fn add_gradient<T: Scalar>(&self, weight: &[T], gradient: &mut [T]) {
        let (l1, l2) = (T::of(self.l1), T::of(2.0 * self.l2));
        for (gradient, &w) in gradient.iter_mut().zip(weight) {
            let sign = if w == T::zero() { T::zero() } else { w.signum() };
            *gradient += l1 * sign + l2 * w;
        }
    }
}

impl config::Object for Regularizer {
    const MODULE: &'static str = "keras.regularizers";

    /// The class that the others are cases of.
    fn class_name(&self) -> &'static str {
        "L1L2"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("l1", &mut self.l1).argument("l2", &mut self.l2);
    }
}

impl config::OfClass for Regularizer {
    fn of_class(class: &str) -> Option<Self> {
        Some(match class {
            "L1" | "l1" => Regularizer::l1(0.01),
            "L2" | "l2" => Regularizer::l2(0.01),
            "L1L2" | "l1_l2" => Regularizer::l1_l2(0.0, 0.0),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_and_their_gradients() {
        let regularizer = Regularizer::l1_l2(0.5, 0.25);
        assert_eq!(regularizer.penalty(&[2.0, -1.0, 0.0]), 0.5 * 3.0 + 0.25 * 5.0);
        let mut gradient = [1.0; 3];
        regularizer.add_gradient(&[2.0, -1.0, 0.0], &mut gradient);
        assert_eq!(gradient, [2.5, 0.0, 1.0]);
        for wrong in [Regularizer::l1(-0.1), Regularizer::l2(f64::NAN), Regularizer::l2(f64::INFINITY)] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
