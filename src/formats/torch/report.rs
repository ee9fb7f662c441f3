//! [`TorchReport`]: which tensor went where.

use std::fmt;

use crate::Shape;

/// Which tensor of a file of PyTorch went into which weight. It prints as a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TorchReport {
    /// The weights that were replaced, in their order.
    pub assigned: Vec<Assigned>,
    /// The tensors that no weight was made of.
    pub ignored: Vec<String>,
    /// What is worth a look.
    pub notes: Vec<String>,
}

/// A tensor of a file, and the weight that it has become.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// The name in the file.
    pub tensor: String,
    /// The shape in the file.
    pub tensor_shape: Vec<usize>,
    /// The name in [`Model::layout`](crate::Model::layout).
    pub weight: String,
    /// The shape in the model.
    pub weight_shape: Shape,
}

impl fmt::Display for TorchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self
            .assigned
            .iter()
            .map(|row| {
                [
                    row.tensor.clone(),
                    format!("{:?}", row.tensor_shape),
                    row.weight.clone(),
                    row.weight_shape.to_string(),
                ]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2)];
        for [tensor, from, weight, to] in &rows {
            let [a, b, c] = widths;
            writeln!(f, "{tensor:<a$}  {from:<b$}  ->  {weight:<c$}  {to}")?;
        }
        for name in &self.ignored {
            writeln!(f, "{name}  ignored")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}
