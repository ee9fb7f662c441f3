//! Samples and targets as a model reads them, a batch at a time.

use std::ops::Range;

use rayon::prelude::*;

use crate::{Labels, Scalar, Shape, Tensor, tensor::View};

/// The samples that a model is given: a tensor of its own scalar, or of bytes, which are converted a batch at a time; or a
/// view of one, such as [`slice`](Tensor::slice) gives.
///
/// Since both serve, the compiler asks for the numbers of a tensor that does not tell them:
/// `model.predict(&Tensor::<f32>::zeros([1, 28, 28, 1]))`.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a, T = f32> {
    /// Numbers as they are.
    Values(View<'a, T>),
    /// Bytes, each taken as a number from 0 to 255; a `Rescaling` layer brings them to 0..1.
    Bytes(View<'a, u8>),
}

impl<'a, T: Scalar> Input<'a, T> {
    /// The shape, with the batch.
    pub fn shape(&self) -> Shape {
        match self {
            Input::Values(x) => x.shape,
            Input::Bytes(x) => x.shape,
        }
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.shape().dims().first().copied().unwrap_or(0)
    }

    /// Samples that follow each other: those of the tensor where that serves, or converted into `buffer`.
    pub(crate) fn rows<'b>(&'b self, range: Range<usize>, buffer: &'b mut Vec<T>) -> &'b [T] {
        let len = self.shape().sample().size();
        let elements = range.start * len..range.end * len;
        match self {
            Input::Values(x) => &x.data[elements],
            Input::Bytes(x) => {
                buffer.clear();
                buffer.extend(x.data[elements].iter().map(|&byte| from_byte::<T>(byte)));
                buffer
            }
        }
    }

    /// Copies the samples of `indices` into `batch`, in that order.
    pub(crate) fn gather(&self, indices: &[usize], batch: &mut [T]) {
        let len = self.shape().sample().size();
        batch.par_chunks_mut(len).zip(indices).for_each(|(sample, &i)| match self {
            Input::Values(x) => sample.copy_from_slice(&x.data[i * len..][..len]),
            Input::Bytes(x) => {
                for (to, &byte) in sample.iter_mut().zip(&x.data[i * len..]) {
                    *to = from_byte(byte);
                }
            }
        });
    }
}

fn from_byte<T: Scalar>(byte: u8) -> T {
    T::from(byte).expect("a byte is a float")
}

impl<'a, T: Scalar> From<&'a Tensor<T>> for Input<'a, T> {
    fn from(x: &'a Tensor<T>) -> Self {
        Input::Values(x.view())
    }
}

impl<'a, T: Scalar> From<&'a Tensor<u8>> for Input<'a, T> {
    fn from(x: &'a Tensor<u8>) -> Self {
        Input::Bytes(x.view())
    }
}

impl<'a, T: Scalar> From<View<'a, T>> for Input<'a, T> {
    fn from(x: View<'a, T>) -> Self {
        Input::Values(x)
    }
}

impl<'a, T: Scalar> From<View<'a, u8>> for Input<'a, T> {
    fn from(x: View<'a, u8>) -> Self {
        Input::Bytes(x)
    }
}

impl<'a, T: Scalar> From<&View<'a, T>> for Input<'a, T> {
    fn from(x: &View<'a, T>) -> Self {
        Input::Values(*x)
    }
}

impl<'a, T: Scalar> From<&View<'a, u8>> for Input<'a, T> {
    fn from(x: &View<'a, u8>) -> Self {
        Input::Bytes(*x)
    }
}

/// What a model shall learn to answer: a class for each sample, or numbers.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a, T = f32> {
    /// The class of each sample.
    Labels(&'a Labels),
    /// Numbers for each sample.
    Values(View<'a, T>),
}

impl<T> Targets<'_, T> {
    /// The number of samples.
    pub fn samples(&self) -> usize {
        match self {
            Targets::Labels(labels) => labels.len(),
            Targets::Values(y) => y.shape.dims().first().copied().unwrap_or(0),
        }
    }
}

impl<'a, T> From<&'a Labels> for Targets<'a, T> {
    fn from(labels: &'a Labels) -> Self {
        Targets::Labels(labels)
    }
}

impl<'a, T> From<&'a Tensor<T>> for Targets<'a, T> {
    fn from(y: &'a Tensor<T>) -> Self {
        Targets::Values(y.view())
    }
}

impl<'a, T> From<View<'a, T>> for Targets<'a, T> {
    fn from(y: View<'a, T>) -> Self {
        Targets::Values(y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_numbers() {
        let bytes = Tensor::new([3, 2], vec![0u8, 1, 2, 3, 254, 255]).unwrap();
        let input = Input::<f32>::from(&bytes);
        let mut batch = [0.0; 4];
        input.gather(&[2, 0], &mut batch);
        assert_eq!(batch, [254.0, 255.0, 0.0, 1.0]);
        assert_eq!(input.rows(1..2, &mut Vec::new()), [2.0, 3.0]);
    }
}
