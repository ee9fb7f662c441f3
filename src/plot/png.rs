//! A canvas as a PNG, two dots a pixel.

use ab_glyph_rasterizer::{Rasterizer, point};
use png::{ColorType, Compression, Encoder, Filter};

use super::{
    canvas::{Anchor, Canvas, Color, Image, Point, Shape, Text, WHITE},
    font,
};

/// Dots a pixel, so that text is sharp on a fine screen.
const SCALE: f64 = 2.0;

pub(super) fn draw(canvas: &Canvas) -> Vec<u8> {
    let (width, height) = ((canvas.width * SCALE) as usize, (canvas.height * SCALE) as usize);
    let mut bitmap = Bitmap { width, height, pixels: vec![WHITE; width * height] };
    for shape in &canvas.shapes {
        bitmap.shape(shape);
    }
    encode(width, height, bitmap.pixels.as_flattened())
}

struct Bitmap {
    width: usize,
    height: usize,
    pixels: Vec<Color>,
}

impl Bitmap {
    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Line { points, width, color } => {
                for ends in points.windows(2) {
                    self.polygon(&segment(ends[0], ends[1], *width), *color);
                }
                // What rounds a bend.
                for &joint in points.get(1..points.len().saturating_sub(1)).unwrap_or(&[]) {
                    self.polygon(&circle(joint, width / 2.0), *color);
                }
            }
            &Shape::Rect { corner: (x, y), size: (width, height), color } => {
                self.polygon(&[(x, y), (x + width, y), (x + width, y + height), (x, y + height)], color);
            }
            Shape::Disc { center, radius, color } => self.polygon(&circle(*center, *radius), *color),
            Shape::Text(text) => self.text(text),
            Shape::Image { corner, size, image } => self.image(*corner, *size, image),
        }
    }

    fn polygon(&mut self, corners: &[Point], color: Color) {
        let corner = |i: usize| (corners[i].0 * SCALE, corners[i].1 * SCALE);
        let (low, high) =
            (0..corners.len()).map(corner).fold(((f64::MAX, f64::MAX), (f64::MIN, f64::MIN)), |(low, high), (x, y)| {
                ((low.0.min(x), low.1.min(y)), (high.0.max(x), high.1.max(y)))
            });
        self.fill(low, high, color, |raster, (left, top)| {
            let at = |i: usize| point((corner(i).0 - left) as f32, (corner(i).1 - top) as f32);
            for i in 0..corners.len() {
                raster.draw_line(at(i), at((i + 1) % corners.len()));
            }
        });
    }

    fn text(&mut self, Text { text, at, anchor, upwards, size, color }: &Text) {
        let width = font::width(text, *size);
        let start = match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -width / 2.0,
            Anchor::End => -width,
        };
        let turn = |x: f64, y: f64| if *upwards { (at.0 - y, at.1 - x) } else { (at.0 + x, at.1 - y) };
        // Letters reach a little beyond the line.
        let (a, b) = (turn(start - size, -size), turn(start + width + size, 2.0 * size));
        let low = (a.0.min(b.0) * SCALE, a.1.min(b.1) * SCALE);
        let high = (a.0.max(b.0) * SCALE, a.1.max(b.1) * SCALE);
        self.fill(low, high, *color, |raster, (left, top)| {
            font::outline(text, *size, raster, |x, y| {
                let (x, y) = turn(start + x, y);
                point((x * SCALE - left) as f32, (y * SCALE - top) as f32)
            });
        });
    }

    /// Fills what `draw` outlines, which lies between `low` and `high`; it is told where its dot (0, 0) is.
    fn fill(&mut self, low: Point, high: Point, color: Color, draw: impl FnOnce(&mut Rasterizer, Point)) {
        let (left, top) = (low.0.floor(), low.1.floor());
        let mut raster = Rasterizer::new((high.0 - left) as usize + 2, (high.1 - top) as usize + 2);
        draw(&mut raster, (left, top));
        raster.for_each_pixel_2d(|x, y, coverage| {
            let (x, y) = (left + f64::from(x), top + f64::from(y));
            if coverage > 0.0 && (0.0..self.width as f64).contains(&x) && (0.0..self.height as f64).contains(&y) {
                let pixel = &mut self.pixels[y as usize * self.width + x as usize];
                for (old, new) in pixel.iter_mut().zip(color) {
                    let (from, to) = (f32::from(*old), f32::from(new));
                    *old = (from + (to - from) * coverage.min(1.0)).round() as u8;
                }
            }
        });
    }

    fn image(&mut self, corner: Point, size: Point, image: &Image) {
        let range = |start: f64, len: f64, end: usize| {
            (start * SCALE).round() as usize..(((start + len) * SCALE).round() as usize).min(end)
        };
        let source = |i: usize, start: f64, len: f64, count: usize| {
            let share = ((i as f64 + 0.5) / SCALE - start) / len;
            ((share * count as f64) as usize).min(count - 1)
        };
        for y in range(corner.1, size.1, self.height) {
            let row = source(y, corner.1, size.1, image.height) * image.width;
            for x in range(corner.0, size.0, self.width) {
                self.pixels[y * self.width + x] = image.pixels[row + source(x, corner.0, size.0, image.width)];
            }
        }
    }
}

/// A thick line.
fn segment((x0, y0): Point, (x1, y1): Point, width: f64) -> [Point; 4] {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let half = width / 2.0 / dx.hypot(dy).max(1e-9);
    let (nx, ny) = (-dy * half, dx * half);
    [(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)]
}

fn circle((x, y): Point, radius: f64) -> Vec<Point> {
    const CORNERS: u32 = 32;
    let angle = |i| f64::from(i) * std::f64::consts::TAU / f64::from(CORNERS);
    (0..CORNERS).map(|i| (x + radius * libm::cos(angle(i)), y + radius * libm::sin(angle(i)))).collect()
}

/// The file of an image of 8 bits for each of red, green and blue; see <https://www.w3.org/TR/png>.
pub(super) fn encode(width: usize, height: usize, rgb: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_compression(Compression::High);
    encoder.set_filter(Filter::NoFilter);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(rgb));
    written.expect("writing to memory");
    file
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read;

    use super::*;

    /// The width, the height and the pixels of a file that [`encode`] wrote.
    pub fn decode(file: &[u8]) -> (usize, usize, Vec<u8>) {
        assert_eq!(&file[..16], b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR");
        let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        let (width, height, len) = (number(16), number(20), number(33));
        assert_eq!((&file[37..41], &file[file.len() - 8..file.len() - 4]), (&b"IDAT"[..], &b"IEND"[..]));
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(&file[41..41 + len]).read_to_end(&mut rows).unwrap();
        assert_eq!(rows.len(), (1 + 3 * width) * height);
        (width, height, rows.chunks_exact(1 + 3 * width).flat_map(|row| &row[1..]).copied().collect())
    }

    #[test]
    fn an_image_comes_back() {
        let rgb: Vec<u8> = (0..18).collect();
        let file = encode(3, 2, &rgb);
        assert_eq!(decode(&file), (3, 2, rgb));
        // The end of every PNG.
        assert_eq!(&file[file.len() - 12..], b"\0\0\0\0IEND\xaeB`\x82");
    }

    #[test]
    fn shapes_are_where_they_shall_be() {
        let (red, blue) = ([255, 0, 0], [0, 0, 255]);
        let mut canvas = Canvas::new(10.0, 6.0);
        canvas.rect((1.0, 1.0), (2.0, 2.0), red);
        canvas.line([(4.0, 2.0), (8.0, 2.0)], 2.0, blue);
        canvas.image(Image { width: 2, height: 2, pixels: vec![red, blue, blue, red] }, (0.0, 4.0), (4.0, 2.0));
        // What lies outside is cut off.
        canvas.rect((9.0, -3.0), (30.0, 5.0), red);
        let (width, height, rgb) = decode(&draw(&canvas));
        let at = |x: usize, y: usize| rgb[3 * (y * width + x)..][..3].to_vec();
        assert_eq!((width, height), (20, 12));
        assert_eq!([at(1, 3), at(2, 3), at(5, 5), at(6, 5)], [[255; 3], red, red, [255; 3]]);
        assert_eq!([at(8, 1), at(8, 2), at(15, 5), at(16, 5)], [[255; 3], blue, blue, [255; 3]]);
        assert_eq!([at(3, 9), at(4, 9), at(3, 10), at(7, 11), at(8, 11)], [red, blue, blue, red, [255; 3]]);
        assert_eq!([at(17, 0), at(18, 0), at(19, 3), at(19, 4)], [[255; 3], red, red, [255; 3]]);
    }
}
