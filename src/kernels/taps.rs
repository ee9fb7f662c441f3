//! Which taps of a window read which pixels, forward and backward, along one axis at a time.

use std::{array, iter, ops::Range};

use super::Window;

/// Taps of a line that are worked on at a time: a pixel of the sums, or of `dy`, is loaded once for all of them.
pub const TAPS: usize = 3;

/// Which taps of which sources are summed into the targets along one axis: tap `k` of target `t` reads source `s` where
/// `s * up = t * down + k * dilation - padding`.
#[derive(Clone, Copy)]
pub struct Axis {
    pub targets: usize,
    pub sources: usize,
    pub taps: usize,
    pub up: usize,
    pub down: usize,
    pub dilation: usize,
    pub padding: isize,
}

impl Axis {
    /// The targets are the outputs.
    pub fn forward(window: &Window, axis: usize) -> Self {
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
    pub fn backward(window: &Window, axis: usize) -> Self {
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
    pub fn phases(self) -> impl Iterator<Item = Phase> {
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
pub struct Phase {
    pub targets: usize,
    /// The pixel of the first target, and how far they are apart.
    pub first: usize,
    pub target_step: usize,
    pub sources: usize,
    pub origin: isize,
    pub stride: usize,
    pub dilation: usize,
    pub taps: usize,
    /// The first tap in the kernel, and how far they are apart there.
    pub tap: usize,
    pub tap_step: usize,
}

/// Taps that follow each other, and targets at which each of them reads a source.
pub struct Run {
    pub tap: usize,
    /// [`TAPS`] or 1.
    pub taps: usize,
    pub targets: Range<usize>,
}

impl Phase {
    /// The source that a target reads at a tap; it may lie outside.
    pub fn source(&self, target: usize, tap: usize) -> isize {
        self.origin + (target * self.stride) as isize + (tap * self.dilation) as isize
    }

    /// The pixel of a target.
    pub fn target(&self, i: usize) -> usize {
        self.first + i * self.target_step
    }

    /// A tap in the kernel.
    pub fn weight(&self, tap: usize) -> usize {
        self.tap + tap * self.tap_step
    }

    /// The taps of a target that read a source.
    pub fn taps_inside(&self, target: usize) -> Range<usize> {
        inside(self.source(target, 0), self.dilation, self.sources, self.taps)
    }

    /// The targets at which a tap reads a source.
    fn targets_inside(&self, tap: usize) -> Range<usize> {
        inside(self.source(0, tap), self.stride, self.sources, self.targets)
    }

    /// Each tap of each target that reads a source, once.
    pub fn runs(self) -> impl Iterator<Item = Run> {
        let whole = self.taps / TAPS * TAPS;
        let groups = (0..whole).step_by(TAPS).flat_map(move |tap| {
            let inside: [Range<usize>; TAPS] = array::from_fn(|i| self.targets_inside(tap + i));
            let start = inside.iter().fold(0, |start, inside| start.max(inside.start));
            let end = inside.iter().fold(usize::MAX, |end, inside| end.min(inside.end)).max(start);
            let rest = inside.into_iter().enumerate().flat_map(move |(i, inside)| {
                [inside.start..inside.end.min(start), inside.start.max(end)..inside.end].map(|targets| Run {
                    tap: tap + i,
                    taps: 1,
                    targets,
                })
            });
            iter::once(Run { tap, taps: TAPS, targets: start..end }).chain(rest)
        });
        let others = (whole..self.taps).map(move |tap| Run { tap, taps: 1, targets: self.targets_inside(tap) });
        groups.chain(others).filter(|run| !run.targets.is_empty())
    }
}

/// Which of the places `first`, `first + step`, …, `count` of them, lie in `0..len`.
fn inside(first: isize, step: usize, len: usize, count: usize) -> Range<usize> {
    let steps_to = |place: isize| ((place - first).max(0) as usize).div_ceil(step);
    let start = steps_to(0);
    start..steps_to(len as isize).min(count).max(start)
}
