//! Fashion-MNIST: pictures of clothes, made to take the place of MNIST: 60000 images to train on and 10000 to test on,
//! 28 x 28 pixels, ten classes.
//!
//! Source: H. Xiao, K. Rasul, R. Vollgraf, [Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
//! Algorithms](https://arxiv.org/abs/1708.07747), 2017; [its files](https://github.com/zalandoresearch/fashion-mnist) are
//! under the MIT licence.

use std::path::Path;

use super::{
    Split,
    files::{Download, Source, Sum},
    idx_images,
};
use crate::Result;

/// What the labels stand for.
pub const CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

const FASHION_MNIST: Source<4> = Source {
    name: "fashion_mnist",
    files: idx_images::FILES,
    mirrors: &[
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ],
    download: Download::Files([
        Sum::packed(26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        Sum::packed(29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        Sum::packed(4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        Sum::packed(5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ]),
    script: None,
};

/// The part to train on and the part to test on: images `[60000, 28, 28, 1]` and `[10000, 28, 28, 1]`.
///
/// The files are looked for, or fetched, as those of [`mnist`](super::mnist::load), in folders called `fashion_mnist`.
///
/// ```no_run
/// use cornu::datasets::fashion_mnist;
///
/// let (train, _) = fashion_mnist::load()?;
/// assert_eq!(fashion_mnist::CLASSES[train.labels.get(0).unwrap()], "Ankle boot");
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// Those of [`mnist::load`](super::mnist::load).
pub fn load() -> Result<(Split, Split)> {
    load_from(FASHION_MNIST.locate()?)
}

/// As [`load`], from the four files in `folder`. They may hold fewer or more images, as long as these are 28 x 28.
///
/// # Errors
/// Those of [`mnist::load_from`](super::mnist::load_from).
pub fn load_from(folder: impl AsRef<Path>) -> Result<(Split, Split)> {
    idx_images::read(&FASHION_MNIST, folder.as_ref())
}
