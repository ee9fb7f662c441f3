//! [`Augmented`]: a random change of single images, as a layer.

use std::fmt::Debug;

use crate::{
    Scalar,
    layers::{Backward, Forward, Layer, Reads, Scratch, Taped},
    rng::Rng,
    tensor::{View, ViewMut},
};

/// A random change of one image; [`Augmented`] makes a layer of it.
pub trait Augmentation: Debug + Send + Sync + 'static {
    /// What was drawn for an image: the few numbers that the backward pass needs.
    type Draw: Send + Sync + 'static;

    /// Whether the backward pass reads the image.
    const READS_IMAGE: bool = false;

    /// Draws, and overwrites `y` with the image `x`, changed. Both are `[h, w, c]`.
    fn forward<T: Scalar>(&self, rng: &mut Rng, scratch: &mut Scratch<T>, x: &[T], y: &mut [T]) -> Self::Draw;

    /// Overwrites `dx` with the gradient to the image `x`, from `dy`, that to the changed image.
    fn backward<T: Scalar>(&self, draw: &Self::Draw, scratch: &mut Scratch<T>, x: &[T], dy: &[T], dx: &mut [T]);
}

/// The layer that changes each image at random in a step of training, and leaves it as it is in prediction.
#[derive(Debug)]
pub struct Augmented<A> {
    augmentation: A,
    /// The elements of an image.
    size: usize,
}

impl<A: Augmentation> Augmented<A> {
    /// The layer for images `[h, w, c]`.
    pub fn new(augmentation: A, image: [usize; 3]) -> Self {
        Augmented { augmentation, size: image.iter().product() }
    }
}

impl<A: Augmentation> Layer for Augmented<A> {
    /// What was drawn for each sample; nothing outside training.
    type Work<T: Scalar> = Vec<A::Draw>;

    fn is_idle_in_prediction(&self) -> bool {
        true
    }

    fn reads(&self) -> Reads {
        Reads { x: A::READS_IMAGE, y: false }
    }

    fn work_bytes<T: Scalar>(&self, outputs: usize) -> usize {
        outputs / self.size * size_of::<A::Draw>()
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, draws: &mut Vec<A::Draw>, x: View<T>, y: ViewMut<T>) {
        draws.clear();
        if !cx.training() {
            y.data.copy_from_slice(x.data);
            return;
        }
        let images = x.data.chunks_exact(self.size).zip(y.data.chunks_exact_mut(self.size));
        for (i, (x, y)) in images.enumerate() {
            let mut rng = cx.rng(i).expect("a step of training has random numbers");
            draws.push(self.augmentation.forward(&mut rng, cx.scratch, x, y));
        }
    }

    fn backward<T: Scalar>(
        &self,
        cx: &mut Backward<T>,
        draws: &mut Vec<A::Draw>,
        taped: Taped<T>,
        dx: Option<ViewMut<T>>,
    ) {
        let Some(dx) = dx else {
            return;
        };
        // As the forward pass did, outside training.
        if draws.is_empty() {
            return dx.data.copy_from_slice(taped.dy.data);
        }
        let mut images = taped.x.data.chunks_exact(self.size);
        let gradients = taped.dy.data.chunks_exact(self.size).zip(dx.data.chunks_exact_mut(self.size));
        for (draw, (dy, dx)) in draws.iter().zip(gradients) {
            self.augmentation.backward(draw, cx.scratch, images.next().unwrap_or_default(), dy, dx);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        Activation, Labels, Tensor,
        gradcheck::{check_layer, check_model},
        layers::{Build, LayerConfig, Mode, Params, augmentation::*},
        params::ParamLayout,
        prelude::{Conv2D, Dense, Flatten, SGD, Sequential, SparseCategoricalCrossentropy},
    };

    /// What a layer makes of the images `x`, the first of which is sample `first` of the batch, in a step of training.
    pub(in super::super) fn train(layer: &impl LayerConfig, x: &Tensor<f32>, step: u64, first: usize) -> Tensor<f32> {
        let mut layout = ParamLayout::default();
        let input = x.shape().sample();
        let built = layer.build(&mut Build::new("Layer", "layer", 0, input, &mut layout)).unwrap().0;
        let mut cx = Forward {
            scratch: &mut Scratch::default(),
            packed: &[],
            params: Params { values: &[], layout: &layout },
            sums: &[],
            mode: Mode::Train { seed: 3, step },
            trainable: true,
            stream: 0,
            first_sample: first,
        };
        let mut y = Tensor::full(x.shape(), f32::NAN);
        built.forward(&mut cx, &mut Default::default(), x.view(), y.view_mut());
        y
    }

    /// Building the layer on images of 4 by 5 pixels with 3 channels fails.
    #[track_caller]
    pub(in super::super) fn assert_fails(layer: impl LayerConfig, words: &str) {
        let error = Sequential::new([4, 5, 3]).add(layer).build().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[track_caller]
    pub(in super::super) fn assert_gradients(layer: &impl LayerConfig) {
        for input in [[5, 4, 2], [3, 6, 1], [1, 1, 3]] {
            let report = check_layer(layer, input).unwrap();
            assert!(report.max_relative_error < 1e-6, "{layer:?} on {input:?}: {report}");
        }
    }

    /// In prediction nothing changes; in training an image changes, each sample of each step in its own way, wherever the
    /// batch is cut.
    #[track_caller]
    fn assert_random(layer: impl LayerConfig) {
        let image = Tensor::<f32>::random_uniform([1, 9, 8, 3], 0.0, 1.0, 0);
        let x = image.gather(&[0; 64]).unwrap();
        let model = Sequential::new([9, 8, 3]).add(layer.clone()).build().unwrap();
        assert_eq!(model.predict(&x).unwrap(), x, "{layer:?}");

        let y = train(&layer, &x, 5, 0);
        assert_eq!(y, train(&layer, &x, 5, 0), "{layer:?}");
        assert_ne!(y, train(&layer, &x, 6, 0), "{layer:?}");
        let half = |y: &Tensor<f32>, i: usize| y.view().slice(32 * i..32 * (i + 1)).unwrap().data.to_vec();
        assert_ne!(half(&y, 0), half(&y, 1), "{layer:?}");
        let second = train(&layer, &x, 5, 32);
        assert_eq!(half(&second, 0), half(&y, 1), "{layer:?}");

        let error = Sequential::new([9, 8]).add(layer.clone()).build().unwrap_err().to_string();
        assert!(error.contains("rank 3") && error.contains("(height, width, channels)"), "{error}");
    }

    #[test]
    fn images_change_in_training_alone() {
        assert_random(RandomFlip::default());
        assert_random(RandomRotation::new(0.1));
        assert_random(RandomTranslation::new(0.2, 0.1));
        assert_random(RandomZoom::new(0.2));
        assert_random(RandomContrast::new(0.5).value_range((0.0, 1.0)));
        assert_random(RandomBrightness::new(0.2).value_range((0.0, 1.0)));
        assert_random(RandomErasing::new(1.0).value_range((0.0, 1.0)));
    }

    /// More samples than the executor has lanes, and a weight before the layers.
    #[test]
    fn gradients_in_a_model() {
        let x = Tensor::random_uniform([130, 5, 5, 1], 0.0, 1.0, 0);
        let y: Labels = (0..130).map(|i| (i % 3) as u8).collect::<Vec<_>>().into();
        let mut model = Sequential::new([5, 5, 1])
            .add(RandomRotation::new(0.1))
            .add(Conv2D::new(2, 2).activation(Activation::Tanh))
            .add(RandomFlip::new(FlipMode::Horizontal))
            .add(RandomZoom::new(0.2))
            .add(RandomContrast::new(0.5).value_range((-0.5, 0.5)))
            .add(RandomErasing::new(0.5).value_range((-1.0, 1.0)))
            .add(Flatten::new())
            .add(Dense::new(3).activation(Activation::Softmax))
            .build_as::<f64>()
            .unwrap();
        model.compile(SGD::default(), SparseCategoricalCrossentropy::default(), []).unwrap();
        let report = check_model(&model, &x, &y).unwrap();
        assert!(report.max_relative_error < 1e-6, "{report}");
    }
}
