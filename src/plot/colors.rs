//! Colors that color-blind readers tell apart, too.

use super::canvas::{Color, GRAY};

/// The first of Okabe and Ito's colors that stand out on white.
pub(super) const BLUE: Color = [0x00, 0x72, 0xb2];
pub(super) const ORANGE: Color = [0xd5, 0x5e, 0x00];

/// Colors for numbers from 0 to 1: between neighbors, their mean.
pub(super) struct Map(&'static [u32]);

/// Matplotlib's viridis, for numbers without a middle.
pub(super) const VIRIDIS: Map =
    Map(&[0x440154, 0x482878, 0x3e4989, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6ece58, 0xb5de2b, 0xfde725]);
/// ColorBrewer's blues, for shares.
pub(super) const BLUES: Map =
    Map(&[0xffffff, 0xdeebf7, 0xc6dbef, 0x9ecae1, 0x6baed6, 0x4292c6, 0x2171b5, 0x08519c, 0x08306b]);
/// ColorBrewer's blue and red, for numbers on both sides of 0.
pub(super) const BLUE_RED: Map = Map(&[
    0x053061, 0x2166ac, 0x4393c3, 0x92c5de, 0xd1e5f0, 0xf7f7f7, 0xfddbc7, 0xf4a582, 0xd6604d, 0xb2182b, 0x67001f,
]);
pub(super) const GRAYS: Map = Map(&[0x000000, 0xffffff]);

impl Map {
    /// The color of a number; gray for NaN.
    pub fn at(&self, number: f64) -> Color {
        if number.is_nan() {
            return GRAY;
        }
        let place = number.clamp(0.0, 1.0) * (self.0.len() - 1) as f64;
        let i = (place as usize).min(self.0.len() - 2);
        let [[_, from @ ..], [_, to @ ..]] = [i, i + 1].map(|i| self.0[i].to_be_bytes());
        let between = |from: u8, to: u8| f64::from(from) + (f64::from(to) - f64::from(from)) * (place - i as f64);
        [0, 1, 2].map(|i| between(from[i], to[i]).round() as u8)
    }
}

/// The smallest and the largest of the finite numbers; 0 and 1 where there is none.
pub(super) fn range(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let extend = |range: Option<(f64, f64)>, x: f64| Some(range.map_or((x, x), |(a, b)| (a.min(x), b.max(x))));
    numbers.filter(|x| x.is_finite()).fold(None, extend).unwrap_or((0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_goes_from_end_to_end() {
        assert_eq!([-1.0, 0.0, 0.5, 1.0, 9.0].map(|x| GRAYS.at(x)[0]), [0, 0, 128, 255, 255]);
        assert_eq!(BLUE_RED.at(0.5), [0xf7; 3]);
        assert_eq!(VIRIDIS.at(1.0), [0xfd, 0xe7, 0x25]);
        assert_eq!(BLUES.at(f64::NAN), GRAY);
    }

    #[test]
    fn the_range_is_that_of_finite_numbers() {
        assert_eq!(range([f64::NAN, 2.0, -1.0, f64::INFINITY].into_iter()), (-1.0, 2.0));
        assert_eq!(range([f64::NAN].into_iter()), (0.0, 1.0));
    }
}
