//! [`Archive`]: named arrays and strings in one file.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs,
    io::Write,
    path::Path,
};

use safetensors::{Dtype, SafeTensors, View};
use serde_json::{Map, Value};

use crate::{Error, Result, Scalar, Shape, atomic};

/// Named arrays and strings. As a file they are in the format [safetensors](https://github.com/huggingface/safetensors): the strings, the
/// version of their meaning and a checksum are JSON in its metadata, under the key `cornu`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Archive {
    pub strings: BTreeMap<String, String>,
    pub arrays: BTreeMap<String, Array>,
}

/// Numbers with a shape.
#[derive(Debug, PartialEq)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    dtype: Dtype,
    /// Little-endian.
    bytes: Vec<u8>,
}

/// The key of the metadata, and those of its JSON that are not [`Archive::strings`].
const KEY: &str = "cornu";
const VERSION: &str = "version";
const CHECKSUM: &str = "checksum";

/// The version of the files that are written.
const CURRENT: u64 = 1;

/// The longest header, in bytes; a hundred take a tensor. Its numbers take ten times as much memory once they are read.
const MAX_HEADER: u64 = 16 << 20;

impl Array {
    /// An array of the scalar's own type.
    pub fn new<T: Scalar>(shape: Shape, values: &[T]) -> Self {
        let (dtype, bytes) = match size_of::<T>() {
            4 => (Dtype::F32, values.iter().flat_map(|x| (x.as_f64() as f32).to_le_bytes()).collect()),
            _ => (Dtype::F64, values.iter().flat_map(|x| x.as_f64().to_le_bytes()).collect()),
        };
        Array { shape: shape.dims().to_vec(), dtype, bytes }
    }

    /// A vector.
    pub fn vector<T: Scalar>(values: &[T]) -> Self {
        Array::new(values.len().into(), values)
    }

    /// The numbers, rounded where `T` is the shorter type.
    pub fn values<T: Scalar>(&self) -> Vec<T> {
        match self.dtype {
            Dtype::F32 => self.chunks().map(|bytes| T::of(f32::from_le_bytes(bytes).into())).collect(),
            _ => self.chunks().map(|bytes| T::of(f64::from_le_bytes(bytes))).collect(),
        }
    }

    fn chunks<const N: usize>(&self) -> impl Iterator<Item = [u8; N]> {
        self.bytes.as_chunks::<N>().0.iter().copied()
    }
}

impl Archive {
    /// Writes the file, of which nobody ever sees a half.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut json: Map<String, Value> =
            self.strings.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        json.insert(VERSION.into(), CURRENT.into());
        json.insert(CHECKSUM.into(), self.checksum().into());
        let metadata = HashMap::from([(KEY.to_owned(), Value::from(json).to_string())]);
        let bytes = safetensors::serialize(&self.arrays, Some(metadata))
            .map_err(|error| Error::format(path, format!("cannot be written: {error}")))?;
        atomic::replace(path, |file| file.write_all(&bytes))
    }

    /// Reads what [`write`](Archive::write) wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| Error::io(path, error))?;
        Archive::parse(&bytes).map_err(|message| Error::format(path, message))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let broken = |error| format!("not a whole file in the format safetensors: {error}");
        let header = bytes.first_chunk().map(|&length| u64::from_le_bytes(length));
        if let Some(length) = header.filter(|&length| length > MAX_HEADER) {
            return Err(format!("its header says it has {length} bytes, and may have {MAX_HEADER}"));
        }
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let json = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let json = json.ok_or_else(|| format!("its metadata has no key \"{KEY}\", so cornu did not write it"))?;
        let mut json: Map<String, Value> =
            serde_json::from_str(json).map_err(|error| format!("its metadata \"{KEY}\": {error}"))?;
        match json.remove(VERSION) {
            Some(version) if version == CURRENT => (),
            Some(version) => {
                return Err(format!("it has version {version}, this cornu reads version {CURRENT}; update cornu"));
            }
            None => return Err(format!("its metadata \"{KEY}\" has no {VERSION}")),
        }
        let checksum = json.remove(CHECKSUM);
        let string = |(key, value)| match value {
            Value::String(value) => Ok((key, value)),
            other => Err(format!("its metadata \"{KEY}\": {key} must be a string, got {other}")),
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
        let array = |(name, tensor): (&str, safetensors::tensor::TensorView)| match tensor.dtype() {
            dtype @ (Dtype::F32 | Dtype::F64) => {
                let array = Array { shape: tensor.shape().to_vec(), dtype, bytes: tensor.data().to_vec() };
                Ok((name.to_owned(), array))
            }
            other => Err(format!("{name} has the type {other:?}, expected F32 or F64")),
        };
        let archive = Archive {
            strings: json.into_iter().map(string).collect::<Result<_, _>>()?,
            arrays: tensors.iter().map(array).collect::<Result<_, _>>()?,
        };
        let (found, expected) = (checksum.unwrap_or_default(), archive.checksum());
        if found != expected.as_str() {
            return Err(format!("it is damaged: its checksum is {expected}, and should be {found}"));
        }
        Ok(archive)
    }

    /// CRC-32 of all that is held.
    fn checksum(&self) -> String {
        let mut crc = crc32fast::Hasher::new();
        // The length before each part, so that nothing can move from one to the next.
        let mut add = |bytes: &[u8]| {
            crc.update(&(bytes.len() as u64).to_le_bytes());
            crc.update(bytes);
        };
        for (key, value) in &self.strings {
            add(key.as_bytes());
            add(value.as_bytes());
        }
        for (name, Array { shape, dtype, bytes }) in &self.arrays {
            add(name.as_bytes());
            add(format!("{dtype:?}{shape:?}").as_bytes());
            add(bytes);
        }
        format!("crc32:{:08x}", crc.finalize())
    }
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Archive {
        Archive {
            strings: BTreeMap::from([("optimizer".to_owned(), "adam".to_owned())]),
            arrays: BTreeMap::from([
                ("a".to_owned(), Array::new([2, 2].into(), &[1.5f32, f32::MIN_POSITIVE, -0.0, f32::INFINITY])),
                ("b".to_owned(), Array::vector(&[0.1f64, f64::MAX])),
            ]),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.safetensors");
        archive().write(&path).unwrap();
        let read = Archive::read(&path).unwrap();
        assert_eq!(read, archive());
        assert_eq!(read.arrays["b"].values::<f64>(), [0.1, f64::MAX]);
        assert_eq!(read.arrays["a"].values::<f64>()[0], 1.5);
        let bytes = fs::read(&path).unwrap();
        archive().write(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes, "the same bytes each time");
    }

    #[test]
    fn no_flipped_bit_and_no_cut_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        archive().write(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // Where the arrays begin is padded by blanks, which mean nothing.
            if let Ok(read) = Archive::parse(&damaged) {
                assert_eq!(read, archive(), "bit {bit}");
            }
        }
        for len in 0..bytes.len() {
            assert!(Archive::parse(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn other_files_are_errors_that_say_what_is_wrong() {
        let write = |metadata: Option<&str>| {
            let metadata = metadata.map(|json| HashMap::from([(KEY.to_owned(), json.to_owned())]));
            safetensors::serialize(&archive().arrays, metadata).unwrap()
        };
        let message = |bytes: &[u8]| Archive::parse(bytes).unwrap_err();
        assert!(message(b"PK").contains("not a whole file in the format safetensors"));
        assert!(message(&write(None)).contains("cornu did not write it"));
        assert!(message(&write(Some("{}"))).contains("has no version"));
        assert!(message(&write(Some(r#"{"version":2}"#))).contains("update cornu"));
        assert!(message(&write(Some(r#"{"version":1}"#))).contains("damaged"));
        assert!(message(&write(Some("["))).contains("its metadata"));
    }
}
