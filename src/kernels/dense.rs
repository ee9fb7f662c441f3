//! The products of a dense layer, in parallel over fixed blocks, so that the bits do not depend on the threads.

use num_traits::Float;
use rayon::prelude::*;

use super::{
    gemm::{Gemm, Matrix},
    reduce,
};

/// Rows of a result that one task computes. A constant: the order of the additions must not depend on the machine.
const BLOCK: usize = 32;

/// Overwrites `y: [rows, units]` with `x kernel + bias`, and calls `epilogue` for each finished block of rows.
/// `x: [rows, features]`, `kernel: [features, units]`, `bias: [units]`.
pub fn forward<T: Float + Gemm + Send + Sync>(
    x: &[T],
    kernel: &[T],
    bias: Option<&[T]>,
    [features, units]: [usize; 2],
    y: &mut [T],
    epilogue: impl Fn(&mut [T]) + Sync,
) {
    let block = |(y, x): (&mut [T], &[T])| {
        if let Some(bias) = bias {
            reduce::fill_rows(bias, y);
        }
        let x = Matrix::new(x, x.len() / features, features);
        T::gemm(x, Matrix::new(kernel, features, units), bias.is_some(), y, units);
        epilogue(y);
    };
    // A single block is not worth the way to another thread.
    if rows(x, y, [features, units]) <= BLOCK {
        return block((y, x));
    }
    y.par_chunks_mut(BLOCK * units).zip(x.par_chunks(BLOCK * features)).for_each(block);
}

/// Adds `x' dy` to `dkernel: [features, units]`. `x: [rows, features]`, `dy: [rows, units]`.
pub fn kernel_gradient<T: Float + Gemm + Send + Sync>(
    x: &[T],
    dy: &[T],
    [features, units]: [usize; 2],
    dkernel: &mut [T],
) {
    let rows = rows(x, dy, [features, units]);
    if rows == 0 {
        return;
    }
    // Whole rows of the kernel for each task; few, so that a wide input gives every thread something to do.
    dkernel.par_chunks_mut(BLOCK * units).enumerate().for_each(|(i, dkernel)| {
        let block = dkernel.len() / units;
        let x = Matrix::with_stride(&x[i * BLOCK..], rows, block, features);
        T::gemm(x.t(), Matrix::new(dy, rows, units), true, dkernel, units);
    });
}

/// Overwrites `dx: [rows, features]` with `dy kernel'`.
pub fn input_gradient<T: Float + Gemm + Send + Sync>(
    kernel: &[T],
    dy: &[T],
    [features, units]: [usize; 2],
    dx: &mut [T],
) {
    rows(dx, dy, [features, units]);
    dx.par_chunks_mut(BLOCK * features).zip(dy.par_chunks(BLOCK * units)).for_each(|(dx, dy)| {
        let dy = Matrix::new(dy, dy.len() / units, units);
        T::gemm(dy, Matrix::new(kernel, features, units).t(), false, dx, features);
    });
}

/// The number of rows of `x: [rows, features]` and `y: [rows, units]`.
fn rows<T>(x: &[T], y: &[T], [features, units]: [usize; 2]) -> usize {
    let rows = x.len() / features;
    assert_eq!(x.len(), rows * features, "a whole number of rows");
    assert_eq!(y.len(), rows * units, "as many rows of results");
    rows
}
