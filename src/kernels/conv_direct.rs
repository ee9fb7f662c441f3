//! Convolution and its gradients without im2col: the register tile reads each operand where it is.
//!
//! | | rows of the tile | columns | steps |
//! | --- | --- | --- | --- |
//! | output | pixels of the output | filters | the taps and channels of a window |
//! | gradient to the kernel | taps and channels | filters | the pixels of the output |
//! | gradient to the input | pixels of the input that one tap reads | channels | the filters |
//!
//! What a tile reads as B (the kernel, its transpose, a part of `dy`) is packed into panels of [`NR`] columns, so that it is
//! read in one stream and columns that do not exist are 0. An image with padding is copied into a frame of zeros first, so that no
//! tap needs a test.

use std::ops::Range;

use num_traits::Float;

use super::{
    Window,
    conv::Conv,
    panel::{Rows, multiply},
    tile::{HasTile, NR, Steps, Tile},
};

/// Pixels of the output that are worked on at a time in the backward pass: their panel of `dy` stays in the L1 cache.
const BLOCK_PIXELS: usize = 128;

/// The most filters whose `dy` is read in place for the gradient to the kernel: with more, the lines of a block of pixels fall on each
/// other in the L1 cache.
const MAX_IN_PLACE: usize = 64;

/// How many times larger than image and kernel together the frame may be. Small windows on small images stay far below: a
/// window of 7 by 7 on a single pixel, at 1.
pub(super) const MAX_GROWTH: usize = 64;

/// More elements than any memory holds, and so few that no sum or product of lengths below overflows.
const MAX_ELEMENTS: usize = usize::MAX >> 16;

/// A convolution that the register tile computes, and the sizes that its kernels share.
pub struct DirectConv<'a, T> {
    tile: Tile<T>,
    conv: &'a Conv,
    /// The channels and the filters of one group.
    channels: usize,
    filters: usize,
    /// `kh * kw * channels`
    patch: usize,
    /// The height and width of the image with as much padding as the taps reach, or of the image itself where they do
    /// not leave it.
    frame: [usize; 2],
}

impl<'a, T: Float + HasTile> DirectConv<'a, T> {
    /// `None` where the CPU has no tile for these numbers, where the taps are so far apart that the frame would be much larger
    /// than the image, and for sizes that the bounds argument does not cover: those that are 0 or larger than any memory.
    pub fn new(conv: &'a Conv) -> Option<Self> {
        let (tile, window) = (T::tile()?, &conv.window);
        let reach = [reach(window, 0)?, reach(window, 1)?];
        let inside = window.padding == [0, 0] && reach[0] <= window.input[0] && reach[1] <= window.input[1];
        let frame = if inside { window.input } else { reach };

        let image = elements(window.input, conv.channels)?;
        let kernel = elements(window.kernel, conv.channels.checked_mul(conv.filters)?)?;
        elements(window.output, conv.filters)?;
        if elements(frame, conv.channels)? > MAX_GROWTH * (image + kernel) {
            return None;
        }
        let channels = conv.channels.checked_div(conv.groups)?;
        let patch = window.taps() * channels;
        Some(DirectConv { tile, conv, channels, filters: conv.filters / conv.groups, patch, frame })
    }

    /// How many elements of scratch memory the methods below need.
    pub fn scratch_len(&self) -> usize {
        self.frame_len() + self.pixels_per_block() * NR
    }

    /// [`conv::forward`](super::conv::forward), with the kernel of [`pack`](DirectConv::pack).
    pub fn forward(
        &self,
        x: &[T],
        packed: &[T],
        bias: Option<&[T]>,
        y: &mut [T],
        scratch: &mut [T],
        epilogue: impl Fn(&mut [T]),
    ) {
        let conv = self.conv;
        self.check(x, y, scratch);
        assert_eq!(packed.len(), self.packed_len(), "the packed kernel");
        let frame = &mut scratch[..self.frame_len()];
        let steps = self.steps_through_window();
        let [oh, ow] = conv.window.output;
        for (x, y) in x.chunks_exact(conv.input_len()).zip(y.chunks_exact_mut(conv.output_len())) {
            let image = self.framed(x, frame);
            for (columns, b) in self.filter_panels().zip(packed.chunks_exact(self.patch * NR)) {
                let mut init = [T::zero(); NR];
                if let Some(bias) = bias {
                    init[..columns.len()].copy_from_slice(&bias[columns.clone()]);
                }
                let channel = columns.start / self.filters * self.channels;
                for line in 0..oh {
                    let pixels = &image[line * self.line_stride() + channel..];
                    let a = Rows { data: pixels, count: ow, stride: self.pixel_stride() };
                    let c = (&mut y[line * ow * conv.filters + columns.start..], conv.filters);
                    multiply(self.tile, a, &steps, b, Some(&init), c, columns.len());
                }
            }
            epilogue(y);
        }
    }

    /// [`conv::kernel_gradient`](super::conv::kernel_gradient).
    pub fn kernel_gradient(&self, x: &[T], dy: &[T], dkernel: &mut [T], scratch: &mut [T]) {
        let conv = self.conv;
        self.check(x, dy, scratch);
        assert_eq!(dkernel.len(), conv.kernel_len(), "the kernel");
        let (frame, panel) = scratch.split_at_mut(self.frame_len());
        let line = conv.window.output[1];
        let in_place = self.filters.is_multiple_of(NR) && conv.filters <= MAX_IN_PLACE;
        let row = if in_place { conv.filters } else { NR };
        for (x, dy) in x.chunks_exact(conv.input_len()).zip(dy.chunks_exact(conv.output_len())) {
            let image = self.framed(x, frame);
            for lines in self.blocks() {
                let pixels = lines.start * line..lines.end * line;
                let count = [1, lines.len(), line];
                let steps = Steps::new(count, [0, self.line_stride(), self.pixel_stride()], [0, line * row, row]);
                for columns in self.filter_panels() {
                    let mut b = &dy[pixels.start * conv.filters + columns.start..];
                    if !in_place {
                        pack_rows(b, conv.filters, columns.len(), pixels.len(), panel);
                        b = panel;
                    }
                    let channel = columns.start / self.filters * self.channels;
                    for elements in self.runs() {
                        let first = lines.start * self.line_stride() + self.tap(elements.start) + channel;
                        let a = Rows { data: &image[first..], count: elements.len(), stride: 1 };
                        let c = (&mut dkernel[elements.start * conv.filters + columns.start..], conv.filters);
                        multiply(self.tile, a, &steps, b, None, c, columns.len());
                    }
                }
            }
        }
    }

    /// [`conv::input_gradient`](super::conv::input_gradient), with the kernel of
    /// [`pack_transposed`](DirectConv::pack_transposed).
    pub fn input_gradient(&self, packed: &[T], dy: &[T], dx: &mut [T], scratch: &mut [T]) {
        let conv = self.conv;
        self.check(dx, dy, scratch);
        assert_eq!(packed.len(), self.transposed_len(), "the packed kernel");
        let frame = &mut scratch[..self.frame_len()];
        let ow = conv.window.output[1];
        let steps = Steps::new([1, 1, self.filters], [0, 0, 1], [0, 0, NR]);
        for (dy, dx) in dy.chunks_exact(conv.output_len()).zip(dx.chunks_exact_mut(conv.input_len())) {
            let target = if self.has_frame() { &mut *frame } else { &mut *dx };
            target.fill(T::zero());
            for lines in self.blocks() {
                let mut panels = packed.chunks_exact(self.filters * NR);
                for group in 0..conv.groups {
                    for tap in 0..conv.window.taps() {
                        for channels in panels_of(self.channels) {
                            let b = panels.next().expect("a panel for each group, tap and part of the channels");
                            let offset = self.tap(tap * self.channels) + group * self.channels + channels.start;
                            // The pixels that one tap reads at different outputs are different, so the rows do not overlap.
                            for line in lines.clone() {
                                let dy = &dy[line * ow * conv.filters + group * self.filters..];
                                let a = Rows { data: dy, count: ow, stride: conv.filters };
                                let c = (&mut target[line * self.line_stride() + offset..], self.pixel_stride());
                                multiply(self.tile, a, &steps, b, None, c, channels.len());
                            }
                        }
                    }
                }
            }
            self.unframe(frame, dx);
        }
    }

    /// The bounds argument of this module. All offsets are those of a tap of an output in a frame (or in an image that is as
    /// large), of an output in `y`, or of an element in the kernel; each of these arrays is as long as its shape says, and
    /// [`new`](DirectConv::new) has made sure that no shape has a 0 and that no length overflows.
    fn check(&self, x: &[T], y: &[T], scratch: &[T]) {
        self.conv.samples(x, y);
        assert!(scratch.len() >= self.scratch_len(), "the scratch memory");
    }

    fn has_frame(&self) -> bool {
        self.frame != self.conv.window.input || self.conv.window.padding != [0, 0]
    }

    fn frame_len(&self) -> usize {
        if self.has_frame() { self.frame[0] * self.frame[1] * self.conv.channels } else { 0 }
    }

    /// The part of the image that the frame shows: lines of the image, and the pixels of each.
    fn shown(&self, axis: usize) -> Range<usize> {
        let window = &self.conv.window;
        0..window.input[axis].min(self.frame[axis].saturating_sub(window.padding[axis]))
    }

    /// The image in its frame of zeros; where the taps do not leave the image, the image itself.
    fn framed<'b>(&self, x: &'b [T], frame: &'b mut [T]) -> &'b [T] {
        if !self.has_frame() {
            return x;
        }
        frame.fill(T::zero());
        for (from, to) in self.shown_lines() {
            frame[to].copy_from_slice(&x[from]);
        }
        frame
    }

    /// Copies what the frame holds of the image into it; the rest of the image was read by no tap.
    fn unframe(&self, frame: &[T], dx: &mut [T]) {
        if !self.has_frame() {
            return;
        }
        dx.fill(T::zero());
        for (to, from) in self.shown_lines() {
            dx[to].copy_from_slice(&frame[from]);
        }
    }

    /// Where each shown line stands in the image and in the frame.
    fn shown_lines(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let (window, c) = (&self.conv.window, self.conv.channels);
        let len = self.shown(1).len() * c;
        let lines = if len == 0 { 0..0 } else { self.shown(0) };
        lines.map(move |line| {
            let image = line * window.input[1] * c;
            let frame = ((line + window.padding[0]) * self.frame[1] + window.padding[1]) * c;
            (image..image + len, frame..frame + len)
        })
    }

    /// How far outputs that follow each other are apart in the frame.
    fn pixel_stride(&self) -> usize {
        self.conv.window.strides[1] * self.conv.channels
    }

    fn line_stride(&self) -> usize {
        self.conv.window.strides[0] * self.frame[1] * self.conv.channels
    }

    /// How far element `(ky, kx, c)` of a window is from its first tap.
    fn tap(&self, element: usize) -> usize {
        let window = &self.conv.window;
        let (tap, channel) = (element / self.channels, element % self.channels);
        let (ky, kx) = (tap / window.kernel[1], tap % window.kernel[1]);
        (ky * window.dilation[0] * self.frame[1] + kx * window.dilation[1]) * self.conv.channels + channel
    }

    /// Whether the taps of a line of the window, with their channels, follow each other in the frame.
    fn whole_runs(&self) -> bool {
        self.conv.window.dilation[1] == 1 && self.conv.groups == 1
    }

    fn steps_through_window(&self) -> Steps {
        let window = &self.conv.window;
        let ([kh, kw], c) = (window.kernel, self.channels);
        let down = window.dilation[0] * self.frame[1] * self.conv.channels;
        if self.whole_runs() {
            return Steps::new([1, kh, kw * c], [0, down, 1], [0, kw * c * NR, NR]);
        }
        let across = window.dilation[1] * self.conv.channels;
        Steps::new([kh, kw, c], [down, across, 1], [kw * c * NR, c * NR, NR])
    }

    /// The elements of a window that follow each other in the frame.
    fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let run = if self.whole_runs() { self.conv.window.kernel[1] * self.channels } else { self.channels };
        (0..self.patch / run).map(move |i| i * run..(i + 1) * run)
    }

    /// The filters in parts of at most [`NR`], none of which crosses the border of a group.
    fn filter_panels(&self) -> impl Iterator<Item = Range<usize>> {
        let filters = self.filters;
        (0..self.conv.groups)
            .flat_map(move |g| panels_of(filters).map(move |part| g * filters + part.start..g * filters + part.end))
    }

    /// The elements of a kernel that [`pack`](DirectConv::pack) has packed.
    pub fn packed_len(&self) -> usize {
        self.conv.groups * self.filters.div_ceil(NR) * self.patch * NR
    }

    /// The elements of a kernel that [`pack_transposed`](DirectConv::pack_transposed) has packed.
    pub fn transposed_len(&self) -> usize {
        self.conv.groups * self.conv.window.taps() * self.channels.div_ceil(NR) * self.filters * NR
    }

    /// Packs the kernel for [`forward`](DirectConv::forward): for each part of the filters, `[patch, NR]`.
    pub fn pack(&self, kernel: &[T], panels: &mut [T]) {
        assert_eq!(panels.len(), self.packed_len(), "the packed kernel");
        for (columns, panel) in self.filter_panels().zip(panels.chunks_exact_mut(self.patch * NR)) {
            pack_rows(&kernel[columns.start..], self.conv.filters, columns.len(), self.patch, panel);
        }
    }

    /// Packs the kernel for [`input_gradient`](DirectConv::input_gradient): for each group, tap and part of the channels,
    /// `[filters, NR]`.
    pub fn pack_transposed(&self, kernel: &[T], panels: &mut [T]) {
        assert_eq!(panels.len(), self.transposed_len(), "the packed kernel");
        let mut panels = panels.chunks_exact_mut(self.filters * NR);
        for group in 0..self.conv.groups {
            for tap in 0..self.conv.window.taps() {
                for channels in panels_of(self.channels) {
                    let panel = panels.next().expect("a panel for each group, tap and part of the channels");
                    panel.fill(T::zero());
                    for (column, channel) in channels.enumerate() {
                        let row = (tap * self.channels + channel) * self.conv.filters + group * self.filters;
                        for (to, &weight) in panel[column..].iter_mut().step_by(NR).zip(&kernel[row..][..self.filters])
                        {
                            *to = weight;
                        }
                    }
                }
            }
        }
    }

    fn pixels_per_block(&self) -> usize {
        self.lines_per_block() * self.conv.window.output[1]
    }

    fn lines_per_block(&self) -> usize {
        (BLOCK_PIXELS / self.conv.window.output[1]).max(1)
    }

    /// Lines of the output, a block at a time.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let (lines, step) = (self.conv.window.output[0], self.lines_per_block());
        (0..lines).step_by(step).map(move |start| start..(start + step).min(lines))
    }
}

/// How many pixels along an axis the taps reach, padding included. `None` where there is no tap or no output, where outputs
/// would see the same, and where the reach overflows, or an offset would: that of a stride which no output takes.
pub(super) fn reach(window: &Window, axis: usize) -> Option<usize> {
    let (stride, dilation) = (window.strides[axis], window.dilation[axis]);
    let last_output = window.output[axis].checked_sub(1)?.checked_mul(stride)?;
    let last_tap = window.kernel[axis].checked_sub(1)?.checked_mul(dilation)?;
    let reach = last_output.checked_add(last_tap)?.checked_add(1)?;
    ((1..=reach).contains(&stride) && dilation <= reach).then_some(reach)
}

/// The elements of an array `[h, w, c]`; `None` where there is none or more than [`MAX_ELEMENTS`].
pub(super) fn elements([h, w]: [usize; 2], c: usize) -> Option<usize> {
    h.checked_mul(w)?.checked_mul(c).filter(|elements| (1..=MAX_ELEMENTS).contains(elements))
}

/// Cuts `count` columns into parts of [`NR`]; the last may be smaller.
pub(super) fn panels_of(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(NR).map(move |start| start..(start + NR).min(count))
}

/// Copies the first `columns` elements of `rows` rows, `stride` apart, into a panel of [`NR`] columns; the rest is 0.
fn pack_rows<T: Float>(from: &[T], stride: usize, columns: usize, rows: usize, panel: &mut [T]) {
    for (row, to) in panel.chunks_exact_mut(NR).take(rows).enumerate() {
        let from = &from[row * stride..][..columns];
        if columns == NR {
            to.copy_from_slice(from);
        } else {
            to[..columns].copy_from_slice(from);
            to[columns..].fill(T::zero());
        }
    }
}
