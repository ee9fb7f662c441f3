//! [`confusion_matrix`]: which classes are taken for which.

use std::path::Path;

use super::{
    canvas::{Anchor, BLACK, Canvas, WHITE},
    colors::BLUES,
    font,
};
use crate::{Error, Result, metrics::ConfusionMatrix};

/// The side of the matrix, in pixels, where its cells are not at the limits of their size.
const SIDE: f64 = 480.0;
/// Counts and classes are left out where a cell has no room for them.
const LEAST_TEXT: f64 = 6.0;

/// Draws how often each class was predicted for each label: a row for each label, a column for each prediction, a count in each cell,
/// whose color tells the share of the row. The classes have their numbers.
///
/// ```
/// use cornu::prelude::*;
///
/// let labels = Labels::from(vec![0u8, 0, 1, 2, 2]);
/// let predictions = Labels::from(vec![0u8, 2, 1, 2, 2]); // what predict_classes gives
/// let matrix = ConfusionMatrix::new(&labels, &predictions, 3)?;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("matrix.png");
/// plot::confusion_matrix(&matrix, &path)?;
/// # assert!(path.exists());
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// When the path ends neither in `.svg` nor in `.png`, the file cannot be written, or there are so many classes that the picture would be too
/// large.
pub fn confusion_matrix(matrix: &ConfusionMatrix, path: impl AsRef<Path>) -> Result<()> {
    let numbers: Vec<_> = (0..matrix.counts().len()).map(|class| class.to_string()).collect();
    draw("plot::confusion_matrix", matrix, &numbers, path.as_ref())
}

/// [`confusion_matrix`] with the names of the classes.
///
/// # Errors
/// As [`confusion_matrix`], and when there are not as many names as classes.
pub fn confusion_matrix_named<N: AsRef<str>>(
    matrix: &ConfusionMatrix,
    names: &[N],
    path: impl AsRef<Path>,
) -> Result<()> {
    let place = "plot::confusion_matrix_named";
    let classes = matrix.counts().len();
    if names.len() != classes {
        let message = format!("expected a name for each of {classes} classes, got {}", names.len());
        return Err(Error::argument(place, message));
    }
    let names: Vec<_> = names.iter().map(|name| name.as_ref().to_owned()).collect();
    draw(place, matrix, &names, path.as_ref())
}

fn draw(place: &'static str, matrix: &ConfusionMatrix, names: &[String], path: &Path) -> Result<()> {
    let counts = matrix.counts();
    let classes = counts.len();
    let cell = (SIDE / classes as f64).clamp(9.0, 64.0).floor();
    let side = cell * classes as f64;
    let largest = counts.iter().flatten().max().copied().unwrap_or(0).to_string();
    // What the largest count leaves of the cell at its sides is a tenth of it.
    let count_size = (0.8 * cell / font::width(&largest, 1.0)).min(0.5 * cell).min(14.0);
    let name_size = (0.9 * cell).min(12.0);
    let longest = names.iter().map(|name| font::width(name, name_size)).fold(0.0, f64::max);
    let upwards = longest > 0.9 * cell;
    let left = (46.0 + longest).ceil();
    let top = 44.0;
    let below = if upwards { longest } else { name_size };
    let samples: usize = matrix.support().iter().sum();
    let title = format!("accuracy {:.2} % of {samples} samples", 100.0 * matrix.accuracy());
    let width = (left + side + 112.0).max(left + font::width(&title, 13.0) + 16.0);
    let mut canvas = Canvas::new(width, top + side + below + 46.0);
    canvas.check(place)?;

    let share = |row: &[usize], count: usize| count as f64 / row.iter().sum::<usize>().max(1) as f64;
    for (y, row) in counts.iter().enumerate() {
        for (x, &count) in row.iter().enumerate() {
            let (x, y) = (left + cell * x as f64, top + cell * y as f64);
            let share = share(row, count);
            canvas.rect((x, y), (cell, cell), BLUES.at(share));
            if count_size >= LEAST_TEXT {
                let color = if share > 0.5 {
                    WHITE
                } else if count == 0 {
                    [0xa0; 3]
                } else {
                    BLACK
                };
                canvas.text(count.to_string(), (x + cell / 2.0, y + cell / 2.0), Anchor::Middle, count_size, color);
            }
        }
    }
    canvas.frame((left, top), (side, side), [0x80; 3]);
    for (class, name) in names.iter().enumerate().filter(|_| name_size >= LEAST_TEXT) {
        let middle = cell * (class as f64 + 0.5);
        canvas.text(name, (left - 6.0, top + middle), Anchor::End, name_size, BLACK);
        if upwards {
            canvas.text_upwards(
                name,
                (left + middle, top + side + 6.0 + font::width(name, name_size) / 2.0),
                name_size,
                BLACK,
            );
        } else {
            canvas.text(name, (left + middle, top + side + 6.0 + name_size / 2.0), Anchor::Middle, name_size, BLACK);
        }
    }
    canvas.text(title, (left, 22.0), Anchor::Start, 13.0, BLACK);
    canvas.text("prediction", (left + side / 2.0, top + side + below + 26.0), Anchor::Middle, 13.0, BLACK);
    canvas.text_upwards("label", (18.0, top + side / 2.0), 13.0, BLACK);
    canvas.color_bar((left + side + 20.0, top), side, &BLUES, ["0 %", "50 %", "100 %"]);
    canvas.text_upwards("share of the label", (left + side + 92.0, top + side / 2.0), 12.0, BLACK);
    canvas.save(place, path)
}
