use super::{Loss, Target, mean};
use crate::{Shape, config::Arguments};

/// The mean of `(prediction - target)^2`, as `keras.losses.MeanSquaredError`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeanSquaredError;

impl Loss for MeanSquaredError {
    fn name(&self) -> &'static str {
        "mean_squared_error"
    }
    fn class_name(&self) -> &'static str {
        "MeanSquaredError"
    }

    fn arguments(&mut self, _: &mut Arguments) {}

    fn sample(&self, target: Target, prediction: &[f64], _classes: usize, gradient: Option<&mut [f64]>) -> f64 {
        mean(target, prediction, gradient, |t, p| ((p - t) * (p - t), 2.0 * (p - t)))
    }
}

/// The mean of `|prediction - target|`, as `keras.losses.MeanAbsoluteError`; its gradient at 0 is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeanAbsoluteError;

impl Loss for MeanAbsoluteError {
    fn name(&self) -> &'static str {
        "mean_absolute_error"
    }
    fn class_name(&self) -> &'static str {
        "MeanAbsoluteError"
    }

    fn arguments(&mut self, _: &mut Arguments) {}

    fn sample(&self, target: Target, prediction: &[f64], _classes: usize, gradient: Option<&mut [f64]>) -> f64 {
        mean(target, prediction, gradient, |t, p| ((p - t).abs(), if p == t { 0.0 } else { (p - t).signum() }))
    }
}

/// The mean of `error^2 / 2` where `|error| <= delta`, and of `delta |error| - delta^2 / 2` elsewhere, with
/// `error = prediction - target`, as `keras.losses.Huber`.
#[derive(Clone, Debug, PartialEq)]
pub struct Huber {
    delta: f64,
}

impl Huber {
    /// Where the loss turns from a square into a line, above 0; default 1.
    pub fn delta(mut self, delta: f64) -> Self {
        self.delta = delta;
        self
    }
}

impl Default for Huber {
    fn default() -> Self {
        Huber { delta: 1.0 }
    }
}

impl Loss for Huber {
    fn name(&self) -> &'static str {
        "huber_loss"
    }
    fn class_name(&self) -> &'static str {
        "Huber"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.argument("delta", &mut self.delta);
    }

    fn check(&self, _output: Shape) -> Result<(), String> {
        if self.delta > 0.0 && self.delta.is_finite() {
            Ok(())
        } else {
            Err(format!("delta must be a finite number above 0, got {}", self.delta))
        }
    }

    fn sample(&self, target: Target, prediction: &[f64], _classes: usize, gradient: Option<&mut [f64]>) -> f64 {
        let delta = self.delta;
        mean(target, prediction, gradient, |t, p| {
            let error = p - t;
            if error.abs() <= delta {
                (0.5 * error * error, error)
            } else {
                (delta * error.abs() - 0.5 * delta * delta, delta * error.signum())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Case, check_case, check_gradient},
        *,
    };

    #[test]
    fn gradients_are_those_of_central_differences() {
        // No error lies near a kink: 0, and 0.5 and 1 of Huber.
        let (target, prediction) = (Target::Values(&[1.0, 0.0, 0.0, 1.0]), [-1.5, 0.3, 2.5, 0.25]);
        let cases: [&dyn Loss; 4] =
            [&MeanSquaredError, &MeanAbsoluteError, &Huber::default(), &Huber::default().delta(0.5)];
        for loss in cases {
            check_gradient(loss, target, &prediction, 2);
        }
    }

    /// Keras 3.15 in float64.
    #[test]
    fn losses_and_gradients_are_those_of_keras() {
        let (target, z) = (Target::Values(&[1.0, 0.0, 0.5]), [-1.0, 2.0, 0.5]);
        let cases: [Case; 4] = [
            (&MeanSquaredError, target, z, 2.6666666666666665, [-1.3333333333333333, 1.3333333333333333, 0.0]),
            (&MeanAbsoluteError, target, z, 1.3333333333333333, [-0.3333333333333333, 0.3333333333333333, 0.0]),
            (
                &Huber::default(),
                target,
                [2.0, -0.25, 1.75],
                0.4270833333333333,
                [0.3333333333333333, -0.08333333333333333, 0.3333333333333333],
            ),
            (
                &Huber::default().delta(0.5),
                target,
                z,
                0.5833333333333334,
                [-0.16666666666666666, 0.16666666666666666, 0.0],
            ),
        ];
        cases.into_iter().for_each(check_case);
    }

    #[test]
    fn nan_stays_nan() {
        let cases: [&dyn Loss; 3] = [&MeanSquaredError, &MeanAbsoluteError, &Huber::default()];
        for loss in cases {
            let mut gradient = [0.0; 2];
            let value = loss.sample(Target::Values(&[0.0, 1.0]), &[f64::NAN, 0.5], 2, Some(&mut gradient));
            assert!(value.is_nan() && gradient[0].is_nan() && gradient[1].is_finite(), "{loss:?}");
        }
    }

    #[test]
    fn arguments_are_checked() {
        for delta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Huber::default().delta(delta).check([1].into()).is_err());
        }
        assert_eq!(Huber::default().check(().into()), Ok(()));
        assert_eq!(MeanSquaredError.check([4, 4, 2].into()), Ok(()));
    }
}
