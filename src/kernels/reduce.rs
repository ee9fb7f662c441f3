//! Sums over rows, and one row for all.

use num_traits::Float;

use super::simd::vectorized;

/// Columns that are summed at a time, in registers.
const LANES: usize = 32;

/// Adds the rows of `x: [rows, columns]` to `sum: [columns]`, in their order.
pub fn add_rows<T: Float>(x: &[T], sum: &mut [T]) {
    let columns = sum.len();
    if columns == 0 {
        return;
    }
    vectorized(
        #[inline(always)]
        || {
            let (lanes, rest) = sum.as_chunks_mut::<LANES>();
            let first = lanes.len() * LANES;
            for (i, sum) in lanes.iter_mut().enumerate() {
                let mut part = *sum;
                for row in x.chunks_exact(columns) {
                    let row: &[T; LANES] = row[i * LANES..].first_chunk().expect("a row has all columns");
                    for l in 0..LANES {
                        part[l] = part[l] + row[l];
                    }
                }
                *sum = part;
            }
            for row in x.chunks_exact(columns) {
                for (sum, &x) in rest.iter_mut().zip(&row[first..]) {
                    *sum = *sum + x;
                }
            }
        },
    );
}

/// Sets each row of `y: [rows, columns]` to `row`.
pub fn fill_rows<T: Copy>(row: &[T], y: &mut [T]) {
    for y in y.chunks_exact_mut(row.len().max(1)) {
        y.copy_from_slice(row);
    }
}

/// Adds `row` to each row of `y: [rows, columns]`.
pub fn add_to_rows<T: Float>(row: &[T], y: &mut [T]) {
    vectorized(
        #[inline(always)]
        || {
            for y in y.chunks_exact_mut(row.len().max(1)) {
                for (y, &row) in y.iter_mut().zip(row) {
                    *y = *y + row;
                }
            }
        },
    );
}
