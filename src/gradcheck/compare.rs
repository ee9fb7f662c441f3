//! Gradients against finite differences.

use super::{Coordinate, Report};
use crate::{Error, Result, Shape};

/// The step. Its square, about 1e-9, times a third derivative is what separates the quotients at `h` and `h / 2`, and has
/// to stay below [`KINK`]; a rounding of `L`, 2e-16, divided by it is 7e-12, which has to stay far below 1e-6. A power of
/// two, so halving is exact.
pub(super) const STEP: f64 = 1.0 / 32768.0;

/// How far quotients that should agree may differ, relatively. A kink that goes unnoticed spoils the result by at
/// most 1.2 times as much, which is below the 1e-6 that gradients are held to.
const KINK: f64 = 5e-7;

/// How much the rounding of an `L` of this size moves a quotient.
pub(super) fn noise(loss: f64) -> f64 {
    loss.abs() * f64::EPSILON / STEP
}

/// The coordinates compared so far.
#[derive(Default)]
pub(super) struct Comparison {
    checked: Vec<Coordinate>,
    skipped: usize,
}

impl Comparison {
    /// Compares the gradient to one array with the slopes of `rise(i, step)`, by how much `L` grows when element `i` does.
    pub fn compare(
        &mut self,
        name: &str,
        shape: Shape,
        gradient: &[f64],
        noise: f64,
        mut rise: impl FnMut(usize, f64) -> Result<f64>,
    ) -> Result<()> {
        let slopes = (0..gradient.len()).map(|i| Slope::of(|step| rise(i, step))).collect::<Result<Vec<_>>>()?;
        // A gradient far below the others of its array is a sum in which terms of their size cancel, so its error is of
        // their size too; and noise shall stay below 1e-8.
        let largest = slopes.iter().fold(0.0, |largest, slope| slope.value.abs().max(largest));
        let floor = (1e-2 * largest).max(1e8 * noise).max(f64::MIN_POSITIVE);
        for (i, (slope, &analytic)) in slopes.iter().zip(gradient).enumerate() {
            let numeric = slope.value;
            if slope.doubt > KINK * numeric.abs().max(floor) {
                self.skipped += 1;
                continue;
            }
            let error = (analytic - numeric).abs() / analytic.abs().max(numeric.abs()).max(floor);
            let relative_error = if error.is_nan() { f64::INFINITY } else { error };
            self.checked.push(Coordinate { place: place(name, shape, i), analytic, numeric, relative_error });
        }
        Ok(())
    }

    pub fn report(self, place: &str) -> Result<Report> {
        let (checked, skipped) = (self.checked.len(), self.skipped);
        if skipped * 10 > checked + skipped {
            let all = checked + skipped;
            return Err(Error::data(
                place,
                format!("{skipped} of {all} coordinates lie at a kink, too many for a check; take other samples"),
            ));
        }
        let worst = self.checked.into_iter().max_by(|a, b| a.relative_error.total_cmp(&b.relative_error));
        let worst = worst.ok_or_else(|| Error::data(place, "there is no coordinate to check"))?;
        Ok(Report { checked, skipped, max_relative_error: worst.relative_error, worst })
    }
}

/// The derivative of a function by its rises from 0 to `step`.
struct Slope {
    /// Richardson's extrapolation of the central quotients at `h` and `h / 2`, in which the errors of order `h^2` cancel.
    value: f64,
    /// How far the quotients are from those of a smooth function: the central ones should be equal; and so, since they
    /// miss a kink at 0 itself, should be the differences between the slopes on both sides once divided by the step.
    doubt: f64,
}

impl Slope {
    fn of(mut rise: impl FnMut(f64) -> Result<f64>) -> Result<Slope> {
        let mut quotients = |h: f64| -> Result<(f64, f64)> {
            let (up, down) = (rise(h)?, rise(-h)?);
            Ok(((up - down) / (2.0 * h), (up + down) / h))
        };
        let (central, bend) = quotients(STEP)?;
        let (half_central, half_bend) = quotients(STEP / 2.0)?;
        let doubt = (central - half_central).abs().max((bend - 2.0 * half_bend).abs());
        Ok(Slope { value: (4.0 * half_central - central) / 3.0, doubt })
    }
}

/// `kernel[0, 3]`.
pub(super) fn place(name: &str, shape: Shape, mut flat: usize) -> String {
    let mut index = shape.dims().to_vec();
    for i in index.iter_mut().rev() {
        (*i, flat) = (flat % *i, flat / *i);
    }
    format!("{name}{index:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_smooth_function_is_its_derivative() {
        let slope = Slope::of(|step| Ok((1.0 + step).exp() - 1f64.exp())).unwrap();
        assert!((slope.value - 1f64.exp()).abs() < 1e-10 && slope.doubt < 1e-8);
    }

    #[test]
    fn a_kink_anywhere_in_the_step_is_doubted() {
        for i in -19..20 {
            let kink = f64::from(i) / 20.0 * STEP;
            let slope = Slope::of(|step| Ok((step - kink).max(0.0) - (-kink).max(0.0))).unwrap();
            let error = (slope.value - if i < 0 { 1.0 } else { 0.0 }).abs();
            assert!(error <= 1.2 * slope.doubt, "a kink at {i}/20 of the step: {error}, {}", slope.doubt);
        }
    }
}
