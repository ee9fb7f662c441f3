//! Approximate equality of tensors, through the crate `approx`.

use approx::{AbsDiffEq, RelativeEq};

use super::Tensor;

/// Tensors of equal shape whose elements differ by at most `epsilon`.
///
/// ```
/// use approx::assert_abs_diff_eq;
/// use cornu::Tensor;
///
/// assert_abs_diff_eq!(Tensor::from([1.0, 2.0]), Tensor::from([1.0, 2.0001]), epsilon = 1e-3);
/// ```
impl<T: AbsDiffEq<Epsilon: Copy>> AbsDiffEq for Tensor<T> {
    type Epsilon = T::Epsilon;

    fn default_epsilon() -> T::Epsilon {
        T::default_epsilon()
    }

    fn abs_diff_eq(&self, other: &Self, epsilon: T::Epsilon) -> bool {
        self.all_eq(other, |x, y| x.abs_diff_eq(y, epsilon))
    }
}

/// Tensors of equal shape whose elements differ by at most `epsilon`, or by at most `max_relative` of the larger.
impl<T: RelativeEq<Epsilon: Copy>> RelativeEq for Tensor<T> {
    fn default_max_relative() -> T::Epsilon {
        T::default_max_relative()
    }

    fn relative_eq(&self, other: &Self, epsilon: T::Epsilon, max_relative: T::Epsilon) -> bool {
        self.all_eq(other, |x, y| x.relative_eq(y, epsilon, max_relative))
    }
}

impl<T> Tensor<T> {
    fn all_eq(&self, other: &Self, eq: impl Fn(&T, &T) -> bool) -> bool {
        self.shape == other.shape && self.data.iter().zip(&other.data).all(|(x, y)| eq(x, y))
    }
}

#[cfg(test)]
mod tests {
    use approx::{assert_abs_diff_eq, assert_abs_diff_ne, assert_relative_eq, assert_relative_ne};

    use super::*;

    #[test]
    fn every_element_counts() {
        let t = Tensor::from([[1.0, 1000.0]]);
        assert_abs_diff_eq!(t, Tensor::from([[1.01, 1000.0]]), epsilon = 0.1);
        assert_abs_diff_ne!(t, Tensor::from([[1.0, 1001.0]]), epsilon = 0.1);
        assert_relative_eq!(t, Tensor::from([[1.0, 1001.0]]), max_relative = 0.01);
        assert_relative_ne!(t, Tensor::from([[1.1, 1000.0]]), max_relative = 0.01);
        assert_relative_ne!(t, Tensor::from([[f64::NAN, 1000.0]]));
    }

    #[test]
    fn shapes_are_equal_or_the_tensors_are_not() {
        assert_abs_diff_ne!(Tensor::from([1.0, 2.0]), Tensor::from([[1.0, 2.0]]));
        assert_relative_ne!(Tensor::from([1.0]), Tensor::from([1.0, 1.0]));
    }
}
