//! The weights, and the forms in which the layers read them.

use std::{iter, sync::OnceLock};

use rayon::prelude::*;

use super::graph::{Graph, Reach};
use crate::{
    Scalar,
    aligned::Aligned,
    layers::{Params, Pass},
};

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
        let mut packed = Packed::new(graph, None);
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
    /// Room for the forms that prediction needs, and with gradients that reach so far those that training needs.
    pub fn new(graph: &Graph, reach: Option<Reach>) -> Self {
        let form = |(node, pass, len)| Form { node, pass, len, values: Aligned::zeros(len) };
        Packed { forms: Self::lens(graph, reach).map(form).collect() }
    }

    /// How many elements [`new`](Packed::new) makes room for.
    pub fn elements(graph: &Graph, reach: Option<Reach>) -> usize {
        Self::lens(graph, reach).map(|(_, _, len)| len).sum()
    }

    fn lens(graph: &Graph, reach: Option<Reach>) -> impl Iterator<Item = (usize, Pass, usize)> {
        let backward = move |node| reach.is_some_and(|reach: Reach| reach.needs_dx(node)).then_some(Pass::Backward);
        let passes = move |node| iter::once(Pass::Forward).chain(backward(node)).map(move |pass| (node, pass));
        let forms = (0..graph.nodes.len()).flat_map(passes);
        forms.map(|(node, pass)| (node, pass, graph.nodes[node].methods::<T>().packed_len(pass)))
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
