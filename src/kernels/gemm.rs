//! The dense matrix product, `C = A B` or `C += A B`.
//!
//! Numbers with a register tile go through it: a block of A, read where it is, stays in the L2 cache while all panels of B pass by,
//! each packed and in the L1 cache while the rows of the block pass by. `f64` goes through `matrixmultiply`.

use num_traits::Float;

use super::{
    panel::{Rows, multiply},
    tile::{HasTile, NR, Steps, Tile},
};

/// The rows of B that are packed at a time: 16 KiB, for the L1 cache.
const DEPTH: usize = 256;

/// The rows of A that pass by at a time: with [`DEPTH`] columns 256 KiB, for the L2 cache.
const HEIGHT: usize = 256;

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
    /// `C = A B`, or, to `add`, `C += A B`, for `A: [m, k]`, `B: [k, n]` and `C: [m, n]`, whose rows start `c_stride` elements
    /// apart.
    ///
    /// Unless it adds, what `c` held is not read, not even a NaN.
    ///
    /// # Panics
    /// If the inner dimensions differ, or `c` is too small or its rows overlap.
    fn gemm(a: Matrix<Self>, b: Matrix<Self>, add: bool, c: &mut [Self], c_stride: usize);
}

impl Gemm for f32 {
    fn gemm(a: Matrix<f32>, b: Matrix<f32>, add: bool, c: &mut [f32], c_stride: usize) {
        let tile = f32::tile().expect("every CPU has a tile for f32");
        through_tile(tile, a, b, add, c, c_stride);
    }
}

impl Gemm for f64 {
    fn gemm(a: Matrix<f64>, b: Matrix<f64>, add: bool, c: &mut [f64], c_stride: usize) {
        let [m, k, n] = check(&a, &b, c, c_stride);
        // SAFETY: the constructors of Matrix have checked that every index of A and B, and `check` that every index of C, lies
        // in its slice; C is borrowed mutably, so it overlaps neither, and its rows do not overlap each other. A stride
        // between two rows or columns is less than a slice's length, so it fits in an isize; where there is only one, its
        // stride is never taken.
        unsafe {
            matrixmultiply::dgemm(
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
                if add { 1.0 } else { 0.0 },
                c.as_mut_ptr(),
                c_stride as isize,
                1,
            );
        }
    }
}

/// [`Gemm::gemm`] by the register tile. The sum of an element is made in the order of the inner dimension, however the product is
/// cut.
fn through_tile<T: Float>(tile: Tile<T>, a: Matrix<T>, b: Matrix<T>, add: bool, c: &mut [T], c_stride: usize) {
    let [m, k, n] = check(&a, &b, c, c_stride);
    if m == 0 {
        return;
    }
    let (mut panel, zero) = ([[T::zero(); NR]; DEPTH], [T::zero(); NR]);
    for top in (0..m).step_by(HEIGHT) {
        let height = HEIGHT.min(m - top);
        for start in (0..k.max(1)).step_by(DEPTH) {
            let depth = DEPTH.min(k - start);
            let steps = Steps::new([1, 1, depth], [0, 0, a.column_stride], [0, 0, NR]);
            let data = a.data.get(top * a.row_stride + start * a.column_stride..).unwrap_or_default();
            let rows = Rows { data, count: height, stride: a.row_stride };
            let init = (start == 0 && !add).then_some(&zero);
            for first in (0..n).step_by(NR) {
                let columns = NR.min(n - first);
                b.pack([start, first], columns, &mut panel[..depth]);
                let c = (&mut c[top * c_stride + first..], c_stride);
                multiply(tile, rows, &steps, panel[..depth].as_flattened(), init, c, columns);
            }
        }
    }
}

impl<T: Float> Matrix<'_, T> {
    /// Copies a block of `columns` columns from `[row, column]` on into a panel, whose other columns stay as they are.
    fn pack(&self, [row, column]: [usize; 2], columns: usize, panel: &mut [[T; NR]]) {
        if panel.is_empty() {
            return;
        }
        let at = row * self.row_stride + column * self.column_stride;
        if self.column_stride == 1 {
            for (i, to) in panel.iter_mut().enumerate() {
                to[..columns].copy_from_slice(&self.data[at + i * self.row_stride..][..columns]);
            }
        } else {
            for j in 0..columns {
                let from = &self.data[at + j * self.column_stride..];
                for (to, &from) in panel.iter_mut().zip(from) {
                    to[j] = from;
                }
            }
        }
    }
}

/// The sizes `m`, `k`, `n` of a product.
///
/// # Panics
/// See [`Gemm::gemm`].
fn check<T>(a: &Matrix<T>, b: &Matrix<T>, c: &[T], c_stride: usize) -> [usize; 3] {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(b.rows, k, "the inner dimensions of a product");
    assert!(c_stride >= n, "the rows of C overlap");
    assert!(
        last_index(m, n, c_stride, 1).is_none_or(|last| last < c.len()),
        "a {m}x{n} product of row stride {c_stride} does not fit in {} elements",
        c.len()
    );
    [m, k, n]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_and_transposes() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut c = [f64::NAN; 5];
        // [1 2 3; 4 5 6] times its transpose, into rows that are 3 apart.
        let a = Matrix::new(&a, 2, 3);
        f64::gemm(a, a.t(), false, &mut c, 3);
        assert_eq!((c[0], c[1], c[3], c[4]), (14.0, 32.0, 32.0, 77.0));
        assert!(c[2].is_nan(), "between the rows nothing is written");
        f64::gemm(a, a.t(), true, &mut c, 3);
        assert_eq!((c[0], c[4]), (28.0, 154.0));
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_result_that_is_too_small_is_refused() {
        let a = [1.0_f32; 4];
        let a = Matrix::new(&a, 2, 2);
        f32::gemm(a, a, false, &mut [0.0; 3], 2);
    }
}
