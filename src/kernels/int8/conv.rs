//! [`Conv`]: a convolution of integers, and the pooling behind it.

use std::ops::Range;

use super::{
    Finish, GROUP, LEVELS, MAX_PRODUCTS, NR, Output, SLACK, STEP, Tile,
    tile::{Steps, Sums},
};
use crate::{
    aligned::Aligned,
    kernels::{
        Window, conv,
        conv_direct::{MAX_GROWTH, elements, panels_of, reach},
        panel::Rows,
    },
};

/// Pixels of a line whose sums are computed before they are stored, so that they stay in the L1 cache.
const MAX_PIXELS: usize = 64;

/// A convolution whose outputs are the maxima of windows that lie side by side; one of a single pixel is none.
///
/// A dense layer is the convolution of an image of one pixel.
///
/// The tile reads the image where it is. The taps of a line of the window follow each other in it, with their channels, and are read four bytes at a time; where their
/// number is no multiple of four, what follows is read as well and multiplied by 0. An image with padding is copied into a frame first.
/// Maxima are taken of the sums, which saves a step to bytes for all but the largest.
#[derive(Clone, Debug)]
pub struct Conv {
    window: Window,
    channels: usize,
    filters: usize,
    pool: [usize; 2],
    /// The height and width of the image with as much padding as the taps reach, or of the image itself where they do not leave it.
    frame: [usize; 2],
}

/// The weights of a convolution as the tile reads them.
#[derive(Debug)]
pub struct Weights {
    panels: Aligned<i8>,
    /// Where the sums begin, for each panel.
    init: Vec<Sums>,
    /// The byte of the number 0 in the image.
    zero: u8,
}

/// What a convolution computes in, grown once and then reused.
#[derive(Debug, Default)]
pub struct Scratch {
    frame: Vec<u8>,
    sums: Vec<Sums>,
}

impl Conv {
    /// `None` for several groups, for sums of more than [`MAX_PRODUCTS`], where the taps are so far apart that the frame would be much
    /// larger than the image, for sizes that are 0 or larger than any memory, and where the pooling leaves nothing.
    pub fn new(conv: &conv::Conv, pool: [usize; 2]) -> Option<Self> {
        let (&conv::Conv { window, channels, filters, groups }, [ph, pw]) = (conv, pool);
        let reach = [reach(&window, 0)?, reach(&window, 1)?];
        let inside = window.padding == [0, 0] && reach[0] <= window.input[0] && reach[1] <= window.input[1];
        let frame = if inside { window.input } else { reach };
        let image = elements(window.input, channels)?;
        let kernel = elements(window.kernel, channels.checked_mul(filters)?)?;
        elements(window.output, filters)?;
        let small = elements(frame, channels)? <= MAX_GROWTH * (image + kernel) && kernel / filters <= MAX_PRODUCTS;
        let pools = (1..=window.output[0]).contains(&ph) && (1..=window.output[1]).contains(&pw);
        (groups == 1 && small && pools).then_some(Conv { window, channels, filters, pool, frame })
    }

    /// The bytes of a sample, without the [`SLACK`].
    pub fn input_len(&self) -> usize {
        self.window.pixels() * self.channels
    }

    /// The results of a sample.
    pub fn output_len(&self) -> usize {
        let [height, width] = self.pooled();
        height * width * self.filters
    }

    /// Brings `kernel: [kh, kw, cin, cout]` into the form in which the tile reads it, for images whose number 0 is the byte `zero`. They take at most
    /// `2 * GROUP` bytes for each weight, 64 for 16 filters and 200 besides.
    ///
    /// # Panics
    /// When the kernel has not the length that the sizes say, or `zero` is above [`LEVELS`].
    pub fn pack(&self, kernel: &[i8], zero: u8) -> Weights {
        let filters = self.filters;
        assert_eq!(kernel.len(), self.window.taps() * self.channels * filters, "the kernel");
        assert!(zero <= LEVELS, "the number 0 is a byte from 0 to {LEVELS}");
        let mut panels = Aligned::zeros(self.packed_len());
        let packed = panels.grown(self.packed_len());
        let mut init = Vec::new();
        for columns in panels_of(filters) {
            let steps = self.steps(&columns);
            let run = self.window.taps() * self.channels / (steps.count[0] * steps.count[1]);
            let panel = &mut packed[columns.start * GROUP * steps.total()..];
            let mut start = [0; NR];
            for (element, weights) in kernel.chunks_exact(filters).enumerate() {
                let step = element / run * steps.count[2] + element % run / GROUP;
                for (column, &weight) in weights[columns.clone()].iter().enumerate() {
                    panel[step * steps.panel + column * GROUP + element % run % GROUP] = weight;
                    start[column] -= i32::from(zero) * i32::from(weight);
                }
            }
            init.push(start);
        }
        Weights { panels, init, zero }
    }

    /// Overwrites `y: [n, oh, ow, cout]` with what `finish` makes of the sums for `x: [n, h, w, cin]`, bytes of at most [`LEVELS`], since larger ones
    /// would overflow in some tiles. Behind them must be [`SLACK`] bytes of any value.
    ///
    /// # Panics
    /// When an array has not the length that the sizes say.
    pub fn forward<O: Output>(
        &self,
        tile: Tile,
        x: &[u8],
        weights: &Weights,
        finish: &Finish,
        y: &mut [O],
        Scratch { frame, sums }: &mut Scratch,
    ) {
        let n = y.len() / self.output_len();
        assert_eq!(y.len(), n * self.output_len(), "a whole number of samples");
        assert!(x.len() >= n * self.input_len() + SLACK, "as many samples as outputs, and bytes behind them");
        debug_assert!(x[..n * self.input_len()].iter().all(|&byte| byte <= LEVELS), "bytes from 0 to {LEVELS}");
        if n == 0 {
            return;
        }
        if self.window.is_pointwise() && self.pool == [1, 1] {
            // All pixels follow each other, and so do those of the next sample.
            return self.image(tile, x, [1, n * self.window.outputs()], weights, finish, y, sums);
        }
        for (i, y) in y.chunks_exact_mut(self.output_len()).enumerate() {
            let image = self.framed(&x[i * self.input_len()..], weights.zero, frame);
            self.image(tile, image, self.pooled(), weights, finish, y, sums);
        }
    }

    /// Computes lines of the output of a given width.
    #[allow(clippy::too_many_arguments, reason = "those of forward")]
    fn image<O: Output>(
        &self,
        tile: Tile,
        image: &[u8],
        [lines, width]: [usize; 2],
        weights: &Weights,
        finish: &Finish,
        y: &mut [O],
        sums: &mut Vec<Sums>,
    ) {
        let ([ph, pw], filters) = (self.pool, self.filters);
        let most = (MAX_PIXELS / pw).clamp(1, width);
        sums.resize(sums.len().max(most * pw), [0; NR]);
        let packed = weights.panels.get(self.packed_len());
        for (part, columns) in panels_of(filters).enumerate() {
            let steps = self.steps(&columns);
            let panel = &packed[columns.start * GROUP * steps.total()..];
            for line in 0..lines {
                for first in (0..width).step_by(most) {
                    let count = most.min(width - first);
                    let sums = &mut sums[..count * pw];
                    for down in 0..ph {
                        let start = (line * ph + down) * self.line_stride() + first * pw * self.pixel_stride();
                        let rows = Rows { data: &image[start..], count: count * pw, stride: self.pixel_stride() };
                        tile.multiply(rows, &steps, panel, &weights.init[part], sums, down > 0);
                    }
                    let y = &mut y[(line * width + first) * filters + columns.start..];
                    finish.store(part, sums, pw, y, filters, columns.len());
                }
            }
        }
    }

    /// The height and width of the output.
    fn pooled(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.window.output[axis] / self.pool[axis])
    }

    /// The image, with what lies behind it; where taps leave it, in a frame of zeros.
    fn framed<'a>(&self, x: &'a [u8], zero: u8, frame: &'a mut Vec<u8>) -> &'a [u8] {
        let (window, c) = (&self.window, self.channels);
        if self.frame == window.input && window.padding == [0, 0] {
            return x;
        }
        frame.clear();
        frame.resize(self.frame[0] * self.frame[1] * c + SLACK, zero);
        let shown = |axis: usize| window.input[axis].min(self.frame[axis].saturating_sub(window.padding[axis]));
        let len = shown(1) * c;
        for line in 0..if len == 0 { 0 } else { shown(0) } {
            let to = ((line + window.padding[0]) * self.frame[1] + window.padding[1]) * c;
            frame[to..to + len].copy_from_slice(&x[line * window.input[1] * c..][..len]);
        }
        frame
    }

    /// Those that a panel of some filters has. Where there are few, it has no more columns than filters.
    fn steps(&self, columns: &Range<usize>) -> Steps {
        let ([kh, kw], c, dilation) = (self.window.kernel, self.channels, self.window.dilation);
        let down = dilation[0] * self.frame[1] * c;
        let panel = GROUP * if columns.len() < NR / 2 { columns.len() } else { NR };
        if dilation[1] == 1 {
            return Steps { count: [1, kh, (kw * c).div_ceil(GROUP)], strides: [0, down], panel };
        }
        Steps { count: [kh, kw, c.div_ceil(GROUP)], strides: [down, dilation[1] * c], panel }
    }

    /// The bytes of all panels, which follow each other, and what the tile may read behind the last.
    fn packed_len(&self) -> usize {
        let last = (self.filters - 1) / NR * NR;
        let steps = self.steps(&(last..self.filters));
        (last * GROUP + steps.panel) * steps.total() + STEP
    }

    /// How far pixels whose outputs follow each other are apart.
    fn pixel_stride(&self) -> usize {
        self.window.strides[1] * self.channels
    }

    fn line_stride(&self) -> usize {
        self.window.strides[0] * self.frame[1] * self.channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv(kernel: [usize; 2], dilation: usize, channels: usize, filters: usize) -> Conv {
        let input = [0, 1].map(|axis| (kernel[axis] - 1) * dilation + 1);
        let window =
            Window { input, output: [1; 2], kernel, strides: [1; 2], dilation: [dilation; 2], padding: [0; 2] };
        Conv::new(&conv::Conv { window, channels, filters, groups: 1 }, [1, 1]).unwrap()
    }

    #[test]
    fn few_filters_take_little_memory() {
        for (kernel, dilation, channels, filters) in [
            ([5000, 1], 1, 1, 1),
            ([5000, 1], 1, 1, 8),
            ([40, 40], 2, 1, 1),
            ([1, 1], 1, 9999, 3),
            ([3, 3], 1, 64, 17),
            ([1, 1], 1, 1, 5000),
        ] {
            let conv = conv(kernel, dilation, channels, filters);
            let weights = kernel[0] * kernel[1] * channels * filters;
            let packed = conv.pack(&vec![1; weights], 0);
            assert_eq!(packed.panels.get(conv.packed_len()).iter().filter(|&&weight| weight == 1).count(), weights);
            assert!(conv.packed_len() <= 2 * GROUP * weights + STEP, "{} for {weights}", conv.packed_len());
        }
    }

    #[test]
    fn no_sample_is_no_work() {
        let (conv, finish) = (conv([1, 1], 1, 3, 2), Finish::new(&[1.0; 2], &[0.0; 2], [0.0, 127.0]));
        let weights = conv.pack(&[1; 6], 0);
        conv.forward::<u8>(Tile::new(), &[0; SLACK], &weights, &finish, &mut [], &mut Scratch::default());
    }

    #[test]
    #[should_panic(expected = "the number 0 is a byte from 0 to 127")]
    fn a_zero_that_is_no_byte_of_an_image() {
        conv([1, 1], 1, 3, 2).pack(&[1; 6], 128);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "bytes from 0 to 127")]
    fn bytes_that_would_overflow() {
        let (conv, finish) = (conv([1, 1], 1, 1, 1), Finish::new(&[1.0], &[0.0], [0.0, 127.0]));
        let weights = conv.pack(&[1], 0);
        conv.forward(Tile::new(), &[128; 1 + SLACK], &weights, &finish, &mut [0_u8], &mut Scratch::default());
    }
}
