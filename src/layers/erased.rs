//! A [`Layer`] as an object: the type of its `Work` and its scalar erased.

use std::{any::Any, fmt::Debug, sync::Arc};

use super::{Backward, Forward, Layer, Params, Pass, Reads, Scope, State, Taped};
use crate::{
    Scalar,
    tensor::{View, ViewMut},
};

/// A layer of any kind, for both scalars. Implemented for every [`Layer`].
pub trait DynLayer: Erased<f32> + Erased<f64> + Debug + Send + Sync {
    /// [`Layer::scope`].
    fn scope(&self) -> Scope;
    /// [`Layer::is_identity`].
    fn is_identity(&self) -> bool;
    /// [`Layer::is_idle_in_prediction`].
    fn is_idle_in_prediction(&self) -> bool;
    /// [`Layer::fuse`].
    fn fuse(&self, next: &dyn DynLayer) -> Option<Arc<dyn DynLayer>>;
    /// The layer as what [`Layer::fuse`] sees.
    fn as_any(&self) -> &dyn Any;
    /// [`Layer::reads`].
    fn reads(&self) -> Reads;
    /// [`Layer::indices`].
    fn indices(&self) -> Option<usize>;
}

impl<L: Layer> DynLayer for L {
    fn scope(&self) -> Scope {
        Layer::scope(self)
    }

    fn is_identity(&self) -> bool {
        Layer::is_identity(self)
    }

    fn is_idle_in_prediction(&self) -> bool {
        Layer::is_idle_in_prediction(self)
    }

    fn fuse(&self, next: &dyn DynLayer) -> Option<Arc<dyn DynLayer>> {
        Some(Arc::new(Layer::fuse(self, next.as_any())?))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn reads(&self) -> Reads {
        Layer::reads(self)
    }

    fn indices(&self) -> Option<usize> {
        Layer::indices(self)
    }
}

/// The methods of a layer of any kind for one scalar.
pub trait Erased<T> {
    /// An empty [`Layer::Work`], to be lent to the methods below.
    fn work(&self) -> Work;
    /// [`Layer::work_bytes`].
    fn work_bytes(&self, outputs: usize) -> usize;
    /// [`Layer::packed_len`].
    fn packed_len(&self, pass: Pass) -> usize;
    /// [`Layer::pack`].
    fn pack(&self, params: Params<T>, pass: Pass, packed: &mut [T]);
    /// [`Layer::forward`].
    fn forward(&self, cx: &mut Forward<T>, work: &mut Work, x: View<T>, y: ViewMut<T>);
    /// [`Layer::backward`].
    fn backward(&self, cx: &mut Backward<T>, work: &mut Work, taped: Taped<T>, dx: Option<ViewMut<T>>);
    /// [`Layer::sum`].
    fn sum(&self, work: &mut Work, x: View<T>, sums: &mut [f64]);

    /// [`Layer::sum_gradient`].
    fn sum_gradient(&self, cx: &mut Backward<T>, work: &mut Work, x: View<T>, dy: View<T>, sums: &mut [f64]);

    /// [`Layer::store`].
    fn store(&self, sums: &[f64], state: &mut State<T>);
}

/// The [`Layer::Work`] of a layer of any kind.
pub type Work = Box<dyn Any + Send + Sync>;

impl<L: Layer, T: Scalar> Erased<T> for L {
    fn work(&self) -> Work {
        Box::new(L::Work::<T>::default())
    }

    fn work_bytes(&self, outputs: usize) -> usize {
        Layer::work_bytes::<T>(self, outputs)
    }

    fn packed_len(&self, pass: Pass) -> usize {
        Layer::packed_len::<T>(self, pass)
    }

    fn pack(&self, params: Params<T>, pass: Pass, packed: &mut [T]) {
        Layer::pack(self, params, pass, packed);
    }

    fn forward(&self, cx: &mut Forward<T>, work: &mut Work, x: View<T>, y: ViewMut<T>) {
        Layer::forward(self, cx, downcast::<L, T>(work), x, y);
    }

    fn backward(&self, cx: &mut Backward<T>, work: &mut Work, taped: Taped<T>, dx: Option<ViewMut<T>>) {
        Layer::backward(self, cx, downcast::<L, T>(work), taped, dx);
    }

    fn sum(&self, work: &mut Work, x: View<T>, sums: &mut [f64]) {
        Layer::sum(self, downcast::<L, T>(work), x, sums);
    }

    fn sum_gradient(&self, cx: &mut Backward<T>, work: &mut Work, x: View<T>, dy: View<T>, sums: &mut [f64]) {
        Layer::sum_gradient(self, cx, downcast::<L, T>(work), x, dy, sums);
    }

    fn store(&self, sums: &[f64], state: &mut State<T>) {
        Layer::store(self, sums, state);
    }
}

fn downcast<L: Layer, T: Scalar>(work: &mut Work) -> &mut L::Work<T> {
    work.downcast_mut().expect("a layer is lent the work that it made")
}
