//! [`Registry`]: what configurations are read as.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{Argument, Arguments, Known, to_json};
use crate::{
    Activation, Metric,
    layers::*,
    losses::*,
    metrics::*,
    model::DynConfig,
    optimizers::{
        erased::DynOptimizer,
        schedules::{LearningRate, *},
        *,
    },
};

/// What a configuration is read as: all layers, losses, metrics, optimizers and schedules of cornu's, and those of your own that you
/// add. Of one of your own give one that has the defaults of arguments that a configuration lacks; it is known by its class name, and
/// replaces what has the same.
///
/// ```
/// use cornu::{config::Registry, prelude::*};
///
/// let json = Sequential::new([4]).add(Dense::new(2)).to_json()?;
/// // `Dense` stands for a layer of your own.
/// let model = Sequential::from_json_with(&json, &Registry::default().with(Dense::new(0)))?;
/// assert_eq!(model.build()?.count_params(), 10);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Registry {
    layers: HashMap<&'static str, Arc<dyn DynConfig>>,
    losses: Known<Arc<dyn Loss>>,
    metrics: Known<Arc<dyn StatefulMetric>>,
    optimizers: Known<Box<dyn DynOptimizer>>,
    schedules: Known<Arc<dyn Schedule>>,
    uncompiled: bool,
}

impl Registry {
    /// A layer.
    pub fn with(mut self, layer: impl LayerConfig) -> Self {
        self.layers.insert(layer.class_name(), Arc::new(layer));
        self
    }

    /// A loss.
    pub fn with_loss(mut self, loss: impl Loss) -> Self {
        self.losses.add(Arc::new(loss));
        self
    }

    /// A metric.
    pub fn with_metric(mut self, metric: impl StatefulMetric) -> Self {
        self.metrics.add(Arc::new(metric));
        self
    }

    /// An optimizer.
    pub fn with_optimizer(mut self, optimizer: impl Optimizer) -> Self {
        self.optimizers.add(Box::new(optimizer));
        self
    }

    /// A schedule of the learning rate.
    pub fn with_schedule(mut self, schedule: impl Schedule) -> Self {
        self.schedules.add(Arc::new(schedule));
        self
    }

    /// Models are read without how they are trained, and without where their training stands: for prediction, or for
    /// [`compile`](crate::Model::compile) to say it anew.
    pub fn uncompiled(mut self) -> Self {
        self.uncompiled = true;
        self
    }

    /// Whether models are read [`uncompiled`](Registry::uncompiled).
    pub(crate) fn is_uncompiled(&self) -> bool {
        self.uncompiled
    }

    /// The layer that a class and arguments of Keras's stand for.
    pub(crate) fn layer(&self, class: &str, arguments: &mut Arguments) -> Result<Arc<dyn DynConfig>, String> {
        if let Some(layer) = self.layers.get(class) {
            return Ok(layer.read(arguments));
        }
        if let Some(activation) = Activation::of_layer(class, arguments) {
            return Ok(Arc::new(activation));
        }
        let mut known: Vec<&str> = self.layers.keys().copied().collect();
        known.sort_unstable();
        Err(format!(
            "there is no such layer here; there are {}, and those of your own that are registered",
            known.join(", ")
        ))
    }
}

/// Which weights are spared from decay. Keras does not write it, so it stands beside the arguments.
const EXCLUDED: &str = "exclude_from_weight_decay";
const RATE: &str = "learning_rate";

/// The optimizer as Keras writes it.
pub(crate) fn optimizer_to_json(optimizer: &dyn DynOptimizer) -> Result<Value, String> {
    let mut json = to_json(&optimizer.clone_box())?;
    let base = optimizer.base();
    json["config"][RATE] = match &base.learning_rate {
        LearningRate::Constant(rate) => rate.to_json(),
        LearningRate::Schedule(schedule) => to_json(schedule)?,
    };
    if !base.exclude_from_weight_decay.is_empty() {
        json[EXCLUDED] = base.exclude_from_weight_decay.to_json();
    }
    Ok(json)
}

impl Registry {
    /// The loss that Keras, or [`to_json`], has written.
    pub(crate) fn loss(&self, json: &Value) -> Result<Arc<dyn Loss>, String> {
        self.losses.read(json)
    }

    /// The metric that Keras, or [`Metric::to_json`], has written.
    pub(crate) fn metric(&self, json: &Value) -> Result<Metric, String> {
        Metric::of_json(json, &self.metrics)
    }

    /// The optimizer that Keras, or [`optimizer_to_json`], has written.
    pub(crate) fn optimizer(&self, json: &Value) -> Result<Box<dyn DynOptimizer>, String> {
        let mut json = json.clone();
        let config = json.get_mut("config").and_then(Value::as_object_mut);
        let rate = config.and_then(|config| config.remove(RATE));
        let mut optimizer = self.optimizers.read(&json)?;
        let base = optimizer.base_mut();
        match rate {
            None => {}
            Some(rate @ Value::Number(_)) => base.learning_rate = f64::from_json(&rate)?.into(),
            Some(schedule) => {
                let schedule = self.schedules.read(&schedule).map_err(|message| format!("{RATE}: {message}"))?;
                base.learning_rate = LearningRate::Schedule(schedule);
            }
        }
        if let Some(excluded) = json.get(EXCLUDED) {
            base.exclude_from_weight_decay =
                Argument::from_json(excluded).map_err(|message| format!("{EXCLUDED}: {message}"))?;
        }
        Ok(optimizer)
    }
}

impl Default for Registry {
    /// All that is cornu's.
    fn default() -> Self {
        let losses: [Arc<dyn Loss>; 6] = [
            Arc::new(BinaryCrossentropy::default()),
            Arc::new(CategoricalCrossentropy::default()),
            Arc::new(Huber::default()),
            Arc::new(MeanAbsoluteError),
            Arc::new(MeanSquaredError),
            Arc::new(SparseCategoricalCrossentropy::default()),
        ];
        let metrics: [Arc<dyn StatefulMetric>; 6] = [
            Arc::new(AUC::new()),
            Arc::new(F1Score::new(Averaging::Macro)),
            Arc::new(MeanIoU::new(0)),
            Arc::new(Precision::new()),
            Arc::new(R2Score::new()),
            Arc::new(Recall::new()),
        ];
        let optimizers: [Box<dyn DynOptimizer>; 9] = [
            Box::new(Adadelta::default()),
            Box::new(Adagrad::default()),
            Box::new(Adam::default()),
            Box::new(AdamW::default()),
            Box::new(Adamax::default()),
            Box::new(Lion::default()),
            Box::new(Nadam::default()),
            Box::new(RMSprop::default()),
            Box::new(SGD::default()),
        ];
        let schedules: [Arc<dyn Schedule>; 7] = [
            Arc::new(CosineDecay::new(0.0, 0)),
            Arc::new(CosineDecayRestarts::new(0.0, 0)),
            Arc::new(ExponentialDecay::new(0.0, 0, 0.0)),
            Arc::new(InverseTimeDecay::new(0.0, 0, 0.0)),
            Arc::new(OneCycle::new(0.0, 0)),
            Arc::new(PiecewiseConstantDecay::new([], [])),
            Arc::new(PolynomialDecay::new(0.0, 0)),
        ];
        let registry = Registry {
            layers: HashMap::new(),
            losses: Known::new(losses),
            metrics: Known::new(metrics),
            optimizers: Known::new(optimizers),
            schedules: Known::new(schedules),
            uncompiled: false,
        };
        registry
            .with(AveragePooling1D::new(2))
            .with(AveragePooling2D::new(2))
            .with(BatchNormalization::new())
            .with(Conv1D::new(0, 0))
            .with(Conv2D::new(0, 0))
            .with(Conv2DTranspose::new(0, 0))
            .with(Cropping2D::new(0))
            .with(Dense::new(0))
            .with(DepthwiseConv2D::new(0))
            .with(Dropout::new(0.0))
            .with(Embedding::new(0, 0))
            .with(Flatten::new())
            .with(GaussianNoise::new(0.0))
            .with(GlobalAveragePooling1D::new())
            .with(GlobalAveragePooling2D::new())
            .with(GlobalMaxPooling1D::new())
            .with(GlobalMaxPooling2D::new())
            .with(LayerNormalization::new())
            .with(MaxPooling1D::new(2))
            .with(MaxPooling2D::new(2))
            .with(PReLU::new())
            .with(Permute::new([0]))
            .with(RandomBrightness::new(0.0))
            .with(RandomContrast::new(0.0))
            .with(RandomErasing::new(0.0))
            .with(RandomFlip::new(FlipMode::default()))
            .with(RandomRotation::new(0.0))
            .with(RandomTranslation::new(0.0, 0.0))
            .with(RandomZoom::new(0.0))
            .with(Rescaling::new(0.0))
            .with(Reshape::new([0]))
            .with(SeparableConv2D::new(0, 0))
            .with(SpatialDropout2D::new(0.0))
            .with(UpSampling2D::new(2))
            .with(ZeroPadding2D::new(1))
    }
}
