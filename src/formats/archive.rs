//! [`Archive`]: named arrays and strings in one file.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs,
    io::Write,
    path::Path,
};

use safetensors::{Dtype, SafeTensors, View, tensor::Metadata};
use serde_json::{Map, Value};

use super::{HDF5, ZIP};
use crate::{Error, Result, Scalar, Shape, atomic, config::shortened};

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

    /// An array of integers.
    pub fn integers(shape: Shape, values: &[i8]) -> Self {
        Array { shape: shape.dims().to_vec(), dtype: Dtype::I8, bytes: values.iter().map(|&x| x as u8).collect() }
    }

    /// The integers, if the array is of some.
    pub fn as_integers(&self) -> Option<Vec<i8>> {
        (self.dtype == Dtype::I8).then(|| self.bytes.iter().map(|&byte| byte as i8).collect())
    }

    /// The numbers, rounded where `T` is the shorter type.
    pub fn values<T: Scalar>(&self) -> Vec<T> {
        match self.dtype {
            Dtype::I8 => self.bytes.iter().map(|&byte| T::of((byte as i8).into())).collect(),
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
        let bytes = self.bytes().map_err(|message| Error::format(path, message))?;
        atomic::replace(path, |file| file.write_all(&bytes))
    }

    /// The file.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        let mut json: Map<String, Value> =
            self.strings.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        json.insert(VERSION.into(), CURRENT.into());
        json.insert(CHECKSUM.into(), self.checksum().into());
        let metadata = HashMap::from([(KEY.to_owned(), Value::from(json).to_string())]);
        let bytes = safetensors::serialize(&self.arrays, Some(metadata));
        let bytes = bytes.map_err(|error| format!("it cannot be written: {error}"))?;
        check_header(&bytes)?;
        Ok(bytes)
    }

    /// Reads what [`write`](Archive::write) wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| Error::io(path, error))?;
        Archive::parse(&bytes).map_err(|message| Error::format(path, message))
    }

    /// The archive in the bytes of such a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (start, header) = header(bytes)?;
        let json = metadata(&header);
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
            other => Err(format!("its metadata \"{KEY}\": {key} must be a string, got {}", shortened(&other))),
        };
        let mut arrays = BTreeMap::new();
        for (name, info) in header.tensors() {
            if !matches!(info.dtype, Dtype::F32 | Dtype::F64 | Dtype::I8) {
                return Err(format!("{name} has the type {:?}, expected F32, F64 or I8", info.dtype));
            }
            let bytes = bytes[start..][info.data_offsets.0..info.data_offsets.1].to_vec();
            arrays.insert(name, Array { shape: info.shape.clone(), dtype: info.dtype, bytes });
        }
        let strings = json.into_iter().map(string).collect::<Result<_, _>>()?;
        let archive = Archive { strings, arrays };
        let (found, expected) = (checksum.unwrap_or_default(), archive.checksum());
        // A fuzzer would never find a file with the right one.
        if found != expected.as_str() && !cfg!(fuzzing) {
            let found = shortened(&found);
            return Err(format!("it is damaged: its checksum is {expected}, and should be {found}"));
        }
        Ok(archive)
    }

    /// The archive in a file of safetensors that anyone wrote. Of another's than cornu's, the numbers of half precision are widened, the
    /// strings are not read, and what is no array of floats is left out, with why.
    pub fn parse_any(bytes: &[u8]) -> Result<(Self, Vec<(String, String)>), String> {
        let (start, header) = header(bytes)?;
        if metadata(&header).is_some() {
            return Ok((Archive::parse(bytes)?, Vec::new()));
        }
        let (mut archive, mut others) = (Archive::default(), Vec::new());
        for (name, info) in header.tensors() {
            let bytes = &bytes[start..][info.data_offsets.0..info.data_offsets.1];
            let widened = |widen: fn(u16) -> f32| {
                let halves = bytes.as_chunks().0.iter().map(|&half| widen(u16::from_le_bytes(half)));
                (Dtype::F32, halves.flat_map(f32::to_le_bytes).collect())
            };
            let (dtype, bytes) = match info.dtype {
                Dtype::F32 | Dtype::F64 => (info.dtype, bytes.to_vec()),
                Dtype::F16 => widened(half),
                Dtype::BF16 => widened(brain),
                other => {
                    others.push((name, format!("it has the type {other:?}, expected F32, F64, F16 or BF16")));
                    continue;
                }
            };
            archive.arrays.insert(name, Array { shape: info.shape.clone(), dtype, bytes });
        }
        others.sort_unstable();
        Ok((archive, others))
    }

    /// The array of this name.
    pub fn array(&self, name: &str) -> Result<&Array, String> {
        self.arrays.get(name).ok_or_else(|| format!("it lacks {name}"))
    }

    /// The string of this name as a number, which counting on cannot make overflow.
    pub fn count(&self, name: &str) -> Result<u64, String> {
        let text = self.strings.get(name).ok_or_else(|| format!("it lacks {name}"))?;
        let count = text.parse().ok().filter(|&count: &u64| count < 1 << 53);
        let got = || shortened(&text.as_str().into());
        count.ok_or_else(|| format!("{name}: expected a whole number below 2^53, got {}", got()))
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

/// Where the arrays begin, and what the header says of them. It has been checked: they lie side by side, each as long as its shape says, and end
/// where the file does.
pub(super) fn header(bytes: &[u8]) -> Result<(usize, Metadata), String> {
    let other = match bytes {
        bytes if bytes.starts_with(ZIP) => Some("a zip, as .keras and the files of PyTorch are"),
        bytes if bytes.starts_with(HDF5) => Some("HDF5, as Keras's .h5 is"),
        [_, _, _, _, _, _, _, _, first, ..] if *first != b'{' => Some("another"),
        _ => None,
    };
    if let Some(other) = other {
        return Err(format!(
            "expected the format safetensors, got {other}; load_model and load_weights read Keras's files, with the feature keras, \
             load_model also ONNX, with onnx, and load_torch PyTorch's, with torch"
        ));
    }
    check_header(bytes)?;
    let (length, header) = SafeTensors::read_metadata(bytes)
        .map_err(|error| format!("not a whole file in the format safetensors: {error}"))?;
    Ok((size_of::<u64>() + length, header))
}

/// For the reader, and for the writer so that it writes none that cannot be read.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    match bytes.first_chunk().map_or(0, |&length| u64::from_le_bytes(length)) {
        length if length > MAX_HEADER => Err(format!("its header has {length} bytes, and may have {MAX_HEADER}")),
        _ => Ok(()),
    }
}

/// What cornu has written beside the arrays.
pub(super) fn metadata(header: &Metadata) -> Option<&String> {
    header.metadata().as_ref()?.get(KEY)
}

/// The number of half precision with these bits: a sign, five of the exponent, ten of the fraction.
pub(super) fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023) / 1024.0);
    let size = match exponent {
        0 => fraction * 2_f32.powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction) * 2_f32.powi(exponent - 15),
    };
    if bits >> 15 == 0 { size } else { -size }
}

/// The number whose first half these bits are, what Google Brain calls bfloat16.
pub(super) fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
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
    fn files_of_others_are_read_as_far_as_they_hold_floats() {
        let tensor = |dtype, bytes: &[u8]| Array { shape: vec![2], dtype, bytes: bytes.to_vec() };
        let arrays = BTreeMap::from([
            // 1.5 and the smallest number; -2 and infinity.
            ("half".to_owned(), tensor(Dtype::F16, &[0x00, 0x3e, 0x01, 0x00])),
            ("brain".to_owned(), tensor(Dtype::BF16, &[0x00, 0xc0, 0x80, 0x7f])),
            ("single".to_owned(), Array::vector(&[0.5_f32, 0.25])),
            ("count".to_owned(), tensor(Dtype::I64, &[0; 16])),
        ]);
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(&arrays, Some(metadata)).unwrap();
        let (archive, others) = Archive::parse_any(&bytes).unwrap();
        assert_eq!(archive.arrays["half"].values::<f64>(), [1.5, 2_f64.powi(-24)]);
        assert_eq!(archive.arrays["brain"].values::<f32>(), [-2.0, f32::INFINITY]);
        assert_eq!(archive.arrays["single"].values::<f32>(), [0.5, 0.25]);
        assert_eq!(others, [("count".to_owned(), "it has the type I64, expected F32, F64, F16 or BF16".to_owned())]);
        assert!(half(0x7e00).is_nan() && half(0xfc00) == f32::NEG_INFINITY && half(0xc400) == -4.0);
        assert!(Archive::parse(&bytes).unwrap_err().contains("cornu did not write it"));
        assert_eq!(Archive::parse_any(&super::Archive::bytes(&self::archive()).unwrap()).unwrap().0, self::archive());
    }

    #[test]
    fn a_header_that_is_not_read_is_not_written() {
        let with = |text: String| Archive { strings: BTreeMap::from([("text".to_owned(), text)]), ..archive() };
        let length = MAX_HEADER as usize;
        let written = with("x".repeat(length - 1000)).bytes().unwrap();
        assert_eq!(Archive::parse(&written).unwrap().strings["text"].len(), length - 1000);
        let error = with("x".repeat(length)).bytes().unwrap_err();
        assert!(error.contains("bytes, and may have 16777216"), "{error}");
        let header = [&(MAX_HEADER + 1).to_le_bytes()[..], b"{"].concat();
        assert_eq!(Archive::parse(&header).unwrap_err(), "its header has 16777217 bytes, and may have 16777216");
    }

    #[test]
    fn other_files_are_errors_that_say_what_is_wrong() {
        let write = |metadata: Option<&str>| {
            let metadata = metadata.map(|json| HashMap::from([(KEY.to_owned(), json.to_owned())]));
            safetensors::serialize(&archive().arrays, metadata).unwrap()
        };
        let message = |bytes: &[u8]| Archive::parse(bytes).unwrap_err();
        assert!(
            message(b"PK\x03\x04")
                .contains("got a zip, as .keras and the files of PyTorch are; load_model and load_weights")
        );
        assert!(message(b"\x89HDF\r\n\x1a\n").contains("got HDF5, as Keras's .h5 is"));
        assert!(message(b"hello, world").contains("expected the format safetensors, got another"));
        assert!(message(b"PK").contains("not a whole file in the format safetensors"));
        assert!(message(&write(None)).contains("cornu did not write it"));
        assert!(message(&write(Some("{}"))).contains("has no version"));
        assert!(message(&write(Some(r#"{"version":2}"#))).contains("update cornu"));
        assert!(message(&write(Some(r#"{"version":1}"#))).contains("damaged"));
        assert!(message(&write(Some("["))).contains("its metadata"));
    }
}
