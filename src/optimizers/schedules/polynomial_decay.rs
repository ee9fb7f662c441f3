use super::{Schedule, check_at_least_0, check_steps};
use crate::config::Arguments;

/// A rate that falls to another one in `decay_steps` steps, as `keras.optimizers.schedules.PolynomialDecay`.
///
/// ```text
/// rate = (initial_learning_rate - end_learning_rate) * (1 - min(step, decay_steps) / decay_steps) ^ power
///        + end_learning_rate
/// ```
///
/// With `cycle`, the step is not limited; instead `decay_steps` is replaced by its first multiple that is not below the
/// step, so the rate rises again after each, to a lower one.
///
/// ```
/// use cornu::optimizers::schedules::{PolynomialDecay, Schedule};
///
/// let schedule = PolynomialDecay::new(0.5, 100).end_learning_rate(0.25);
/// assert_eq!([0, 50, 100, 101].map(|step| schedule.rate(step)), [0.5, 0.375, 0.25, 0.25]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PolynomialDecay {
    initial_learning_rate: f64,
    decay_steps: u64,
    end_learning_rate: f64,
    power: f64,
    cycle: bool,
}

impl PolynomialDecay {
    /// In a line from this rate down to 0.0001, in so many steps.
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        PolynomialDecay { initial_learning_rate, decay_steps, end_learning_rate: 1e-4, power: 1.0, cycle: false }
    }

    /// The last rate, at least 0; default 0.0001.
    pub fn end_learning_rate(mut self, rate: f64) -> Self {
        self.end_learning_rate = rate;
        self
    }

    /// The power of the polynomial, at least 0; default 1.
    pub fn power(mut self, power: f64) -> Self {
        self.power = power;
        self
    }

    /// Whether the rate rises again after the last step; default false.
    pub fn cycle(mut self, cycle: bool) -> Self {
        self.cycle = cycle;
        self
    }
}

impl Schedule for PolynomialDecay {
    fn class_name(&self) -> &'static str {
        "PolynomialDecay"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("initial_learning_rate", &mut self.initial_learning_rate)
            .required("decay_steps", &mut self.decay_steps)
            .argument("end_learning_rate", &mut self.end_learning_rate)
            .argument("power", &mut self.power)
            .argument("cycle", &mut self.cycle);
    }

    fn rate(&self, step: u64) -> f64 {
        let periods = step as f64 / self.decay_steps as f64;
        let fraction = if self.cycle { periods / periods.ceil().max(1.0) } else { periods.min(1.0) };
        (self.initial_learning_rate - self.end_learning_rate) * (1.0 - fraction).powf(self.power)
            + self.end_learning_rate
    }

    fn check(&self) -> Result<(), String> {
        check_at_least_0("initial_learning_rate", self.initial_learning_rate)?;
        check_steps("decay_steps", self.decay_steps)?;
        check_at_least_0("end_learning_rate", self.end_learning_rate)?;
        check_at_least_0("power", self.power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_out_of_range_are_errors() {
        for (schedule, word) in [
            (PolynomialDecay::new(-0.1, 10), "initial_learning_rate"),
            (PolynomialDecay::new(0.1, 0), "decay_steps"),
            (PolynomialDecay::new(0.1, 10).end_learning_rate(-0.1), "end_learning_rate"),
            (PolynomialDecay::new(0.1, 10).power(f64::NAN), "power"),
        ] {
            assert!(schedule.check().unwrap_err().contains(word));
        }
        assert!(PolynomialDecay::new(0.1, 1).end_learning_rate(0.0).check().is_ok());
    }
}
