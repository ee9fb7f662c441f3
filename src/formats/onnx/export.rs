//! [`model`]: the nodes that compute what a model's layers compute.

use serde_json::{Map, Value};

use super::{
    activation, channels_first, channels_last,
    constant::Constant,
    position,
    proto::{Attribute, ModelProto, data_type},
    writer::{Writer, float, int, ints, string},
};
use crate::{
    Activation, Model, Scalar,
    config::Argument,
    layers::{Interpolation, Padding, Pair},
    model::LayerRef,
    shape::axis_of,
};

/// The layers as a graph.
pub(super) fn model<T: Scalar>(model: &Model<T>) -> Result<ModelProto, String> {
    let mut writer = Writer::new(model.input_shape().dims());
    for (i, layer) in model.layers().enumerate() {
        writer.layer = layer.name().to_owned();
        Exported::of(layer)
            .write(&mut writer)
            .map_err(|message| format!("{} \"{}\" (layer {i}): {message}", layer.class_name(), layer.name()))?;
    }
    Ok(writer.finish())
}

/// A layer, as it is to be written.
struct Exported {
    class: &'static str,
    arguments: Map<String, Value>,
    weights: Vec<(String, Constant)>,
    /// A sample of the output.
    output: Vec<usize>,
}

/// How a window moves along an axis of the image.
struct Axis {
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Pixels of padding before and after the image.
    padding: [usize; 2],
}

impl Exported {
    fn of<T: Scalar>(layer: LayerRef<T>) -> Self {
        let name = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        let weights = layer.weight_infos().iter().zip(layer.get_weights());
        Exported {
            class: layer.class_name(),
            // A layer that does not tell its arguments is none of ours, and refused for that.
            arguments: layer.info().config.config().unwrap_or_default(),
            weights: weights.map(|(info, weight)| (name(&info.name), Constant::of(&weight))).collect(),
            output: layer.output_shape().dims().to_vec(),
        }
    }

    fn write(mut self, writer: &mut Writer) -> Result<(), String> {
        match self.class {
            // In prediction, they give what they are given.
            "Dropout" | "SpatialDropout2D" | "GaussianNoise" | "RandomBrightness" | "RandomContrast"
            | "RandomErasing" | "RandomFlip" | "RandomRotation" | "RandomTranslation" | "RandomZoom" => {}
            "Activation" => {}
            "AveragePooling1D" | "AveragePooling2D" => self.pooling(writer, "AveragePool")?,
            "BatchNormalization" => self.batch_normalization(writer)?,
            "Conv1D" | "Conv2D" => self.convolution(writer)?,
            "Conv2DTranspose" => self.transposed_convolution(writer)?,
            "Cropping2D" => self.cropping(writer)?,
            "Dense" => self.dense(writer)?,
            "DepthwiseConv2D" => {
                let bias = self.bias(writer)?;
                self.depthwise(writer, "kernel", bias)?;
            }
            "Embedding" => self.embedding(writer)?,
            "Flatten" => flatten(writer),
            "GlobalAveragePooling1D" | "GlobalAveragePooling2D" => self.global_pooling(writer, "GlobalAveragePool")?,
            "GlobalMaxPooling1D" | "GlobalMaxPooling2D" => self.global_pooling(writer, "GlobalMaxPool")?,
            "LayerNormalization" => self.layer_normalization(writer)?,
            "MaxPooling1D" | "MaxPooling2D" => self.pooling(writer, "MaxPool")?,
            "PReLU" => self.prelu(writer)?,
            "Permute" => self.permute(writer)?,
            "Rescaling" => self.rescaling(writer)?,
            "Reshape" => self.reshape(writer),
            "SeparableConv2D" => self.separable(writer)?,
            "UpSampling2D" => self.up_sampling(writer)?,
            "ZeroPadding2D" => self.zero_padding(writer)?,
            _ => return Err("ONNX has no operators for it; a layer of your own can be left out by Model::slice".into()),
        }
        writer.sample.clone_from(&self.output);
        if self.arguments.contains_key("activation") {
            activation::write(writer, self.argument::<Activation>("activation")?);
        }
        Ok(())
    }

    fn dense(&mut self, writer: &mut Writer) -> Result<(), String> {
        let kernel = writer.weight("kernel", &self.weight("kernel")?);
        let bias = self.bias(writer)?;
        if writer.sample.len() == 1 {
            writer.apply_weights("Gemm", &kernel, bias.as_deref(), Vec::new());
            return Ok(());
        }
        writer.arrange(&channels_last(writer.sample.len()));
        writer.apply("MatMul", [&kernel], Vec::new());
        if let Some(bias) = bias {
            writer.apply("Add", [&bias], Vec::new());
        }
        Ok(())
    }

    fn convolution(&mut self, writer: &mut Writer) -> Result<(), String> {
        let (kernel, axes) = (self.weight("kernel")?, self.axes(writer, "kernel_size")?);
        let groups = self.argument("groups")?;
        let bias = self.bias(writer)?;
        convolve(writer, &filters_first(&kernel), &axes, groups, bias);
        Ok(())
    }

    fn depthwise(&mut self, writer: &mut Writer, kernel: &str, bias: Option<String>) -> Result<(), String> {
        let (kernel, axes) = (self.weight(kernel)?, self.axes(writer, "kernel_size")?);
        let [height, width, channels, multiplier] = kernel.dims[..] else {
            return Err(format!("its kernel has the dimensions {:?}", kernel.dims));
        };
        // Filter `c * multiplier + m` sees channel `c` alone.
        let kernel = kernel.permuted(&[2, 3, 0, 1]).reshaped([channels * multiplier, 1, height, width]);
        convolve(writer, &kernel, &axes, channels, bias);
        Ok(())
    }

    fn separable(&mut self, writer: &mut Writer) -> Result<(), String> {
        self.depthwise(writer, "depthwise_kernel", None)?;
        let kernel = filters_first(&self.weight("pointwise_kernel")?);
        let axis = || Axis { kernel: 1, stride: 1, dilation: 1, padding: [0, 0] };
        let bias = self.bias(writer)?;
        convolve(writer, &kernel, &[axis(), axis()], 1, bias);
        Ok(())
    }

    fn transposed_convolution(&mut self, writer: &mut Writer) -> Result<(), String> {
        let padding: Padding = self.argument("padding")?;
        let mut axes = self.axes(writer, "kernel_size")?;
        let mut output_padding = Vec::new();
        for (axis, (&input, &output)) in axes.iter_mut().zip(writer.sample.iter().zip(&self.output)) {
            // What all windows reach; of it, the output is the part behind the padding before.
            let reach = (input - 1) * axis.stride + axis.span();
            let before = if padding == Padding::Same { reach.saturating_sub(output) / 2 } else { 0 };
            axis.padding = [before, reach.saturating_sub(before + output)];
            output_padding.push((before + output).saturating_sub(reach) as i64);
        }
        let kernel = self.weight("kernel")?.permuted(&[3, 2, 0, 1]);
        let bias = self.bias(writer)?;
        writer.arrange(&channels_first(writer.sample.len()));
        let kernel = writer.weight("kernel", &kernel);
        let attributes = [window(&axes), vec![dilations(&axes), ints("output_padding", output_padding)]].concat();
        writer.apply_weights("ConvTranspose", &kernel, bias.as_deref(), attributes);
        Ok(())
    }

    fn pooling(&self, writer: &mut Writer, operator: &str) -> Result<(), String> {
        let axes = self.axes(writer, "pool_size")?;
        writer.arrange(&channels_first(writer.sample.len()));
        writer.apply(operator, [], window(&axes));
        Ok(())
    }

    fn global_pooling(&self, writer: &mut Writer, operator: &str) -> Result<(), String> {
        writer.arrange(&channels_first(writer.sample.len()));
        writer.apply(operator, [], Vec::new());
        if !self.argument::<bool>("keepdims")? {
            writer.apply("Flatten", [], vec![int("axis", 1)]);
            writer.reshaped(&self.output);
        }
        Ok(())
    }

    fn batch_normalization(&mut self, writer: &mut Writer) -> Result<(), String> {
        let axis = self.axis(self.argument("axis")?, writer)?;
        let (mean, variance) = (self.weight("moving_mean")?, self.weight("moving_variance")?);
        let channels = mean.values.len();
        let gamma = self.weight_or("gamma", 1.0, &[channels]);
        let beta = self.weight_or("beta", 0.0, &[channels]);
        if writer.order[0] != axis {
            let others = (0..writer.order.len()).filter(|&other| other != axis);
            let order: Vec<usize> = [axis].into_iter().chain(others).collect();
            writer.arrange(&order);
        }
        let weights = [("gamma", gamma), ("beta", beta), ("moving_mean", mean), ("moving_variance", variance)];
        let weights = weights.map(|(name, weight)| writer.weight(name, &weight));
        let epsilon = float("epsilon", self.argument("epsilon")?);
        writer.apply("BatchNormalization", weights.each_ref().map(|name| &**name), vec![epsilon]);
        Ok(())
    }

    fn layer_normalization(&mut self, writer: &mut Writer) -> Result<(), String> {
        // A list, or a number for one.
        let axes: Vec<isize> = self.argument("axis")?;
        let mut axes = axes.into_iter().map(|axis| self.axis(axis, writer)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        let (rank, lengths) = (writer.sample.len(), axes.iter().map(|&axis| writer.sample[axis]));
        let (first, lengths) = (rank - axes.len(), lengths.collect::<Vec<_>>());
        if writer.order[first..] != axes {
            let others = (0..rank).filter(|axis| !axes.contains(axis));
            let order: Vec<usize> = others.chain(axes.iter().copied()).collect();
            writer.arrange(&order);
        }
        let gamma = self.weight_or("gamma", 1.0, &lengths);
        let attributes = vec![int("axis", 1 + first as i64), float("epsilon", self.argument("epsilon")?)];
        if self.argument("rms_scaling")? {
            let ones = Constant { values: vec![1.0; gamma.values.len()], dims: lengths };
            let ones = writer.weight("ones", &ones);
            // The third output is one over the standard deviation.
            let x = writer.value.clone();
            let [_, _, factor] = writer.node_of("LayerNormalization", &[&x, &ones], attributes);
            let gamma = writer.weight("gamma", &gamma);
            writer.apply("Mul", [&factor], Vec::new());
            writer.apply("Mul", [&gamma], Vec::new());
            return Ok(());
        }
        let gamma = writer.weight("gamma", &gamma);
        let beta = self.weight_or("beta", 0.0, &lengths);
        let beta = writer.weight("beta", &beta);
        writer.apply("LayerNormalization", [&gamma, &beta], attributes);
        Ok(())
    }

    fn embedding(&mut self, writer: &mut Writer) -> Result<(), String> {
        let embeddings = self.weight("embeddings")?;
        writer.arrange(&channels_last(writer.sample.len()));
        writer.apply("Cast", [], vec![int("to", data_type::INT64.into())]);
        let embeddings = writer.weight("embeddings", &embeddings);
        let indices = writer.value.clone();
        writer.value = writer.node("Gather", &[&embeddings, &indices], vec![int("axis", 0)]);
        writer.reshaped(&self.output);
        Ok(())
    }

    fn prelu(&mut self, writer: &mut Writer) -> Result<(), String> {
        let alpha = self.weight("alpha")?.permuted(&writer.order);
        let alpha = writer.weight("alpha", &alpha);
        writer.apply("PRelu", [&alpha], Vec::new());
        Ok(())
    }

    fn rescaling(&self, writer: &mut Writer) -> Result<(), String> {
        let (scale, offset) = (self.argument("scale")?, self.argument("offset")?);
        let number = writer.number("scale", scale);
        writer.apply("Mul", [&number], Vec::new());
        if offset != 0.0 {
            let number = writer.number("offset", offset);
            writer.apply("Add", [&number], Vec::new());
        }
        Ok(())
    }

    /// The dimensions change their places in the order alone.
    fn permute(&self, writer: &mut Writer) -> Result<(), String> {
        let dims: Vec<usize> = self.argument("dims")?;
        let places = writer.order.iter().map(|dimension| dims.iter().position(|&dim| dim == dimension + 1));
        writer.order = places.collect::<Option<_>>().ok_or("its dims are no permutation")?;
        Ok(())
    }

    fn reshape(&self, writer: &mut Writer) {
        writer.arrange(&channels_last(writer.sample.len()));
        // 0 stands for the dimension that is there, the batch.
        let shape: Vec<i64> = [0].into_iter().chain(self.output.iter().map(|&dim| dim as i64)).collect();
        let shape = writer.integers("shape", &shape);
        writer.apply("Reshape", [&shape], Vec::new());
        writer.reshaped(&self.output);
    }

    fn zero_padding(&self, writer: &mut Writer) -> Result<(), String> {
        let sides: ((i64, i64), (i64, i64)) = self.argument("padding")?;
        let rank = writer.order.len();
        let mut pads = vec![0; 2 * (rank + 1)];
        for (dimension, (before, after)) in [(0, sides.0), (1, sides.1)] {
            let axis = 1 + position(&writer.order, dimension);
            pads[axis] = before;
            pads[rank + 1 + axis] = after;
        }
        let pads = writer.integers("pads", &pads);
        writer.apply("Pad", [&pads], Vec::new());
        Ok(())
    }

    fn cropping(&self, writer: &mut Writer) -> Result<(), String> {
        let sides: ((usize, usize), (usize, usize)) = self.argument("cropping")?;
        let starts = [sides.0.0, sides.1.0].map(|start| start as i64);
        let ends = [0, 1].map(|axis| starts[axis] + self.output[axis] as i64);
        let axes = [0, 1].map(|dimension| 1 + position(&writer.order, dimension) as i64);
        let names = [("starts", starts), ("ends", ends), ("axes", axes)].map(|(name, of)| writer.integers(name, &of));
        writer.apply("Slice", names.each_ref().map(|name| &**name), Vec::new());
        Ok(())
    }

    fn up_sampling(&self, writer: &mut Writer) -> Result<(), String> {
        let size: Pair = self.argument("size")?;
        let attributes = match self.argument("interpolation")? {
            Interpolation::Nearest => vec![
                string("mode", "nearest"),
                string("coordinate_transformation_mode", "asymmetric"),
                string("nearest_mode", "floor"),
            ],
            Interpolation::Bilinear => {
                vec![string("mode", "linear"), string("coordinate_transformation_mode", "half_pixel")]
            }
        };
        writer.arrange(&channels_first(writer.sample.len()));
        let scales = Constant::vector(vec![1.0, 1.0, size.height as f64, size.width as f64]);
        let scales = writer.weight("scales", &scales);
        writer.apply("Resize", ["", &scales], attributes);
        Ok(())
    }

    fn bias(&mut self, writer: &mut Writer) -> Result<Option<String>, String> {
        match self.argument("use_bias")? {
            true => Ok(Some(writer.weight("bias", &self.weight("bias")?))),
            false => Ok(None),
        }
    }

    /// How the windows of the layer move along the axes of the image that comes in.
    fn axes(&self, writer: &Writer, kernel: &str) -> Result<Vec<Axis>, String> {
        let kernels: Vec<usize> = self.argument(kernel)?;
        let strides: Option<Vec<usize>> = self.argument("strides")?;
        let strides = strides.unwrap_or_else(|| kernels.clone());
        let dilations = match self.arguments.contains_key("dilation_rate") {
            true => self.argument("dilation_rate")?,
            false => vec![1; kernels.len()],
        };
        let padding = self.argument("padding")?;
        let axes = kernels.into_iter().zip(strides).zip(dilations).zip(&writer.sample);
        let axis = |(((kernel, stride), dilation), &input)| {
            let axis = Axis { kernel, stride, dilation, padding: [0, 0] };
            Axis { padding: axis.padding(padding, input), ..axis }
        };
        Ok(axes.map(axis).collect())
    }

    /// The dimension of a sample that is an axis of a batch.
    fn axis(&self, axis: isize, writer: &Writer) -> Result<usize, String> {
        let axis_of_batch = axis_of(axis, writer.sample.len() + 1);
        axis_of_batch.and_then(|axis| axis.checked_sub(1)).ok_or_else(|| format!("it has no axis {axis}"))
    }

    fn argument<A: Argument>(&self, name: &str) -> Result<A, String> {
        let json = self.arguments.get(name).unwrap_or(&Value::Null);
        A::from_json(json).map_err(|message| format!("{name}: {message}"))
    }

    fn weight(&mut self, name: &str) -> Result<Constant, String> {
        self.taken(name).ok_or_else(|| format!("it has no weight {name}"))
    }

    /// The weight, or one of these dimensions that is the same number everywhere.
    fn weight_or(&mut self, name: &str, number: f64, dims: &[usize]) -> Constant {
        let same = || Constant { dims: dims.to_vec(), values: vec![number; dims.iter().product()] };
        self.taken(name).unwrap_or_else(same)
    }

    fn taken(&mut self, name: &str) -> Option<Constant> {
        let place = self.weights.iter().position(|(other, _)| other == name)?;
        Some(self.weights.swap_remove(place).1)
    }
}

impl Axis {
    /// From the first tap to the last.
    fn span(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// The pixels before and after the image.
    fn padding(&self, padding: Padding, input: usize) -> [usize; 2] {
        match padding {
            Padding::Valid => [0, 0],
            Padding::Causal => [self.span() - 1, 0],
            Padding::Same => {
                let total = ((input.div_ceil(self.stride) - 1) * self.stride + self.span()).saturating_sub(input);
                [total / 2, total - total / 2]
            }
        }
    }
}

/// A convolution of the current value with `kernel: [filters, channels of a group, ..]`.
fn convolve(writer: &mut Writer, kernel: &Constant, axes: &[Axis], groups: usize, bias: Option<String>) {
    writer.arrange(&channels_first(writer.sample.len()));
    let kernel = writer.weight("kernel", kernel);
    let attributes = [window(axes), vec![dilations(axes), int("group", groups as i64)]].concat();
    writer.apply_weights("Conv", &kernel, bias.as_deref(), attributes);
}

fn flatten(writer: &mut Writer) {
    let size = writer.sample.iter().product();
    writer.arrange(&channels_last(writer.sample.len()));
    if writer.sample.len() != 1 {
        writer.apply("Flatten", [], vec![int("axis", 1)]);
    }
    writer.reshaped(&[size]);
}

/// A kernel `[.., channels, filters]` as `[filters, channels, ..]`.
fn filters_first(kernel: &Constant) -> Constant {
    let rank = kernel.dims.len();
    let axes: Vec<usize> = [rank - 1, rank - 2].into_iter().chain(0..rank - 2).collect();
    kernel.permuted(&axes)
}

fn window(axes: &[Axis]) -> Vec<Attribute> {
    let of = |of: fn(&Axis) -> usize| axes.iter().map(|axis| of(axis) as i64).collect::<Vec<_>>();
    let pads = [of(|axis| axis.padding[0]), of(|axis| axis.padding[1])].concat();
    vec![ints("kernel_shape", of(|axis| axis.kernel)), ints("strides", of(|axis| axis.stride)), ints("pads", pads)]
}

fn dilations(axes: &[Axis]) -> Attribute {
    ints("dilations", axes.iter().map(|axis| axis.dilation as i64).collect())
}
