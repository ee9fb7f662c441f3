//! How tensors print.

use std::{
    any::type_name,
    fmt::{self, Debug, Display, Formatter},
    iter, slice,
};

use super::{Tensor, View, ViewMut};

/// Tensors of more elements are cut to the first and last [`EDGE`] of each axis.
const MAX_ELEMENTS: usize = 1000;
const EDGE: usize = 3;
/// The largest number of decimals, unless the format says another one.
const MAX_DECIMALS: usize = 6;

/// The elements as NumPy prints them, cut with `...` when there are more than a thousand. A precision sets the number
/// of decimals: `{:.2}`.
///
/// ```
/// use cornu::Tensor;
///
/// let t = Tensor::from([[1.0, -2.5], [0.25, 1000.0]]);
/// assert_eq!(t.to_string(), "[[   1.00,   -2.50],\n [   0.25, 1000.00]]");
/// ```
impl<T: Debug> Display for Tensor<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_array(self.view(), f)
    }
}

/// As [`Display`], after the type and the shape.
impl<T: Debug> Debug for Tensor<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_with_head("Tensor", self.view(), f)
    }
}

/// As [`Display`] of a tensor.
impl<T: Debug> Display for View<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_array(*self, f)
    }
}

/// As [`Display`], after the type and the shape.
impl<T: Debug> Debug for View<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_with_head("View", *self, f)
    }
}

/// As [`Display`], after the type and the shape.
impl<T: Debug> Debug for ViewMut<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_with_head("ViewMut", self.view(), f)
    }
}

fn write_with_head<T: Debug>(name: &str, view: View<T>, f: &mut Formatter<'_>) -> fmt::Result {
    let space = if view.shape.rank() > 1 { '\n' } else { ' ' };
    write!(f, "{name}<{}> {}{space}", type_name::<T>(), view.shape)?;
    write_array(view, f)
}

/// Writes the elements in nested brackets, aligned to the right.
pub(crate) fn write_array<T: Debug>(view: View<T>, f: &mut Formatter<'_>) -> fmt::Result {
    if view.data.is_empty() {
        return f.write_str("[]");
    }
    let edge = if view.data.len() > MAX_ELEMENTS { EDGE } else { MAX_ELEMENTS };
    let mut shown = Vec::new();
    collect_shown(view, edge, &mut shown);
    let cells = format_elements(&shown, f.precision());
    let width = cells.iter().map(String::len).max().unwrap_or(0);
    write_axis(view.shape.dims(), edge, 1, &mut cells.iter(), width, f)
}

/// The elements that are not cut, in row-major order.
fn collect_shown<'a, T>(view: View<'a, T>, edge: usize, shown: &mut Vec<&'a T>) {
    let &[dim, ..] = view.shape.dims() else {
        return shown.extend(view.data);
    };
    for i in picks(dim, edge).flatten() {
        collect_shown(view.nth_sample(i), edge, shown);
    }
}

/// The indices of an axis that are shown; `None` stands for those between.
fn picks(dim: usize, edge: usize) -> impl Iterator<Item = Option<usize>> {
    let cut = dim > 2 * edge;
    let (head, tail) = if cut { (edge, dim - edge) } else { (dim, dim) };
    (0..head).map(Some).chain(iter::repeat_n(None, cut.into())).chain((tail..dim).map(Some))
}

/// Each element as text, all with as many decimals as the one that needs most. Numbers that Rust prints with an
/// exponent, very small and very large ones, keep it.
fn format_elements<T: Debug>(elements: &[&T], precision: Option<usize>) -> Vec<String> {
    let mut cells: Vec<_> = elements.iter().map(|x| format!("{x:?}")).collect();
    let decimals = |cell: &String| match cell.split_once('.') {
        Some((_, decimals)) if !cell.contains('e') => decimals.len(),
        _ => 0,
    };
    let needed = cells.iter().map(decimals).max().unwrap_or(0).min(MAX_DECIMALS);
    for (cell, x) in cells.iter_mut().zip(elements) {
        let exponential = if cell.contains('e') { cell.parse::<f64>().ok() } else { None };
        *cell = match exponential {
            Some(x) => format!("{x:.*e}", precision.unwrap_or(3)),
            None => format!("{x:.*?}", precision.unwrap_or(needed)),
        };
    }
    cells
}

/// `[`, what lies along the first of `dims`, `]`. `depth` brackets are open inside it.
fn write_axis(
    dims: &[usize],
    edge: usize,
    depth: usize,
    cells: &mut slice::Iter<'_, String>,
    width: usize,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    let &[dim, ref inner @ ..] = dims else {
        return write!(f, "{:>width$}", cells.next().expect("a cell for each element that is shown"));
    };
    f.write_str("[")?;
    for (i, pick) in picks(dim, edge).enumerate() {
        if i > 0 && inner.is_empty() {
            f.write_str(", ")?;
        } else if i > 0 {
            write!(f, ",{}{:depth$}", "\n".repeat(inner.len()), "")?;
        }
        match pick {
            Some(_) => write_axis(inner, edge, depth + 1, cells, width, f)?,
            None => f.write_str("...")?,
        }
    }
    f.write_str("]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_type_and_shape() {
        assert_eq!(format!("{:?}", Tensor::from([1.0_f32, 2.5])), "Tensor<f32> (2,) [1.0, 2.5]");
        assert_eq!(format!("{:?}", Tensor::from([[1u8], [100]])), "Tensor<u8> (2, 1)\n[[  1],\n [100]]");
        let mut t = Tensor::from([1.0]);
        assert_eq!(
            format!("{:?} {:?}", t.view(), t.clone().view_mut()),
            "View<f64> (1,) [1.0] ViewMut<f64> (1,) [1.0]"
        );
        assert_eq!(format!("{:?}", t.view_mut().view()), "View<f64> (1,) [1.0]");
        assert_eq!(format!("{:?}", Tensor::<f32>::zeros([3, 0])), "Tensor<f32> (3, 0)\n[]");
    }

    #[test]
    fn scalars_and_higher_ranks() {
        assert_eq!(Tensor::full((), 2.0).to_string(), "2.0");
        let t = Tensor::from([[[1u8, 2], [3, 4]], [[5, 6], [7, 8]]]);
        assert_eq!(t.to_string(), "[[[1, 2],\n  [3, 4]],\n\n [[5, 6],\n  [7, 8]]]");
    }

    #[test]
    fn decimals_are_those_that_are_needed() {
        assert_eq!(Tensor::from([0.5, -1.0 / 3.0]).to_string(), "[ 0.500000, -0.333333]");
        assert_eq!(Tensor::from([1.5, 1.23456789e-10]).to_string(), "[      1.5, 1.235e-10]");
        assert_eq!(Tensor::from([f32::NAN, f32::NEG_INFINITY, 0.25]).to_string(), "[ NaN, -inf, 0.25]");
        assert_eq!(format!("{:.2}", Tensor::from([1.0, 1.0 / 3.0])), "[1.00, 0.33]");
        assert_eq!(format!("{:.1}", Tensor::from([7u8, 255])), "[  7, 255]");
    }

    #[test]
    fn large_tensors_are_cut_in_each_long_axis() {
        let t = Tensor::from_fn([1001], |[i]| i);
        assert_eq!(t.to_string(), "[   0,    1,    2, ...,  998,  999, 1000]");
        assert!(!Tensor::from_fn([1000], |[i]| i).to_string().contains("..."));

        let t = Tensor::from_fn([600, 2], |[i, j]| 2 * i + j);
        let lines: Vec<_> = t.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 7);
        assert_eq!((&*lines[2], &*lines[3], &*lines[4]), (" [   4,    5],", " ...,", " [1194, 1195],"));
    }
}
