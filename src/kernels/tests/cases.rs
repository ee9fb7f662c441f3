//! Random sizes for the tests of the kernels.

use proptest::prelude::*;

use crate::kernels::{Window, conv::Conv, pool::Pool};

/// Convolutions and a number of samples.
pub fn convs() -> impl Strategy<Value = (Conv, usize)> {
    let windows = prop_oneof![
        4 => [axis(), axis()].prop_map(window),
        1 => [1..12_usize, 1..12].prop_map(|input| {
            window(input.map(|input| Axis::new(1, 1, 1, Border::Valid { extra: input - 1 })))
        }),
    ];
    let groups = prop_oneof![2 => Just(1), 1 => 2..5_usize];
    let channels = prop_oneof![1 => Just(1), 2 => 1..9_usize];
    (windows, groups, channels, 1..20_usize, 1..6_usize).prop_map(|(window, groups, channels, filters, n)| {
        (Conv { window, channels: groups * channels, filters: groups * filters, groups }, n)
    })
}

/// Convolutions in which each channel is a group, and a number of samples.
pub fn depthwise() -> impl Strategy<Value = (Conv, usize)> {
    ([axis(), axis()], 2..40_usize, 1..4_usize, 1..4_usize).prop_map(|(axes, channels, multiplier, n)| {
        (Conv { window: window(axes), channels, filters: channels * multiplier, groups: channels }, n)
    })
}

/// Poolings and a number of samples.
pub fn pools() -> impl Strategy<Value = (Pool, usize)> {
    ([axis(), axis()], 1..20_usize, 1..4_usize)
        .prop_map(|(axes, channels, n)| (Pool { window: window(axes), channels }, n))
}

/// A dimension of a matrix: below and above what a product takes at a time.
pub fn size() -> impl Strategy<Value = usize> {
    prop_oneof![12 => 1..40_usize, 1 => 250..400_usize]
}

/// What happens at the border of an image of a few pixels.
pub fn border() -> impl Strategy<Value = Border> {
    prop_oneof![
        (0..9_usize).prop_map(|extra| Border::Valid { extra }),
        (1..12_usize).prop_map(|input| Border::Same { input }),
        (0..5_usize, 0..5_usize, 0..6_usize).prop_map(|(before, after, extra)| Border::Padded { before, after, extra }),
    ]
}

fn axis() -> impl Strategy<Value = Axis> {
    (1..5_usize, 1..4_usize, 1..4_usize, border())
        .prop_map(|(kernel, stride, dilation, border)| Axis::new(kernel, stride, dilation, border))
}

/// What happens at the border of one axis.
#[derive(Clone, Copy, Debug)]
pub enum Border {
    /// The image has `extra` pixels more than the window spans. Its last pixels may be in no window.
    Valid { extra: usize },
    /// As many outputs as the stride asks for.
    Same { input: usize },
    /// So much padding, and an image that together with it has at least `extra` pixels more than the window spans.
    /// A window may see nothing but padding.
    Padded { before: usize, after: usize, extra: usize },
}

#[derive(Clone, Copy, Debug)]
pub struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
}

impl Axis {
    pub fn new(kernel: usize, stride: usize, dilation: usize, border: Border) -> Self {
        let span = (kernel - 1) * dilation + 1;
        let (input, output, padding) = match border {
            Border::Valid { extra } => (span + extra, extra / stride + 1, 0),
            Border::Same { input } => {
                let output = input.div_ceil(stride);
                (input, output, ((output - 1) * stride + span).saturating_sub(input) / 2)
            }
            Border::Padded { before, after, extra } => {
                let input = (span + extra).saturating_sub(before + after).max(1);
                (input, (input + before + after - span) / stride + 1, before)
            }
        };
        Axis { input, output, kernel, stride, dilation, padding }
    }
}

pub fn window(axes: [Axis; 2]) -> Window {
    Window {
        input: axes.map(|axis| axis.input),
        output: axes.map(|axis| axis.output),
        kernel: axes.map(|axis| axis.kernel),
        strides: axes.map(|axis| axis.stride),
        dilation: axes.map(|axis| axis.dilation),
        padding: axes.map(|axis| axis.padding),
    }
}
