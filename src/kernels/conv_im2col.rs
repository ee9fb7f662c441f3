//! Convolution and its gradients by im2col and a matrix product, the textbook way.
//!
//! The outputs are computed in blocks of lines, so that a block's columns stay in the L2 cache between im2col, which
//! writes them, and the product, which reads them.

use std::ops::Range;

use num_traits::Float;

use super::{
    conv::Conv,
    gemm::{Gemm, Matrix},
    im2col::{Channels, col2im, im2col},
    reduce,
};

/// How many bytes of columns are computed at a time: half of a common L2 cache.
const BLOCK_BYTES: usize = 256 * 1024;

/// How many elements of scratch memory the kernels of this module need.
pub fn scratch_len<T>(conv: &Conv) -> usize {
    conv.lines_per_block::<T>() * conv.window.output[1] * conv.patch()
}

/// [`conv::forward`](super::conv::forward).
pub fn forward<T: Float + Gemm>(
    conv: &Conv,
    x: &[T],
    kernel: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    scratch: &mut [T],
    epilogue: impl Fn(&mut [T]),
) {
    let n = conv.samples(x, y);
    for lines in conv.blocks::<T>(n) {
        let y = &mut y[conv.outputs(&lines)];
        if let Some(bias) = bias {
            reduce::fill_rows(bias, y);
        }
        for (channels, filters) in conv.parts() {
            let columns = conv.columns(channels, x, lines.clone(), scratch);
            T::gemm(columns, conv.weights(kernel, &filters), bias.is_some(), &mut y[filters.start..], conv.filters);
        }
        epilogue(y);
    }
}

/// [`conv::kernel_gradient`](super::conv::kernel_gradient).
pub fn kernel_gradient<T: Float + Gemm>(conv: &Conv, x: &[T], dy: &[T], dkernel: &mut [T], scratch: &mut [T]) {
    let n = conv.samples(x, dy);
    for lines in conv.blocks::<T>(n) {
        let dy = &dy[conv.outputs(&lines)];
        for (channels, filters) in conv.parts() {
            let columns = conv.columns(channels, x, lines.clone(), scratch);
            let rows = dy.len() / conv.filters;
            let dy = Matrix::with_stride(&dy[filters.start..], rows, filters.len(), conv.filters);
            T::gemm(columns.t(), dy, true, &mut dkernel[filters.start..], conv.filters);
        }
    }
}

/// [`conv::input_gradient`](super::conv::input_gradient).
pub fn input_gradient<T: Float + Gemm>(conv: &Conv, kernel: &[T], dy: &[T], dx: &mut [T], scratch: &mut [T]) {
    let n = conv.samples(dx, dy);
    dx.fill(T::zero());
    for lines in conv.blocks::<T>(n) {
        let dy = &dy[conv.outputs(&lines)];
        for (channels, filters) in conv.parts() {
            let rows = dy.len() / conv.filters;
            let dy = Matrix::with_stride(&dy[filters.start..], rows, filters.len(), conv.filters);
            let columns = &mut scratch[..rows * conv.patch()];
            T::gemm(dy, conv.weights(kernel, &filters).t(), false, columns, conv.patch());
            col2im(&conv.window, channels, columns, lines.clone(), dx);
        }
    }
}

impl Conv {
    fn lines_per_block<T>(&self) -> usize {
        let line = self.window.output[1] * self.patch() * size_of::<T>();
        (BLOCK_BYTES / line.max(1)).max(1)
    }

    /// The blocks of output lines of `n` samples.
    fn blocks<T>(&self, n: usize) -> impl Iterator<Item = Range<usize>> + use<T> {
        let (lines, step) = (n * self.window.output[0], self.lines_per_block::<T>());
        (0..lines).step_by(step).map(move |start| start..(start + step).min(lines))
    }

    /// The groups: the channels that each sees, and the filters that it computes.
    fn parts(&self) -> impl Iterator<Item = (Channels, Range<usize>)> + use<> {
        let (count, filters) = (self.channels / self.groups, self.filters / self.groups);
        let total = self.channels;
        (0..self.groups).map(move |g| (Channels { total, first: g * count, count }, g * filters..(g + 1) * filters))
    }

    /// The weights of one group as a matrix, `[patch, filters / groups]`.
    fn weights<'a, T>(&self, kernel: &'a [T], filters: &Range<usize>) -> Matrix<'a, T> {
        Matrix::with_stride(&kernel[filters.start..], self.patch(), filters.len(), self.filters)
    }

    /// The columns of a block: written by im2col into scratch, or, where each output sees one pixel, the image itself.
    fn columns<'a, T: Float>(
        &self,
        channels: Channels,
        x: &'a [T],
        lines: Range<usize>,
        scratch: &'a mut [T],
    ) -> Matrix<'a, T> {
        let rows = lines.len() * self.window.output[1];
        if self.window.is_pointwise() {
            let first = lines.start * self.window.output[1] * channels.total + channels.first;
            return Matrix::with_stride(&x[first..], rows, channels.count, channels.total);
        }
        let columns = &mut scratch[..rows * self.patch()];
        im2col(&self.window, channels, x, lines, columns);
        Matrix::new(columns, rows, self.patch())
    }

    /// The elements of the output (or of its gradient) that a block of lines holds.
    fn outputs(&self, lines: &Range<usize>) -> Range<usize> {
        let line = self.window.output[1] * self.filters;
        lines.start * line..lines.end * line
    }
}
