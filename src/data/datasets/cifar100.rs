//! CIFAR-100: small colour photographs, 50000 to train on and 10000 to test on, 32 x 32 pixels, 100 classes in 20 groups.
//!
//! Source: A. Krizhevsky, [Learning Multiple Layers of Features from Tiny
//! Images](https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf), 2009; [the binary
//! version](https://www.cs.toronto.edu/~kriz/cifar.html) of its files.

use std::path::Path;

use super::{
    Split, cifar,
    files::{Download, Source, Sum},
};
use crate::Result;

/// What the fine labels stand for.
#[rustfmt::skip]
pub const FINE_CLASSES: [&str; 100] = [
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
    "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
    "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
    "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
];

/// What the coarse labels stand for.
#[rustfmt::skip]
pub const COARSE_CLASSES: [&str; 20] = [
    "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables", "household_electrical_devices",
    "household_furniture", "insects", "large_carnivores", "large_man-made_outdoor_things",
    "large_natural_outdoor_scenes", "large_omnivores_and_herbivores", "medium_mammals", "non-insect_invertebrates",
    "people", "reptiles", "small_mammals", "trees", "vehicles_1", "vehicles_2",
];

const CIFAR100: Source<2> = Source {
    name: "cifar100",
    files: ["cifar-100-binary/train.bin", "cifar-100-binary/test.bin"],
    mirrors: &["https://www.cs.toronto.edu/~kriz"],
    download: Download::Archive {
        name: "cifar-100-binary.tar.gz",
        sum: Sum::packed(168_513_733, "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
    },
    script: None,
};

/// Which of an image's two labels is taken: Keras's `label_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelMode {
    /// That of its class, of [`FINE_CLASSES`].
    #[default]
    Fine,
    /// That of the group of its class, of [`COARSE_CLASSES`].
    Coarse,
}

/// The part to train on and the part to test on: images `[50000, 32, 32, 3]` and `[10000, 32, 32, 3]`, red, green and blue.
///
/// The files are looked for as those of [`mnist`](super::mnist::load), in folders called `cifar100` where the archive
/// `cifar-100-binary.tar.gz` has been extracted; the feature `download` fetches the archive, checks its SHA-256 and
/// extracts it.
///
/// ```no_run
/// use cornu::datasets::cifar100::{self, LabelMode};
///
/// let (train, _) = cifar100::load(LabelMode::Fine)?;
/// assert_eq!(train.images.shape(), [50000, 32, 32, 3].into());
/// assert_eq!(cifar100::FINE_CLASSES[train.labels.get(0).unwrap()], "cattle");
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// [`Error::DatasetNotFound`](crate::Error::DatasetNotFound) when the files are nowhere; it tells how to get them. Otherwise
/// those of [`load_from`].
pub fn load(label_mode: LabelMode) -> Result<(Split, Split)> {
    load_from(CIFAR100.locate()?, label_mode)
}

/// As [`load`], from `folder`, in which the archive has been extracted. The files may hold fewer or more images.
///
/// # Errors
/// [`Error::DatasetNotFound`](crate::Error::DatasetNotFound) when a file is missing;
/// [`Error::Format`](crate::Error::Format) when one is damaged, is no row of whole records or holds a label out of range;
/// [`Error::Io`](crate::Error::Io) when one cannot be read.
pub fn load_from(folder: impl AsRef<Path>, label_mode: LabelMode) -> Result<(Split, Split)> {
    let [train, test] = CIFAR100.files_in(folder.as_ref())?;
    let kinds = [("coarse label", COARSE_CLASSES.len()), ("fine label", FINE_CLASSES.len())];
    let chosen = match label_mode {
        LabelMode::Coarse => 0,
        LabelMode::Fine => 1,
    };
    Ok((cifar::read(&[train], &kinds, chosen)?, cifar::read(&[test], &kinds, chosen)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_image_has_two_labels() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cifar-100-binary")).unwrap();
        for (name, labels) in CIFAR100.files.iter().zip([[11, 19], [10, 49]]) {
            fs::write(folder.path().join(name), [&labels[..], &[0; 3072]].concat()).unwrap();
        }
        let labels = |mode| {
            let (train, test) = load_from(&folder, mode).unwrap();
            [train, test].map(|split| split.labels.get(0).unwrap())
        };
        assert_eq!(labels(LabelMode::Fine).map(|label| FINE_CLASSES[label]), ["cattle", "mountain"]);
        let groups = ["large_omnivores_and_herbivores", "large_natural_outdoor_scenes"];
        assert_eq!(labels(LabelMode::Coarse).map(|label| COARSE_CLASSES[label]), groups);
    }
}
