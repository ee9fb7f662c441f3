//! [`Constraint`]: what weights are brought back to after each step.

use crate::{
    Scalar, Shape,
    config::{self, Arguments},
};

/// What a weight is brought back to after each step of training: `keras.constraints`.
///
/// A norm is taken over some axes of the weight, by default the first, for each index of the others. For the kernel of a
/// convolution, `[kh, kw, cin, filters]`, the axes `[0, 1, 2]` give the norm of each filter.
///
/// ```
/// use cornu::{Constraint, prelude::*};
///
/// let layer = Conv2D::new(32, 3).kernel_constraint(Constraint::max_norm(2.0).axis([0, 1, 2]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    kind: Kind,
    axes: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    NonNeg,
    MaxNorm(f64),
    UnitNorm,
}

/// What Keras adds to a norm before it divides by it.
const EPSILON: f64 = 1e-7;

impl Constraint {
    /// No weight is below 0.
    pub fn non_neg() -> Self {
        Constraint { kind: Kind::NonNeg, axes: Vec::new() }
    }

    /// No norm is above `max_value`; Keras's default is 2.
    pub fn max_norm(max_value: f64) -> Self {
        Constraint { kind: Kind::MaxNorm(max_value), axes: vec![0] }
    }

    /// All norms are 1.
    pub fn unit_norm() -> Self {
        Constraint { kind: Kind::UnitNorm, axes: vec![0] }
    }

    /// The axes that a norm is taken over; the first by default.
    pub fn axis(mut self, axes: impl IntoIterator<Item = usize>) -> Self {
        self.axes = axes.into_iter().collect();
        self
    }

    /// Whether the arguments suit a weight of `shape`; if not, what does not.
    pub(crate) fn check(&self, shape: Shape) -> Result<(), String> {
        if let Some(axis) = self.axes.iter().find(|&&axis| axis >= shape.rank()) {
            return Err(format!("the constraint's axis {axis} is not one of a weight of shape {shape}"));
        }
        match self.kind {
            Kind::MaxNorm(max) if !(max >= 0.0 && max.is_finite()) => {
                Err(format!("max_norm must be a finite number of at least 0, got {max}"))
            }
            _ => Ok(()),
        }
    }

    /// Brings a weight of `shape` back. `norms` is memory to compute in, that grows as needed.
    pub fn apply<T: Scalar>(&self, shape: Shape, weight: &mut [T], norms: &mut Vec<T>) {
        if self.kind == Kind::NonNeg {
            // As Keras: a NaN becomes 0 * NaN.
            return weight.iter_mut().filter(|w| **w < T::zero()).for_each(|w| *w = T::zero());
        }
        norms.clear();
        norms.resize(weight.len(), T::zero());
        for (i, &w) in weight.iter().enumerate() {
            norms[self.group(shape, i)] += w * w;
        }
        let epsilon = T::of(EPSILON);
        for norm in norms.iter_mut() {
            let length = norm.sqrt();
            *norm = match self.kind {
                Kind::MaxNorm(max) => length.min(T::of(max)) / (epsilon + length),
                _ => (epsilon + length).recip(),
            };
        }
        for (i, w) in weight.iter_mut().enumerate() {
            *w *= norms[self.group(shape, i)];
        }
    }

    /// The first element that shares the norm of element `i`: the same with 0 on the axes of the norm.
    fn group(&self, shape: Shape, i: usize) -> usize {
        let mut rest = i;
        let mut stride = 1;
        let mut group = 0;
        for (axis, &dim) in shape.dims().iter().enumerate().rev() {
            if !self.axes.contains(&axis) {
                group += rest % dim * stride;
            }
            rest /= dim;
            stride *= dim;
        }
        group
    }
}

impl config::Object for Constraint {
    const MODULE: &'static str = "keras.constraints";

    fn class_name(&self) -> &'static str {
        match self.kind {
            Kind::NonNeg => "NonNeg",
            Kind::MaxNorm(_) => "MaxNorm",
            Kind::UnitNorm => "UnitNorm",
        }
    }

    fn of_class(class: &str) -> Option<Self> {
        Some(match class {
            "NonNeg" | "non_neg" => Constraint::non_neg(),
            "MaxNorm" | "max_norm" => Constraint::max_norm(2.0),
            "UnitNorm" | "unit_norm" => Constraint::unit_norm(),
            _ => return None,
        })
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        if let Kind::MaxNorm(max_value) = &mut self.kind {
            arguments.argument("max_value", max_value);
        }
        if self.kind != Kind::NonNeg {
            arguments.argument("axis", &mut self.axes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply<const N: usize>(constraint: Constraint, shape: impl Into<Shape>, mut weight: [f64; N]) -> [f64; N] {
        constraint.apply(shape.into(), &mut weight, &mut Vec::new());
        weight.map(|w| (w * 1e6).round() / 1e6)
    }

    #[test]
    fn norms_are_over_their_axes() {
        let weight = [3.0, 0.1, -4.0, 0.2];
        assert_eq!(apply(Constraint::max_norm(2.0), [2, 2], weight), [1.2, 0.1, -1.6, 0.2]);
        assert_eq!(apply(Constraint::unit_norm().axis([0, 1]), [2, 2], [3.0, 0.0, 0.0, 4.0]), [0.6, 0.0, 0.0, 0.8]);
        assert_eq!(apply(Constraint::unit_norm().axis([1]), [2, 2], [3.0, 4.0, 0.0, 5.0]), [0.6, 0.8, 0.0, 1.0]);
        assert_eq!(apply(Constraint::non_neg(), [3], [1.0, -2.0, 0.0]), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        assert!(Constraint::max_norm(-1.0).check([2].into()).is_err());
        assert!(Constraint::max_norm(f64::NAN).check([2].into()).is_err());
        assert!(Constraint::unit_norm().axis([1]).check([2].into()).is_err());
        assert!(Constraint::max_norm(1.0).axis([0, 1]).check([2, 3].into()).is_ok());
    }
}
