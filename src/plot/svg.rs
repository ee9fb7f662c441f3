//! A canvas as an SVG.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    canvas::{Anchor, Canvas, Color, Image, Point, Shape, Text},
    png,
    xml::{FONT_FAMILY, escape},
};

pub(super) fn write(canvas: &Canvas) -> String {
    let (width, height) = (canvas.width, canvas.height);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"{FONT_FAMILY}\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for shape in &canvas.shapes {
        writeln!(svg, "{}", element(shape)).expect("writing to a string");
    }
    svg + "</svg>\n"
}

fn element(shape: &Shape) -> String {
    match shape {
        Shape::Line { points, width, color } => {
            let points: Vec<_> = points.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect();
            format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"/>",
                points.join(" "),
                hex(*color),
                number(*width)
            )
        }
        Shape::Rect { corner, size, color } => format!("<rect {} fill=\"{}\"/>", place(*corner, *size), hex(*color)),
        Shape::Disc { center: (x, y), radius, color } => {
            let (x, y, radius) = (number(*x), number(*y), number(*radius));
            format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{}\"/>", hex(*color))
        }
        Shape::Text(Text { text, at, anchor, upwards, size, color }) => {
            let (x, y) = (number(at.0), number(at.1));
            let rotation = if *upwards { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            format!(
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\"{rotation}>{}</text>",
                number(*size),
                hex(*color),
                escape(text)
            )
        }
        Shape::Image { corner, size, image } => format!(
            "<image {} preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
            place(*corner, *size),
            base64(&enlarged(image, (size.0 / image.width as f64).min(size.1 / image.height as f64)))
        ),
    }
}

/// The PNG of an image whose pixels are repeated, since not all viewers know `pixelated`.
fn enlarged(image: &Image, factor: f64) -> Vec<u8> {
    let factor = (factor.round() as usize).max(1);
    let mut pixels = Vec::with_capacity(image.pixels.len() * factor * factor);
    for row in image.pixels.chunks_exact(image.width) {
        let row: Vec<_> = row.iter().flat_map(|&pixel| [pixel].repeat(factor)).collect();
        pixels.extend(row.repeat(factor));
    }
    png::encode(image.width * factor, image.height * factor, pixels.as_flattened())
}

fn place((x, y): Point, (width, height): Point) -> String {
    let [x, y, width, height] = [x, y, width, height].map(number);
    format!("x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"")
}

/// At most two decimals.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn hex([red, green, blue]: Color) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_the_examples_of_rfc_4648() {
        let encoded = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 10.0, 1.25, 2.0 / 3.0].map(number), ["0", "10", "1.25", "0.67"]);
    }
}
