//! The optimizers, one file each, and the [schedules] of their learning rates.
//!
//! An optimizer knows nothing of layers: it is a loop over slices of the flat array of weights, with its gradients
//! and the optimizer's state beside it. What is done around that loop is the same for all: [`Optimizer`] has a method for
//! each of Keras's arguments.
//!
//! ```
//! use cornu::prelude::*;
//!
//! let schedule = CosineDecay::new(0.0, 10_000).warmup_target(1e-3).warmup_steps(500);
//! let optimizer = AdamW::new(schedule).weight_decay(0.01).global_clipnorm(1.0).use_ema(true);
//! ```
//!
//! A step of training does, in Keras's order:
//!
//! 1. [`gradient_accumulation_steps`](Optimizer::gradient_accumulation_steps): adds the gradients up. The steps 2 to 4 are
//!    left out until there are enough; then the gradients are replaced by their mean.
//! 2. [`clipnorm`](Optimizer::clipnorm), [`clipvalue`](Optimizer::clipvalue) or
//!    [`global_clipnorm`](Optimizer::global_clipnorm): limits the gradients.
//! 3. [`weight_decay`](Optimizer::weight_decay): pulls the weights towards 0.
//! 4. [`update`](Optimizer::update): the optimizer's own step.
//! 5. [`use_ema`](Optimizer::use_ema): updates the average of the weights.
//! 6. The [constraints](crate::Constraint) of the weights; also once more when the average has replaced them at the end.

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod base;
pub(crate) mod blocks;
pub mod erased;
mod lion;
mod nadam;
mod rmsprop;
pub mod schedules;
mod sgd;

use std::fmt::Debug;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adamax::Adamax;
pub use adamw::AdamW;
pub use base::{BIASES_AND_NORMALIZATION, Base};
pub use lion::Lion;
pub use nadam::Nadam;
pub use rmsprop::RMSprop;
pub use sgd::SGD;

use crate::{Scalar, config::Arguments};

/// The largest number of [`slots`](Optimizer::slots).
pub const MAX_SLOTS: usize = 4;

/// How weights follow their gradients.
///
/// The model keeps an optimizer's state, the *slots*: arrays as long as the weights. To write an optimizer of your own,
/// whose learning rate may then follow a schedule and whose steps may be decorated as those of any other:
///
/// ```
/// use cornu::{
///     Scalar,
///     optimizers::{Base, Optimizer},
/// };
///
/// /// Steps of one size in the direction of the gradient's sign.
/// #[derive(Clone, Debug)]
/// struct SignSgd {
///     base: Base,
/// }
///
/// impl Optimizer for SignSgd {
///     fn name(&self) -> &'static str {
///         "sign_sgd"
///     }
///
///     fn base(&self) -> &Base {
///         &self.base
///     }
///
///     fn base_mut(&mut self) -> &mut Base {
///         &mut self.base
///     }
///
///     fn slots(&self) -> &'static [&'static str] {
///         &[]
///     }
///
///     fn update<T: Scalar>(&self, _: u64, rate: f64, weights: &mut [T], gradients: &[T], _: &mut [&mut [T]]) {
///         let rate = T::of(rate);
///         for (w, &g) in weights.iter_mut().zip(gradients) {
///             *w -= rate * g.signum();
///         }
///     }
/// }
///
/// let optimizer = SignSgd { base: Base::new(0.5) }.clipvalue(1.0);
/// let mut weights = [1.0, -1.0];
/// optimizer.update(1, 0.5, &mut weights, &[8.0, -0.1], &mut []);
/// assert_eq!(weights, [0.5, -0.5]);
/// ```
pub trait Optimizer: Clone + Debug + Send + Sync + 'static {
    /// Keras's name: `"adam"`.
    fn name(&self) -> &'static str;

    /// Keras's name of the class, `"Adam"`, under which a file has the optimizer; by default [`name`](Optimizer::name).
    fn class_name(&self) -> &'static str {
        self.name()
    }

    /// Tells the optimizer's own arguments by their names in Keras, to write or to read a configuration; see [`Arguments`]. Those in
    /// [`base`](Optimizer::base) are told for it. By default, no file can hold the optimizer.
    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.fail("it does not tell its arguments (Optimizer::arguments)");
    }

    /// What every optimizer has: the learning rate, and what is done around the step.
    fn base(&self) -> &Base;

    /// The same, to be changed.
    fn base_mut(&mut self) -> &mut Base;

    /// The names of the arrays of state, each as long as the weights: momentum and velocity for Adam, none for plain SGD. At
    /// most [`MAX_SLOTS`].
    fn slots(&self) -> &'static [&'static str];

    /// What the slots hold before the first step; 0 by default.
    fn slot_start(&self) -> f64 {
        0.0
    }

    /// Whether the optimizer's own arguments lie in their ranges; if not, which does not. `compile` asks, and adds the place.
    /// It checks [`base`](Optimizer::base) itself.
    ///
    /// # Errors
    /// By default, none.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Does step `t`, counted from 1, at this learning rate for a part of the weights; elements `i` of all slices belong
    /// together.
    ///
    /// The step of an element must depend on no other element: parts are cut anywhere, and updated in parallel.
    fn update<T: Scalar>(&self, t: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]);

    /// Pulls the weights towards 0 before each step, apart from the gradients: `w -= decay * lr * w`. At least 0; none by
    /// default, but for [`AdamW`]. [Loshchilov and Hutter, 2017](https://arxiv.org/abs/1711.05101)
    ///
    /// ```
    /// use cornu::optimizers::{Adam, BIASES_AND_NORMALIZATION, Optimizer};
    ///
    /// let optimizer = Adam::new(1e-3).weight_decay(0.01).exclude_from_weight_decay(BIASES_AND_NORMALIZATION);
    /// ```
    fn weight_decay(mut self, decay: f64) -> Self {
        self.base_mut().weight_decay = Some(decay);
        self
    }

    /// Spares the weights whose own name, the `bias` of `dense/bias`, contains one of these parts, or whose whole name does where a part has a
    /// `/`; none by default.
    fn exclude_from_weight_decay<S: Into<String>>(mut self, parts: impl IntoIterator<Item = S>) -> Self {
        self.base_mut().exclude_from_weight_decay = parts.into_iter().map(Into::into).collect();
        self
    }

    /// Scales the gradient of each weight (a kernel, a bias) down to this norm where it is larger: `g *= c / max(||g||, c)`.
    /// Above 0; none by default, and only one of the three ways to clip can be given.
    fn clipnorm(mut self, norm: f64) -> Self {
        self.base_mut().clipnorm = Some(norm);
        self
    }

    /// Clips each element of the gradients to `[-value, value]`. Above 0; none by default.
    fn clipvalue(mut self, value: f64) -> Self {
        self.base_mut().clipvalue = Some(value);
        self
    }

    /// As [`clipnorm`](Optimizer::clipnorm), with one norm for the gradients of all weights together. Above 0; none by default.
    fn global_clipnorm(mut self, norm: f64) -> Self {
        self.base_mut().global_clipnorm = Some(norm);
        self
    }

    /// Whether an exponential moving average of the weights is kept, with which `fit` replaces them at its end:
    /// `a = momentum * a + (1 - momentum) * w`, beginning with the weights after the first step; default false.
    fn use_ema(mut self, use_ema: bool) -> Self {
        self.base_mut().use_ema = use_ema;
        self
    }

    /// The momentum of that average, in `[0, 1]`; default 0.99.
    fn ema_momentum(mut self, momentum: f64) -> Self {
        self.base_mut().ema_momentum = momentum;
        self
    }

    /// After how many steps of the optimizer the average replaces the weights each time; by default only at the end of `fit`.
    fn ema_overwrite_frequency(mut self, steps: u64) -> Self {
        self.base_mut().ema_overwrite_frequency = Some(steps);
        self
    }

    /// How many batches make one step: the optimizer moves the weights by the mean of their gradients. At least 1, the
    /// default. As in Keras, schedules count the batches.
    fn gradient_accumulation_steps(mut self, steps: u64) -> Self {
        self.base_mut().gradient_accumulation_steps = steps;
        self
    }
}

/// `beta^t` for a beta rounded to the numbers of the model, as Keras computes it.
fn power<T: Scalar>(beta: f64, t: u64) -> f64 {
    T::of(beta).as_f64().powf(t as f64)
}

fn check_beta(name: &str, beta: f64) -> Result<(), String> {
    // Nor must it be rounded to 1, whose bias cannot be corrected, in a model of f32.
    if beta >= 0.0 && (beta as f32) < 1.0 {
        Ok(())
    } else {
        Err(format!("{name} must lie in [0, 1), rounded to f32 too, got {beta}"))
    }
}

fn check_fraction(name: &str, fraction: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&fraction) { Ok(()) } else { Err(format!("{name} must lie in [0, 1], got {fraction}")) }
}

fn check_epsilon(epsilon: f64) -> Result<(), String> {
    // The smallest single is the limit, so that it is not rounded to 0 in a model of f32.
    if epsilon >= f32::MIN_POSITIVE.into() && epsilon.is_finite() {
        Ok(())
    } else {
        Err(format!("epsilon must be a finite number above 0, such as 1e-7, got {epsilon}"))
    }
}
