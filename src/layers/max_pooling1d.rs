//! [`MaxPooling1D`].

use super::{Build, BuiltMaxPooling2D, LayerConfig, Padding, window};
use crate::{Result, Shape, config::Arguments};

/// The maximum of each window of a sequence, for each channel, `keras.layers.MaxPooling1D`.
///
/// - input: `[n, steps, c]`
/// - output: `[n, osteps, c]`; see [`Padding`] for `osteps`
///
/// The gradient of a tie goes to the first of the maxima.
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([4, 1]).add(MaxPooling1D::new(2)).build()?;
/// let x = Tensor::new([1, 4, 1], vec![1.0, 3.0, 2.0, 0.0])?;
/// assert_eq!(model.predict(&x)?.data(), [3.0, 2.0]);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPooling1D {
    pool_size: usize,
    strides: Option<usize>,
    padding: Padding,
    /// The relu of the layer before; see [`LayerConfig::then_relu`].
    relu: bool,
}

impl MaxPooling1D {
    /// Windows of `pool_size` steps, one behind the other.
    pub fn new(pool_size: usize) -> Self {
        MaxPooling1D { pool_size, strides: None, padding: Padding::Valid, relu: false }
    }

    /// How far the window moves; `pool_size` by default.
    pub fn strides(mut self, strides: usize) -> Self {
        self.strides = Some(strides);
        self
    }

    /// What happens at the ends; [`Padding::Valid`] by default. The padding is never the maximum.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }
}

impl Default for MaxPooling1D {
    /// Windows of 2, as in Keras.
    fn default() -> Self {
        MaxPooling1D::new(2)
    }
}

impl LayerConfig for MaxPooling1D {
    type Built = BuiltMaxPooling2D;

    fn class_name(&self) -> &'static str {
        "MaxPooling1D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .one("pool_size", &mut self.pool_size)
            .optional_one("strides", &mut self.strides)
            .argument("padding", &mut self.padding)
            .fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltMaxPooling2D, Shape)> {
        let (pool, output) = window::pool1d(cx, self.pool_size, self.strides, self.padding)?;
        Ok((BuiltMaxPooling2D::new(pool, self.relu), output))
    }

    fn then_relu(&self) -> Option<Self> {
        Some(MaxPooling1D { relu: true, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gradcheck::check_layer, prelude::*};

    #[test]
    fn a_relu_before_is_the_same_bits_behind() {
        let x = Tensor::random_normal([8, 6, 2], 0.0, 1.0, 0);
        let y = Tensor::random_normal([8, 3, 4], 0.0, 1.0, 1);
        let dense = || Dense::new(4).activation(Activation::Relu);
        let pool = || MaxPooling1D::new(2).padding(Padding::Same).named("pool");
        let moved = Sequential::new([6, 2]).add(dense()).add(pool()).compile(SGD::default(), MeanSquaredError, []);
        // A layer that changes nothing keeps them apart.
        let kept = Sequential::new([6, 2]).add(dense()).add(Rescaling::new(1.0)).add(pool());
        let (moved, kept) = (moved.unwrap(), kept.compile(SGD::default(), MeanSquaredError, []).unwrap());
        assert_eq!(moved.predict(&x).unwrap(), kept.predict(&x).unwrap());
        assert_eq!(moved.gradients(&x, &y).unwrap(), kept.gradients(&x, &y).unwrap());
    }

    #[test]
    fn arguments_that_do_not_fit_are_errors() {
        let message = |layer| Sequential::new([8, 3]).add(layer).build().unwrap_err().to_string();
        assert!(message(MaxPooling1D::new(9)).contains("expected an input at least 9 steps long, got (8, 3)"));
        assert!(message(MaxPooling1D::new(0)).contains("pool_size must be at least 1, got 0"));
        assert!(message(MaxPooling1D::new(2).strides(0)).contains("strides must be at least 1, got 0"));
        let images = Sequential::new([8, 8, 3]).add(MaxPooling1D::default()).build();
        assert!(images.unwrap_err().to_string().contains("sequences are (steps, channels)"));
    }

    #[test]
    fn gradients() {
        for padding in [Padding::Valid, Padding::Same] {
            for layer in [
                MaxPooling1D::default(),
                MaxPooling1D::new(3),
                MaxPooling1D::new(3).strides(1),
                MaxPooling1D::new(1).strides(2),
            ] {
                let layer = layer.padding(padding);
                let report = check_layer(&layer, [7, 2]).unwrap();
                assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
            }
        }
    }
}
