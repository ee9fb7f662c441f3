//! [`Npy`]: an array as NumPy writes it.
//!
//! | bytes | what |
//! | --- | --- |
//! | 6 | `\x93NUMPY` |
//! | 2 | the version, 1.0, 2.0 or 3.0 |
//! | 2, from version 2 on 4 | the length of the header, little-endian |
//! | that | the header: a dict of Python with the type, the order and the shape, padded by blanks |
//! | the rest | the elements |

use super::element::Element;
use crate::{
    Labels, Shape, Tensor,
    formats::dtype::{Dtype, Number},
    kernels::strided::Strided,
};

/// An array whose elements are where they are in the file, all of them.
#[derive(Debug, PartialEq)]
pub(super) struct Npy<'a> {
    shape: Shape,
    /// How the file calls the type.
    descr: &'a str,
    dtype: Dtype,
    big_endian: bool,
    fortran_order: bool,
    bytes: &'a [u8],
}

const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header, in bytes; that of an array of numbers has about a hundred.
const MAX_HEADER: usize = 1 << 16;

impl<'a> Npy<'a> {
    pub fn parse(file: &'a [u8]) -> Result<Self, String> {
        let rest = file.strip_prefix(MAGIC).ok_or("not a npy file: it does not begin with \\x93NUMPY")?;
        let (len, rest) = match *rest {
            [1, 0, a, b, ref rest @ ..] => (u16::from_le_bytes([a, b]).into(), rest),
            [2 | 3, 0, a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, rest),
            [1..=3, 0, ..] | [] | [_] => return Err(format!("it ends after {} bytes, in the header", file.len())),
            [major, minor, ..] => return Err(format!("it has the version {major}.{minor}, expected 1.0, 2.0 or 3.0")),
        };
        if len > MAX_HEADER {
            return Err(format!("its header says it has {len} bytes, and may have {MAX_HEADER}"));
        }
        let (header, bytes) = rest
            .split_at_checked(len)
            .ok_or_else(|| format!("its header has {} bytes, and should have {len}", rest.len()))?;
        let header = std::str::from_utf8(header).map_err(|_| "its header is not UTF-8")?;
        let Header { descr, fortran_order, shape } =
            Header::parse(header).map_err(|message| format!("its header {:?}: {message}", shortened(header)))?;
        let (dtype, big_endian) = dtype_of(descr)?;
        let shape =
            Shape::new(&shape).map_err(|_| format!("it has shape {shape:?}; a tensor has at most 6 dimensions"))?;
        let len = shape.size().checked_mul(dtype.size());
        if len != Some(bytes.len()) {
            return Err(format!(
                "its {} bytes of elements are not those of type {descr} and shape {shape}, which take {}",
                bytes.len(),
                len.map_or("more than there can be".to_owned(), |len| len.to_string())
            ));
        }
        Ok(Npy { shape, descr, dtype, big_endian, fortran_order, bytes })
    }

    pub fn tensor<T: Element>(&self) -> Result<Tensor<T>, String> {
        let mut elements = Vec::with_capacity(self.shape.size());
        for (i, number) in self.numbers().enumerate() {
            let element = T::of(number).ok_or_else(|| {
                let (Npy { descr, shape, .. }, value) = (self, number.as_f64());
                format!("the array of type {descr} and shape {shape} has {value} at place {i}, which is no {}", T::NAME)
            })?;
            elements.push(element);
        }
        if self.fortran_order && !elements.is_empty() {
            let dims: Vec<_> = self.shape.dims().iter().copied().rev().collect();
            let axes: Vec<_> = (0..dims.len()).rev().collect();
            let columns = elements.clone();
            Strided::permuted(&dims, &axes).gather(&columns, &mut elements);
        }
        Ok(Tensor::new(self.shape, elements).expect("an element for each place"))
    }

    pub fn labels(&self) -> Result<Labels, String> {
        match self.dtype {
            Dtype::U8 if self.shape.rank() == 1 => Ok(self.bytes.to_vec().into()),
            _ => Labels::try_from(&self.tensor::<f64>()?).map_err(|error| format!("of type {}: {error}", self.descr)),
        }
    }

    /// In the order of the file.
    fn numbers(&self) -> impl Iterator<Item = Number> {
        self.bytes.chunks_exact(self.dtype.size()).map(|bytes| {
            if !self.big_endian {
                return self.dtype.number(bytes);
            }
            let mut little = [0; 8];
            little.iter_mut().zip(bytes.iter().rev()).for_each(|(little, &byte)| *little = byte);
            self.dtype.number(&little)
        })
    }
}

/// The array as a file.
pub(super) fn bytes_of<T: Element>(shape: Shape, elements: &[T]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{}', 'fortran_order': False, 'shape': {shape}, }}", T::DESCR);
    // The elements begin at a multiple of 64 bytes, behind a line break.
    let before = MAGIC.len() + 4;
    let len = (before + header.len() + 1).next_multiple_of(64) - before;
    header.extend(std::iter::repeat_n(' ', len - 1 - header.len()));
    header.push('\n');
    let mut bytes = Vec::with_capacity(before + len + size_of_val(elements));
    bytes.extend(MAGIC);
    bytes.extend([1, 0]);
    bytes.extend((len as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    elements.iter().for_each(|element| element.write(&mut bytes));
    bytes
}

/// Labels as a file.
pub(super) fn bytes_of_labels(labels: &Labels) -> Vec<u8> {
    match labels.max() {
        Some(256..) => bytes_of(labels.len().into(), &labels.iter().map(|label| label as i64).collect::<Vec<_>>()),
        _ => bytes_of(labels.len().into(), &labels.iter().map(|label| label as u8).collect::<Vec<_>>()),
    }
}

/// The type, and whether its bytes are reversed.
fn dtype_of(descr: &str) -> Result<(Dtype, bool), String> {
    let known = [
        ("b1", Dtype::Bool),
        ("u1", Dtype::U8),
        ("u2", Dtype::U16),
        ("u4", Dtype::U32),
        ("u8", Dtype::U64),
        ("i1", Dtype::I8),
        ("i2", Dtype::I16),
        ("i4", Dtype::I32),
        ("i8", Dtype::I64),
        ("f2", Dtype::F16),
        ("f4", Dtype::F32),
        ("f8", Dtype::F64),
    ];
    let name = descr.strip_prefix(['<', '>', '|', '=']).unwrap_or(descr);
    match known.iter().find(|(known, _)| *known == name) {
        Some(&(_, dtype)) => Ok((dtype, descr.starts_with('>'))),
        None if name.starts_with('O') => Err(format!(
            "its elements are objects ({descr}), which are pickles and never read; save an array of numbers"
        )),
        None => {
            Err(format!("its elements are of type {:?}, expected real numbers such as <f4 or |u1", shortened(descr)))
        }
    }
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`
struct Header<'a> {
    descr: &'a str,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl<'a> Header<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut rest = Rest(text);
        rest.expect("{")?;
        while !rest.skip("}") {
            let key = rest.string()?;
            rest.expect(":")?;
            let twice = match key {
                "descr" => descr.replace(rest.string()?).is_some(),
                "fortran_order" => fortran_order.replace(rest.bool()?).is_some(),
                "shape" => shape.replace(rest.tuple()?).is_some(),
                other => return Err(format!("no key {other} was expected")),
            };
            if twice {
                return Err(format!("{key} is there twice"));
            }
            if !rest.skip(",") {
                rest.expect("}")?;
                break;
            }
        }
        if !rest.0.trim().is_empty() {
            return Err("it goes on behind the dict".to_owned());
        }
        Ok(Header {
            descr: descr.ok_or("descr is missing")?,
            fortran_order: fortran_order.ok_or("fortran_order is missing")?,
            shape: shape.ok_or("shape is missing")?,
        })
    }
}

/// What is left to read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Whether `mark` was next, and is no more.
    fn skip(&mut self, mark: &str) -> bool {
        let rest = self.0.trim_start();
        self.0 = rest.strip_prefix(mark).unwrap_or(rest);
        rest.len() != self.0.len()
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        match self.skip(mark) {
            true => Ok(()),
            false => Err(format!("expected {mark} before {:?}", shortened(self.0))),
        }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.skip("\"") { '"' } else { '\'' };
        if quote == '\'' && !self.skip("'") {
            return Err(format!("expected a string before {:?}; records are not read", shortened(self.0)));
        }
        let (string, rest) = self.0.split_once(quote).ok_or("a string does not end")?;
        self.0 = rest;
        Ok(string)
    }

    fn bool(&mut self) -> Result<bool, String> {
        match self.skip("True") {
            true => Ok(true),
            false => self.expect("False").map(|()| false),
        }
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        self.expect("(")?;
        let mut numbers = Vec::new();
        while !self.skip(")") {
            let rest = self.0.trim_start();
            let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
            let (number, rest) = rest.split_at(digits);
            numbers.push(number.parse().map_err(|_| format!("expected a dimension before {:?}", shortened(rest)))?);
            self.0 = rest;
            if !self.skip(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(numbers)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this header and elements of so many bytes.
    fn file(header: &str, bytes: usize) -> Vec<u8> {
        [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), &vec![0; bytes]].concat()
    }

    fn error(file: &[u8]) -> String {
        Npy::parse(file).unwrap_err()
    }

    #[test]
    fn headers_that_python_could_write() {
        for header in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n",
            "{\"shape\":(2,3,),\"descr\":\"<f4\",\"fortran_order\":False}",
        ] {
            let file = file(header, 24);
            let npy = Npy::parse(&file).unwrap();
            assert_eq!((npy.shape, npy.dtype, npy.fortran_order), ([2, 3].into(), Dtype::F32, false));
        }
    }

    #[test]
    fn other_headers() {
        for (header, words) in [
            ("", "expected {"),
            ("{", "expected a string"),
            ("{}", "descr is missing"),
            ("{'descr': '<f4', 'fortran_order': False}", "shape is missing"),
            ("{'descr': '<f4', 'descr': '<f4'}", "descr is there twice"),
            ("{'order': 'C'}", "no key order was expected"),
            ("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", "expected False before \"0, 's"),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': 3}", "expected ( before"),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (-1,)}", "expected a dimension before \"-1"),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (99999999999999999999,)}", "expected a dimension"),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (1,)} + x", "it goes on"),
            ("{'descr': ('<f4', (2,)), 'fortran_order': True, 'shape': (1,)}", "records are not read"),
            ("{'descr': '<f4", "a string does not end"),
            ("{'descr': '<f16', 'fortran_order': True, 'shape': ()}", "\"<f16\", expected real numbers"),
        ] {
            let error = error(&file(header, 4));
            assert!(error.contains(words), "{error} lacks {words}");
        }
        // Brackets in brackets, as deep as they can be.
        for open in ["(", "[", "{", "{'shape': ("] {
            assert!(error(&file(&open.repeat(5000), 4)).len() < 400);
        }
    }

    #[test]
    fn lengths_that_are_not_there() {
        let shaped = |shape: &str| file(&format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}"), 16);
        assert!(Npy::parse(&shaped("(2,)")).is_ok());
        for (shape, words) in [
            ("(3,)", "its 16 bytes of elements are not those of type <f8 and shape (3,), which take 24"),
            ("(1,)", "which take 8"),
            ("(4611686018427387904, 4)", "more than there can be"),
            ("(18446744073709551615, 18446744073709551615)", "more than there can be"),
            ("(18446744073709551615, 0)", "which take 0"),
        ] {
            let error = error(&shaped(shape));
            assert!(error.contains(words), "{error} lacks {words}");
        }
        for version in [2, 3] {
            let long = [MAGIC, &[version, 0, 0xff, 0xff, 0xff, 0xff], b"{}"].concat();
            assert!(error(&long).contains("4294967295 bytes, and may have 65536"));
        }
        assert!(
            error(&[MAGIC, &[1, 0, 0xff, 0xff], b"{}"].concat())
                .contains("its header has 2 bytes, and should have 65535")
        );
        assert!(error(&[MAGIC, &[1, 0, 0xff]].concat()).contains("ends after 9 bytes"));
        assert!(error(&[MAGIC, &[4, 0, 0xff, 0xff]].concat()).contains("the version 4.0"));
        assert!(error(b"\x93NUMP").contains("not a npy file"));
    }
}
