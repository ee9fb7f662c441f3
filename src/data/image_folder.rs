//! [`ImageFolder`].

use std::{
    borrow::Cow,
    fmt, fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{Batch, ColorMode, Dataset, ImageInput, order::Order};
use crate::{Error, Labels, Result, Scalar};

/// The images of a folder that has a sub-folder for each class, `keras.utils.image_dataset_from_directory`.
///
/// ```text
/// animals/
///     cat/     felix.jpg  tom.png       class 0
///     dog/     rex.jpg                  class 1
/// ```
///
/// A batch holds images `[n, h, w, c]` of numbers from 0 to 255 and the [`Labels`] of their classes. The files are read and decoded
/// when their batch is made. An image of another size is resized by bilinear interpolation, as Keras does by default: its aspect is not
/// kept, and what is shrunk is not smoothed.
///
/// Read are the files that end in `.png`, `.jpg`, `.jpeg`, `.pbm`, `.pgm`, `.ppm` or `.pnm`, also those in folders below that of a
/// class; all others, what begins with a dot and what is no file, such as a pipe, is passed over. An image that is larger than 256 MiB is an error.
///
/// ```
/// use cornu::prelude::*;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # for (class, pixel) in [("dark", 10), ("light", 240)] {
/// #     std::fs::create_dir(folder.path().join(class)).unwrap();
/// #     for i in 0..10 {
/// #         let image = [&b"P5 2 2 255\n"[..], &[pixel + i; 4]].concat();
/// #         std::fs::write(folder.path().join(class).join(format!("{i}.pgm")), image).unwrap();
/// #     }
/// # }
/// # let folder = folder.path();
/// let images = ImageFolder::new(folder)?.image_size((8, 8)).color_mode(ColorMode::Grayscale).batch_size(4);
/// assert_eq!(images.class_names(), ["dark", "light"]);
///
/// let (train, validation) = images.validation_split(0.2)?;
/// let mut model = Sequential::new([8, 8, 1])
///     .add(Rescaling::new(1.0 / 255.0))
///     .add(Conv2D::new(4, 3).activation(Activation::Relu))
///     .add(Flatten::new())
///     .add(Dense::new(2).activation(Activation::Softmax))
///     .compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
/// model.fit_dataset(&train, Fit::new().epochs(2).validation_dataset(&validation).verbose(0))?;
/// # Ok::<(), cornu::Error>(())
/// ```
#[derive(Clone)]
pub struct ImageFolder {
    files: Vec<ImageFile>,
    class_names: Vec<String>,
    input: ImageInput,
    order: Order,
}

#[derive(Clone)]
struct ImageFile {
    path: PathBuf,
    class: u32,
}

/// The names that are taken for images, in lower case.
const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "pbm", "pgm", "ppm", "pnm"];

impl ImageFolder {
    /// Looks for images in the sub-folders of `directory`; the sorted names of these are the classes. Images become 256 by 256 pixels
    /// of three channels, in batches of 32, shuffled.
    ///
    /// # Errors
    /// When a folder cannot be read, or there is no sub-folder or no image.
    pub fn new(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref();
        let (mut files, mut class_names) = (Vec::new(), Vec::new());
        for folder in entries(directory)?.into_iter().filter(|path| path.is_dir()) {
            add_images(&folder, class_names.len() as u32, &mut files)?;
            class_names.push(file_name(&folder).into_owned());
        }
        if files.is_empty() {
            let message = match class_names.len() {
                0 => "there is no sub-folder; each class needs one, with its images".to_owned(),
                n => format!("there is no image in the {n} sub-folders; those end in .{}", EXTENSIONS.join(", .")),
            };
            return Err(Error::format(directory, message));
        }
        Ok(ImageFolder {
            files,
            class_names,
            input: ImageInput::new((256, 256), ColorMode::Rgb),
            order: Order::default(),
        })
    }

    /// The height and the width that images are resized to; 256 by 256 by default.
    pub fn image_size(mut self, (height, width): (usize, usize)) -> Self {
        self.input.size = (height, width);
        self
    }

    /// The channels that images are converted to; [`ColorMode::Rgb`] by default. An alpha channel is dropped.
    pub fn color_mode(mut self, color_mode: ColorMode) -> Self {
        self.input.color_mode = color_mode;
        self
    }

    /// Images as a model takes them: their size, their channels and the range of their pixels, see
    /// [`Model::image_input`](crate::Model::image_input).
    pub fn image_input(mut self, input: ImageInput) -> Self {
        self.input = input;
        self
    }

    /// How many images a batch has; 32 by default. The last one of an epoch may be smaller.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.order.batch_size = batch_size;
        self
    }

    /// Whether each epoch has an order of its own; it has by default. Without, the images come sorted, class after class.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.order.shuffle = shuffle;
        self
    }

    /// The seed of the shuffling; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.order.seed = seed;
        self
    }

    /// What is trained on, and the fraction of the images, above 0 and below 1, that is kept for validation: which ones, the
    /// [seed](ImageFolder::seed) draws.
    ///
    /// # Errors
    /// When the fraction is out of its range, or leaves nothing on a side.
    pub fn validation_split(self, fraction: f64) -> Result<(ImageFolder, ImageFolder)> {
        const PLACE: &str = "ImageFolder: validation_split";
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(Error::argument(PLACE, format!("expected a fraction above 0 and below 1, got {fraction}")));
        }
        let n = self.files.len();
        let validation = (fraction * n as f64) as usize;
        if validation == 0 {
            return Err(Error::data(PLACE, format!("{fraction} of {n} images leaves nothing to validate on")));
        }
        // An order that no epoch has.
        let order = Order { shuffle: true, ..self.order }.indices(n, usize::MAX);
        let (train, validation) = order.split_at(n - validation);
        let part = |indices: &[usize]| {
            // Unshuffled, each part comes as the whole does, class after class.
            let mut indices = indices.to_vec();
            indices.sort_unstable();
            let files = indices.into_iter().map(|i| self.files[i].clone()).collect();
            ImageFolder { files, class_names: self.class_names.clone(), input: self.input.clone(), order: self.order }
        };
        Ok((part(train), part(validation)))
    }

    /// The names of the classes, in the order of their labels.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The number of images.
    pub fn samples(&self) -> usize {
        self.files.len()
    }

    fn batch<T: Scalar>(&self, indices: &[usize]) -> Result<Batch<T>> {
        let place = || format!("ImageFolder: image_size {:?}", self.input.size);
        let mut x = self.input.blank(indices.len()).map_err(|message| Error::argument(place(), message))?;
        let sample = x.shape().sample().size();
        let read = |(image, &i): (&mut [T], &usize)| self.input.read_into(&self.files[i].path, image);
        // Not collected into a result at once, so that the first error is the first of the batch.
        let results: Vec<Result<()>> = x.data_mut().par_chunks_mut(sample).zip(indices).map(read).collect();
        results.into_iter().collect::<Result<()>>()?;
        let y: Vec<u32> = indices.iter().map(|&i| self.files[i].class).collect();
        Ok(Batch::new(x, Labels::from(y)))
    }
}

impl<T: Scalar> Dataset<T> for ImageFolder {
    fn batches(&self, epoch: usize) -> Box<dyn Iterator<Item = Result<Batch<T>>> + '_> {
        self.order.batches("ImageFolder", self.files.len(), epoch, |indices| self.batch(indices))
    }

    fn num_batches(&self) -> Option<usize> {
        self.order.num_batches(self.files.len())
    }
}

/// Without the files, of which there may be millions.
impl fmt::Debug for ImageFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageFolder")
            .field("samples", &self.samples())
            .field("class_names", &self.class_names)
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

/// What a folder holds, sorted, without what is hidden.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |error| Error::io(folder, error);
    let paths = fs::read_dir(folder).map_err(io)?.map(|entry| Ok(entry.map_err(io)?.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_>>()?;
    paths.retain(|path| !file_name(path).starts_with('.'));
    paths.sort_unstable();
    Ok(paths)
}

fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Adds the images of a class. Links to folders are not followed: they may lead around in a circle.
fn add_images(folder: &Path, class: u32, files: &mut Vec<ImageFile>) -> Result<()> {
    for path in entries(folder)? {
        let is_image =
            path.extension().is_some_and(|name| EXTENSIONS.iter().any(|image| name.eq_ignore_ascii_case(image)));
        match fs::metadata(&path) {
            Ok(what) if what.is_dir() && !path.is_symlink() => add_images(&path, class, files)?,
            // A link to a file is one; a pipe would be waited for without end.
            Ok(what) if is_image && what.is_file() => files.push(ImageFile { path, class }),
            Err(error) if is_image => return Err(Error::io(&path, error)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
    use tempfile::TempDir;

    use super::*;
    use crate::{
        data::{OwnedInput, OwnedTargets, image_input::MAX_BYTES},
        prelude::*,
    };

    /// A folder of these files.
    fn folder<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn gray(pixel: u8) -> Vec<u8> {
        encoded(GrayImage::from_pixel(1, 1, Luma([pixel])), ImageFormat::Png)
    }

    /// Ten black to white images of a pixel in two classes, of which pixel 0 to 4 are `even`.
    fn ten() -> (TempDir, ImageFolder) {
        let files = (0..10).map(|i| (format!("{}/{i}.png", if i < 5 { "even" } else { "odd" }), gray(i)));
        let files: Vec<_> = files.collect();
        let folder = folder(files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())));
        let images = ImageFolder::new(&folder).unwrap().color_mode(ColorMode::Grayscale).image_size((1, 1));
        (folder, images)
    }

    fn batch(images: &ImageFolder) -> Result<(Tensor, Vec<usize>)> {
        let batch = Dataset::<f32>::batches(images, 0).next().unwrap()?;
        let (OwnedInput::Values(x), OwnedTargets::Labels(y)) = (batch.x, batch.y) else { panic!("images and labels") };
        Ok((x, y.iter().collect()))
    }

    /// The pixels of all batches of an epoch.
    fn pixels(images: &ImageFolder, epoch: usize) -> Vec<f32> {
        let pixels = |batch: Result<Batch>| match batch.unwrap().x {
            OwnedInput::Values(x) => x.into_data(),
            OwnedInput::Bytes(_) => panic!("numbers"),
        };
        images.batches(epoch).flat_map(pixels).collect()
    }

    #[test]
    fn classes_are_the_sorted_sub_folders() {
        let files =
            ["b/2.PNG", "b/1.png", "b/deep/0.png", "a b/3.png", ".hidden/4.png", "b/.5.png", "6.png", "b/7.txt"];
        let folder = folder(files.map(|name| (name, gray(name.bytes().find(u8::is_ascii_digit).unwrap()))));
        fs::create_dir(folder.path().join("empty")).unwrap();
        let images = ImageFolder::new(&folder).unwrap().shuffle(false).image_size((1, 1));
        assert_eq!((images.class_names(), images.samples()), (&["a b", "b", "empty"].map(String::from)[..], 4));
        let (x, y) = batch(&images).unwrap();
        let digits: Vec<f32> = x.data().iter().step_by(3).map(|pixel| pixel - f32::from(b'0')).collect();
        assert_eq!((x.shape(), digits, y), ([4, 1, 1, 3].into(), vec![3.0, 1.0, 2.0, 0.0], vec![0, 1, 1, 1]));
    }

    #[test]
    fn formats_and_colors() {
        let color = RgbImage::from_pixel(2, 1, Rgb([200, 100, 50]));
        let alpha = RgbaImage::from_pixel(2, 1, Rgba([200, 100, 50, 7]));
        let folder = folder([
            ("c/0.png", encoded(color.clone(), ImageFormat::Png)),
            ("c/1.png", encoded(alpha, ImageFormat::Png)),
            ("c/2.ppm", encoded(color.clone(), ImageFormat::Pnm)),
            // The content tells the format.
            ("c/3.jpg", encoded(color.clone(), ImageFormat::Png)),
            ("c/4.jpeg", encoded(color, ImageFormat::Jpeg)),
        ]);
        let images = ImageFolder::new(&folder).unwrap().shuffle(false).image_size((1, 2));
        let (x, _) = batch(&images).unwrap();
        assert_eq!(x.shape(), [5, 1, 2, 3].into());
        let (exact, jpeg) = x.data().split_at(4 * 6);
        assert!(exact.chunks(3).all(|pixel| pixel == [200.0, 100.0, 50.0]), "{exact:?}");
        for pixel in jpeg.chunks(3) {
            assert!(pixel.iter().zip([200.0, 100.0, 50.0]).all(|(a, b)| (a - b).abs() <= 2.0), "{pixel:?}");
        }
        // 0.299 r + 0.587 g + 0.114 b = 124.2
        let (x, _) = batch(&images.color_mode(ColorMode::Grayscale)).unwrap();
        assert_eq!((x.shape(), &x.data()[..8]), ([5, 1, 2, 1].into(), &[124.0; 8][..]));
    }

    #[test]
    fn an_epoch_has_all_images_in_an_order_of_its_own() {
        let (_folder, images) = ten();
        let images = images.batch_size(4);
        assert_eq!(Dataset::<f32>::num_batches(&images), Some(3));
        let (first, second) = (pixels(&images, 0), pixels(&images, 1));
        assert_ne!(first, second);
        assert_eq!((&first, &second), (&pixels(&images, 0), &pixels(&images, 1)));
        assert_ne!(first, pixels(&images.clone().seed(1), 0));
        let sorted = pixels(&images.shuffle(false), 0);
        assert_eq!(sorted, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    }

    #[test]
    fn a_split_has_each_image_on_one_side() {
        let (_folder, images) = ten();
        let (train, validation) = images.clone().validation_split(0.39).unwrap();
        assert_eq!((train.samples(), validation.samples()), (7, 3));
        let mut all = [pixels(&train, 0), pixels(&validation, 0)].concat();
        all.sort_unstable_by(f32::total_cmp);
        assert_eq!(all, pixels(&images.clone().shuffle(false), 0));
        let (_, again) = images.clone().validation_split(0.39).unwrap();
        let (_, other) = images.clone().seed(1).validation_split(0.39).unwrap();
        assert_eq!(pixels(&again, 0), pixels(&validation, 0));
        assert_ne!(pixels(&other, 0), pixels(&validation, 0));
        for fraction in [0.0, 1.0, -0.1, f64::NAN, 0.05] {
            let error = images.clone().validation_split(fraction).unwrap_err().to_string();
            assert!(error.starts_with("ImageFolder: validation_split: ") && error.contains("0"), "{error}");
        }
    }

    #[test]
    fn a_folder_without_images_is_an_error_that_names_it() {
        let message = |folder: &Path| ImageFolder::new(folder).unwrap_err().to_string();
        let folder = folder([("a.png", gray(0))]);
        let name = folder.path().display().to_string();
        assert!(message(&folder.path().join("missing")).starts_with(&format!("{name}/missing: ")));
        assert!(message(folder.path()).starts_with(&format!("{name}: there is no sub-folder")));
        fs::create_dir(folder.path().join("a")).unwrap();
        assert!(message(folder.path()).starts_with(&format!("{name}: there is no image in the 1 sub-folders")));
    }

    #[cfg(unix)]
    #[test]
    fn only_files_and_links_to_them_are_read() {
        let (folder, _) = ten();
        let odd = folder.path().join("odd");
        let _socket = std::os::unix::net::UnixListener::bind(odd.join("socket.png")).unwrap();
        std::os::unix::fs::symlink("9.png", odd.join("link.png")).unwrap();
        let images = ImageFolder::new(&folder).unwrap().color_mode(ColorMode::Grayscale).image_size((1, 1));
        let last = pixels(&images.shuffle(false), 0).split_off(9);
        assert_eq!(last, [9.0, 9.0], "9.png and the link to it");
        std::os::unix::fs::symlink("nowhere.png", odd.join("broken.png")).unwrap();
        let error = ImageFolder::new(&folder).unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("odd/broken.png")), "{error}");
    }

    /// A model of images without a channel has no place for three.
    #[test]
    fn a_channel_is_left_out_only_where_there_is_one() {
        let (_folder, images) = ten();
        let plan = Sequential::new([2, 2]).add(Flatten::new()).add(Dense::new(2));
        let model = plan.compile(SGD::default(), SparseCategoricalCrossentropy::default(), []).unwrap();
        let images = images.image_input(model.image_input().unwrap());
        assert_eq!(batch(&images).unwrap().0.shape(), [10, 2, 2].into());
        assert!(model.evaluate_dataset(&images).is_ok());
        let images = images.color_mode(ColorMode::Rgb);
        assert_eq!(batch(&images).unwrap().0.shape(), [10, 2, 2, 3].into());
        let error = model.evaluate_dataset(&images).unwrap_err().to_string();
        assert!(error.contains("expected shape (n, 2, 2), got (10, 2, 2, 3)"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_image_is_an_error_that_names_it() {
        let whole = encoded(RgbImage::new(40, 40), ImageFormat::Png);
        for (broken, words) in [
            (b"not an image".to_vec(), "cannot be decoded"),
            (whole[..whole.len() / 2].to_vec(), "cannot be decoded"),
            (Vec::new(), "cannot be decoded"),
            // 120 GB for the price of 20 bytes.
            (b"P6 200000 200000 255\n".to_vec(), "larger than 256 MiB"),
        ] {
            let folder = folder([("a/good.png", gray(0)), ("a/bad.png", broken), ("a/worse.png", Vec::new())]);
            let images = ImageFolder::new(&folder).unwrap().shuffle(false);
            let error = batch(&images).unwrap_err().to_string();
            // The files are sorted, and the first one that fails is named.
            let path = folder.path().join("a/bad.png").display().to_string();
            assert!(error.starts_with(&path) && error.contains(words), "{error}");
        }
        let (folder, images) = ten();
        fs::remove_file(folder.path().join("odd/7.png")).unwrap();
        let error = batch(&images).unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("odd/7.png")), "{error}");
    }

    #[test]
    fn a_file_larger_than_the_limit_is_not_read() {
        let (folder, images) = ten();
        let file = fs::OpenOptions::new().write(true).open(folder.path().join("odd/7.png")).unwrap();
        file.set_len(MAX_BYTES + 1).unwrap();
        let error = batch(&images).unwrap_err().to_string();
        assert!(error.contains("7.png: the image is larger than 256 MiB"), "{error}");
    }

    #[test]
    fn arguments_out_of_range_are_errors() {
        let (_folder, images) = ten();
        let message = |images: ImageFolder| batch(&images).unwrap_err().to_string();
        assert_eq!(
            message(images.clone().image_size((0, 3))),
            "ImageFolder: image_size (0, 3): expected at least 1 by 1"
        );
        let error = message(images.clone().image_size((1 << 40, 1 << 40)));
        assert!(error.contains("no memory for a batch of 10 such images"), "{error}");
        assert_eq!(message(images.batch_size(0)), "ImageFolder: batch_size must be at least 1, got 0");
    }
}
