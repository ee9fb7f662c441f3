//! Lists of integers that nodes compute from constants and from the shapes of samples, as PyTorch's exporters write them for a `view` or a
//! padding.

use std::collections::HashMap;

use super::{
    constant::Constant,
    reader::{Operation, Reader},
};

/// What stands for the number of samples among the numbers of a shape.
pub(super) const BATCH: i64 = i64::MIN;

/// The most nodes that compute a list, and the most numbers in it.
const MAX_NODES: usize = 100;
const MAX_NUMBERS: usize = 64;

/// The integers that a value holds: a constant, or what nodes make of constants and of the shapes of values. `samples` are the dimensions
/// of the samples of the values that are known.
pub(super) fn integers(reader: &Reader, value: &str, samples: &HashMap<&str, Vec<usize>>) -> Result<Vec<i64>, String> {
    let evaluator = Evaluator { reader, samples };
    evaluator.value(value, &mut { MAX_NODES }).map(|constant| constant.integers())
}

struct Evaluator<'a> {
    reader: &'a Reader<'a>,
    samples: &'a HashMap<&'a str, Vec<usize>>,
}

impl Evaluator<'_> {
    fn value(&self, value: &str, budget: &mut usize) -> Result<Constant, String> {
        let unknown =
            || format!("its input {value:?} is neither a short constant nor follows from the shape of the samples");
        if self.reader.is_constant(value) {
            return self.reader.small_constant(value, MAX_NUMBERS).ok_or_else(unknown);
        }
        let operation = self.reader.giver(value).ok_or_else(unknown)?;
        // It bounds how deep this goes, too.
        *budget = budget.checked_sub(1).ok_or_else(unknown)?;
        let result = match &*operation.node.op_type {
            "Shape" => self.shape(&operation),
            "Concat" => self.concat(&operation, budget)?,
            operator => {
                let mut inputs = Vec::new();
                for input in operation.node.input.iter().take(5) {
                    inputs.push(self.value(input, budget)?);
                }
                node(operator, &operation, &inputs)
            }
        };
        result.filter(|result| result.values.len() <= MAX_NUMBERS).ok_or_else(unknown)
    }

    fn shape(&self, operation: &Operation) -> Option<Constant> {
        let sample = self.samples.get(operation.input(0).ok()?)?;
        let dims = [BATCH].into_iter().chain(sample.iter().map(|&dim| dim as i64)).map(|dim| dim as f64).collect();
        rows(&Constant::vector(dims), operation.int("start", 0), operation.int("end", i64::MAX), 1)
    }

    fn concat(&self, operation: &Operation, budget: &mut usize) -> Result<Option<Constant>, String> {
        let mut all = Vec::new();
        for input in &operation.node.input {
            all.extend(self.value(input, budget)?.values);
            // Constants cost no budget.
            *budget = budget.saturating_sub(1);
            if all.len() > MAX_NUMBERS || *budget == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Constant::vector(all)))
    }
}

/// What a node makes of small constants. A number and a list of one are the same.
fn node(operator: &str, operation: &Operation, inputs: &[Constant]) -> Option<Constant> {
    match (operator, inputs) {
        ("Identity" | "Cast" | "Unsqueeze" | "Squeeze", [data, ..]) => Some(data.clone()),
        ("Gather", [data, indices]) => {
            let at = |index: i64| {
                let index = if index < 0 { index.checked_add_unsigned(data.values.len() as u64)? } else { index };
                data.values.get(usize::try_from(index).ok()?).copied()
            };
            Some(Constant::vector(indices.integers().into_iter().map(at).collect::<Option<_>>()?))
        }
        ("Slice", [data, start, end, rest @ ..]) => {
            let axis = rest.first().map_or(Some(0.0), Constant::single);
            let step = rest.get(1).map_or(Some(1.0), Constant::single)?;
            rows(data, start.single()? as i64, end.single()? as i64, step as i64).filter(|_| axis == Some(0.0))
        }
        ("ConstantOfShape", [shape]) => {
            let length = shape.single().filter(|&length| length >= 0.0 && length <= MAX_NUMBERS as f64)?;
            let value = match operation.node.attribute.is_empty() {
                true => 0.0,
                false => operation.number("value")?,
            };
            Some(Constant::vector(vec![value; length as usize]))
        }
        ("Reshape", [data, shape]) => {
            let shape = shape.integers();
            let known: i64 =
                shape.iter().filter(|&&dim| dim != -1).try_fold(1, |size: i64, &dim| size.checked_mul(dim))?;
            let rest = (data.values.len() as i64).checked_div(known)?;
            let dims: Vec<usize> =
                shape.iter().map(|&dim| if dim == -1 { rest } else { dim }.try_into().ok()).collect::<Option<_>>()?;
            let size = dims.iter().try_fold(1_usize, |size, &dim| size.checked_mul(dim));
            (size == Some(data.values.len())).then(|| data.clone().reshaped(dims))
        }
        ("Transpose", [data]) if data.dims.len() == 2 => Some(data.permuted(&[1, 0])),
        ("Add" | "Mod" | "Mul", [a, b]) => {
            let (a, b) = (a.single()?, b.single()?);
            let result = match operator {
                "Add" => a + b,
                "Mul" => a * b,
                _ if b > 0.0 && operation.int("fmod", 0) == 0 => a.rem_euclid(b),
                _ => return None,
            };
            let batch = BATCH as f64;
            (a != batch && b != batch).then(|| Constant::vector(vec![result]))
        }
        _ => None,
    }
}

/// The rows between two places, which count from the end where they are negative, and stop at the ends; backwards only all.
fn rows(data: &Constant, start: i64, end: i64, step: i64) -> Option<Constant> {
    let &count = data.dims.first()?;
    let width = data.values.len().checked_div(count)?;
    let rows = data.values.chunks_exact(width.max(1));
    let all = count as i64;
    let values: Vec<f64> = match step {
        1 => {
            let [start, end] =
                [start, end].map(|at| if at < 0 { at.saturating_add(all) } else { at }.clamp(0, all) as usize);
            rows.skip(start).take(end.saturating_sub(start)).flatten().copied().collect()
        }
        -1 if (start == -1 || start >= all - 1) && end < -all => rows.rev().flatten().copied().collect(),
        _ => return None,
    };
    let taken = values.len() / width.max(1);
    Some(Constant { dims: [&[taken], &data.dims[1..]].concat(), values })
}
