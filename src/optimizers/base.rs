//! [`Base`]: what every optimizer has.

use super::{check_fraction, schedules::LearningRate};
use crate::config::Arguments;

/// Parts of names for [`exclude_from_weight_decay`](super::Optimizer::exclude_from_weight_decay): all biases, and the
/// factors and offsets of normalizations.
pub const BIASES_AND_NORMALIZATION: [&str; 3] = ["bias", "gamma", "beta"];

/// What every optimizer has: the learning rate, and what is done around its step. An optimizer keeps it in a field;
/// methods of [`Optimizer`](super::Optimizer) set what is in it.
#[derive(Clone, Debug)]
pub struct Base {
    pub(crate) learning_rate: LearningRate,
    pub(crate) weight_decay: Option<f64>,
    pub(crate) exclude_from_weight_decay: Vec<String>,
    pub(crate) clipnorm: Option<f64>,
    pub(crate) clipvalue: Option<f64>,
    pub(crate) global_clipnorm: Option<f64>,
    pub(crate) use_ema: bool,
    pub(crate) ema_momentum: f64,
    pub(crate) ema_overwrite_frequency: Option<u64>,
    pub(crate) gradient_accumulation_steps: u64,
}

impl Base {
    /// This learning rate, a number or a schedule, and nothing around the step.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Base {
            learning_rate: learning_rate.into(),
            weight_decay: None,
            exclude_from_weight_decay: Vec::new(),
            clipnorm: None,
            clipvalue: None,
            global_clipnorm: None,
            use_ema: false,
            ema_momentum: 0.99,
            ema_overwrite_frequency: None,
            gradient_accumulation_steps: 1,
        }
    }

    /// The learning rate.
    pub fn learning_rate(&self) -> &LearningRate {
        &self.learning_rate
    }

    /// All but the learning rate, whose schedule may be a user's, and what Keras does not write.
    pub(crate) fn arguments(&mut self, arguments: &mut Arguments) {
        // To Keras, 1 is none.
        let mut accumulated = Some(self.gradient_accumulation_steps).filter(|&steps| steps != 1);
        arguments
            .argument("weight_decay", &mut self.weight_decay)
            .argument("clipnorm", &mut self.clipnorm)
            .argument("global_clipnorm", &mut self.global_clipnorm)
            .argument("clipvalue", &mut self.clipvalue)
            .argument("use_ema", &mut self.use_ema)
            .argument("ema_momentum", &mut self.ema_momentum)
            .argument("ema_overwrite_frequency", &mut self.ema_overwrite_frequency)
            .argument("gradient_accumulation_steps", &mut accumulated);
        self.gradient_accumulation_steps = accumulated.unwrap_or(1);
    }

    /// Whether all lie in their ranges; if not, which does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.learning_rate.check()?;
        if let Some(decay) = self.weight_decay
            && !(decay >= 0.0 && decay.is_finite())
        {
            return Err(format!("weight_decay must be a finite number of at least 0, got {decay}"));
        }
        let clips =
            [("clipnorm", self.clipnorm), ("clipvalue", self.clipvalue), ("global_clipnorm", self.global_clipnorm)];
        let clips: Vec<_> = clips.into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect();
        if let [(first, _), (second, _), ..] = clips[..] {
            return Err(format!(
                "only one of clipnorm, clipvalue and global_clipnorm can be given, got {first} and {second}; leave one out"
            ));
        }
        for (name, limit) in clips {
            if !(limit > 0.0 && limit.is_finite()) {
                return Err(format!(
                    "{name} must be a finite number above 0, got {limit}; without it nothing is clipped"
                ));
            }
        }
        check_fraction("ema_momentum", self.ema_momentum)?;
        if self.ema_overwrite_frequency == Some(0) {
            return Err(
                "ema_overwrite_frequency must be at least 1, got 0; without it nothing is overwritten before the \
                        end of fit"
                    .to_owned(),
            );
        }
        if self.gradient_accumulation_steps == 0 {
            return Err("gradient_accumulation_steps must be at least 1, which accumulates nothing, got 0".to_owned());
        }
        Ok(())
    }

    /// Whether weight decay moves the weight of this name, `conv2d/kernel`.
    pub(crate) fn decays(&self, weight: &str) -> bool {
        let own = weight.rsplit('/').next().unwrap_or(weight);
        let named = |part: &String| if part.contains('/') { weight.contains(part) } else { own.contains(part) };
        !self.exclude_from_weight_decay.iter().any(named)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Optimizer, SGD};

    #[test]
    fn what_decays_is_told_by_the_weights_own_name() {
        let decays = |part: &str, weight: &str| SGD::default().exclude_from_weight_decay([part]).base().decays(weight);
        assert!(!decays("bias", "dense/bias"));
        assert!(decays("bias", "bias_head/kernel"), "the name of a layer is not the weight's");
        assert!(!decays("head/", "bias_head/kernel"), "but a part with a slash sees it");
    }
}
