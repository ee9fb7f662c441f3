use super::{Base, Optimizer, check_epsilon, check_fraction, schedules::LearningRate};
use crate::{Scalar, config::Arguments};

/// RMSprop, as `keras.optimizers.RMSprop`.
/// [Hinton, 2012](http://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf)
///
/// With the gradient `g`, the rate `lr`, and the slots `v`, `a` and `m` that start at 0:
///
/// ```text
/// v = rho * v + (1 - rho) * g^2
/// step = lr * g / sqrt(v + epsilon)
/// centered:    a = rho * a + (1 - rho) * g,  step = lr * g / sqrt(v - a^2 + epsilon)
/// momentum 0:  w -= step
/// momentum:    m = momentum * m + step,  w -= m
/// ```
///
/// The variance `v - a^2` is taken as 0 where rounding makes it negative; Keras gets NaN there when it is below `-epsilon`.
///
/// ```
/// use cornu::optimizers::RMSprop;
///
/// let optimizer = RMSprop::new(1e-3).momentum(0.9).centered(true);
/// ```
#[derive(Clone, Debug)]
pub struct RMSprop {
    base: Base,
    rho: f64,
    momentum: f64,
    epsilon: f64,
    centered: bool,
}

impl RMSprop {
    /// RMSprop with this rate, and otherwise Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        RMSprop { base: Base::new(learning_rate), rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false }
    }

    /// The decay of the means of gradients and of their squares, in `[0, 1]`; default 0.9.
    pub fn rho(mut self, rho: f64) -> Self {
        self.rho = rho;
        self
    }

    /// How much of the last step goes into the next one, in `[0, 1]`; default 0.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// What keeps the divisor from 0, above 0; default 1e-7.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether gradients are divided by their estimated deviation instead of their root mean square; default false.
    pub fn centered(mut self, centered: bool) -> Self {
        self.centered = centered;
        self
    }

    /// Moves the weights by these steps, with momentum where there is a slot for it.
    fn descend<T: Scalar>(&self, weights: &mut [T], momentum: Option<&mut &mut [T]>, steps: impl Iterator<Item = T>) {
        let weights = weights.iter_mut();
        match momentum {
            None => weights.zip(steps).for_each(|(w, step)| *w -= step),
            Some(slot) => {
                let momentum = T::of(self.momentum);
                for ((w, step), m) in weights.zip(steps).zip(slot.iter_mut()) {
                    *m = *m * momentum + step;
                    *w -= *m;
                }
            }
        }
    }
}

/// The learning rate is 0.001.
impl Default for RMSprop {
    fn default() -> Self {
        RMSprop::new(1e-3)
    }
}

impl Optimizer for RMSprop {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn class_name(&self) -> &'static str {
        "RMSprop"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("rho", &mut self.rho)
            .argument("momentum", &mut self.momentum)
            .argument("epsilon", &mut self.epsilon)
            .argument("centered", &mut self.centered);
    }

    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn slots(&self) -> &'static [&'static str] {
        match (self.momentum > 0.0, self.centered) {
            (false, false) => &["velocity"],
            (true, false) => &["velocity", "momentum"],
            (false, true) => &["velocity", "average_gradient"],
            (true, true) => &["velocity", "momentum", "average_gradient"],
        }
    }

    fn check(&self) -> Result<(), String> {
        check_fraction("rho", self.rho)?;
        check_fraction("momentum", self.momentum)?;
        check_epsilon(self.epsilon)
    }

    fn update<T: Scalar>(&self, _: u64, rate: f64, weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]) {
        let [velocity, rest @ ..] = slots else { panic!("RMSprop has a slot at least") };
        let (average, momentum) = if self.centered { rest.split_last_mut().unzip() } else { (None, Some(rest)) };
        let momentum = momentum.and_then(|slots| slots.first_mut());
        let (rate, epsilon) = (T::of(rate), T::of(self.epsilon));
        let (rho, share) = (T::of(self.rho), T::of(1.0 - self.rho));
        let squares = gradients.iter().zip(velocity.iter_mut()).map(|(&g, v)| {
            *v = *v * rho + g * g * share;
            (g, *v)
        });
        match average {
            None => self.descend(weights, momentum, squares.map(|(g, v)| g * rate / (v + epsilon).sqrt())),
            Some(average) => {
                let steps = squares.zip(average.iter_mut()).map(|((g, v), a)| {
                    *a = *a * rho + g * share;
                    g * rate / ((v - *a * *a).max(T::zero()) + epsilon).sqrt()
                });
                self.descend(weights, momentum, steps);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variance_that_rounds_below_zero_is_zero() {
        let optimizer = RMSprop::default().centered(true);
        let (mut w, mut velocity, mut average) = ([0.0f32], [0.0], [0.0]);
        for t in 1..=300 {
            optimizer.update(t, 1e-6, &mut w, &[1e3 / 3.0], &mut [&mut velocity, &mut average]);
            assert!(w[0].is_finite(), "step {t}");
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        for optimizer in [
            RMSprop::default().rho(1.5),
            RMSprop::default().rho(f64::NAN),
            RMSprop::default().momentum(-0.5),
            RMSprop::default().epsilon(0.0),
        ] {
            assert!(optimizer.check().is_err(), "{optimizer:?}");
        }
        assert!(RMSprop::default().momentum(0.9).centered(true).check().is_ok());
    }
}
