//! [`Interpolation`].

use serde_json::Value;

use crate::config::{self, Argument};

/// What a pixel shows that comes from between the pixels of another image, as in Keras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interpolation {
    /// The nearest of them.
    Nearest,
    /// The two nearest along each axis, each the more the nearer it is.
    Bilinear,
}

const INTERPOLATIONS: [(&str, Interpolation); 2] =
    [("nearest", Interpolation::Nearest), ("bilinear", Interpolation::Bilinear)];

impl Argument for Interpolation {
    fn to_json(&self) -> Value {
        config::named(self, &INTERPOLATIONS)
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        config::choice(json, &INTERPOLATIONS)
    }
}
