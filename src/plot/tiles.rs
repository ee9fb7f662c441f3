//! [`Tiles`]: small images side by side, which several pictures are.

use super::{
    canvas::{Anchor, BLACK, Canvas, Image, MAX_AREA},
    colors::Map,
    font,
};

/// The side that an image is enlarged to, in pixels, at most: one among many, and one of a matrix of them.
const ENLARGED: usize = 64;
const SMALL: usize = 18;
/// The side that it is made smaller to.
const REDUCED: f64 = 128.0;

/// The shortest side of an image.
const THINNEST: f64 = 6.0;
/// The space around the picture.
const MARGIN: f64 = 16.0;
const TEXT: f64 = 10.0;

/// Images of one size.
pub(super) struct Tiles {
    pub title: String,
    pub images: Vec<Image>,
    pub labels: Labels,
    /// What the colors mean: the names of the lowest, the middle and the highest number.
    pub bar: Option<Bar>,
}

pub(super) type Bar = (&'static Map, [String; 3]);

/// What tells which image is which.
pub(super) enum Labels {
    /// A text below each image.
    Captions(Vec<String>),
    /// The images are rows of so many, and rows and columns are numbered from 0.
    Axes { columns: usize, x: &'static str, y: &'static str },
}

impl Tiles {
    pub fn canvas(self) -> Canvas {
        match self.labels {
            Labels::Captions(captions) => captioned(self.title, self.images, captions, self.bar),
            Labels::Axes { columns, x, y } => matrix(self.title, self.images, columns, (x, y), self.bar),
        }
    }
}

fn captioned(title: String, images: Vec<Image>, captions: Vec<String>, bar: Option<Bar>) -> Canvas {
    let tile = size(&images[0], ENLARGED);
    // Many are smaller.
    let area = images.len() as f64 * (tile.0 + 8.0) * (tile.1 + 22.0);
    let shrink = (0.8 * MAX_AREA / area).sqrt().min(1.0);
    let tile = (tile.0 * shrink, tile.1 * shrink);
    let widest = captions.iter().map(|caption| font::width(caption, TEXT)).fold(tile.0, f64::max);
    let (step_x, step_y) = ((widest + 8.0).ceil(), tile.1 + 22.0);
    // The picture is half as wide again as it is high, and its last row as full as can be.
    let columns = (1.5 * images.len() as f64 * step_y / step_x).sqrt().ceil() as usize;
    let rows = images.len().div_ceil(columns);
    let columns = images.len().div_ceil(rows);
    let (width, height) = (columns as f64 * step_x, rows as f64 * step_y);
    let (mut canvas, left, top) = framed(title, MARGIN, (width, height), bar);
    for (i, (image, caption)) in images.into_iter().zip(captions).enumerate() {
        let corner = (left + (i % columns) as f64 * step_x, top + (i / columns) as f64 * step_y);
        canvas.image(image, corner, tile);
        canvas.frame(corner, tile, [0xb0; 3]);
        canvas.text(caption, (corner.0 + tile.0 / 2.0, corner.1 + tile.1 + 9.0), Anchor::Middle, TEXT, BLACK);
    }
    canvas
}

fn matrix(title: String, images: Vec<Image>, columns: usize, axes: (&str, &str), bar: Option<Bar>) -> Canvas {
    const GAP: usize = 2;
    let tile = size(&images[0], SMALL);
    let (width, height) = (tile.0.round() as usize, tile.1.round() as usize);
    let (step_x, step_y) = (width + GAP, height + GAP);
    let rows = images.len().div_ceil(columns);
    // One image of all: thousands would make a large file.
    let mut all = Image { width: columns * step_x + GAP, height: rows * step_y + GAP, pixels: Vec::new() };
    all.pixels = vec![[0xd0; 3]; all.width * all.height];
    for (i, image) in images.iter().enumerate() {
        let start = (GAP + i / columns * step_y) * all.width + GAP + i % columns * step_x;
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let pixel = y * image.height / height * image.width + x * image.width / width;
            all.pixels[start + y * all.width + x] = image.pixels[pixel];
        }
    }
    let (full_x, full_y) = (all.width as f64, all.height as f64);
    let (mut canvas, left, top) = framed(title, MARGIN + 44.0, (full_x, full_y + 40.0), bar);
    canvas.image(all, (left, top), (full_x, full_y));
    let middle = |i: usize, step: usize| (GAP + i * step) as f64 + (step - GAP) as f64 / 2.0;
    for row in 0..rows {
        canvas.text(row.to_string(), (left - 6.0, top + middle(row, step_y)), Anchor::End, TEXT, BLACK);
    }
    for column in 0..columns {
        canvas.text(
            column.to_string(),
            (left + middle(column, step_x), top + full_y + 10.0),
            Anchor::Middle,
            TEXT,
            BLACK,
        );
    }
    canvas.text(axes.0, (left + full_x / 2.0, top + full_y + 32.0), Anchor::Middle, 12.0, BLACK);
    canvas.text_upwards(axes.1, (MARGIN + 6.0, top + full_y / 2.0), 12.0, BLACK);
    canvas
}

/// A canvas with the title and the color bar, and where what has this size begins.
fn framed(title: String, left: f64, (width, height): (f64, f64), bar: Option<Bar>) -> (Canvas, f64, f64) {
    let top = MARGIN + 34.0;
    let right = left + width + if bar.is_some() { 90.0 } else { 0.0 };
    let full = right.max(MARGIN + font::width(&title, 13.0)) + MARGIN;
    let mut canvas = Canvas::new(full, top + height + MARGIN);
    canvas.text(title, (MARGIN, MARGIN + 8.0), Anchor::Start, 13.0, BLACK);
    if let Some((map, names)) = bar {
        canvas.color_bar((left + width + 16.0, top), height.min(240.0), map, names);
    }
    (canvas, left, top)
}

/// As large as a whole number of pixels for each of the image's makes it, up to about `enlarged`; smaller where the image is large.
fn size(image: &Image, enlarged: usize) -> (f64, f64) {
    let side = image.width.max(image.height);
    // A single number needs no more than a patch.
    let factor = (enlarged / side).clamp(1, enlarged / 2) as f64;
    let factor = factor.min(REDUCED / side as f64);
    // A long sequence would be a line too thin to be seen.
    let scaled = |side: usize| (side as f64 * factor).max(THINNEST);
    (scaled(image.width), scaled(image.height))
}

/// A number of a color bar.
pub(super) fn figure(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        1e-3..1e5 => format!("{number:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => format!("{number:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_enlarged_by_whole_numbers() {
        let image = |width, height| Image { width, height, pixels: Vec::new() };
        assert_eq!(size(&image(28, 28), ENLARGED), (56.0, 56.0));
        assert_eq!(size(&image(3, 2), ENLARGED), (63.0, 42.0));
        assert_eq!(size(&image(1, 1), ENLARGED), (32.0, 32.0));
        assert_eq!(size(&image(100, 50), ENLARGED), (100.0, 50.0));
        assert_eq!(size(&image(256, 128), ENLARGED), (128.0, 64.0));
    }

    #[test]
    fn figures_are_short() {
        assert_eq!([0.0, 0.25, -12.0, 1e-5, 123456.0].map(figure), ["0", "0.25", "-12", "1.0e-5", "1.2e5"]);
    }
}
