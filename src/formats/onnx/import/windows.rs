//! Operators of images and sequences: convolutions and poolings, and the windows that they move.

use serde_json::json;

use super::{Import, with_bias};
use crate::formats::onnx::{channels_first, constant::Constant, reader::Operation};

/// How the windows of a node move over the image.
struct Windows {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// The pixels of padding before and after the image.
    pads: Vec<[usize; 2]>,
}

impl Import<'_> {
    pub(super) fn convolution(&mut self, node: &Operation) -> Result<(), String> {
        let kernel = node.constant(1)?;
        let axes = self.images(&kernel)?;
        let mut windows = self.windows(node, &kernel.dims[2..])?;
        let padding = self.padding(&mut windows, axes == 1)?;
        let order: Vec<usize> = (2..axes + 2).chain([1, 0]).collect();
        let mut config = json!({
            "filters": kernel.dims[0],
            "kernel_size": windows.kernel,
            "strides": windows.strides,
            "dilation_rate": windows.dilations,
            "padding": padding,
            "groups": self.groups(node)?,
        });
        let weights = with_bias(&mut config, kernel.permuted(&order), node.optional_constant(2)?);
        self.plan.push(if axes == 1 { "Conv1D" } else { "Conv2D" }, config, weights)
    }

    pub(super) fn transposed_convolution(&mut self, node: &Operation) -> Result<(), String> {
        let kernel = node.constant(1)?;
        if self.images(&kernel)? != 2 || self.groups(node)? != 1 {
            return Err("only one of images, without groups, is supported".into());
        }
        if node.ints("output_shape").is_some() || !["NOTSET", "VALID"].contains(&node.string("auto_pad", "NOTSET")) {
            return Err("output_shape and auto_pad are not supported; give pads and output_padding".into());
        }
        let windows = self.windows(node, &kernel.dims[2..])?;
        let extra: Vec<usize> = match node.ints("output_padding") {
            Some(ints) => ints
                .iter()
                .map(|&extra| extra.try_into().ok())
                .collect::<Option<_>>()
                .ok_or("output_padding is below 0")?,
            None => vec![0; 2],
        };
        let Windows { kernel: size, strides, dilations, pads } = windows;
        let mut config = json!({
            "filters": kernel.dims[1], "kernel_size": size, "strides": strides, "dilation_rate": dilations,
        });
        // The output is as long as the windows reach, but for the padding; Keras's `same` is as long as the strides.
        let same = (0..2).all(|axis| {
            let span = span(size[axis], dilations[axis]);
            let total = span.saturating_sub(strides[axis]);
            let [before, after] = pads[axis];
            before == total / 2
                && before.saturating_add(after) == total.saturating_add(extra.get(axis).copied().unwrap_or(0))
                && span >= strides[axis]
        });
        match same {
            true => config["padding"] = "same".into(),
            false => config["output_padding"] = json!(extra),
        }
        let weights = with_bias(&mut config, kernel.permuted(&[2, 3, 1, 0]), node.optional_constant(2)?);
        self.plan.push("Conv2DTranspose", config, weights)?;
        if !same && pads != [[0, 0], [0, 0]] {
            self.plan.push("Cropping2D", json!({ "cropping": pads }), Vec::new())?;
        }
        Ok(())
    }

    /// Brings the channels to where cornu has them; the number of the axes of the images, which have a kernel `[_, _, ..]`.
    fn images(&mut self, kernel: &Constant) -> Result<usize, String> {
        let rank = self.plan.sample.len();
        if !(2..=3).contains(&rank) || kernel.dims.len() != rank + 1 || kernel.values.is_empty() {
            return Err(format!(
                "expected samples of two or three dimensions and a kernel of one more, got samples {:?} and a kernel {:?}",
                self.plan.sample_in_file(),
                kernel.dims
            ));
        }
        self.plan.arrange(&channels_first(rank))?;
        Ok(rank - 1)
    }

    fn groups(&self, node: &Operation) -> Result<usize, String> {
        node.int("group", 1).try_into().map_err(|_| "group is below 0".to_owned())
    }

    /// The windows of a node, once the channels are where cornu has them.
    fn windows(&self, node: &Operation, kernel: &[usize]) -> Result<Windows, String> {
        let axes = kernel.len();
        let (kernel, image) = (kernel.to_vec(), &self.plan.sample[..axes]);
        let (strides, dilations) = (node.sizes("strides", axes)?, node.sizes("dilations", axes)?);
        let auto = node.string("auto_pad", "NOTSET");
        let explicit = node.ints("pads").map(|pads| sides(pads, axes)).transpose()?;
        let pads = (0..axes).map(|axis| {
            let total = total_padding(image[axis], span(kernel[axis], dilations[axis]), strides[axis]);
            match auto {
                "SAME_UPPER" => Ok([total / 2, total - total / 2]),
                "SAME_LOWER" => Ok([total - total / 2, total / 2]),
                "VALID" => Ok([0, 0]),
                "NOTSET" => Ok(explicit.as_ref().map_or([0, 0], |pads| pads[axis])),
                other => Err(format!("auto_pad is {other:?}, which ONNX does not have")),
            }
        });
        Ok(Windows { pads: pads.collect::<Result<_, _>>()?, kernel, strides, dilations })
    }

    /// The padding of Keras's that the windows have; where it is another, zeros are put around the image before.
    fn padding(&mut self, windows: &mut Windows, causal: bool) -> Result<&'static str, String> {
        match self.known_padding(windows) {
            Some("causal") if !causal => {}
            Some(known) => return Ok(known),
            None => {}
        }
        self.plan.pad(&windows.pads)?;
        Ok("valid")
    }

    fn known_padding(&self, windows: &Windows) -> Option<&'static str> {
        let Windows { kernel, strides, dilations, pads } = windows;
        let axes = 0..kernel.len();
        let span = |axis: usize| span(kernel[axis], dilations[axis]);
        let same = |axis: usize| {
            let total = total_padding(self.plan.sample[axis], span(axis), strides[axis]);
            pads[axis] == [total / 2, total - total / 2]
        };
        match () {
            () if axes.clone().all(|axis| pads[axis] == [0, 0]) => Some("valid"),
            () if axes.clone().all(same) => Some("same"),
            () if axes.clone().all(|axis| pads[axis] == [span(axis) - 1, 0]) => Some("causal"),
            () => None,
        }
    }

    pub(super) fn pool(&mut self, node: &Operation, classes: [&'static str; 2]) -> Result<(), String> {
        let axes = self.pooled_axes()?;
        let kernel = node.sizes("kernel_shape", axes)?;
        let mut windows = self.windows(node, &kernel)?;
        if windows.dilations != vec![1; axes] {
            return Err(format!("dilations of {:?} are not supported", windows.dilations));
        }
        let average = node.node.op_type == "AveragePool";
        let padded = windows.pads.iter().any(|side| *side != [0, 0]);
        let counts_padding = node.int("count_include_pad", 0) != 0;
        if node.int("ceil_mode", 0) != 0 {
            self.round_up(&mut windows, average)?;
        }
        let padding = match self.known_padding(&windows) {
            Some(known @ ("valid" | "same")) if !(average && padded && counts_padding) => known,
            // Zeros change no maximum of numbers of which none is below 0.
            _ if if average { counts_padding } else { self.plan.non_negative } => {
                self.plan.pad(&windows.pads)?;
                "valid"
            }
            _ => {
                return Err(format!(
                    "a padding of {:?} is supported only where it is Keras's \"same\", {}",
                    windows.pads,
                    if average {
                        "or is counted (count_include_pad)"
                    } else {
                        "or no input is below 0, as behind a relu"
                    }
                ));
            }
        };
        let config = json!({"pool_size": windows.kernel, "strides": windows.strides, "padding": padding});
        self.plan.push(classes[axes - 1], config, Vec::new())
    }

    /// Pads the image at its end so far that a window more fits where its size is rounded up.
    fn round_up(&self, windows: &mut Windows, average: bool) -> Result<(), String> {
        for axis in 0..windows.kernel.len() {
            let [before, after] = windows.pads[axis];
            let (kernel, stride) = (windows.kernel[axis], windows.strides[axis]);
            let length = self.plan.sample[axis].saturating_add(before).saturating_add(after);
            let rest = length.checked_sub(kernel).ok_or("its windows are larger than the image")? % stride;
            let start = (length - rest - kernel).saturating_add(stride);
            // A window that would begin behind the image is left out.
            if rest == 0 || start >= self.plan.sample[axis].saturating_add(before) {
                continue;
            }
            if average {
                return Err("ceil_mode is not supported where it makes a window more".into());
            }
            windows.pads[axis][1] = after.saturating_add(stride - rest);
        }
        Ok(())
    }

    /// Brings the channels to where cornu has them; the number of the axes of the images.
    pub(super) fn pooled_axes(&mut self) -> Result<usize, String> {
        let rank = self.plan.sample.len();
        if !(2..=3).contains(&rank) {
            let sample = self.plan.sample_in_file();
            return Err(format!("expected samples of two or three dimensions, got {sample:?}"));
        }
        self.plan.arrange(&channels_first(rank))?;
        Ok(rank - 1)
    }

    pub(super) fn global_pool(&mut self, classes: [&'static str; 2], keepdims: bool) -> Result<(), String> {
        let axes = self.pooled_axes()?;
        self.plan.push(classes[axes - 1], json!({ "keepdims": keepdims }), Vec::new())
    }

    pub(super) fn reduce(&mut self, node: &Operation, classes: [&'static str; 2]) -> Result<(), String> {
        let axes = self.integers(node, 1, "axes")?.ok_or("it has no axes")?;
        let mut axes = axes.into_iter().map(|axis| self.axis(axis)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        let rank = self.plan.order.len();
        // All but one, which are the axes of an image; its channels are the other.
        let channels = (0..rank).find(|axis| !axes.contains(axis)).filter(|_| axes.len() + 1 == rank && rank > 1);
        let channels = channels.ok_or_else(|| format!("of {rank} dimensions, it must leave one, got axes {axes:?}"))?;
        self.bring_last(channels)?;
        let order = self.plan.order.clone();
        let class = classes.get(rank.wrapping_sub(2)).ok_or_else(|| format!("{rank} dimensions are not supported"))?;
        self.plan.push(class, json!({ "keepdims": node.int("keepdims", 1) != 0 }), Vec::new())?;
        if self.plan.sample.len() == rank {
            self.plan.order = order;
        }
        Ok(())
    }
}

/// From the first tap to the last.
fn span(kernel: usize, dilation: usize) -> usize {
    (kernel - 1).saturating_mul(dilation).saturating_add(1)
}

/// The padding with which the output is as long as the input divided by the stride.
fn total_padding(input: usize, span: usize, stride: usize) -> usize {
    ((input.div_ceil(stride) - 1) * stride).saturating_add(span).saturating_sub(input)
}

/// `pads` as those before and after each axis.
fn sides(pads: &[i64], axes: usize) -> Result<Vec<[usize; 2]>, String> {
    let wrong = || format!("pads must be {} numbers of at least 0, got {pads:?}", 2 * axes);
    if pads.len() != 2 * axes {
        return Err(wrong());
    }
    let side = |axis: usize| Some([pads[axis].try_into().ok()?, pads[axes + axis].try_into().ok()?]);
    (0..axes).map(side).collect::<Option<_>>().ok_or_else(wrong)
}
