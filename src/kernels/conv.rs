//! Convolution, its gradient to the input and its gradient to the kernel.
//!
//! ```text
//! y[n, oy, ox, f] = bias[f] + sum over ky, kx, c of x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, c] kernel[ky, kx, c, f]
//! ```
//!
//! There are four algorithms: [`Depthwise`] where each channel is a group; [`Winograd`] for kernels of 3x3, without stride and dilation,
//! and multiples of 16 channels; [`DirectConv`] for all others; and, for numbers without a hand-written tile and for taps that are far
//! apart, [`conv_im2col`], the textbook way, which is also the reference that the others are tested against.
//! Each reads the kernel in a form of its own, which [`Conv::pack`] makes.

use num_traits::Float;

use super::{
    Pass, Window, conv_direct::DirectConv, conv_im2col, conv_winograd::Winograd, depthwise::Depthwise, gemm::Gemm,
    tile::HasTile,
};

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
    /// If `x` and `y` are not as long as these sizes say.
    pub(super) fn samples<T>(&self, x: &[T], y: &[T]) -> usize {
        let divides = |count: usize| count / self.groups * self.groups == count;
        assert!(divides(self.channels) && divides(self.filters), "groups divide channels and filters");
        let n = x.len() / self.input_len();
        assert_eq!(x.len(), n * self.input_len(), "a whole number of samples");
        assert_eq!(y.len(), n * self.output_len(), "as many outputs as samples");
        n
    }

    /// Floating-point operations of the forward pass for one sample; each gradient takes as many.
    pub fn flops(&self) -> usize {
        2 * self.window.outputs() * self.kernel_len()
    }

    /// How many elements of scratch memory the functions below need.
    pub fn scratch_len<T: Float + HasTile>(&self) -> usize {
        match Algorithm::<T>::of(self) {
            Algorithm::Depthwise(depthwise) => depthwise.scratch_len(),
            Algorithm::Winograd(winograd) => winograd.scratch_len(),
            Algorithm::Direct(direct) => direct.scratch_len(),
            Algorithm::Im2col => conv_im2col::scratch_len::<T>(self),
        }
    }

    /// How many elements the kernel takes in the form in which a pass reads it.
    pub fn packed_len<T: Float + HasTile>(&self, pass: Pass) -> usize {
        match (Algorithm::<T>::of(self), pass) {
            (Algorithm::Winograd(winograd), _) => winograd.packed_len(),
            (Algorithm::Direct(direct), Pass::Forward) => direct.packed_len(),
            (Algorithm::Direct(direct), Pass::Backward) => direct.transposed_len(),
            (Algorithm::Depthwise(_) | Algorithm::Im2col, _) => self.kernel_len(),
        }
    }

    /// Brings `kernel: [kh, kw, cin / groups, cout]` into the form in which a pass reads it. Overwrites all of `packed`, of
    /// [`packed_len`](Conv::packed_len) elements.
    pub fn pack<T: Float + HasTile>(&self, kernel: &[T], pass: Pass, packed: &mut [T]) {
        assert_eq!(kernel.len(), self.kernel_len(), "the kernel");
        match (Algorithm::of(self), pass) {
            (Algorithm::Depthwise(depthwise), _) => depthwise.pack(kernel, pass, packed),
            (Algorithm::Winograd(winograd), Pass::Forward) => winograd.pack(kernel, packed),
            (Algorithm::Winograd(winograd), Pass::Backward) => winograd.pack_transposed(kernel, packed),
            (Algorithm::Direct(direct), Pass::Forward) => direct.pack(kernel, packed),
            (Algorithm::Direct(direct), Pass::Backward) => direct.pack_transposed(kernel, packed),
            (Algorithm::Im2col, _) => packed.copy_from_slice(kernel),
        }
    }
}

/// How a convolution is computed.
enum Algorithm<'a, T> {
    Depthwise(Depthwise<'a>),
    Winograd(Winograd<'a, T>),
    Direct(DirectConv<'a, T>),
    Im2col,
}

impl<'a, T: Float + HasTile> Algorithm<'a, T> {
    fn of(conv: &'a Conv) -> Self {
        if let Some(depthwise) = Depthwise::new(conv) {
            return Algorithm::Depthwise(depthwise);
        }
        match (Winograd::new(conv), DirectConv::new(conv)) {
            (Some(winograd), _) => Algorithm::Winograd(winograd),
            (None, Some(direct)) => Algorithm::Direct(direct),
            (None, None) => Algorithm::Im2col,
        }
    }
}

/// The convolution: overwrites `y: [n, oh, ow, cout]`, and calls `epilogue` for each finished part of it, whole
/// rows.
///
/// `x: [n, h, w, cin]`, `bias: [cout]`; `packed` is the kernel, [packed](Conv::pack) for [`Pass::Forward`], and `scratch` has
/// [`scratch_len`](Conv::scratch_len) elements.
pub fn forward<T: Float + Gemm + HasTile>(
    conv: &Conv,
    x: &[T],
    packed: &[T],
    bias: Option<&[T]>,
    y: &mut [T],
    scratch: &mut [T],
    epilogue: impl Fn(&mut [T]),
) {
    match Algorithm::of(conv) {
        Algorithm::Depthwise(depthwise) => depthwise.forward(x, packed, bias, y, scratch, epilogue),
        Algorithm::Winograd(winograd) => winograd.forward(x, packed, bias, y, scratch, epilogue),
        Algorithm::Direct(direct) => direct.forward(x, packed, bias, y, scratch, epilogue),
        Algorithm::Im2col => conv_im2col::forward(conv, x, packed, bias, y, scratch, epilogue),
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
    match Algorithm::of(conv) {
        Algorithm::Depthwise(depthwise) => depthwise.kernel_gradient(x, dy, dkernel, scratch),
        Algorithm::Winograd(winograd) => winograd.gradients(dy, Some((x, dkernel)), None, scratch),
        Algorithm::Direct(direct) => direct.kernel_gradient(x, dy, dkernel, scratch),
        Algorithm::Im2col => conv_im2col::kernel_gradient(conv, x, dy, dkernel, scratch),
    }
}

/// Overwrites `dx: [n, h, w, cin]` with the gradient to the input, from `dy: [n, oh, ow, cout]` and the kernel,
/// [packed](Conv::pack) for [`Pass::Backward`].
pub fn input_gradient<T: Float + Gemm + HasTile>(conv: &Conv, packed: &[T], dy: &[T], dx: &mut [T], scratch: &mut [T]) {
    match Algorithm::of(conv) {
        Algorithm::Depthwise(depthwise) => depthwise.input_gradient(packed, dy, dx, scratch),
        Algorithm::Winograd(winograd) => winograd.gradients(dy, None, Some((packed, dx)), scratch),
        Algorithm::Direct(direct) => direct.input_gradient(packed, dy, dx, scratch),
        Algorithm::Im2col => conv_im2col::input_gradient(conv, packed, dy, dx, scratch),
    }
}

/// [`kernel_gradient`] and [`input_gradient`], in one pass where the algorithm shares work between them.
pub fn gradients<T: Float + Gemm + HasTile>(
    conv: &Conv,
    (x, dkernel): (&[T], &mut [T]),
    dy: &[T],
    (packed, dx): (&[T], &mut [T]),
    scratch: &mut [T],
) {
    if let Algorithm::Winograd(winograd) = Algorithm::of(conv) {
        return winograd.gradients(dy, Some((x, dkernel)), Some((packed, dx)), scratch);
    }
    kernel_gradient(conv, x, dy, dkernel, scratch);
    input_gradient(conv, packed, dy, dx, scratch);
}
