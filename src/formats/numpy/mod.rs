//! Files of NumPy: [`Tensor::read_npy`], [`Tensor::write_npy`], and [`Npz`].

mod element;
mod npy;
mod npz;

use std::{io::Write, path::Path};

use self::npy::Npy;
pub use self::{element::Element, npz::Npz};
use crate::{Error, Labels, Result, Tensor, atomic};

impl<T: Element> Tensor<T> {
    /// Reads an array that `numpy.save` has written, in C or in Fortran order, of numbers of any type that are real.
    ///
    /// As floating-point numbers they are rounded to the nearest; whole numbers must be those of the file.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let x = Tensor::from([[1.0, 2.5], [3.0, 4.0]]);
    /// let path = std::env::temp_dir().join(format!("cornu-{}.npy", std::process::id()));
    /// x.write_npy(&path)?;
    /// assert_eq!(Tensor::<f64>::read_npy(&path)?, x.cast());
    /// assert!(Tensor::<u8>::read_npy(&path).is_err());
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, has numbers that are none of `T` or of another kind (complex numbers, strings, objects, which
    /// are pickles), or more than [`MAX_RANK`](crate::MAX_RANK) dimensions.
    ///
    /// Source: [the format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html)
    pub fn read_npy(path: impl AsRef<Path>) -> Result<Self> {
        read(path.as_ref(), |npy| npy.tensor())
    }

    /// Writes the tensor as `numpy.load` reads it. The file is replaced as a whole: a crash leaves the old one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_npy(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), &npy::bytes_of(self.shape(), self.data()))
    }
}

impl Labels {
    /// Reads the labels that `numpy.save` has written, whole numbers of any type of shape `(n,)` or `(n, 1)`.
    ///
    /// # Errors
    /// As [`Tensor::read_npy`], and when a number is no label.
    pub fn read_npy(path: impl AsRef<Path>) -> Result<Self> {
        read(path.as_ref(), |npy| npy.labels())
    }

    /// Writes the labels as `numpy.load` reads them: as `uint8`, or, where one is above 255, as `int64`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_npy(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), &npy::bytes_of_labels(self))
    }
}

fn read<A>(path: &Path, array: impl FnOnce(Npy) -> Result<A, String>) -> Result<A> {
    Npy::parse(&super::read(path)?).and_then(array).map_err(|message| Error::format(path, message))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic::replace(path, |file| file.write_all(bytes))
}
