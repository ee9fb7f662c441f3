//! Arithmetic: element by element, with a number, and the matrix product.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Tensor;
use crate::{Error, Result, Scalar, kernels::gemm::Matrix};

impl<T: Scalar> Tensor<T> {
    /// The matrix product `c[i, j] = sum_k a[i, k] b[k, j]` of `a: [m, k]`, this tensor, and `b: [k, n]`.
    ///
    /// ```
    /// use cornu::Tensor;
    ///
    /// let a = Tensor::from([[1.0, 2.0], [3.0, 4.0]]);
    /// let b = Tensor::from([[5.0], [6.0]]);
    /// assert_eq!(a.matmul(&b)?, Tensor::from([[17.0], [39.0]]));
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When one of the two is not of rank 2, or the inner dimensions differ.
    pub fn matmul(&self, b: &Tensor<T>) -> Result<Tensor<T>> {
        let [m, k] = self.matrix_shape("matmul")?;
        let [inner, n] = b.matrix_shape("matmul")?;
        if inner != k {
            let expected = format!("a right side of shape ({k}, n) for the left side {}", self.shape);
            return Err(Error::shape("matmul", expected, b.shape, ""));
        }
        let mut c = Tensor::zeros([m, n]);
        T::gemm(Matrix::new(&self.data, m, k), Matrix::new(&b.data, k, n), false, &mut c.data, n);
        Ok(c)
    }
}

impl<T: Copy> Tensor<T> {
    /// The transpose `[n, m]` of a matrix `[m, n]`.
    ///
    /// # Errors
    /// When the tensor is not of rank 2.
    pub fn transpose(&self) -> Result<Tensor<T>> {
        let [m, n] = self.matrix_shape("transpose")?;
        Ok(Tensor::from_fn([n, m], |[j, i]| self.data[i * n + j]))
    }

    fn matrix_shape(&self, method: &str) -> Result<[usize; 2]> {
        let dims = self.shape.dims().try_into();
        dims.map_err(|_| Error::shape(method, "a tensor of rank 2", self.shape, "reshape it first"))
    }
}

/// Each operator between two tensors, which is an error when their shapes differ, and between a tensor and a number.
macro_rules! operator {
    ($trait:ident, $method:ident) => {
        /// Element by element. An error when the shapes differ: nothing is broadcast but numbers.
        impl<T: Scalar> $trait<&Tensor<T>> for &Tensor<T> {
            type Output = Result<Tensor<T>>;

            fn $method(self, other: &Tensor<T>) -> Result<Tensor<T>> {
                self.zip(other, stringify!($method), T::$method)
            }
        }

        /// Each element and the number.
        impl<T: Scalar> $trait<T> for &Tensor<T> {
            type Output = Tensor<T>;

            fn $method(self, number: T) -> Tensor<T> {
                self.map(|x| x.$method(number))
            }
        }

        /// Each element and the number.
        impl<T: Scalar> $trait<T> for Tensor<T> {
            type Output = Tensor<T>;

            fn $method(self, number: T) -> Tensor<T> {
                (&self).$method(number)
            }
        }
    };
}

operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

impl<T: Scalar> Neg for &Tensor<T> {
    type Output = Tensor<T>;

    fn neg(self) -> Tensor<T> {
        self.map(T::neg)
    }
}

impl<T: Scalar> Neg for Tensor<T> {
    type Output = Tensor<T>;

    fn neg(self) -> Tensor<T> {
        -&self
    }
}

impl<T: Scalar> Tensor<T> {
    fn zip(&self, other: &Tensor<T>, operator: &str, f: impl Fn(T, T) -> T) -> Result<Tensor<T>> {
        if self.shape != other.shape {
            let expected = format!("a right side of shape {}, that of the left side", self.shape);
            return Err(Error::shape(operator, expected, other.shape, "tensors are not broadcast"));
        }
        let data = self.data.iter().zip(&other.data).map(|(&x, &y)| f(x, y)).collect();
        Ok(Tensor { shape: self.shape, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Small whole numbers, whose products and sums are exact in any order.
    fn whole_numbers(shape: [usize; 2], seed: u64) -> Tensor {
        Tensor::random_uniform(shape, -9.0, 9.0, seed).map(f32::round)
    }

    proptest! {
        #[test]
        fn matmul_is_the_sum_of_products(m in 0..20_usize, k in 0..20_usize, n in 0..20_usize, seed: u64) {
            let (a, b) = (whole_numbers([m, k], seed), whole_numbers([k, n], !seed));
            let c = Tensor::from_fn([m, n], |[i, j]| (0..k).map(|l| a[[i, l]] * b[[l, j]]).sum());
            prop_assert_eq!(a.matmul(&b).unwrap(), c);
        }
    }

    #[test]
    fn a_transpose_swaps_the_axes() {
        let t = Tensor::from([[1u8, 2, 3], [4, 5, 6]]);
        assert_eq!(t.transpose().unwrap(), Tensor::from([[1, 4], [2, 5], [3, 6]]));
        assert_eq!(Tensor::<f32>::zeros([0, 3]).transpose().unwrap().shape(), [3, 0].into());
    }

    #[test]
    fn operators_between_tensors() {
        let (a, b) = (Tensor::from([6.0, 8.0]), Tensor::from([2.0, -4.0]));
        assert_eq!((&a + &b).unwrap(), Tensor::from([8.0, 4.0]));
        assert_eq!((&a - &b).unwrap(), Tensor::from([4.0, 12.0]));
        assert_eq!((&a * &b).unwrap(), Tensor::from([12.0, -32.0]));
        assert_eq!((&a / &b).unwrap(), Tensor::from([3.0, -2.0]));
    }

    #[test]
    fn operators_with_a_number() {
        let a = Tensor::from([6.0, 8.0]);
        assert_eq!(&a + 1.0, Tensor::from([7.0, 9.0]));
        assert_eq!(&a - 1.0, Tensor::from([5.0, 7.0]));
        assert_eq!(&a * 0.5, Tensor::from([3.0, 4.0]));
        assert_eq!(&a / 2.0, Tensor::from([3.0, 4.0]));
        assert_eq!(-&a, Tensor::from([-6.0, -8.0]));
        assert_eq!(-(a * 2.0 - 1.0), Tensor::from([-11.0, -15.0]));
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let (a, b) = (Tensor::<f32>::zeros([2, 3]), Tensor::zeros(3));
        let message = |result: Result<Tensor>| result.unwrap_err().to_string();
        assert_eq!(
            message(&a + &b),
            "add: expected a right side of shape (2, 3), that of the left side, got (3,); tensors are not broadcast"
        );
        assert_eq!(
            message(a.matmul(&a)),
            "matmul: expected a right side of shape (3, n) for the left side (2, 3), got (2, 3)"
        );
        assert_eq!(message(a.matmul(&b)), "matmul: expected a tensor of rank 2, got (3,); reshape it first");
        assert!(a.matmul(&Tensor::zeros([4, 2])).is_err());
        assert!(b.matmul(&a).is_err());
        assert!(b.transpose().is_err());
    }
}
