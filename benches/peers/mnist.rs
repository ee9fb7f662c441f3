//! Reads the four files of data/mnist (IDX: a header of big-endian numbers, then bytes) for the libraries that do not.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use flate2::read::GzDecoder;

/// The pixels of an image.
pub const PIXELS: usize = 28 * 28;

/// Images as bytes, one after the other, and their labels.
pub struct Split {
    images: Vec<u8>,
    pub labels: Vec<u8>,
}

impl Split {
    /// The first `limit` images of the part "train" or "t10k".
    pub fn load(folder: &Path, part: &str, limit: usize) -> io::Result<Self> {
        let read = |kind, header, bytes: usize| {
            let file = GzDecoder::new(File::open(folder.join(format!("{part}-{kind}-ubyte.gz")))?);
            let mut content = Vec::new();
            file.take((header + bytes) as u64).read_to_end(&mut content)?;
            Ok::<_, io::Error>(content.split_off(header))
        };
        Ok(Split { images: read("images-idx3", 16, limit * PIXELS)?, labels: read("labels-idx1", 8, limit)? })
    }

    /// The pixels of these images, 0 to 1.
    pub fn images(&self, indices: impl IntoIterator<Item = usize>) -> Vec<f32> {
        let bytes = indices.into_iter().flat_map(|i| &self.images[i * PIXELS..][..PIXELS]);
        bytes.map(|&byte| f32::from(byte) / 255.0).collect()
    }
}
