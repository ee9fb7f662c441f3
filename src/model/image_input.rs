//! [`Model::image_input`]: how a model takes images.

use super::Model;
use crate::{Error, Result, Scalar, data::ImageInput};

impl<T: Scalar> Model<T> {
    /// How images become samples of this model: of its input's size, gray or in color. Their pixels go from 0 to 255 if a
    /// [`Rescaling`](crate::layers::Rescaling) stands before the first layer with weights, and otherwise from 0 to 1; for another
    /// range, see [`ImageInput::scale`].
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let model = Sequential::new([2, 2, 1]).add(Flatten::new()).add(Dense::new(10).activation(Activation::Softmax)).build()?;
    /// let x: Tensor = model.image_input()?.decode(b"P5 2 2 255\n\x00\xff\xff\x00")?;
    /// assert_eq!(x.data(), [0.0, 1.0, 1.0, 0.0]);
    /// let class = model.predict_classes(&x)?.get(0);
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the input's shape is not `(height, width)`, `(height, width, 1)` or `(height, width, 3)`.
    pub fn image_input(&self) -> Result<ImageInput> {
        let shape = self.input_shape();
        let input = ImageInput::of_shape(shape).ok_or_else(|| {
            let expected =
                "a model of images, whose input is (height, width), (height, width, 1) or (height, width, 3)";
            Error::shape("image_input", expected, shape, "Model::predict takes a tensor of any shape")
        })?;
        let mut first = self.layers().take_while(|layer| layer.weight_infos().is_empty());
        let rescaled = first.any(|layer| layer.class_name() == "Rescaling");
        Ok(if rescaled { input } else { input.scale(1.0 / 255.0) })
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn pixels_are_bytes_where_the_model_rescales_them_itself() {
        let plan = || Sequential::new([1, 1, 1]).add(Flatten::new());
        let dense = Dense::new(1);
        for (plan, white) in [
            (plan().add(dense.clone()), 1.0),
            (plan().add(Rescaling::new(1.0 / 255.0)).add(dense.clone()), 255.0),
            (plan().add(dense).add(Rescaling::new(2.0)), 1.0),
        ] {
            let input = plan.build().unwrap().image_input().unwrap();
            assert_eq!(input.decode::<f32>(b"P5 1 1 255\n\xff").unwrap().data(), [white]);
        }
    }

    #[test]
    fn a_model_of_something_else_takes_no_images() {
        let model = Sequential::new([784]).add(Dense::new(1)).build().unwrap();
        let error = model.image_input().unwrap_err().to_string();
        assert!(error.starts_with("image_input: expected a model of images") && error.contains("(784,)"), "{error}");
    }
}
