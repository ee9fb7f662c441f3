//! Convolution, its gradient to the input and its gradient to the kernel.
//!
//! ```text
//! y[n, oy, ox, f] = bias[f] + sum over ky, kx, c of x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, c] kernel[ky, kx, c, f]
//! ```
//!
//! Where the CPU has a hand-written tile, [`DirectConv`] computes them, and elsewhere [`conv_im2col`], the textbook way, which is also
//! the reference that the first is tested against.

use num_traits::Float;

use super::{Window, conv_direct::DirectConv, conv_im2col, gemm::Gemm, tile::HasTile};

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// The window of the kernel.
    pub window: Window,
    /// `cin`: the channels of the input.
    pub channels: usize,
    /// `cout`: the channels of the output.
    pub filters: usize,
    /// Into how many parts both are cut; a part of the output sees only its part of the input.
    pub groups: usize,
}

impl Conv {
    /// The elements of one sample of the input, `h * w * cin`.
    pub fn input_len(&self) -> usize {
        self.window.pixels() * self.channels
    }

    /// The elements of one sample of the output, `oh * ow * cout`.
    pub fn output_len(&self) -> usize {
        self.window.outputs() * self.filters
    }

    /// The elements of the kernel, `kh * kw * cin / groups * cout`.
    pub fn kernel_len(&self) -> usize {
        self.patch() * self.filters
    }

    /// The elements that one output of one group sees.
    pub fn patch(&self) -> usize {
        self.window.taps() * self.channels / self.groups
    }

    /// The number of samples in `x: [n, h, w, cin]` and `y: [n, oh, ow, cout]`.
    ///
    /// # Panics
    /// If `x`, `kernel` and `y` are not as long as these sizes say.
    pub(super) fn samples<T>(&self, x: &[T], kernel: &[T], y: &[T]) -> usize {
        let divides = |count: usize| count / self.groups * self.groups == count;
        assert!(divides(self.channels) && divides(self.filters), "groups divide channels and filters");
        let n = x.len() / self.input_len();
        assert_eq!(x.len(), n * self.input_len(), "a whole number of samples");
        assert_eq!(y.len(), n * self.output_len(), "as many outputs as samples");
        assert_eq!(kernel.len(), self.kernel_len(), "the kernel");
        n
    }

    /// Floating-point operations of the forward pass for one sample; each gradient takes as many.
    pub fn flops(&self) -> usize {
        2 * self.window.outputs() * self.kernel_len()
    }

    /// How many elements of scratch memory the kernels below need.
    pub fn scratch_len<T: Float + HasTile>(&self) -> usize {
        match DirectConv::<T>::new(self) {
            Some(direct) => direct.scratch_len(),
            None => conv_im2col::scratch_len::<T>(self),
        }
    }
}

/// The convolution: overwrites `y: [n, oh, ow, cout]`, and calls `epilogue` for each finished part of it, while it is
/// still in the cache.
///
/// `x: [n, h, w, cin]`, `kernel: [kh, kw, cin / groups, cout]`, `bias: [cout]`; `scratch` has
/// [`scratch_len`](Conv::scratch_len) elements.
pub fn forward<T: Float + Gemm + HasTile>(
    conv: &Conv,
    x: &[T],
    kernel: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    scratch: &mut [T],
    epilogue: impl Fn(&mut [T]),
) {
    match DirectConv::new(conv) {
        Some(direct) => direct.forward(x, kernel, bias, y, scratch, epilogue),
        None => conv_im2col::forward(conv, x, kernel, bias, y, scratch, epilogue),
    }
}

/// Adds to `dkernel: [kh, kw, cin / groups, cout]` the gradient to the kernel, from `x: [n, h, w, cin]` and
/// `dy: [n, oh, ow, cout]`.
pub fn kernel_gradient<T: Float + Gemm + HasTile>(
    conv: &Conv,
    x: &[T],
    dy: &[T],
    dkernel: &mut [T],
    scratch: &mut [T],
) {
    match DirectConv::new(conv) {
        Some(direct) => direct.kernel_gradient(x, dy, dkernel, scratch),
        None => conv_im2col::kernel_gradient(conv, x, dy, dkernel, scratch),
    }
}

/// Overwrites `dx: [n, h, w, cin]` with the gradient to the input, from `dy: [n, oh, ow, cout]`.
pub fn input_gradient<T: Float + Gemm + HasTile>(conv: &Conv, kernel: &[T], dy: &[T], dx: &mut [T], scratch: &mut [T]) {
    match DirectConv::new(conv) {
        Some(direct) => direct.input_gradient(kernel, dy, dx, scratch),
        None => conv_im2col::input_gradient(conv, kernel, dy, dx, scratch),
    }
}
