//! Sums, and one row for all.

use num_traits::Float;

use super::simd::vectorized;

/// Columns that are summed at a time, in registers.
const LANES: usize = 32;

/// Adds the rows of `x: [rows, columns]` to `sum: [columns]`, in their order.
pub fn add_rows<T: Float>(x: &[T], sum: &mut [T]) {
    let columns = sum.len();
    if columns == 0 {
        return;
    }
    vectorized(
        #[inline(always)]
        || {
            let (lanes, rest) = sum.as_chunks_mut::<LANES>();
            let first = lanes.len() * LANES;
            for (i, sum) in lanes.iter_mut().enumerate() {
                let mut part = *sum;
                for row in x.chunks_exact(columns) {
                    let row: &[T; LANES] = row[i * LANES..].first_chunk().expect("a row has all columns");
                    for l in 0..LANES {
                        part[l] = part[l] + row[l];
                    }
                }
                *sum = part;
            }
            for row in x.chunks_exact(columns) {
                for (sum, &x) in rest.iter_mut().zip(&row[first..]) {
                    *sum = *sum + x;
                }
            }
        },
    );
}

/// Elements that [`sum`] adds before it adds their sum to others.
const BLOCK: usize = 64 * LANES;

/// The sum of `f` over the elements of arrays that are as long as each other. The sums of blocks are added in pairs, so the
/// error grows with the logarithm of the length only.
pub fn sum<T: Float, const N: usize>(arrays: [&[T]; N], f: impl Fn([T; N]) -> T) -> T {
    fn pairwise<T: Float, const N: usize>(arrays: [&[T]; N], f: &impl Fn([T; N]) -> T) -> T {
        let len = arrays[0].len();
        if len <= BLOCK {
            return block_sum(arrays, f);
        }
        let half = (len / 2).next_multiple_of(LANES);
        pairwise(arrays.map(|array| &array[..half]), f) + pairwise(arrays.map(|array| &array[half..]), f)
    }
    pairwise(arrays, &f)
}

/// Adds every [`LANES`]-th element to the same sum, so that the sums are vectors.
fn block_sum<T: Float, const N: usize>(arrays: [&[T]; N], f: &impl Fn([T; N]) -> T) -> T {
    vectorized(
        #[inline(always)]
        || {
            let len = arrays[0].len();
            let whole = len - len % LANES;
            let mut sums = [T::zero(); LANES];
            for start in (0..whole).step_by(LANES) {
                let lanes: [&[T; LANES]; N] =
                    arrays.map(|array| array[start..].first_chunk().expect("the arrays are as long as each other"));
                for l in 0..LANES {
                    sums[l] = sums[l] + f(lanes.map(|lanes| lanes[l]));
                }
            }
            for i in whole..len {
                sums[i - whole] = sums[i - whole] + f(arrays.map(|array| array[i]));
            }
            sums.iter().fold(T::zero(), |total, &sum| total + sum)
        },
    )
}

/// Sets each row of `y: [rows, columns]` to `row`.
pub fn fill_rows<T: Copy>(row: &[T], y: &mut [T]) {
    for y in y.chunks_exact_mut(row.len().max(1)) {
        y.copy_from_slice(row);
    }
}

/// Adds `row` to each row of `y: [rows, columns]`.
pub fn add_to_rows<T: Float>(row: &[T], y: &mut [T]) {
    vectorized(
        #[inline(always)]
        || {
            for y in y.chunks_exact_mut(row.len().max(1)) {
                for (y, &row) in y.iter_mut().zip(row) {
                    *y = *y + row;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_takes_every_element_once() {
        for len in [0, 1, LANES - 1, LANES, 3 * LANES + 5, BLOCK + 1, 5 * BLOCK - 1] {
            let (a, b): (Vec<f64>, Vec<f64>) = (0..len).map(|i| (i as f64, (7 * i % 5) as f64)).unzip();
            assert_eq!(sum([&a], |[a]| a), a.iter().sum::<f64>());
            assert_eq!(sum([&a, &b], |[a, b]| a * b), a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>());
        }
    }

    #[test]
    fn a_long_sum_is_accurate() {
        let x = vec![0.1f32; 1 << 20];
        let exact = f64::from(0.1f32) * (1 << 20) as f64;
        assert!((f64::from(sum([&x], |[x]| x)) / exact - 1.0).abs() < 2e-6);
    }
}
