//! [`misclassified`]: the images that a model takes for others.

use std::path::Path;

use super::{
    canvas::{Anchor, BLACK, Canvas, Color, Image},
    colors::{GRAYS, range},
    tiles::{self, Tiles},
};
use crate::{Error, Labels, Result, data::Input};

/// At most so many images are drawn.
const MOST: usize = 40;

/// Draws the first 40 of the images whose prediction is not their label, with both below: `4 → 9` is a 4 that was taken for a 9. `images` are
/// `[n, h, w]` or `[n, h, w, c]` of 1 or 3 channels; the lowest number in them is black, the highest white.
///
/// ```
/// use cornu::prelude::*;
///
/// let images = Tensor::<f32>::random_uniform([3, 8, 8, 1], 0.0, 1.0, 42);
/// let (labels, predictions) = (Labels::from(vec![4u8, 7, 1]), Labels::from(vec![9u8, 7, 1])); // what predict_classes gives
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("misclassified.png");
/// plot::misclassified(&images, &labels, &predictions, &path)?;
/// # assert!(path.exists());
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// When `images` has another shape, there is not one label and one prediction for each, the path ends neither in `.svg` nor in `.png`, or
/// the file cannot be written.
pub fn misclassified<'a>(
    images: impl Into<Input<'a>>,
    labels: &Labels,
    predictions: &Labels,
    path: impl AsRef<Path>,
) -> Result<()> {
    let place = "plot::misclassified";
    let images = images.into();
    let (n, height, width, channels) = match *images.shape().dims() {
        [n, height, width] if height * width > 0 => (n, height, width, 1),
        [n, height, width, channels @ (1 | 3)] if height * width > 0 => (n, height, width, channels),
        _ => {
            let help = "images have 1 or 3 channels, the last axis";
            return Err(Error::shape(place, "images of shape (n, h, w) or (n, h, w, c)", images.shape(), help));
        }
    };
    if (labels.len(), predictions.len()) != (n, n) {
        let (labels, predictions) = (labels.len(), predictions.len());
        let message = format!("there are {n} images, but {labels} labels and {predictions} predictions");
        return Err(Error::data(place, message));
    }
    let pairs = labels.iter().zip(predictions.iter()).enumerate();
    let wrong: Vec<_> = pairs.filter(|(_, (label, prediction))| label != prediction).collect();
    let title = format!("{} of {n} images are misclassified (label → prediction)", wrong.len());
    if wrong.is_empty() {
        let mut canvas = Canvas::new(420.0, 60.0);
        canvas.text(title, (210.0, 30.0), Anchor::Middle, 13.0, BLACK);
        return canvas.save(place, path.as_ref());
    }
    let (mut buffer, mut shown) = (Vec::new(), Vec::new());
    for &(i, _) in wrong.iter().take(MOST) {
        shown.push(images.rows(i..i + 1, &mut buffer).to_vec());
    }
    let (low, high) = range(shown.iter().flatten().map(|&x| x.into()));
    let scale = if high > low { high - low } else { 1.0 };
    let shade = |x: f32| GRAYS.at((f64::from(x) - low) / scale)[0];
    let color = |pixel: &[f32]| -> Color { [0, 1, 2].map(|i| shade(pixel[i.min(channels - 1)])) };
    let image = |image: &Vec<f32>| Image { width, height, pixels: image.chunks_exact(channels).map(color).collect() };
    let captions = wrong.iter().take(MOST).map(|(_, (label, prediction))| format!("{label} → {prediction}"));
    let title = if wrong.len() > MOST { format!("{title}, the first {MOST}") } else { title };
    Tiles {
        title,
        images: shown.iter().map(image).collect(),
        labels: tiles::Labels::Captions(captions.collect()),
        bar: None,
    }
    .canvas()
    .save(place, path.as_ref())
}
