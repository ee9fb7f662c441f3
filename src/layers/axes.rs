//! [`Axes`]: one axis of a batch, or several.

use serde_json::Value;

use crate::{config::Argument, shape::axis_of};

/// Axes of a batch, from one number or from several: `-1` and `[1, 2]` convert. The batch is axis 0; negative numbers
/// count from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axes(pub(super) Vec<isize>);

impl Axes {
    /// The dimensions of a sample of `rank` dimensions, in their order, each once; `None` when an axis is none of them.
    pub(super) fn of_sample(&self, rank: usize) -> Option<Vec<usize>> {
        let dimension = |&axis: &isize| {
            // The batch is axis 0.
            axis_of(axis, rank + 1)?.checked_sub(1)
        };
        let mut dimensions = self.0.iter().map(dimension).collect::<Option<Vec<_>>>()?;
        dimensions.sort_unstable();
        dimensions.dedup();
        Some(dimensions)
    }
}

impl From<isize> for Axes {
    fn from(axis: isize) -> Self {
        Axes(vec![axis])
    }
}

impl<const N: usize> From<[isize; N]> for Axes {
    fn from(axes: [isize; N]) -> Self {
        Axes(axes.into())
    }
}

/// `null` for none, a number for one.
impl Argument for Axes {
    fn to_json(&self) -> Value {
        match &self.0[..] {
            [] => Value::Null,
            [axis] => axis.to_json(),
            _ => self.0.to_json(),
        }
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        Ok(Axes(Option::from_json(json)?.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_those_of_a_batch() {
        let dimensions = |axes: Axes| axes.of_sample(3);
        assert_eq!(dimensions((-1).into()), Some(vec![2]));
        assert_eq!(dimensions([3, -3, 3].into()), Some(vec![0, 2]));
        for out_of_range in [0, 4, -4, isize::MIN, isize::MAX] {
            assert_eq!(dimensions([1, out_of_range].into()), None, "{out_of_range}");
        }
        assert_eq!(Axes::from(-1).of_sample(0), None);
    }
}
