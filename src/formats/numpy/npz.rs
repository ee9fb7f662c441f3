//! [`Npz`]: named arrays.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{Element, npy, npy::Npy};
use crate::{Error, Labels, Result, Tensor, atomic, formats, formats::entries::Entries};

/// Named arrays in one file, as `numpy.savez` and `numpy.savez_compressed` write them.
///
/// ```
/// use cornu::{numpy::Npz, prelude::*};
///
/// let (x, y) = (Tensor::from([[0u8, 255], [7, 8]]), Labels::from(vec![1u8, 0]));
/// let path = std::env::temp_dir().join(format!("cornu-{}.npz", std::process::id()));
/// Npz::new().tensor("x", &x).labels("y", &y).write(&path)?;
///
/// let npz = Npz::read(&path)?;
/// assert_eq!(npz.names().collect::<Vec<_>>(), ["x", "y"]);
/// assert_eq!(npz.get::<u8>("x")?, x);
/// assert_eq!(npz.get_labels("y")?, y);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Npz {
    /// Each as a npy file.
    arrays: BTreeMap<String, Vec<u8>>,
    /// What an error calls it.
    name: PathBuf,
}

/// The most that all arrays may take unpacked, in bytes: so many, and so many times the file.
const UNPACKED: (u64, u64) = (16 << 20, 64);

impl Npz {
    /// No arrays.
    pub fn new() -> Self {
        Npz { arrays: BTreeMap::new(), name: "Npz".into() }
    }

    /// With this array.
    pub fn tensor<T: Element>(mut self, name: impl Into<String>, tensor: &Tensor<T>) -> Self {
        self.arrays.insert(name.into(), npy::bytes_of(tensor.shape(), tensor.data()));
        self
    }

    /// With these labels, as `uint8`, or, where one is above 255, as `int64`.
    pub fn labels(mut self, name: impl Into<String>, labels: &Labels) -> Self {
        self.arrays.insert(name.into(), npy::bytes_of_labels(labels));
        self
    }

    /// Writes the arrays as `numpy.load` reads them, not compressed. The file is replaced as a whole: a crash leaves the old one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        atomic::replace(path.as_ref(), |file| {
            let mut zip = ZipWriter::new(file);
            for (name, bytes) in &self.arrays {
                let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
                zip.start_file(format!("{name}.npy"), options.large_file(bytes.len() >= u32::MAX as usize))?;
                zip.write_all(bytes)?;
            }
            zip.finish()?;
            Ok(())
        })
    }

    /// Reads all arrays of a file.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or takes more than 64 times its size unpacked and more than 16 MiB; `numpy.savez`
    /// writes arrays that are not compressed.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let arrays = parse(&formats::read(path)?).map_err(|message| Error::format(path, message))?;
        Ok(Npz { arrays, name: path.to_owned() })
    }

    /// The names of the arrays.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// An array.
    ///
    /// It takes the memory of its elements as `T`: where a file has bytes and `T` is `f64`, eight times what they take unpacked, so at most
    /// 512 times the file and 128 MiB, and twice as much while an array in Fortran order is turned.
    ///
    /// # Errors
    /// When there is none of this name, and those of [`Tensor::read_npy`].
    pub fn get<T: Element>(&self, name: &str) -> Result<Tensor<T>> {
        self.array(name, |npy| npy.tensor())
    }

    /// An array as labels.
    ///
    /// # Errors
    /// When there is none of this name, and those of [`Labels::read_npy`].
    pub fn get_labels(&self, name: &str) -> Result<Labels> {
        self.array(name, |npy| npy.labels())
    }

    fn array<A>(&self, name: &str, array: impl FnOnce(Npy) -> Result<A, String>) -> Result<A> {
        let bytes = self.arrays.get(name).ok_or_else(|| {
            let names: Vec<_> = self.names().collect();
            Error::format(&self.name, format!("there is no array {name}; there are {}", names.join(", ")))
        })?;
        Npy::parse(bytes).and_then(array).map_err(|message| Error::format(&self.name, format!("{name}: {message}")))
    }
}

/// The arrays of a zip, each as a npy file.
pub(in super::super) fn parse(file: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let entries = Entries::parse(file)?;
    let (base, times) = UNPACKED;
    let mut left = base + times * file.len() as u64;
    let mut arrays = BTreeMap::new();
    for entry in entries.names() {
        if let Some(name) = entry.strip_suffix(".npy") {
            let bytes = entries.unpacked(entry, left)?.into_owned();
            left -= bytes.len() as u64;
            arrays.insert(name.to_owned(), bytes);
        }
    }
    Ok(arrays)
}
