//! [`GlobalMaxPooling1D`].

use super::{Build, BuiltGlobalMaxPooling2D, LayerConfig, window};
use crate::{Result, Shape, config::Arguments};

/// The maximum of a sequence, for each channel, `keras.layers.GlobalMaxPooling1D`.
///
/// - input: `[n, steps, c]`
/// - output: `[n, c]`, or with `keepdims(true)` `[n, 1, c]`
///
/// The gradient of a tie is shared equally among the maxima, as in Keras on TensorFlow, unlike that of
/// [`MaxPooling1D`](super::MaxPooling1D).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalMaxPooling1D {
    keepdims: bool,
}

impl GlobalMaxPooling1D {
    /// The maximum over the steps.
    pub fn new() -> Self {
        GlobalMaxPooling1D::default()
    }

    /// Whether the steps stay, as a dimension of 1; they do not by default.
    pub fn keepdims(mut self, keepdims: bool) -> Self {
        self.keepdims = keepdims;
        self
    }
}

impl LayerConfig for GlobalMaxPooling1D {
    type Built = BuiltGlobalMaxPooling2D;

    fn class_name(&self) -> &'static str {
        "GlobalMaxPooling1D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("keepdims", &mut self.keepdims).fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltGlobalMaxPooling2D, Shape)> {
        let (pool, output) = window::global_pool1d(cx, self.keepdims)?;
        Ok((BuiltGlobalMaxPooling2D { channels: pool.channels }, output))
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
                let report = check_layer(&GlobalMaxPooling1D::new().keepdims(keepdims), input).unwrap();
                assert!(report.max_relative_error < 1e-6, "{input:?}: {report}");
            }
        }
        assert!(check_layer(&GlobalMaxPooling1D::new(), [5, 1, 2]).is_err());
    }
}
