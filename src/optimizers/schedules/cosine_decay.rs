use super::{Schedule, check_at_least_0, check_steps, half_cosine};
use crate::config::Arguments;
use crate::optimizers::check_fraction;

/// A rate that falls by half a cosine, if wanted after a linear warm-up, as `keras.optimizers.schedules.CosineDecay`.
/// [Loshchilov and Hutter, 2016](https://arxiv.org/abs/1608.03983)
///
/// ```text
/// fraction = min(step, decay_steps) / decay_steps
/// rate = initial_learning_rate * ((1 - alpha) * (1 + cos(pi * fraction)) / 2 + alpha)
/// ```
///
/// With a `warmup_target`, the rate first goes in a line from `initial_learning_rate` to the target in `warmup_steps` steps,
/// and falls from the target in the `decay_steps` steps that follow.
///
/// ```
/// use cornu::optimizers::schedules::{CosineDecay, Schedule};
///
/// let schedule = CosineDecay::new(0.0, 1000).warmup_target(0.5).warmup_steps(100).alpha(0.5);
/// assert_eq!([0, 50, 100, 600, 1100, 9999].map(|step| schedule.rate(step)), [0.0, 0.25, 0.5, 0.375, 0.25, 0.25]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CosineDecay {
    initial_learning_rate: f64,
    decay_steps: u64,
    alpha: f64,
    warmup_target: Option<f64>,
    warmup_steps: u64,
}

impl CosineDecay {
    /// From this rate down to 0, in so many steps.
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        CosineDecay { initial_learning_rate, decay_steps, alpha: 0.0, warmup_target: None, warmup_steps: 0 }
    }

    /// The last rate as a fraction of the one from which it falls, in `[0, 1]`; default 0.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The rate at the end of the warm-up; without it there is none.
    pub fn warmup_target(mut self, rate: f64) -> Self {
        self.warmup_target = Some(rate);
        self
    }

    /// How many steps the warm-up takes; 0 by default. It needs a [`warmup_target`](CosineDecay::warmup_target).
    pub fn warmup_steps(mut self, steps: u64) -> Self {
        self.warmup_steps = steps;
        self
    }
}

impl Schedule for CosineDecay {
    fn class_name(&self) -> &'static str {
        "CosineDecay"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("initial_learning_rate", &mut self.initial_learning_rate)
            .required("decay_steps", &mut self.decay_steps)
            .argument("alpha", &mut self.alpha)
            .argument("warmup_target", &mut self.warmup_target)
            .argument("warmup_steps", &mut self.warmup_steps);
    }

    fn rate(&self, step: u64) -> f64 {
        let target = self.warmup_target.unwrap_or(self.initial_learning_rate);
        let Some(step) = step.checked_sub(self.warmup_steps) else {
            let fraction = step as f64 / self.warmup_steps as f64;
            return (target - self.initial_learning_rate) * fraction + self.initial_learning_rate;
        };
        let fraction = step.min(self.decay_steps) as f64 / self.decay_steps as f64;
        target * ((1.0 - self.alpha) * half_cosine(fraction) + self.alpha)
    }

    fn check(&self) -> Result<(), String> {
        check_at_least_0("initial_learning_rate", self.initial_learning_rate)?;
        check_steps("decay_steps", self.decay_steps)?;
        check_fraction("alpha", self.alpha)?;
        match self.warmup_target {
            Some(target) => check_at_least_0("warmup_target", target),
            None if self.warmup_steps > 0 => Err(format!(
                "warmup_steps is {}, but there is no warmup_target; give the rate to reach",
                self.warmup_steps
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_out_of_range_are_errors() {
        for (schedule, word) in [
            (CosineDecay::new(-0.1, 10), "initial_learning_rate"),
            (CosineDecay::new(0.1, 0), "decay_steps"),
            (CosineDecay::new(0.1, 10).alpha(1.5), "alpha"),
            (CosineDecay::new(0.1, 10).warmup_target(f64::NAN), "warmup_target"),
            (CosineDecay::new(0.1, 10).warmup_steps(5), "no warmup_target"),
        ] {
            assert!(schedule.check().unwrap_err().contains(word));
        }
        assert!(CosineDecay::new(0.0, 1).warmup_target(0.1).check().is_ok());
    }
}
