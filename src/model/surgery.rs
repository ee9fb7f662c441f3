//! Models made of the layers of other models.

use std::ops::{Bound, Range, RangeBounds};

use super::{Model, Sequential, sequential::Planned};
use crate::{Error, Result, Scalar, Tensor};

impl<T: Scalar> Model<T> {
    /// A model of some of the layers, counted from 0, with copies of their weights: it reads what the first of them reads. What is frozen
    /// stays frozen; it is not compiled.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let model = Sequential::new([28, 28, 1]).add(Conv2D::new(8, 3)).add(Flatten::new()).add(Dense::new(10)).build()?;
    /// let features = model.slice(..2)?.predict(&Tensor::<f32>::zeros([5, 28, 28, 1]))?;
    /// assert_eq!(features.shape(), [5, 26 * 26 * 8].into());
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the range is empty or goes beyond the last layer.
    pub fn slice(&self, layers: impl RangeBounds<usize>) -> Result<Model<T>> {
        let start = match layers.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match layers.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.layers.len(),
        };
        if start >= end || end > self.layers.len() {
            let message = format!("the model has {} layers, got the range {start}..{end}", self.layers.len());
            return Err(Error::argument("slice", message));
        }
        let input = if start == 0 { self.input_shape() } else { self.layers[start - 1].output };
        let nodes = &self.graph.nodes[start..end];
        let params = nodes[0].params.start..nodes[nodes.len() - 1].params.end;
        Sequential::of(input, self.bare(start..end)).build_with(|_| Ok(self.params()[params].to_vec()))
    }

    /// What the frozen layers at the front make of `x`, and a model of the others, which can be trained on it: the same as training the
    /// whole model, but the frozen layers run once instead of once an epoch, as in prediction: what is random in training, such as
    /// augmentation, is not. The model is not compiled; to put it behind the front again:
    /// `Sequential::from(&model.slice(..frozen)?).extend(&head)`.
    ///
    /// # Errors
    /// When the first layer is not frozen, or all are; as [`predict`](Model::predict).
    pub fn precompute_features<'a>(&self, x: impl Into<crate::data::Input<'a, T>>) -> Result<(Tensor<T>, Model<T>)> {
        let idle = |i: &usize| !self.graph.nodes[*i].trainable || self.graph.nodes[*i].params.is_empty();
        let idle = (0..self.layers.len()).take_while(idle).count();
        // A layer without weights is not frozen where none behind it is: a dropout there belongs to the others.
        let frozen = (0..idle).rev().find(|&i| !self.graph.nodes[i].trainable).map_or(0, |i| i + 1);
        if frozen == 0 || frozen == self.layers.len() {
            let help = "the first layers must be frozen, and not all; see Model::freeze_until";
            return Err(Error::argument("precompute_features", help));
        }
        Ok((self.slice(..frozen)?.predict(x)?, self.slice(frozen..)?))
    }

    /// The model for prediction, with each [`BatchNormalization`](crate::layers::BatchNormalization) of the last axis folded into
    /// the convolution or dense layer before it, where nothing stands between the two: a fixed scale and shift of its channels, which its
    /// kernel and bias take in. Predictions are the same but for rounding, and take less time. It is not compiled, and training it would
    /// be another training.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let plan = Sequential::new([8, 8, 1]).add(Conv2D::new(4, 3).use_bias(false)).add(BatchNormalization::new());
    /// let folded = plan.add(Activation::Relu).build()?.fold_batch_norm()?;
    /// assert_eq!(folded.layers().len(), 2);
    /// # Ok::<(), cornu::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the weights are so large that the folded ones are not finite.
    pub fn fold_batch_norm(&self) -> Result<Model<T>> {
        let mut folded: Vec<Planned> = Vec::new();
        for (i, layer) in self.planned().enumerate() {
            let affine = layer.config.channel_affine(self.graph.input_of(i), layer.weights());
            let last = folded.last_mut().zip(affine);
            match last.and_then(|(last, affine)| Some((last.config.absorb(last.weights(), &affine)?, last))) {
                Some(((config, weights), last)) => {
                    let (name, taken) = last.taken.as_mut().expect("a layer of a model has its weights");
                    if weights.iter().flat_map(|weight| weight.data()).any(|&weight| !T::of(weight).is_finite()) {
                        return Err(Error::data("fold_batch_norm", format!("{name} has weights that overflow")));
                    }
                    (last.config, *taken) = (config, weights);
                }
                None => folded.push(layer),
            }
        }
        let params =
            folded.iter().flat_map(|layer| layer.weights()).flat_map(Tensor::data).map(|&w| T::of(w)).collect();
        Sequential::of(self.input_shape(), folded.into_iter()).build_with(|_| Ok(params))
    }

    /// The layers as a plan has them, with copies of their weights.
    pub(super) fn planned(&self) -> impl Iterator<Item = Planned> {
        let weights = self.layers().map(|layer| layer.get_weights().iter().map(Tensor::cast).collect());
        self.bare(0..self.layers.len()).zip(weights).map(|(bare, weights)| {
            let taken = bare.taken.map(|(name, _)| (name, weights));
            Planned { taken, ..bare }
        })
    }

    /// Some of the layers as a plan has them, without weights.
    pub(super) fn bare(&self, layers: Range<usize>) -> impl Iterator<Item = Planned> {
        self.layers().take(layers.end).skip(layers.start).map(|layer| {
            let taken = Some((layer.name().to_owned(), Vec::new()));
            let node = layer.node();
            Planned { config: layer.info().config.clone(), taken, trainable: node.trainable, rate: node.rate }
        })
    }
}
