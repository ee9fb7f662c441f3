//! Schedules of the learning rate: one file each.
//!
//! An optimizer takes a number or a [`Schedule`] as its rate:
//!
//! ```
//! use cornu::prelude::*;
//!
//! let constant = Adam::new(1e-3);
//! let falling = Adam::new(ExponentialDecay::new(1e-3, 1000, 0.9));
//! ```

mod cosine_decay;
mod cosine_decay_restarts;
mod exponential_decay;
mod inverse_time_decay;
mod one_cycle;
mod piecewise_constant_decay;
mod polynomial_decay;

use std::{fmt::Debug, sync::Arc};

pub use cosine_decay::CosineDecay;
pub use cosine_decay_restarts::CosineDecayRestarts;
pub use exponential_decay::ExponentialDecay;
pub use inverse_time_decay::InverseTimeDecay;
pub use one_cycle::OneCycle;
pub use piecewise_constant_decay::PiecewiseConstantDecay;
pub use polynomial_decay::PolynomialDecay;

use crate::config::{self, Arguments};

/// The learning rate as a function of the step. To write one of your own:
///
/// ```
/// use cornu::optimizers::{SGD, schedules::Schedule};
///
/// /// The rate of the Transformer, for a model of this width.
/// #[derive(Clone, Debug)]
/// struct Noam {
///     width: f64,
///     warmup_steps: f64,
/// }
///
/// impl Schedule for Noam {
///     fn class_name(&self) -> &'static str {
///         "Noam"
///     }
///
///     fn rate(&self, step: u64) -> f64 {
///         let t = step as f64 + 1.0;
///         self.width.powf(-0.5) * t.powf(-0.5).min(t * self.warmup_steps.powf(-1.5))
///     }
/// }
///
/// let optimizer = SGD::new(Noam { width: 512.0, warmup_steps: 4000.0 });
/// ```
pub trait Schedule: DynSchedule + Debug + Send + Sync + 'static {
    /// Keras's name of the class, under which a file has the schedule: `"CosineDecay"`.
    fn class_name(&self) -> &'static str;

    /// Tells the arguments by their names in Keras, to write or to read a configuration; see [`Arguments`]. By default, no file can hold
    /// the schedule.
    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.fail("it does not tell its arguments (Schedule::arguments)");
    }

    /// The rate of a step of training, counted from 0 over all epochs.
    fn rate(&self, step: u64) -> f64;

    /// Whether the arguments lie in their ranges; if not, which does not. `compile` asks, and adds the place.
    ///
    /// # Errors
    /// By default, none. `compile` itself refuses a first rate that is not a finite number of at least 0.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A [`Schedule`] as an object that can be configured; every schedule that is `Clone` is one.
#[doc(hidden)]
pub trait DynSchedule {
    /// This schedule, with the arguments that are being read.
    fn read(&self, arguments: &mut Arguments) -> Arc<dyn Schedule>;
}

impl<S: Schedule + Clone> DynSchedule for S {
    fn read(&self, arguments: &mut Arguments) -> Arc<dyn Schedule> {
        let mut schedule = self.clone();
        schedule.arguments(arguments);
        Arc::new(schedule)
    }
}

impl config::Object for Arc<dyn Schedule> {
    const MODULE: &'static str = "keras.optimizers.schedules";

    fn class_name(&self) -> &'static str {
        (**self).class_name()
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        *self = self.read(arguments.ignored("name"));
    }
}

/// An optimizer's learning rate: made of a number, or of a [`Schedule`].
#[derive(Clone, Debug)]
pub enum LearningRate {
    /// The same in every step, until it is set to another.
    Constant(f64),
    /// What the schedule says.
    Schedule(Arc<dyn Schedule>),
}

impl LearningRate {
    /// The rate of a step, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        match self {
            LearningRate::Constant(rate) => *rate,
            LearningRate::Schedule(schedule) => schedule.rate(step),
        }
    }

    /// Replaces the number.
    ///
    /// # Errors
    /// When the rate follows a schedule, or the new one is not a finite number of at least 0.
    pub(crate) fn set(&mut self, rate: f64) -> Result<(), String> {
        if let LearningRate::Schedule(schedule) = self {
            return Err(format!(
                "the learning rate follows a schedule, {schedule:?}; compile with a number to set it afterwards"
            ));
        }
        check_at_least_0("learning_rate", rate)?;
        *self = LearningRate::Constant(rate);
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if let LearningRate::Schedule(schedule) = self {
            schedule.check().map_err(|message| format!("learning_rate: {message}"))?;
        }
        check_at_least_0("learning_rate", self.at(0))
    }
}

impl From<f64> for LearningRate {
    fn from(rate: f64) -> Self {
        LearningRate::Constant(rate)
    }
}

impl<S: Schedule> From<S> for LearningRate {
    fn from(schedule: S) -> Self {
        LearningRate::Schedule(Arc::new(schedule))
    }
}

fn check_at_least_0(name: &str, value: f64) -> Result<(), String> {
    if value >= 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(format!("{name} must be a finite number of at least 0, got {value}"))
    }
}

fn check_steps(name: &str, steps: u64) -> Result<(), String> {
    if steps > 0 { Ok(()) } else { Err(format!("{name} must be at least 1, got 0; it counts steps, not epochs")) }
}

/// From 1 at `fraction` 0 down to 0 at 1, by half a cosine.
fn half_cosine(fraction: f64) -> f64 {
    0.5 * (1.0 + (std::f64::consts::PI * fraction).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_can_be_set_and_a_schedule_cannot() {
        let mut constant = LearningRate::from(0.5);
        constant.set(0.0).unwrap();
        assert_eq!([constant.at(0), constant.at(9)], [0.0, 0.0]);
        let mut falling = LearningRate::from(InverseTimeDecay::new(0.5, 10, 1.0));
        let message = falling.set(0.25).unwrap_err();
        assert!(message.contains("InverseTimeDecay") && message.contains("compile with a number"), "{message}");
        assert_eq!(falling.at(10), 0.25);
    }

    #[test]
    fn a_rate_out_of_range_is_an_error() {
        #[derive(Clone, Debug)]
        struct Falling;
        impl Schedule for Falling {
            fn class_name(&self) -> &'static str {
                "Falling"
            }

            fn rate(&self, step: u64) -> f64 {
                -1.0 - step as f64
            }
        }
        for rate in [(-0.5).into(), f64::NAN.into(), f64::INFINITY.into(), LearningRate::from(Falling)] {
            let message = rate.check().unwrap_err();
            assert!(message.contains("learning_rate must be a finite number of at least 0"), "{message}");
        }
        assert!(LearningRate::from(0.0).check().is_ok());
    }
}
