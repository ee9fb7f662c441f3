//! How the windows of convolutions and poolings are laid over an image.

use serde_json::Value;

use super::{Build, Pair};
use crate::{
    Result, Shape,
    config::{self, Argument},
    kernels::{Window, pool::Pool},
};

/// What happens at the border of an image, as in Keras.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// The window stays inside: `out = (in - kernel) / stride + 1`, rounded down.
    #[default]
    Valid,
    /// Padded so that `out = in / stride`, rounded up; an odd pixel of padding comes after the image.
    Same,
    /// For a sequence ([`Conv1D`](super::Conv1D)): `out = in / stride`, rounded up, with all padding before it, so that no output
    /// sees a later step.
    Causal,
}

/// The window over an input of `[h, w]`, or an error that names the argument which does not fit.
pub(super) fn slide(
    cx: &Build,
    input: [usize; 2],
    kernel: (&str, Pair),
    strides: Pair,
    dilation: Pair,
    padding: Padding,
) -> Result<Window> {
    let axes = axes(cx, input, kernel, strides, dilation, padding)?;
    let [(oh, top), (ow, left)] = [axes[0].slide(cx, padding)?, axes[1].slide(cx, padding)?];
    Ok(window(axes, [oh, ow], [top, left]))
}

/// The window over a sequence of `steps`: that over an image of one line.
pub(super) fn slide_along(
    cx: &Build,
    steps: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: Padding,
) -> Result<Window> {
    for (name, value) in [("kernel_size", kernel), ("strides", stride), ("dilation_rate", dilation)] {
        if value == 0 {
            return Err(cx.argument_error(format!("{name} must be at least 1, got 0")));
        }
    }
    let line = Axis { name: "pixels high", input: 1, kernel: 1, stride: 1, dilation: 1 };
    let sequence = Axis { name: "steps long", input: steps, kernel, stride, dilation };
    let (output, before) = sequence.slide(cx, padding)?;
    Ok(window([line, sequence], [1, output], [0, before]))
}

/// The window whose convolution takes the output of a transposed convolution to the shape of its input, `[h, w]`.
pub(super) fn slide_transposed(
    cx: &Build,
    input: [usize; 2],
    kernel: Pair,
    strides: Pair,
    dilation: Pair,
    padding: Padding,
    output_padding: Option<Pair>,
) -> Result<Window> {
    let axes = axes(cx, input, ("kernel_size", kernel), strides, dilation, padding)?;
    let extra = |axis: usize| output_padding.map(|extra| extra.to_array()[axis]);
    let (oh, top) = axes[0].slide_back(cx, padding, extra(0))?;
    let (ow, left) = axes[1].slide_back(cx, padding, extra(1))?;
    Ok(Window { input: [oh, ow], ..window(axes, input, [top, left]) })
}

/// The two axes of an image, whose arguments have been checked.
fn axes(
    cx: &Build,
    input: [usize; 2],
    (kernel_name, kernel): (&str, Pair),
    strides: Pair,
    dilation: Pair,
    padding: Padding,
) -> Result<[Axis; 2]> {
    if padding == Padding::Causal {
        return Err(cx.argument_error("padding must be Valid or Same; Causal is for sequences, the input of a Conv1D"));
    }
    // A sequence comes as an image one pixel high, of which its user shall not read.
    let sequence = cx.input().rank() == 2;
    let shown = |Pair { height, width }| if sequence { width.to_string() } else { format!("({height}, {width})") };
    for (name, pair) in [(kernel_name, kernel), ("strides", strides), ("dilation_rate", dilation)] {
        if pair.height == 0 || pair.width == 0 {
            return Err(cx.argument_error(format!("{name} must be at least 1, got {}", shown(pair))));
        }
    }
    // Pooling notes the number of a tap in four bytes.
    if kernel.height.checked_mul(kernel.width).is_none_or(|taps| taps > u32::MAX as usize) {
        return Err(cx.argument_error(format!("{kernel_name} {} is larger than any image", shown(kernel))));
    }
    let [kernel, strides, dilation] = [kernel, strides, dilation].map(Pair::to_array);
    Ok([0, 1].map(|axis| Axis {
        name: ["pixels high", if sequence { "steps long" } else { "pixels wide" }][axis],
        input: input[axis],
        kernel: kernel[axis],
        stride: strides[axis],
        dilation: dilation[axis],
    }))
}

/// The window that meets the input of these axes `output` times, with `padding` before it.
fn window(axes: [Axis; 2], output: [usize; 2], padding: [usize; 2]) -> Window {
    // One output takes no stride and one tap no dilation, so these may be larger than any image.
    let taken = |step: usize, count: usize| if count == 1 { 1 } else { step };
    Window {
        input: axes.each_ref().map(|axis| axis.input),
        output,
        kernel: axes.each_ref().map(|axis| axis.kernel),
        strides: [taken(axes[0].stride, output[0]), taken(axes[1].stride, output[1])],
        dilation: axes.map(|axis| taken(axis.dilation, axis.kernel)),
        padding,
    }
}

struct Axis {
    /// What it measures.
    name: &'static str,
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
}

impl Axis {
    /// The number of outputs, and the padding before the image.
    fn slide(&self, cx: &Build, padding: Padding) -> Result<(usize, usize)> {
        let &Axis { name, input, stride, .. } = self;
        let span = self.span(cx)?;
        let rounded_up = input.div_ceil(stride);
        match padding {
            Padding::Same => {
                let total = (rounded_up.saturating_sub(1) * stride + span).saturating_sub(input);
                Ok((rounded_up, total / 2))
            }
            Padding::Causal => Ok((rounded_up, span - 1)),
            Padding::Valid if span <= input => Ok(((input - span) / stride + 1, 0)),
            Padding::Valid => Err(cx.shape_error(
                format!("an input at least {span} {name}"),
                "take a smaller window, or pad with Padding::Same",
            )),
        }
    }

    /// The length of an image that the window meets `input` times, and the padding before it. `extra` is Keras's
    /// `output_padding`; without it, `Same` gives `input * stride`.
    fn slide_back(&self, cx: &Build, padding: Padding, extra: Option<usize>) -> Result<(usize, usize)> {
        let &Axis { name, input, stride, .. } = self;
        let span = self.span(cx)?;
        if let Some(extra) = extra.filter(|&extra| extra >= stride) {
            return Err(
                cx.argument_error(format!("output_padding must be less than strides, got {extra} and {stride}"))
            );
        }
        // How long the image is behind the place at which the window meets it last.
        let last = match (padding, extra) {
            (Padding::Same, None) => stride as u128,
            (Padding::Same, Some(extra)) => (span % 2) as u128 + extra as u128,
            (_, None) => span.max(stride) as u128,
            (_, Some(extra)) => span as u128 + extra as u128,
        };
        let moved = input.saturating_sub(1) as u128 * stride as u128;
        let length = isize::try_from(moved + last).map_err(|_| {
            cx.argument_error(format!("strides of {stride} make {input} pixels an image larger than any memory"))
        })? as usize;
        if length == 0 {
            return Err(
                cx.argument_error(format!("the output would be 0 {name}; give a larger output_padding, or none"))
            );
        }
        let total = if padding == Padding::Same { (moved as usize + span).saturating_sub(length) } else { 0 };
        Ok((length, total / 2))
    }

    /// From the first tap to the last.
    fn span(&self, cx: &Build) -> Result<usize> {
        let &Axis { kernel, dilation, .. } = self;
        (kernel - 1)
            .checked_mul(dilation)
            .and_then(|span| span.checked_add(1))
            .filter(|&span| span <= isize::MAX as usize)
            .ok_or_else(|| {
                cx.argument_error(format!("a window of {kernel} taps, {dilation} apart, is larger than any image"))
            })
    }
}

/// The pooling of an input `[h, w, c]`, and the shape of its output.
pub(super) fn pool(cx: &Build, pool_size: Pair, strides: Option<Pair>, padding: Padding) -> Result<(Pool, Shape)> {
    let [h, w, channels] = cx.input_of_rank("images are (height, width, channels)")?;
    let strides = strides.unwrap_or(pool_size);
    let window = slide(cx, [h, w], ("pool_size", pool_size), strides, 1.into(), padding)?;
    Ok((Pool { window, channels }, [window.output[0], window.output[1], channels].into()))
}

/// The pooling of a sequence `[steps, c]`, as of an image one pixel high, and the shape of its output.
pub(super) fn pool1d(cx: &Build, pool_size: usize, strides: Option<usize>, padding: Padding) -> Result<(Pool, Shape)> {
    let [steps, channels] = cx.input_of_rank("sequences are (steps, channels)")?;
    let [pool_size, strides] = [pool_size, strides.unwrap_or(pool_size)].map(|width| Pair { height: 1, width });
    let window = slide(cx, [1, steps], ("pool_size", pool_size), strides, 1.into(), padding)?;
    Ok((Pool { window, channels }, [window.output[1], channels].into()))
}

/// The pooling of a whole image `[h, w, c]`, and the shape of its output: `[c]` or `[1, 1, c]`.
pub(super) fn global_pool(cx: &Build, keepdims: bool) -> Result<(Pool, Shape)> {
    let [h, w, channels] = cx.input_of_rank("images are (height, width, channels)")?;
    let (pool, output) = pool(cx, (h, w).into(), None, Padding::Valid)?;
    Ok((pool, if keepdims { output } else { channels.into() }))
}

/// The pooling of a whole sequence `[steps, c]`, and the shape of its output: `[c]` or `[1, c]`.
pub(super) fn global_pool1d(cx: &Build, keepdims: bool) -> Result<(Pool, Shape)> {
    let [steps, channels] = cx.input_of_rank("sequences are (steps, channels)")?;
    let (pool, output) = pool1d(cx, steps, None, Padding::Valid)?;
    Ok((pool, if keepdims { output } else { channels.into() }))
}

const PADDINGS: [(&str, Padding); 3] =
    [("valid", Padding::Valid), ("same", Padding::Same), ("causal", Padding::Causal)];

impl Argument for Padding {
    fn to_json(&self) -> Value {
        config::named(self, &PADDINGS)
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        config::choice(json, &PADDINGS)
    }
}
