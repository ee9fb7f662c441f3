//! [`ChannelAffine`]: a scale and a shift for each channel, which fold into a linear layer before them.

use crate::Tensor;

/// `y[.., c] = scale[c] * x[.., c] + shift[c]`: what batch normalization is in prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelAffine {
    /// `[c]`
    pub scale: Vec<f64>,
    /// `[c]`
    pub shift: Vec<f64>,
}

impl ChannelAffine {
    /// The weights of a linear layer with this behind it. `weights[kernel]` is multiplied, a bias may follow it; element `i` of the kernel
    /// goes into the channel `i / inner % c`.
    pub(super) fn fold(&self, weights: &[Tensor<f64>], kernel: usize, inner: usize) -> Vec<Tensor<f64>> {
        let c = self.scale.len();
        let mut folded = weights[..=kernel].to_vec();
        for (i, weight) in folded[kernel].data_mut().iter_mut().enumerate() {
            *weight *= self.scale[i / inner % c];
        }
        let bias = |channel| weights.get(kernel + 1).map_or(0.0, |bias| bias.data()[channel]);
        folded.push(Tensor::from_fn([c], |[channel]| bias(channel) * self.scale[channel] + self.shift[channel]));
        folded
    }
}
