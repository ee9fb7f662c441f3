//! [`QuantizedWeights`]: the weights of a layer as integers.

use crate::kernels::int8::Quantizer;

/// The weights of a convolution or a dense layer, and what its input is held in. All is finite, and the scales are above 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QuantizedWeights {
    /// In the order of the layer's kernel.
    pub kernel: Vec<i8>,
    /// What the weights of each filter are multiplied by.
    pub scales: Vec<f32>,
    pub bias: Option<Vec<f32>>,
    /// The bytes of the input.
    pub input: Quantizer,
}

impl QuantizedWeights {
    /// The nearest integers; the largest weight of each filter is 127 or -127.
    pub fn new(kernel: &[f32], bias: Option<&[f32]>, filters: usize, input: Quantizer) -> Self {
        let mut largest = vec![0.0_f32; filters];
        for weights in kernel.chunks_exact(filters) {
            for (largest, weight) in largest.iter_mut().zip(weights) {
                *largest = largest.max(weight.abs());
            }
        }
        let most = f32::from(i8::MAX);
        let scale = |largest: &f32| if *largest == 0.0 { 1.0 } else { (largest / most).max(f32::MIN_POSITIVE) };
        let scales: Vec<f32> = largest.iter().map(scale).collect();
        let weights = kernel.iter().zip(scales.iter().cycle());
        let kernel = weights.map(|(weight, scale)| (weight / scale).round_ties_even().clamp(-most, most) as i8);
        QuantizedWeights { kernel: kernel.collect(), scales, bias: bias.map(<[f32]>::to_vec), input }
    }

    /// The bytes that they take.
    pub fn bytes(&self) -> usize {
        let numbers = self.scales.len() + self.bias.as_ref().map_or(0, Vec::len);
        self.kernel.len() + numbers * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_has_a_scale_of_its_own() {
        let input = Quantizer { scale: 1.0, zero: 0 };
        let kernel = [1.0, -1e-3, 0.0, 1e-39, -0.5, 5e-4, 0.0, -1e-39];
        let QuantizedWeights { kernel, scales, .. } = QuantizedWeights::new(&kernel, None, 4, input);
        assert_eq!(kernel, [127, -127, 0, 0, -64, 64, 0, 0]);
        assert_eq!(scales, [1.0 / 127.0, 1e-3 / 127.0, 1.0, f32::MIN_POSITIVE]);
    }
}
