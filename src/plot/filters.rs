//! [`filters`]: the kernels of a convolution.

use std::path::Path;

use super::{
    canvas::Image,
    colors::BLUE_RED,
    tiles::{Labels, Tiles, figure},
};
use crate::{Error, Model, Result, Scalar, Tensor, model::LayerRef};

/// At most so many filters, and channels of each, are drawn.
const MOST: usize = 64;

/// Draws the filters of a convolution: where it sees more than one channel, a row for each filter and a column for each channel. Blue is
/// below 0, white 0, red above, on one scale for all. Of more than 64 filters or channels, the first 64 are drawn.
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 1]).add(Conv2D::new(32, 3)).build()?;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("filters.svg");
/// plot::filters(&model, "conv2d", &path)?;
/// # assert!(path.exists());
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// When no layer has this name, the layer has no filters, the path ends neither in `.svg` nor in `.png`, or the file cannot be written.
pub fn filters<T: Scalar>(model: &Model<T>, layer: &str, path: impl AsRef<Path>) -> Result<()> {
    let place = "plot::filters";
    let layer = model.get_layer(layer)?;
    let Some(Kernel { values, axes: [height, width, inputs, outputs], strides }) = kernel(layer) else {
        let with: Vec<_> = model.layers().filter(|&layer| kernel(layer).is_some()).map(|layer| layer.name()).collect();
        let with = if with.is_empty() { "no layer of the model has".to_owned() } else { with.join(", ") };
        let (name, class) = (layer.name(), layer.class_name());
        return Err(Error::argument(place, format!("{name} ({class}) has no filters; those that have some: {with}")));
    };
    let (rows, columns) = (outputs.min(MOST), inputs.min(MOST));
    let value =
        |index: [usize; 4]| values.data()[(0..4).map(|axis| index[axis] * strides[axis]).sum::<usize>()].as_f64();
    let pixels = |output: usize, input: usize| {
        (0..height).flat_map(move |y| (0..width).map(move |x| value([y, x, input, output])))
    };
    let shown = (0..rows).flat_map(|output| (0..columns).map(move |input| (output, input)));
    let magnitude = |largest: f64, x: f64| if x.is_finite() { largest.max(x.abs()) } else { largest };
    let largest = shown.clone().flat_map(|(output, input)| pixels(output, input)).fold(0.0, magnitude);
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let image = |(output, input)| {
        let pixels = pixels(output, input).map(|x| BLUE_RED.at(0.5 + 0.5 * x / scale)).collect();
        Image { width, height, pixels }
    };

    let mut title = format!("{}: {outputs} filters of {height} x {width}", layer.name());
    if inputs > 1 {
        title += &format!(" for {inputs} channels");
    }
    if (rows, columns) != (outputs, inputs) {
        title += &format!(", the first {MOST}");
    }
    let labels = match columns {
        1 => Labels::Captions((0..rows).map(|filter| filter.to_string()).collect()),
        _ => Labels::Axes { columns, x: "channel of the input", y: "filter" },
    };
    let bar = Some((&BLUE_RED, [figure(-largest), "0".to_owned(), figure(largest)]));
    Tiles { title, images: shown.map(image).collect(), labels, bar }.canvas().save(place, path.as_ref())
}

/// A weight whose axes are height, width, input channels and filters.
struct Kernel<T> {
    values: Tensor<T>,
    axes: [usize; 4],
    /// How far apart neighbors along each of the axes are.
    strides: [usize; 4],
}

/// The kernel of a layer of the shape of Keras's convolutions.
fn kernel<T: Scalar>(layer: LayerRef<T>) -> Option<Kernel<T>> {
    let is_kernel = |name: &str| name.ends_with("/kernel") || name.ends_with("/depthwise_kernel");
    let i = layer.weight_infos().iter().position(|info| is_kernel(&info.name))?;
    let depthwise =
        layer.weight_infos()[i].name.ends_with("depthwise_kernel") || layer.class_name() == "DepthwiseConv2D";
    let values = layer.get_weights().swap_remove(i);
    let (height, width, third, fourth) = match *values.shape().dims() {
        [width, third, fourth] => (1, width, third, fourth),
        [height, width, third, fourth] => (height, width, third, fourth),
        _ => return None,
    };
    let (pixel, line) = (third * fourth, width * third * fourth);
    let (axes, strides) = match layer.class_name() {
        // Each channel has filters of its own.
        _ if depthwise => ([height, width, 1, third * fourth], [line, pixel, 0, 1]),
        "Conv2DTranspose" => ([height, width, fourth, third], [line, pixel, 1, fourth]),
        _ => ([height, width, third, fourth], [line, pixel, fourth, 1]),
    };
    Some(Kernel { values, axes, strides })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn kernels_of_all_kinds_are_found() {
        let model = Sequential::new([8, 8, 3])
            .add(Conv2D::new(5, (3, 2)))
            .add(Conv2DTranspose::new(4, (2, 3)))
            .add(DepthwiseConv2D::new(3).depth_multiplier(2))
            .add(SeparableConv2D::new(7, 3))
            .add(Reshape::new([5, 21]))
            .add(Conv1D::new(2, 4))
            .add(Flatten::new())
            .add(Dense::new(3))
            .build();
        let model = model.unwrap();
        let axes: Vec<_> = model.layers().map(|layer| kernel(layer).map(|kernel| kernel.axes)).collect();
        let found = [[3, 2, 3, 5], [2, 3, 5, 4], [3, 3, 1, 8], [3, 3, 1, 8], [1, 4, 21, 2]].map(Some);
        assert_eq!(axes, [found[0], found[1], found[2], found[3], None, found[4], None, None]);
        let transposed = kernel(model.get_layer("conv2d_transpose").unwrap()).unwrap();
        let at = |index: [usize; 4]| (0..4).map(|axis| index[axis] * transposed.strides[axis]).sum::<usize>();
        // [height, width, filters, channels] in Keras.
        assert_eq!(transposed.values.data()[at([1, 2, 4, 3])], transposed.values[[1, 2, 3, 4]]);
    }
}
