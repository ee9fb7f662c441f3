//! CIFAR-10: small colour photographs, 50000 to train on and 10000 to test on, 32 x 32 pixels, ten classes.
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

/// What the labels stand for.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

const CIFAR10: Source<6> = Source {
    name: "cifar10",
    files: [
        "cifar-10-batches-bin/data_batch_1.bin",
        "cifar-10-batches-bin/data_batch_2.bin",
        "cifar-10-batches-bin/data_batch_3.bin",
        "cifar-10-batches-bin/data_batch_4.bin",
        "cifar-10-batches-bin/data_batch_5.bin",
        "cifar-10-batches-bin/test_batch.bin",
    ],
    mirrors: &["https://www.cs.toronto.edu/~kriz"],
    download: Download::Archive {
        name: "cifar-10-binary.tar.gz",
        sum: Sum::packed(170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
    },
    script: None,
};

/// The part to train on and the part to test on: images `[50000, 32, 32, 3]` and `[10000, 32, 32, 3]`, red, green and blue.
///
/// The files are looked for as those of [`mnist`](super::mnist::load), in folders called `cifar10` where the archive
/// `cifar-10-binary.tar.gz` has been extracted; the feature `download` fetches the archive, checks its SHA-256 and extracts
/// it.
///
/// ```no_run
/// use cornu::datasets::cifar10;
///
/// let (train, _) = cifar10::load()?;
/// assert_eq!(train.images.shape(), [50000, 32, 32, 3].into());
/// assert_eq!(cifar10::CLASSES[train.labels.get(0).unwrap()], "frog");
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// [`Error::DatasetNotFound`](crate::Error::DatasetNotFound) when the files are nowhere; it tells how to get them. Otherwise
/// those of [`load_from`].
pub fn load() -> Result<(Split, Split)> {
    load_from(CIFAR10.locate()?)
}

/// As [`load`], from `folder`, in which the archive has been extracted. The files may hold fewer or more images.
///
/// # Errors
/// [`Error::DatasetNotFound`](crate::Error::DatasetNotFound) when a file is missing;
/// [`Error::Format`](crate::Error::Format) when one is damaged, is no row of whole records or holds a label that is not
/// below 10; [`Error::Io`](crate::Error::Io) when one cannot be read.
pub fn load_from(folder: impl AsRef<Path>) -> Result<(Split, Split)> {
    let [train @ .., test] = CIFAR10.files_in(folder.as_ref())?;
    let kinds = [("label", CLASSES.len())];
    Ok((cifar::read(&train, &kinds, 0)?, cifar::read(&[test], &kinds, 0)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_five_batches_are_trained_on() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cifar-10-batches-bin")).unwrap();
        for (i, name) in CIFAR10.files.iter().enumerate() {
            let record = [&[i as u8][..], &[10 * i as u8; 3072]].concat();
            fs::write(folder.path().join(name), record).unwrap();
        }
        let (train, test) = load_from(&folder).unwrap();
        assert_eq!(train.images.shape(), [5, 32, 32, 3].into());
        assert_eq!(train.labels, vec![0u8, 1, 2, 3, 4].into());
        assert_eq!(train.images[[3, 0, 0, 0]], 30);
        assert_eq!((test.labels, test.images.data()), (vec![5u8].into(), &[50; 3072][..]));

        fs::remove_file(folder.path().join(CIFAR10.files[2])).unwrap();
        let message = load_from(&folder).unwrap_err().to_string();
        assert!(message.contains("no cifar-10-batches-bin/data_batch_3.bin;"), "{message}");
    }
}
