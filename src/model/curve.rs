//! [`History::curve`]: how a training went, in block characters.

use super::history::{History, Significant};

/// How many lines the bars are high.
const HEIGHT: usize = 4;
/// How many columns the bars of a loss take at most: two losses and their scale fit in a terminal of 80.
const WIDTH: usize = 30;
/// By how many eighths of a cell are filled.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl History {
    /// The loss, and beside it that of the validation data, as bars of block characters, one for each epoch, to be printed. One
    /// scale serves both: the lowest bar is the smallest loss, the highest the largest; a loss that is not finite has none. Of more
    /// than 30 epochs, 30 are shown. Empty when there is no epoch.
    ///
    /// ```
    /// use cornu::prelude::*;
    ///
    /// let epoch = |loss| Epoch { train: Score { loss, metrics: vec![] }, validation: None, time: Default::default() };
    /// let history = History { epochs: vec![epoch(0.75), epoch(0.5), epoch(0.25)], warnings: vec![] };
    /// let curve = [
    ///     "0.7500 ┤███",
    ///     "       │███▁▁▁",
    ///     "       │██████",
    ///     "0.2500 ┤██████▁▁▁",
    ///     "        loss",
    /// ];
    /// assert_eq!(history.curve(), curve.join("\n"));
    /// # Ok::<(), cornu::Error>(())
    /// ```
    pub fn curve(&self) -> String {
        let curves = ["loss", "val_loss"].map(|name| Some((name, self.get(name)?)));
        let losses = curves.iter().flatten().flat_map(|(_, losses)| losses).copied().filter(|loss| loss.is_finite());
        let (Some(low), Some(high)) = (losses.clone().reduce(f64::min), losses.reduce(f64::max)) else {
            return String::new();
        };
        let [low_label, high_label] = [low, high].map(|loss| Significant(loss).to_string());
        let margin = low_label.len().max(high_label.len());
        let axis = |row: usize| match row {
            0 => format!("{high_label:>margin$} ┤"),
            row if row == HEIGHT - 1 => format!("{low_label:>margin$} ┤"),
            HEIGHT => format!("{:margin$}  ", ""),
            _ => format!("{:margin$} │", ""),
        };
        let panels: Vec<Vec<String>> =
            curves.iter().flatten().map(|(name, losses)| panel(name, losses, low, high)).collect();
        let line = |row: usize| {
            let cells: Vec<&str> = panels.iter().map(|panel| panel[row].as_str()).collect();
            (axis(row) + &cells.join("   ")).trim_end().to_owned()
        };
        (0..=HEIGHT).map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The lines of the bars, and the name below them, all of one width.
fn panel(name: &str, losses: &[f64], low: f64, high: f64) -> Vec<String> {
    let shown = losses.len().min(WIDTH);
    let width = (WIDTH / shown).min(3);
    let heights: Vec<usize> = (0..shown)
        .map(|i| if losses.len() > WIDTH { i * (losses.len() - 1) / (WIDTH - 1) } else { i })
        .map(|i| height(losses[i], low, high))
        .collect();
    let cells = |row: usize| -> String {
        let filled = |height: usize| BLOCKS[height.saturating_sub(8 * (HEIGHT - 1 - row)).min(8)];
        heights.iter().flat_map(|&height| [filled(height)].repeat(width)).collect()
    };
    let padded = |cells: String| format!("{cells:<pad$}", pad = (shown * width).max(name.len()));
    (0..HEIGHT).map(cells).chain([name.to_owned()]).map(padded).collect()
}

/// In eighths of a line.
fn height(loss: f64, low: f64, high: f64) -> usize {
    let share = if high > low { (loss - low) / (high - low) } else { 0.0 };
    if loss.is_finite() { 1 + (share * (8 * HEIGHT - 1) as f64).round() as usize } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Epoch, Score};

    fn history(losses: impl IntoIterator<Item = (f64, Option<f64>)>) -> History {
        let score = |loss| Score { loss, metrics: Vec::new() };
        let epoch = |(loss, val_loss): (f64, Option<f64>)| Epoch {
            train: score(loss),
            validation: val_loss.map(score),
            time: Default::default(),
        };
        History { epochs: losses.into_iter().map(epoch).collect(), warnings: Vec::new() }
    }

    #[test]
    fn losses_stand_side_by_side_on_one_scale() {
        let history = history([(3.2, Some(1.2)), (1.7, Some(f64::NAN)), (0.1, Some(1e-4))]);
        let expected = [
            "   3.2000 ┤███",
            "          │███▁▁▁",
            "          │██████      ▅▅▅",
            "1.0000e-4 ┤██████▂▂▂   ███   ▁▁▁",
            "           loss        val_loss",
        ];
        assert_eq!(history.curve(), expected.join("\n"));
    }

    #[test]
    fn many_epochs_take_thirty_columns() {
        let curve = history((0..1000).map(|i| (-f64::from(i), None))).curve();
        let lines: Vec<Vec<char>> = curve.lines().map(|line| line.chars().collect()).collect();
        let start = "-999.0000 ┤".chars().count();
        assert_eq!(lines[3].len(), start + WIDTH);
        assert_eq!((lines[3][start], lines[3][start + WIDTH - 1]), ('█', '▁'));
        assert_eq!(lines[0][start], '█');
    }

    #[test]
    fn equal_losses_are_a_flat_line_and_none_is_nothing() {
        assert!(history([(0.5, None), (0.5, None)]).curve().ends_with("0.5000 ┤▁▁▁▁▁▁\n        loss"));
        assert_eq!(history([]).curve(), "");
        assert_eq!(history([(f64::NAN, None)]).curve(), "");
    }
}
