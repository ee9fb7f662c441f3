//! The bundled font: how wide text is, and its outlines.

use std::sync::LazyLock;

use ab_glyph_rasterizer::{Point, Rasterizer, point};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// How far the middle of a capital letter stands above the baseline, relative to the size.
pub(super) const MIDDLE: f64 = 0.36;

static FONT: LazyLock<Face<'static>> =
    LazyLock::new(|| Face::parse(include_bytes!("font/DejaVuSans.ttf"), 0).expect("the bundled font is whole"));

/// The width of a line of text.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let units: f64 = text.chars().map(|letter| advance(glyph(letter))).sum();
    units * size / f64::from(FONT.units_per_em())
}

/// Draws the outlines of a text; `place` says where a point goes that is so far right of the text's start and above its baseline.
pub(super) fn outline(text: &str, size: f64, raster: &mut Rasterizer, place: impl Fn(f64, f64) -> Point) {
    let scale = size / f64::from(FONT.units_per_em());
    let mut x = 0.0;
    for letter in text.chars() {
        let place = |dx: f32, y: f32| place((x + f64::from(dx)) * scale, f64::from(y) * scale);
        let zero = point(0.0, 0.0);
        FONT.outline_glyph(glyph(letter), &mut Pen { raster, place, start: zero, last: zero });
        x += advance(glyph(letter));
    }
}

/// What stands for a letter; an empty box where the font lacks it.
fn glyph(letter: char) -> GlyphId {
    FONT.glyph_index(letter).unwrap_or(GlyphId(0))
}

fn advance(glyph: GlyphId) -> f64 {
    FONT.glyph_hor_advance(glyph).unwrap_or(0).into()
}

struct Pen<'a, P> {
    raster: &'a mut Rasterizer,
    place: P,
    start: Point,
    last: Point,
}

impl<P: Fn(f32, f32) -> Point> OutlineBuilder for Pen<'_, P> {
    fn move_to(&mut self, x: f32, y: f32) {
        self.start = (self.place)(x, y);
        self.last = self.start;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let to = (self.place)(x, y);
        self.raster.draw_line(self.last, to);
        self.last = to;
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let to = (self.place)(x, y);
        self.raster.draw_quad(self.last, (self.place)(x1, y1), to);
        self.last = to;
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let to = (self.place)(x, y);
        self.raster.draw_cubic(self.last, (self.place)(x1, y1), (self.place)(x2, y2), to);
        self.last = to;
    }

    fn close(&mut self) {
        self.raster.draw_line(self.last, self.start);
        self.last = self.start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_letters_have_a_width() {
        assert!(width("mm", 10.0) > 2.0 * width("ii", 10.0));
        assert_eq!(width("0", 20.0), 2.0 * width("9", 10.0));
        assert!(width("→αЯé猫", 10.0) > 20.0);
    }
}
