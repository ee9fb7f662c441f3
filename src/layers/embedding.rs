//! [`Embedding`].

use rayon::prelude::*;

use serde_json::Value;

use super::{Backward, Build, Forward, Layer, LayerConfig, Reads, Scope, Taped};
use crate::{
    Constraint, Initializer, Regularizer, Result, Scalar, Shape,
    config::Arguments,
    params::{ParamId, WeightSpec},
    tensor::{View, ViewMut},
};

/// A learned vector for each index, `keras.layers.Embedding`: `y[.., j] = embeddings[x[..], j]`.
///
/// - input: `[n, ..]`, whole numbers from 0 to `input_dim - 1`
/// - output: `[n, .., output_dim]`
/// - weights: `embeddings: [input_dim, output_dim]`
///
/// As a model's first layer, it makes any other number an error of `fit`, `evaluate` and `predict`. Behind other layers,
/// it takes the whole part of a number, as Keras does, and gives NaN where that is no index. The gradient to the input
/// is 0.
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([5]).add(Embedding::new(1000, 64)).build()?;
/// assert_eq!(model.output_shape(), [5, 64].into());
/// let words = Tensor::from([[4, 8, 15, 16, 23u8]]);
/// assert_eq!(model.predict(&words)?.data()[..64], model.params()[4 * 64..][..64]);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    input_dim: usize,
    output_dim: usize,
    embeddings: WeightSpec,
}

impl Embedding {
    /// `input_dim` vectors of `output_dim` numbers.
    pub fn new(input_dim: usize, output_dim: usize) -> Self {
        Embedding { input_dim, output_dim, embeddings: Initializer::random_uniform().into() }
    }

    /// How the vectors start; uniform on `[-0.05, 0.05)` by default.
    pub fn embeddings_initializer(mut self, initializer: Initializer) -> Self {
        self.embeddings.initializer = initializer;
        self
    }

    /// A penalty on the size of the vectors; none by default.
    pub fn embeddings_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.embeddings.regularizer = Some(regularizer);
        self
    }

    /// What the vectors are brought back to after each step; nothing by default.
    pub fn embeddings_constraint(mut self, constraint: Constraint) -> Self {
        self.embeddings.constraint = Some(constraint);
        self
    }
}

impl LayerConfig for Embedding {
    type Built = BuiltEmbedding;

    fn class_name(&self) -> &'static str {
        "Embedding"
    }

    fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .required("input_dim", &mut self.input_dim)
            .required("output_dim", &mut self.output_dim)
            .weight("embeddings", &mut self.embeddings)
            .fixed("activity_regularizer", Value::Null);
    }

    fn build(&self, cx: &mut Build) -> Result<(BuiltEmbedding, Shape)> {
        let Embedding { input_dim, output_dim, .. } = *self;
        for (name, dim) in [("input_dim", input_dim), ("output_dim", output_dim)] {
            if dim == 0 {
                return Err(cx.argument_error(format!("{name} must be at least 1, got 0")));
            }
        }
        if input_dim > MOST_INDICES {
            let message =
                format!("input_dim must be at most {MOST_INDICES}, got {input_dim}: an f32 holds no larger odd index");
            return Err(cx.argument_error(message));
        }
        let output = Shape::new(&[cx.input().dims(), &[output_dim]].concat())?;
        let embeddings = cx.weight("embeddings", [input_dim, output_dim], &self.embeddings)?;
        Ok((BuiltEmbedding { input_dim, output_dim, embeddings }, output))
    }
}

/// Inputs are `f32`, which holds each whole number up to here.
const MOST_INDICES: usize = 1 << 24;

/// Elements that are worth the way to another thread.
const TASK: usize = 1 << 14;

/// A built [`Embedding`].
#[derive(Debug)]
pub struct BuiltEmbedding {
    input_dim: usize,
    output_dim: usize,
    embeddings: ParamId,
}

impl Layer for BuiltEmbedding {
    type Work<T: Scalar> = ();

    /// The vectors are many next to those of a sample, so their gradient shall not be copied for each part of a batch.
    fn scope(&self) -> Scope {
        Scope::WholeBatch
    }

    fn reads(&self) -> Reads {
        Reads { x: true, y: false }
    }

    fn indices(&self) -> Option<usize> {
        Some(self.input_dim)
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
        let embeddings = cx.param(self.embeddings);
        let vectors = y.data.par_chunks_mut(self.output_dim).zip(x.data).with_min_len(TASK.div_ceil(self.output_dim));
        vectors.for_each(|(y, &x)| match self.row(x) {
            Some(start) => y.copy_from_slice(&embeddings[start..][..self.output_dim]),
            None => y.fill(T::nan()),
        });
    }

    fn backward<T: Scalar>(&self, cx: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
        if let Some(dx) = dx {
            dx.data.fill(T::zero());
        }
        if !cx.trainable() {
            return;
        }
        let gradient = cx.grads.of(self.embeddings);
        for (dy, &x) in taped.dy.data.chunks_exact(self.output_dim).zip(taped.x.data) {
            let Some(start) = self.row(x) else {
                continue;
            };
            for (gradient, &dy) in gradient[start..].iter_mut().zip(dy) {
                *gradient += dy;
            }
        }
    }
}

impl BuiltEmbedding {
    /// Where the vector of an index starts.
    fn row<T: Scalar>(&self, index: T) -> Option<usize> {
        let index = index.trunc().to_usize().filter(|&index| index < self.input_dim)?;
        Some(index * self.output_dim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, gradcheck::check_layer_at, prelude::*};

    #[test]
    fn each_index_gets_its_vector() {
        let mut model = Sequential::new([2]).add(Embedding::new(3, 2)).build().unwrap();
        assert!(model.params().iter().all(|w| (-0.05..0.05).contains(w)));
        model.set_weights(&[Tensor::from([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])]).unwrap();
        let y = [4.0, 5.0, 0.0, 1.0, 2.0, 3.0, 2.0, 3.0];
        assert_eq!(model.predict(&Tensor::from([[2.0f32, 0.0], [1.0, 1.0]])).unwrap().data(), y);
        assert_eq!(model.predict(&Tensor::from([[2u8, 0], [1, 1]])).unwrap().data(), y);
    }

    #[test]
    fn what_is_no_index_is_an_error_before_the_first_step() {
        let model = || Sequential::new([2]).add(Embedding::new(3, 1)).add(Flatten::new());
        let mut model = model().compile(SGD::default(), MeanSquaredError, []).unwrap();
        let y = Tensor::zeros([2, 2]);
        for (bad, shown) in [(-1.0, "-1"), (1.5, "1.5"), (3.0, "3"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            let x = Tensor::from([[0.0, 2.0], [1.0, bad]]);
            let errors = [
                model.predict(&x).unwrap_err(),
                model.evaluate(&x, &y).unwrap_err(),
                model.fit(&x, &y, Fit::new().verbose(0)).unwrap_err(),
            ];
            for error in errors {
                assert!(matches!(error, Error::Data { .. }), "{error}");
                let expected = format!("x of sample 1 holds {shown}");
                assert!(error.to_string().contains(&expected), "{error}");
            }
        }
        assert!(model.predict(&Tensor::from([[0u8, 2], [3, 1]])).is_err());
    }

    #[test]
    fn behind_other_layers_what_is_no_index_gives_nan() {
        let mut model = Sequential::new([1]).add(Rescaling::new(1.0)).add(Embedding::new(3, 1)).build().unwrap();
        model.set_weights(&[Tensor::from([[5.0], [6.0], [7.0]])]).unwrap();
        let x = Tensor::from([[-0.5], [1.5], [2.0], [-1.0], [3.0], [f32::NAN]]);
        let y = model.predict(&x).unwrap();
        assert!(y.data()[..3] == [5.0, 6.0, 7.0] && y.data()[3..].iter().all(|y| y.is_nan()), "{y}");
    }

    #[test]
    fn dimensions_of_0_are_errors() {
        for layer in [Embedding::new(0, 2), Embedding::new(2, 0), Embedding::new(usize::MAX, 2)] {
            let error = Sequential::new([2]).add(layer).build().unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
        }
        assert!(Sequential::new([1; 5]).add(Embedding::new(2, 2)).build().is_err());
    }

    #[test]
    fn gradients() {
        // In the middle between two indices, so that the step of a difference leaves the index as it is.
        let x = Tensor::from_fn([3, 2, 4], |[n, i, j]| ((n + 3 * i + 5 * j) % 5) as f64 + 0.5);
        for layer in [Embedding::new(5, 3), Embedding::new(9, 1)] {
            let report = check_layer_at(&layer, &x).unwrap();
            assert!(report.max_relative_error < 1e-6, "{layer:?}: {report}");
        }
    }
}
