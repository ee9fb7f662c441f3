//! im2col and its adjoint col2im: a convolution as a matrix product.

use std::ops::Range;

use num_traits::Float;

use super::Window;

/// The channels of an image that take part: `count` of `total`, from `first` on. A convolution without groups takes
/// them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// All channels of the image.
    pub total: usize,
    /// The first that takes part.
    pub first: usize,
    /// How many take part.
    pub count: usize,
}

/// Writes into each row of `columns` the pixels that the window sees at one output: `[lines * ow, kh * kw * count]`,
/// padding as 0.
///
/// `x: [n, h, w, total]`. `lines` are lines of outputs, counted through all samples: line `i` is line `i % oh` of
/// sample `i / oh`.
///
/// K. Chellapilla, S. Puri, P. Simard: High Performance Convolutional Neural Networks for Document Processing (2006).
pub fn im2col<T: Float>(window: &Window, channels: Channels, x: &[T], lines: Range<usize>, columns: &mut [T]) {
    let [oh, ow] = window.output;
    let [_, kw] = window.kernel;
    let patch = window.taps() * channels.count;
    // Where taps and channels follow each other in memory, a line of taps is one run.
    let whole_runs = window.dilation[1] == 1 && channels.count == channels.total;
    let mut patches = columns.chunks_exact_mut(patch.max(1));
    for line in lines {
        let (sample, oy) = (line / oh, line % oh);
        let image = &x[sample * window.pixels() * channels.total..][..window.pixels() * channels.total];
        for ox in 0..ow {
            let row = patches.next().expect("columns has a row for each output");
            let inside = window.taps_inside(1, ox);
            for (ky, taps) in row.chunks_exact_mut(kw * channels.count).enumerate() {
                let Some(iy) = window.pixel(0, oy, ky).filter(|_| !inside.is_empty()) else {
                    taps.fill(T::zero());
                    continue;
                };
                taps[..inside.start * channels.count].fill(T::zero());
                taps[inside.end * channels.count..].fill(T::zero());
                let first = window.pixel(1, ox, inside.start).expect("the tap is inside");
                let source = (iy * window.input[1] + first) * channels.total + channels.first;
                let taps = &mut taps[inside.start * channels.count..inside.end * channels.count];
                if whole_runs {
                    copy(taps, &image[source..]);
                } else {
                    let step = window.dilation[1] * channels.total;
                    for (i, tap) in taps.chunks_exact_mut(channels.count).enumerate() {
                        copy(tap, &image[source + i * step..]);
                    }
                }
            }
        }
    }
}

/// Copies the first elements; short runs in a loop, since a call of memcpy costs more than they do.
#[inline]
fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    let from = &from[..to.len()];
    if to.len() < 8 {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = from;
        }
    } else {
        to.copy_from_slice(from);
    }
}

/// The adjoint of [`im2col`]: adds each element of `columns` to the pixel of `dx: [n, h, w, total]` that it was read
/// from.
pub fn col2im<T: Float>(window: &Window, channels: Channels, columns: &[T], lines: Range<usize>, dx: &mut [T]) {
    let [oh, ow] = window.output;
    let [_, kw] = window.kernel;
    let patch = window.taps() * channels.count;
    let whole_runs = window.dilation[1] == 1 && channels.count == channels.total;
    let mut patches = columns.chunks_exact(patch.max(1));
    for line in lines {
        let (sample, oy) = (line / oh, line % oh);
        let image = &mut dx[sample * window.pixels() * channels.total..][..window.pixels() * channels.total];
        for ox in 0..ow {
            let row = patches.next().expect("columns has a row for each output");
            let inside = window.taps_inside(1, ox);
            for (ky, taps) in row.chunks_exact(kw * channels.count).enumerate() {
                let Some(iy) = window.pixel(0, oy, ky).filter(|_| !inside.is_empty()) else {
                    continue;
                };
                let first = window.pixel(1, ox, inside.start).expect("the tap is inside");
                let target = (iy * window.input[1] + first) * channels.total + channels.first;
                let taps = &taps[inside.start * channels.count..inside.end * channels.count];
                if whole_runs {
                    add(&mut image[target..], taps);
                } else {
                    let step = window.dilation[1] * channels.total;
                    for (i, tap) in taps.chunks_exact(channels.count).enumerate() {
                        add(&mut image[target + i * step..], tap);
                    }
                }
            }
        }
    }
}

/// Adds to the first elements.
#[inline]
fn add<T: Float>(to: &mut [T], from: &[T]) {
    for (to, &from) in to[..from.len()].iter_mut().zip(from) {
        *to = *to + from;
    }
}
