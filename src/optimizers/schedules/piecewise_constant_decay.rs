use super::{Schedule, check_at_least_0};
use crate::config::Arguments;

/// A rate for each range of steps, as `keras.optimizers.schedules.PiecewiseConstantDecay`.
///
/// `values[0]` holds up to and including step `boundaries[0]`, `values[1]` up to and including `boundaries[1]`, and the last
/// value from there on.
///
/// ```
/// use cornu::optimizers::schedules::{PiecewiseConstantDecay, Schedule};
///
/// let schedule = PiecewiseConstantDecay::new([1000, 2000], [0.1, 0.01, 0.001]);
/// assert_eq!([0, 1000, 1001, 2001].map(|step| schedule.rate(step)), [0.1, 0.1, 0.01, 0.001]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PiecewiseConstantDecay {
    boundaries: Vec<u64>,
    values: Vec<f64>,
}

impl PiecewiseConstantDecay {
    /// The last step of each range but the last, rising; and the rate in each.
    pub fn new(boundaries: impl Into<Vec<u64>>, values: impl Into<Vec<f64>>) -> Self {
        PiecewiseConstantDecay { boundaries: boundaries.into(), values: values.into() }
    }
}

impl Schedule for PiecewiseConstantDecay {
    fn class_name(&self) -> &'static str {
        "PiecewiseConstantDecay"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("boundaries", &mut self.boundaries).required("values", &mut self.values);
    }

    fn rate(&self, step: u64) -> f64 {
        let i = self.boundaries.partition_point(|&boundary| boundary < step);
        // Before `check` there may be too few.
        self.values.get(i).or(self.values.last()).copied().unwrap_or(f64::NAN)
    }

    fn check(&self) -> Result<(), String> {
        let (boundaries, values) = (&self.boundaries, &self.values);
        if values.len() != boundaries.len() + 1 {
            return Err(format!(
                "{} boundaries need {} values, one more, got {}",
                boundaries.len(),
                boundaries.len() + 1,
                values.len()
            ));
        }
        if let Some(pair) = boundaries.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!("boundaries must rise, got {} before {}", pair[0], pair[1]));
        }
        values.iter().try_for_each(|&value| check_at_least_0("a value", value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_out_of_range_are_errors() {
        for (schedule, word) in [
            (PiecewiseConstantDecay::new([1, 2], [0.1, 0.2]), "2 boundaries need 3 values, one more, got 2"),
            (PiecewiseConstantDecay::new([], []), "0 boundaries need 1 values"),
            (PiecewiseConstantDecay::new([2, 2], [0.1, 0.2, 0.3]), "must rise, got 2 before 2"),
            (PiecewiseConstantDecay::new([2], [0.1, -0.2]), "a value must be a finite number of at least 0, got -0.2"),
        ] {
            let message = schedule.check().unwrap_err();
            assert!(message.contains(word), "{message}");
        }
        let constant = PiecewiseConstantDecay::new([], [0.5]);
        assert!(constant.check().is_ok());
        assert_eq!(constant.rate(7), 0.5);
    }
}
