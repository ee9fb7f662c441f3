//! [`AveragePooling1D`].

use super::{Build, BuiltAveragePooling2D, LayerConfig, Padding, window};
use crate::{Result, Shape, config::Arguments};

/// The mean of each window of a sequence, for each channel, `keras.layers.AveragePooling1D`.
///
/// - input: `[n, steps, c]`
/// - output: `[n, osteps, c]`; see [`Padding`] for `osteps`
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([4, 1]).add(AveragePooling1D::new(2)).build()?;
/// let x = Tensor::new([1, 4, 1], vec![1.0, 3.0, 2.0, 0.0])?;
/// assert_eq!(model.predict(&x)?.data(), [2.0, 1.0]);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AveragePooling1D {
    pool_size: usize,
    strides: Option<usize>,
    padding: Padding,
}

impl AveragePooling1D {
    /// Windows of `pool_size` steps, one behind the other.
    pub fn new(pool_size: usize) -> Self {
        AveragePooling1D { pool_size, strides: None, padding: Padding::Valid }
    }

    /// How far the window moves; `pool_size` by default.
    pub fn strides(mut self, strides: usize) -> Self {
        self.strides = Some(strides);
        self
    }

    /// What happens at the ends; [`Padding::Valid`] by default. The padding does not count: the mean is that of the steps.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }
}

impl LayerConfig for AveragePooling1D {
    type Built = BuiltAveragePooling2D;

    fn class_name(&self) -> &'static str {
        "AveragePooling1D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .one("pool_size", &mut self.pool_size)
            .optional_one("strides", &mut self.strides)
            .argument("padding", &mut self.padding)
            .fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltAveragePooling2D, Shape)> {
        let (pool, output) = window::pool1d(cx, self.pool_size, self.strides, self.padding)?;
        Ok((BuiltAveragePooling2D(pool), output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sequential, gradcheck::check_layer};

    #[test]
    fn arguments_that_do_not_fit_are_errors() {
        for layer in [AveragePooling1D::new(9), AveragePooling1D::new(0), AveragePooling1D::new(2).strides(0)] {
            assert!(Sequential::new([8, 3]).add(layer.clone()).build().is_err(), "{layer:?}");
        }
        assert!(Sequential::new([8, 8, 3]).add(AveragePooling1D::new(2)).build().is_err());
    }

    #[test]
    fn gradients() {
        for padding in [Padding::Valid, Padding::Same] {
            for layer in [
                AveragePooling1D::new(2),
                AveragePooling1D::new(3),
                AveragePooling1D::new(3).strides(1),
                AveragePooling1D::new(1).strides(2),
            ] {
                let layer = layer.padding(padding);
                let report = check_layer(&layer, [7, 2]).unwrap();
                assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
            }
        }
    }
}
