//! [`GlobalAveragePooling1D`].

use super::{Build, BuiltAveragePooling2D, LayerConfig, window};
use crate::{Result, Shape, config::Arguments};

/// The mean of a sequence, for each channel, `keras.layers.GlobalAveragePooling1D`.
///
/// - input: `[n, steps, c]`
/// - output: `[n, c]`, or with `keepdims(true)` `[n, 1, c]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalAveragePooling1D {
    keepdims: bool,
}

impl GlobalAveragePooling1D {
    /// The mean over the steps.
    pub fn new() -> Self {
        GlobalAveragePooling1D::default()
    }

    /// Whether the steps stay, as a dimension of 1; they do not by default.
    pub fn keepdims(mut self, keepdims: bool) -> Self {
        self.keepdims = keepdims;
        self
    }
}

impl LayerConfig for GlobalAveragePooling1D {
    type Built = BuiltAveragePooling2D;

    fn class_name(&self) -> &'static str {
        "GlobalAveragePooling1D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("keepdims", &mut self.keepdims).fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltAveragePooling2D, Shape)> {
        let (pool, output) = window::global_pool1d(cx, self.keepdims)?;
        Ok((BuiltAveragePooling2D(pool), output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::check_layer;

    #[test]
    fn gradients() {
        for input in [[5, 2], [1, 3]] {
            for keepdims in [false, true] {
                let report = check_layer(&GlobalAveragePooling1D::new().keepdims(keepdims), input).unwrap();
                assert!(report.max_relative_error < 1e-6, "{input:?}: {report}");
            }
        }
        assert!(check_layer(&GlobalAveragePooling1D::new(), [5, 1, 2]).is_err());
    }
}
