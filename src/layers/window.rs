//! How the windows of convolutions and poolings are laid over an image.

use super::{Build, Pair};
use crate::{
    Result, Shape,
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
}

/// The window over an input of `[h, w]`, or an error that names the argument which does not fit.
pub(super) fn slide(
    cx: &Build,
    [h, w]: [usize; 2],
    (kernel_name, kernel): (&str, Pair),
    strides: Pair,
    dilation: Pair,
    padding: Padding,
) -> Result<Window> {
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
    let vertical = Axis {
        unit: "pixels high",
        input: h,
        kernel: kernel.height,
        stride: strides.height,
        dilation: dilation.height,
    };
    let unit = if sequence { "steps long" } else { "pixels wide" };
    let horizontal = Axis { unit, input: w, kernel: kernel.width, stride: strides.width, dilation: dilation.width };
    let (oh, top) = vertical.slide(cx, padding)?;
    let (ow, left) = horizontal.slide(cx, padding)?;
    // One output takes no stride and one tap no dilation, so these may be larger than any image.
    let taken = |step: usize, count: usize| if count == 1 { 1 } else { step };
    Ok(Window {
        input: [h, w],
        output: [oh, ow],
        kernel: kernel.to_array(),
        strides: [taken(strides.height, oh), taken(strides.width, ow)],
        dilation: [taken(dilation.height, kernel.height), taken(dilation.width, kernel.width)],
        padding: [top, left],
    })
}

struct Axis {
    unit: &'static str,
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
}

impl Axis {
    /// The number of outputs, and the padding before the image.
    fn slide(&self, cx: &Build, padding: Padding) -> Result<(usize, usize)> {
        let &Axis { unit, input, kernel, stride, dilation } = self;
        let span = (kernel - 1)
            .checked_mul(dilation)
            .and_then(|span| span.checked_add(1))
            .filter(|&span| span <= isize::MAX as usize)
            .ok_or_else(|| {
                cx.argument_error(format!("a window of {kernel} taps, {dilation} apart, is larger than any image"))
            })?;
        match padding {
            Padding::Same => {
                let output = input.div_ceil(stride);
                let total = (output.saturating_sub(1) * stride + span).saturating_sub(input);
                Ok((output, total / 2))
            }
            Padding::Valid if span <= input => Ok(((input - span) / stride + 1, 0)),
            Padding::Valid => Err(cx.shape_error(
                format!("an input at least {span} {unit}"),
                "take a smaller window, or pad with Padding::Same",
            )),
        }
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
