//! [`Tensor`]: an owned, contiguous, row-major array; [`View`] and [`ViewMut`] borrow one.

mod approx_eq;
mod display;
mod ops;
mod random;
mod reduce;
mod view;

use std::ops::{Index, IndexMut, RangeBounds};

use num_traits::Num;

pub use self::view::{View, ViewMut};
pub(crate) use self::{
    display::write_array,
    view::{check_indices, check_range},
};
use crate::{Error, Result, Scalar, Shape};

/// An owned, contiguous, row-major array of up to [`MAX_RANK`](crate::MAX_RANK) dimensions.
///
/// The first dimension is the batch; images are channels-last: `[n, h, w, c]`. Models compute with `f32`; images are
/// read and kept as `u8` and [scaled](Tensor::scaled) when they are used.
///
/// ```
/// use cornu::Tensor;
///
/// let a = Tensor::from([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// assert_eq!(a.shape(), [2, 3].into());
/// assert_eq!(a[[1, 2]], 6.0);
///
/// let b = (&a * 2.0 + 1.0).transpose()?;
/// assert_eq!(a.matmul(&b)?, Tensor::from([[34.0, 70.0], [79.0, 169.0]]));
/// assert_eq!((&a - &a)?, Tensor::zeros([2, 3]));
/// assert_eq!(a.sum_axis(0)?, Tensor::from([5.0, 7.0, 9.0]));
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Panics
/// A tensor that is larger than the memory panics or aborts when it is made, as [`Vec`] does.
#[derive(Clone, PartialEq)]
pub struct Tensor<T = f32> {
    shape: Shape,
    data: Vec<T>,
}

impl<T> Tensor<T> {
    /// A tensor of `shape` over `data` in row-major order.
    ///
    /// # Errors
    /// When the number of elements is not the product of the dimensions.
    pub fn new(shape: impl Into<Shape>, data: Vec<T>) -> Result<Self> {
        let shape = shape.into();
        if data.len() != shape.size() {
            return Err(Error::shape(
                "Tensor::new",
                format!("a shape of {} elements, as many as the data", data.len()),
                shape,
                "",
            ));
        }
        Ok(Tensor { shape, data })
    }

    /// A tensor of rank 2 of these rows, such as a `Vec<Vec<f32>>`.
    ///
    /// ```
    /// use cornu::Tensor;
    ///
    /// let rows = vec![vec![1.0_f32, 2.0], vec![3.0, 4.0], vec![5.0, 6.0]];
    /// assert_eq!(Tensor::from_rows(&rows)?.shape(), [3, 2].into());
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a row has another length than the first.
    pub fn from_rows(rows: &[impl AsRef<[T]>]) -> Result<Self>
    where
        T: Copy,
    {
        let columns = rows.first().map_or(0, |row| row.as_ref().len());
        if let Some(i) = rows.iter().position(|row| row.as_ref().len() != columns) {
            return Err(Error::data(
                "Tensor::from_rows",
                format!("row {i} has {} elements, but row 0 has {columns}", rows[i].as_ref().len()),
            ));
        }
        let data = rows.iter().flat_map(|row| row.as_ref()).copied().collect();
        Ok(Tensor { shape: [rows.len(), columns].into(), data })
    }

    /// A tensor whose element at each index is `f(index)`, called in row-major order.
    ///
    /// ```
    /// use cornu::Tensor;
    ///
    /// let identity = Tensor::from_fn([2, 2], |[i, j]| if i == j { 1.0 } else { 0.0 });
    /// assert_eq!(identity, Tensor::from([[1.0, 0.0], [0.0, 1.0]]));
    /// ```
    pub fn from_fn<const RANK: usize>(shape: [usize; RANK], mut f: impl FnMut([usize; RANK]) -> T) -> Self {
        let unravel = |mut flat| {
            let mut index = [0; RANK];
            for (i, dim) in index.iter_mut().zip(shape).rev() {
                *i = flat % dim;
                flat /= dim;
            }
            index
        };
        let shape = Shape::from(shape);
        Tensor { shape, data: (0..shape.size()).map(|flat| f(unravel(flat))).collect() }
    }

    /// The dimensions.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// The number of elements, NumPy's `size`.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The elements in row-major order.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// The elements in row-major order.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The elements in row-major order, without a copy.
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// All of the tensor, borrowed.
    pub fn view(&self) -> View<'_, T> {
        View::new(self.shape, &self.data)
    }

    /// All of the tensor, mutably borrowed.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut::new(self.shape, &mut self.data)
    }

    /// The samples of `range` of the first axis, without a copy.
    ///
    /// ```
    /// use cornu::Tensor;
    ///
    /// let x = Tensor::from([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    /// assert_eq!(x.slice(1..)?.to_tensor(), Tensor::from([[3.0, 4.0], [5.0, 6.0]]));
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the range does not lie within the first axis, or there is none.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<View<'_, T>> {
        self.view().slice(range)
    }

    /// The same elements, in the same order, in another shape.
    ///
    /// # Errors
    /// When the number of elements would change.
    pub fn reshape(self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.size() != self.len() {
            let expected = format!("a shape of {} elements, as many as {} has", self.len(), self.shape);
            return Err(Error::shape("reshape", expected, shape, ""));
        }
        Ok(Tensor { shape, ..self })
    }
}

impl<T: Copy> Tensor<T> {
    /// A tensor whose elements are all `value`.
    pub fn full(shape: impl Into<Shape>, value: T) -> Self {
        let shape = shape.into();
        Tensor { shape, data: vec![value; shape.size()] }
    }

    /// The element at `index`; `None` when a number of it is not below its dimension or there are more or fewer
    /// numbers than dimensions.
    pub fn get<const RANK: usize>(&self, index: [usize; RANK]) -> Option<T> {
        self.view().get(index)
    }

    /// The samples at `indices` of the first axis, in that order.
    ///
    /// # Errors
    /// When an index is not below the number of samples.
    pub fn gather(&self, indices: &[usize]) -> Result<Self> {
        self.view().gather(indices)
    }

    /// The tensor of `f` of each element.
    pub fn map<U>(&self, f: impl FnMut(T) -> U) -> Tensor<U> {
        Tensor { shape: self.shape, data: self.data.iter().copied().map(f).collect() }
    }
}

impl<T: Num + Copy> Tensor<T> {
    /// A tensor of zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        Tensor::full(shape, T::zero())
    }

    /// A tensor of ones.
    pub fn ones(shape: impl Into<Shape>) -> Self {
        Tensor::full(shape, T::one())
    }
}

impl<T: Scalar> Tensor<T> {
    /// The nearest numbers of another type.
    pub fn cast<U: Scalar>(&self) -> Tensor<U> {
        self.map(|x| U::of(x.as_f64()))
    }
}

impl Tensor<u8> {
    /// Each element as `f32`, times `scale`: with `1.0 / 255.0`, images from 0 to 1.
    ///
    /// ```
    /// use cornu::Tensor;
    ///
    /// let image = Tensor::from([[0u8, 51], [102, 255]]);
    /// assert_eq!(image.scaled(1.0 / 51.0), Tensor::from([[0.0, 1.0], [2.0, 5.0]]));
    /// ```
    pub fn scaled(&self, scale: f32) -> Tensor {
        self.view().scaled(scale)
    }

    /// As [`scaled`](Tensor::scaled), for either type of numbers.
    pub fn scaled_as<T: Scalar>(&self, scale: T) -> Tensor<T> {
        self.view().scaled_as(scale)
    }
}

/// The element at an index.
///
/// # Panics
/// As a slice does, when the index lies outside the tensor, and when it has more or fewer numbers than the tensor has
/// dimensions. [`get`](Tensor::get) does not panic.
impl<T, const RANK: usize> Index<[usize; RANK]> for Tensor<T> {
    type Output = T;

    fn index(&self, index: [usize; RANK]) -> &T {
        &self.data[view::flat_index(self.shape, index)]
    }
}

/// The element at an index; panics as [`Index`] does.
impl<T, const RANK: usize> IndexMut<[usize; RANK]> for Tensor<T> {
    fn index_mut(&mut self, index: [usize; RANK]) -> &mut T {
        &mut self.data[view::flat_index(self.shape, index)]
    }
}

/// A tensor of rank 1, without a copy.
/// Rank 1; for a `Vec` of rows see [`Tensor::from_rows`].
impl<T: Copy> From<Vec<T>> for Tensor<T> {
    fn from(data: Vec<T>) -> Self {
        Tensor { shape: data.len().into(), data }
    }
}

// The bound `Num` tells the compiler that the elements of a nested array are its numbers, not its rows.

impl<T: Num + Copy, const A: usize> From<[T; A]> for Tensor<T> {
    fn from(array: [T; A]) -> Self {
        Tensor { shape: [A].into(), data: array.to_vec() }
    }
}

impl<T: Num + Copy, const A: usize, const B: usize> From<[[T; B]; A]> for Tensor<T> {
    fn from(array: [[T; B]; A]) -> Self {
        Tensor { shape: [A, B].into(), data: array.as_flattened().to_vec() }
    }
}

impl<T: Num + Copy, const A: usize, const B: usize, const C: usize> From<[[[T; C]; B]; A]> for Tensor<T> {
    fn from(array: [[[T; C]; B]; A]) -> Self {
        Tensor { shape: [A, B, C].into(), data: array.as_flattened().as_flattened().to_vec() }
    }
}

impl<T: Num + Copy, const A: usize, const B: usize, const C: usize, const D: usize> From<[[[[T; D]; C]; B]; A]>
    for Tensor<T>
{
    fn from(array: [[[[T; D]; C]; B]; A]) -> Self {
        Tensor { shape: [A, B, C, D].into(), data: array.as_flattened().as_flattened().as_flattened().to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_become_tensors_of_their_rank() {
        assert_eq!(Tensor::from([1.0, 2.0]), Tensor::new([2], vec![1.0, 2.0]).unwrap());
        assert_eq!(Tensor::from([[1u8, 2], [3, 4]]), Tensor::new([2, 2], vec![1, 2, 3, 4]).unwrap());
        assert_eq!(Tensor::from([[[1.0], [2.0]]]), Tensor::new([1, 2, 1], vec![1.0, 2.0]).unwrap());
        assert_eq!(Tensor::from([[[[1.0, 2.0]]], [[[3.0, 4.0]]]]).shape(), [2, 1, 1, 2].into());
        assert_eq!(Tensor::from(vec![1.0, 2.0]), Tensor::from([1.0, 2.0]));
    }

    #[test]
    fn constructors_fill_in_row_major_order() {
        assert_eq!(Tensor::zeros([2, 1]), Tensor::from([[0.0], [0.0]]));
        assert_eq!(Tensor::ones(2), Tensor::from([1u8, 1]));
        assert_eq!(Tensor::full((), 3.0).data(), [3.0]);
        let t = Tensor::from_fn([2, 3, 4], |[i, j, k]| 100 * i + 10 * j + k);
        assert_eq!(t.data()[..5], [0, 1, 2, 3, 10]);
        assert_eq!(t[[1, 2, 3]], 123);
        assert_eq!(Tensor::from_fn([], |[]| 7).data(), [7]);
        assert_eq!(Tensor::from_fn([2, 0], |_| 7).len(), 0);
    }

    #[test]
    fn data_of_another_length_is_an_error() {
        let error = Tensor::new([2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(error.to_string(), "Tensor::new: expected a shape of 5 elements, as many as the data, got (2, 3)");
        assert!(Tensor::<f32>::new([usize::MAX, 2], vec![]).is_err());
        assert!(Tensor::<f32>::new([usize::MAX, 0], vec![]).is_ok());
    }

    #[test]
    fn elements_are_found_by_index() {
        let mut t = Tensor::from([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        assert_eq!((t[[0, 2]], t.get([1, 0])), (3.0, Some(4.0)));
        assert_eq!((t.get([2, 0]), t.get([0, 3]), t.get([0]), t.get([0, 0, 0])), (None, None, None, None));
        t[[1, 1]] = 50.0;
        assert_eq!(t.data(), [1.0, 2.0, 3.0, 4.0, 50.0, 6.0]);
        assert_eq!(Tensor::full((), 7)[[]], 7);
    }

    #[test]
    #[should_panic(expected = "index [0, 3] of a tensor of shape (2, 3)")]
    fn an_index_outside_panics() {
        let _ = Tensor::<f32>::zeros([2, 3])[[0, 3]];
    }

    #[test]
    fn a_reshape_keeps_the_elements() {
        let t = Tensor::from([[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(t.clone().reshape(4).unwrap(), Tensor::from([1.0, 2.0, 3.0, 4.0]));
        let error = t.reshape([2, 3]).unwrap_err();
        assert_eq!(error.to_string(), "reshape: expected a shape of 4 elements, as many as (2, 2) has, got (2, 3)");
        assert!(Tensor::<u8>::zeros([2, 2]).reshape(3).is_err());
        assert_eq!(Tensor::<u8>::zeros([0, 3]).reshape([5, 0]).unwrap().shape(), [5, 0].into());
    }

    #[test]
    fn rows_must_be_of_one_length() {
        let error = Tensor::from_rows(&[vec![1.0, 2.0], vec![3.0]]).unwrap_err().to_string();
        assert_eq!(error, "Tensor::from_rows: row 1 has 1 elements, but row 0 has 2");
        assert_eq!(Tensor::from_rows(&[[1.0, 2.0], [3.0, 4.0]]).unwrap(), Tensor::from([[1.0, 2.0], [3.0, 4.0]]));
        assert_eq!(Tensor::<f32>::from_rows(&[] as &[Vec<f32>]).unwrap().shape(), [0, 0].into());
    }

    #[test]
    fn bytes_are_scaled_in_the_type_of_the_result() {
        let image = Tensor::from([0u8, 1, 255]);
        assert_eq!(image.scaled(1.0 / 255.0).data(), [0.0, 1.0 / 255.0, 1.0]);
        assert_eq!(image.scaled_as(1.0_f64 / 255.0)[[1]], 1.0 / 255.0);
        assert_eq!(Tensor::from([0.1_f64]).cast::<f32>(), Tensor::from([0.1]));
    }
}
