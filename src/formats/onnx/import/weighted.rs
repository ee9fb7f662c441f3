//! Operators with weights that are neither convolutions nor poolings.

use serde_json::json;

use super::{Import, with_bias};
use crate::formats::onnx::{channels_last, constant::Constant, position, reader::Operation};

impl Import<'_> {
    pub(super) fn gemm(&mut self, node: &Operation) -> Result<(), String> {
        if node.int("transA", 0) != 0 || self.plan.sample.len() != 1 {
            return Err(format!("expected samples of one dimension, got {:?}", self.plan.sample_in_file()));
        }
        let mut kernel = node.constant(1)?;
        if kernel.dims.len() != 2 {
            return Err(format!("expected a matrix, got dimensions {:?}", kernel.dims));
        }
        if node.int("transB", 0) != 0 {
            kernel = kernel.permuted(&[1, 0]);
        }
        let bias = node.optional_constant(2)?.map(|bias| scaled(bias, node.float("beta", 1.0)));
        self.dense(scaled(kernel, node.float("alpha", 1.0)), bias)
    }

    pub(super) fn mat_mul(&mut self, node: &Operation) -> Result<(), String> {
        let (kernel, rank) = (node.constant(1)?, self.plan.sample.len());
        if kernel.dims.len() != 2 || rank == 0 {
            return Err(format!("expected a matrix as its input 1, got dimensions {:?}", kernel.dims));
        }
        if self.plan.order[rank - 1] != rank - 1 {
            self.plan.arrange(&channels_last(rank))?;
        }
        self.dense(kernel, None)
    }

    /// A layer with `kernel: [features, units]`, whose features are in the order of the file.
    fn dense(&mut self, mut kernel: Constant, bias: Option<Constant>) -> Result<(), String> {
        let (features, units) = (kernel.dims[0], kernel.dims[1]);
        if self.plan.sample.last() != Some(&features) || kernel.values.is_empty() {
            return Err(format!(
                "its matrix has the dimensions {:?}, and the samples {:?}",
                kernel.dims,
                self.plan.sample_in_file()
            ));
        }
        if let Some((sample, order)) = self.plan.flattened.take() {
            let places = Constant { dims: sample, values: (0..features).map(|place| place as f64).collect() };
            let mut values = vec![0.0; kernel.values.len()];
            // Where the file's features stand in cornu's.
            for (row, &place) in kernel.values.chunks_exact(units).zip(&places.permuted(&order).values) {
                values[place as usize * units..][..units].copy_from_slice(row);
            }
            kernel.values = values;
        }
        let bias = match bias {
            Some(bias) if bias.values.len() == units && bias.dims.last() == Some(&units) => {
                Some(Constant::vector(bias.values))
            }
            Some(bias) => match bias.single() {
                Some(number) => Some(Constant::vector(vec![number; units])),
                None => return Err(format!("expected a bias of {units} numbers, got dimensions {:?}", bias.dims)),
            },
            None => None,
        };
        let mut config = json!({ "units": units });
        let weights = with_bias(&mut config, kernel, bias);
        self.plan.push("Dense", config, weights)
    }

    pub(super) fn batch_normalization(&mut self, node: &Operation) -> Result<(), String> {
        if node.int("training_mode", 0) != 0 {
            return Err("it is in training mode; export the model in evaluation mode".into());
        }
        let &axis = self.plan.order.first().ok_or("a sample has no channels")?;
        let weights = (1..5).map(|input| node.constant(input)).collect::<Result<Vec<_>, _>>()?;
        let axis = if axis + 1 == self.plan.sample.len() { -1 } else { axis as i64 + 1 };
        self.plan.push("BatchNormalization", json!({"axis": axis, "epsilon": node.float("epsilon", 1e-5)}), weights)
    }

    pub(super) fn layer_normalization(&mut self, node: &Operation) -> Result<(), String> {
        let first = self.axis(node.int("axis", -1))?;
        self.plan.arrange(&channels_last(self.plan.sample.len()))?;
        let dims = self.plan.sample[first..].to_vec();
        let axes: Vec<usize> = (first + 1..=self.plan.sample.len()).collect();
        let weight = |constant: Constant| match constant.dims.iter().rev().eq(dims.iter().rev()) {
            true => Ok(constant),
            false => Err(format!("expected weights of the dimensions {dims:?}, got {:?}", constant.dims)),
        };
        let gamma = weight(node.constant(1)?)?;
        let beta = node.optional_constant(2)?.map(weight).transpose()?;
        let config =
            json!({"axis": axes, "epsilon": node.float("epsilon", 1e-5), "center": beta.is_some(), "scale": true});
        self.plan.push("LayerNormalization", config, [gamma].into_iter().chain(beta).collect())
    }

    pub(super) fn prelu(&mut self, node: &Operation) -> Result<(), String> {
        let slope = node.constant(1)?;
        let rank = self.plan.sample.len();
        // Broadcast from the last dimension on; the first can be the batch's.
        let dims = match &slope.dims[..] {
            [1, dims @ ..] if dims.len() == rank => dims,
            dims => dims,
        };
        let missing = rank.checked_sub(dims.len());
        let missing = missing.filter(|_| !slope.values.is_empty());
        let missing = missing.ok_or_else(|| {
            format!("expected a slope for samples {:?}, got dimensions {:?}", self.plan.sample_in_file(), slope.dims)
        })?;
        let dims = [&vec![1; missing][..], dims].concat();
        let places: Vec<usize> = (0..rank).map(|dimension| position(&self.plan.order, dimension)).collect();
        let alpha = slope.reshaped(dims).permuted(&places);
        let shared = (0..rank).filter(|&axis| alpha.dims[axis] == 1).map(|axis| axis + 1);
        let shared: Vec<usize> = shared.collect();
        self.plan.push("PReLU", json!({ "shared_axes": shared }), vec![alpha])
    }

    pub(super) fn embedding(&mut self, node: &Operation) -> Result<(), String> {
        let table = node.constant(0)?;
        let &[inputs, outputs] = &table.dims[..] else {
            return Err(format!("expected a matrix of embeddings as its input 0, got dimensions {:?}", table.dims));
        };
        if node.int("axis", 0) != 0 {
            return Err("expected axis 0, that of the embeddings".into());
        }
        self.plan.arrange(&channels_last(self.plan.sample.len()))?;
        self.plan.push("Embedding", json!({"input_dim": inputs, "output_dim": outputs}), vec![table])
    }
}

fn scaled(mut constant: Constant, factor: f64) -> Constant {
    constant.values.iter_mut().for_each(|value| *value *= factor);
    constant
}
