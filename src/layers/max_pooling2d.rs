//! [`MaxPooling2D`].

use super::{Backward, Build, Forward, Layer, LayerConfig, Padding, Pair, Reads, Taped, window};
use crate::{
    Activation, Result, Scalar, Shape,
    config::Arguments,
    kernels::pool::{self, Pool},
    tensor::{View, ViewMut},
};

/// The maximum of each window, for each channel, `keras.layers.MaxPooling2D`.
///
/// - input: `[n, h, w, c]`
/// - output: `[n, oh, ow, c]`; see [`Padding`] for `oh` and `ow`
///
/// The gradient of a tie goes to the first of the maxima.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPooling2D {
    pool_size: Pair,
    strides: Option<Pair>,
    padding: Padding,
    /// The relu of the layer before; see [`LayerConfig::then_relu`].
    relu: bool,
}

impl MaxPooling2D {
    /// Windows of `pool_size` (height, width), one beside the other.
    pub fn new(pool_size: impl Into<Pair>) -> Self {
        MaxPooling2D { pool_size: pool_size.into(), strides: None, padding: Padding::Valid, relu: false }
    }

    /// How far the window moves; `pool_size` by default.
    pub fn strides(mut self, strides: impl Into<Pair>) -> Self {
        self.strides = Some(strides.into());
        self
    }

    /// What happens at the border; [`Padding::Valid`] by default. The padding is never the maximum.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }
}

impl Default for MaxPooling2D {
    /// Windows of 2 by 2, as in Keras.
    fn default() -> Self {
        MaxPooling2D::new(2)
    }
}

impl LayerConfig for MaxPooling2D {
    type Built = BuiltMaxPooling2D;

    fn class_name(&self) -> &'static str {
        "MaxPooling2D"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("pool_size", &mut self.pool_size)
            .argument("strides", &mut self.strides)
            .argument("padding", &mut self.padding)
            .fixed("data_format", "channels_last");
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltMaxPooling2D, Shape)> {
        let (pool, output) = window::pool(cx, self.pool_size, self.strides, self.padding)?;
        Ok((BuiltMaxPooling2D::new(pool, self.relu), output))
    }

    fn then_relu(&self) -> Option<Self> {
        Some(MaxPooling2D { relu: true, ..self.clone() })
    }
}

/// A built [`MaxPooling2D`] or [`MaxPooling1D`](super::MaxPooling1D).
#[derive(Clone, Debug)]
pub struct BuiltMaxPooling2D {
    pub(crate) pool: Pool,
    pub(super) activation: Activation,
}

impl BuiltMaxPooling2D {
    /// A pooling with or without a relu behind it.
    pub(super) fn new(pool: Pool, relu: bool) -> Self {
        BuiltMaxPooling2D { pool, activation: if relu { Activation::Relu } else { Activation::Linear } }
    }
}

impl Layer for BuiltMaxPooling2D {
    /// The number of the tap that won, for each output.
    type Work<T: Scalar> = Vec<u32>;

    fn reads(&self) -> Reads {
        Reads { x: false, y: self.activation.needs_output() }
    }

    fn work_bytes<T: Scalar>(&self, outputs: usize) -> usize {
        outputs * size_of::<u32>()
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, winners: &mut Vec<u32>, x: View<T>, y: ViewMut<T>) {
        if cx.keeps() {
            winners.resize(y.data.len(), 0);
            pool::max(&self.pool, x.data, y.data, Some(winners));
        } else {
            pool::max(&self.pool, x.data, y.data, None);
        }
        self.activation.apply(y.data, self.pool.channels);
    }

    fn backward<T: Scalar>(
        &self,
        _: &mut Backward<T>,
        winners: &mut Vec<u32>,
        taped: Taped<T>,
        dx: Option<ViewMut<T>>,
    ) {
        if let Some(dx) = dx {
            self.activation.backward(&[], taped.y.data, taped.dy.data, self.pool.channels);
            pool::max_gradient(&self.pool, taped.dy.data, winners, dx.data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gradcheck::check_layer, prelude::*};

    #[test]
    fn gradients() {
        for padding in [Padding::Valid, Padding::Same] {
            for layer in [
                MaxPooling2D::default(),
                MaxPooling2D::new((3, 2)),
                MaxPooling2D::new((2, 3)).strides((1, 2)),
                MaxPooling2D::new(3).strides(1),
                MaxPooling2D::new(1).strides(2),
            ] {
                let layer = layer.padding(padding);
                let report = check_layer(&layer, [5, 4, 2]).unwrap();
                assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
            }
        }
    }

    #[test]
    fn a_relu_before_is_the_same_bits_behind() {
        let conv = || Conv2D::new(3, 2).activation(Activation::Relu);
        let x = Tensor::random_normal([8, 6, 5, 2], 0.0, 1.0, 0);
        let y = Tensor::random_normal([8, 3, 2, 3], 0.0, 1.0, 1);
        let pool = || MaxPooling2D::new(2).padding(Padding::Same).named("pool");
        let moved =
            Sequential::new([6, 5, 2]).add(conv()).add(pool()).compile(SGD::default(), MeanSquaredError, []).unwrap();
        // A layer that changes nothing keeps them apart.
        let kept = Sequential::new([6, 5, 2]).add(conv()).add(Rescaling::new(1.0)).add(pool());
        let kept = kept.compile(SGD::default(), MeanSquaredError, []).unwrap();
        assert_eq!(moved.predict(&x).unwrap(), kept.predict(&x).unwrap());
        assert_eq!(moved.gradients(&x, &y).unwrap(), kept.gradients(&x, &y).unwrap());
    }
}
