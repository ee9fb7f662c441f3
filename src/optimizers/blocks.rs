//! Loops over flat arrays: in fixed blocks, in parallel, without allocating. No bit of a result depends on the threads.

use std::mem;

use rayon::prelude::*;

use super::{
    MAX_SLOTS,
    erased::{DynOptimizer, ErasedOptimizer},
};
use crate::Scalar;

/// The elements that one task sees: with gradients and two slots, they fit in an L2 cache.
const BLOCK: usize = 16384;

/// Does step `t` for all weights. Of `slots`, those that the optimizer has are as long as the weights, the rest empty.
pub(crate) fn step<T: Scalar>(
    optimizer: &dyn DynOptimizer,
    t: u64,
    rate: f64,
    weights: &mut [T],
    gradients: &[T],
    slots: [&mut [T]; MAX_SLOTS],
) {
    let used = optimizer.slots().len();
    let update = |weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]]| {
        ErasedOptimizer::update(T::optimizer(optimizer), t, rate, weights, gradients, &mut slots[..used]);
    };
    step_part(&update, weights, gradients, slots);
}

fn step_part<T: Scalar>(
    update: &(impl Fn(&mut [T], &[T], &mut [&mut [T]]) + Sync),
    weights: &mut [T],
    gradients: &[T],
    mut slots: [&mut [T]; MAX_SLOTS],
) {
    if weights.len() <= BLOCK {
        return update(weights, gradients, &mut slots);
    }
    let mid = half(weights.len());
    let (weights, right_weights) = weights.split_at_mut(mid);
    let (gradients, right_gradients) = gradients.split_at(mid);
    let mut halves = slots.map(|slot| slot.split_at_mut(mid.min(slot.len())));
    let slots = halves.each_mut().map(|(left, _)| mem::take(left));
    let right_slots = halves.map(|(_, right)| right);
    rayon::join(
        || step_part(update, weights, gradients, slots),
        || step_part(update, right_weights, right_gradients, right_slots),
    );
}

/// Where an array of more than a block is halved: between blocks.
fn half(len: usize) -> usize {
    (len / 2).next_multiple_of(BLOCK)
}

/// Calls `f` with each element.
pub(crate) fn for_each<T: Scalar>(values: &mut [T], f: impl Fn(&mut T) + Sync) {
    values.par_chunks_mut(BLOCK).for_each(|block| block.iter_mut().for_each(&f));
}

/// Calls `f` with each pair of elements that belong together.
pub(crate) fn for_each_pair<T: Scalar>(a: &mut [T], b: &mut [T], f: impl Fn(&mut T, &mut T) + Sync) {
    a.par_chunks_mut(BLOCK)
        .zip(b.par_chunks_mut(BLOCK))
        .for_each(|(a, b)| a.iter_mut().zip(b).for_each(|(a, b)| f(a, b)));
}

/// The sum of the squares, in an order that depends on the length alone.
pub(crate) fn sum_of_squares<T: Scalar>(values: &[T]) -> f64 {
    if values.len() > BLOCK {
        let (left, right) = values.split_at(half(values.len()));
        let (left, right) = rayon::join(|| sum_of_squares(left), || sum_of_squares(right));
        return left + right;
    }
    // Eight sums, so that an addition need not wait for the one before.
    let mut sums = [0.0; 8];
    let mut add = |values: &[T]| {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value.as_f64() * value.as_f64();
        }
    };
    let (chunks, rest) = values.as_chunks::<8>();
    chunks.iter().for_each(|chunk| add(chunk));
    add(rest);
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use std::array;

    use super::*;
    use crate::optimizers::{Adam, Optimizer, SGD};

    fn waves(n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|i| scale * (i as f32).sin()).collect()
    }

    #[test]
    fn blocks_give_the_same_bits_as_one_update() {
        let n = 5 * BLOCK + 7;
        let (weights, gradients) = (waves(n, 1.0), waves(n, 0.1));
        let adam = Adam::default();
        let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
        let mut expected = weights.clone();
        for t in 1..=2 {
            Optimizer::update(&adam, t, 1e-3, &mut expected, &gradients, &mut [&mut m, &mut v]);
        }

        let mut slots = [vec![0.0; n], vec![0.0; n]];
        let mut actual = weights.clone();
        for t in 1..=2 {
            let [m, v] = &mut slots;
            step(&adam, t, 1e-3, &mut actual, &gradients, [m, v, &mut [], &mut []]);
        }
        assert_eq!(actual, expected);
        assert_eq!(slots, [m, v]);
        assert!(actual.iter().zip(&weights).skip(1).all(|(new, old)| new != old), "every weight moved");
    }

    #[test]
    fn an_optimizer_without_slots_steps_too() {
        let mut weights = vec![1.0f64; 2 * BLOCK + 1];
        let gradients = vec![2.0; weights.len()];
        step(&SGD::default(), 1, 0.25, &mut weights, &gradients, array::from_fn(|_| &mut [][..]));
        assert!(weights.iter().all(|&w| w == 0.5));
    }

    #[test]
    fn loops_reach_every_element() {
        for n in [1, BLOCK, 3 * BLOCK + 5] {
            let mut a = waves(n, 1.0);
            let mut b = vec![2.0; n];
            for_each(&mut a, |a| *a += 3.0);
            for_each_pair(&mut a, &mut b, |a, b| *b *= *a);
            assert!(b.iter().zip(waves(n, 1.0)).all(|(&b, wave)| b == 2.0 * (wave + 3.0)));
        }
    }

    #[test]
    fn the_sum_of_squares_is_the_same_for_any_number_of_threads() {
        let values = waves(7 * BLOCK + 3, 1.0);
        let expected: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let with = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| sum_of_squares(&values))
        };
        let sum = with(1);
        approx::assert_relative_eq!(sum, expected, max_relative = 1e-12);
        assert_eq!(sum.to_bits(), with(3).to_bits());
        assert_eq!(sum_of_squares(&[1e30f32, 1e30]), 2.0 * f64::from(1e30f32).powi(2));
        assert_eq!(sum_of_squares::<f32>(&[]), 0.0);
    }
}
