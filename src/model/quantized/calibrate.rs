//! Which numbers the bytes stand for: the ranges that sample data take, and what is left of them.

use crate::{
    Error, Model, Result, Tensor,
    data::Input,
    kernels::int8::{LEVELS, Quantizer},
};

/// Samples that run at a time, so that their activations need little memory.
const BATCH: usize = 128;

/// The bins of a histogram.
const BINS: usize = 2048;

/// The ranges that are tried: parts of the whole one.
const CANDIDATES: usize = 96;

/// The bytes that hold the input of each of some layers best, for the samples of `x`. The mean of the squared error is least: a range
/// that is cut off is finer for all other numbers.
pub(super) fn calibrate(model: &Model, layers: &[usize], x: &Input) -> Result<Vec<Quantizer>> {
    let parts = parts(model, layers)?;
    let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); layers.len()];
    for_each_batch(&parts, x, |i, values| {
        for &value in values {
            ranges[i] = (ranges[i].0.min(value), ranges[i].1.max(value));
        }
        let finite = values.iter().all(|value| value.is_finite());
        let name = || model.layers().nth(layers[i]).map_or(String::new(), |layer| layer.name().to_owned());
        if finite { Ok(()) } else { Err(Error::data("quantize", format!("what {} reads is not finite", name()))) }
    })?;
    let mut histograms: Vec<Histogram> = ranges.into_iter().map(|(low, high)| Histogram::new(low, high)).collect();
    for_each_batch(&parts, x, |i, values| {
        values.iter().for_each(|&value| histograms[i].add(value));
        Ok(())
    })?;
    Ok(histograms.iter().map(Histogram::best).collect())
}

/// What runs before each of the layers, behind the one before it.
fn parts(model: &Model, layers: &[usize]) -> Result<Vec<Option<Model>>> {
    let starts = [0].iter().chain(layers);
    starts.zip(layers).map(|(&start, &end)| (start < end).then(|| model.slice(start..end)).transpose()).collect()
}

/// Calls `visit` with the number of each layer and what it reads, for all samples.
fn for_each_batch(
    parts: &[Option<Model>],
    x: &Input,
    mut visit: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let mut buffer = Vec::new();
    for start in (0..x.samples()).step_by(BATCH) {
        let end = x.samples().min(start + BATCH);
        let rows = x.rows(start..end, &mut buffer).to_vec();
        let mut values = Tensor::new(x.shape().sample().batch(end - start), rows)?;
        for (i, part) in parts.iter().enumerate() {
            if let Some(part) = part {
                values = part.predict(&values)?;
            }
            visit(i, values.data())?;
        }
    }
    Ok(())
}

/// How often numbers were seen.
struct Histogram {
    low: f32,
    high: f32,
    counts: Vec<u64>,
}

impl Histogram {
    fn new(low: f32, high: f32) -> Self {
        Histogram { low, high, counts: vec![0; BINS] }
    }

    fn add(&mut self, value: f32) {
        let [value, low, high] = [value, self.low, self.high].map(f64::from);
        // In f64, as the range of two finite numbers need not be finite in f32.
        let place = (value - low) / (high - low);
        // Of a range that is empty, NaN, which is bin 0.
        self.counts[((place * BINS as f64) as usize).min(BINS - 1)] += 1;
    }

    /// The bytes with the least error.
    fn best(&self) -> Quantizer {
        let candidates = (CANDIDATES / 4..=CANDIDATES).rev().map(|i| {
            let part = i as f32 / CANDIDATES as f32;
            Quantizer::of_range(self.low * part, self.high * part)
        });
        let scored = candidates.map(|quantizer| (self.error(quantizer), quantizer));
        let best = scored.reduce(|best, next| if next.0 < best.0 { next } else { best });
        best.expect("there are candidates").1
    }

    /// The sum of the squared errors, of numbers in the middle of their bins.
    fn error(&self, quantizer: Quantizer) -> f64 {
        let width = (f64::from(self.high) - f64::from(self.low)) / BINS as f64;
        let (scale, zero) = (f64::from(quantizer.scale), f64::from(quantizer.zero));
        let error = |(i, &count): (usize, &u64)| {
            let x = f64::from(self.low) + (i as f64 + 0.5) * width;
            let held = ((x / scale + zero).round().clamp(0.0, LEVELS.into()) - zero) * scale;
            (x - held).powi(2) * count as f64
        };
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(error).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_number_does_not_coarsen_all_others() {
        let mut histogram = Histogram::new(0.0, 10.0);
        histogram.add(10.0);
        (0..1_000_000).for_each(|i| histogram.add(i as f32 * 2e-6));
        assert!(histogram.best().number(LEVELS) < 3.0);
        // Where it is not rare, it is kept.
        (0..100_000).for_each(|_| histogram.add(10.0));
        assert!(histogram.best().number(LEVELS) > 9.9);
    }

    #[test]
    fn a_range_larger_than_any_number_is_counted() {
        let mut histogram = Histogram::new(-3e38, 3e38);
        [-3e38, -1e38, 0.0, 1e38, 3e38].iter().for_each(|&value| histogram.add(value));
        let seen: Vec<usize> = (0..BINS).filter(|&bin| histogram.counts[bin] > 0).collect();
        assert_eq!(seen, [0, BINS / 3, BINS / 2, 2 * BINS / 3, BINS - 1]);
    }

    #[test]
    fn a_range_of_a_single_number_is_held() {
        for number in [0.0, 3.0, -2.0] {
            let mut histogram = Histogram::new(number, number);
            histogram.add(number);
            let mut byte = [0];
            let quantizer = histogram.best();
            quantizer.quantize(&[number], |x| x, &mut byte);
            assert!((quantizer.number(byte[0]) - number).abs() < 1e-6, "{number}: {quantizer:?}");
        }
    }
}
