use super::{Schedule, check_at_least_0, check_steps};
use crate::config::Arguments;

/// A rate that falls by the same factor in every `decay_steps` steps, as `keras.optimizers.schedules.ExponentialDecay`.
///
/// ```text
/// rate = initial_learning_rate * decay_rate ^ (step / decay_steps)
/// ```
///
/// ```
/// use cornu::optimizers::schedules::{ExponentialDecay, Schedule};
///
/// let schedule = ExponentialDecay::new(0.8, 100, 0.5).staircase(true);
/// assert_eq!([0, 99, 100, 250].map(|step| schedule.rate(step)), [0.8, 0.8, 0.4, 0.2]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExponentialDecay {
    initial_learning_rate: f64,
    decay_steps: u64,
    decay_rate: f64,
    staircase: bool,
}

impl ExponentialDecay {
    /// From this rate, by this factor in so many steps.
    pub fn new(initial_learning_rate: f64, decay_steps: u64, decay_rate: f64) -> Self {
        ExponentialDecay { initial_learning_rate, decay_steps, decay_rate, staircase: false }
    }

    /// Whether the rate falls once every `decay_steps` steps instead of in each; default false.
    pub fn staircase(mut self, staircase: bool) -> Self {
        self.staircase = staircase;
        self
    }
}

impl Schedule for ExponentialDecay {
    fn class_name(&self) -> &'static str {
        "ExponentialDecay"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("initial_learning_rate", &mut self.initial_learning_rate)
            .required("decay_steps", &mut self.decay_steps)
            .required("decay_rate", &mut self.decay_rate)
            .argument("staircase", &mut self.staircase);
    }

    fn rate(&self, step: u64) -> f64 {
        let periods = step as f64 / self.decay_steps as f64;
        self.initial_learning_rate * self.decay_rate.powf(if self.staircase { periods.floor() } else { periods })
    }

    fn check(&self) -> Result<(), String> {
        check_at_least_0("initial_learning_rate", self.initial_learning_rate)?;
        check_steps("decay_steps", self.decay_steps)?;
        check_at_least_0("decay_rate", self.decay_rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_out_of_range_are_errors() {
        for (schedule, word) in [
            (ExponentialDecay::new(-0.1, 10, 0.5), "initial_learning_rate"),
            (ExponentialDecay::new(0.1, 0, 0.5), "decay_steps"),
            (ExponentialDecay::new(0.1, 10, f64::NAN), "decay_rate"),
        ] {
            assert!(schedule.check().unwrap_err().contains(word));
        }
        assert!(ExponentialDecay::new(0.1, 1, 0.5).check().is_ok());
    }
}
