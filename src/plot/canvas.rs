//! [`Canvas`]: a picture as a list of shapes, from which an SVG or a PNG is written.

use std::{io::Write, path::Path};

use super::{colors::Map, font, png, svg};
use crate::{Error, Result, atomic};

/// Red, green and blue.
pub(super) type Color = [u8; 3];
/// In pixels, from the upper left corner.
pub(super) type Point = (f64, f64);

pub(super) const BLACK: Color = [0x22; 3];
pub(super) const GRAY: Color = [0x80; 3];
pub(super) const WHITE: Color = [0xff; 3];

/// The largest width and height together, in pixels squared: 64 MiB of a PNG's pixels.
pub(super) const MAX_AREA: f64 = 5e6;

pub(super) struct Canvas {
    pub width: f64,
    pub height: f64,
    pub shapes: Vec<Shape>,
}

pub(super) enum Shape {
    Line { points: Vec<Point>, width: f64, color: Color },
    Rect { corner: Point, size: Point, color: Color },
    Disc { center: Point, radius: f64, color: Color },
    Text(Text),
    Image { corner: Point, size: Point, image: Image },
}

/// A line of text.
pub(super) struct Text {
    pub text: String,
    /// The point of the baseline that `anchor` names.
    pub at: Point,
    pub anchor: Anchor,
    /// Whether it is read from below.
    pub upwards: bool,
    pub size: f64,
    pub color: Color,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Pixels, row by row.
#[derive(Clone)]
pub(super) struct Image {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<Color>,
}

impl Canvas {
    pub fn new(width: f64, height: f64) -> Self {
        Canvas { width: width.ceil(), height: height.ceil(), shapes: Vec::new() }
    }

    pub fn rect(&mut self, corner: Point, size: Point, color: Color) {
        self.shapes.push(Shape::Rect { corner, size, color });
    }

    pub fn line(&mut self, points: impl Into<Vec<Point>>, width: f64, color: Color) {
        self.shapes.push(Shape::Line { points: points.into(), width, color });
    }

    /// The outline of a rectangle, around it.
    pub fn frame(&mut self, (x, y): Point, (width, height): Point, color: Color) {
        let (left, top, right, bottom) = (x - 0.5, y - 0.5, x + width + 0.5, y + height + 0.5);
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        self.line(corners, 1.0, color);
    }

    /// Text whose letters' middle is at the height of `at`.
    pub fn text(&mut self, text: impl Into<String>, at: Point, anchor: Anchor, size: f64, color: Color) {
        let at = (at.0, at.1 + font::MIDDLE * size);
        self.shapes.push(Shape::Text(Text { text: text.into(), at, anchor, upwards: false, size, color }));
    }

    /// Text that is read from below, around `at`.
    pub fn text_upwards(&mut self, text: impl Into<String>, at: Point, size: f64, color: Color) {
        let (at, anchor) = ((at.0 + font::MIDDLE * size, at.1), Anchor::Middle);
        self.shapes.push(Shape::Text(Text { text: text.into(), at, anchor, upwards: true, size, color }));
    }

    pub fn image(&mut self, image: Image, corner: Point, size: Point) {
        self.shapes.push(Shape::Image { corner, size, image });
    }

    /// A legend for the colors of numbers, with the names of the lowest, the middle and the highest.
    pub fn color_bar(&mut self, (x, y): Point, height: f64, map: &Map, labels: [impl Into<String>; 3]) {
        const WIDTH: f64 = 12.0;
        let pixels: Vec<Color> = (0..=255).rev().map(|i| map.at(f64::from(i) / 255.0)).collect();
        self.image(Image { width: 1, height: pixels.len(), pixels }, (x, y), (WIDTH, height));
        self.frame((x, y), (WIDTH, height), GRAY);
        for (label, share) in labels.into_iter().zip([1.0, 0.5, 0.0]) {
            self.text(label, (x + WIDTH + 6.0, y + share * height), Anchor::Start, 11.0, BLACK);
        }
    }

    /// Whether it is not too large.
    pub fn check(&self, place: &'static str) -> Result<()> {
        let (width, height) = (self.width, self.height);
        match width * height > MAX_AREA {
            true => Err(Error::argument(place, format!("a picture of {width} x {height} pixels would be too large"))),
            false => Ok(()),
        }
    }

    /// Writes the file in the format that its name tells.
    pub fn save(&self, place: &'static str, path: &Path) -> Result<()> {
        self.check(place)?;
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let bytes = match extension.as_deref() {
            Some("svg") => svg::write(self).into_bytes(),
            Some("png") => png::draw(self),
            _ => {
                let message = format!("{}: the file's name must end in .svg or .png", path.display());
                return Err(Error::argument(place, message));
            }
        };
        atomic::replace(path, |file| file.write_all(&bytes))
    }
}
