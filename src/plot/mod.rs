//! Pictures of trainings, of models and of what they see, as SVG and PNG.
//!
//! | picture | function |
//! | --- | --- |
//! | loss and metrics, epoch by epoch | `history` |
//! | which classes are taken for which | `confusion_matrix` |
//! | the kernels of a convolution | `filters` |
//! | what a layer makes of an image | `activations` |
//! | the images that a model takes for others | `misclassified` |
//! | the layers of a model with their shapes | [`plot_model`] |
//!
//! All but the last need the feature `plot`. The name of the file decides what is written: `.svg` or `.png`. Text in a PNG is drawn with a font
//! that cornu brings along, so no font need be installed; an SVG has it as text. The same input gives the same bytes. A file is
//! replaced at once: nobody sees half of it.

mod model;
mod xml;

#[cfg(feature = "plot")]
mod activations;
#[cfg(feature = "plot")]
mod axis;
#[cfg(feature = "plot")]
mod backend;
#[cfg(feature = "plot")]
mod canvas;
#[cfg(feature = "plot")]
mod colors;
#[cfg(feature = "plot")]
mod confusion_matrix;
#[cfg(feature = "plot")]
mod filters;
#[cfg(feature = "plot")]
mod font;
#[cfg(feature = "plot")]
mod history;
#[cfg(feature = "plot")]
mod misclassified;
#[cfg(feature = "plot")]
mod png;
#[cfg(feature = "plot")]
mod svg;
#[cfg(feature = "plot")]
mod tiles;

pub use model::plot_model;
#[cfg(feature = "plot")]
pub use {
    activations::activations,
    confusion_matrix::{confusion_matrix, confusion_matrix_named},
    filters::filters,
    history::history,
    misclassified::misclassified,
};
