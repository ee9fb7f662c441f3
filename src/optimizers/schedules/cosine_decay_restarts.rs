use super::{Schedule, check_at_least_0, check_steps, half_cosine};
use crate::config::Arguments;
use crate::optimizers::check_fraction;

/// A rate that falls by half a cosine again and again, as `keras.optimizers.schedules.CosineDecayRestarts`.
/// [Loshchilov and Hutter, 2016](https://arxiv.org/abs/1608.03983)
///
/// The first period takes `first_decay_steps` steps, each other one `t_mul` times as many as the one before, and begins at
/// `m_mul` times its rate. At the fraction `f` of period `i`, both counted from 0:
///
/// ```text
/// rate = initial_learning_rate * ((1 - alpha) * m_mul^i * (1 + cos(pi * f)) / 2 + alpha)
/// ```
///
/// ```
/// use cornu::optimizers::schedules::{CosineDecayRestarts, Schedule};
///
/// let schedule = CosineDecayRestarts::new(0.5, 100).m_mul(0.5);
/// assert_eq!([0, 50, 100, 200, 300].map(|step| schedule.rate(step)), [0.5, 0.25, 0.25, 0.125, 0.125]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CosineDecayRestarts {
    initial_learning_rate: f64,
    first_decay_steps: u64,
    t_mul: f64,
    m_mul: f64,
    alpha: f64,
}

impl CosineDecayRestarts {
    /// From this rate down to 0, the first time in so many steps, then in twice as many, and so on.
    pub fn new(initial_learning_rate: f64, first_decay_steps: u64) -> Self {
        CosineDecayRestarts { initial_learning_rate, first_decay_steps, t_mul: 2.0, m_mul: 1.0, alpha: 0.0 }
    }

    /// How much longer each period is than the one before, at least 1; default 2.
    pub fn t_mul(mut self, t_mul: f64) -> Self {
        self.t_mul = t_mul;
        self
    }

    /// The first rate of each period as a multiple of that of the one before, at least 0; default 1.
    pub fn m_mul(mut self, m_mul: f64) -> Self {
        self.m_mul = m_mul;
        self
    }

    /// The last rate as a fraction of the initial one, in `[0, 1]`; default 0.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The period that holds this time, and the fraction of it that is over. The unit of time is the first period.
    fn period(&self, time: f64) -> (f64, f64) {
        if self.t_mul == 1.0 {
            return (time.floor(), time.fract());
        }
        let start = |period: f64| (self.t_mul.powf(period) - 1.0) / (self.t_mul - 1.0);
        let mut period = ((1.0 + time * (self.t_mul - 1.0)).ln() / self.t_mul.ln()).floor();
        // At a restart the logarithm may be rounded to just below the whole number.
        if start(period + 1.0) <= time {
            period += 1.0;
        }
        (period, (time - start(period)) / self.t_mul.powf(period))
    }
}

impl Schedule for CosineDecayRestarts {
    fn class_name(&self) -> &'static str {
        "CosineDecayRestarts"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("initial_learning_rate", &mut self.initial_learning_rate)
            .required("first_decay_steps", &mut self.first_decay_steps)
            .argument("t_mul", &mut self.t_mul)
            .argument("m_mul", &mut self.m_mul)
            .argument("alpha", &mut self.alpha);
    }

    fn rate(&self, step: u64) -> f64 {
        let (period, fraction) = self.period(step as f64 / self.first_decay_steps as f64);
        let scale = self.m_mul.powf(period) * half_cosine(fraction);
        self.initial_learning_rate * ((1.0 - self.alpha) * scale + self.alpha)
    }

    fn check(&self) -> Result<(), String> {
        check_at_least_0("initial_learning_rate", self.initial_learning_rate)?;
        check_steps("first_decay_steps", self.first_decay_steps)?;
        if !(self.t_mul >= 1.0 && self.t_mul.is_finite()) {
            return Err(format!("t_mul must be a finite number of at least 1, got {}", self.t_mul));
        }
        check_at_least_0("m_mul", self.m_mul)?;
        check_fraction("alpha", self.alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_restart_is_at_its_step() {
        for t_mul in [1.0, 2.0, 3.0, 5.0, 10.0] {
            let schedule = CosineDecayRestarts::new(1.0, 7).t_mul(t_mul);
            let (mut start, mut length) = (0, 7);
            for _ in 0..9 {
                approx::assert_relative_eq!(schedule.rate(start), 1.0, epsilon = 1e-12);
                start += length;
                length *= t_mul as u64;
                assert!(schedule.rate(start - 1) < 0.06, "before step {start}, t_mul {t_mul}");
            }
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        for (schedule, word) in [
            (CosineDecayRestarts::new(-0.1, 10), "initial_learning_rate"),
            (CosineDecayRestarts::new(0.1, 0), "first_decay_steps"),
            (CosineDecayRestarts::new(0.1, 10).t_mul(0.5), "t_mul"),
            (CosineDecayRestarts::new(0.1, 10).m_mul(f64::NAN), "m_mul"),
            (CosineDecayRestarts::new(0.1, 10).alpha(-0.5), "alpha"),
        ] {
            assert!(schedule.check().unwrap_err().contains(word));
        }
        assert!(CosineDecayRestarts::new(0.1, 1).t_mul(1.0).check().is_ok());
    }
}
