//! The flat store: all weights of a model in one array.

use std::ops::Range;

use crate::{Constraint, Error, Initializer, Regularizer, Result, Scalar, Shape, rng};

/// Names one weight of a model; a built layer holds the ids of its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParamId(usize);

/// What a layer is told of one of its weights: how it starts, and how training treats it. An [`Initializer`] stands for one of
/// which it says all.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSpec {
    /// How the weight starts.
    pub initializer: Initializer,
    /// A penalty on its size.
    pub regularizer: Option<Regularizer>,
    /// What it is brought back to after each step.
    pub constraint: Option<Constraint>,
}

impl WeightSpec {
    /// Whether it suits a weight of `shape`; if not, what does not.
    pub(crate) fn check(&self, shape: Shape) -> Result<(), String> {
        self.initializer.check()?;
        self.regularizer.map_or(Ok(()), |regularizer| regularizer.check())?;
        self.constraint.as_ref().map_or(Ok(()), |constraint| constraint.check(shape))
    }
}

impl From<Initializer> for WeightSpec {
    fn from(initializer: Initializer) -> Self {
        WeightSpec { initializer, regularizer: None, constraint: None }
    }
}

impl From<&WeightSpec> for WeightSpec {
    fn from(spec: &WeightSpec) -> Self {
        spec.clone()
    }
}

/// What a layer declared about a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamInfo {
    /// Layer and weight, as `conv2d/kernel`.
    pub name: String,
    /// The weight's shape.
    pub shape: Shape,
    /// How it starts, and how training treats it.
    pub spec: WeightSpec,
    /// Whether gradients move it.
    pub trainable: bool,
    /// Where it stands in the flat array.
    offset: usize,
}

impl ParamInfo {
    /// Where the weight stands in the flat array.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.shape.size()
    }
}

/// Where each weight stands in the flat array, in the order in which the layers declared them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParamLayout {
    infos: Vec<ParamInfo>,
    len: usize,
}

impl ParamLayout {
    pub(crate) fn declare(&mut self, name: String, shape: Shape, spec: WeightSpec, trainable: bool) -> Result<ParamId> {
        let end = self.len.checked_add(shape.size());
        // Half of the address space for the weights alone: no machine holds that, and no sum below can overflow.
        let Some(end) = end.filter(|&end| end < usize::MAX / 32) else {
            return Err(Error::argument(name, format!("a weight of shape {shape} is larger than any memory")));
        };
        self.infos.push(ParamInfo { name, shape, spec, trainable, offset: self.len });
        self.len = end;
        Ok(ParamId(self.infos.len() - 1))
    }

    /// The number of elements of the flat array.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no weight.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The weights in the order of the flat array.
    pub fn infos(&self) -> &[ParamInfo] {
        &self.infos
    }

    /// Where a weight stands in the flat array.
    pub fn range(&self, id: ParamId) -> Range<usize> {
        self.infos[id.0].range()
    }

    /// The flat array as the initializers draw it: each weight has a random stream of its own, so adding a layer at
    /// the end changes no other layer's weights.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn initialize<T: Scalar>(&self, seed: u64) -> Result<Vec<T>> {
        let mut values = Vec::new();
        values.try_reserve_exact(self.len).map_err(|_| {
            let largest = self.infos.iter().max_by_key(|info| info.shape.size());
            let (name, shape) = largest.map_or(("", Shape::from(())), |info| (&info.name, info.shape));
            Error::argument(name, format!("there is no memory for a weight of shape {shape} and all others"))
        })?;
        values.resize(self.len, T::zero());
        for (i, info) in self.infos.iter().enumerate() {
            let mut rng = rng::stream(seed, rng::WEIGHTS, i as u64, 0);
            info.spec.initializer.fill(info.shape, &mut rng, &mut values[info.range()]);
        }
        Ok(values)
    }
}
