//! Checks of gradients by finite differences, for the layers of this crate and for your own.
//!
//! A gradient is compared with `(L(w + h) - L(w - h)) / 2h` in `f64`, one coordinate at a time. ReLU and max-pooling have
//! kinks, where that quotient is no derivative: a coordinate whose step crosses one is skipped and counted.
//!
//! ```
//! use cornu::{gradcheck, prelude::*};
//!
//! let report = gradcheck::check_layer(&Conv2D::new(2, 3).activation(Activation::Silu), [5, 5, 2])?;
//! assert!(report.max_relative_error < 1e-6, "{report}");
//! # Ok::<(), cornu::Error>(())
//! ```

mod compare;
mod trial;

use std::fmt;

use self::{
    compare::{Comparison, noise},
    trial::{SEED, Trial},
};
use crate::{
    Error, MAX_RANK, Model, Result, Shape, Tensor,
    data::{Input, Targets},
    layers::LayerConfig,
};

/// What a check of gradients found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The coordinates that were compared.
    pub checked: usize,
    /// The coordinates that were left out, since a kink lies within their step.
    pub skipped: usize,
    /// The largest `|a - n| / max(|a|, |n|, floor)` of a gradient `a` and its finite difference `n`; infinite where `a` is
    /// NaN. The floor is a hundredth of the largest `|n|` of the same array, and what the rounding of `L` allows.
    pub max_relative_error: f64,
    /// Where that is.
    pub worst: Coordinate,
}

/// One coordinate of a gradient, by both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinate {
    /// The array and the index in it: `dx[1, 2, 0]`, `kernel[0, 3]`.
    pub place: String,
    /// What the backward pass gave.
    pub analytic: f64,
    /// What the finite differences gave.
    pub numeric: f64,
    /// The relative error between the two.
    pub relative_error: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { checked, skipped, max_relative_error, worst } = self;
        write!(
            f,
            "{checked} coordinates checked, {skipped} skipped at kinks; the largest relative error is \
             {max_relative_error:.1e}, at {}: {} by the backward pass, {} by differences",
            worst.place, worst.analytic, worst.numeric
        )
    }
}

/// The samples of a batch.
const SAMPLES: usize = 3;

/// Checks a layer on a batch of 3 random samples of shape `input`, with random weights; see [`check_layer_at`].
///
/// # Errors
/// As [`check_layer_at`].
pub fn check_layer<C: LayerConfig>(config: &C, input: impl Into<Shape>) -> Result<Report> {
    let input = input.into();
    if input.rank() >= MAX_RANK {
        return Err(Error::shape("check_layer", format!("a sample of fewer than {MAX_RANK} dimensions"), input, ""));
    }
    check_layer_at(config, &Tensor::random_normal(input.batch(SAMPLES), 0.0, 1.0, SEED))
}

/// Checks a layer at the samples `x: [n, ..input]`, with random weights: the gradients of `L = sum(dy * y)`, for a random
/// `dy`, to `x` and to each weight that gradients move. The layer runs as in training, in the same step each time, so
/// a dropout's mask stays.
///
/// The layer's contract is checked besides. An element of `dx` that is left as it was and gradients that are stored
/// instead of added show up in the report.
///
/// # Errors
/// When the layer cannot be built; when it breaks its contract so that there is nothing to compare: an element of `y` is
/// left as it was or is not finite, the gradients to the weights depend on whether `dx` is wanted, or a sample of
/// [`Scope::PerSample`](crate::layers::Scope::PerSample) depends on the others; when more than a tenth of the coordinates lie at kinks.
pub fn check_layer_at<C: LayerConfig>(config: &C, x: &Tensor<f64>) -> Result<Report> {
    let mut trial = Trial::new(config, x)?;
    let y = trial.output()?;
    let noise = noise(trial.dy.iter().zip(&y).map(|(dy, y)| (dy * y).powi(2)).sum::<f64>().sqrt());
    let gradient = trial.gradient()?;

    let mut comparison = Comparison::default();
    for (name, shape, start) in trial.arrays() {
        let gradient = &gradient[start..start + shape.size()];
        comparison.compare(&name, shape, gradient, noise, |i, step| Ok(trial.rise(start + i, step, &y)))?;
    }
    comparison.report(trial.class)
}

/// Checks [`Model::gradients`] of a compiled model on the samples `x` and their targets `y`: the gradient of the loss to
/// each weight that gradients move, through all layers.
///
/// # Errors
/// As [`Model::gradients`]; when more than a tenth of the coordinates lie at kinks.
pub fn check_model<'a>(
    model: &Model<f64>,
    x: impl Into<Input<'a, f64>>,
    y: impl Into<Targets<'a, f64>>,
) -> Result<Report> {
    let (x, y) = (x.into(), y.into());
    let (loss, gradients) = model.gradients(x, y)?;
    let mut model = model.clone();
    let mut weights = model.get_weights();
    let infos = model.layout().infos().to_vec();

    let mut comparison = Comparison::default();
    for (k, info) in infos.iter().enumerate().filter(|(_, info)| info.trainable) {
        comparison.compare(&info.name, info.shape, gradients[k].data(), noise(loss), |i, step| {
            let weight = weights[k].data()[i];
            weights[k].data_mut()[i] = weight + step;
            model.set_weights(&weights)?;
            weights[k].data_mut()[i] = weight;
            Ok(model.gradients(x, y)?.0 - loss)
        })?;
    }
    comparison.report("check_model")
}

#[cfg(test)]
mod tests {
    use super::{compare::STEP, *};
    use crate::{
        Activation, Initializer, Scalar,
        layers::{Backward, Build, Forward, Layer, MaxPooling2D, Reads, Taped},
        params::ParamId,
        tensor::{View, ViewMut},
    };

    /// `y = x * w + b`, for each feature, with a mistake.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Affine {
        Right,
        WrongInputGradient,
        WrongWeightGradient,
        ForgetsBias,
        Overwrites,
        LeavesInputGradient,
        LeavesOutput,
        NeedsInputGradient,
        MixesSamples,
        KeepsWork,
        TrustsScratch,
        ReadsUnasked,
    }

    #[derive(Debug)]
    struct Built {
        w: ParamId,
        b: ParamId,
        mistake: Affine,
    }

    impl LayerConfig for Affine {
        type Built = Built;

        fn class_name(&self) -> &'static str {
            "Affine"
        }

        fn build(&self, cx: &mut Build) -> Result<(Built, Shape)> {
            let [features] = cx.input_of_rank("")?;
            let (w, b) = (cx.weight("w", features, Initializer::Ones)?, cx.weight("b", features, Initializer::Zeros)?);
            Ok((Built { w, b, mistake: *self }, cx.input()))
        }
    }

    impl Layer for Built {
        /// A copy of the input.
        type Work<T: Scalar> = Vec<T>;

        fn reads(&self) -> Reads {
            Reads { x: false, y: false }
        }

        fn forward<T: Scalar>(&self, cx: &mut Forward<T>, work: &mut Vec<T>, x: View<T>, y: ViewMut<T>) {
            let (w, b) = (cx.param(self.w), cx.param(self.b));
            if self.mistake != Affine::KeepsWork {
                work.clear();
            }
            work.extend_from_slice(x.data);
            for (i, (y, &x)) in y.data.iter_mut().zip(x.data).enumerate() {
                let first = if self.mistake == Affine::MixesSamples { work[0] } else { T::zero() };
                *y = x * w[i % w.len()] + b[i % w.len()] + first;
            }
            if self.mistake == Affine::LeavesOutput {
                y.data[1] = T::nan();
            }
        }

        fn backward<T: Scalar>(
            &self,
            cx: &mut Backward<T>,
            work: &mut Vec<T>,
            taped: Taped<T>,
            dx: Option<ViewMut<T>>,
        ) {
            let (w, mistake) = (cx.param(self.w), self.mistake);
            if dx.is_none() && mistake == Affine::NeedsInputGradient {
                return;
            }
            let noise = if mistake == Affine::TrustsScratch { cx.scratch.take(1)[0] } else { T::zero() };
            if mistake == Affine::Overwrites {
                cx.grads.of(self.w).fill(T::zero());
            }
            let x = if mistake == Affine::ReadsUnasked { taped.x.data } else { work };
            for (i, (&dy, &x)) in taped.dy.data.iter().zip(x).enumerate() {
                let slope = if mistake == Affine::WrongWeightGradient { T::of(1.000_01) } else { T::one() };
                cx.grads.of(self.w)[i % w.len()] += dy * x * slope;
                if mistake != Affine::ForgetsBias {
                    cx.grads.of(self.b)[i % w.len()] += dy + noise;
                }
            }
            for (i, (dx, &dy)) in dx.into_iter().flat_map(|dx| dx.data).zip(&*taped.dy.data).enumerate() {
                match mistake {
                    Affine::WrongInputGradient => *dx = dy,
                    Affine::LeavesInputGradient if i == 5 => {}
                    _ => *dx = dy * w[i % w.len()],
                }
            }
        }
    }

    #[test]
    fn a_right_gradient_passes() {
        let report = check_layer(&Affine::Right, 4).unwrap();
        assert_eq!((report.checked, report.skipped), (12 + 4 + 4, 0));
        assert!(report.max_relative_error < 1e-9, "{report}");
    }

    #[test]
    fn wrong_gradients_are_found() {
        for (mistake, array, least) in [
            (Affine::WrongInputGradient, "dx[", 1e-2),
            (Affine::WrongWeightGradient, "w[", 0.9e-5),
            (Affine::ForgetsBias, "b[", 0.5),
            (Affine::Overwrites, "w[", 1e-2),
            (Affine::LeavesInputGradient, "dx[1, 1]", f64::INFINITY),
            (Affine::KeepsWork, "w[", 1e-2),
            (Affine::TrustsScratch, "b[", f64::INFINITY),
            (Affine::ReadsUnasked, "", 0.5),
        ] {
            let report = check_layer(&mistake, 4).unwrap();
            assert!(report.max_relative_error >= least, "{mistake:?}: {report}");
            assert!(report.worst.place.starts_with(array), "{mistake:?}: {report}");
            assert!(report.to_string().contains(&report.worst.place));
        }
    }

    #[test]
    fn a_broken_contract_is_an_error() {
        for (mistake, part) in [
            (Affine::LeavesOutput, "y[0, 1]"),
            (Affine::NeedsInputGradient, "dx is None"),
            (Affine::MixesSamples, "sample 1 depends on the other"),
        ] {
            let error = check_layer(&mistake, 4).unwrap_err().to_string();
            assert!(error.contains(part), "{mistake:?}: {error}");
        }
    }

    #[test]
    fn kinks_are_skipped() {
        let mut x = Tensor::random_normal([2, 20], 0.0, 1.0, 7);
        for (i, distance) in [0.0, 0.1, 0.25, 1.0 / 3.0].into_iter().enumerate() {
            x[[0, i]] = distance * STEP;
        }
        let report = check_layer_at(&Activation::Relu, &x).unwrap();
        assert_eq!((report.checked, report.skipped), (36, 4), "{report}");
        assert!(report.max_relative_error < 1e-9, "{report}");

        let ties = check_layer_at(&MaxPooling2D::new(2), &Tensor::ones([1, 4, 4, 1]));
        assert!(ties.unwrap_err().to_string().contains("16 of 16 coordinates"));
    }

    #[test]
    fn what_cannot_be_checked_is_an_error() {
        for x in [Tensor::zeros(()), Tensor::zeros([0, 4]), Tensor::zeros([3, 0]), Tensor::zeros([3, 2, 2])] {
            assert!(check_layer_at(&Affine::Right, &x).is_err(), "{x:?}");
        }
        assert!(check_layer(&Affine::Right, [1; 6]).is_err());
    }
}
