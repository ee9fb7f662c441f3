use super::{Schedule, check_at_least_0, check_steps};
use crate::config::Arguments;

/// A rate that falls as one over the time, as `keras.optimizers.schedules.InverseTimeDecay`.
///
/// ```text
/// rate = initial_learning_rate / (1 + decay_rate * step / decay_steps)
/// ```
///
/// ```
/// use cornu::optimizers::schedules::{InverseTimeDecay, Schedule};
///
/// let schedule = InverseTimeDecay::new(0.75, 100, 1.0);
/// assert_eq!([0, 50, 100].map(|step| schedule.rate(step)), [0.75, 0.5, 0.375]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct InverseTimeDecay {
    initial_learning_rate: f64,
    decay_steps: u64,
    decay_rate: f64,
    staircase: bool,
}

impl InverseTimeDecay {
    /// From this rate; the divisor grows by `decay_rate` in so many steps.
    pub fn new(initial_learning_rate: f64, decay_steps: u64, decay_rate: f64) -> Self {
        InverseTimeDecay { initial_learning_rate, decay_steps, decay_rate, staircase: false }
    }

    /// Whether the rate falls once every `decay_steps` steps instead of in each; default false.
    pub fn staircase(mut self, staircase: bool) -> Self {
        self.staircase = staircase;
        self
    }
}

impl Schedule for InverseTimeDecay {
    fn class_name(&self) -> &'static str {
        "InverseTimeDecay"
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
        let periods = if self.staircase { periods.floor() } else { periods };
        self.initial_learning_rate / (1.0 + self.decay_rate * periods)
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
            (InverseTimeDecay::new(f64::NAN, 10, 0.5), "initial_learning_rate"),
            (InverseTimeDecay::new(0.1, 0, 0.5), "decay_steps"),
            (InverseTimeDecay::new(0.1, 10, -1.0), "decay_rate"),
        ] {
            assert!(schedule.check().unwrap_err().contains(word));
        }
        assert!(InverseTimeDecay::new(0.1, 1, 0.0).check().is_ok());
    }
}
