//! [`Constraint`]: what weights are brought back to after each step.

use crate::{
    Scalar, Shape,
    config::{self, Arguments},
    kernels::strided::Strided,
    shape::axis_of,
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
    /// Negative ones count from the end.
    axes: Vec<isize>,
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

    /// The axes that a norm is taken over, the first by default; -1 is the last.
    pub fn axis(mut self, axes: impl IntoIterator<Item = isize>) -> Self {
        self.axes = axes.into_iter().collect();
        self
    }

    /// Whether the arguments suit a weight of `shape`; if not, what does not.
    pub(crate) fn check(&self, shape: Shape) -> Result<(), String> {
        if let Some(axis) = self.axes.iter().find(|&&axis| axis_of(axis, shape.rank()).is_none()) {
            return Err(format!("the constraint's axis {axis} is not one of a weight of shape {shape}"));
        }
        match self.kind {
            Kind::MaxNorm(max) if !(max >= 0.0 && max.is_finite()) => {
                Err(format!("max_norm must be a finite number of at least 0, got {max}"))
            }
            _ => Ok(()),
        }
    }

    /// Brings a weight of `shape` back. `norms` is memory to compute in, of this weight's own.
    pub(crate) fn apply<T: Scalar>(&self, shape: Shape, weight: &mut [T], norms: &mut Norms<T>) {
        if self.kind == Kind::NonNeg {
            // As Keras: a NaN becomes 0 * NaN.
            return weight.iter_mut().filter(|w| **w < T::zero()).for_each(|w| *w = T::zero());
        }
        let Norms { values: norms, groups } = norms;
        let groups = groups.get_or_insert_with(|| {
            let mut small = shape.dims().to_vec();
            self.axes.iter().filter_map(|&axis| axis_of(axis, shape.rank())).for_each(|axis| small[axis] = 1);
            norms.resize(small.iter().product(), T::zero());
            Strided::broadcast(&small, shape.dims())
        });
        norms.fill(T::zero());
        groups.scatter(weight, norms, |norm, w| *norm += w * w);
        let epsilon = T::of(EPSILON);
        for norm in norms.iter_mut() {
            let length = norm.sqrt();
            *norm = match self.kind {
                Kind::MaxNorm(max) => length.min(T::of(max)) / (epsilon + length),
                _ => (epsilon + length).recip(),
            };
        }
        groups.take(norms, weight, |w, factor| *w *= factor);
    }
}

/// The norms of a weight.
#[derive(Debug)]
pub(crate) struct Norms<T> {
    values: Vec<T>,
    /// Which of them each element has; looked up once.
    groups: Option<Strided>,
}

impl<T> Default for Norms<T> {
    fn default() -> Self {
        Norms { values: Vec::new(), groups: None }
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

    fn arguments(&mut self, arguments: &mut Arguments) {
        if let Kind::MaxNorm(max_value) = &mut self.kind {
            arguments.argument("max_value", max_value);
        }
        if self.kind != Kind::NonNeg {
            arguments.argument("axis", &mut self.axes);
        }
    }
}

impl config::OfClass for Constraint {
    fn of_class(class: &str) -> Option<Self> {
        Some(match class {
            "NonNeg" | "non_neg" => Constraint::non_neg(),
            "MaxNorm" | "max_norm" => Constraint::max_norm(2.0),
            "UnitNorm" | "unit_norm" => Constraint::unit_norm(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply<const N: usize>(constraint: Constraint, shape: impl Into<Shape>, mut weight: [f64; N]) -> [f64; N] {
        constraint.apply(shape.into(), &mut weight, &mut Norms::default());
        weight.map(|w| (w * 1e6).round() / 1e6)
    }

    #[test]
    fn norms_are_over_their_axes() {
        let weight = [3.0, 0.1, -4.0, 0.2];
        assert_eq!(apply(Constraint::max_norm(2.0), [2, 2], weight), [1.2, 0.1, -1.6, 0.2]);
        assert_eq!(apply(Constraint::unit_norm().axis([0, 1]), [2, 2], [3.0, 0.0, 0.0, 4.0]), [0.6, 0.0, 0.0, 0.8]);
        assert_eq!(apply(Constraint::unit_norm().axis([1]), [2, 2], [3.0, 4.0, 0.0, 5.0]), [0.6, 0.8, 0.0, 1.0]);
        assert_eq!(apply(Constraint::unit_norm().axis([-1]), [2, 2], [3.0, 4.0, 0.0, 5.0]), [0.6, 0.8, 0.0, 1.0]);
        assert_eq!(apply(Constraint::unit_norm().axis([0, 2]), [2, 2, 1], [3.0, 4.0, 4.0, 3.0]), [0.6, 0.8, 0.8, 0.6]);
        assert_eq!(apply(Constraint::non_neg(), [3], [1.0, -2.0, 0.0]), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        assert!(Constraint::max_norm(-1.0).check([2].into()).is_err());
        assert!(Constraint::max_norm(f64::NAN).check([2].into()).is_err());
        assert!(Constraint::unit_norm().axis([1]).check([2].into()).is_err());
        assert!(Constraint::unit_norm().axis([-2]).check([2].into()).is_err());
        assert!(Constraint::max_norm(1.0).axis([0, 1]).check([2, 3].into()).is_ok());
    }
}
