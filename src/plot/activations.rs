//! [`activations`]: what a layer makes of an image.

use std::path::Path;

use super::{
    canvas::Image,
    colors::{VIRIDIS, range},
    tiles::{Labels, Tiles, figure},
};
use crate::{Error, Model, Result, Scalar, data::Input, tensor::View};

/// At most so many channels are drawn.
const MOST: usize = 256;

/// Draws the output of a layer for a sample: an image for each of its channels, all on one scale. `x` is the sample, with or without
/// a batch axis of 1. Of more than 256 channels, the first 256 are drawn.
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 1]).add(Conv2D::new(8, 3).activation(Activation::Relu)).add(Flatten::new()).build()?;
/// let images = Tensor::<f32>::random_uniform([10, 28, 28, 1], 0.0, 1.0, 42);
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("activations.svg");
/// plot::activations(&model, "conv2d", images.slice(3..4)?, &path)?;
/// # assert!(path.exists());
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// When no layer has this name, `x` is not one sample of the model's input, the output of the layer has more than 3 dimensions, the path ends
/// neither in `.svg` nor in `.png`, or the file cannot be written.
pub fn activations<'a, T: Scalar>(
    model: &Model<T>,
    layer: &str,
    x: impl Into<Input<'a, T>>,
    path: impl AsRef<Path>,
) -> Result<()> {
    let place = "plot::activations";
    let layer = model.get_layer(layer)?;
    let (input, x) = (model.input_shape(), x.into());
    if x.shape() != input && x.shape() != input.batch(1) {
        let help = "one sample is drawn; take one of a batch by slice(i..i + 1)";
        return Err(Error::shape(place, format!("a sample of shape {input}"), x.shape(), help));
    }
    let x = match x {
        Input::Values(x) => Input::Values(View::new(input.batch(1), x.data)),
        Input::Bytes(x) => Input::Bytes(View::new(input.batch(1), x.data)),
    };
    let y = model.slice(..=layer.index)?.predict(x)?;
    let (height, width, channels) = match *layer.output_shape().dims() {
        [] => (1, 1, 1),
        [channels] => (1, 1, channels),
        [width, channels] => (1, width, channels),
        [height, width, channels] => (height, width, channels),
        _ => {
            let expected = format!("an output of {} of at most 3 dimensions", layer.name());
            return Err(Error::shape(place, expected, layer.output_shape(), "draw another layer"));
        }
    };
    let shown = channels.min(MOST);
    let channel = |channel: usize| y.data().iter().skip(channel).step_by(channels).map(|y| y.as_f64());
    let (low, high) = range((0..shown).flat_map(channel));
    let scale = if high > low { high - low } else { 1.0 };
    let image = |c| Image { width, height, pixels: channel(c).map(|y| VIRIDIS.at((y - low) / scale)).collect() };

    let (name, shape) = (layer.name(), layer.output_shape());
    let mut title = format!("{name}: output {shape}");
    if shown < channels {
        title += &format!(", the first {shown} channels");
    }
    let labels = Labels::Captions((0..shown).map(|channel| channel.to_string()).collect());
    let bar = Some((&VIRIDIS, [low, low + (high - low) / 2.0, high].map(figure)));
    Tiles { title, images: (0..shown).map(image).collect(), labels, bar }.canvas().save(place, path.as_ref())
}
