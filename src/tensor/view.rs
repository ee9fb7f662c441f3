//! [`View`] and [`ViewMut`]: borrowed tensors.

use std::ops::{Bound, Index, Range, RangeBounds};

use super::Tensor;
use crate::{Error, Result, Scalar, Shape};

/// A borrowed, contiguous, row-major array: a tensor, or some of its samples.
#[derive(PartialEq)]
pub struct View<'a, T> {
    /// The dimensions; the first is the batch.
    pub shape: Shape,
    /// The elements in row-major order.
    pub data: &'a [T],
}

impl<'a, T> View<'a, T> {
    /// A view of `shape` on `data`.
    ///
    /// # Panics
    /// If the number of elements is not the product of the dimensions.
    pub fn new(shape: Shape, data: &'a [T]) -> Self {
        assert_eq!(data.len(), shape.size(), "a view of shape {shape}");
        View { shape, data }
    }

    /// The samples in their order: views without the first axis. A scalar is one sample, itself.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = View<'a, T>> + use<'a, T> {
        let (view, n) = (*self, self.shape.dims().first().copied().unwrap_or(1));
        (0..n).map(move |i| view.nth_sample(i))
    }

    /// Sample `i`: a view without the first axis.
    ///
    /// # Errors
    /// When there is no such sample.
    pub fn sample(&self, i: usize) -> Result<View<'a, T>> {
        check_indices("sample", &[i], self.samples_on("sample")?)?;
        Ok(self.nth_sample(i))
    }

    /// The samples of `range` of the first axis.
    ///
    /// # Errors
    /// When the range does not lie within the first axis, or there is none.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<View<'a, T>> {
        let range = check_range("slice", range, self.samples_on("slice")?)?;
        let sample = self.shape.sample();
        let data = &self.data[range.start * sample.size()..range.end * sample.size()];
        Ok(View::new(sample.batch(range.len()), data))
    }

    /// Sample `i`, which the caller knows to be there.
    pub(super) fn nth_sample(&self, i: usize) -> View<'a, T> {
        let sample = self.shape.sample();
        View::new(sample, &self.data[i * sample.size()..][..sample.size()])
    }

    /// The length of the first axis.
    fn samples_on(&self, method: &str) -> Result<usize> {
        let first = self.shape.dims().first().copied();
        first.ok_or_else(|| Error::shape(method, "at least one dimension, that of the samples", self.shape, ""))
    }
}

impl<T: Copy> View<'_, T> {
    /// The element at `index`; `None` when a number of it is not below its dimension or there are more or fewer
    /// numbers than dimensions.
    pub fn get<const RANK: usize>(&self, index: [usize; RANK]) -> Option<T> {
        checked_flat_index(self.shape, index).map(|i| self.data[i])
    }

    /// The samples at `indices` of the first axis, in that order.
    ///
    /// # Errors
    /// When an index is not below the number of samples.
    pub fn gather(&self, indices: &[usize]) -> Result<Tensor<T>> {
        check_indices("gather", indices, self.samples_on("gather")?)?;
        let sample = self.shape.sample();
        let mut data = Vec::with_capacity(indices.len() * sample.size());
        for &i in indices {
            data.extend_from_slice(self.nth_sample(i).data);
        }
        Tensor::new(sample.batch(indices.len()), data)
    }

    /// A copy.
    pub fn to_tensor(&self) -> Tensor<T> {
        Tensor { shape: self.shape, data: self.data.to_vec() }
    }
}

impl View<'_, u8> {
    /// [`Tensor::scaled`] of some of its samples.
    ///
    /// ```
    /// use cornu::Tensor;
    ///
    /// let images = Tensor::from([[0u8, 51], [102, 255]]);
    /// assert_eq!(images.slice(1..)?.scaled(1.0 / 51.0), Tensor::from([[2.0, 5.0]]));
    /// # Ok::<(), cornu::Error>(())
    /// ```
    pub fn scaled(&self, scale: f32) -> Tensor {
        self.scaled_as(scale)
    }

    /// As [`scaled`](View::scaled), for either type of numbers.
    pub fn scaled_as<T: Scalar>(&self, scale: T) -> Tensor<T> {
        Tensor { shape: self.shape, data: self.data.iter().map(|&x| T::of(x.into()) * scale).collect() }
    }
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

impl<'a, T> From<&'a Tensor<T>> for View<'a, T> {
    fn from(tensor: &'a Tensor<T>) -> Self {
        tensor.view()
    }
}

/// The element at an index.
///
/// # Panics
/// As a slice does, when the index lies outside the view, and when it has more or fewer numbers than the view has
/// dimensions. [`get`](View::get) does not panic.
impl<T, const RANK: usize> Index<[usize; RANK]> for View<'_, T> {
    type Output = T;

    fn index(&self, index: [usize; RANK]) -> &T {
        &self.data[flat_index(self.shape, index)]
    }
}

/// A mutably borrowed, contiguous, row-major array.
#[derive(PartialEq)]
pub struct ViewMut<'a, T> {
    /// The dimensions; the first is the batch.
    pub shape: Shape,
    /// The elements in row-major order.
    pub data: &'a mut [T],
}

impl<'a, T> ViewMut<'a, T> {
    /// A view of `shape` on `data`.
    ///
    /// # Panics
    /// If the number of elements is not the product of the dimensions.
    pub fn new(shape: Shape, data: &'a mut [T]) -> Self {
        assert_eq!(data.len(), shape.size(), "a view of shape {shape}");
        ViewMut { shape, data }
    }

    /// The same elements, to be read.
    pub fn view(&self) -> View<'_, T> {
        View::new(self.shape, self.data)
    }
}

/// Where the element at `index` stands in row-major order; panics when there is none.
pub(super) fn flat_index<const RANK: usize>(shape: Shape, index: [usize; RANK]) -> usize {
    checked_flat_index(shape, index).unwrap_or_else(|| panic!("index {index:?} of a tensor of shape {shape}"))
}

fn checked_flat_index<const RANK: usize>(shape: Shape, index: [usize; RANK]) -> Option<usize> {
    let inside = shape.rank() == RANK && index.iter().zip(shape.dims()).all(|(i, dim)| i < dim);
    inside.then(|| index.iter().zip(shape.dims()).fold(0, |flat, (i, dim)| flat * dim + i))
}

/// The range of samples that `range` means, when it lies within `0..len`.
pub(crate) fn check_range(place: &str, range: impl RangeBounds<usize>, len: usize) -> Result<Range<usize>> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => len,
    };
    if start > end || end > len {
        return Err(Error::argument(place, format!("expected a range within 0..{len}, got {start}..{end}")));
    }
    Ok(start..end)
}

/// Checks that all `indices` are below `len`, the number of samples.
pub(crate) fn check_indices(place: &str, indices: &[usize], len: usize) -> Result<()> {
    match indices.iter().find(|&&i| i >= len) {
        Some(i) => Err(Error::argument(place, format!("expected indices below {len}, the number of samples, got {i}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn counting(dims: [usize; 3]) -> Tensor<usize> {
        let mut count = 0..;
        Tensor::from_fn(dims, |_| count.next().unwrap())
    }

    proptest! {
        #[test]
        fn a_slice_holds_its_samples(dims: [u8; 3], start in 0..9_usize, len in 0..9_usize) {
            let [n, h, w] = dims.map(|dim| usize::from(dim % 6));
            let t = counting([n, h, w]);
            let slice = t.slice(start..start + len);
            if start + len > n {
                prop_assert!(slice.is_err());
            } else {
                let expected = Tensor::from_fn([len, h, w], |[i, j, k]| t[[start + i, j, k]]);
                prop_assert_eq!(slice.unwrap(), expected.view());
            }
        }

        #[test]
        fn gather_picks_samples(n in 1..6_usize, h in 0..4_usize, w in 0..4_usize, picks in vec(0..6_usize, 0..9)) {
            let t = counting([n, h, w]);
            let gathered = t.gather(&picks);
            if picks.iter().any(|&i| i >= n) {
                prop_assert!(gathered.is_err());
            } else {
                let expected = Tensor::from_fn([picks.len(), h, w], |[i, j, k]| t[[picks[i], j, k]]);
                prop_assert_eq!(gathered.unwrap(), expected);
            }
        }
    }

    #[test]
    fn every_kind_of_range() {
        let t = Tensor::from([10, 11, 12, 13]);
        assert_eq!(t.slice(..).unwrap(), t.view());
        assert_eq!(t.slice(1..=2).unwrap().data, [11, 12]);
        assert_eq!(t.slice((Bound::Excluded(1), Bound::Unbounded)).unwrap().data, [12, 13]);
        assert_eq!(t.slice(4..).unwrap().shape, [0].into());
    }

    #[test]
    fn what_lies_outside_is_an_error_that_says_so() {
        let t = Tensor::from([[1.0], [2.0]]);
        let message = |result: Result<View<f64>>| result.unwrap_err().to_string();
        assert_eq!(message(t.slice(1..3)), "slice: expected a range within 0..2, got 1..3");
        #[expect(clippy::reversed_empty_ranges)]
        let reversed = 2..1;
        assert_eq!(message(t.slice(reversed)), "slice: expected a range within 0..2, got 2..1");
        assert!(t.slice(..=usize::MAX).is_err());
        assert_eq!(message(t.view().sample(2)), "sample: expected indices below 2, the number of samples, got 2");
        let scalar = Tensor::full((), 1.0);
        assert_eq!(message(scalar.slice(..)), "slice: expected at least one dimension, that of the samples, got ()");
        assert!(scalar.gather(&[0]).is_err());
        assert!(scalar.view().sample(0).is_err());
    }

    #[test]
    fn samples_are_views_without_the_batch() {
        let t = counting([3, 2, 2]);
        let samples: Vec<_> = t.view().samples().collect();
        assert_eq!(samples.len(), 3);
        assert_eq!(samples[1].to_tensor(), Tensor::from([[4, 5], [6, 7]]));
        assert_eq!(samples[1], t.view().sample(1).unwrap());
        assert_eq!(samples[2][[1, 0]], 10);
        assert_eq!(samples[2].get([2, 0]), None);
        assert_eq!(counting([3, 0, 2]).view().samples().len(), 3);
        assert_eq!(counting([0, 3, 2]).view().samples().len(), 0);
        assert_eq!(Tensor::full((), 1).view().samples().next().unwrap().data, [1]);
    }

    #[test]
    fn a_mutable_view_writes_to_its_tensor() {
        let mut t = Tensor::from([1, 2]);
        let y = t.view_mut();
        y.data[1] = 5;
        assert_eq!(y.view().data, [1, 5]);
        assert_eq!(t, Tensor::from([1, 5]));
    }
}
