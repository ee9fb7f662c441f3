//! [`history`]: the curves of a training.

use std::path::Path;

use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, Circle, Color as _, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, LineSeries, RGBColor,
        ShapeStyle,
    },
};
use plotters_backend::DrawingBackend;

use super::{
    axis::Axis,
    backend::{Backend, UNITS},
    canvas::{Anchor, BLACK, Canvas, Color, GRAY, Shape},
    colors::{BLUE, ORANGE, range},
    xml::FONT_FAMILY,
};
use crate::{Error, History, Result};

/// The size of a panel, in pixels.
const PANEL: (f64, f64) = (400.0, 300.0);
const LEGEND: f64 = 30.0;
/// The panels that stand side by side.
const COLUMNS: usize = 3;
/// More epochs than this have no dot of their own.
const DOTS: usize = 40;
const GRID: Color = [0xe6; 3];

/// Draws the loss and each metric, epoch by epoch: a panel for each, with the curve of the training data and that of the validation
/// data. What is not finite is left out.
///
/// ```
/// use cornu::prelude::*;
///
/// let x = Tensor::random_uniform([64, 2], -1.0, 1.0, 42);
/// let y: Vec<u32> = x.view().samples().map(|point| u32::from(point.data[0] > point.data[1])).collect();
/// let mut model = Sequential::new([2])
///     .add(Dense::new(2).activation(Activation::Softmax))
///     .compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
/// let history = model.fit(&x, &Labels::from(y), Fit::new().epochs(5).validation_split(0.25).verbose(0))?;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("history.svg");
/// plot::history(&history, &path)?;
/// # assert!(path.exists());
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// When there is no epoch, the path ends neither in `.svg` nor in `.png`, or the file cannot be written.
pub fn history(history: &History, path: impl AsRef<Path>) -> Result<()> {
    let Some(first) = history.epochs.first() else {
        return Err(Error::argument("plot::history", "the history has no epoch"));
    };
    let names: Vec<&str> =
        ["loss"].into_iter().chain(first.train.metrics.iter().map(|(name, _)| name.as_str())).collect();
    let columns = names.len().min(COLUMNS);
    let rows = names.len().div_ceil(columns);
    let mut canvas = Canvas::new(PANEL.0 * columns as f64, LEGEND + PANEL.1 * rows as f64);
    let mut curves = vec![("", "training", BLUE)];
    if history.get("val_loss").is_some() {
        curves.push(("val_", "validation", ORANGE));
    }
    legend(&mut canvas, &curves);
    {
        let root = Backend(&mut canvas).into_drawing_area();
        for (i, name) in names.into_iter().enumerate() {
            let (x, y) = (PANEL.0 * (i % columns) as f64, LEGEND + PANEL.1 * (i / columns) as f64);
            let curves: Vec<(Vec<f64>, Color)> = curves
                .iter()
                .filter_map(|&(prefix, _, color)| Some((history.get(&format!("{prefix}{name}"))?, color)))
                .collect();
            let area = root.clone().shrink((units(x), units(y)), (units(PANEL.0), units(PANEL.1)));
            panel(&area, name, &curves).expect("drawing in memory does not fail");
        }
    }
    canvas.save("plot::history", path.as_ref())
}

fn legend(canvas: &mut Canvas, curves: &[(&str, &str, Color)]) {
    // Below it begins the first chart.
    let mut x = 74.0;
    for &(_, text, color) in curves {
        let y = LEGEND - 10.0;
        canvas.line([(x, y), (x + 24.0, y)], 2.0, color);
        canvas.shapes.push(Shape::Disc { center: (x + 12.0, y), radius: 3.0, color });
        canvas.text(text, (x + 32.0, y), Anchor::Start, 12.0, BLACK);
        x += 130.0;
    }
}

type Drawn<DB> = std::result::Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

fn panel<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>, name: &str, curves: &[(Vec<f64>, Color)]) -> Drawn<DB> {
    let epochs = curves.iter().map(|(curve, _)| curve.len()).max().unwrap_or(1);
    // The width of a range of larger numbers would overflow.
    let drawable = |value: &f64| value.abs() < 1e300;
    let (low, high) = range(curves.iter().flat_map(|(curve, _)| curve).copied().filter(drawable));
    let black = rgb(BLACK);
    let text = |size: f64| (FONT_FAMILY, size * UNITS, &black);

    let mut chart = ChartBuilder::on(area)
        .margin(units(8.0))
        .margin_right(units(14.0))
        .x_label_area_size(units(44.0))
        .y_label_area_size(units(66.0))
        .build_cartesian_2d(Axis::counting(epochs, 8), Axis::new(low, high, 6))?;
    chart
        .configure_mesh()
        .bold_line_style(stroke(GRID, 1.0))
        .axis_style(stroke(GRAY, 1.0))
        .set_all_tick_mark_size(units(4.0))
        .x_label_style(text(11.0))
        .y_label_style(text(11.0))
        .axis_desc_style(text(12.0))
        .x_desc("epoch")
        .y_desc(name)
        .draw()?;
    for (curve, color) in curves {
        let points: Vec<(f64, f64)> = (1..).map(f64::from).zip(curve.iter().copied()).collect();
        for run in points.split(|(_, value)| !drawable(value)) {
            chart.draw_series(LineSeries::new(run.iter().copied(), stroke(*color, 2.0)))?;
            if epochs <= DOTS {
                chart.draw_series(run.iter().map(|&point| Circle::new(point, units(3.0), rgb(*color).filled())))?;
            }
        }
    }
    Ok(())
}

fn units(pixels: f64) -> i32 {
    (pixels * UNITS) as i32
}

fn rgb([red, green, blue]: Color) -> RGBColor {
    RGBColor(red, green, blue)
}

/// A line of this width.
fn stroke(color: Color, width: f64) -> ShapeStyle {
    rgb(color).stroke_width(units(width).unsigned_abs())
}
