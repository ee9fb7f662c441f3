//! [`Kind`]: what a layer is to a model of integers.

use std::iter;

use crate::{
    Activation, Result, Shape,
    kernels::{Window, conv::Conv, int8, pool::Pool},
    layers::{BuiltConv2D, BuiltDense, BuiltMaxPooling2D, Rescaling, erased::DynLayer},
    model::{Sequential, sequential::Planned},
};

/// What a layer is to a model of integers.
#[derive(Debug)]
pub(super) enum Kind {
    /// A convolution or a dense layer, with its activation.
    Product(Conv, Activation),
    MaxPool(Pool),
    Relu,
    /// `[scale, offset]`
    Rescaling([f32; 2]),
    /// In prediction its output is its input.
    Idle,
    /// It is computed in numbers.
    Other,
}

impl Kind {
    /// The kind of a layer by itself; in a model its activation may be another layer's work.
    pub fn of(layer: &Planned, input: Shape) -> Result<Self> {
        let alone = Planned { taken: None, ..layer.clone() };
        let (_, graph) = Sequential::of(input, iter::once(alone)).graph()?;
        let (layer, head) = (&graph.nodes[0].layer, graph.head);
        if let Some((conv, activation)) = product(&**layer, input) {
            let activation = if head == Activation::Linear { activation } else { head };
            let computes = int8::Conv::new(&conv, [1, 1]).is_some();
            return Ok(if computes { Kind::Product(conv, activation) } else { Kind::Other });
        }
        let any = layer.as_any();
        Ok(if head != Activation::Linear {
            Kind::Other
        } else if layer.is_idle_in_prediction() {
            Kind::Idle
        } else if any.downcast_ref() == Some(&Activation::Relu) {
            Kind::Relu
        } else if let Some(layer) = any.downcast_ref::<BuiltMaxPooling2D>() {
            Kind::MaxPool(layer.pool)
        } else if let Some(layer) = any.downcast_ref::<Rescaling>() {
            Kind::Rescaling(layer.parts().map(|number| number as f32))
        } else {
            Kind::Other
        })
    }

    /// Whether bytes can pass through the layer: it is a maximum, or nothing.
    pub fn keeps_bytes(&self) -> bool {
        matches!(self, Kind::MaxPool(_) | Kind::Relu | Kind::Idle)
    }
}

/// The convolution that a layer is; a dense layer is that of a line of pixels.
fn product(layer: &dyn DynLayer, input: Shape) -> Option<(Conv, Activation)> {
    if let Some(layer) = layer.as_any().downcast_ref::<BuiltConv2D>() {
        return Some(layer.parts());
    }
    let ([features, units], activation) = layer.as_any().downcast_ref::<BuiltDense>()?.parts();
    let line = [1, input.size() / features];
    let window =
        Window { input: line, output: line, kernel: [1; 2], strides: [1; 2], dilation: [1; 2], padding: [0; 2] };
    Some((Conv { window, channels: features, filters: units, groups: 1 }, activation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn of(layer: impl LayerConfig, input: impl Into<Shape>) -> Kind {
        let plan = Sequential::new(input).add(layer);
        Kind::of(&plan.layers[0], plan.input).unwrap()
    }

    #[test]
    fn layers_are_what_they_compute() {
        let image = [6, 5, 4];
        let product = |kind| if let Kind::Product(conv, activation) = kind { Some((conv, activation)) } else { None };
        let (conv, activation) = product(of(Dense::new(7).activation(Activation::Softmax), image)).unwrap();
        assert_eq!((conv.window.output, conv.channels, conv.filters, activation), ([1, 30], 4, 7, Activation::Softmax));
        let (conv, activation) = product(of(Conv2D::new(3, 2).activation(Activation::Relu).named("c"), image)).unwrap();
        assert_eq!((conv.window.output, conv.channels, conv.filters, activation), ([5, 4], 4, 3, Activation::Relu));
        assert!(product(of(Conv1D::new(3, 2), [5, 4])).is_some());

        assert!(matches!(of(MaxPooling2D::new(2), image), Kind::MaxPool(_)));
        assert!(matches!(of(MaxPooling1D::new(2), [5, 4]), Kind::MaxPool(_)));
        assert!(matches!(of(Activation::Relu, image), Kind::Relu));
        assert!(matches!(of(Rescaling::new(0.5).offset(2.0), image), Kind::Rescaling([0.5, 2.0])));
        for kind in [
            of(Flatten::new(), image),
            of(Activation::Linear, image),
            of(Dropout::new(0.5), image),
            of(SpatialDropout2D::new(0.5), image),
            of(GaussianNoise::new(0.5), image),
            of(RandomRotation::new(0.5), image),
        ] {
            assert!(matches!(kind, Kind::Idle), "{kind:?}");
        }
        for kind in [
            of(Conv2D::new(4, 2).groups(2), image),
            of(DepthwiseConv2D::new(2), image),
            of(Activation::Softmax, image),
            of(Activation::Tanh, image),
            of(AveragePooling2D::new(2), image),
            of(Permute::new([2, 1, 3]), image),
            // More products than 32 bits hold.
            of(Dense::new(1), 140_000),
        ] {
            assert!(matches!(kind, Kind::Other), "{kind:?}");
        }
    }
}
