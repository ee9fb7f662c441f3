//! [`ConfusionMatrix`] and [`ClassificationReport`]: which classes are taken for which.

use std::fmt::{self, Display, Formatter};

use super::ratio;
use crate::{Error, Labels, Result};

/// How often each class was predicted for each label.
///
/// ```
/// use cornu::{Labels, metrics::ConfusionMatrix};
///
/// let labels = Labels::from(vec![0u8, 0, 1, 2, 2]);
/// let predictions = Labels::from(vec![0u8, 2, 1, 2, 2]); // what predict_classes gives
/// let matrix = ConfusionMatrix::new(&labels, &predictions, 3)?;
/// assert_eq!(matrix.counts()[0], [1, 0, 1]);
/// assert_eq!((matrix.accuracy(), matrix.recall()), (0.8, vec![0.5, 1.0, 1.0]));
/// assert_eq!(
///     matrix.to_string(),
///     "true\\predicted  0  1  2\n\
///      \x20            0  1  0  1\n\
///      \x20            1  0  1  0\n\
///      \x20            2  0  0  2\n"
/// );
/// println!("{}", matrix.report());
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    counts: Vec<Vec<usize>>,
}

impl ConfusionMatrix {
    /// Of samples with these labels, and what was predicted for each.
    ///
    /// # Errors
    /// When there are not as many predictions as labels, a class is not below `classes`, or `classes` is 0.
    pub fn new(labels: &Labels, predictions: &Labels, classes: usize) -> Result<Self> {
        let place = "ConfusionMatrix::new";
        if classes == 0 {
            return Err(Error::argument(place, "classes must be at least 1, got 0"));
        }
        if labels.len() != predictions.len() {
            let message = format!(
                "expected a prediction for each label, got {} labels and {} predictions",
                labels.len(),
                predictions.len()
            );
            return Err(Error::data(place, message));
        }
        // A gigabyte of counts.
        if classes > 1 << 13 {
            return Err(Error::argument(place, format!("classes must be at most {}, got {classes}", 1 << 13)));
        }
        for (what, classes_of) in [("label", labels), ("prediction", predictions)] {
            if let Some((i, class)) = classes_of.iter().enumerate().find(|&(_, class)| class >= classes) {
                let message = format!("expected classes below {classes}, got the {what} {class} of sample {i}");
                return Err(Error::data(place, message));
            }
        }
        let mut counts = vec![vec![0; classes]; classes];
        for (label, prediction) in labels.iter().zip(predictions.iter()) {
            counts[label][prediction] += 1;
        }
        Ok(ConfusionMatrix { counts })
    }

    /// The counts: `counts()[label][prediction]`.
    pub fn counts(&self) -> &[Vec<usize>] {
        &self.counts
    }

    /// The share of the samples whose label was predicted; 0 of none.
    pub fn accuracy(&self) -> f64 {
        ratio(self.right().sum(), self.support().iter().sum::<usize>() as f64)
    }

    /// Of each class, the share of its predictions that are right; 0 where it was never predicted.
    pub fn precision(&self) -> Vec<f64> {
        self.right().zip(self.predicted()).map(|(right, predicted)| ratio(right, predicted)).collect()
    }

    /// Of each class, the share of its samples for which it was predicted; 0 where it has none.
    pub fn recall(&self) -> Vec<f64> {
        self.right().zip(self.support()).map(|(right, support)| ratio(right, support as f64)).collect()
    }

    /// Of each class, the harmonic mean of precision and recall; 0 where both are.
    pub fn f1(&self) -> Vec<f64> {
        let both = self.predicted().zip(self.support()).map(|(predicted, support)| predicted + support as f64);
        self.right().zip(both).map(|(right, both)| ratio(2.0 * right, both)).collect()
    }

    /// Of each class, how many samples have it.
    pub fn support(&self) -> Vec<usize> {
        self.counts.iter().map(|row| row.iter().sum()).collect()
    }

    /// All of these figures as a table.
    pub fn report(&self) -> ClassificationReport {
        let names = (0..self.counts.len()).map(|class| class.to_string()).collect();
        ClassificationReport { matrix: self.clone(), names }
    }

    fn right(&self) -> impl Iterator<Item = f64> {
        self.counts.iter().enumerate().map(|(class, row)| row[class] as f64)
    }

    fn predicted(&self) -> impl Iterator<Item = f64> {
        (0..self.counts.len()).map(|class| self.counts.iter().map(|row| row[class]).sum::<usize>() as f64)
    }
}

/// A table with a row for each label and a column for each prediction.
impl Display for ConfusionMatrix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let corner = r"true\predicted";
        let largest = self.counts.iter().flatten().max().copied().unwrap_or(0).max(self.counts.len() - 1);
        let width = largest.to_string().len() + 2;
        write!(f, "{corner}")?;
        for class in 0..self.counts.len() {
            write!(f, "{class:>width$}")?;
        }
        writeln!(f)?;
        for (class, row) in self.counts.iter().enumerate() {
            write!(f, "{class:>corner$}", corner = corner.len())?;
            for count in row {
                write!(f, "{count:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Precision, recall and F1 of each class and their averages, printed as scikit-learn's `classification_report`. A precision of the
/// format sets the number of decimals, 2 by default: `{:.4}`.
///
/// ```
/// use cornu::{Labels, metrics::ConfusionMatrix};
///
/// let (labels, predictions) = (Labels::from(vec![0u8, 0, 1, 1]), Labels::from(vec![0u8, 1, 1, 1]));
/// let report = ConfusionMatrix::new(&labels, &predictions, 2)?.report().target_names(["cat", "dog"])?;
/// print!("{report}");
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// ```text
///               precision    recall  f1-score   support
///
///          cat       1.00      0.50      0.67         2
///          dog       0.67      1.00      0.80         2
///
///     accuracy                           0.75         4
///    macro avg       0.83      0.75      0.73         4
/// weighted avg       0.83      0.75      0.73         4
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassificationReport {
    matrix: ConfusionMatrix,
    names: Vec<String>,
}

impl ClassificationReport {
    /// What the classes are called; their numbers by default.
    ///
    /// # Errors
    /// When there are not as many names as classes.
    pub fn target_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.len() != self.names.len() {
            let message = format!("expected a name for each of {} classes, got {}", self.names.len(), names.len());
            return Err(Error::argument("ClassificationReport::target_names", message));
        }
        self.names = names;
        Ok(self)
    }
}

impl Display for ClassificationReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (matrix, support) = (&self.matrix, self.matrix.support());
        let figures = [matrix.precision(), matrix.recall(), matrix.f1()];
        let samples: usize = support.iter().sum();
        let longest = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let (width, digits) = (longest.max("weighted avg".len()), f.precision().unwrap_or(2));
        let row = |f: &mut Formatter<'_>, name: &str, [precision, recall, f1]: [f64; 3], support: usize| {
            writeln!(f, "{name:>width$}  {precision:>9.digits$} {recall:>9.digits$} {f1:>9.digits$} {support:>9}")
        };
        writeln!(f, "{:>width$}  {:>9} {:>9} {:>9} {:>9}\n", "", "precision", "recall", "f1-score", "support")?;
        for (class, name) in self.names.iter().enumerate() {
            row(f, name, figures.each_ref().map(|figure| figure[class]), support[class])?;
        }
        let accuracy = matrix.accuracy();
        writeln!(f, "\n{:>width$}  {:>9} {:>9} {accuracy:>9.digits$} {samples:>9}", "accuracy", "", "")?;
        let macro_average = |figure: &Vec<f64>| figure.iter().sum::<f64>() / figure.len() as f64;
        let weighted_average = |figure: &Vec<f64>| {
            ratio(figure.iter().zip(&support).map(|(figure, &n)| figure * n as f64).sum(), samples as f64)
        };
        row(f, "macro avg", figures.each_ref().map(macro_average), samples)?;
        row(f, "weighted avg", figures.each_ref().map(weighted_average), samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> ConfusionMatrix {
        let labels = Labels::from(vec![0u8, 0, 0, 1, 1, 2, 2, 2, 2]);
        ConfusionMatrix::new(&labels, &Labels::from(vec![0u8, 0, 1, 1, 1, 2, 2, 0, 1]), 4).unwrap()
    }

    #[test]
    fn figures_of_each_class() {
        let matrix = matrix();
        assert_eq!(matrix.counts(), [[2, 1, 0, 0], [0, 2, 0, 0], [1, 1, 2, 0], [0, 0, 0, 0]]);
        assert_eq!(matrix.accuracy(), 6.0 / 9.0);
        assert_eq!(matrix.precision(), [2.0 / 3.0, 0.5, 1.0, 0.0]);
        assert_eq!(matrix.recall(), [2.0 / 3.0, 1.0, 0.5, 0.0]);
        assert_eq!(matrix.f1(), [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 0.0]);
        assert_eq!(matrix.support(), [3, 2, 4, 0]);
        let none = Labels::from(Vec::<u8>::new());
        assert_eq!(ConfusionMatrix::new(&none, &none, 2).unwrap().accuracy(), 0.0);
    }

    /// As scikit-learn 1.x prints them.
    #[test]
    fn the_report_is_that_of_scikit_learn() {
        let expected = "
              precision    recall  f1-score   support

           0       0.67      0.67      0.67         3
           1       0.50      1.00      0.67         2
           2       1.00      0.50      0.67         4
           3       0.00      0.00      0.00         0

    accuracy                           0.67         9
   macro avg       0.54      0.54      0.50         9
weighted avg       0.78      0.67      0.67         9
";
        assert_eq!(format!("\n{}", matrix().report()), expected);
        let expected = "
                    precision    recall  f1-score   support

a long name indeed     0.6667    0.6667    0.6667         3
                 b     0.5000    1.0000    0.6667         2
                 c     1.0000    0.5000    0.6667         4
                 d     0.0000    0.0000    0.0000         0

          accuracy                         0.6667         9
         macro avg     0.5417    0.5417    0.5000         9
      weighted avg     0.7778    0.6667    0.6667         9
";
        let report = matrix().report().target_names(["a long name indeed", "b", "c", "d"]).unwrap();
        assert_eq!(format!("\n{report:.4}"), expected);
    }

    #[test]
    fn what_is_no_matrix_is_an_error() {
        let message = |labels: &[u8], predictions: &[u8], classes| {
            let (labels, predictions) = (labels.to_vec().into(), predictions.to_vec().into());
            ConfusionMatrix::new(&labels, &predictions, classes).unwrap_err().to_string()
        };
        assert_eq!(message(&[], &[], 0), "ConfusionMatrix::new: classes must be at least 1, got 0");
        assert_eq!(
            message(&[0, 1], &[0], 2),
            "ConfusionMatrix::new: expected a prediction for each label, got 2 labels and 1 predictions"
        );
        assert_eq!(
            message(&[0, 2], &[0, 1], 2),
            "ConfusionMatrix::new: expected classes below 2, got the label 2 of sample 1"
        );
        assert_eq!(
            message(&[0, 1], &[3, 1], 2),
            "ConfusionMatrix::new: expected classes below 2, got the prediction 3 of sample 0"
        );
        let error = matrix().report().target_names(["cat", "dog"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ClassificationReport::target_names: expected a name for each of 4 classes, got 2"
        );
    }
}
