//! [`Permute`].

use super::{Backward, Build, Forward, Layer, LayerConfig, Reads, Taped};
use crate::{
    Result, Scalar, Shape,
    config::Arguments,
    kernels::strided::Strided,
    tensor::{View, ViewMut},
};

/// The dimensions of a sample in another order, `keras.layers.Permute`.
///
/// - input: `[n, d1, d2, ..]`
/// - output: `[n, ..]`, where dimension `i` is dimension `dims[i]` of the input, counted from 1
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([10, 64]).add(Permute::new([2, 1])).build()?;
/// assert_eq!(model.output_shape(), [64, 10].into());
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permute {
    dims: Vec<usize>,
}

impl Permute {
    /// The dimensions of the input in their new order: each of `1..=RANK` once, since the batch, which is 0, stays.
    pub fn new<const RANK: usize>(dims: [usize; RANK]) -> Self {
        Permute { dims: dims.into() }
    }
}

impl LayerConfig for Permute {
    type Built = BuiltPermute;

    fn class_name(&self) -> &'static str {
        "Permute"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments.required("dims", &mut self.dims);
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltPermute, Shape)> {
        let (input, dims) = (cx.input(), &self.dims);
        let rank = dims.len();
        if !(1..=rank).all(|dim| dims.contains(&dim)) {
            return Err(cx.argument_error(format!("dims must hold each of 1 to {rank} once, got {dims:?}")));
        }
        if input.rank() != rank {
            return Err(cx.shape_error(format!("input of rank {rank}"), format!("dims are {dims:?}")));
        }
        let axes: Vec<usize> = dims.iter().map(|dim| dim - 1).collect();
        let output: Vec<usize> = axes.iter().map(|&axis| input[axis]).collect();
        let layer = BuiltPermute { order: Strided::permuted(input.dims(), &axes), size: input.size() };
        Ok((layer, Shape::new(&output)?))
    }
}

/// A built [`Permute`].
#[derive(Debug)]
pub struct BuiltPermute {
    /// A sample of the output, in the input.
    order: Strided,
    /// The elements of a sample.
    size: usize,
}

impl Layer for BuiltPermute {
    type Work<T: Scalar> = ();

    fn reads(&self) -> Reads {
        Reads { x: false, y: false }
    }

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        for (x, y) in x.samples().zip(y.data.chunks_exact_mut(self.size)) {
            self.order.gather(x.data, y);
        }
    }

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        let Some(dx) = dx else {
            return;
        };
        for (dy, dx) in taped.dy.data.chunks_exact(self.size).zip(dx.data.chunks_exact_mut(self.size)) {
            self.order.scatter(dy, dx, |dx, dy| *dx = dy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Sequential, Tensor, gradcheck::check_layer};

    #[test]
    fn dimensions_change_places() {
        let x = Tensor::random_normal([2, 3, 4, 5], 0.0, 1.0, 0);
        let model = Sequential::new([3, 4, 5]).add(Permute::new([3, 1, 2])).build().unwrap();
        assert_eq!(model.predict(&x).unwrap(), Tensor::from_fn([2, 5, 3, 4], |[n, c, i, j]| x[[n, i, j, c]]));
    }

    #[test]
    fn dims_that_are_no_permutation_are_errors() {
        for dims in [[0, 1], [1, 1], [1, 3], [2, usize::MAX]] {
            let error = Sequential::new([3, 4]).add(Permute::new(dims)).build().unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
        }
        let error = Sequential::new([3, 4]).add(Permute::new([2, 1, 3])).build().unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
        assert!(Sequential::new([1]).add(Permute::new([1, 2, 3, 4, 5, 6, 7])).build().is_err());
    }

    #[test]
    fn gradients() {
        for dims in [[1, 2, 3], [2, 1, 3], [3, 1, 2], [3, 2, 1]] {
            let report = check_layer(&Permute::new(dims), [2, 3, 4]).unwrap();
            assert!(report.max_relative_error < 1e-6, "{dims:?}: {report}");
        }
        let report = check_layer(&Permute::new([]), ()).unwrap();
        assert!(report.max_relative_error < 1e-6, "{report}");
    }
}
