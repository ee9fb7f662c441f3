//! Operators that compute nothing: the elements stay, under another shape or in another order.

use super::{Import, axis_of, is_arithmetic, is_elementwise};
use crate::formats::onnx::{
    reader::Operation,
    shapes::{self, BATCH},
};

impl<'a> Import<'a> {
    pub(super) fn flatten(&mut self, node: &Operation<'a>) -> Result<(), String> {
        let rank = self.plan.order.len() as i64;
        if ![1, -rank].contains(&node.int("axis", 1)) {
            return Err(format!("expected axis 1, which leaves the batch, got {}", node.int("axis", 1)));
        }
        let before_dense = self.is_before_dense(node);
        self.plan.flatten(before_dense)
    }

    pub(super) fn reshape(&mut self, node: &Operation<'a>) -> Result<(), String> {
        let mut shape = shapes::integers(self.reader, node.input(1)?, &self.shapes)?;
        let sample = self.plan.sample_in_file();
        let size: usize = sample.iter().product();
        if node.int("allowzero", 0) == 0 {
            for (i, dim) in shape.iter_mut().enumerate().filter(|(_, dim)| **dim == 0) {
                *dim = if i == 0 { BATCH } else { sample.get(i - 1).map_or(0, |&dim| dim as i64) };
            }
        }
        let wrong = || format!("samples {sample:?} cannot have the shape {:?}", shape.get(1..).unwrap_or(&[]));
        let (&batch, dims) = shape.split_first().ok_or("the batch must stay the first dimension")?;
        let known = |dims: &[i64]| {
            dims.iter().filter(|&&dim| dim != -1).try_fold(1_usize, |size, &dim| size.checked_mul(dim.try_into().ok()?))
        };
        let known = known(dims).ok_or_else(wrong)?;
        let open = dims.iter().filter(|&&dim| dim == -1).count();
        // The batch is what is left for a -1, or the number of samples with which the model was exported.
        let rest = match open {
            0 if known == size => 1,
            1 if batch != -1 && known > 0 && size.is_multiple_of(known) => size / known,
            _ => return Err(wrong()),
        };
        let dims: Vec<usize> = dims.iter().map(|&dim| if dim == -1 { rest } else { dim as usize }).collect();
        match dims.len() {
            1 => {
                let before_dense = self.is_before_dense(node);
                self.plan.flatten(before_dense)
            }
            _ => self.plan.reshape(&dims),
        }
    }

    /// Whether a `Dense` is next, but for what treats all elements alike.
    fn is_before_dense(&self, node: &Operation<'a>) -> bool {
        let output = node.node.output.first().map_or("", |output| output);
        let next = self.reader.upcoming(output).find(|node| {
            let single =
                || node.input.iter().all(|input| !self.reader.is_constant(input) || self.reader.is_number(input));
            !(is_elementwise(&node.op_type) && (!is_arithmetic(&node.op_type) || single()))
        });
        next.is_some_and(|node| ["Gemm", "MatMul"].contains(&&*node.op_type))
    }

    pub(super) fn squeeze(&mut self, node: &Operation) -> Result<(), String> {
        let axes = self.integers(node, 1, "axes")?.ok_or("it has no axes")?;
        let mut dims = self.plan.sample_in_file();
        let adds = node.node.op_type == "Unsqueeze";
        let rank = dims.len() + 1 + if adds { axes.len() } else { 0 };
        let mut axes = axes
            .into_iter()
            .map(|axis| axis_of(axis, rank))
            .collect::<Option<Vec<_>>>()
            .ok_or("an axis is out of range")?;
        axes.sort_unstable();
        if axes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("an axis is given twice".into());
        }
        if rank > crate::MAX_RANK {
            return Err(format!("it makes {rank} dimensions"));
        }
        if adds {
            axes.into_iter().try_for_each(|axis| (axis <= dims.len()).then(|| dims.insert(axis, 1)))
        } else {
            axes.into_iter().rev().try_for_each(|axis| (dims.get(axis) == Some(&1)).then(|| _ = dims.remove(axis)))
        }
        .ok_or("its axes do not fit the samples")?;
        self.plan.reshape(&dims)
    }

    /// The order changes, and nothing else.
    pub(super) fn transpose(&mut self, node: &Operation) -> Result<(), String> {
        let rank = self.plan.order.len();
        let perm = node.ints("perm").unwrap_or(&[]);
        let axes: Option<Vec<usize>> = perm.iter().map(|&axis| usize::try_from(axis).ok()).collect();
        let axes = axes.filter(|axes| {
            axes.first() == Some(&0) && (0..=rank).all(|axis| axes.contains(&axis)) && axes.len() == rank + 1
        });
        let axes = axes.ok_or_else(|| {
            format!("perm must be a permutation of {} axes that leaves the batch first, got {perm:?}", rank + 1)
        })?;
        self.plan.order = axes[1..].iter().map(|&axis| self.plan.order[axis - 1]).collect();
        Ok(())
    }
}
