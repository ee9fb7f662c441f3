//! [`Labels`]: the class of each sample.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug, Display, Formatter},
    ops::RangeBounds,
};

use num_traits::Num;

use crate::{
    Error, Result, Scalar, Tensor,
    tensor::{View, check_indices, check_range, write_array},
};

/// The class of each sample, counted from 0, in one byte or in four.
///
/// ```
/// use cornu::{Labels, Tensor};
///
/// let labels = Labels::from(vec![2u8, 0, 2]);
/// assert_eq!((labels.len(), labels.get(0), labels.num_classes()), (3, Some(2), 3));
/// assert_eq!(labels, Labels::try_from(vec![2, 0, 2])?);
/// assert_eq!(labels, Labels::try_from(&Tensor::from([2.0, 0.0, 2.0]))?);
/// assert_eq!(labels.one_hot(3)?, Tensor::from([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]));
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone)]
pub struct Labels(Store);

#[derive(Clone)]
enum Store {
    U8(Vec<u8>),
    U32(Vec<u32>),
}

impl Labels {
    /// The classes that outputs of a model, `[n, classes]`, tell, as [`predict_classes`](crate::Model::predict_classes) gives them: the
    /// index of the largest output of each sample, or, for a single output, whether it is above 0.5. Of outputs
    /// with a NaN, its index is taken, as by [`argmax`](Tensor::argmax). For those who need both outputs and classes.
    ///
    /// ```
    /// use cornu::{Labels, Tensor};
    ///
    /// assert_eq!(Labels::of_outputs(&Tensor::from([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]))?, Labels::from(vec![1u8, 0]));
    /// assert_eq!(Labels::of_outputs(&Tensor::from([[0.6], [0.5]]))?, Labels::from(vec![1u8, 0]));
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the outputs have another rank than 2, or there are none.
    pub fn of_outputs<T: Scalar>(outputs: &Tensor<T>) -> Result<Labels> {
        match outputs.shape().dims() {
            [_, 1] => Ok(outputs.data().iter().map(|&p| u8::from(p > T::of(0.5))).collect::<Vec<_>>().into()),
            [_, _] => outputs.argmax(1),
            _ => {
                let help = "a model for classes ends in a Dense layer with a unit for each class";
                Err(Error::shape("Labels::of_outputs", "outputs of shape (n, classes)", outputs.shape(), help))
            }
        }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        match &self.0 {
            Store::U8(labels) => labels.len(),
            Store::U32(labels) => labels.len(),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class of sample `i`.
    pub fn get(&self, i: usize) -> Option<usize> {
        match &self.0 {
            Store::U8(labels) => labels.get(i).map(|&label| label.into()),
            Store::U32(labels) => labels.get(i).map(|&label| label as usize),
        }
    }

    /// The classes in the order of the samples.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = usize> {
        (0..self.len()).map(|i| self.get(i).expect("i is below the length"))
    }

    /// The labels of the samples of `range`.
    ///
    /// # Errors
    /// When the range does not lie within the samples.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Labels> {
        let range = check_range("Labels::slice", range, self.len())?;
        Ok(match &self.0 {
            Store::U8(labels) => labels[range].to_vec().into(),
            Store::U32(labels) => labels[range].to_vec().into(),
        })
    }

    /// The labels of the samples at `indices`, in that order.
    ///
    /// # Errors
    /// When an index is not below the number of samples.
    pub fn gather(&self, indices: &[usize]) -> Result<Labels> {
        check_indices("Labels::gather", indices, self.len())?;
        Ok(match &self.0 {
            Store::U8(labels) => indices.iter().map(|&i| labels[i]).collect::<Vec<_>>().into(),
            Store::U32(labels) => indices.iter().map(|&i| labels[i]).collect::<Vec<_>>().into(),
        })
    }

    /// The largest label.
    pub fn max(&self) -> Option<usize> {
        self.iter().max()
    }

    /// The largest label plus 1; 0 when there is no label. Classes that no sample has count too.
    pub fn num_classes(&self) -> usize {
        self.max().map_or(0, |max| max + 1)
    }

    /// How many samples each class has, for the classes that have any.
    ///
    /// ```
    /// use cornu::Labels;
    ///
    /// let counts = Labels::from(vec![7u8, 1, 7]).counts();
    /// assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(1, 1), (7, 2)]);
    /// ```
    pub fn counts(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for label in self.iter() {
            *counts.entry(label).or_default() += 1;
        }
        counts
    }

    /// The rows of the tensor `[n, classes]` are 1 at their label and 0 elsewhere, Keras's `to_categorical`.
    ///
    /// # Errors
    /// When a label is not below `classes`.
    pub fn one_hot<T: Num + Copy>(&self, classes: usize) -> Result<Tensor<T>> {
        if let Some((i, label)) = self.iter().enumerate().find(|&(_, label)| label >= classes) {
            let message = format!("expected labels below {classes}, the number of classes, got {label} at index {i}");
            return Err(Error::data("Labels::one_hot", message));
        }
        let mut rows = Tensor::zeros([self.len(), classes]);
        for (i, label) in self.iter().enumerate() {
            rows[[i, label]] = T::one();
        }
        Ok(rows)
    }
}

impl From<Vec<u8>> for Labels {
    fn from(labels: Vec<u8>) -> Self {
        Labels(Store::U8(labels))
    }
}

impl From<Vec<u32>> for Labels {
    fn from(labels: Vec<u32>) -> Self {
        Labels(Store::U32(labels))
    }
}

/// An error when a label is larger than a `u32`.
impl TryFrom<Vec<usize>> for Labels {
    type Error = Error;

    fn try_from(labels: Vec<usize>) -> Result<Self> {
        from_numbers(&labels, |label| label.try_into().ok())
    }
}

/// An error when a label is negative.
impl TryFrom<Vec<i32>> for Labels {
    type Error = Error;

    fn try_from(labels: Vec<i32>) -> Result<Self> {
        from_numbers(&labels, |label| label.try_into().ok())
    }
}

/// An error when a label is negative or larger than a `u32`.
impl TryFrom<Vec<i64>> for Labels {
    type Error = Error;

    fn try_from(labels: Vec<i64>) -> Result<Self> {
        from_numbers(&labels, |label| label.try_into().ok())
    }
}

/// Of a tensor `[n]` or `[n, 1]`; an error when it has another shape, or a label is negative, fractional, NaN or larger
/// than a `u32`.
impl<T: Scalar> TryFrom<&Tensor<T>> for Labels {
    type Error = Error;

    fn try_from(labels: &Tensor<T>) -> Result<Self> {
        match labels.shape().dims() {
            [_] | [_, 1] => from_numbers(labels.data(), |label| label.to_u32().filter(|&n| T::of(n.into()) == label)),
            _ => {
                let help = "the labels of one-hot rows are their argmax(1)";
                Err(Error::shape("Labels::try_from", "labels of shape (n,) or (n, 1)", labels.shape(), help))
            }
        }
    }
}

fn from_numbers<T: Copy + Display>(numbers: &[T], to_label: impl Fn(T) -> Option<u32>) -> Result<Labels> {
    let to_label = |(i, &number): (usize, &T)| {
        to_label(number).ok_or_else(|| {
            let message = format!("expected whole numbers from 0 to {}, got {number} at index {i}", u32::MAX);
            Error::data("Labels::try_from", message)
        })
    };
    let labels = numbers.iter().enumerate().map(to_label).collect::<Result<Vec<_>>>()?;
    let bytes = labels.iter().map(|&label| label.try_into().ok()).collect::<Option<Vec<u8>>>();
    Ok(bytes.map_or_else(|| labels.into(), Labels::from))
}

/// Whether the classes are the same, however they are stored.
impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Labels {}

/// As a [`Tensor`] prints.
impl Debug for Labels {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Labels ({},) ", self.len())?;
        match &self.0 {
            Store::U8(labels) => write_array(View::new(labels.len().into(), labels), f),
            Store::U32(labels) => write_array(View::new(labels.len().into(), labels), f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_whole_numbers_of_any_type() {
        let labels = Labels::from(vec![3u8, 0, 255]);
        assert_eq!(labels, Labels::from(vec![3u32, 0, 255]));
        assert_eq!(labels, Labels::try_from(vec![3usize, 0, 255]).unwrap());
        assert_eq!(labels, Labels::try_from(vec![3i64, 0, 255]).unwrap());
        assert_eq!(labels, Labels::try_from(vec![3, 0, 255]).unwrap());
        assert_eq!(labels, Labels::try_from(&Tensor::from([[3.0_f32], [-0.0], [255.0]])).unwrap());
        assert_ne!(labels, Labels::from(vec![3u8, 0]));
        assert_ne!(labels, Labels::from(vec![3u8, 0, 254]));
        let large = Labels::try_from(vec![256, 70_000]).unwrap();
        assert_eq!(large.iter().collect::<Vec<_>>(), [256, 70_000]);
    }

    #[test]
    fn four_bytes_are_taken_only_where_one_is_too_small() {
        assert!(matches!(Labels::try_from(vec![255]).unwrap().0, Store::U8(_)));
        assert!(matches!(Labels::try_from(vec![256]).unwrap().0, Store::U32(_)));
    }

    #[test]
    fn other_numbers_are_errors_that_name_index_and_value() {
        let message = |result: Result<Labels>| result.unwrap_err().to_string();
        assert_eq!(
            message(Labels::try_from(&Tensor::from([1.0, 2.5]))),
            "Labels::try_from: expected whole numbers from 0 to 4294967295, got 2.5 at index 1"
        );
        for wrong in [-1.0, -0.5, f64::NAN, f64::INFINITY, 4_294_967_296.0, 1e300] {
            let message = message(Labels::try_from(&Tensor::from([0.0, 1.0, wrong])));
            assert!(message.ends_with(&format!("got {wrong} at index 2")), "{message}");
        }
        assert!(Labels::try_from(&Tensor::from([4_294_967_296.0_f32])).is_err());
        assert!(Labels::try_from(&Tensor::from([4_294_967_295.0_f64])).is_ok());
        assert!(message(Labels::try_from(vec![0, -7])).ends_with("got -7 at index 1"));
        assert!(message(Labels::try_from(vec![-7i64])).ends_with("got -7 at index 0"));
        assert!(message(Labels::try_from(vec![4_294_967_296usize])).ends_with("got 4294967296 at index 0"));
    }

    #[test]
    fn a_tensor_of_another_shape_is_an_error() {
        let error = Labels::try_from(&Tensor::<f32>::zeros([5, 10])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Labels::try_from: expected labels of shape (n,) or (n, 1), got (5, 10); \
             the labels of one-hot rows are their argmax(1)"
        );
        assert!(Labels::try_from(&Tensor::full((), 1.0)).is_err());
        assert!(Labels::try_from(&Tensor::<f32>::zeros([0])).unwrap().is_empty());
    }

    #[test]
    fn slices_and_gathers() {
        for labels in [Labels::from(vec![4u8, 5, 6]), Labels::from(vec![4u32, 5, 6])] {
            assert_eq!(labels.slice(1..).unwrap(), Labels::from(vec![5u8, 6]));
            assert_eq!(labels.gather(&[2, 0, 2]).unwrap(), Labels::from(vec![6u8, 4, 6]));
            assert_eq!((labels.get(2), labels.get(3)), (Some(6), None));
            let error = labels.slice(2..4).unwrap_err();
            assert_eq!(error.to_string(), "Labels::slice: expected a range within 0..3, got 2..4");
            let error = labels.gather(&[0, 3]).unwrap_err();
            assert_eq!(error.to_string(), "Labels::gather: expected indices below 3, the number of samples, got 3");
        }
    }

    #[test]
    fn classes_are_counted() {
        let labels = Labels::from(vec![2u8, 0, 2]);
        assert_eq!((labels.max(), labels.num_classes()), (Some(2), 3));
        assert_eq!(labels.counts(), BTreeMap::from([(0, 1), (2, 2)]));
        let none = Labels::from(Vec::<u8>::new());
        assert_eq!((none.max(), none.num_classes(), none.counts().len()), (None, 0, 0));
    }

    #[test]
    fn one_hot_rows_and_back() {
        let labels = Labels::from(vec![2u8, 0, 1]);
        let rows: Tensor = labels.one_hot(4).unwrap();
        assert_eq!(rows.shape(), [3, 4].into());
        assert_eq!(rows.sum(), 3.0);
        assert_eq!(rows.argmax(1).unwrap(), labels);
        let error = labels.one_hot::<f32>(2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Labels::one_hot: expected labels below 2, the number of classes, got 2 at index 0"
        );
        assert!(Labels::from(Vec::<u8>::new()).one_hot::<f32>(0).unwrap().is_empty());
    }

    #[test]
    fn outputs_tell_classes() {
        let classes = |outputs: Tensor| Labels::of_outputs(&outputs).map_err(|error| error.to_string());
        assert_eq!(classes(Tensor::from([[1.0, 3.0, 3.0], [-1.0, -2.0, -3.0]])), Ok(Labels::from(vec![1u8, 0])));
        assert_eq!(classes(Tensor::from([[0.5], [0.500_001], [-9.0]])), Ok(Labels::from(vec![0u8, 1, 0])));
        let error = classes(Tensor::zeros([2, 3, 4])).unwrap_err();
        assert!(
            error.starts_with("Labels::of_outputs: expected outputs of shape (n, classes), got (2, 3, 4)"),
            "{error}"
        );
        assert!(classes(Tensor::zeros([2, 0])).is_err());
    }

    #[test]
    fn debug_is_cut() {
        assert_eq!(format!("{:?}", Labels::from(vec![7u8, 2])), "Labels (2,) [7, 2]");
        assert_eq!(format!("{:?}", Labels::from(vec![1u32; 2000])), "Labels (2000,) [1, 1, 1, ..., 1, 1, 1]");
    }
}
