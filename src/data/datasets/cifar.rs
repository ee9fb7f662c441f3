//! [`read`]: the binary files of CIFAR-10 and CIFAR-100.
//!
//! A file is a row of records: a byte for each kind of label, then the 32 x 32 pixels, first all red values, then all
//! green ones, then all blue ones, each row-major.

use std::path::Path;

use super::Split;
use crate::{Error, Labels, Result, Tensor, data::unpacked::Unpacked};

const SIDE: usize = 32;
const COLOURS: usize = 3;
const PIXELS: usize = SIDE * SIDE;

/// More records than any file of CIFAR has.
const MOST: usize = 1_000_000;

/// A kind of label: its name, and how many classes it has.
pub(super) type Kind = (&'static str, usize);

/// The images of some files, one after the other, with the labels of kind `chosen` of the `kinds` that they hold.
pub(super) fn read(paths: &[impl AsRef<Path>], kinds: &[Kind], chosen: usize) -> Result<Split> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        read_file(path.as_ref(), kinds, chosen, &mut images, &mut labels)?;
    }
    Ok(Split { images: Tensor::new([labels.len(), SIDE, SIDE, COLOURS], images)?, labels: Labels::from(labels) })
}

fn read_file(path: &Path, kinds: &[Kind], chosen: usize, images: &mut Vec<u8>, labels: &mut Vec<u8>) -> Result<()> {
    let len = kinds.len() + COLOURS * PIXELS;
    let mut file = Unpacked::open(path)?;
    for i in 0.. {
        if i == MOST {
            // A small file can unpack to more than memory holds.
            return Err(Error::format(path, format!("has more than {MOST} records; CIFAR has 60000")));
        }
        let record = file.take_up_to(len as u64)?;
        match record.len() {
            0 if i == 0 => return Err(Error::format(path, format!("is empty, expected records of {len} bytes"))),
            0 => break,
            got if got < len => {
                let message = format!("ends {got} bytes into record {i}, expected whole records of {len} bytes");
                return Err(Error::format(path, message));
            }
            _ => {}
        }
        let (record_labels, planes) = record.split_at(kinds.len());
        for (&label, (kind, classes)) in record_labels.iter().zip(kinds) {
            if usize::from(label) >= *classes {
                let message = format!("the {kind} of record {i} is {label}, expected 0 to {}", classes - 1);
                return Err(Error::format(path, message));
            }
        }
        labels.push(record_labels[chosen]);
        images.extend((0..PIXELS).flat_map(|pixel| [0, 1, 2].map(|colour| planes[colour * PIXELS + pixel])));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KINDS: [Kind; 2] = [("coarse label", 20), ("fine label", 100)];

    /// A record whose red values count up, with 100 for green and 200 for blue.
    fn record(labels: [u8; 2]) -> Vec<u8> {
        let red = (0..PIXELS).map(|pixel| pixel as u8);
        labels.into_iter().chain(red).chain([100; PIXELS]).chain([200; PIXELS]).collect()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Split> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.bin");
        fs::write(&path, bytes).unwrap();
        read(&[path], &KINDS, 1)
    }

    #[test]
    fn colours_become_the_last_axis() {
        let split = read_bytes(&[record([1, 2]), record([3, 4])].concat()).unwrap();
        assert_eq!(split.images.shape(), [2, 32, 32, 3].into());
        assert_eq!(split.labels, vec![2u8, 4].into());
        assert_eq!(split.images.data()[..6], [0, 100, 200, 1, 100, 200]);
        assert_eq!(split.images[[1, 5, 7, 0]], (5 * 32 + 7) as u8);
        assert_eq!(split.images[[1, 31, 31, 2]], 200);
    }

    #[test]
    fn files_follow_each_other_packed_or_not() {
        use std::io::Write;

        let folder = tempfile::tempdir().unwrap();
        let [plain, packed] = ["a", "b.gz"].map(|name| folder.path().join(name));
        fs::write(&plain, record([0, 5])).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(fs::File::create(&packed).unwrap(), Default::default());
        gzip.write_all(&record([1, 6])).unwrap();
        gzip.finish().unwrap();
        assert_eq!(read(&[&plain, &packed], &KINDS, 1).unwrap().labels, vec![5u8, 6].into());
        assert_eq!(read(&[&packed, &plain], &KINDS, 0).unwrap().labels, vec![1u8, 0].into());

        let whole = fs::read(&packed).unwrap();
        fs::write(&packed, &whole[..whole.len() - 4]).unwrap();
        let error = read(&[&packed], &KINDS, 1).unwrap_err();
        assert!(matches!(error, Error::Format { .. }) && error.to_string().contains("b.gz: damaged"), "{error}");
    }

    #[test]
    fn damaged_files_are_errors() {
        let good = record([19, 99]);
        for (bytes, part) in [
            (vec![], "train.bin: is empty, expected records of 3074 bytes"),
            (good[..3073].to_vec(), "train.bin: ends 3073 bytes into record 0, expected whole records of 3074 bytes"),
            ([&good[..], &[7]].concat(), "ends 1 bytes into record 1"),
            ([good.clone(), record([20, 0])].concat(), "the coarse label of record 1 is 20, expected 0 to 19"),
            (record([0, 100]), "the fine label of record 0 is 100, expected 0 to 99"),
        ] {
            let error = read_bytes(&bytes).unwrap_err();
            assert!(matches!(error, Error::Format { .. }) && error.to_string().contains(part), "{error}");
        }
        let error = read(&["missing.bin"], &KINDS, 1).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}
