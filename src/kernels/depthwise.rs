//! Depthwise convolution and its gradients: each channel is convolved by itself, `m` times.
//!
//! ```text
//! y[n, oy, ox, c*m + j] = bias[c*m + j] + sum over ky, kx of x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, c] kernel[ky, kx, 0, c*m + j]
//! ```
//!
//! A product of matrices would have nothing to reuse, so there is none: the channels are innermost, 16 at a time. The gradient to
//! the input is a convolution, too, of `dy` with the taps in reverse. For `m > 1` the outputs with the same `j` are taken
//! apart into an image of their own, a plane.

use std::array;

use num_traits::Float;

use super::{
    Pass,
    conv::Conv,
    reduce,
    simd::vectorized,
    taps::{Axis, Run, TAPS},
};

/// Channels that are worked on at a time.
const LANES: usize = 16;

/// As many, where [`LANES`] do not divide the channels.
const FEW_LANES: usize = 8;

/// With as many vectors of [`LANES`] in a pixel, a line is worked on pixel by pixel, and with fewer, vector by vector: then the weights
/// stay in registers, but pixels of many channels fall on each other in the L1 cache.
const MANY: usize = 8;

/// A convolution in which each of several channels is a group of its own.
pub struct Depthwise<'a> {
    conv: &'a Conv,
    /// `m`
    multiplier: usize,
}

impl<'a> Depthwise<'a> {
    /// `None` for other convolutions. One of a single channel is a plain one.
    pub fn new(conv: &'a Conv) -> Option<Self> {
        let depthwise = conv.groups == conv.channels && conv.groups > 1;
        depthwise.then(|| Depthwise { conv, multiplier: conv.filters / conv.channels })
    }

    /// How many elements of scratch memory the methods below need.
    pub fn scratch_len(&self) -> usize {
        if self.multiplier > 1 { self.conv.window.outputs() * self.conv.channels } else { 0 }
    }

    /// Packs the kernel as planes, `[m, taps, channels]`, for the backward pass with the taps in reverse.
    pub fn pack<T: Copy>(&self, kernel: &[T], pass: Pass, packed: &mut [T]) {
        let Conv { window, channels, filters, .. } = *self.conv;
        for (j, plane) in packed.chunks_exact_mut(window.taps() * channels).enumerate() {
            for (tap, weights) in plane.chunks_exact_mut(channels).enumerate() {
                let tap = if pass == Pass::Forward { tap } else { window.taps() - 1 - tap };
                self.split(&kernel[tap * filters..][..filters], j, weights);
            }
        }
    }

    /// [`conv::forward`](super::conv::forward), with the kernel of [`pack`](Depthwise::pack).
    pub fn forward<T: Float>(
        &self,
        x: &[T],
        packed: &[T],
        bias: Option<&[T]>,
        y: &mut [T],
        scratch: &mut [T],
        epilogue: impl Fn(&mut [T]),
    ) {
        let Conv { window, channels, .. } = *self.conv;
        self.conv.samples(x, y);
        let axes = [0, 1].map(|axis| Axis::forward(&window, axis));
        let plane = &mut scratch[..self.scratch_len()];
        for (x, y) in x.chunks_exact(self.conv.input_len()).zip(y.chunks_exact_mut(self.conv.output_len())) {
            match bias {
                Some(bias) => reduce::fill_rows(bias, y),
                None => y.fill(T::zero()),
            }
            for (j, kernel) in packed.chunks_exact(window.taps() * channels).enumerate() {
                if self.multiplier == 1 {
                    convolve(axes, x, kernel, y);
                } else {
                    self.split(y, j, plane);
                    convolve(axes, x, kernel, plane);
                    for (y, &sum) in y[j..].iter_mut().step_by(self.multiplier).zip(&*plane) {
                        *y = sum;
                    }
                }
            }
            epilogue(y);
        }
    }

    /// [`conv::input_gradient`](super::conv::input_gradient), with the kernel of [`pack`](Depthwise::pack).
    pub fn input_gradient<T: Float>(&self, packed: &[T], dy: &[T], dx: &mut [T], scratch: &mut [T]) {
        let Conv { window, channels, .. } = *self.conv;
        self.conv.samples(dx, dy);
        let axes = [0, 1].map(|axis| Axis::backward(&window, axis));
        let plane = &mut scratch[..self.scratch_len()];
        for (dy, dx) in dy.chunks_exact(self.conv.output_len()).zip(dx.chunks_exact_mut(self.conv.input_len())) {
            dx.fill(T::zero());
            for (j, kernel) in packed.chunks_exact(window.taps() * channels).enumerate() {
                convolve(axes, self.plane(dy, j, plane), kernel, dx);
            }
        }
    }

    /// [`conv::kernel_gradient`](super::conv::kernel_gradient).
    pub fn kernel_gradient<T: Float>(&self, x: &[T], dy: &[T], dkernel: &mut [T], scratch: &mut [T]) {
        let Conv { window, channels, .. } = *self.conv;
        self.conv.samples(x, dy);
        assert_eq!(dkernel.len(), self.conv.kernel_len(), "the kernel");
        let axes = [0, 1].map(|axis| Axis::forward(&window, axis));
        let plane = &mut scratch[..self.scratch_len()];
        for (x, dy) in x.chunks_exact(self.conv.input_len()).zip(dy.chunks_exact(self.conv.output_len())) {
            for j in 0..self.multiplier {
                correlate(axes, channels, x, self.plane(dy, j, plane), (&mut dkernel[j..], self.multiplier));
            }
        }
    }

    /// The outputs with this `j` of a sample.
    fn plane<'b, T: Copy>(&self, y: &'b [T], j: usize, plane: &'b mut [T]) -> &'b [T] {
        if self.multiplier == 1 {
            return y;
        }
        self.split(y, j, plane);
        plane
    }

    /// Copies every `m`th element, from `j` on.
    fn split<T: Copy>(&self, from: &[T], j: usize, to: &mut [T]) {
        for (to, &from) in to.iter_mut().zip(from[j..].iter().step_by(self.multiplier)) {
            *to = from;
        }
    }
}

/// Adds to each target its sum over the taps.
fn convolve<T: Float>(axes: [Axis; 2], source: &[T], kernel: &[T], target: &mut [T]) {
    let channels = kernel.len() / (axes[0].taps * axes[1].taps);
    vectorized(
        #[inline(always)]
        || {
            if channels.is_multiple_of(LANES) {
                convolve_lanes::<T, LANES>(axes, channels / LANES, source, kernel, target);
            } else if channels.is_multiple_of(FEW_LANES) {
                convolve_lanes::<T, FEW_LANES>(axes, channels / FEW_LANES, source, kernel, target);
            } else {
                convolve_lanes::<T, 1>(axes, channels, source, kernel, target);
            }
        },
    );
}

#[inline(always)]
fn convolve_lanes<T: Float, const N: usize>(
    axes: [Axis; 2],
    pixel: usize,
    source: &[T],
    kernel: &[T],
    target: &mut [T],
) {
    let (kernel, target) = (kernel.as_chunks::<N>().0, target.as_chunks_mut::<N>().0);
    for_each_line(axes, pixel, source.as_chunks().0, |line, first_target, first_weight| {
        let (target, weights) = (&mut target[first_target * pixel..], &kernel[first_weight * pixel..]);
        if line.taps == TAPS { line.convolve::<TAPS>(weights, target) } else { line.convolve::<1>(weights, target) }
    });
}

/// Adds to every `m`th element of `dkernel` the gradient to the weights, from `x` and `dy`.
fn correlate<T: Float>(axes: [Axis; 2], channels: usize, x: &[T], dy: &[T], (dkernel, m): (&mut [T], usize)) {
    vectorized(
        #[inline(always)]
        || {
            if channels.is_multiple_of(LANES) {
                correlate_lanes::<T, LANES>(axes, channels / LANES, x, dy, dkernel, m);
            } else if channels.is_multiple_of(FEW_LANES) {
                correlate_lanes::<T, FEW_LANES>(axes, channels / FEW_LANES, x, dy, dkernel, m);
            } else {
                correlate_lanes::<T, 1>(axes, channels, x, dy, dkernel, m);
            }
        },
    );
}

#[inline(always)]
fn correlate_lanes<T: Float, const N: usize>(
    axes: [Axis; 2],
    pixel: usize,
    x: &[T],
    dy: &[T],
    dkernel: &mut [T],
    m: usize,
) {
    let dy = dy.as_chunks::<N>().0;
    for_each_line(axes, pixel, x.as_chunks().0, |line, first_output, first_weight| {
        let (dy, dkernel) = (&dy[first_output * pixel..], &mut dkernel[first_weight * pixel * N * m..]);
        if line.taps == TAPS { line.correlate::<TAPS>(dy, dkernel, m) } else { line.correlate::<1>(dy, dkernel, m) }
    });
}

/// Calls `visit` for each tap of each target that reads a source, a line of targets and one or more taps at a time, with the
/// numbers of the first target and of the first weight. `pixel` is the number of vectors in a pixel.
#[inline(always)]
fn for_each_line<'a, T, const N: usize>(
    [height, width]: [Axis; 2],
    pixel: usize,
    source: &'a [[T; N]],
    mut visit: impl FnMut(Line<'a, T, N>, usize, usize),
) {
    for (down, across) in height.phases().flat_map(|down| width.phases().map(move |across| (down, across))) {
        for line in 0..down.targets {
            for Run { tap, taps, targets } in across.runs() {
                for ky in down.taps_inside(line) {
                    let first = down.source(line, ky) * width.sources as isize + across.source(targets.start, tap);
                    let line_of_sources = Line {
                        pixel,
                        taps,
                        count: targets.len(),
                        source: &source[first as usize * pixel..],
                        source_step: across.stride * pixel,
                        tap_step: across.dilation * pixel,
                        target_step: across.target_step * pixel,
                        weight_step: across.tap_step * pixel,
                    };
                    let target = down.target(line) * width.targets + across.target(targets.start);
                    visit(line_of_sources, target, down.weight(ky) * width.taps + across.weight(tap));
                }
            }
        }
    }
}

/// Sources that some taps read for a line of targets. All steps are in vectors of `N` channels.
struct Line<'a, T, const N: usize> {
    /// The vectors of a pixel.
    pixel: usize,
    taps: usize,
    /// The targets.
    count: usize,
    /// From what the first tap reads for the first target on.
    source: &'a [[T; N]],
    source_step: usize,
    tap_step: usize,
    target_step: usize,
    weight_step: usize,
}

impl<T: Float, const N: usize> Line<'_, T, N> {
    /// Adds to each target the products of `K` sources with their weights.
    #[inline(always)]
    fn convolve<const K: usize>(&self, weights: &[[T; N]], target: &mut [[T; N]]) {
        if self.pixel < MANY {
            for vector in 0..self.pixel {
                let weights: [[T; N]; K] = array::from_fn(|k| weights[k * self.weight_step + vector]);
                let (sources, target) =
                    (self.vectors::<K>(vector), &mut target[vector..][..self.reach(self.target_step)]);
                for i in 0..self.count {
                    let mut sum = target[i * self.target_step];
                    for k in 0..K {
                        add_products(&mut sum, &sources[k][i * self.source_step], &weights[k]);
                    }
                    target[i * self.target_step] = sum;
                }
            }
            return;
        }
        let weights: [&[[T; N]]; K] = array::from_fn(|k| &weights[k * self.weight_step..][..self.pixel]);
        for i in 0..self.count {
            let (sources, target) = (self.pixels::<K>(i), &mut target[i * self.target_step..][..self.pixel]);
            for vector in 0..self.pixel {
                let mut sum = target[vector];
                for k in 0..K {
                    add_products(&mut sum, &sources[k][vector], &weights[k][vector]);
                }
                target[vector] = sum;
            }
        }
    }

    /// Adds to every `m`th of the gradients to `K` weights the products of their sources with `dy`.
    #[inline(always)]
    fn correlate<const K: usize>(&self, dy: &[[T; N]], dkernel: &mut [T], m: usize) {
        if self.pixel < MANY || m > 1 {
            for vector in 0..self.pixel {
                let (sources, dy) = (self.vectors::<K>(vector), &dy[vector..][..self.reach(self.target_step)]);
                let mut sums = [[T::zero(); N]; K];
                for i in 0..self.count {
                    for k in 0..K {
                        add_products(&mut sums[k], &sources[k][i * self.source_step], &dy[i * self.target_step]);
                    }
                }
                for (k, sum) in sums.iter().enumerate() {
                    let dkernel = &mut dkernel[(k * self.weight_step + vector) * N * m..];
                    for (dkernel, &sum) in dkernel.iter_mut().step_by(m).zip(sum) {
                        *dkernel = *dkernel + sum;
                    }
                }
            }
            return;
        }
        for i in 0..self.count {
            let (sources, dy) = (self.pixels::<K>(i), &dy[i * self.target_step..][..self.pixel]);
            let mut weights = dkernel.as_chunks_mut().0.chunks_mut(self.weight_step);
            let weights: [&mut [[T; N]]; K] =
                array::from_fn(|_| &mut weights.next().expect("a weight for each tap")[..self.pixel]);
            for vector in 0..self.pixel {
                for k in 0..K {
                    add_products(&mut weights[k][vector], &sources[k][vector], &dy[vector]);
                }
            }
        }
    }

    /// A vector of what each of `K` taps reads, for all targets.
    #[inline(always)]
    fn vectors<const K: usize>(&self, vector: usize) -> [&[[T; N]]; K] {
        array::from_fn(|k| &self.source[k * self.tap_step + vector..][..self.reach(self.source_step)])
    }

    /// What each of `K` taps reads for a target.
    #[inline(always)]
    fn pixels<const K: usize>(&self, target: usize) -> [&[[T; N]]; K] {
        array::from_fn(|k| &self.source[k * self.tap_step + target * self.source_step..][..self.pixel])
    }

    /// From the first of the pixels to the last.
    #[inline(always)]
    fn reach(&self, step: usize) -> usize {
        (self.count - 1) * step + 1
    }
}

#[inline(always)]
fn add_products<T: Float, const N: usize>(sum: &mut [T; N], a: &[T; N], b: &[T; N]) {
    for l in 0..N {
        sum[l] = sum[l] + a[l] * b[l];
    }
}
