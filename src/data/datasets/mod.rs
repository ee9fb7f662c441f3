//! Data sets that are ready to use.

mod cifar;
pub mod cifar10;
pub mod cifar100;
#[cfg(feature = "download")]
mod download;
pub mod fashion_mnist;
mod files;
mod idx_images;
pub mod mnist;

use std::fmt;

use crate::{Labels, Tensor};

/// One part of a data set of labelled images: what to train on, or what to test on.
#[derive(Clone, PartialEq)]
pub struct Split {
    /// The images, `[n, h, w, c]`, from 0 (black) to 255 (white).
    pub images: Tensor<u8>,
    /// The class of each image.
    pub labels: Labels,
}

/// The shapes only: the data set itself would fill the terminal for hours.
impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = format_args!("{}", self.images.shape());
        f.debug_struct("Split").field("images", &images).field("labels", &self.labels.len()).finish()
    }
}
