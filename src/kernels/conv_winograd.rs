//! Convolution by Winograd's minimal filtering, F(2x2, 3x3): 2.25 times fewer multiplications.
//!
//! An output of 2 by 2 pixels sees 4 by 4 pixels of the input. Transformed, it is a product of 16 numbers instead of 36, each of
//! which is summed over the channels:
//!
//! ```text
//! V = B' d B        d: [4, 4] pixels of the input         B' = 1  0 -1  0      A' = 1  1  1  0     G =  1    0    0
//! U = G g G'        g: [3, 3] taps of the kernel               0  1  1  0           0  1 -1 -1         1/2  1/2  1/2
//! M = sum over c of U V, at each of the 16 positions           0 -1  1  0                              1/2 -1/2  1/2
//! y = A' M A        y: [2, 2] pixels of the output             0  1  0 -1                               0    0    1
//! ```
//!
//! So the work is 16 matrix products, `[tiles, cin] [cin, cout]`. The gradients are the adjoint of the same, with as few multiplications:
//!
//! ```text
//! dM = A dy A'      dU = sum over tiles of V dM,  dg = G' dU G      dV = sum over filters of dM U,  dd = B dV B'
//! ```
//!
//! The transforms add few numbers, and multiply with 1/2 at most, so the results are as exact as the direct ones relative to the largest
//! pixel of the tile; small outputs beside large ones lose digits. An output is NaN or infinite when it sees such a pixel, and only
//! then; the gradient to the kernel, when a tile reads one.
//!
//! A. Lavin, S. Gray: Fast Algorithms for Convolutional Neural Networks, CVPR 2016, <https://arxiv.org/abs/1509.09308>.

use std::{array, ops::Range};

use num_traits::Float;

use super::{
    conv::Conv,
    panel::{Rows, multiply},
    simd::vectorized,
    tile::{HasTile, NR, Steps, Tile},
    winograd_transforms::{
        Line, POSITIONS, add_input_line, add_inverse_kernel, gradient_line, input_line, lanes_mut, output_line,
        transform_kernel,
    },
};

/// Tiles of a block, at least, when there are so many: enough rows for a product, and few enough for the L2 cache.
const BLOCK_TILES: usize = 64;

/// The position whose products go into all four pixels with a factor of 1.
const CENTRE: usize = 5;

/// A convolution that is computed so.
pub struct Winograd<'a, T> {
    tile: Tile<T>,
    conv: &'a Conv,
    /// How many tiles cover the output, down and across.
    tiles: [usize; 2],
    /// Lines of tiles in a block.
    lines: usize,
}

impl<'a, T: Float + HasTile> Winograd<'a, T> {
    /// `None` where the CPU has no tile for these numbers, and for windows and channels that are not suited.
    pub fn new(conv: &'a Conv) -> Option<Self> {
        let (tile, window) = (T::tile()?, &conv.window);
        let suited = (window.kernel, window.strides, window.dilation, conv.groups) == ([3, 3], [1, 1], [1, 1], 1);
        let whole = |channels: usize| channels > 0 && channels.is_multiple_of(NR);
        if !suited || !whole(conv.channels) || !whole(conv.filters) || window.outputs() == 0 {
            return None;
        }
        let tiles = window.output.map(|outputs| outputs.div_ceil(2));
        Some(Winograd { tile, conv, tiles, lines: BLOCK_TILES.div_ceil(tiles[1]) })
    }

    /// How many elements of scratch memory the methods below need.
    pub fn scratch_len(&self) -> usize {
        let (channels, filters) = (self.conv.channels, self.conv.filters);
        let products = POSITIONS * self.capacity();
        let lines = 4 * self.width() * channels.max(filters) + self.width() * channels.max(filters);
        products * (channels + filters) + self.packed_len() + lines
    }

    /// The elements of a packed kernel: `U`, 16 positions instead of 9 taps.
    pub fn packed_len(&self) -> usize {
        POSITIONS * self.conv.channels * self.conv.filters
    }

    /// Transforms the kernel for [`forward`](Winograd::forward): `U: [cout / NR, 16, cin, NR]`.
    pub fn pack(&self, kernel: &[T], packed: &mut [T]) {
        let Conv { channels, filters, .. } = *self.conv;
        self.check_kernel(kernel, packed);
        vectorized(
            #[inline(always)]
            || {
                for (panel, packed) in packed.chunks_exact_mut(POSITIONS * channels * NR).enumerate() {
                    for c in 0..channels {
                        for (position, u) in transform_kernel(kernel, [channels, filters], c, panel).iter().enumerate()
                        {
                            *lanes_mut(packed, (position * channels + c) * NR) = *u;
                        }
                    }
                }
            },
        );
    }

    /// Transforms the kernel for [`gradients`](Winograd::gradients): `U': [cin / NR, 16, cout, NR]`.
    pub fn pack_transposed(&self, kernel: &[T], packed: &mut [T]) {
        let Conv { channels, filters, .. } = *self.conv;
        self.check_kernel(kernel, packed);
        vectorized(
            #[inline(always)]
            || {
                for (part, packed) in packed.chunks_exact_mut(POSITIONS * filters * NR).enumerate() {
                    for panel in 0..filters / NR {
                        for c in 0..NR {
                            let u = transform_kernel(kernel, [channels, filters], part * NR + c, panel);
                            for (position, u) in u.iter().enumerate() {
                                let column = &mut packed[(position * filters + panel * NR) * NR + c..];
                                for (to, &u) in column.iter_mut().step_by(NR).zip(u) {
                                    *to = u;
                                }
                            }
                        }
                    }
                }
            },
        );
    }

    fn check_kernel(&self, kernel: &[T], packed: &[T]) {
        assert_eq!(kernel.len(), self.conv.kernel_len(), "the kernel");
        assert_eq!(packed.len(), self.packed_len(), "the packed kernel");
    }

    /// [`conv::forward`](super::conv::forward), with the kernel of [`pack`](Winograd::pack).
    pub fn forward(
        &self,
        x: &[T],
        packed: &[T],
        bias: Option<&[T]>,
        y: &mut [T],
        scratch: &mut [T],
        epilogue: impl Fn(&mut [T]),
    ) {
        let Conv { channels, .. } = *self.conv;
        let n = self.conv.samples(x, y);
        assert_eq!(packed.len(), self.packed_len(), "the packed kernel");
        let (v, rest) = scratch.split_at_mut(POSITIONS * self.capacity() * channels);
        let (m, lines) = rest.split_at_mut(POSITIONS * self.capacity() * NR);
        let steps = self.steps(channels);
        for block in self.blocks(n) {
            let tiles = block.len() * self.tiles[1];
            self.transform_input(x, block.clone(), v, lines);
            for (panel, u) in packed.chunks_exact(POSITIONS * channels * NR).enumerate() {
                for (position, u) in u.chunks_exact(channels * NR).enumerate() {
                    let mut init = [T::zero(); NR];
                    if let (Some(bias), CENTRE) = (bias, position) {
                        init.copy_from_slice(&bias[panel * NR..][..NR]);
                    }
                    let v = &v[position * self.capacity() * channels..];
                    let m = &mut m[position * self.capacity() * NR..];
                    let a = Rows { data: v, count: tiles, stride: NR };
                    multiply(self.tile, a, &steps, u, Some(&init), (m, NR), NR);
                }
                self.inverse_output(m, block.clone(), panel, y, lines);
            }
        }
        epilogue(y);
    }

    /// Both gradients, or one, from the same transform of `dy`: `kernel` is `x` with the gradient to be added to, as in
    /// [`conv::kernel_gradient`](super::conv::kernel_gradient), and `input` the kernel of [`pack_transposed`](Winograd::pack_transposed)
    /// with the gradient to be overwritten, as in [`conv::input_gradient`](super::conv::input_gradient).
    pub fn gradients(
        &self,
        dy: &[T],
        kernel: Option<(&[T], &mut [T])>,
        mut input: Option<(&[T], &mut [T])>,
        scratch: &mut [T],
    ) {
        let Conv { channels, filters, .. } = *self.conv;
        let (v, rest) = scratch.split_at_mut(POSITIONS * self.capacity() * channels);
        let (dm, rest) = rest.split_at_mut(POSITIONS * self.capacity() * filters);
        let (du, lines) = rest.split_at_mut(self.packed_len());
        if let Some((x, dkernel)) = &kernel {
            self.conv.samples(x, dy);
            assert_eq!(dkernel.len(), self.conv.kernel_len(), "the kernel");
        }
        if let Some((packed, dx)) = &mut input {
            self.conv.samples(dx, dy);
            assert_eq!(packed.len(), self.packed_len(), "the packed kernel");
            dx.fill(T::zero());
        }
        if dy.is_empty() {
            return;
        }
        for (i, block) in self.blocks(dy.len() / self.conv.output_len()).enumerate() {
            self.transform_gradient(dy, block.clone(), dm, lines);
            if let Some((x, _)) = kernel {
                self.transform_input(x, block.clone(), v, lines);
                self.add_kernel_products(v, dm, block.len() * self.tiles[1], du, i == 0);
            }
            if let Some((packed, dx)) = &mut input {
                // V is not needed any more.
                self.add_input_products(dm, packed, block, v, dx, lines);
            }
        }
        if let Some((_, dkernel)) = kernel {
            self.add_inverse_kernel(du, dkernel);
        }
    }

    /// Adds `V dM`, summed over the tiles of a block, to `dU: [cout / NR, 16, cin, NR]`; the `first` overwrites it.
    fn add_kernel_products(&self, v: &[T], dm: &[T], tiles: usize, du: &mut [T], first: bool) {
        let (panels, parts, tile) = (self.conv.filters / NR, self.conv.channels / NR, self.capacity() * NR);
        let steps = Steps::new([1, 1, tiles], [0, 0, NR], [0, 0, NR]);
        let zero = [T::zero(); NR];
        for position in 0..POSITIONS {
            for panel in 0..panels {
                let dm = &dm[(position * panels + panel) * tile..];
                for part in 0..parts {
                    let a = Rows { data: &v[(position * parts + part) * tile..], count: NR, stride: 1 };
                    let du = &mut du[((panel * POSITIONS + position) * parts + part) * NR * NR..];
                    multiply(self.tile, a, &steps, dm, first.then_some(&zero), (du, NR), NR);
                }
            }
        }
    }

    /// Adds to `dx` what comes of `dV`, the sum over the filters of `dM U`, for the tiles of a block.
    fn add_input_products(
        &self,
        dm: &[T],
        packed: &[T],
        block: Range<usize>,
        dv: &mut [T],
        dx: &mut [T],
        scratch: &mut [T],
    ) {
        let (filters, tiles) = (self.conv.filters, block.len() * self.tiles[1]);
        let steps = self.steps(filters);
        let zero = [T::zero(); NR];
        for (part, u) in packed.chunks_exact(POSITIONS * filters * NR).enumerate() {
            for (position, u) in u.chunks_exact(filters * NR).enumerate() {
                let a = Rows { data: &dm[position * self.capacity() * filters..], count: tiles, stride: NR };
                let dv = &mut dv[position * self.capacity() * NR..];
                multiply(self.tile, a, &steps, u, Some(&zero), (dv, NR), NR);
            }
            self.add_inverse_input(dv, block.clone(), part, dx, scratch);
        }
    }

    /// The steps through `count` channels of a row of `V`, or filters of `dM`, which are `[count / NR, tiles, NR]`.
    fn steps(&self, count: usize) -> Steps {
        Steps::new([1, count / NR, NR], [0, self.capacity() * NR, 1], [0, NR * NR, NR])
    }

    /// The tiles of a block.
    fn capacity(&self) -> usize {
        self.lines * self.tiles[1]
    }

    /// Line `i` of a block.
    fn line(&self, i: usize) -> Line {
        Line { first: i * self.tiles[1], count: self.tiles[1], capacity: self.capacity() }
    }

    /// The pixels of a line that a line of tiles reads.
    fn width(&self) -> usize {
        2 * self.tiles[1] + 2
    }

    /// Lines of tiles, counted over all samples, a block at a time.
    fn blocks(&self, n: usize) -> impl Iterator<Item = Range<usize>> {
        let (lines, step) = (n * self.tiles[0], self.lines);
        (0..lines).step_by(step).map(move |start| start..(start + step).min(lines))
    }

    /// The four lines of the image, counted over all samples, that a line of tiles reads; `None` in the padding.
    fn input_lines(&self, line: usize) -> [Option<usize>; 4] {
        let (h, top) = (self.conv.window.input[0], self.conv.window.padding[0]);
        let (sample, down) = (line / self.tiles[0], line % self.tiles[0]);
        array::from_fn(|k| (2 * down + k).checked_sub(top).filter(|&y| y < h).map(|y| sample * h + y))
    }

    /// The two lines of the output, counted over all samples, that a line of tiles makes; `None` below the last.
    fn output_lines(&self, line: usize) -> [Option<usize>; 2] {
        let oh = self.conv.window.output[0];
        let (sample, down) = (line / self.tiles[0], line % self.tiles[0]);
        array::from_fn(|k| Some(2 * down + k).filter(|&y| y < oh).map(|y| sample * oh + y))
    }

    /// The part of a line of the image that tiles see, in elements, and where it stands in the line that tiles read.
    fn seen(&self) -> (usize, usize) {
        let (window, channels) = (&self.conv.window, self.conv.channels);
        let left = window.padding[1].min(self.width());
        (window.input[1].min(self.width() - left) * channels, left * channels)
    }

    /// `V = B' d B` for the tiles of a block: `[16, cin / NR, tiles, NR]`.
    fn transform_input(&self, x: &[T], block: Range<usize>, v: &mut [T], scratch: &mut [T]) {
        let (len, left) = self.seen();
        let (lines, zeros) = scratch.split_at_mut(4 * self.width() * self.conv.channels);
        lines.fill(T::zero());
        let zeros = &mut zeros[..len];
        zeros.fill(T::zero());
        let line_len = self.conv.window.input[1] * self.conv.channels;
        for (i, line) in block.enumerate() {
            let from = self.input_lines(line).map(|line| line.map_or(&*zeros, |line| &x[line * line_len..][..len]));
            vectorized(
                #[inline(always)]
                || input_line(from, left, lines, v, self.line(i)),
            );
        }
    }

    /// `y = A' M A` for the tiles of a block, of which `m: [16, tiles, NR]` holds a panel of filters.
    fn inverse_output(&self, m: &[T], block: Range<usize>, panel: usize, y: &mut [T], scratch: &mut [T]) {
        let (filters, ow) = (self.conv.filters, self.conv.window.output[1]);
        let rows = &mut scratch[..4 * 2 * self.tiles[1] * NR];
        for (i, line) in block.enumerate() {
            let lines = self.output_lines(line).map(|line| line.map(|line| line * ow * filters + panel * NR));
            vectorized(
                #[inline(always)]
                || output_line(m, self.line(i), rows, y, lines, [ow, filters]),
            );
        }
    }

    /// `dM = A dy A'` for the tiles of a block: `[16, cout / NR, tiles, NR]`.
    fn transform_gradient(&self, dy: &[T], block: Range<usize>, dm: &mut [T], scratch: &mut [T]) {
        let len = self.conv.window.output[1] * self.conv.filters;
        let (lines, zeros) = scratch.split_at_mut(4 * 2 * self.tiles[1] * self.conv.filters);
        lines.fill(T::zero());
        let zeros = &mut zeros[..len];
        zeros.fill(T::zero());
        for (i, line) in block.enumerate() {
            let from = self.output_lines(line).map(|line| line.map_or(&*zeros, |line| &dy[line * len..][..len]));
            vectorized(
                #[inline(always)]
                || gradient_line(from, lines, dm, self.line(i)),
            );
        }
    }

    /// Adds `B dV B'` to the pixels that the tiles of a block read, of which `dv: [16, tiles, NR]` holds a part of the channels.
    fn add_inverse_input(&self, dv: &[T], block: Range<usize>, part: usize, dx: &mut [T], scratch: &mut [T]) {
        let (channels, w) = (self.conv.channels, self.conv.window.input[1]);
        let left = self.conv.window.padding[1].min(self.width());
        let seen = w.min(self.width() - left);
        let rows = &mut scratch[..4 * self.width() * NR];
        for (i, line) in block.enumerate() {
            let lines = self.input_lines(line).map(|line| line.map(|line| line * w * channels + part * NR));
            vectorized(
                #[inline(always)]
                || add_input_line(dv, self.line(i), rows, left, dx, lines, [seen, channels]),
            );
        }
    }

    /// Adds `G' dU G` to `dkernel: [3, 3, cin, cout]`.
    fn add_inverse_kernel(&self, du: &[T], dkernel: &mut [T]) {
        let Conv { channels, filters, .. } = *self.conv;
        vectorized(
            #[inline(always)]
            || {
                for (panel, du) in du.chunks_exact(POSITIONS * channels * NR).enumerate() {
                    for c in 0..channels {
                        add_inverse_kernel(
                            du,
                            channels,
                            c,
                            &mut dkernel[c * filters + panel * NR..],
                            channels * filters,
                        );
                    }
                }
            },
        );
    }
}
