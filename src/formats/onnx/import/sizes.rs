//! Operators that change the size of images: padding, cropping and enlarging.

use serde_json::json;

use super::Import;
use crate::formats::onnx::reader::Operation;

impl Import<'_> {
    pub(super) fn pad(&mut self, node: &Operation) -> Result<(), String> {
        let pads = self.integers(node, 1, "pads")?.ok_or("it has no pads")?;
        let value = node.optional_constant(2)?.map_or(Some(node.float("value", 0.0)), |value| value.single());
        if node.string("mode", "constant") != "constant" || value != Some(0.0) || node.optional_constant(3)?.is_some() {
            return Err("only a padding with zeros of all axes is supported".into());
        }
        let rank = self.plan.order.len();
        let mut by_dimension = vec![[0_i64; 2]; rank];
        if pads.len() != 2 * (rank + 1) || pads[0] != 0 || pads[rank + 1] != 0 {
            return Err(format!("expected {} pads, those of the batch 0, got {pads:?}", 2 * (rank + 1)));
        }
        for (axis, &dimension) in self.plan.order.iter().enumerate() {
            by_dimension[dimension] = [pads[axis + 1], pads[rank + 1 + axis + 1]];
        }
        let (zeros, cropped): (Vec<_>, Vec<_>) =
            by_dimension.iter().map(|side| (side.map(|pad| pad.max(0)), side.map(|pad| pad.min(0)))).unzip();
        self.crop(&cropped.iter().map(|side| side.map(|pad| pad.unsigned_abs() as usize)).collect::<Vec<_>>())?;
        let zeros: Vec<[usize; 2]> = zeros.iter().map(|side| side.map(|pad| pad as usize)).collect();
        match zeros.split_last() {
            Some((&[0, 0], image)) => self.plan.pad(image),
            _ => Err("a padding of the channels, which are the last dimension here, is not supported".into()),
        }
    }

    pub(super) fn slice(&mut self, node: &Operation) -> Result<(), String> {
        let list = |input, name| self.integers(node, input, name);
        let starts = list(1, "starts")?.ok_or("it has no starts")?;
        let ends = list(2, "ends")?.ok_or("it has no ends")?;
        let axes = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps != vec![1; starts.len()] {
            return Err("only slices with a step of 1, and an end for each start, are supported".into());
        }
        let mut sides = vec![None; self.plan.sample.len()];
        for ((start, end), axis) in starts.into_iter().zip(ends).zip(axes) {
            let dimension = self.plan.order[self.axis(axis)?];
            let length = self.plan.sample[dimension] as i64;
            let [start, end] =
                [start, end].map(|at| if at < 0 { at.saturating_add(length) } else { at }.clamp(0, length));
            if start >= end {
                return Err("it leaves nothing".into());
            }
            if sides[dimension].replace([start as usize, (length - end) as usize]).is_some() {
                return Err("an axis is given twice".into());
            }
        }
        self.crop(&sides.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>())
    }

    /// Takes pixels away, before and after each dimension of cornu's.
    fn crop(&mut self, sides: &[[usize; 2]]) -> Result<(), String> {
        match sides {
            _ if sides.iter().all(|side| *side == [0, 0]) => Ok(()),
            [height, width, [0, 0]] => self.plan.push("Cropping2D", json!({ "cropping": [height, width] }), Vec::new()),
            _ => Err("only images can be cropped, and not in their channels".into()),
        }
    }

    pub(super) fn resize(&mut self, node: &Operation) -> Result<(), String> {
        let axes = self.pooled_axes()?;
        let scales = match node.optional_constant(2)?.filter(|scales| !scales.values.is_empty()) {
            Some(scales) => scales.values,
            None => {
                let sizes = node.constant(3)?;
                let image = [&self.plan.sample[axes..], &self.plan.sample[..axes]].concat();
                let ratios = sizes.values.iter().skip(1).zip(image).map(|(size, length)| size / length as f64);
                [1.0].into_iter().chain(ratios).collect()
            }
        };
        let whole = |scale: f64| (scale >= 1.0 && scale.fract() == 0.0 && scale < 1e6).then_some(scale as usize);
        let size = match scales[..] {
            [1.0, 1.0, height, width] if axes == 2 => whole(height).zip(whole(width)),
            _ => None,
        };
        let (height, width) =
            size.ok_or_else(|| format!("expected images enlarged by whole numbers, got {scales:?}"))?;
        let (mode, coordinates) =
            (node.string("mode", "nearest"), node.string("coordinate_transformation_mode", "half_pixel"));
        let half_pixel = ["half_pixel", "pytorch_half_pixel"].contains(&coordinates);
        let nearest = node.string("nearest_mode", "round_prefer_floor");
        let interpolation = match mode {
            "nearest" if coordinates == "asymmetric" && nearest == "floor" => "nearest",
            "nearest" if half_pixel && nearest.starts_with("round") => "nearest",
            // The two differ in images of one pixel alone.
            "linear" if half_pixel => "bilinear",
            _ => {
                let message = format!("mode {mode} with {coordinates} and {nearest} is none of UpSampling2D's");
                return Err(message);
            }
        };
        let config = json!({"size": [height, width], "interpolation": interpolation});
        self.plan.push("UpSampling2D", config, Vec::new())
    }
}
