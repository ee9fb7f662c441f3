//! An [`Optimizer`] as an object: its type and its scalar erased.

use std::fmt::Debug;

use super::Optimizer;
use crate::Scalar;

/// An optimizer of any kind, for both scalars. Implemented for every [`Optimizer`].
#[doc(hidden)]
pub trait DynOptimizer: ErasedOptimizer<f32> + ErasedOptimizer<f64> + Debug + Send + Sync {
    /// [`Optimizer::name`].
    fn name(&self) -> &'static str;
    /// [`Optimizer::slots`].
    fn slots(&self) -> usize;
    /// [`Optimizer::learning_rate`].
    fn learning_rate(&self) -> f64;
    /// [`Optimizer::set_learning_rate`].
    fn set_learning_rate(&mut self, rate: f64);
    /// [`Optimizer::check`].
    fn check(&self) -> Result<(), String>;
    /// A clone on the heap.
    fn clone_box(&self) -> Box<dyn DynOptimizer>;
}

/// The step of an optimizer of any kind for one scalar.
#[doc(hidden)]
pub trait ErasedOptimizer<T>: Sync {
    /// [`Optimizer::update`].
    fn update(&self, t: u64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]);
}

impl<O: Optimizer> DynOptimizer for O {
    fn name(&self) -> &'static str {
        Optimizer::name(self)
    }

    fn slots(&self) -> usize {
        Optimizer::slots(self)
    }

    fn learning_rate(&self) -> f64 {
        Optimizer::learning_rate(self)
    }

    fn set_learning_rate(&mut self, rate: f64) {
        Optimizer::set_learning_rate(self, rate);
    }

    fn check(&self) -> Result<(), String> {
        Optimizer::check(self)
    }

    fn clone_box(&self) -> Box<dyn DynOptimizer> {
        Box::new(self.clone())
    }
}

impl<O: Optimizer, T: Scalar> ErasedOptimizer<T> for O {
    fn update(&self, t: u64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        Optimizer::update(self, t, weights, gradients, slots);
    }
}

impl Clone for Box<dyn DynOptimizer> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}
