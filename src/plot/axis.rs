//! [`Axis`]: a range of numbers with ticks at round ones.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

#[derive(Clone, Copy)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// From a tick to the next.
    step: f64,
}

impl Axis {
    /// Of numbers from `low` to `high`, with some space on both sides and about `count` ticks, at most so many.
    pub fn new(low: f64, high: f64, count: usize) -> Self {
        let size = low.abs().max(high.abs());
        // Equal numbers have a range, too.
        let margin = if high - low > (1e-9 * size).max(1e-290) { (high - low) / 20.0 } else { size.max(1.0) / 20.0 };
        let (low, high) = (low - margin, high + margin);
        let least = (high - low) / count as f64;
        let power = 10_f64.powi(least.log10().floor() as i32);
        let step = [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|&step| step >= least);
        Axis { low, high, step: step.unwrap_or(10.0 * power) }
    }

    /// Of whole numbers from 1 to `last`.
    pub fn counting(last: usize, count: usize) -> Self {
        let axis = Axis::new(1.0, last as f64, count);
        Axis { low: axis.low.max(0.5), step: axis.step.max(1.0), ..axis }
    }

    fn ticks(&self) -> Vec<f64> {
        let (first, last) = ((self.low / self.step).ceil() as i64, (self.high / self.step).floor() as i64);
        (first..=last).map(|i| i as f64 * self.step).collect()
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // plotters draws light lines as well, between these.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    /// With as many decimals as the ticks have.
    fn format_ext(&self, value: &f64) -> String {
        let (decimals, size) = (-self.step.log10().floor(), self.low.abs().max(self.high.abs()));
        if decimals > 6.0 || size >= 1e6 {
            // Enough to tell two ticks apart.
            let digits = (size.log10().floor() + decimals).clamp(0.0, 17.0) as usize;
            return if *value == 0.0 { "0".to_owned() } else { format!("{value:.digits$e}") };
        }
        format!("{value:.decimals$}", decimals = decimals.max(0.0) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis) -> Vec<String> {
        axis.ticks().iter().map(|tick| axis.format_ext(tick)).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(Axis::new(0.013, 0.47, 6)), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(labels(Axis::new(-1.0, 1.0, 6)), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(labels(Axis::new(0.0, 4e-7, 6)), ["0", "1e-7", "2e-7", "3e-7", "4e-7"]);
        assert_eq!(labels(Axis::new(0.0, 6e7, 6)).last().unwrap(), "6e7");
        let close = labels(Axis::new(2.302_56, 2.302_60, 6));
        assert_eq!(close[..2], ["2.30256", "2.30257"]);
        assert_eq!(labels(Axis::new(1.0e6, 1.1e6, 6))[..2], ["1.00e6", "1.02e6"]);
        assert_eq!(labels(Axis::counting(4, 8)), ["1", "2", "3", "4"]);
        assert_eq!(labels(Axis::counting(30, 8)), ["5", "10", "15", "20", "25", "30"]);
    }

    #[test]
    fn a_range_is_never_empty() {
        assert_eq!(Axis::new(0.0, 0.0, 6).range(), -0.05..0.05);
        assert_eq!(Axis::new(20.0, 20.0, 6).range(), 19.0..21.0);
        assert_eq!(labels(Axis::counting(1, 8)), ["1"]);
        assert!(Axis::new(0.0, 1e-310, 6).ticks().len() <= 7);
    }
}
