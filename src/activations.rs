//! Activation functions and their derivatives.

/// An activation function, as in `keras.activations`.
///
/// It is an argument of a layer and a layer itself: `.add(Activation::Relu)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `z`.
    #[default]
    Linear,
    /// `max(z, 0)`.
    Relu,
    /// `exp(z_i) / sum_j exp(z_j)` over the last axis.
    Softmax,
}
