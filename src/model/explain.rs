//! Which parts of an input a prediction comes from: gradients to the input, saliency and Grad-CAM.

use super::{Model, check, graph::Reach};
use crate::{Error, Labels, Result, Scalar, Tensor, data::Input, layers::Mode};

/// How many samples are explained at a time.
const BATCH: usize = 64;

impl<T: Scalar> Model<T> {
    /// The gradient of the score of a class to the input: `[n, ..input]`, for `x: [n, ..input]` and a class for each sample. The score
    /// is the model's output for the class, before a final softmax or sigmoid, in prediction: nothing is random.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let model = Sequential::new([3]).add(Dense::new(2).activation(Activation::Softmax)).build()?;
    /// let gradient = model.input_gradient(&Tensor::<f32>::zeros([1, 3]), &Labels::from(vec![1_u32]))?;
    /// let kernel = &model.get_weights()[0];
    /// assert_eq!(gradient.data(), [kernel[[0, 1]], kernel[[1, 1]], kernel[[2, 1]]]);
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `x` does not fit the model, the output of a sample is not a vector of classes, there is not one class for each sample, or a class
    /// is not one of them.
    pub fn input_gradient<'a>(&self, x: impl Into<Input<'a, T>>, classes: &Labels) -> Result<Tensor<T>> {
        let x = x.into();
        check::input("input_gradient", &x, &self.graph)?;
        let n = x.samples();
        let count = self.check_classes("input_gradient", classes, n)?;
        let batch = BATCH.min(n);
        let (mut tape, packed) = self.tape(batch, Reach { first: 0, input: true });
        let size = self.input_shape().size();
        let mut gradient = vec![T::zero(); n * size];
        let mut buffer = Vec::new();
        rayon::scope(|_| {
            for (i, gradient) in gradient.chunks_mut(batch * size).enumerate() {
                let (start, n) = (i * batch, gradient.len() / size);
                let x = x.rows(start..start + n, &mut buffer);
                let step = self.step(Mode::Explain, n, &packed);
                step.forward(&mut tape, x);
                let (_, dz) = tape.output(n * count);
                dz.fill(T::zero());
                for (dz, class) in dz.chunks_exact_mut(count).zip(classes.iter().skip(start)) {
                    dz[class] = T::one();
                }
                step.backward(&mut tape, x);
                gradient.copy_from_slice(&tape.dx[..n * size]);
            }
        });
        Tensor::new(self.input_shape().batch(n), gradient)
    }

    /// How strongly the score of a class depends on each pixel: `[n, h, w]`, the largest magnitude over the channels of
    /// [`input_gradient`](Model::input_gradient), for images `x: [n, h, w, c]`.
    ///
    /// [Simonyan et al., 2013](https://arxiv.org/abs/1312.6034)
    ///
    /// # Errors
    /// As [`input_gradient`](Model::input_gradient), and when the input is not an image.
    pub fn saliency<'a>(&self, x: impl Into<Input<'a, T>>, classes: &Labels) -> Result<Tensor<T>> {
        let [h, w, c] = *self.input_shape().dims() else {
            let help = "only images (height, width, channels) have pixels";
            return Err(Error::shape("saliency", "a model of images", self.input_shape(), help));
        };
        let gradient = self.input_gradient(x, classes)?;
        let strongest = |pixel: &[T]| pixel.iter().fold(T::zero(), |most, g| most.max(g.abs()));
        let map = gradient.data().chunks_exact(c).map(strongest).collect();
        Tensor::new([gradient.shape()[0], h, w], map)
    }

    /// Grad-CAM: where in an image the score of a class comes from, as seen by a layer whose output is images, usually the last
    /// convolution: `[n, h, w]`, at least 0, of the size of the layer's images.
    ///
    /// ```text
    /// map = relu(sum over c of A[.., c] mean over pixels of dscore / dA[.., c])        A: the output of the layer
    /// ```
    ///
    /// [Selvaraju et al., 2016](https://arxiv.org/abs/1610.02391)
    ///
    /// # Errors
    /// As [`input_gradient`](Model::input_gradient); when no layer has this name, it is the last, or its output is not an image.
    pub fn grad_cam<'a>(&self, x: impl Into<Input<'a, T>>, layer: &str, classes: &Labels) -> Result<Tensor<T>> {
        let index = self.layer_index("grad_cam", layer)?;
        let output = self.layers[index].output;
        let [h, w, c] = *output.dims() else {
            let help = "take a layer whose output is images (height, width, channels)";
            return Err(Error::shape(format!("grad_cam: {layer}"), "a layer of images", output, help));
        };
        if index + 1 == self.layers.len() {
            return Err(Error::argument("grad_cam", format!("{layer} is the last layer; take one before it")));
        }
        let images = self.slice(..=index)?.predict(x)?;
        let gradient = self.slice(index + 1..)?.input_gradient(&images, classes)?;
        let mut map = Vec::with_capacity(images.len() / c);
        for (image, gradient) in images.data().chunks_exact(h * w * c).zip(gradient.data().chunks_exact(h * w * c)) {
            let mut weights = vec![T::zero(); c];
            for pixel in gradient.chunks_exact(c) {
                for (weight, &g) in weights.iter_mut().zip(pixel) {
                    *weight += g;
                }
            }
            let pixels = T::of((h * w) as f64);
            map.extend(image.chunks_exact(c).map(|pixel| {
                let sum: T = pixel.iter().zip(&weights).map(|(&a, &weight)| a * weight / pixels).sum();
                sum.max(T::zero())
            }));
        }
        Tensor::new([images.shape()[0], h, w], map)
    }

    /// The number of classes of an output that is a vector, of which there is one for each of `n` samples.
    fn check_classes(&self, method: &'static str, classes: &Labels, n: usize) -> Result<usize> {
        let count = self.classes(method)?;
        if classes.len() != n {
            return Err(Error::data(method, format!("x has {n} samples, but there are {} classes", classes.len())));
        }
        match classes.iter().enumerate().find(|&(_, class)| class >= count) {
            Some((i, class)) => Err(Error::data(
                method,
                format!("the class of sample {i} must be below {count}, the outputs of the model; got {class}"),
            )),
            None => Ok(count),
        }
    }
}
