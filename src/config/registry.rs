//! [`Registry`]: the layers that configurations are read as.

use std::{collections::HashMap, sync::Arc};

use super::Arguments;
use crate::{Activation, layers::*, model::DynConfig};

/// The layers that a configuration is read as: all of cornu's, and those of your own that you add.
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
}

impl Registry {
    /// A layer more, or another for a class that there is: one that has the defaults of arguments that a configuration lacks.
    pub fn with(mut self, layer: impl LayerConfig) -> Self {
        self.layers.insert(layer.class_name(), Arc::new(layer));
        self
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

impl Default for Registry {
    /// All of cornu's layers.
    fn default() -> Self {
        let layers = HashMap::new();
        Registry { layers }
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
