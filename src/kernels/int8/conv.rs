//! [`Conv`]: a convolution of integers, and the pooling behind it.

use super::{
    Finish, GROUP, MAX_PRODUCTS, NR, Output, SLACK, STEP, Tile,
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

    /// Brings `kernel: [kh, kw, cin, cout]` into the form in which the tile reads it, for images whose number 0 is the byte `zero`.
    pub fn pack(&self, kernel: &[i8], zero: u8) -> Weights {
        let (steps, filters) = (self.steps(), self.filters);
        assert_eq!(kernel.len(), self.window.taps() * self.channels * filters, "the kernel");
        let run = self.window.taps() * self.channels / (steps.count[0] * steps.count[1]);
        let panel_len = self.panel_len();
        let mut panels = Aligned::zeros(panels_of(filters).count() * panel_len);
        let mut init = Vec::new();
        for (columns, panel) in
            panels_of(filters).zip(panels.grown(filters.div_ceil(NR) * panel_len).chunks_mut(panel_len))
        {
            let mut start = [0; NR];
            for (element, weights) in kernel.chunks_exact(filters).enumerate() {
                let step = element / run * steps.count[2] + element % run / GROUP;
                for (column, &weight) in weights[columns.clone()].iter().enumerate() {
                    panel[step * STEP + column * GROUP + element % run % GROUP] = weight;
                    start[column] -= i32::from(zero) * i32::from(weight);
                }
            }
            init.push(start);
        }
        Weights { panels, init, zero }
    }

    /// Overwrites `y: [n, oh, ow, cout]` with what `finish` makes of the sums for `x: [n, h, w, cin]`, behind which [`SLACK`] bytes of any
    /// value must be.
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
        let ([ph, pw], filters, steps) = (self.pool, self.filters, self.steps());
        let most = (MAX_PIXELS / pw).clamp(1, width);
        sums.resize(sums.len().max(most * pw), [0; NR]);
        let panels = weights.panels.get(filters.div_ceil(NR) * self.panel_len()).chunks_exact(self.panel_len());
        for (part, (columns, panel)) in panels_of(filters).zip(panels).enumerate() {
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

    fn steps(&self) -> Steps {
        let ([kh, kw], c, dilation) = (self.window.kernel, self.channels, self.window.dilation);
        let down = dilation[0] * self.frame[1] * c;
        if dilation[1] == 1 {
            return Steps { count: [1, kh, (kw * c).div_ceil(GROUP)], strides: [0, down] };
        }
        Steps { count: [kh, kw, c.div_ceil(GROUP)], strides: [down, dilation[1] * c] }
    }

    fn panel_len(&self) -> usize {
        self.steps().count.iter().product::<usize>() * STEP
    }

    /// How far pixels whose outputs follow each other are apart.
    fn pixel_stride(&self) -> usize {
        self.window.strides[1] * self.channels
    }

    fn line_stride(&self) -> usize {
        self.window.strides[0] * self.frame[1] * self.channels
    }
}
