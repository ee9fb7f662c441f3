//! The dense matrix product, `C = A B + beta C`.

/// A matrix that is read: element `(i, j)` is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// A row-major matrix whose rows are contiguous and follow each other.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        Matrix::with_stride(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows are contiguous and start `row_stride` elements apart.
    pub fn with_stride(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            last_index(rows, columns, row_stride, 1).is_none_or(|last| last < data.len()),
            "a {rows}x{columns} matrix of row stride {row_stride} does not fit in {} elements",
            data.len()
        );
        Matrix { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose, without moving an element.
    pub fn t(self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// The largest index of a matrix; `None` for an empty one.
fn last_index(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> Option<usize> {
    (rows > 0 && columns > 0).then(|| {
        let row = (rows - 1).checked_mul(row_stride).expect("the matrix fits in memory");
        let column = (columns - 1).checked_mul(column_stride).expect("the matrix fits in memory");
        row.checked_add(column).expect("the matrix fits in memory")
    })
}

/// Numbers that have a matrix product.
pub trait Gemm: Copy + Sized {
    /// `C = A B + beta C` for `A: [m, k]`, `B: [k, n]` and `C: [m, n]`, whose rows start `c_stride` elements apart.
    ///
    /// With `beta = 0`, what `c` held is not read, not even a NaN.
    ///
    /// # Panics
    /// If the inner dimensions differ, or `c` is too small or its rows overlap.
    fn gemm(a: Matrix<Self>, b: Matrix<Self>, beta: Self, c: &mut [Self], c_stride: usize);
}

macro_rules! through_matrixmultiply {
    ($t:ty, $gemm:path) => {
        impl Gemm for $t {
            fn gemm(a: Matrix<$t>, b: Matrix<$t>, beta: $t, c: &mut [$t], c_stride: usize) {
                let (m, k, n) = (a.rows, a.columns, b.columns);
                assert_eq!(b.rows, k, "the inner dimensions of a product");
                assert!(c_stride >= n, "the rows of C overlap");
                assert!(
                    last_index(m, n, c_stride, 1).is_none_or(|last| last < c.len()),
                    "a {m}x{n} product of row stride {c_stride} does not fit in {} elements",
                    c.len()
                );
                // SAFETY: the constructors of Matrix have checked that every index of A and B, and the assertions
                // above that every index of C, lies in its slice; C is borrowed mutably, so it overlaps neither, and
                // its rows do not overlap each other. A stride between two rows or columns is less than a slice's length, so
                // it fits in an isize; where there is only one, its stride is never taken.
                unsafe {
                    $gemm(
                        m,
                        k,
                        n,
                        1.0,
                        a.data.as_ptr(),
                        a.row_stride as isize,
                        a.column_stride as isize,
                        b.data.as_ptr(),
                        b.row_stride as isize,
                        b.column_stride as isize,
                        beta,
                        c.as_mut_ptr(),
                        c_stride as isize,
                        1,
                    );
                }
            }
        }
    };
}

through_matrixmultiply!(f32, matrixmultiply::sgemm);
through_matrixmultiply!(f64, matrixmultiply::dgemm);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_and_transposes() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut c = [f64::NAN; 5];
        // [1 2 3; 4 5 6] times its transpose, into rows that are 3 apart.
        let a = Matrix::new(&a, 2, 3);
        f64::gemm(a, a.t(), 0.0, &mut c, 3);
        assert_eq!((c[0], c[1], c[3], c[4]), (14.0, 32.0, 32.0, 77.0));
        assert!(c[2].is_nan(), "between the rows nothing is written");
        f64::gemm(a, a.t(), 1.0, &mut c, 3);
        assert_eq!((c[0], c[4]), (28.0, 154.0));
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_result_that_is_too_small_is_refused() {
        let a = [1.0_f32; 4];
        let a = Matrix::new(&a, 2, 2);
        f32::gemm(a, a, 0.0, &mut [0.0; 3], 2);
    }
}
