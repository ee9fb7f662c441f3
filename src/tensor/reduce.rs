//! Reductions: over all elements, and over one axis, which the result lacks.

use super::Tensor;
use crate::{Error, Labels, Result, Scalar, Shape};

impl<T: Scalar> Tensor<T> {
    /// The sum of all elements, accumulated in `f64`; 0 when there is none.
    pub fn sum(&self) -> T {
        T::of(self.sum_f64())
    }

    /// The mean of all elements, accumulated in `f64`.
    ///
    /// # Errors
    /// When there is no element.
    pub fn mean(&self) -> Result<T> {
        self.check_not_empty("mean")?;
        Ok(T::of(self.sum_f64() / self.len() as f64))
    }

    /// The largest element; NaN when there is a NaN.
    ///
    /// # Errors
    /// When there is no element.
    pub fn max(&self) -> Result<T> {
        self.check_not_empty("max")?;
        Ok(self.data.iter().copied().fold(T::neg_infinity(), larger))
    }

    /// The sums over `axis`, counted from 0, accumulated in `f64`.
    ///
    /// # Errors
    /// When there is no such axis.
    pub fn sum_axis(&self, axis: usize) -> Result<Tensor<T>> {
        self.check_axis("sum_axis", axis)?;
        Ok(self.sums_f64(axis).map(T::of))
    }

    /// The means over `axis`, counted from 0, accumulated in `f64`.
    ///
    /// # Errors
    /// When there is no such axis or nothing along it.
    pub fn mean_axis(&self, axis: usize) -> Result<Tensor<T>> {
        let n = self.check_axis_not_empty("mean_axis", axis)?;
        Ok(self.sums_f64(axis).map(|sum| T::of(sum / n as f64)))
    }

    /// The largest elements over `axis`, counted from 0; NaN where there is a NaN.
    ///
    /// # Errors
    /// When there is no such axis or nothing along it.
    pub fn max_axis(&self, axis: usize) -> Result<Tensor<T>> {
        self.check_axis_not_empty("max_axis", axis)?;
        Ok(self.fold_axis(axis, T::neg_infinity(), |max, _, x| larger(max, x)))
    }

    /// Where the largest elements stand along `axis`, counted from 0, in row-major order of the other axes: the first
    /// of equal ones, and, as in NumPy, the first NaN where there is one. Over the last axis of probabilities
    /// `[n, classes]` these are the classes of the samples.
    ///
    /// ```
    /// use cornu::{Labels, Tensor};
    ///
    /// let probabilities = Tensor::from([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]);
    /// assert_eq!(probabilities.argmax(1)?, Labels::from(vec![1u8, 0]));
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such axis or nothing along it.
    pub fn argmax(&self, axis: usize) -> Result<Labels> {
        self.check_axis_not_empty("argmax", axis)?;
        let winners = self.fold_axis(axis, (0, T::neg_infinity()), |(winner, max), i, x| {
            if x > max || (x.is_nan() && !max.is_nan()) { (i, x) } else { (winner, max) }
        });
        Labels::try_from(winners.map(|(winner, _)| winner).into_data())
    }

    fn sum_f64(&self) -> f64 {
        // Not `Iterator::sum`, which starts from -0.
        self.data.iter().fold(0.0, |sum, x| sum + x.as_f64())
    }

    fn sums_f64(&self, axis: usize) -> Tensor<f64> {
        self.fold_axis(axis, 0.0, |sum, _, x| sum + x.as_f64())
    }

    /// Folds `f(folded, i, element)` over the elements `i` along an axis that exists.
    fn fold_axis<A: Copy>(&self, axis: usize, init: A, f: impl Fn(A, usize, T) -> A) -> Tensor<A> {
        let mut rest = self.shape.dims().to_vec();
        let n = rest.remove(axis);
        let mut folded = Tensor::full(Shape::new(&rest).expect("fewer dimensions than this shape"), init);
        if self.is_empty() {
            return folded;
        }
        let inner = rest[axis..].iter().product();
        for (folded, x) in folded.data.chunks_exact_mut(inner).zip(self.data.chunks_exact(n * inner)) {
            for (i, x) in x.chunks_exact(inner).enumerate() {
                for (folded, &x) in folded.iter_mut().zip(x) {
                    *folded = f(*folded, i, x);
                }
            }
        }
        folded
    }

    fn check_not_empty(&self, method: &str) -> Result<()> {
        if self.is_empty() {
            return Err(Error::shape(method, "at least one element", self.shape, ""));
        }
        Ok(())
    }

    /// The length of `axis`.
    fn check_axis(&self, method: &str, axis: usize) -> Result<usize> {
        self.shape.dims().get(axis).copied().ok_or_else(|| {
            Error::argument(
                method,
                format!("expected an axis below {}, the rank of shape {}, got {axis}", self.rank(), self.shape),
            )
        })
    }

    fn check_axis_not_empty(&self, method: &str, axis: usize) -> Result<usize> {
        match self.check_axis(method, axis)? {
            0 => Err(Error::shape(method, format!("at least one element along axis {axis}"), self.shape, "")),
            n => Ok(n),
        }
    }
}

/// The larger number; NaN wins, unlike in `f32::max`, so that it is not hidden.
fn larger<T: Scalar>(max: T, x: T) -> T {
    if x > max || x.is_nan() { x } else { max }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sum_of_small_numbers_is_exact() {
        // From 2^24 = 16,777,216 on, adding 1 to an f32 changes nothing.
        assert_eq!(Tensor::<f32>::ones(20_000_000).sum(), 2e7);
        assert_eq!(Tensor::<f32>::ones([20_000_000, 1]).sum_axis(0).unwrap(), Tensor::from([2e7]));
        assert_eq!(Tensor::<f32>::ones(20_000_000).mean().unwrap(), 1.0);
    }

    #[test]
    fn over_all() {
        let t = Tensor::from([[1.0, -2.0], [7.0, 0.0]]);
        assert_eq!((t.sum(), t.mean().unwrap(), t.max().unwrap()), (6.0, 1.5, 7.0));
        assert_eq!(Tensor::from([-3.0, -2.0]).max().unwrap(), -2.0);
        assert!(Tensor::from([1.0, f64::NAN, 2.0]).max().unwrap().is_nan());
    }

    #[test]
    fn over_each_axis() {
        let t = Tensor::from([[[1.0, 8.0], [3.0, 6.0], [5.0, 4.0]], [[7.0, 2.0], [9.0, 0.0], [-1.0, -2.0]]]);
        assert_eq!(t.sum_axis(0).unwrap(), Tensor::from([[8.0, 10.0], [12.0, 6.0], [4.0, 2.0]]));
        assert_eq!(t.sum_axis(1).unwrap(), Tensor::from([[9.0, 18.0], [15.0, 0.0]]));
        assert_eq!(t.sum_axis(2).unwrap(), Tensor::from([[9.0, 9.0, 9.0], [9.0, 9.0, -3.0]]));
        assert_eq!(t.mean_axis(1).unwrap(), Tensor::from([[3.0, 6.0], [5.0, 0.0]]));
        assert_eq!(t.max_axis(1).unwrap(), Tensor::from([[5.0, 8.0], [9.0, 2.0]]));
        assert_eq!(t.argmax(1).unwrap(), Labels::from(vec![2u8, 0, 1, 0]));
        assert_eq!(Tensor::from([1.0, 2.0]).sum_axis(0).unwrap(), Tensor::full((), 3.0));
    }

    #[test]
    fn argmax_takes_the_first_of_equals_and_the_first_nan() {
        let t = Tensor::from([
            [1.0, 2.0, 2.0],
            [f64::NEG_INFINITY; 3],
            [1.0, f64::NAN, f64::INFINITY],
            [f64::NAN, f64::NAN, 0.0],
        ]);
        assert_eq!(t.argmax(1).unwrap(), Labels::from(vec![1u8, 0, 1, 0]));
        assert_eq!(Tensor::<f32>::zeros([1, 300]).argmax(0).unwrap().len(), 300);
        let late = Tensor::from_fn([1, 300], |[_, j]| j as f32);
        assert_eq!(late.argmax(1).unwrap().get(0), Some(299));
    }

    #[test]
    fn of_nothing() {
        let t = Tensor::<f32>::zeros([2, 0]);
        assert_eq!(t.sum().to_bits(), 0);
        assert_eq!(t.sum_axis(1).unwrap(), Tensor::zeros(2));
        assert_eq!(t.sum_axis(0).unwrap(), Tensor::zeros(0));
        assert_eq!(t.max_axis(0).unwrap(), Tensor::zeros(0));
        assert!(t.argmax(0).unwrap().is_empty());
        assert_eq!(t.mean().unwrap_err().to_string(), "mean: expected at least one element, got (2, 0)");
        assert!(t.max().is_err());
        let error = t.argmax(1).unwrap_err();
        assert_eq!(error.to_string(), "argmax: expected at least one element along axis 1, got (2, 0)");
        assert!(t.mean_axis(1).is_err());
        assert!(t.max_axis(1).is_err());
    }

    #[test]
    fn an_axis_that_is_not_there_is_an_error() {
        let t = Tensor::<f32>::zeros([2, 3]);
        let error = t.sum_axis(2).unwrap_err();
        assert_eq!(error.to_string(), "sum_axis: expected an axis below 2, the rank of shape (2, 3), got 2");
        assert!(t.mean_axis(2).is_err() && t.max_axis(2).is_err() && t.argmax(2).is_err());
        assert!(Tensor::full((), 1.0).sum_axis(0).is_err());
    }
}
