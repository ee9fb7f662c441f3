//! [`Reshape`].

use super::{Build, LayerConfig, Relabel};
use crate::{Result, Shape, config::Arguments};

/// The same elements in the same order under another shape, `keras.layers.Reshape`.
///
/// - input: `[n, ..]`
/// - output: `[n, ..target_shape]`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([784]).add(Reshape::new([28, 28, 1])).build()?;
/// assert_eq!(model.output_shape(), [28, 28, 1].into());
/// let model = Sequential::new([7, 7, 64]).add(Reshape::new([-1, 64])).build()?;
/// assert_eq!(model.output_shape(), [49, 64].into());
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    target_shape: Vec<i64>,
}

impl Reshape {
    /// The shape of one sample, in integers of any type. One dimension may be -1: it is what the others leave.
    pub fn new<const RANK: usize>(target_shape: [impl TryInto<i64>; RANK]) -> Self {
        // No input is as large as an integer that does not fit.
        Reshape { target_shape: target_shape.map(|dim| dim.try_into().unwrap_or(i64::MAX)).into() }
    }

    /// The dimensions without the -1, and where that stands.
    fn resolve(&self) -> Option<(Vec<usize>, Option<usize>)> {
        let unknown = self.target_shape.iter().position(|&dim| dim == -1);
        let known = self.target_shape.iter().enumerate().filter(|&(axis, _)| Some(axis) != unknown);
        let known = known.map(|(_, &dim)| dim.try_into().ok()).collect::<Option<_>>()?;
        Some((known, unknown))
    }
}

impl LayerConfig for Reshape {
    type Built = Relabel;

    fn class_name(&self) -> &'static str {
        "Reshape"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("target_shape", &mut self.target_shape);
    }

    fn build(&self, cx: &mut Build) -> Result<(Relabel, Shape)> {
        let target = &self.target_shape;
        let Some((mut dims, unknown)) = self.resolve() else {
            return Err(cx.argument_error(format!(
                "the dimensions of target_shape must be at least 0, and one may be -1, got {target:?}"
            )));
        };
        let size = cx.input().size();
        if let Some(axis) = unknown {
            let known = dims.iter().copied().fold(1, usize::saturating_mul);
            dims.insert(axis, size.checked_div(known).unwrap_or(0));
        }
        let output = Shape::new(&dims).map_err(|error| cx.argument_error(format!("target_shape: {error}")))?;
        if output.size() != size {
            return Err(
                cx.shape_error(format!("an input that fits into {target:?}"), format!("it has {size} elements"))
            );
        }
        Ok((Relabel, output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gradcheck::check_layer, params::ParamLayout};

    fn build(layer: Reshape) -> Result<Shape> {
        let mut layout = ParamLayout::default();
        Ok(layer.build(&mut Build::new("Reshape", "reshape", 1, [4, 4, 16].into(), &mut layout))?.1)
    }

    #[test]
    fn one_dimension_is_inferred() {
        assert_eq!(build(Reshape::new([-1, 64])).unwrap(), [4, 64].into());
        assert_eq!(build(Reshape::new([4, -1, 32])).unwrap(), [4, 2, 32].into());
        assert_eq!(build(Reshape::new([-1])).unwrap(), 256.into());
        assert_eq!(build(Reshape::new([8usize, 32])).unwrap(), [8, 32].into());
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        for target in [[-1, -1], [-1, 0], [-2, 8], [7, 7], [-1, 7], [0, 256], [i64::MAX, 4]] {
            assert!(build(Reshape::new(target)).is_err(), "{target:?}");
        }
        assert!(build(Reshape::new([u64::MAX])).is_err());
        assert!(build(Reshape::new([256, 1, 1, 1, 1, 1, 1])).is_err());
        let message = build(Reshape::new([7, -1])).unwrap_err().to_string();
        assert!(message.ends_with("expected an input that fits into [7, -1], got (4, 4, 16); it has 256 elements"));
    }

    #[test]
    fn gradients() {
        let report = check_layer(&Reshape::new([3, -1]), [2, 3, 4]).unwrap();
        assert!(report.max_relative_error < 1e-6, "{report}");
    }
}
