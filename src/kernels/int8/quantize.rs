//! [`Quantizer`]: real numbers as bytes.

use crate::kernels::simd::vectorized;

/// The largest byte; the smallest is 0.
pub const LEVELS: u8 = 127;

/// How real numbers are held as bytes: `x = scale * (q - zero)`, `0 <= q <= 127`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantizer {
    /// How far the numbers of two bytes that follow each other are apart.
    pub scale: f32,
    /// The byte of the number 0, at most [`LEVELS`].
    pub zero: u8,
}

impl Quantizer {
    /// The bytes that hold the numbers from `low` to `high`, and 0, exactly. The bytes of a range that is empty stand for whole numbers.
    pub fn of_range(low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let steps = f32::from(LEVELS);
        // Halves, since the range of two finite numbers need not be finite; and no scale whose inverse is not.
        let scale = ((high / steps) - (low / steps)).max(f32::MIN_POSITIVE);
        if low == high {
            return Quantizer { scale: 1.0, zero: 0 };
        }
        Quantizer { scale, zero: (-low / scale).round().clamp(0.0, steps) as u8 }
    }

    /// The nearest byte, for each of `map(x)`; that of the end of the range for what is outside, and 0 for NaN.
    pub fn quantize<X: Copy>(self, x: &[X], map: impl Fn(X) -> f32, y: &mut [u8]) {
        let inverse = 1.0 / self.scale;
        let zero = f32::from(self.zero);
        vectorized(
            #[inline(always)]
            || {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = to_byte(map(x) * inverse + zero, 0.0, f32::from(LEVELS));
                }
            },
        );
    }

    /// The number that a byte stands for.
    pub fn number(self, byte: u8) -> f32 {
        self.scale * (f32::from(byte) - f32::from(self.zero))
    }
}

/// The nearest byte between two bytes, the even one of two that are as near; `low` for NaN.
#[inline(always)]
pub(super) fn to_byte(x: f32, low: f32, high: f32) -> u8 {
    // The numbers from 2^23 on have no fraction, so the addition rounds, and the last bits of the sum are those of the byte.
    const WHOLE: f32 = (1 << 23) as f32;
    (x.max(low).min(high) + WHOLE).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_held_with_its_zero() {
        for (low, high) in [(0.0, 1.0), (-1.0, 1.0), (0.5, 2.0), (-3.0, -1.0), (-1e-3, 5.0), (0.0, 3e38), (-3e38, 3e38)]
        {
            let quantizer = Quantizer::of_range(low, high);
            let mut bytes = [0; 3];
            quantizer.quantize(&[low, 0.0, high], |x| x, &mut bytes);
            for (byte, x) in bytes.into_iter().zip([low, 0.0, high]) {
                assert!(byte <= LEVELS);
                assert!(
                    (quantizer.number(byte) - x).abs() <= 0.51 * quantizer.scale,
                    "{low}..{high}: {x} {quantizer:?}"
                );
            }
            assert_eq!(quantizer.number(bytes[1]), 0.0);
        }
        assert_eq!(Quantizer::of_range(0.0, 0.0), Quantizer { scale: 1.0, zero: 0 });
        assert!((1.0 / Quantizer::of_range(0.0, f32::from_bits(1)).scale).is_finite());
    }

    #[test]
    fn numbers_go_to_the_nearest_byte() {
        let x = [-1.0, 0.0, 0.49, 0.5, 1.5, 2.5, 126.4, 126.6, 1e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        let mut bytes = [0; 12];
        Quantizer { scale: 1.0, zero: 0 }.quantize(&x, |x| x, &mut bytes);
        assert_eq!(bytes, [0, 0, 0, 0, 2, 2, 126, 127, 127, 127, 0, 0]);
        Quantizer { scale: 0.5, zero: 100 }.quantize(&x, |x| x, &mut bytes);
        assert_eq!(bytes, [98, 100, 101, 101, 103, 105, 127, 127, 127, 127, 0, 0]);
    }
}
