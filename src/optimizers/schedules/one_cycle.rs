use super::{Schedule, check_at_least_0, check_steps, half_cosine};
use crate::config::Arguments;

/// A rate that rises to `max_lr` and then falls far below where it began, both by half a cosine, as PyTorch's `OneCycleLR`
/// with its defaults; the momentum is not changed. [Smith and Topin, 2017](https://arxiv.org/abs/1708.07120)
///
/// ```text
/// initial = max_lr / div_factor             the rate of step 0
/// max_lr                                    of step peak = pct_start * total_steps - 1
/// minimum = initial / final_div_factor      of step total_steps - 1, and of those that follow
/// ```
///
/// ```
/// use cornu::optimizers::schedules::{OneCycle, Schedule};
///
/// let schedule = OneCycle::new(0.5, 1000).pct_start(0.2).div_factor(10.0);
/// assert_eq!([0, 199].map(|step| schedule.rate(step)), [0.05, 0.5]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OneCycle {
    max_lr: f64,
    total_steps: u64,
    pct_start: f64,
    div_factor: f64,
    final_div_factor: f64,
}

impl OneCycle {
    /// Up to this rate and down again, in so many steps.
    pub fn new(max_lr: f64, total_steps: u64) -> Self {
        OneCycle { max_lr, total_steps, pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 }
    }

    /// The fraction of the steps in which the rate rises, at least 0 and below 1; default 0.3.
    pub fn pct_start(mut self, fraction: f64) -> Self {
        self.pct_start = fraction;
        self
    }

    /// How much smaller the initial rate is than the largest, above 0; default 25.
    pub fn div_factor(mut self, factor: f64) -> Self {
        self.div_factor = factor;
        self
    }

    /// How much smaller the last rate is than the initial one, above 0; default 10000.
    pub fn final_div_factor(mut self, factor: f64) -> Self {
        self.final_div_factor = factor;
        self
    }
}

impl Schedule for OneCycle {
    fn class_name(&self) -> &'static str {
        "OneCycle"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("max_lr", &mut self.max_lr)
            .required("total_steps", &mut self.total_steps)
            .argument("pct_start", &mut self.pct_start)
            .argument("div_factor", &mut self.div_factor)
            .argument("final_div_factor", &mut self.final_div_factor);
    }

    fn rate(&self, step: u64) -> f64 {
        let initial = self.max_lr / self.div_factor;
        let last = self.total_steps.saturating_sub(1) as f64;
        let peak = self.pct_start * self.total_steps as f64 - 1.0;
        let step = (step as f64).min(last);
        let between = |from: f64, to: f64, fraction| {
            let share = half_cosine(fraction);
            from * share + to * (1.0 - share)
        };
        // Without a step before the peak, the fall begins at once.
        if step <= peak && peak > 0.0 {
            between(initial, self.max_lr, step / peak)
        } else {
            between(self.max_lr, initial / self.final_div_factor, (step - peak) / (last - peak))
        }
    }

    fn check(&self) -> Result<(), String> {
        check_at_least_0("max_lr", self.max_lr)?;
        check_steps("total_steps", self.total_steps)?;
        if !(0.0..1.0).contains(&self.pct_start) {
            return Err(format!("pct_start must lie in [0, 1), got {}", self.pct_start));
        }
        for (name, factor) in [("div_factor", self.div_factor), ("final_div_factor", self.final_div_factor)] {
            if !(factor > 0.0 && factor.is_finite()) {
                return Err(format!("{name} must be a finite number above 0, got {factor}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PyTorch 2.15.
    #[test]
    fn rates_are_those_of_pytorch() {
        let cycle = OneCycle::new(0.1, 50);
        let options = cycle.clone().pct_start(0.2).div_factor(10.0).final_div_factor(100.0);
        for (schedule, rates) in [
            (
                cycle,
                vec![
                    (0, 0.0040000000000000036),
                    (1, 0.0052034602152724735),
                    (9, 0.07282641947764279),
                    (14, 0.1),
                    (15, 0.09979871550490317),
                    (30, 0.05671183644422961),
                    (48, 0.00020168449509684564),
                    (49, 4e-07),
                    (50, 4e-07),
                ],
            ),
            (
                options,
                vec![
                    (0, 0.009999999999999995),
                    (1, 0.012713832064634112),
                    (9, 0.1),
                    (10, 0.09984602081996975),
                    (30, 0.046130968168394154),
                    (48, 0.0002539791800302582),
                    (49, 0.0001),
                ],
            ),
            (OneCycle::new(0.1, 3), vec![(0, 0.09944154354509119), (1, 0.046263710266697504), (2, 4e-07)]),
        ] {
            for (step, rate) in rates {
                approx::assert_relative_eq!(schedule.rate(step), rate, max_relative = 1e-9);
            }
        }
    }

    #[test]
    fn the_shortest_cycles_have_rates() {
        assert_eq!(OneCycle::new(0.5, 1).rate(0), 0.5 / 25.0 / 1e4);
        // The peak is step 0.
        assert_eq!(OneCycle::new(0.5, 2).pct_start(0.5).rate(0), 0.5);
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        for (schedule, word) in [
            (OneCycle::new(-0.1, 10), "max_lr"),
            (OneCycle::new(0.1, 0), "total_steps"),
            (OneCycle::new(0.1, 10).pct_start(1.0), "pct_start"),
            (OneCycle::new(0.1, 10).pct_start(f64::NAN), "pct_start"),
            (OneCycle::new(0.1, 10).div_factor(0.0), "div_factor"),
            (OneCycle::new(0.1, 10).final_div_factor(f64::INFINITY), "final_div_factor"),
        ] {
            assert!(schedule.check().unwrap_err().contains(word));
        }
        assert!(OneCycle::new(0.1, 1).check().is_ok());
    }
}
