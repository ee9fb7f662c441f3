//! What regularizers add to the loss, and constraints make of the weights.

use super::graph::Graph;
use crate::{Scalar, params::ParamInfo};

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

/// Brings the weights back to their constraints. `norms` is memory to compute in.
pub(crate) fn constrain<T: Scalar>(graph: &Graph, params: &mut [T], norms: &mut Vec<T>) {
    for info in graph.trained() {
        if let Some(constraint) = &info.spec.constraint {
            constraint.apply(info.shape, &mut params[info.range()], norms);
        }
    }
}
