//! An [`Optimizer`] as an object: its type and its scalar erased.

use std::fmt::Debug;

use super::{Base, Optimizer};
use crate::{
    Scalar,
    config::{Arguments, Object},
};

/// An optimizer of any kind, for both scalars. Implemented for every [`Optimizer`].
#[doc(hidden)]
pub trait DynOptimizer: ErasedOptimizer<f32> + ErasedOptimizer<f64> + Debug + Send + Sync {
    /// [`Optimizer::name`].
    fn name(&self) -> &'static str;
    /// [`Optimizer::class_name`].
    fn class_name(&self) -> &'static str;
    /// [`Optimizer::arguments`].
    fn arguments(&mut self, arguments: &mut Arguments);
    /// [`Optimizer::check`].
    fn check(&self) -> Result<(), String>;
    /// [`Optimizer::base`].
    fn base(&self) -> &Base;
    /// [`Optimizer::base_mut`].
    fn base_mut(&mut self) -> &mut Base;
    /// [`Optimizer::slots`].
    fn slots(&self) -> &'static [&'static str];
    /// [`Optimizer::slot_start`].
    fn slot_start(&self) -> f64;
    /// A clone on the heap.
    fn clone_box(&self) -> Box<dyn DynOptimizer>;
}

/// The step of an optimizer of any kind for one scalar.
#[doc(hidden)]
pub trait ErasedOptimizer<T>: Sync {
    /// [`Optimizer::update`].
    fn update(&self, t: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]);
}

impl<O: Optimizer> DynOptimizer for O {
    fn name(&self) -> &'static str {
        Optimizer::name(self)
    }

    fn class_name(&self) -> &'static str {
        Optimizer::class_name(self)
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        Optimizer::arguments(self, arguments);
    }

    fn check(&self) -> Result<(), String> {
        Optimizer::check(self)
    }

    fn base(&self) -> &Base {
        Optimizer::base(self)
    }

    fn base_mut(&mut self) -> &mut Base {
        Optimizer::base_mut(self)
    }

    fn slots(&self) -> &'static [&'static str] {
        Optimizer::slots(self)
    }

    fn slot_start(&self) -> f64 {
        Optimizer::slot_start(self)
    }

    fn clone_box(&self) -> Box<dyn DynOptimizer> {
        Box::new(self.clone())
    }
}

impl<O: Optimizer, T: Scalar> ErasedOptimizer<T> for O {
    fn update(&self, t: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        Optimizer::update(self, t, rate, weights, gradients, slots);
    }
}

impl Clone for Box<dyn DynOptimizer> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

impl Object for Box<dyn DynOptimizer> {
    const MODULE: &'static str = "keras.optimizers";

    fn class_name(&self) -> &'static str {
        (**self).class_name()
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        if arguments.is_reading() {
            // Of these, Keras 2 writes the last two.
            arguments.ignored("name").fixed("decay", 0.0).ignored("jit_compile").ignored("is_legacy_optimizer");
        }
        self.base_mut().arguments(arguments);
        (**self).arguments(arguments);
    }
}
