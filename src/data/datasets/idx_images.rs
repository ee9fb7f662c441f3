//! [`read`]: the four IDX files of MNIST and of the data sets made to take its place.

use std::path::Path;

use super::{Split, files::Source};
use crate::{Error, Labels, Result, Tensor, data::idx};

/// Images and labels to train on, images and labels to test on.
pub(super) const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

const SIDE: usize = 28;
const CLASSES: usize = 10;

/// The parts to train and to test on, from the files in `folder`.
pub(super) fn read(source: &Source<4>, folder: &Path) -> Result<(Split, Split)> {
    let [train_images, train_labels, test_images, test_labels] = source.files_in(folder)?;
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

    use super::{
        super::files::{Download, Sum},
        *,
    };

    const NONE: Sum = Sum { packed: true, bytes: 0, sha256: "" };
    const TOY: Source<4> =
        Source { name: "toy", files: FILES, mirrors: &[], download: Download::Files([NONE; 4]), script: None };

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
        let (train, test) = read(&TOY, folder().path()).unwrap();
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
            let error = read(&TOY, folder.path()).unwrap_err();
            assert!(matches!(&error, Error::Format { path, .. } if path.ends_with(name)), "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
