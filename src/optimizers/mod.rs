//! The optimizers: one file each.
//!
//! An optimizer knows nothing of layers: it is a loop over slices of the flat array of weights, with its gradients
//! and the optimizer's state beside it.

mod adam;
pub mod erased;
mod sgd;

use std::{array, fmt::Debug, mem};

pub use adam::Adam;
use erased::{DynOptimizer, ErasedOptimizer};
pub use sgd::SGD;

use crate::Scalar;

/// The largest number of [`slots`](Optimizer::slots).
pub const MAX_SLOTS: usize = 4;

/// How weights follow their gradients.
///
/// The model keeps an optimizer's state, the *slots*: arrays as long as the weights that start at 0. To write an
/// optimizer of your own:
///
/// ```
/// use cornu::{Scalar, optimizers::Optimizer};
///
/// /// Steps of one size in the direction of the gradient's sign.
/// #[derive(Clone, Debug)]
/// struct SignSgd {
///     learning_rate: f64,
/// }
///
/// impl Optimizer for SignSgd {
///     fn name(&self) -> &'static str {
///         "sign_sgd"
///     }
///
///     fn slots(&self) -> usize {
///         0
///     }
///
///     fn learning_rate(&self) -> f64 {
///         self.learning_rate
///     }
///
///     fn set_learning_rate(&mut self, rate: f64) {
///         self.learning_rate = rate;
///     }
///
///     fn update<T: Scalar>(&self, _: u64, weights: &mut [T], gradients: &[T], _: &mut [&mut [T]]) {
///         let rate = T::of(self.learning_rate);
///         for (w, &g) in weights.iter_mut().zip(gradients) {
///             *w -= rate * g.signum();
///         }
///     }
/// }
///
/// let mut weights = [1.0, -1.0];
/// SignSgd { learning_rate: 0.5 }.update(1, &mut weights, &[8.0, -0.1], &mut []);
/// assert_eq!(weights, [0.5, -0.5]);
/// ```
pub trait Optimizer: Clone + Debug + Send + Sync + 'static {
    /// Keras's name: `"adam"`.
    fn name(&self) -> &'static str;

    /// The number of arrays of state, each as long as the weights: 2 for Adam, 0 for plain SGD. At most [`MAX_SLOTS`].
    fn slots(&self) -> usize;

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f64;

    /// Changes the learning rate, as schedules and callbacks do.
    fn set_learning_rate(&mut self, rate: f64);

    /// Whether the arguments lie in their ranges; if not, which does not. `compile` asks, and adds the place.
    ///
    /// # Errors
    /// By default, when the learning rate is not a finite number of at least 0.
    fn check(&self) -> Result<(), String> {
        check_learning_rate(self.learning_rate())
    }

    /// Does step `t`, counted from 1, for a part of the weights; elements `i` of all slices belong together.
    ///
    /// The step of an element must depend on no other element: parts are cut anywhere, and updated in parallel.
    fn update<T: Scalar>(&self, t: u64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]);
}

pub(crate) fn check_learning_rate(rate: f64) -> Result<(), String> {
    if rate >= 0.0 && rate.is_finite() {
        Ok(())
    } else {
        Err(format!("learning_rate must be a finite number of at least 0, got {rate}"))
    }
}

/// The weights that one call of `update` sees at most: with gradients and two slots, they fit in an L2 cache.
const BLOCK: usize = 16384;

/// Does step `t` for all weights: in blocks, in parallel, without allocating.
pub(crate) fn step<T: Scalar>(
    optimizer: &dyn DynOptimizer,
    t: u64,
    weights: &mut [T],
    gradients: &[T],
    slots: &mut [Vec<T>],
) {
    let used = slots.len();
    let mut slots = slots.iter_mut();
    let slots = array::from_fn(|_| slots.next().map_or(&mut [][..], Vec::as_mut_slice));
    step_part(T::optimizer(optimizer), t, used, weights, gradients, slots);
}

/// Of `slots`, the first `used` are as long as the weights, the rest are empty.
fn step_part<T: Scalar>(
    optimizer: &dyn ErasedOptimizer<T>,
    t: u64,
    used: usize,
    weights: &mut [T],
    gradients: &[T],
    mut slots: [&mut [T]; MAX_SLOTS],
) {
    if weights.len() <= BLOCK {
        return optimizer.update(t, weights, gradients, &mut slots[..used]);
    }
    let mid = (weights.len() / 2).next_multiple_of(BLOCK);
    let (weights, right_weights) = weights.split_at_mut(mid);
    let (gradients, right_gradients) = gradients.split_at(mid);
    let mut halves = slots.map(|slot| slot.split_at_mut(mid.min(slot.len())));
    let slots = halves.each_mut().map(|(left, _)| mem::take(left));
    let right_slots = halves.map(|(_, right)| right);
    rayon::join(
        || step_part(optimizer, t, used, weights, gradients, slots),
        || step_part(optimizer, t, used, right_weights, right_gradients, right_slots),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_give_the_same_bits_as_one_update() {
        let n = 5 * BLOCK + 7;
        let values = |scale: f32| (0..n).map(|i| scale * (i as f32).sin()).collect::<Vec<_>>();
        let (weights, gradients) = (values(1.0), values(0.1));
        let adam = Adam::default();
        let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
        let mut expected = weights.clone();
        for t in 1..=2 {
            Optimizer::update(&adam, t, &mut expected, &gradients, &mut [&mut m, &mut v]);
        }

        let mut slots = [vec![0.0; n], vec![0.0; n]];
        let mut actual = weights.clone();
        for t in 1..=2 {
            step(&adam, t, &mut actual, &gradients, &mut slots);
        }
        assert_eq!(actual, expected);
        assert_eq!(slots, [m, v]);
        assert!(actual.iter().zip(&weights).skip(1).all(|(new, old)| new != old), "every weight moved");
    }

    #[test]
    fn an_optimizer_without_slots_steps_too() {
        let mut weights = vec![1.0f64; 2 * BLOCK + 1];
        let gradients = vec![2.0; weights.len()];
        step(&SGD::new(0.25), 1, &mut weights, &gradients, &mut []);
        assert!(weights.iter().all(|&w| w == 0.5));
    }
}
