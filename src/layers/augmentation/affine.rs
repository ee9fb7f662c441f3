//! What the layers that move pixels share: [`Affine`], the map to where a pixel comes from, and [`Sampler`].

use serde_json::Value;

use crate::{
    Result, Scalar,
    config::{self, Argument, Arguments},
    kernels::simd::vectorized,
    layers::{Build, Interpolation, Scratch},
};

/// What a pixel shows that comes from outside the image, as in Keras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillMode {
    /// `d c b a | a b c d | d c b a`: the image's reflection.
    Reflect,
    /// `a b c d | a b c d | a b c d`: the image again, from the other side.
    Wrap,
    /// `k k k k | a b c d | k k k k`: the same value everywhere.
    Constant,
    /// `a a a a | a b c d | d d d d`: the nearest pixel.
    Nearest,
}

/// From where in the image each pixel of the output comes: pixel `(x, y)` from `(a0 x + a1 y + a2, b0 x + b1 y + b2)`. In
/// `f32` whatever the model computes in, as in Keras.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    a: [f32; 3],
    b: [f32; 3],
}

impl Affine {
    /// The linear map `[[a0, a1], [b0, b1]]` about the middle of an image.
    pub(super) fn about_middle([[a0, a1], [b0, b1]]: [[f64; 2]; 2], [h, w, _]: [usize; 3]) -> Self {
        let (x, y) = ((w as f64 - 1.0) / 2.0, (h as f64 - 1.0) / 2.0);
        let row =
            |middle, x_factor, y_factor| [x_factor, y_factor, middle - x * x_factor - y * y_factor].map(|v| v as f32);
        Affine { a: row(x, a0, a1), b: row(y, b0, b1) }
    }

    /// The map that moves an image down and to the right by these many pixels.
    pub(super) fn translation(down: f64, right: f64) -> Self {
        Affine { a: [1.0, 0.0, -right as f32], b: [0.0, 1.0, -down as f32] }
    }
}

/// How to sample an image: the arguments that the layers share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampling {
    pub fill_mode: FillMode,
    pub interpolation: Interpolation,
    pub fill_value: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { fill_mode: FillMode::Reflect, interpolation: Interpolation::Bilinear, fill_value: 0.0 }
    }
}

impl Sampling {
    /// The arguments of a layer that has this.
    pub fn arguments(&mut self, arguments: &mut Arguments) {
        arguments
            .argument("fill_mode", &mut self.fill_mode)
            .argument("interpolation", &mut self.interpolation)
            .argument("fill_value", &mut self.fill_value);
    }

    /// The sampler of the images that come in.
    pub fn build(self, cx: &Build) -> Result<Sampler> {
        let image = cx.input_of_rank("images are (height, width, channels)")?;
        if image[0].max(image[1]) >= MAX_SIDE {
            return Err(cx.shape_error(
                format!("images of fewer than {MAX_SIDE} pixels a side"),
                "points are of single precision",
            ));
        }
        if !self.fill_value.is_finite() {
            return Err(cx.argument_error(format!("fill_value must be a finite number, got {}", self.fill_value)));
        }
        Ok(Sampler { image, sampling: self })
    }
}

/// Up to here, `f32` tells a pixel from the next one and from half of it.
const MAX_SIDE: usize = 1 << 23;

/// The pixels of a row that are sampled together.
const LANES: usize = 16;

/// Samples images `[h, w, c]` at the points of a map, as `keras.ops.image.affine_transform` does.
///
/// The image is copied into a frame, one pixel wide, of `fill_value`, so that no tap needs a test.
#[derive(Debug)]
pub(super) struct Sampler {
    pub image: [usize; 3],
    sampling: Sampling,
}

impl Sampler {
    /// Overwrites `y` with the image `x`, moved.
    pub fn sample<T: Scalar>(&self, map: &Affine, scratch: &mut Scratch<T>, x: &[T], y: &mut [T]) {
        let [_, w, c] = self.image;
        let frame = self.frame(scratch, T::of(self.sampling.fill_value));
        for (x, inside) in x.chunks_exact(w * c).zip(self.inside(frame)) {
            inside.copy_from_slice(x);
        }
        vectorized(
            #[inline(always)]
            || if c == 1 { self.gather(map, 1, frame, y) } else { self.gather(map, c, frame, y) },
        );
    }

    /// The adjoint: overwrites `dx` with the gradient to the image from `dy`, that to the moved image.
    pub fn adjoint<T: Scalar>(&self, map: &Affine, scratch: &mut Scratch<T>, dy: &[T], dx: &mut [T]) {
        let [_, w, c] = self.image;
        let frame = self.frame(scratch, T::zero());
        vectorized(
            #[inline(always)]
            || if c == 1 { self.scatter(map, 1, dy, frame) } else { self.scatter(map, c, dy, frame) },
        );
        for (dx, inside) in dx.chunks_exact_mut(w * c).zip(self.inside(frame)) {
            dx.copy_from_slice(inside);
        }
    }

    /// A frame `[h + 2, w + 2, c]` full of `value`.
    fn frame<'a, T: Scalar>(&self, scratch: &'a mut Scratch<T>, value: T) -> &'a mut [T] {
        let [h, w, c] = self.image;
        let frame = scratch.take((h + 2) * (w + 2) * c);
        frame.fill(value);
        frame
    }

    /// The rows inside a frame.
    fn inside<'a, T>(&self, frame: &'a mut [T]) -> impl Iterator<Item = &'a mut [T]> {
        let [_, w, c] = self.image;
        frame.chunks_exact_mut((w + 2) * c).skip(1).map(move |row| &mut row[c..][..w * c])
    }

    /// `c` are the channels, in an argument of their own so that the compiler sees where there is one.
    #[inline(always)]
    fn gather<T: Scalar>(&self, map: &Affine, c: usize, frame: &[T], y: &mut [T]) {
        let row = self.image[1] + 2;
        self.for_each_run(
            map,
            #[inline(always)]
            |start, len, first, weights| {
                let weights = weights.map(
                    #[inline(always)]
                    |weights| weights.map(|weight| T::of(weight.into())),
                );
                for channel in 0..c {
                    // The four pixels of each are loaded one by one, and blended in vectors.
                    let mut pixels = [[T::zero(); LANES]; 4];
                    for lane in 0..len {
                        let at = first[lane] * c + channel;
                        let (upper, lower) = (&frame[at..][..c + 1], &frame[at + row * c..][..c + 1]);
                        pixels[0][lane] = upper[0];
                        pixels[1][lane] = upper[c];
                        pixels[2][lane] = lower[0];
                        pixels[3][lane] = lower[c];
                    }
                    let mut blended = [T::zero(); LANES];
                    for (lane, blended) in blended.iter_mut().enumerate() {
                        *blended = (weights[0][lane] * pixels[0][lane] + weights[1][lane] * pixels[1][lane])
                            + (weights[2][lane] * pixels[2][lane] + weights[3][lane] * pixels[3][lane]);
                    }
                    for (y, blended) in y[start * c..][..len * c].iter_mut().skip(channel).step_by(c).zip(blended) {
                        *y = blended;
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn scatter<T: Scalar>(&self, map: &Affine, c: usize, dy: &[T], frame: &mut [T]) {
        let row = self.image[1] + 2;
        self.for_each_run(
            map,
            #[inline(always)]
            |start, len, first, weights| {
                for lane in 0..len {
                    let (dy, first) = (&dy[(start + lane) * c..][..c], first[lane]);
                    for (tap, weights) in [first, first + 1, first + row, first + row + 1].into_iter().zip(&weights) {
                        let weight = T::of(weights[lane].into());
                        for (frame, &dy) in frame[tap * c..][..c].iter_mut().zip(dy) {
                            *frame += weight * dy;
                        }
                    }
                }
            },
        );
    }

    /// Calls `visit` for each run of up to [`LANES`] pixels of the output, with the number of the first and how many they are; for each of them the
    /// upper left of the four pixels of the frame that it blends, and their weights.
    #[inline(always)]
    fn for_each_run(&self, map: &Affine, mut visit: impl FnMut(usize, usize, [usize; LANES], [[f32; LANES]; 4])) {
        let [h, w, _] = self.image;
        for y in 0..h {
            for x in (0..w).step_by(LANES) {
                let len = LANES.min(w - x);
                let (left, s) = self.sampling.locate(map.a, x, y, len, w);
                let (upper, t) = self.sampling.locate(map.b, x, y, len, h);
                let (mut first, mut weights) = ([0; LANES], [[0.0; LANES]; 4]);
                for lane in 0..LANES {
                    first[lane] = upper[lane] as usize * (w + 2) + left[lane] as usize;
                }
                for lane in 0..LANES {
                    let (s, t) = (s[lane], t[lane]);
                    weights[0][lane] = (1.0 - t) * (1.0 - s);
                    weights[1][lane] = (1.0 - t) * s;
                    weights[2][lane] = t * (1.0 - s);
                    weights[3][lane] = t * s;
                }
                visit(y * w + x, len, first, weights);
            }
        }
    }
}

impl Sampling {
    /// Where pixel `(x, y)` and the next ones in its row, `lanes` in all, come from, along an axis of `len` pixels: for each the pixel of the
    /// frame that lies before that point, and how far behind it the point lies.
    #[inline(always)]
    fn locate(
        &self,
        [by_x, by_y, start]: [f32; 3],
        x: usize,
        y: usize,
        lanes: usize,
        len: usize,
    ) -> ([u32; LANES], [f32; LANES]) {
        let start = by_y * y as f32 + start;
        let mut points = [0.0; LANES];
        for (lane, point) in points.iter_mut().enumerate() {
            *point = by_x * (x as f32 + lane as f32) + start;
        }
        // Most runs lie inside, the first and the last point and all between them, and folding takes long.
        let is_inside = |point: f32| point >= 0.0 && point <= len as f32 - 1.0;
        if !(is_inside(points[0]) && is_inside(points[lanes - 1])) {
            self.fill_mode.fold(&mut points, len as f32);
        }
        if self.interpolation == Interpolation::Nearest {
            points.iter_mut().for_each(|point| *point = point.round());
        }
        let (mut before, mut behind) = ([0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let pixel = points[lane].floor().min(len as f32 - 1.0);
            behind[lane] = points[lane] - pixel;
            before[lane] = whole(pixel + 1.0);
        }
        (before, behind)
    }
}

/// A whole number below [`MAX_SIDE`] as an integer: the last bits of its sum with that. Unlike `as`, this has a form in vectors.
#[inline(always)]
fn whole(number: f32) -> u32 {
    (number + MAX_SIDE as f32).to_bits() % MAX_SIDE as u32
}

impl FillMode {
    /// Brings points outside an axis of `len` pixels to where their values are: onto the axis, or into the frame. As
    /// TensorFlow does it, which for `Wrap` begins anew behind the last pixel instead of blending it with the first.
    #[inline(always)]
    fn fold(self, points: &mut [f32; LANES], len: f32) {
        let last = len - 1.0;
        match self {
            FillMode::Reflect => {
                for point in &mut *points {
                    let beyond = if *point < 0.0 { -*point - 1.0 } else { *point };
                    let turned = beyond - 2.0 * len * (beyond / (2.0 * len)).trunc();
                    *point = if turned >= len { 2.0 * len - turned - 1.0 } else { turned };
                }
            }
            FillMode::Wrap => {
                let period = last.max(1.0);
                for point in &mut *points {
                    let turns = (*point / period).trunc();
                    let turns = if *point < 0.0 { turns - 1.0 } else { turns };
                    *point = if *point < 0.0 || *point > last { *point - len * turns } else { *point };
                }
            }
            FillMode::Constant | FillMode::Nearest => {}
        }
        let (first, last) = if self == FillMode::Constant { (-1.0, len) } else { (0.0, last) };
        for point in points {
            *point = point.clamp(first, last);
        }
    }
}

const FILL_MODES: [(&str, FillMode); 4] = [
    ("reflect", FillMode::Reflect),
    ("wrap", FillMode::Wrap),
    ("constant", FillMode::Constant),
    ("nearest", FillMode::Nearest),
];

impl Argument for FillMode {
    fn to_json(&self) -> Value {
        config::named(self, &FILL_MODES)
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        config::choice(json, &FILL_MODES)
    }
}
