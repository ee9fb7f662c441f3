//! [`TorchReport`]: which tensor went where.

use std::fmt;

use crate::Shape;

/// Which tensor of a file of PyTorch went into which weight. It prints as a table.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TorchReport {
    /// The weights that were replaced, in their order.
    pub assigned: Vec<Assigned>,
    /// The tensors that no weight was made of.
    pub ignored: Vec<String>,
    /// The weights of the model that are as they were.
    pub kept: Vec<String>,
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
        let [a, b, c] = [width(0), width(1), width(2)];
        let rows =
            rows.iter().map(|[tensor, from, weight, to]| format!("{tensor:<a$}  {from:<b$}  ->  {weight:<c$}  {to}"));
        let ignored = self.ignored.iter().map(|name| format!("ignored {name}"));
        let kept = self.kept.iter().map(|name| format!("kept {name}"));
        let notes = self.notes.iter().map(|note| format!("note: {note}"));
        f.write_str(&rows.chain(ignored).chain(kept).chain(notes).collect::<Vec<_>>().join("\n"))
    }
}
