//! [`ImageInput`]: an image of any size as the numbers that a model takes.

use std::{
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

use image::{DynamicImage, ImageError, ImageReader, Limits};

use crate::{Error, Result, Scalar, Shape, Tensor};

/// How images become samples: their size, their channels and the range of their pixels.
///
/// [`Model::image_input`](crate::Model::image_input) says how a model takes them. PNG, JPEG and PNM are read; the content tells the format.
/// An image of another size is resized by bilinear interpolation, as [`ImageFolder`](super::ImageFolder) does. Files may come from
/// anyone: what is damaged or larger than a bound is an error.
///
/// ```
/// use cornu::prelude::*;
///
/// let input = ImageInput::new((1, 2), ColorMode::Grayscale).scale(1.0 / 255.0);
/// assert_eq!(input.decode(b"P5 2 1 255\n\x00\xff")?, Tensor::from([0.0, 1.0]).reshape([1, 1, 2, 1])?);
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ImageInput {
    pub(super) size: (usize, usize),
    pub(super) color_mode: ColorMode,
    channel_axis: bool,
    scale: f64,
    max_bytes: u64,
}

/// The channels that images are converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorMode {
    /// One channel, the luma of Rec. 601.
    Grayscale,
    /// Three channels: red, green, blue.
    Rgb,
}

impl ColorMode {
    fn channels(self) -> usize {
        match self {
            ColorMode::Grayscale => 1,
            ColorMode::Rgb => 3,
        }
    }
}

/// The bytes that a file may have, and the image in it once it is decoded: no file shall take all memory.
pub(super) const MAX_BYTES: u64 = 256 << 20;

impl ImageInput {
    /// Images of this height and width, with pixels from 0 to 255.
    pub fn new(size: (usize, usize), color_mode: ColorMode) -> Self {
        ImageInput { size, color_mode, channel_axis: true, scale: 1.0, max_bytes: MAX_BYTES }
    }

    /// That of samples of this shape, `(h, w)`, `(h, w, 1)` or `(h, w, 3)`, if it is one of these.
    pub(crate) fn of_shape(shape: Shape) -> Option<Self> {
        match *shape.dims() {
            [h, w] => Some(ImageInput { channel_axis: false, ..ImageInput::new((h, w), ColorMode::Grayscale) }),
            [h, w, 1] => Some(ImageInput::new((h, w), ColorMode::Grayscale)),
            [h, w, 3] => Some(ImageInput::new((h, w), ColorMode::Rgb)),
            _ => None,
        }
    }

    /// What pixels from 0 to 255 are multiplied by.
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// The bytes that a file may have, and the image in it once it is decoded; 256 MiB by default.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The shape of a sample: `(h, w, c)`, or `(h, w)` for a model that takes gray images without a channel.
    pub fn shape(&self) -> Shape {
        let ((h, w), c) = (self.size, self.color_mode.channels());
        // Only a single channel can be left out.
        if self.channel_axis || c > 1 { [h, w, c].into() } else { [h, w].into() }
    }

    /// The image in a file, as a batch of one sample.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than the [bound](ImageInput::max_bytes), or is no whole image; when the size is 0, or
    /// larger than the memory.
    pub fn read<T: Scalar>(&self, path: impl AsRef<Path>) -> Result<Tensor<T>> {
        let mut sample = self.sample()?;
        self.read_into(path.as_ref(), sample.data_mut())?;
        Ok(sample)
    }

    /// The image in the bytes of a file, as a batch of one sample.
    ///
    /// # Errors
    /// As [`read`](ImageInput::read).
    pub fn decode<T: Scalar>(&self, bytes: &[u8]) -> Result<Tensor<T>> {
        let mut sample = self.sample()?;
        self.decode_into(bytes, sample.data_mut()).map_err(|message| Error::data("ImageInput: decode", message))?;
        Ok(sample)
    }

    /// Images that are decoded already, `[n, h, w, c]` or `[n, h, w]`, as samples; they must have the size and the channels.
    ///
    /// # Errors
    /// When they have others.
    pub fn samples<T: Scalar>(&self, images: &Tensor<u8>) -> Result<Tensor<T>> {
        let (shape, sample) = (self.shape(), images.shape().sample());
        let alike = sample == shape
            || ImageInput::of_shape(sample)
                .is_some_and(|other| (other.size, other.color_mode) == (self.size, self.color_mode));
        if images.shape().rank() < 3 || !alike {
            let expected = format!("images of shape {shape}");
            return Err(Error::shape(
                "ImageInput: samples",
                expected,
                sample,
                "read resizes images, and converts their colors",
            ));
        }
        images.scaled_as(T::of(self.scale)).reshape(shape.batch(images.shape().dims()[0]))
    }

    fn sample<T: Scalar>(&self) -> Result<Tensor<T>> {
        self.blank(1).map_err(|message| Error::argument(format!("ImageInput: size {:?}", self.size), message))
    }

    /// A batch of `n` samples to read images into.
    pub(super) fn blank<T: Scalar>(&self, n: usize) -> Result<Tensor<T>, String> {
        let shape = self.shape().batch(n);
        if self.shape().size() == 0 {
            return Err("expected at least 1 by 1".to_owned());
        }
        let mut values = Vec::new();
        let no_memory = |_| format!("there is no memory for a batch of {n} such images");
        values.try_reserve_exact(shape.size()).map_err(no_memory)?;
        values.resize(shape.size(), T::zero());
        Ok(Tensor::new(shape, values).expect("a number for each place"))
    }

    /// Reads an image of any size into a sample.
    pub(super) fn read_into<T: Scalar>(&self, path: &Path, to: &mut [T]) -> Result<()> {
        let io = |error| Error::io(path, error);
        let format = |message| Error::format(path, message);
        let (mut bytes, file) = (Vec::new(), File::open(path).map_err(io)?);
        if file.metadata().map_err(io)?.len() > self.max_bytes {
            return Err(format(self.too_large()));
        }
        // What the system says of a size is not so for a device, or for a file that grows.
        file.take(self.max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
        self.decode_into(&bytes, to).map_err(format)
    }

    fn decode_into<T: Scalar>(&self, bytes: &[u8], to: &mut [T]) -> Result<(), String> {
        let image = self.image(bytes)?;
        let size = (image.height() as usize, image.width() as usize);
        let pixels = match self.color_mode {
            ColorMode::Grayscale => luma(image),
            ColorMode::Rgb => image.into_rgb8().into_raw(),
        };
        resize(&pixels, size, to, self.size);
        if self.scale != 1.0 {
            let scale = T::of(self.scale);
            to.iter_mut().for_each(|value| *value *= scale);
        }
        Ok(())
    }

    fn image(&self, bytes: &[u8]) -> Result<DynamicImage, String> {
        if bytes.len() as u64 > self.max_bytes {
            return Err(self.too_large());
        }
        let undecodable = |error| format!("the image cannot be decoded: {error}; mend or remove the file");
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
        let mut reader = reader.expect("reading from memory does not fail");
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(self.max_bytes);
        reader.limits(limits);
        let image = reader.decode().map_err(|error| match error {
            ImageError::Limits(_) => self.too_large(),
            error => undecodable(error),
        })?;
        match image.width() == 0 || image.height() == 0 {
            true => Err("the image has no pixels; mend or remove the file".to_owned()),
            false => Ok(image),
        }
    }

    fn too_large(&self) -> String {
        format!("the image is larger than {} MiB", self.max_bytes as f64 / f64::from(1 << 20))
    }
}

/// Gray as TensorFlow and Pillow see it, by the weights of Rec. 601.
fn luma(image: DynamicImage) -> Vec<u8> {
    if !image.color().has_color() {
        return image.into_luma8().into_raw();
    }
    let gray =
        |&[r, g, b]: &[u8; 3]| ((299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) + 500) / 1000) as u8;
    image.into_rgb8().as_chunks().0.iter().map(gray).collect()
}

/// Bilinear interpolation between the centers of pixels, to the bit as `tf.image.resize` computes it:
/// `from: [h, w, c]` to `to: [height, width, c]`.
fn resize<T: Scalar>(from: &[u8], (h, w): (usize, usize), to: &mut [T], (height, width): (usize, usize)) {
    let c = to.len() / (height * width);
    let (rows, columns) = (neighbors(h, height), neighbors(w, width));
    for (line, row) in to.chunks_exact_mut(width * c).zip(&rows) {
        for (pixel, column) in line.chunks_exact_mut(c).zip(&columns) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let at = |y: usize, x: usize| f32::from(from[(y * w + x) * c + channel]);
                let [top, bottom] =
                    [row.before, row.after].map(|y| column.between(at(y, column.before), at(y, column.after)));
                *value = T::from(row.between(top, bottom)).expect("a float is a float");
            }
        }
    }
}

/// The two pixels between which a pixel lies along an axis.
struct Neighbors {
    before: usize,
    after: usize,
    /// How far it lies from the first.
    distance: f32,
}

impl Neighbors {
    fn between(&self, before: f32, after: f32) -> f32 {
        before + (after - before) * self.distance
    }
}

/// Those of each of `to` pixels, which lie where `from` pixels do.
fn neighbors(from: usize, to: usize) -> Vec<Neighbors> {
    let (scale, last) = (from as f32 / to as f32, from - 1);
    let neighbors = |i| {
        let place = (i as f32 + 0.5) * scale - 0.5;
        let [before, after] = [place.floor(), place.ceil()].map(|place| (place as usize).min(last));
        Neighbors { before, after, distance: place - place.floor() }
    };
    (0..to).map(neighbors).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of `tf.image.resize(image, size, method="bilinear")` of TensorFlow 2.21, channel 1.
    #[test]
    fn resizes_as_tensorflow() {
        let (h, w, c) = (5, 4, 3);
        let image = Tensor::from_fn([h, w, c], |[y, x, k]| ((y * 37 + x * 91 + k * 53 + y * x * 17) % 256) as u8);
        let resized = |size: (usize, usize)| {
            let mut to = vec![0.0_f32; size.0 * size.1 * c];
            resize(image.data(), (h, w), &mut to, size);
            to.into_iter().skip(1).step_by(c).collect::<Vec<f32>>()
        };
        let shrunk = [113.666_664, 136.333_33, 189.5, 183.5, 137.333_33, 102.666_67];
        assert_eq!(resized((3, 2)), shrunk);
        let widened = [57.625, 90.883_934, 144.098_22, 181.3125, 202.526_76, 127.741_05, 81.0];
        assert_eq!(resized((4, 7))[..7], widened);
        let same: Vec<f32> = image.data().iter().skip(1).step_by(c).map(|&pixel| pixel.into()).collect();
        assert_eq!(resized((h, w)), same);
    }

    #[test]
    fn a_sample_has_the_shape_and_the_range_that_is_asked_for() {
        let input = ImageInput::of_shape([2, 2].into()).unwrap().scale(0.5);
        let sample: Tensor = input.decode(b"P6 1 1 255\n\xc8\x64\x32").unwrap();
        assert_eq!((sample.shape(), sample.data()), ([1, 2, 2].into(), &[62.0; 4][..]));
        let color: Tensor = ImageInput::of_shape([1, 1, 3].into()).unwrap().decode(b"P5 1 1 255\n\x07").unwrap();
        assert_eq!((color.shape(), color.data()), ([1, 1, 1, 3].into(), &[7.0; 3][..]));
        assert!(
            [vec![784], vec![2, 2, 4], vec![2, 2, 2, 3]]
                .iter()
                .all(|dims| { ImageInput::of_shape(Shape::new(dims).unwrap()).is_none() })
        );
    }

    #[test]
    fn decoded_images_only_change_their_range() {
        let input = ImageInput::of_shape([1, 2].into()).unwrap().scale(0.5);
        let images = Tensor::new([2, 1, 2, 1], vec![0_u8, 2, 4, 255]).unwrap();
        assert_eq!(input.samples(&images).unwrap(), Tensor::new([2, 1, 2], vec![0.0, 1.0, 2.0, 127.5]).unwrap());
        for dims in [vec![2, 2, 1, 1], vec![2, 1, 2, 3], vec![2, 2], vec![]] {
            let images = Tensor::zeros(Shape::new(&dims).unwrap());
            let error = input.samples::<f32>(&images).unwrap_err().to_string();
            assert!(error.starts_with("ImageInput: samples: expected images of shape (1, 2), got "), "{error}");
        }
    }

    #[test]
    fn the_bound_holds_for_the_file_and_for_the_image_in_it() {
        let input = ImageInput::new((1, 1), ColorMode::Rgb).max_bytes(1 << 20);
        for bytes in [&[b'P'; (1 << 20) + 1][..], b"P6 1000 1000 255\n"] {
            let error = input.decode::<f32>(bytes).unwrap_err().to_string();
            assert_eq!(error, "ImageInput: decode: the image is larger than 1 MiB");
        }
        let error = ImageInput::new((0, 1), ColorMode::Rgb).decode::<f32>(b"").unwrap_err().to_string();
        assert_eq!(error, "ImageInput: size (0, 1): expected at least 1 by 1");
        for side in [1 << 28, 1 << 40] {
            let error = ImageInput::new((side, side), ColorMode::Rgb).decode::<f32>(b"P5 1 1 255\n\x00").unwrap_err();
            let expected =
                format!("ImageInput: size ({side}, {side}): there is no memory for a batch of 1 such images");
            assert_eq!(error.to_string(), expected);
        }
    }
}
