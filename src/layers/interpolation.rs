//! [`Interpolation`].

/// What a pixel shows that comes from between the pixels of another image, as in Keras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interpolation {
    /// The nearest of them.
    Nearest,
    /// The two nearest along each axis, each the more the nearer it is.
    Bilinear,
}
