//! Random changes of images in training: one file each, with its configuration, its built form and its tests.
//!
//! Each is an [`Augmentation`] of one image, which [`Augmented`] makes a layer; those that move pixels share [`affine`].

mod affine;
mod augmented;
mod factor;
mod random_brightness;
mod random_contrast;
mod random_erasing;
mod random_flip;
mod random_rotation;
mod random_translation;
mod random_zoom;

pub use affine::FillMode;

pub use augmented::{Augmentation, Augmented};
pub use factor::Factor;
pub use random_brightness::{BuiltRandomBrightness, RandomBrightness};
pub use random_contrast::{BuiltRandomContrast, RandomContrast};
pub use random_erasing::{BuiltRandomErasing, Erasure, RandomErasing};
pub use random_flip::{BuiltRandomFlip, FlipMode, RandomFlip};
pub use random_rotation::{BuiltRandomRotation, RandomRotation};
pub use random_translation::{BuiltRandomTranslation, RandomTranslation};
pub use random_zoom::{BuiltRandomZoom, RandomZoom};
