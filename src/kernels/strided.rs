//! Arrays that are read in another order than that in which they lie.

/// Where the elements of one array, in their order, stand in another: its dimensions in another order, or some repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strided {
    /// The dimensions but the last.
    outer: Vec<Dim>,
    inner: Dim,
}

/// A dimension of the first array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dim {
    len: usize,
    /// How far its elements are apart in the other array; 0 where it repeats one.
    stride: usize,
}

impl Strided {
    /// The array whose dimensions are those of `dims` in the order of `axes`.
    pub fn permuted(dims: &[usize], axes: &[usize]) -> Self {
        let strides = strides(dims);
        Strided::new(axes.iter().map(|&axis| Dim { len: dims[axis], stride: strides[axis] }))
    }

    /// The array of `dims` that repeats one of as many dimensions, `small`, along those where that is 1 long.
    pub fn broadcast(small: &[usize], dims: &[usize]) -> Self {
        let strides = strides(small);
        let repeated = |axis: usize| small[axis] == 1;
        Strided::new(
            dims.iter()
                .enumerate()
                .map(|(axis, &len)| Dim { len, stride: if repeated(axis) { 0 } else { strides[axis] } }),
        )
    }

    fn new(dims: impl Iterator<Item = Dim>) -> Self {
        let mut outer: Vec<Dim> = Vec::new();
        for dim in dims.filter(|dim| dim.len != 1) {
            match outer.last_mut() {
                // They are one dimension of the other array, too.
                Some(last) if last.stride == dim.len * dim.stride => {
                    *last = Dim { len: last.len * dim.len, stride: dim.stride };
                }
                _ => outer.push(dim),
            }
        }
        let inner = outer.pop().unwrap_or(Dim { len: 1, stride: 1 });
        Strided { outer, inner }
    }

    /// Whether each element stands at its own place.
    pub fn is_identity(&self) -> bool {
        self.outer.is_empty() && self.inner.stride == 1
    }

    /// Overwrites `y` with the elements of `x`, the other array.
    pub fn gather<T: Copy>(&self, x: &[T], y: &mut [T]) {
        self.take(x, y, |y, x| *y = x);
    }

    /// Gives each element of `y`, in their order, the one at its place in `x`, the other array.
    pub fn take<T: Copy>(&self, x: &[T], y: &mut [T], give: impl Fn(&mut T, T)) {
        let Dim { len, stride } = self.inner;
        for (start, y) in self.starts().zip(y.chunks_exact_mut(len)) {
            for (i, y) in y.iter_mut().enumerate() {
                give(y, x[start + i * stride]);
            }
        }
    }

    /// Gives each element of `y`, in their order, to its place in `x`, the other array.
    pub fn scatter<T: Copy>(&self, y: &[T], x: &mut [T], give: impl Fn(&mut T, T)) {
        let Dim { len, stride } = self.inner;
        for (start, y) in self.starts().zip(y.chunks_exact(len)) {
            for (i, &y) in y.iter().enumerate() {
                give(&mut x[start + i * stride], y);
            }
        }
    }

    /// Where in the other array each run of the last dimension starts.
    fn starts(&self) -> impl Iterator<Item = usize> {
        let runs: usize = self.outer.iter().map(|dim| dim.len).product();
        (0..runs).map(|run| {
            let digits = self.outer.iter().rev();
            digits.fold((run, 0), |(rest, at), dim| (rest / dim.len, at + rest % dim.len * dim.stride)).1
        })
    }
}

/// How far the elements of each dimension are apart, in row-major order.
fn strides(dims: &[usize]) -> Vec<usize> {
    (1..=dims.len()).map(|inner| dims[inner..].iter().product()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_and_back() {
        let x: Vec<usize> = (0..24).collect();
        let [a, b, c] = [2, 3, 4];
        let turned = Strided::permuted(&[a, b, c], &[2, 0, 1]);
        let mut y = vec![0; 24];
        turned.gather(&x, &mut y);
        let mut expected = Vec::new();
        for k in 0..c {
            for i in 0..a {
                expected.extend((0..b).map(|j| x[(i * b + j) * c + k]));
            }
        }
        assert_eq!(y, expected);
        let mut back = vec![0; 24];
        turned.scatter(&y, &mut back, |back, y| *back = y);
        assert_eq!(back, x);
    }

    #[test]
    fn a_broadcast_repeats_and_sums() {
        for (small, expected) in [
            ([2, 1, 3], [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]),
            ([1, 2, 1], [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]),
            ([1, 1, 1], [0; 12]),
        ] {
            let x: Vec<usize> = (0..small.iter().product()).collect();
            let repeated = Strided::broadcast(&small, &[2, 2, 3]);
            let mut y = vec![9; 12];
            repeated.gather(&x, &mut y);
            assert_eq!(y, expected);
            let mut counts = vec![0; x.len()];
            repeated.scatter(&[1; 12], &mut counts, |count, one| *count += one);
            assert_eq!(counts, vec![12 / x.len(); x.len()]);
        }
    }

    #[test]
    fn dimensions_that_stay_together_are_one() {
        assert!(Strided::permuted(&[2, 3, 4], &[0, 1, 2]).is_identity());
        assert!(Strided::permuted(&[1, 3, 1], &[2, 1, 0]).is_identity());
        assert!(Strided::permuted(&[], &[]).is_identity());
        assert!(!Strided::permuted(&[3, 4], &[1, 0]).is_identity());
        assert_eq!(Strided::permuted(&[2, 3, 4], &[2, 0, 1]), Strided::permuted(&[6, 4], &[1, 0]));
        assert_eq!(Strided::broadcast(&[1, 1, 4], &[2, 3, 4]).outer, [Dim { len: 6, stride: 0 }]);
        assert!(!Strided::broadcast(&[1], &[3]).is_identity());
    }
}
