//! [`Backend`]: what plotters draws on, a canvas.

use std::convert::Infallible;

use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontTransform,
    text_anchor::{HPos, VPos},
};

use super::{
    canvas::{Anchor, Canvas, Point, Shape, Text},
    font,
};

/// The units of plotters in a pixel: it counts in whole ones.
pub(super) const UNITS: f64 = 10.0;

pub(super) struct Backend<'a>(pub &'a mut Canvas);

type Result<T = ()> = std::result::Result<T, DrawingErrorKind<Infallible>>;

impl DrawingBackend for Backend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        ((self.0.width * UNITS) as u32, (self.0.height * UNITS) as u32)
    }

    fn ensure_prepared(&mut self) -> Result {
        Ok(())
    }

    fn present(&mut self) -> Result {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Result {
        if color.alpha > 0.0 {
            self.0.rect(pixels(at), (1.0 / UNITS, 1.0 / UNITS), color.rgb.into());
        }
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Result {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Result {
        if style.color().alpha > 0.0 {
            let points: Vec<Point> = path.into_iter().map(pixels).collect();
            self.0.line(points, f64::from(style.stroke_width()) / UNITS, style.color().rgb.into());
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, center: BackendCoord, radius: u32, style: &S, _fill: bool) -> Result {
        let (center, radius, color) = (pixels(center), f64::from(radius) / UNITS, style.color().rgb.into());
        self.0.shapes.push(Shape::Disc { center, radius, color });
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Result {
        let (size, (x, y)) = (style.size() / UNITS, pixels(at));
        let down = match style.anchor().v_pos {
            VPos::Top => 2.0 * font::MIDDLE,
            VPos::Center => font::MIDDLE,
            VPos::Bottom => -0.25,
        } * size;
        let upwards = matches!(style.transform(), FontTransform::Rotate270);
        let at = if upwards { (x + down, y) } else { (x, y + down) };
        let anchor = match style.anchor().h_pos {
            HPos::Left => Anchor::Start,
            HPos::Center => Anchor::Middle,
            HPos::Right => Anchor::End,
        };
        let text = Text { text: text.to_owned(), at, anchor, upwards, size, color: style.color().rgb.into() };
        self.0.shapes.push(Shape::Text(text));
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(&self, text: &str, style: &S) -> Result<(u32, u32)> {
        Ok((font::width(text, style.size()) as u32, style.size() as u32))
    }
}

fn pixels((x, y): BackendCoord) -> Point {
    (f64::from(x) / UNITS, f64::from(y) / UNITS)
}
