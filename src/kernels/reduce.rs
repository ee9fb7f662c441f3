//! Sums over rows.

use num_traits::Float;

/// Adds the rows of `x: [rows, columns]` to `sum: [columns]`, in their order.
pub fn add_rows<T: Float>(x: &[T], sum: &mut [T]) {
    for row in x.chunks_exact(sum.len().max(1)) {
        for (sum, &x) in sum.iter_mut().zip(row) {
            *sum = *sum + x;
        }
    }
}

/// Sets each row of `y: [rows, columns]` to `row`.
pub fn fill_rows<T: Copy>(row: &[T], y: &mut [T]) {
    for y in y.chunks_exact_mut(row.len().max(1)) {
        y.copy_from_slice(row);
    }
}
