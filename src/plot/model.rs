//! [`plot_model`]: the layers of a model with their shapes.

use std::{fmt::Write as _, io::Write as _, path::Path};

use super::xml::{FONT_FAMILY, escape};
use crate::{Error, Model, Result, Scalar, Shape, atomic};

/// The height of a box, and of the arrow to the next.
const BOX: usize = 52;
const ARROW: usize = 26;
const MARGIN: usize = 12;
/// What a letter takes at most, in pixels: the widest are rare.
const LETTER: f64 = 8.0;

/// Draws the layers of a model, from the input down to the output, each with its kind, the shape of its output and the number of its weights, as an
/// SVG; Keras's `plot_model` with `show_shapes` and `show_layer_names`. Frozen layers are gray.
///
/// ```
/// use cornu::prelude::*;
///
/// let model = Sequential::new([28, 28, 1]).add(Conv2D::new(8, 3)).add(Flatten::new()).add(Dense::new(10)).build()?;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.svg");
/// plot::plot_model(&model, &path)?;
/// # assert!(std::fs::read_to_string(path).unwrap().contains("(None, 26, 26, 8)"));
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// When the path does not end in `.svg`, or the file cannot be written.
pub fn plot_model<T: Scalar>(model: &Model<T>, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
        let message = format!("{}: the file's name must end in .svg", path.display());
        return Err(Error::argument("plot::plot_model", message));
    }
    let svg = svg(model);
    atomic::replace(path, |file| file.write_all(svg.as_bytes()))
}

/// The two lines of a box.
struct Row {
    name: String,
    class: String,
    shape: String,
    params: String,
    frozen: bool,
}

fn svg<T: Scalar>(model: &Model<T>) -> String {
    let row = |name: &str, class: &str, shape: Shape, params: usize, frozen: bool| Row {
        name: name.to_owned(),
        class: class.to_owned(),
        shape: shape.to_string_with_batch(),
        params: if params > 0 { format!("{params} params") } else { String::new() },
        frozen,
    };
    let mut rows = vec![row("input", "", model.input_shape(), 0, false)];
    rows.extend(model.layers().map(|layer| {
        let frozen = layer.count_params() > 0 && !layer.trainable();
        row(layer.name(), layer.class_name(), layer.output_shape(), layer.count_params(), frozen)
    }));
    let letters = |row: &Row| {
        let count = |text: &str| text.chars().count();
        (count(&row.name) + count(&row.class)).max(count(&row.shape) + count(&row.params)) + 4
    };
    let width = (rows.iter().map(letters).max().unwrap_or(0) as f64 * LETTER).max(260.0) as usize;
    let (full, height) = (width + 2 * MARGIN, rows.len() * (BOX + ARROW) - ARROW + 2 * MARGIN);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{full}\" height=\"{height}\" viewBox=\"0 0 {full} {height}\" \
         font-family=\"{FONT_FAMILY}\" font-size=\"12\">\n<rect width=\"{full}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (i, row) in rows.iter().enumerate() {
        let (top, middle) = (MARGIN + i * (BOX + ARROW), full / 2);
        if i > 0 {
            let (from, to) = (top - ARROW + 2, top - 1);
            arrow(&mut svg, middle, from, to);
        }
        row.draw(&mut svg, top, width);
    }
    svg + "</svg>\n"
}

impl Row {
    fn draw(&self, svg: &mut String, top: usize, width: usize) {
        let (left, right) = (MARGIN + 10, MARGIN + width - 10);
        let (head, body) = if self.frozen { ("#6e6e6e", "#f0f0f0") } else { ("#0072b2", "#eef5fa") };
        let half = BOX / 2;
        let mut shape = |element: String| writeln!(svg, "{element}").expect("writing to a string");
        let rect = |top: usize, height: usize, style: &str| {
            format!("<rect x=\"{MARGIN}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" {style}/>")
        };
        shape(rect(top, BOX, &format!("fill=\"{body}\"")));
        shape(rect(top, half, &format!("fill=\"{head}\"")));
        shape(rect(top, BOX, &format!("fill=\"none\" stroke=\"{head}\"")));
        let mut text = |x: usize, y: usize, style: &str, text: &str| {
            if !text.is_empty() {
                shape(format!("<text x=\"{x}\" y=\"{y}\" {style}>{}</text>", escape(text)));
            }
        };
        let (first, second) = (top + 17, top + half + 17);
        text(left, first, "fill=\"#ffffff\" font-weight=\"bold\"", &self.name);
        text(right, first, "fill=\"#ffffff\" text-anchor=\"end\"", &self.class);
        text(left, second, "fill=\"#222222\"", &self.shape);
        text(right, second, "fill=\"#555555\" text-anchor=\"end\"", &self.params);
    }
}

fn arrow(svg: &mut String, x: usize, from: usize, to: usize) {
    let (left, right, neck) = (x - 4, x + 4, to - 7);
    writeln!(
        svg,
        "<path d=\"M{x} {from}V{neck}\" stroke=\"#555555\" stroke-width=\"1.5\"/>\n\
         <path d=\"M{left} {neck}H{right}L{x} {to}Z\" fill=\"#555555\"/>"
    )
    .expect("writing to a string");
}
