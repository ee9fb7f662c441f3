//! What regularizers add to the loss, and constraints make of the weights.

use std::collections::BTreeMap;

use super::graph::Graph;
use crate::{Scalar, constraints::Norms, params::ParamInfo};

/// The sum of the penalties on the weights that training moves, as in Keras.
pub(crate) fn penalty<T: Scalar>(graph: &Graph, params: &[T]) -> f64 {
    let term = |info: &ParamInfo| Some(info.spec.regularizer?.penalty(&params[info.range()]));
    graph.trained().filter_map(term).sum()
}

/// Adds their gradients.
pub(crate) fn add_gradient<T: Scalar>(graph: &Graph, params: &[T], grads: &mut [T]) {
    for info in graph.trained() {
        if let Some(regularizer) = info.spec.regularizer {
            regularizer.add_gradient(&params[info.range()], &mut grads[info.range()]);
        }
    }
}

/// What [`constrain`] computes in, by the place of a weight in the flat array.
pub(crate) type AllNorms<T> = BTreeMap<usize, Norms<T>>;

/// Brings the weights back to their constraints.
pub(crate) fn constrain<T: Scalar>(graph: &Graph, params: &mut [T], norms: &mut AllNorms<T>) {
    for info in graph.trained() {
        if let Some(constraint) = &info.spec.constraint {
            let norms = norms.entry(info.range().start).or_default();
            constraint.apply(info.shape, &mut params[info.range()], norms);
        }
    }
}
