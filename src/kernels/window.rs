//! The geometry of a window that slides over an image.

use std::ops::Range;

/// A window that slides over an image of `h` by `w` pixels and meets it `oh` by `ow` times.
///
/// Tap `(ky, kx)` of the window at output `(oy, ox)` reads the pixel
/// `(oy * sh + ky * dh - top, ox * sw + kx * dw - left)`; pixels outside the image are padding.
/// Every pair is `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `[h, w]`: the image.
    pub input: [usize; 2],
    /// `[oh, ow]`: how often the window meets it.
    pub output: [usize; 2],
    /// `[kh, kw]`: the taps of the window.
    pub kernel: [usize; 2],
    /// `[sh, sw]`: how far it moves from one output to the next.
    pub strides: [usize; 2],
    /// `[dh, dw]`: how far its taps are apart.
    pub dilation: [usize; 2],
    /// `[top, left]`: the padding before the image.
    pub padding: [usize; 2],
}

impl Window {
    /// The number of pixels of the image.
    pub fn pixels(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// The number of taps.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether each output sees exactly the one pixel at its own place.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.strides == [1, 1] && self.padding == [0, 0] && self.input == self.output
    }

    /// Whether each pixel is read by exactly one tap of one output.
    pub fn is_tiling(&self) -> bool {
        self.is_packed() && self.covered() == self.input
    }

    /// Whether the windows lie side by side, from the first pixel on: only pixels at the right and at the bottom can be left over.
    pub fn is_packed(&self) -> bool {
        let fits = |axis: usize| self.covered()[axis] <= self.input[axis];
        self.kernel == self.strides && self.dilation == [1, 1] && self.padding == [0, 0] && fits(0) && fits(1)
    }

    /// The height and the width of what windows that lie side by side cover.
    pub fn covered(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.output[axis] * self.strides[axis])
    }

    /// The pixel along `axis` (0: vertical, 1: horizontal) that a tap reads; `None` in the padding.
    pub fn pixel(&self, axis: usize, output: usize, tap: usize) -> Option<usize> {
        (output * self.strides[axis] + tap * self.dilation[axis])
            .checked_sub(self.padding[axis])
            .filter(|&pixel| pixel < self.input[axis])
    }

    /// The taps along `axis` that lie in the image at an output.
    pub fn taps_inside(&self, axis: usize, output: usize) -> Range<usize> {
        let (stride, dilation, padding) = (self.strides[axis], self.dilation[axis], self.padding[axis]);
        let start = output * stride;
        // A division costs as much as the work on a small window.
        let tap_at = |distance: usize| if dilation == 1 { distance } else { distance.div_ceil(dilation) };
        let first = tap_at(padding.saturating_sub(start));
        let end = tap_at((self.input[axis] + padding).saturating_sub(start));
        first..end.min(self.kernel[axis]).max(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taps_inside_are_those_that_read_a_pixel() {
        for input in 1..7 {
            for kernel in 1..5 {
                for stride in 1..4 {
                    for dilation in 1..4 {
                        for padding in 0..4 {
                            let window = Window {
                                input: [input, 1],
                                output: [4, 1],
                                kernel: [kernel, 1],
                                strides: [stride, 1],
                                dilation: [dilation, 1],
                                padding: [padding, 0],
                            };
                            for output in 0..4 {
                                let inside: Vec<_> =
                                    (0..kernel).filter(|&tap| window.pixel(0, output, tap).is_some()).collect();
                                assert_eq!(
                                    window.taps_inside(0, output).collect::<Vec<_>>(),
                                    inside,
                                    "{window:?} at {output}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
