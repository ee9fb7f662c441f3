//! [`Tensor`]: an owned, contiguous, row-major array; [`View`] and [`ViewMut`] borrow one.

use crate::{Error, Result, Shape};

/// An owned, contiguous, row-major array of any number of dimensions up to 6.
///
/// Images are channels-last: `[n, h, w, c]`.
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

    /// The dimensions.
    pub fn shape(&self) -> Shape {
        self.shape
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
}

/// A borrowed, contiguous, row-major array.
#[derive(Debug, PartialEq)]
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
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

/// A mutably borrowed, contiguous, row-major array.
#[derive(Debug, PartialEq)]
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
}
