//! MNIST: handwritten digits, 60000 images to train on and 10000 to test on, 28 x 28 pixels, ten classes.
//!
//! Source: Y. LeCun, C. Cortes, C. J. C. Burges, [The MNIST database](http://yann.lecun.com/exdb/mnist/).

use std::path::Path;

use super::{
    Split,
    files::{DataFile, Source},
};
use crate::{Error, Labels, Result, Tensor, data::idx};

const MNIST: Source = Source {
    name: "mnist",
    files: [
        DataFile {
            name: "train-images-idx3-ubyte",
            bytes: 47_040_016,
            sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        },
        DataFile {
            name: "train-labels-idx1-ubyte",
            bytes: 60_008,
            sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        },
        DataFile {
            name: "t10k-images-idx3-ubyte",
            bytes: 7_840_016,
            sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        },
        DataFile {
            name: "t10k-labels-idx1-ubyte",
            bytes: 10_008,
            sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ],
    mirrors: &["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"],
};

const SIDE: usize = 28;
const CLASSES: usize = 10;

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
/// [`Error::DatasetNotFound`] when the files are nowhere; it tells how to get them. Otherwise those of [`load_from`].
pub fn load() -> Result<(Split, Split)> {
    load_from(MNIST.locate()?)
}

/// As [`load`], from the four files in `folder`. They may hold fewer or more images, as long as these are 28 x 28.
///
/// # Errors
/// [`Error::DatasetNotFound`] when a file is missing; [`Error::Format`] when one is damaged, when images are not 28 x
/// 28, a label is not below 10, or there are not as many labels as images; [`Error::Io`] when one cannot be read.
pub fn load_from(folder: impl AsRef<Path>) -> Result<(Split, Split)> {
    let [train_images, train_labels, test_images, test_labels] = MNIST.files_in(folder.as_ref())?;
    Ok((split(&train_images, &train_labels)?, split(&test_images, &test_labels)?))
}

fn split(images_path: &Path, labels_path: &Path) -> Result<Split> {
    let images = idx::read(images_path)?;
    let shape = images.shape();
    let &[n, SIDE, SIDE] = shape.dims() else {
        return Err(Error::format(images_path, format!("holds shape {shape}, expected (n, {SIDE}, {SIDE})")));
    };

    let labels = idx::read(labels_path)?;
    if labels.shape() != n.into() {
        let message = format!(
            "holds shape {}, expected ({n},), a label for each image of {}",
            labels.shape(),
            images_path.display()
        );
        return Err(Error::format(labels_path, message));
    }
    if let Some(i) = labels.data().iter().position(|&label| usize::from(label) >= CLASSES) {
        let message = format!("label {i} is {}, expected 0 to {}", labels.data()[i], CLASSES - 1);
        return Err(Error::format(labels_path, message));
    }

    Ok(Split { images: Tensor::new([n, SIDE, SIDE, 1], images.into_data())?, labels: Labels::from(labels.into_data()) })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A folder with 3 images to train on and 2 to test on, some of the files packed.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "train-images-idx3-ubyte.gz", &[3, SIDE, SIDE], 100);
        write(&folder, "train-labels-idx1-ubyte", &[3], 9);
        write(&folder, "t10k-images-idx3-ubyte", &[2, SIDE, SIDE], 200);
        write(&folder, "t10k-labels-idx1-ubyte.gz", &[2], 0);
        folder
    }

    fn write(folder: &TempDir, name: &str, dims: &[usize], value: u8) {
        let size = dims.iter().product();
        let tensor = Tensor::new(crate::Shape::new(dims).unwrap(), vec![value; size]).unwrap();
        idx::write(folder.path().join(name), &tensor).unwrap();
    }

    #[test]
    fn reads_packed_and_plain_files() {
        let (train, test) = load_from(folder()).unwrap();
        assert_eq!(train.images.shape(), [3, 28, 28, 1].into());
        assert!(train.images.data().iter().all(|&pixel| pixel == 100));
        assert_eq!(train.labels, vec![9u8; 3].into());
        assert_eq!(test.images.shape(), [2, 28, 28, 1].into());
        assert!(test.images.data().iter().all(|&pixel| pixel == 200));
        assert_eq!(test.labels, vec![0u8; 2].into());
        assert_eq!(format!("{test:?}"), "Split { images: (2, 28, 28, 1), labels: 2 }");
    }

    #[test]
    fn files_that_do_not_fit_together_are_an_error() {
        for (name, dims, value, part) in [
            ("train-labels-idx1-ubyte", &[4][..], 9, "holds shape (4,), expected (3,), a label for each image of "),
            ("train-labels-idx1-ubyte", &[3, 1], 9, "holds shape (3, 1), expected (3,)"),
            ("train-labels-idx1-ubyte", &[3], 10, "label 0 is 10, expected 0 to 9"),
            ("t10k-images-idx3-ubyte", &[2, 28, 27], 0, "holds shape (2, 28, 27), expected (n, 28, 28)"),
            ("t10k-images-idx3-ubyte", &[2, 784], 0, "holds shape (2, 784), expected (n, 28, 28)"),
        ] {
            let folder = folder();
            write(&folder, name, dims, value);
            let error = load_from(&folder).unwrap_err();
            assert!(matches!(&error, Error::Format { path, .. } if path.ends_with(name)), "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[cfg(feature = "download")]
    #[test]
    fn the_sums_are_those_of_the_committed_files() {
        use std::io::Read;

        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist");
        // The published crate comes without the files.
        for file in MNIST.files.iter().filter(|_| folder.exists()) {
            let mut bytes = Vec::new();
            let packed = std::fs::File::open(file.find(&folder).unwrap()).unwrap();
            idx::unpack(packed).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, file.bytes);
            assert_eq!(super::super::download::check(&bytes, file), Ok(()));
        }
    }
}
