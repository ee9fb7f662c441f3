//! The dimensions of one sample or of a batch, and their arithmetic.

use std::{fmt, ops::Index};

use crate::{Error, Result};

/// The largest number of dimensions of a [`Shape`].
pub const MAX_RANK: usize = 6;

/// The dimensions of a tensor, outermost first: `(n, h, w, c)` for a batch of images.
///
/// A shape is a small value that is copied, never allocated. Arrays of up to [`MAX_RANK`] numbers, single numbers
/// and `()` (a scalar) convert into one.
///
/// ```
/// use cornu::Shape;
///
/// let image = Shape::from([28, 28, 1]);
/// assert_eq!(image.size(), 784);
/// assert_eq!(image.batch(64).to_string(), "(64, 28, 28, 1)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    rank: u8,
    /// Dimensions past `rank` are 0, so that equality can be derived.
    dims: [usize; MAX_RANK],
}

impl Shape {
    /// The shape with these dimensions.
    ///
    /// # Errors
    /// When there are more than [`MAX_RANK`] of them.
    pub fn new(dims: &[usize]) -> Result<Self> {
        if dims.len() > MAX_RANK {
            return Err(Error::argument("Shape::new", format!("at most {MAX_RANK} dimensions, got {}", dims.len())));
        }
        Ok(Shape::of(dims))
    }

    fn of(dims: &[usize]) -> Self {
        let mut shape = Shape { rank: dims.len() as u8, dims: [0; MAX_RANK] };
        shape.dims[..dims.len()].copy_from_slice(dims);
        shape
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.rank.into()
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank()]
    }

    /// The number of elements: the product of the dimensions (`usize::MAX` where that overflows).
    pub fn size(&self) -> usize {
        if self.dims().contains(&0) {
            return 0;
        }
        self.dims().iter().fold(1, |size, &d| size.saturating_mul(d))
    }

    /// The last dimension: channels, features or classes. 1 for a scalar.
    pub fn last(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// The shape of a batch of `n` samples of this shape.
    ///
    /// # Panics
    /// If the shape has [`MAX_RANK`] dimensions already; a layer's output has fewer.
    pub fn batch(&self, n: usize) -> Self {
        let mut batch = Shape { rank: self.rank + 1, dims: [0; MAX_RANK] };
        batch.dims[0] = n;
        batch.dims[1..=self.rank()].copy_from_slice(self.dims());
        batch
    }

    /// `(None, 28, 28, 1)`: how Keras writes the shape of a batch of any number of such samples.
    pub(crate) fn to_string_with_batch(self) -> String {
        match self.rank() {
            0 => "(None,)".to_owned(),
            _ => self.to_string().replacen('(', "(None, ", 1).replace(",)", ")"),
        }
    }

    /// The shape of one sample of a batch: all dimensions but the first. A scalar stays a scalar.
    pub fn sample(&self) -> Self {
        Shape::of(self.dims().get(1..).unwrap_or(&[]))
    }
}

impl Index<usize> for Shape {
    type Output = usize;

    fn index(&self, axis: usize) -> &usize {
        &self.dims()[axis]
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        const { assert!(N <= MAX_RANK, "a shape has at most 6 dimensions") };
        Shape::of(&dims)
    }
}

impl From<usize> for Shape {
    fn from(dim: usize) -> Self {
        [dim].into()
    }
}

impl From<()> for Shape {
    fn from((): ()) -> Self {
        [].into()
    }
}

/// As Keras and Python print it: `(28, 28, 1)`, `(10,)`, `()`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (i, d) in self.dims().iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{d}")?;
        }
        f.write_str(if self.rank == 1 { ",)" } else { ")" })
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape{self}")
    }
}

/// The axis of `rank` many that is meant, where negative numbers count from the end; `None` if it is none of them.
pub(crate) fn axis_of(axis: isize, rank: usize) -> Option<usize> {
    let from_start = if axis < 0 { axis.checked_add_unsigned(rank)? } else { axis };
    usize::try_from(from_start).ok().filter(|&axis| axis < rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_samples_and_back() {
        let image = Shape::from([28, 28, 1]);
        assert_eq!(image.batch(64), Shape::from([64, 28, 28, 1]));
        assert_eq!(image.batch(64).sample(), image);
        assert_eq!(Shape::from([]).batch(3).sample(), Shape::from([]));
        assert_eq!(Shape::from([1, 2, 3, 4, 5, 6]).sample(), [2, 3, 4, 5, 6].into());
        assert_eq!(Shape::from([]).sample(), Shape::from([]));
    }

    #[test]
    fn the_size_saturates_instead_of_wrapping() {
        assert_eq!(Shape::from([]).size(), 1);
        assert_eq!(Shape::from([usize::MAX, 2]).size(), usize::MAX);
        assert_eq!(Shape::from([usize::MAX, 2, 0]).size(), 0);
    }

    #[test]
    fn prints_like_python() {
        assert_eq!(Shape::from([2, 3]).to_string(), "(2, 3)");
        assert_eq!(Shape::from(2).to_string(), "(2,)");
        assert_eq!(Shape::from(()).to_string(), "()");
    }

    #[test]
    fn too_many_dimensions_are_an_error() {
        assert!(Shape::new(&[1; 7]).is_err());
        assert_eq!(Shape::new(&[1, 2]).unwrap(), [1, 2].into());
    }
}
