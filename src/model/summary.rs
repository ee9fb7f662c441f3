//! The table that Keras's `summary` prints, and below it what Keras lacks: the memory that the model takes.

use super::{DEFAULT_BATCH_SIZE, Model, graph::Node, infer, packed::Packed, tape::Tape};
use crate::{Scalar, Shape};

/// The widths of the columns, without the space on both sides; those of Keras.
const WIDTHS: [usize; 3] = [31, 22, 13];

impl<T: Scalar> Model<T> {
    /// The table that Keras prints, and below it the memory that training and predicting take for batches of 32.
    pub fn summary(&self) -> String {
        self.summary_for(DEFAULT_BATCH_SIZE)
    }

    /// [`summary`](Model::summary) with the memory for batches of `batch_size` samples.
    pub fn summary_for(&self, batch_size: usize) -> String {
        let layers = self.layers();
        let mut table =
            table(layers.map(|layer| (layer.name(), layer.class_name(), layer.output_shape(), layer.count_params())));
        let trainable: usize = self.graph.trained().map(|info| info.shape.size()).sum();
        let optimizer = self.compiled.as_ref().map_or(0, |compiled| compiled.count_params());
        // Of all these numbers only the optimizer's step is an integer, of 8 bytes.
        let step = if optimizer > 0 { size_of::<u64>() - size_of::<T>() } else { 0 };
        let mut line = |name: &str, count: usize, step: usize| {
            table += &total(name, count, count * size_of::<T>() + step);
        };
        line("Total", self.count_params() + optimizer, step);
        line("Trainable", trainable, 0);
        line("Non-trainable", self.count_params() - trainable, 0);
        if optimizer > 0 {
            line("Optimizer", optimizer, step);
        }
        let samples = if batch_size == 1 { "sample" } else { "samples" };
        table += &format!(" Memory for a batch of {batch_size} {samples}: ");
        if self.compiled.is_some() {
            table += &format!("training {}, ", readable(self.training_bytes(batch_size)));
        }
        table + &format!("predict {}", readable(self.predict_bytes(batch_size)))
    }

    /// The bytes that [`fit`](Model::fit) holds in a step, without the data and what kernels compute in. A float, since a batch may be of any size.
    fn training_bytes(&self, batch_size: usize) -> f64 {
        // Weights, those with which the loss was finite last, gradients, and the optimizer's arrays.
        let arrays = 3 * self.count_params() + self.compiled.as_ref().map_or(0, |compiled| compiled.held());
        let batch = batch_size as f64 * self.graph.input.size() as f64;
        let reach = self.graph.reach();
        let packed = Packed::<T>::elements(&self.graph, Some(reach)) as f64;
        let tape = Tape::<T>::elements(&self.graph, batch_size, reach);
        let elements = arrays as f64 + packed + batch + tape;
        let work = |node: &Node| node.methods::<T>().work_bytes(node.output.size()) as f64;
        let works: f64 = self.graph.nodes.iter().map(work).sum();
        elements * size_of::<T>() as f64 + works * batch_size as f64 + infer::space_bytes::<T>(&self.graph) as f64
    }

    /// The bytes that [`predict`](Model::predict) holds, without the data, the result and what kernels compute in.
    fn predict_bytes(&self, batch_size: usize) -> f64 {
        let batch_size = batch_size.min(infer::largest_batch(&self.graph));
        let boundaries = batch_size as f64 * infer::boundary_elements(&self.graph) as f64;
        let packed = Packed::<T>::elements(&self.graph, None) as f64;
        (self.count_params() as f64 + packed + boundaries) * size_of::<T>() as f64
            + infer::space_bytes::<T>(&self.graph) as f64
    }
}

/// The table of Keras: for each layer its name, its kind, its output and the number of its weights.
pub(super) fn table<'a>(layers: impl Iterator<Item = (&'a str, &'static str, Shape, usize)>) -> String {
    let mut table = String::from("Model: \"sequential\"\n");
    let rule = |left: &str, line: &str, cross: &str, right: &str| {
        format!("{left}{}{right}\n", WIDTHS.map(|width| line.repeat(width + 2)).join(cross))
    };
    table += &rule("┏", "━", "┳", "┓");
    table += &row("┃", ["Layer (type)", "Output Shape", "Param #"]);
    table += &rule("┡", "━", "╇", "┩");
    for (i, (name, class, output, count)) in layers.enumerate() {
        if i > 0 {
            table += &rule("├", "─", "┼", "┤");
        }
        table += &layer_rows(name, class, output, count);
    }
    table + &rule("└", "─", "┴", "┘")
}

/// A line below the table: how many numbers, and how many bytes they take.
pub(super) fn total(name: &str, count: usize, bytes: usize) -> String {
    format!(" {name} params: {} ({})\n", grouped(count), readable(bytes as f64))
}

/// The rows of a layer: two where name and kind do not fit in one.
fn layer_rows(name: &str, class: &str, output: Shape, count: usize) -> String {
    let (class, shape, count) = (format!("({class})"), output.to_string_with_batch(), grouped(count));
    let first = format!("{name} {class}");
    if first.chars().count() <= WIDTHS[0] {
        return row("│", [&first, &shape, &count]);
    }
    row("│", [name, &shape, &count]) + &row("│", [&class, "", ""])
}

fn row(bar: &str, cells: [&str; 3]) -> String {
    let [layer, shape, count] = [0, 1, 2].map(|i| cut(cells[i], WIDTHS[i]));
    let [a, b, c] = WIDTHS;
    format!("{bar} {layer:<a$} {bar} {shape:<b$} {bar} {count:>c$} {bar}\n")
}

/// A text of at most `width` letters, an ellipsis where something is cut off.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

/// `34,826`
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `136.04 KB`, in powers of 1024 as Keras prints it.
fn readable(bytes: f64) -> String {
    let mut size = bytes;
    for unit in ["B", "KB", "MB", "GB"] {
        if size < 1024.0 {
            return format!("{size:.2} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.2} TB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn prints_the_table_of_keras() {
        let mut model = Sequential::new([28, 28, 1])
            .add(Conv2D::new(32, 3).activation(Activation::Relu))
            .add(MaxPooling2D::new(2))
            .add(Conv2D::new(64, 3).activation(Activation::Relu))
            .add(MaxPooling2D::new(2).named("a_name_that_is_far_too_long_to_fit_into_one_column_of_it"))
            .add(Flatten::new())
            .add(Dense::new(10).activation(Activation::Softmax))
            .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
            .unwrap();
        // Printed by Keras 3.15.
        let table = "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                 │ (None, 26, 26, 32)     │           320 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ max_pooling2d (MaxPooling2D)    │ (None, 13, 13, 32)     │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ conv2d_1 (Conv2D)               │ (None, 11, 11, 64)     │        18,496 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ a_name_that_is_far_too_long_to… │ (None, 5, 5, 64)       │             0 │
│ (MaxPooling2D)                  │                        │               │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ flatten (Flatten)               │ (None, 1600)           │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 10)             │        16,010 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 34,826 (136.04 KB)
 Trainable params: 34,826 (136.04 KB)
 Non-trainable params: 0 (0.00 B)
 Memory for a batch of 32 samples: training ";
        let summary = model.summary();
        assert!(summary.starts_with(table), "{summary}");

        let x = Tensor::new([1, 28, 28, 1], vec![0.0; 784]).unwrap();
        model.fit(&x, &Labels::from(vec![0u8]), Fit::new().verbose(0)).unwrap();
        let summary = model.summary();
        let totals = " Total params: 104,480 (408.13 KB)
 Trainable params: 34,826 (136.04 KB)
 Non-trainable params: 0 (0.00 B)
 Optimizer params: 69,654 (272.09 KB)\n";
        assert!(summary.contains(totals), "{summary}");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 1024.0, 3.0 * 1048576.0].map(readable), ["0.00 B", "1.00 KB", "3.00 MB"]);
    }
}
