//! The weights, and the forms in which the layers read them.

use std::sync::OnceLock;

use rayon::prelude::*;

use super::graph::Graph;
use crate::{
    Scalar,
    aligned::Aligned,
    layers::{Params, Pass},
};

/// The passes of training.
pub(crate) const BOTH: [Pass; 2] = [Pass::Forward, Pass::Backward];

/// The weights of a model. Their forms for prediction are made when they are first asked for, and forgotten when a weight may
/// have changed.
pub(crate) struct Weights<T> {
    values: Vec<T>,
    packed: OnceLock<Packed<T>>,
}

impl<T: Scalar> Weights<T> {
    pub fn new(values: Vec<T>) -> Self {
        Weights { values, packed: OnceLock::new() }
    }

    pub fn values(&self) -> &[T] {
        &self.values
    }

    pub fn values_mut(&mut self) -> &mut [T] {
        self.packed.take();
        &mut self.values
    }

    pub fn packed(&self, graph: &Graph) -> &Packed<T> {
        if let Some(packed) = self.packed.get() {
            return packed;
        }
        // Before the lock is taken: packing runs in parallel, and a thread of the pool that waits for a part of it may begin another
        // prediction, which would wait for this one.
        let mut packed = Packed::new(graph, &[Pass::Forward]);
        packed.pack(graph, &self.values);
        self.packed.get_or_init(|| packed)
    }
}

/// What [`Layer::pack`](crate::layers::Layer::pack) made of a model's weights.
pub(crate) struct Packed<T> {
    forms: Vec<Form<T>>,
}

/// The weights of a layer for a pass.
struct Form<T> {
    node: usize,
    pass: Pass,
    len: usize,
    values: Aligned<T>,
}

impl<T: Scalar> Packed<T> {
    /// Room for the forms that these passes need.
    pub fn new(graph: &Graph, passes: &[Pass]) -> Self {
        let form = |&pass| {
            let nodes = graph.nodes.iter().enumerate();
            nodes.map(move |(node, _)| {
                let len = Self::len(graph, node, pass);
                Form { node, pass, len, values: Aligned::zeros(len) }
            })
        };
        Packed { forms: passes.iter().flat_map(form).collect() }
    }

    /// How many elements [`new`](Packed::new) makes room for.
    pub fn elements(graph: &Graph, passes: &[Pass]) -> usize {
        passes.iter().flat_map(|&pass| (0..graph.nodes.len()).map(move |node| Self::len(graph, node, pass))).sum()
    }

    fn len(graph: &Graph, node: usize, pass: Pass) -> usize {
        // Nobody needs the gradient to the model's input.
        let needed = pass == Pass::Forward || node > 0;
        if needed { graph.nodes[node].methods::<T>().packed_len(pass) } else { 0 }
    }

    /// Brings the weights into their forms.
    pub fn pack(&mut self, graph: &Graph, params: &[T]) {
        let params = Params { values: params, layout: &graph.layout };
        self.forms.par_iter_mut().filter(|form| form.len > 0).for_each(|form| {
            graph.nodes[form.node].methods::<T>().pack(params, form.pass, form.values.grown(form.len));
        });
    }

    /// The weights of a layer for a pass.
    pub fn of(&self, node: usize, pass: Pass) -> &[T] {
        let form = self.forms.iter().find(|form| (form.node, form.pass) == (node, pass));
        form.map_or(&[], |form| form.values.get(form.len))
    }
}
