//! [`layouts`]: how the numbers of a weight lie in PyTorch, where images are `[c, h, w]` and kernels begin with their outputs.

use std::ops::Range;

use crate::{Scalar, Shape, kernels::strided::Strided, model::LayerRef};

/// How a tensor of PyTorch becomes a weight.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    /// The tensor's shape.
    pub shape: Vec<usize>,
    /// Where each element of the weight stands in the tensor.
    pub place: Strided,
}

/// The orders of the features that go into a layer and come out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Orders {
    pub input: Order,
    pub output: Order,
}

/// In which order PyTorch has the elements of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Order {
    /// As here.
    #[default]
    Same,
    /// Its channels first. For features, this is the shape that they had, or will have, `(h, w, c)`.
    ChannelsFirst(Shape),
}

/// The orders of all layers of a model.
///
/// Images, and what goes through layers of one dimension, have their channels first in PyTorch. So have the features that a `Flatten` makes
/// of them, and those of which a `Reshape` makes them, as far as the layers between leave features where they are.
pub(super) fn orders<T: Scalar>(layers: &[LayerRef<T>], input: Shape) -> Vec<Orders> {
    let images = |shape: Shape| if shape.rank() == 3 { Order::ChannelsFirst(shape) } else { Order::Same };
    // What stands between two layers, from the input to the output.
    let mut between = vec![images(input)];
    let mut shape = input;
    for layer in layers {
        let (order, output) = (*between.last().expect("that of the input"), layer.output_shape());
        between.push(match layer.class_name() {
            "Flatten" => order,
            "Reshape" if output.rank() == 1 => order,
            "Reshape" => images(output),
            "Embedding" | "Permute" => Order::Same,
            // It mixes all features, or those of the last axis.
            "Dense" if output.rank() == 1 => Order::Same,
            _ if output.rank() == 1 && shape.rank() == 1 => order,
            // Global pooling leaves channels.
            _ if output.rank() == 1 => Order::Same,
            class if class.ends_with("1D") => Order::ChannelsFirst(output),
            _ => match order {
                Order::ChannelsFirst(_) => Order::ChannelsFirst(output),
                Order::Same => images(output),
            },
        });
        shape = output;
    }
    // From a Reshape back to where the features come from.
    for (i, layer) in layers.iter().enumerate().rev() {
        let before = if i == 0 { input } else { layers[i - 1].output_shape() };
        let passes =
            layer.class_name() == "Reshape" || (layer.output_shape() == before && layer.class_name() != "Dense");
        if before.rank() == 1 && passes && between[i] == Order::Same {
            between[i] = between[i + 1];
        }
    }
    between.windows(2).map(|pair| Orders { input: pair[0], output: pair[1] }).collect()
}

/// The name of a weight in PyTorch.
pub(super) fn name_of(weight: &str) -> &str {
    match weight {
        "kernel" | "gamma" | "alpha" | "embeddings" | "depthwise_kernel" | "pointwise_kernel" => "weight",
        "beta" => "bias",
        "moving_mean" => "running_mean",
        "moving_variance" => "running_var",
        other => other,
    }
}

/// The tensors that can become a weight: of a layer of this class, with this name and shape.
pub(super) fn layouts(class: &str, weight: &str, shape: &[usize], orders: Orders) -> Vec<Layout> {
    let layout = match (class, weight, shape) {
        ("Dense", "kernel", &[inputs, units]) => {
            let (from, to) = (orders.input.dims(inputs), orders.output.dims(units));
            let axes = channels_last(to.len()..to.len() + from.len()).chain(channels_last(0..to.len()));
            Layout::new(&[units, inputs], &[&*to, &*from].concat(), axes)
        }
        ("Dense", "bias", &[units]) => Layout::features(shape, orders.output.dims(units)),
        ("DepthwiseConv2D", "kernel", &[h, w, c, m]) | (_, "depthwise_kernel", &[h, w, c, m]) => {
            Layout::new(&[c * m, 1, h, w], &[c, m, h, w], [2, 3, 0, 1])
        }
        ("Conv2D" | "Conv2DTranspose", "kernel", &[h, w, a, b]) | (_, "pointwise_kernel", &[h, w, a, b]) => {
            Layout::new(&[b, a, h, w], &[b, a, h, w], [2, 3, 1, 0])
        }
        ("Conv1D", "kernel", &[steps, a, b]) => Layout::new(&[b, a, steps], &[b, a, steps], [2, 1, 0]),
        ("PReLU", ..) => return slopes(shape, orders.input),
        ("BatchNormalization" | "LayerNormalization", ..) => {
            Layout::features(shape, orders.input.dims(shape.iter().product()))
        }
        _ => Layout::new(shape, shape, 0..shape.len()),
    };
    vec![layout]
}

/// Those of [`PReLU`](crate::layers::PReLU): PyTorch has a slope for all elements or for each channel.
fn slopes(alpha: &[usize], order: Order) -> Vec<Layout> {
    let repeated = |slopes: usize| {
        let mut small = vec![1; alpha.len()];
        small.last_mut().map(|last| *last = slopes)?;
        Some(Layout { shape: vec![slopes], place: Strided::broadcast(&small, alpha) })
    };
    let channels = alpha.last().filter(|_| alpha.len() > 1).and_then(|&channels| repeated(channels));
    let all = Layout::features(alpha, order.dims(alpha.iter().product()));
    [channels, Some(all), repeated(1)].into_iter().flatten().collect()
}

impl Layout {
    /// A tensor of `shape`, or of `dims` if some of its dimensions are cut, whose dimensions in the order of `axes` are those of the weight.
    fn new(shape: &[usize], dims: &[usize], axes: impl IntoIterator<Item = usize>) -> Self {
        let axes: Vec<_> = axes.into_iter().collect();
        Layout { shape: shape.to_vec(), place: Strided::permuted(dims, &axes) }
    }

    /// A number for each of some features, which are `dims` in PyTorch. A weight of rank 1 is so there, too.
    fn features(weight: &[usize], dims: Vec<usize>) -> Self {
        match (weight.len(), dims.len()) {
            (_, 1) => Layout::new(weight, &[weight.iter().product()], [0]),
            (1, rank) => Layout::new(weight, &dims, channels_last(0..rank)),
            (_, rank) => Layout::new(&dims, &dims, channels_last(0..rank)),
        }
    }
}

impl Order {
    /// The dimensions of `len` features in PyTorch.
    fn dims(self, len: usize) -> Vec<usize> {
        match self {
            Order::ChannelsFirst(shape) if shape.size() == len => {
                let (channels, places) = shape.dims().split_last().expect("an image has channels");
                [&[*channels], places].concat()
            }
            _ => vec![len],
        }
    }
}

/// The axes with the first at the end.
fn channels_last(axes: Range<usize>) -> impl Iterator<Item = usize> {
    (axes.start + 1..axes.end).chain([axes.start])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn features_are_followed_from_a_flatten_and_to_a_reshape() {
        let model = Sequential::new([4, 5, 3])
            .add(Conv2D::new(2, 3))
            .add(Flatten::new())
            .add(BatchNormalization::new())
            .add(Dense::new(6))
            .add(Dense::new(18))
            .add(Activation::Relu)
            .add(Reshape::new([3, 3, 2]))
            .add(Conv2DTranspose::new(1, 2))
            .build()
            .unwrap();
        let layers: Vec<_> = model.layers().collect();
        let orders = orders(&layers, model.input_shape());
        let first = |shape: [usize; 3]| Order::ChannelsFirst(shape.into());
        let between: Vec<Order> = orders.iter().map(|orders| orders.output).collect();
        let (conv, reshaped) = (first([2, 3, 2]), first([3, 3, 2]));
        let image = first([4, 4, 1]);
        assert_eq!(between, [conv, conv, conv, Order::Same, reshaped, reshaped, reshaped, image]);
        assert_eq!(orders[3].input, conv);
    }

    #[test]
    fn sequences() {
        let between = |plan: Sequential| {
            let model = plan.build().unwrap();
            let layers: Vec<_> = model.layers().collect();
            orders(&layers, model.input_shape()).last().unwrap().input
        };
        let words = Sequential::new([7]).add(Embedding::new(9, 4));
        assert_eq!(between(words.clone().add(Flatten::new()).add(Dense::new(2))), Order::Same);
        let convolved = words.add(Conv1D::new(3, 2)).add(Flatten::new()).add(Dense::new(2));
        assert_eq!(between(convolved), Order::ChannelsFirst([6, 3].into()));
    }

    /// The weight of the tensor 0, 1, 2, ... of the first layout.
    fn counted(class: &str, weight: &str, shape: &[usize], orders: Orders) -> (Vec<usize>, Vec<usize>) {
        let layout = layouts(class, weight, shape, orders).remove(0);
        let tensor: Vec<usize> = (0..layout.shape.iter().product()).collect();
        let mut weight = vec![0; shape.iter().product()];
        layout.place.gather(&tensor, &mut weight);
        (layout.shape, weight)
    }

    #[test]
    fn kernels() {
        let same = Orders::default();
        assert_eq!(counted("Dense", "kernel", &[2, 3], same), (vec![3, 2], vec![0, 2, 4, 1, 3, 5]));
        assert_eq!(
            counted("Conv2D", "kernel", &[1, 2, 2, 3], same),
            (vec![3, 2, 1, 2], vec![0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11])
        );
        assert_eq!(
            counted("DepthwiseConv2D", "kernel", &[1, 2, 2, 2], same),
            (vec![4, 1, 1, 2], vec![0, 2, 4, 6, 1, 3, 5, 7])
        );
        let flattened = Orders { input: Order::ChannelsFirst([1, 2, 3].into()), output: Order::Same };
        let (shape, kernel) = counted("Dense", "kernel", &[6, 1], flattened);
        assert_eq!((shape, kernel), (vec![1, 6], vec![0, 2, 4, 1, 3, 5]), "as [h, w, c] counts a [c, h, w]");
    }
}
