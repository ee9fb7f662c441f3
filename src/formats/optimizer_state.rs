//! An [`OptimizerState`] in an [`Archive`].

use super::archive::{Archive, Array};
use crate::{Model, OptimizerState, Scalar};

/// The names of the arrays and strings.
pub(super) const ARRAYS: &str = "optimizer/";
const RATE: &str = "optimizer learning rate";
const STEPS: &str = "optimizer steps";
const EPOCHS: &str = "optimizer epochs";

pub(crate) fn add<T: Scalar>(state: OptimizerState<T>, archive: &mut Archive) -> Result<(), String> {
    archive.strings.insert(STEPS.into(), state.steps.to_string());
    archive.strings.insert(EPOCHS.into(), state.epochs.to_string());
    if let Some(rate) = state.learning_rate {
        archive.arrays.insert(RATE.into(), Array::vector(&[rate]));
    }
    for (name, values) in state.arrays {
        let name = format!("{ARRAYS}{name}");
        if archive.arrays.contains_key(&name) {
            return Err(format!(
                "a weight is called {name}, as an array of the optimizer; give its layer another name"
            ));
        }
        archive.arrays.insert(name, Array::vector(&values));
    }
    Ok(())
}

/// The state of a model's optimizer.
pub(crate) fn read<T: Scalar>(model: &Model<T>, archive: &Archive) -> Result<OptimizerState<T>, String> {
    let values = |name: String| Ok((name.clone(), archive.array(&format!("{ARRAYS}{name}"))?.values()));
    let rate = archive.arrays.get(RATE).and_then(|rate| rate.values().first().copied());
    Ok(OptimizerState {
        steps: archive.count(STEPS)?,
        epochs: archive.count(EPOCHS)? as usize,
        learning_rate: rate,
        arrays: model.optimizer_arrays().map(str::to_owned).map(values).collect::<Result<_, String>>()?,
    })
}

/// Whether the array of this name is one of an optimizer's.
pub(super) fn holds(name: &str) -> bool {
    name.starts_with(ARRAYS) || name == RATE
}
