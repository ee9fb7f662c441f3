//! Counter-based random streams.
//!
//! A stream is named by what it is for, never by who asks first: (seed, stream, step, sample) is the key of a ChaCha
//! generator, so random numbers are the same for any number of threads and on every platform.

use rand::{SeedableRng, rngs::ChaCha8Rng};

/// The random generator that layers and initializers draw from.
pub type Rng = ChaCha8Rng;

/// The stream of the initial weights; its steps are the weights.
pub(crate) const WEIGHTS: u64 = u64::MAX;
/// The stream of the shuffled order; its steps are the epochs.
pub(crate) const SHUFFLE: u64 = u64::MAX - 1;
/// The stream of random tensors; its steps are the distributions.
pub(crate) const TENSOR: u64 = u64::MAX - 2;

/// The generator of one sample in one step of a stream. The four numbers are the generator's key, so no two streams
/// share a number.
pub fn stream(seed: u64, stream: u64, step: u64, sample: u64) -> Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, stream, step, sample]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::*;

    #[test]
    fn a_stream_is_its_four_numbers() {
        let first = stream(1, 2, 3, 4).next_u64();
        assert_eq!(first, stream(1, 2, 3, 4).next_u64());
        for mut other in [stream(0, 2, 3, 4), stream(1, 0, 3, 4), stream(1, 2, 0, 4), stream(1, 2, 3, 0)] {
            assert_ne!(first, other.next_u64());
        }
    }

    #[test]
    fn the_numbers_are_the_same_on_every_platform() {
        // The first words of ChaCha8 with a key of zeros, from the eSTREAM test vectors.
        assert_eq!(stream(0, 0, 0, 0).next_u64(), 0xd640_5f89_2fef_003e);
    }
}
