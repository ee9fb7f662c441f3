//! [`GlobalAveragePooling2D`].

use super::{Build, BuiltAveragePooling2D, LayerConfig, window};
use crate::{Result, Shape, config::Arguments};

/// The mean of an image, for each channel, `keras.layers.GlobalAveragePooling2D`.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, c]`, or with `keepdims(true)` `[n, 1, 1, c]`
///
/// [Lin et al., 2014](https://arxiv.org/abs/1312.4400)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalAveragePooling2D {
    keepdims: bool,
}

impl GlobalAveragePooling2D {
    /// The mean over height and width.
    pub fn new() -> Self {
        GlobalAveragePooling2D::default()
    }

    /// Whether height and width stay, as dimensions of 1; they do not by default.
    pub fn keepdims(mut self, keepdims: bool) -> Self {
        self.keepdims = keepdims;
        self
    }
}

impl LayerConfig for GlobalAveragePooling2D {
    type Built = BuiltAveragePooling2D;

    fn class_name(&self) -> &'static str {
        "GlobalAveragePooling2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("keepdims", &mut self.keepdims).fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltAveragePooling2D, Shape)> {
        let (pool, output) = window::global_pool(cx, self.keepdims)?;
        Ok((BuiltAveragePooling2D(pool), output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sequential, Tensor, gradcheck::check_layer};

    #[test]
    fn the_mean_of_each_channel() {
        let model = |layer| Sequential::new([2, 3, 2]).add(layer).build().unwrap();
        let x = Tensor::from_fn([1, 2, 3, 2], |[_, y, x, c]| (y * 3 + x + 10 * c) as f32);
        let y = model(GlobalAveragePooling2D::new()).predict(&x).unwrap();
        approx::assert_relative_eq!(y, Tensor::from([[2.5, 12.5]]), max_relative = 1e-6);
        assert_eq!(model(GlobalAveragePooling2D::new().keepdims(true)).output_shape(), [1, 1, 2].into());
    }

    #[test]
    fn gradients() {
        for input in [[3, 4, 2], [1, 1, 3], [5, 1, 1]] {
            for keepdims in [false, true] {
                let report = check_layer(&GlobalAveragePooling2D::new().keepdims(keepdims), input).unwrap();
                assert!(report.max_relative_error < 1e-6, "{input:?}: {report}");
            }
        }
        assert!(check_layer(&GlobalAveragePooling2D::new(), 4).is_err());
    }
}
