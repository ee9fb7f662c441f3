//! [`Factor`]: how far a random change may go.

use rand::RngExt as _;
use serde_json::Value;

use crate::{Result, config::Argument, layers::Build, rng::Rng};

/// How far a random change may go: one number or two, `0.2` or `(-0.1, 0.3)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Factor {
    /// From `-x` to `x`; from 0 to `x` where the layer takes nothing below 0.
    UpTo(f64),
    /// From the first to the second.
    Between(f64, f64),
}

impl From<f64> for Factor {
    fn from(x: f64) -> Self {
        Factor::UpTo(x)
    }
}

impl From<(f64, f64)> for Factor {
    fn from((lower, upper): (f64, f64)) -> Self {
        Factor::Between(lower, upper)
    }
}

impl From<[f64; 2]> for Factor {
    fn from([lower, upper]: [f64; 2]) -> Self {
        Factor::Between(lower, upper)
    }
}

/// What a layer takes for a factor: numbers up to 1.
#[derive(Clone, Copy)]
pub(super) enum Limits {
    /// `[-1, 1]`
    FromMinusOne,
    /// `(-1, 1]`
    AboveMinusOne,
    /// `[0, 1]`
    FromZero,
}

impl Limits {
    fn contain(self, x: f64) -> bool {
        match self {
            Limits::FromMinusOne => (-1.0..=1.0).contains(&x),
            Limits::AboveMinusOne => x > -1.0 && x <= 1.0,
            Limits::FromZero => (0.0..=1.0).contains(&x),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Limits::FromMinusOne => "from -1 to 1",
            Limits::AboveMinusOne => "above -1 and up to 1",
            Limits::FromZero => "from 0 to 1",
        }
    }
}

impl Factor {
    /// The numbers that the factor stands for, or an error that names the argument.
    pub(super) fn interval(self, cx: &Build, name: &str, limits: Limits) -> Result<Interval> {
        let (lower, upper) = match self {
            Factor::UpTo(x) => (x, x),
            Factor::Between(lower, upper) => (lower, upper),
        };
        for x in [lower, upper] {
            if !limits.contain(x) {
                return Err(cx.argument_error(format!("{name} must be {}, got {x}", limits.text())));
            }
        }
        if lower > upper {
            return Err(cx.argument_error(format!("{name} must be (lower, upper), got ({lower}, {upper})")));
        }
        Ok(match (self, limits) {
            (Factor::Between(..), _) => Interval { lower, upper },
            (Factor::UpTo(x), Limits::FromZero) => Interval { lower: 0.0, upper: x },
            (Factor::UpTo(x), _) => Interval { lower: -x.abs(), upper: x.abs() },
        })
    }
}

/// The numbers from `lower` to `upper`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub lower: f64,
    pub upper: f64,
}

impl Interval {
    /// One of them, each as likely as the others.
    pub fn draw(&self, rng: &mut Rng) -> f64 {
        self.lower + (self.upper - self.lower) * rng.random::<f64>()
    }
}

/// The range of values `(low, high)` of an image, or an error.
pub(super) fn value_range(cx: &Build, (low, high): (f64, f64)) -> Result<Interval> {
    if !(low.is_finite() && high.is_finite() && low <= high) {
        return Err(cx.argument_error(format!("value_range must be finite numbers (low, high), got ({low}, {high})")));
    }
    Ok(Interval { lower: low, upper: high })
}

impl Argument for Factor {
    fn to_json(&self) -> Value {
        match *self {
            Factor::UpTo(x) => x.to_json(),
            Factor::Between(lower, upper) => (lower, upper).to_json(),
        }
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        match json {
            // Keras writes them as they were given, and takes them in any order.
            Value::Array(_) => <(f64, f64)>::from_json(json).map(|(a, b)| Factor::Between(a.min(b), a.max(b))),
            _ => f64::from_json(json).map(Factor::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{params::ParamLayout, rng};

    fn interval(factor: impl Into<Factor>, limits: Limits) -> Result<Interval> {
        let mut layout = ParamLayout::default();
        factor.into().interval(&Build::new("Layer", "layer", 0, 1.into(), &mut layout), "factor", limits)
    }

    #[test]
    fn one_number_stands_for_two() {
        for (factor, limits, expected) in [
            (Factor::from(0.2), Limits::FromMinusOne, (-0.2, 0.2)),
            (Factor::from(-0.2), Limits::FromMinusOne, (-0.2, 0.2)),
            (Factor::from(1.0), Limits::AboveMinusOne, (-1.0, 1.0)),
            (Factor::from(0.2), Limits::FromZero, (0.0, 0.2)),
            (Factor::from((-0.1, 0.3)), Limits::AboveMinusOne, (-0.1, 0.3)),
            (Factor::from([0.5, 0.5]), Limits::FromZero, (0.5, 0.5)),
        ] {
            let Interval { lower, upper } = interval(factor, limits).unwrap();
            assert_eq!((lower, upper), expected);
        }
    }

    #[test]
    fn what_is_out_of_range_is_an_error() {
        for (factor, limits, words) in [
            (Factor::from(1.1), Limits::FromMinusOne, "factor must be from -1 to 1, got 1.1"),
            (Factor::from(-1.1), Limits::FromMinusOne, "got -1.1"),
            (Factor::from(f64::NAN), Limits::FromMinusOne, "got NaN"),
            (Factor::from((0.0, f64::NAN)), Limits::AboveMinusOne, "got NaN"),
            (Factor::from((-1.0, 0.0)), Limits::AboveMinusOne, "above -1 and up to 1, got -1"),
            (Factor::from((0.0, 1.1)), Limits::AboveMinusOne, "got 1.1"),
            (Factor::from(-0.1), Limits::FromZero, "from 0 to 1, got -0.1"),
            (Factor::from((0.0, f64::INFINITY)), Limits::FromZero, "got inf"),
            (Factor::from((0.3, 0.2)), Limits::FromZero, "(lower, upper), got (0.3, 0.2)"),
        ] {
            let error = interval(factor, limits).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("Layer \"layer\""), "{error}");
        }
    }

    #[test]
    fn a_value_range_is_finite_and_in_order() {
        let mut layout = ParamLayout::default();
        let cx = Build::new("Layer", "layer", 0, 1.into(), &mut layout);
        assert_eq!(value_range(&cx, (-1.0, 1.0)).unwrap(), Interval { lower: -1.0, upper: 1.0 });
        for range in [(1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            let error = value_range(&cx, range).unwrap_err().to_string();
            assert!(error.contains("value_range must be finite numbers (low, high), got ("), "{error}");
        }
    }

    #[test]
    fn draws_fill_the_interval() {
        let interval = Interval { lower: -0.1, upper: 0.3 };
        let mut rng = rng::stream(0, 0, 0, 0);
        let draws: Vec<f64> = (0..1000).map(|_| interval.draw(&mut rng)).collect();
        assert!(draws.iter().all(|x| (-0.1..0.3).contains(x)));
        assert!(draws.iter().any(|&x| x < -0.09) && draws.iter().any(|&x| x > 0.29));
        assert_eq!(Interval { lower: 0.1, upper: 0.1 }.draw(&mut rng), 0.1);
    }
}
