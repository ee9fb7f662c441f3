//! MNIST: handwritten digits, 60000 images to train on and 10000 to test on, 28 x 28 pixels, ten classes.
//!
//! Source: Y. LeCun, C. Cortes, C. J. C. Burges, [The MNIST database](http://yann.lecun.com/exdb/mnist/).

use std::path::Path;

use super::{
    Split,
    files::{Download, Source, Sum},
    idx_images,
};
use crate::Result;

const MNIST: Source<4> = Source {
    name: "mnist",
    files: idx_images::FILES,
    mirrors: &["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"],
    // The mirrors pack differently.
    download: Download::Files([
        Sum::unpacked(47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        Sum::unpacked(60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        Sum::unpacked(7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        Sum::unpacked(10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ]),
    script: Some("fetch_mnist.py"),
};

/// The part to train on and the part to test on: images `[60000, 28, 28, 1]` and `[10000, 28, 28, 1]`.
///
/// The first of these folders that holds the four files, packed (`.gz`) or not, is read: `$CORNU_HOME/mnist`;
/// `data/mnist` of cornu's own checkout, then of the current folder; `cornu/mnist` in the user's cache folder. If none
/// does, the feature `download` fetches the files, into `$CORNU_HOME/mnist` or else the cache folder, and checks their
/// SHA-256.
///
/// ```no_run
/// use cornu::datasets;
///
/// let (train, test) = datasets::mnist::load()?;
/// assert_eq!(train.images.shape(), [60000, 28, 28, 1].into());
/// assert_eq!(test.labels.get(0), Some(7));
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// [`Error::DatasetNotFound`](crate::Error::DatasetNotFound) when the files are nowhere; it tells how to get them. Otherwise those of [`load_from`].
pub fn load() -> Result<(Split, Split)> {
    load_from(MNIST.locate()?)
}

/// As [`load`], from the four files in `folder`. They may hold fewer or more images, as long as these are 28 x 28.
///
/// # Errors
/// [`Error::DatasetNotFound`](crate::Error::DatasetNotFound) when a file is missing; [`Error::Format`](crate::Error::Format) when one is damaged, when images are not 28 x
/// 28, a label is not below 10, or there are not as many labels as images; [`Error::Io`](crate::Error::Io) when one cannot be read.
pub fn load_from(folder: impl AsRef<Path>) -> Result<(Split, Split)> {
    idx_images::read(&MNIST, folder.as_ref())
}

#[cfg(all(test, feature = "download"))]
mod tests {
    use std::{fs::File, io::Read};

    use super::*;
    use crate::data::{datasets::download::check, unpacked::unpack};

    #[test]
    fn the_sums_are_those_of_the_committed_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist");
        let Download::Files(sums) = &MNIST.download else { panic!("four files") };
        // The published crate comes without the files.
        for (name, sum) in MNIST.files.iter().zip(sums).filter(|_| folder.exists()) {
            let mut bytes = Vec::new();
            let packed = File::open(folder.join(format!("{name}.gz"))).unwrap();
            unpack(packed).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, sum.bytes);
            assert_eq!(check(&bytes, sum), Ok(()));
        }
    }
}
