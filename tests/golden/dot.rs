//! [`Dot`]: a loss whose gradient is what a case gives.

use std::sync::{Arc, Mutex};

use cornu::losses::{Loss, Target};

/// `sum(y * dy)` over the batch, with `dy` in the place of the targets.
#[derive(Clone, Debug)]
pub struct Dot {
    /// The model divides by them.
    samples: usize,
    /// All `y` that it has seen.
    pub outputs: Arc<Mutex<Vec<f64>>>,
}

impl Dot {
    pub fn new(samples: usize) -> Self {
        Dot { samples, outputs: Arc::default() }
    }
}

impl Loss for Dot {
    fn name(&self) -> &'static str {
        "dot"
    }

    fn sample(&self, dy: Target, y: &[f64], _: usize, gradient: Option<&mut [f64]>) -> f64 {
        self.outputs.lock().unwrap().extend(y);
        let n = self.samples as f64;
        if let Some(gradient) = gradient {
            for (gradient, dy) in gradient.iter_mut().zip(dy.values()) {
                *gradient = n * dy;
            }
        }
        n * y.iter().zip(dy.values()).map(|(y, dy)| y * dy).sum::<f64>()
    }
}
