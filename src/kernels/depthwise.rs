//! Depthwise convolution and its gradients: each channel is convolved by itself, `m` times.
//!
//! ```text
//! y[n, oy, ox, c*m + j] = bias[c*m + j] + sum over ky, kx of x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, c] kernel[ky, kx, 0, c*m + j]
//! ```
//!
//! A product of matrices would have nothing to reuse, so there is none: the channels are innermost, and the sums over the taps
//! are made in registers, for a few channels of a few pixels at a time. The gradient to the input is a convolution, too,
//! of `dy` with the taps in reverse. For `m > 1` the outputs with the same `j` are taken apart into an image of their own, a plane.

use std::{array, ops::Range};

use num_traits::Float;

use super::{Pass, Window, conv::Conv, simd::vectorized};

/// Channels that are summed at a time.
const LANES: usize = 16;

/// As many, where there are not enough of them left.
const FEW_LANES: usize = 4;

/// Pixels that are summed at a time: a weight is loaded once for all of them.
const PIXELS: usize = 4;

/// Taps whose gradients are summed at a time: `dy` is loaded once for all of them.
const TAPS: usize = 3;

/// Pixels of the output that are worked on at a time for the gradient to the kernel: 16 channels of them, and of the pixels that they
/// see, stay in the L1 cache.
const BLOCK_PIXELS: usize = 128;

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
        let plane = if self.multiplier > 1 { self.conv.window.outputs() * self.conv.channels } else { 0 };
        self.conv.filters + plane
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
        let Conv { window, channels, filters, .. } = *self.conv;
        self.conv.samples(x, y);
        let axes = [Axis::forward(&window, 0), Axis::forward(&window, 1)];
        let (starts, plane) = scratch[..self.scratch_len()].split_at_mut(filters);
        for (j, start) in starts.chunks_exact_mut(channels).enumerate() {
            match bias {
                Some(bias) => self.split(bias, j, start),
                None => start.fill(T::zero()),
            }
        }
        for (x, y) in x.chunks_exact(self.conv.input_len()).zip(y.chunks_exact_mut(self.conv.output_len())) {
            let planes = packed.chunks_exact(window.taps() * channels).zip(starts.chunks_exact(channels));
            for (j, (kernel, start)) in planes.enumerate() {
                if self.multiplier == 1 {
                    sum_taps(axes, x, kernel, Some(start), y);
                } else {
                    sum_taps(axes, x, kernel, Some(start), plane);
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
        let Conv { window, channels, filters, .. } = *self.conv;
        self.conv.samples(dx, dy);
        let axes = [Axis::backward(&window, 0), Axis::backward(&window, 1)];
        let (zeros, plane) = scratch[..self.scratch_len()].split_at_mut(filters);
        zeros.fill(T::zero());
        for (dy, dx) in dy.chunks_exact(self.conv.output_len()).zip(dx.chunks_exact_mut(self.conv.input_len())) {
            for (j, kernel) in packed.chunks_exact(window.taps() * channels).enumerate() {
                let start = (j == 0).then_some(&zeros[..channels]);
                sum_taps(axes, self.plane(dy, j, plane), kernel, start, dx);
            }
        }
    }

    /// [`conv::kernel_gradient`](super::conv::kernel_gradient).
    pub fn kernel_gradient<T: Float>(&self, x: &[T], dy: &[T], dkernel: &mut [T], scratch: &mut [T]) {
        let Conv { window, filters, .. } = *self.conv;
        self.conv.samples(x, dy);
        assert_eq!(dkernel.len(), self.conv.kernel_len(), "the kernel");
        let plane = &mut scratch[filters..self.scratch_len()];
        let [oh, ow] = window.output;
        let step = (BLOCK_PIXELS / ow.max(1)).max(1);
        for (x, dy) in x.chunks_exact(self.conv.input_len()).zip(dy.chunks_exact(self.conv.output_len())) {
            for j in 0..self.multiplier {
                let gradient = Gradient { conv: self.conv, x, dy: self.plane(dy, j, plane) };
                vectorized(
                    #[inline(always)]
                    || {
                        for start in (0..oh).step_by(step) {
                            gradient.add(start..(start + step).min(oh), &mut dkernel[j..], self.multiplier);
                        }
                    },
                );
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

/// Which taps of which sources are summed into the targets along one axis: tap `k` of target `t` reads source `s` where
/// `s * up = t * down + k * dilation - padding`.
#[derive(Clone, Copy)]
struct Axis {
    targets: usize,
    sources: usize,
    taps: usize,
    up: usize,
    down: usize,
    dilation: usize,
    padding: isize,
}

impl Axis {
    /// The targets are the outputs.
    fn forward(window: &Window, axis: usize) -> Self {
        Axis {
            targets: window.output[axis],
            sources: window.input[axis],
            taps: window.kernel[axis],
            up: 1,
            down: window.strides[axis],
            dilation: window.dilation[axis],
            padding: window.padding[axis] as isize,
        }
    }

    /// The targets are the pixels of the image, and the taps count from the last.
    fn backward(window: &Window, axis: usize) -> Self {
        let last_tap = (window.kernel[axis] - 1) * window.dilation[axis];
        Axis {
            targets: window.input[axis],
            sources: window.output[axis],
            taps: window.kernel[axis],
            up: window.strides[axis],
            down: 1,
            dilation: window.dilation[axis],
            padding: last_tap as isize - window.padding[axis] as isize,
        }
    }

    /// The targets in parts, in each of which all read the same taps.
    fn phases(self) -> impl Iterator<Item = Phase> {
        (0..self.up.min(self.targets)).map(move |first| self.phase(first))
    }

    /// The targets `first`, `first + up`, …
    fn phase(self, first: usize) -> Phase {
        let Axis { targets, sources, up, down, dilation, .. } = self;
        let place = |tap: usize| (first * down) as isize - self.padding + (tap * dilation) as isize;
        let mut taps = (0..self.taps).filter(|&tap| place(tap) % up as isize == 0);
        let count = taps.clone().count();
        let tap = taps.next().unwrap_or(0);
        let tap_step = taps.next().map_or(1, |second| second - tap);
        Phase {
            targets: (targets - first).div_ceil(up),
            first,
            target_step: up,
            sources,
            origin: place(tap) / up as isize,
            stride: down,
            // A single tap may be no whole number of sources from the next, which does not exist.
            dilation: (tap_step * dilation / up).max(1),
            taps: count,
            tap,
            tap_step,
        }
    }
}

/// Targets of an [`Axis`]. Target `i` of them reads, at its tap `k`, the source `origin + i * stride + k * dilation`.
#[derive(Clone, Copy)]
struct Phase {
    targets: usize,
    /// The pixel of the first target, and how far they are apart.
    first: usize,
    target_step: usize,
    sources: usize,
    origin: isize,
    stride: usize,
    dilation: usize,
    taps: usize,
    /// The first tap in the kernel, and how far they are apart there.
    tap: usize,
    tap_step: usize,
}

impl Phase {
    /// The source at tap 0 of target `i`, perhaps before the first.
    #[inline(always)]
    fn source(&self, i: usize) -> isize {
        self.origin + (i * self.stride) as isize
    }

    /// The taps of target `i` that read a source.
    #[inline(always)]
    fn inside(&self, i: usize) -> Range<usize> {
        let source = self.source(i);
        // A division costs as much as the work on a small window.
        let tap_at = |distance: isize| {
            let distance = distance.max(0) as usize;
            if self.dilation == 1 { distance } else { distance.div_ceil(self.dilation) }
        };
        let first = tap_at(-source);
        first..tap_at(self.sources as isize - source).min(self.taps).max(first)
    }
}

/// Sums over the taps of each target, begun at `start: [channels]` or else at the target as it is.
fn sum_taps<T: Float>(axes: [Axis; 2], source: &[T], kernel: &[T], start: Option<&[T]>, target: &mut [T]) {
    let [height, width] = axes;
    let channels = kernel.len() / (height.taps * width.taps);
    vectorized(
        #[inline(always)]
        || {
            for (down, across) in height.phases().flat_map(|down| width.phases().map(move |across| (down, across))) {
                for line in 0..down.targets {
                    let target_line = (down.first + line * down.target_step) * width.targets;
                    let source_line = (down.source(line) as usize).wrapping_mul(width.sources);
                    let mut pixels = Pixels {
                        channels,
                        target: 0,
                        target_step: across.target_step * channels,
                        down: down.inside(line),
                        across: 0..0,
                        source: 0,
                        source_step: across.stride.wrapping_mul(channels),
                        source_strides: [
                            down.dilation.wrapping_mul(width.sources * channels),
                            across.dilation.wrapping_mul(channels),
                        ],
                        weight: (down.tap * width.taps + across.tap) * channels,
                        weight_strides: [down.tap_step * width.taps * channels, across.tap_step * channels],
                    };
                    let mut i = 0;
                    while i < across.targets {
                        pixels.target = (target_line + across.first + i * across.target_step) * channels;
                        pixels.source = source_line.wrapping_add(across.source(i) as usize).wrapping_mul(channels);
                        pixels.across = across.inside(i);
                        let last = i + PIXELS - 1;
                        if last < across.targets && across.inside(last) == pixels.across {
                            pixels.sum_channels::<T, PIXELS>(source, kernel, start, target);
                            i += PIXELS;
                        } else {
                            pixels.sum_channels::<T, 1>(source, kernel, start, target);
                            i += 1;
                        }
                    }
                }
            }
        },
    );
}

/// Pixels of the target that sum the same taps. All offsets are in elements.
struct Pixels {
    channels: usize,
    /// Where the channels of the first pixel start, and how far the pixels are apart.
    target: usize,
    target_step: usize,
    /// The taps that read a source.
    down: Range<usize>,
    across: Range<usize>,
    /// Where the channels start that tap `(0, 0)` of the first pixel would read; it wraps below 0.
    source: usize,
    source_step: usize,
    source_strides: [usize; 2],
    /// Where its weights start.
    weight: usize,
    weight_strides: [usize; 2],
}

impl Pixels {
    /// All channels of `P` pixels.
    #[inline(always)]
    fn sum_channels<T: Float, const P: usize>(&self, x: &[T], kernel: &[T], start: Option<&[T]>, target: &mut [T]) {
        let [many, few, one] = parts(self.channels);
        for c in many.step_by(LANES) {
            self.sum::<T, P, LANES>(c, x, kernel, start, target);
        }
        for c in few.step_by(FEW_LANES) {
            self.sum::<T, P, FEW_LANES>(c, x, kernel, start, target);
        }
        for c in one {
            self.sum::<T, P, 1>(c, x, kernel, start, target);
        }
    }

    /// `N` channels of `P` pixels, from channel `c` on.
    #[inline(always)]
    fn sum<T: Float, const P: usize, const N: usize>(
        &self,
        c: usize,
        x: &[T],
        kernel: &[T],
        start: Option<&[T]>,
        target: &mut [T],
    ) {
        let mut sums: [[T; N]; P] = array::from_fn(|p| match start {
            Some(start) => lanes(start, c),
            None => lanes(target, self.target + p * self.target_step + c),
        });
        for ky in self.down.clone() {
            for kx in self.across.clone() {
                let at = |[down, across]: [usize; 2]| ky.wrapping_mul(down).wrapping_add(kx.wrapping_mul(across)) + c;
                let weights: [T; N] = lanes(kernel, self.weight + at(self.weight_strides));
                let source = self.source.wrapping_add(at(self.source_strides));
                for (p, sum) in sums.iter_mut().enumerate() {
                    add_products(sum, lanes(x, source + p * self.source_step), weights);
                }
            }
        }
        for (p, sum) in sums.iter().enumerate() {
            target[self.target + p * self.target_step + c..][..N].copy_from_slice(sum);
        }
    }
}

/// What the gradient to the kernel is summed from, for one sample and one `j`.
struct Gradient<'a, T> {
    conv: &'a Conv,
    x: &'a [T],
    dy: &'a [T],
}

impl<T: Float> Gradient<'_, T> {
    /// Adds what these lines of the output give to every `m`th element of `dkernel`.
    #[inline(always)]
    fn add(&self, lines: Range<usize>, dkernel: &mut [T], m: usize) {
        let [many, few, one] = parts(self.conv.channels);
        for c in many.step_by(LANES) {
            self.add_channels::<LANES>(c, &lines, dkernel, m);
        }
        for c in few.step_by(FEW_LANES) {
            self.add_channels::<FEW_LANES>(c, &lines, dkernel, m);
        }
        for c in one {
            self.add_channels::<1>(c, &lines, dkernel, m);
        }
    }

    /// `N` channels, from channel `c` on.
    #[inline(always)]
    fn add_channels<const N: usize>(&self, c: usize, lines: &Range<usize>, dkernel: &mut [T], m: usize) {
        let Conv { window, channels, .. } = self.conv;
        let [kh, kw] = window.kernel;
        for ky in 0..kh {
            let inside = window.outputs_inside(0, ky);
            let lines = inside.start.max(lines.start)..inside.end.min(lines.end);
            let mut add = |kx: usize, sum: [T; N]| {
                let weights = ((ky * kw + kx) * channels + c) * m;
                for (dkernel, sum) in dkernel[weights..].iter_mut().step_by(m).zip(sum) {
                    *dkernel = *dkernel + sum;
                }
            };
            let mut kx = 0;
            while kx + TAPS <= kw {
                let inside: [Range<usize>; TAPS] = array::from_fn(|i| window.outputs_inside(1, kx + i));
                let start = inside.iter().fold(0, |start, inside| start.max(inside.start));
                let end = inside.iter().fold(usize::MAX, |end, inside| end.min(inside.end)).max(start);
                let sums = self.correlate::<TAPS, N>(c, [ky, kx], &lines, start..end);
                for (i, (inside, sum)) in inside.into_iter().zip(sums).enumerate() {
                    add(kx + i, sum);
                    for rest in [inside.start..inside.end.min(start), inside.start.max(end)..inside.end] {
                        if !rest.is_empty() {
                            let [sum] = self.correlate::<1, N>(c, [ky, kx + i], &lines, rest);
                            add(kx + i, sum);
                        }
                    }
                }
                kx += TAPS;
            }
            for kx in kx..kw {
                let [sum] = self.correlate::<1, N>(c, [ky, kx], &lines, window.outputs_inside(1, kx));
                add(kx, sum);
            }
        }
    }

    /// The gradients to `K` taps of a line, from tap `(ky, kx)` on, at `N` channels from `c` on: sums over outputs at
    /// which all these taps read a pixel.
    #[inline(always)]
    fn correlate<const K: usize, const N: usize>(
        &self,
        c: usize,
        [ky, kx]: [usize; 2],
        lines: &Range<usize>,
        across: Range<usize>,
    ) -> [[T; N]; K] {
        let Conv { window, channels, .. } = self.conv;
        let pixel = |axis: usize, output: usize, tap: usize| {
            output * window.strides[axis] + tap * window.dilation[axis] - window.padding[axis]
        };
        let mut sums = [[T::zero(); N]; K];
        for line in lines.clone() {
            let x_line = pixel(0, line, ky) * window.input[1];
            for output in across.clone() {
                let dy: [T; N] = lanes(self.dy, (line * window.output[1] + output) * channels + c);
                let x = (x_line + pixel(1, output, kx)) * channels + c;
                for (k, sum) in sums.iter_mut().enumerate() {
                    add_products(sum, lanes(self.x, x + k * window.dilation[1] * channels), dy);
                }
            }
        }
        sums
    }
}

/// The channels that are worked on [`LANES`], [`FEW_LANES`] and one at a time.
fn parts(channels: usize) -> [Range<usize>; 3] {
    let many = channels / LANES * LANES;
    let few = channels / FEW_LANES * FEW_LANES;
    [0..many, many..few, few..channels]
}

/// The elements from `at` on.
#[inline(always)]
fn lanes<T: Copy, const N: usize>(from: &[T], at: usize) -> [T; N] {
    *from[at..].first_chunk().expect("a pixel has all channels")
}

#[inline(always)]
fn add_products<T: Float, const N: usize>(sum: &mut [T; N], a: [T; N], b: [T; N]) {
    for l in 0..N {
        sum[l] = sum[l] + a[l] * b[l];
    }
}
