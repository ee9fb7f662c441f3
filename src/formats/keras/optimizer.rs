//! The variables of Keras's optimizers, and their order.

use std::ops::Range;

use super::hdf5::{Dataset, Numbers};
use crate::{Error, Model, OptimizerState, Result, Scalar, params::ParamInfo};

/// The arrays that belong to every optimizer. They come before its own.
const AROUND: [&str; 2] = ["average", "gradient_accumulator"];

/// The arrays of which each weight has its two one after the other; all others are complete before the next begins.
const PAIRS: [[&str; 2]; 3] =
    [["momentum", "velocity"], ["momentum", "norm"], ["accumulated_grad", "accumulated_delta_var"]];

/// The order of the variables behind the count of steps and the rate: which array, which weight. The first optimizers of Keras 2 had no pairs.
fn order(arrays: &[&str], weights: usize, pairs: bool) -> Vec<(usize, usize)> {
    let indices = |around| (0..arrays.len()).filter(move |&i| AROUND.contains(&arrays[i]) == around);
    let mut groups: Vec<Vec<usize>> = indices(true).map(|i| vec![i]).collect();
    let mut own = indices(false).peekable();
    while let Some(first) = own.next() {
        let second = own.next_if(|&second| pairs && PAIRS.contains(&[arrays[first], arrays[second]]));
        groups.push([Some(first), second].into_iter().flatten().collect());
    }
    let group = |group: Vec<usize>| {
        (0..weights).flat_map(move |weight| group.clone().into_iter().map(move |array| (array, weight)))
    };
    groups.into_iter().flat_map(group).collect()
}

/// The weights that are trained, with their places in the optimizer's arrays.
fn trained<'a, T: Scalar>(model: &'a Model<T>) -> Vec<(&'a ParamInfo, Range<usize>)> {
    let layers = model.layers().filter(|layer| layer.trainable());
    let infos = layers.flat_map(|layer| layer.weight_infos()).filter(|info| info.trainable);
    let mut start = 0;
    let place = |info: &'a ParamInfo| {
        let place = start..start + info.shape.size();
        start = place.end;
        (info, place)
    };
    infos.map(place).collect()
}

/// Nadam has a number besides, the product of its momentums so far, which follows from the count of steps.
fn has_product<T: Scalar>(model: &Model<T>) -> bool {
    model.optimizer_name() == Some("nadam")
}

/// What the variables say of the optimizer of a model that is compiled with it. Before the first step there are none but the count of steps and the
/// rate.
pub(super) fn state<T: Scalar>(model: &Model<T>, variables: &[Dataset]) -> Result<OptimizerState<T>, String> {
    let mut state = model.optimizer_state().map_err(|error| error.to_string())?;
    let mut left = variables.iter();
    let Some(steps) = left.next() else {
        return Ok(state);
    };
    state.steps =
        u64::try_from(steps.integer()?).map_err(|_| format!("{}: a negative count of steps", steps.path()))?;
    // Keras 2 has no rate here; a number for a weight has the shape of the weight.
    let next = left.clone().next().filter(|variable| variable.shape().is_empty());
    if let (Some(rate), Some(variable)) = (&mut state.learning_rate, next) {
        *rate = variable.values::<f64>()?[0];
        left.next();
    }
    if left.len() == 0 {
        return Ok(state);
    }
    let weights = trained(model);
    let names: Vec<&str> = state.arrays.iter().map(|(name, _)| &**name).collect();
    let order = order(&names, weights.len(), !steps.path().ends_with("/iter:0"));
    let expected = order.len() + usize::from(has_product(model));
    if left.len() != expected {
        return Err(format!(
            "it has {} variables for {} weights that are trained, expected {expected} ({} for each)",
            left.len(),
            weights.len(),
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        ));
    }
    for ((array, weight), variable) in order.into_iter().zip(left) {
        let (info, place) = &weights[weight];
        let (name, values) = &mut state.arrays[array];
        if variable.shape() != info.shape.dims() {
            return Err(format!(
                "{}, the {name} of {}, has shape {:?}, expected {}",
                variable.path(),
                info.name,
                variable.shape(),
                info.shape
            ));
        }
        values[place.clone()].copy_from_slice(&variable.values()?);
    }
    Ok(state)
}

/// The variables of the optimizer of a model that is compiled.
pub(super) fn variables<T: Scalar>(model: &Model<T>) -> Result<Vec<(Vec<usize>, Numbers)>> {
    let state = model.optimizer_state()?;
    let steps = i64::try_from(state.steps).map_err(|_| Error::argument("save", "the steps are too many"))?;
    let mut variables = vec![(Vec::new(), Numbers::I64(vec![steps]))];
    variables.extend(state.learning_rate.map(|rate| (Vec::new(), Numbers::F32(vec![rate as f32]))));
    let weights = trained(model);
    let names: Vec<&str> = state.arrays.iter().map(|(name, _)| &**name).collect();
    for (array, weight) in order(&names, weights.len(), true) {
        let (info, place) = &weights[weight];
        let values = state.arrays[array].1[place.clone()].iter().map(|x| x.as_f64() as f32).collect();
        variables.push((info.shape.dims().to_vec(), Numbers::F32(values)));
    }
    if has_product(model) {
        variables.push((Vec::new(), Numbers::F32(vec![product(model)? as f32])));
    }
    Ok(variables)
}

/// The product of Nadam's momentums `beta_1 (1 - 0.96^t / 2)` over its updates so far.
fn product<T: Scalar>(model: &Model<T>) -> Result<f64> {
    let config = model.compile_config().map_err(|message| Error::argument("save", message))?;
    let config = &config["optimizer"]["config"];
    let beta_1 = config["beta_1"].as_f64().unwrap_or(0.9);
    let updates = model.optimizer_state()?.steps / config["gradient_accumulation_steps"].as_u64().unwrap_or(1).max(1);
    // The later factors are 1 to the last digit.
    let factors = (1..=updates.min(2000)).map(|t| 1.0 - 0.5 * 0.96f64.powi(t as i32));
    Ok(beta_1.powf(updates as f64) * factors.product::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_keras() {
        // Adam with AMSGrad, an average and accumulation, for two weights.
        let arrays = ["momentum", "velocity", "velocity_hat", "average", "gradient_accumulator"];
        let expected = [(3, 0), (3, 1), (4, 0), (4, 1), (0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1)];
        assert_eq!(order(&arrays, 2, true), expected);
        // RMSprop, centered and with momentum.
        let arrays = ["velocity", "momentum", "average_gradient"];
        assert_eq!(order(&arrays, 2, true), [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
        assert_eq!(order(&[], 2, true), []);
        assert_eq!(order(&["momentum", "velocity"], 2, false), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    }
}
