//! [`Dataset`], and the strings of attributes.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use super::{
    File,
    bytes::Cursor,
    dense,
    header::{Header, Message, kind},
};
use crate::Scalar;

/// Numbers with a shape.
pub(crate) struct Dataset<'a> {
    path: String,
    shape: Vec<usize>,
    number: Number,
    bytes: &'a [u8],
}

/// The types of the numbers that are read, all of them little-endian.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    F32,
    F64,
    I32,
    I64,
}

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Number(Number),
    /// So many bytes, of which zeros at the end do not count.
    Fixed(usize),
    /// Where in a heap the string is.
    Variable,
    /// A class that is not read, and of how many bytes.
    Other(u8, usize),
}

/// The names of the classes.
const CLASSES: [&str; 11] = [
    "whole numbers",
    "floating-point numbers",
    "times",
    "strings",
    "bit fields",
    "opaque values",
    "compounds",
    "references",
    "enumerations",
    "lists",
    "arrays",
];

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Type::Number(number) => write!(f, "numbers of the type {number:?}"),
            Type::Fixed(_) | Type::Variable => write!(f, "strings"),
            Type::Other(class, size) => {
                let class = CLASSES.get(usize::from(class)).unwrap_or(&"elements of an unknown class");
                write!(f, "{class} of {size} bytes that are not read")
            }
        }
    }
}

impl<'a> Dataset<'a> {
    pub(super) fn read(file: &File<'a>, address: usize, path: String) -> Result<Self, String> {
        match read(file, address) {
            Ok((shape, number, bytes)) => Ok(Dataset { path, shape, number, bytes }),
            Err(message) => Err(format!("{path}: {message}")),
        }
    }

    /// `/layers/conv2d/vars/0`
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, if they are floating-point ones; rounded where `T` is the shorter type.
    pub fn values<T: Scalar>(&self) -> Result<Vec<T>, String> {
        match self.number {
            Number::F32 => Ok(self.chunks().map(|bytes| T::of(f32::from_le_bytes(bytes).into())).collect()),
            Number::F64 => Ok(self.chunks().map(|bytes| T::of(f64::from_le_bytes(bytes))).collect()),
            other => Err(format!("{}: it holds numbers of type {other:?}, expected F32 or F64", self.path)),
        }
    }

    /// The number, if it is a whole one.
    pub fn integer(&self) -> Result<i64, String> {
        let number = match self.number {
            Number::I32 => self.chunks().map(|bytes| i32::from_le_bytes(bytes).into()).next(),
            Number::I64 => self.chunks().map(i64::from_le_bytes).next(),
            Number::F32 | Number::F64 => None,
        };
        let number = number.filter(|_| self.shape.is_empty());
        number.ok_or_else(|| {
            format!("{}: expected a whole number, got type {:?} and shape {:?}", self.path, self.number, self.shape)
        })
    }

    fn chunks<const N: usize>(&self) -> impl Iterator<Item = [u8; N]> {
        self.bytes.as_chunks::<N>().0.iter().copied()
    }
}

impl Number {
    fn size(self) -> usize {
        match self {
            Number::F32 | Number::I32 => 4,
            Number::F64 | Number::I64 => 8,
        }
    }
}

fn read<'a>(file: &File<'a>, address: usize) -> Result<(Vec<usize>, Number, &'a [u8]), String> {
    let header = Header::read(file, address)?;
    let message = |kind| header.first(kind).ok_or("it is a group, expected a dataset");
    let layout = message(kind::LAYOUT)?;
    let shape = dataspace(own(message(kind::DATASPACE)?)?)?;
    let number = match datatype(own(message(kind::DATATYPE)?)?)? {
        Type::Number(number) => number,
        other => {
            return Err(format!("it holds {other}, expected little-endian floating-point numbers of 4 or 8 bytes"));
        }
    };
    let len = shape.iter().try_fold(number.size(), |len, &dim| len.checked_mul(dim));
    let len = len.ok_or_else(|| format!("its shape {shape:?} is larger than any memory"))?;
    if header.first(kind::FILTERS).is_some() {
        return Err("it is compressed; only plain datasets are read, as Keras writes them".to_owned());
    }
    let (mut layout, offset) = (own(layout)?, layout.body.offset());
    let (version, class) = (layout.u8()?, layout.u8()?);
    let bytes = match (version, class) {
        (3 | 4, 0) => {
            let size = usize::from(layout.u16()?);
            check_len(size, len, &shape)?;
            layout.take(len)?
        }
        (3 | 4, 1) => {
            let (start, size) = (layout.address()?, layout.size()?);
            match start {
                Some(start) => {
                    check_len(size, len, &shape)?;
                    file.part(start, len)?.take(len)?
                }
                None if len == 0 => &[],
                None => return Err("its numbers were never written".to_owned()),
            }
        }
        (3 | 4, 2) => {
            return Err("it is stored in chunks; only plain datasets are read, as Keras writes them".to_owned());
        }
        _ => return Err(format!("byte {offset}: layout version {version}, class {class}, which is not read")),
    };
    Ok((shape, number, bytes))
}

fn check_len(stored: usize, len: usize, shape: &[usize]) -> Result<(), String> {
    if stored != len {
        return Err(format!("{stored} bytes are stored, but the shape {shape:?} takes {len}"));
    }
    Ok(())
}

/// The body of a message that is where it is read.
fn own<'a>(message: &Message<'a>) -> Result<Cursor<'a>, String> {
    match message.shared {
        true => Err(format!("byte {}: a message that is shared, which is not read", message.body.offset())),
        false => Ok(message.body.clone()),
    }
}

/// The shape; one that holds nothing has a dimension of 0.
fn dataspace(mut message: Cursor) -> Result<Vec<usize>, String> {
    let offset = message.offset();
    let (version, rank, _flags) = (message.u8()?, message.u8()?, message.u8()?);
    let class = message.u8()?;
    match version {
        1 => _ = message.take(4)?,
        2 if class == 2 => return Ok(vec![0]),
        2 => (),
        _ => return Err(format!("byte {offset}: dataspace version {version}; versions 1 and 2 are read")),
    }
    (0..rank).map(|_| message.size()).collect()
}

fn datatype(mut message: Cursor) -> Result<Type, String> {
    let class = message.u8()? & 15;
    let flags = message.take(3)?;
    let size = message.u32()?;
    Ok(match class {
        0 | 1 => {
            let properties = message.take(if class == 0 { 4 } else { 12 })?;
            let (little_endian, signed) = (flags[0] & 1 == 0 && flags[0] & 64 == 0, flags[0] & 8 != 0);
            match (class, size, properties) {
                (0, 4, [0, 0, 32, 0]) if little_endian && signed => Type::Number(Number::I32),
                (0, 8, [0, 0, 64, 0]) if little_endian && signed => Type::Number(Number::I64),
                (1, 4, [0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0]) if little_endian => Type::Number(Number::F32),
                (1, 8, [0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0]) if little_endian => Type::Number(Number::F64),
                _ => Type::Other(class, size as usize),
            }
        }
        3 => Type::Fixed(size as usize),
        // Of what the type is a list, a string or another, says its first bits.
        9 if flags[0] & 15 == 1 => Type::Variable,
        _ => Type::Other(class, size as usize),
    })
}

/// The strings of the attribute of this name, if there is one.
pub(super) fn attribute<'a>(file: &File<'a>, header: &Header<'a>, name: &str) -> Result<Option<Vec<String>>, String> {
    let mut found = None;
    let mut look = |message: Cursor<'a>| -> Result<(), String> {
        // Looking for one costs, too, since a header may have as many as names are looked for.
        file.spend(16)?;
        let (is, value) = named(message, name)?;
        if is {
            found = Some(value);
        }
        Ok(())
    };
    header.all(kind::ATTRIBUTE).try_for_each(|message| look(own(message)?))?;
    if let Some(info) = header.first(kind::ATTRIBUTE_INFO) {
        let mut info = info.body.clone();
        _ = info.u8()?;
        let flags = info.u8()?;
        _ = info.take(if flags & 1 != 0 { 2 } else { 0 })?;
        if let [Some(heap), Some(tree)] = [info.address()?, info.address()?] {
            dense::for_each(file, heap, tree, 0, &mut look)?;
        }
    }
    found.map(|value| strings(file, value)).transpose()
}

/// The parts of an attribute: its type, its shape and its bytes.
type Value<'a> = [Cursor<'a>; 3];

/// An attribute, and whether it has this name.
fn named<'a>(mut message: Cursor<'a>, name: &str) -> Result<(bool, Value<'a>), String> {
    let offset = message.offset();
    let (version, flags) = (message.u8()?, message.u8()?);
    if !(1..=3).contains(&version) {
        return Err(format!("byte {offset}: attribute version {version}; versions 1 to 3 are read"));
    }
    let lens = [message.u16()?, message.u16()?, message.u16()?].map(usize::from);
    // The character set of the name.
    _ = message.take(if version == 3 { 1 } else { 0 })?;
    let mut next = |len: usize| {
        let part = message.part(len)?;
        if version == 1 {
            message.pad(len)?;
        }
        Ok::<_, String>(part)
    };
    let (mut own_name, datatype, dataspace) = (next(lens[0])?, next(lens[1])?, next(lens[2])?);
    let own_name = own_name.take(lens[0])?;
    let is = own_name.split(|&byte| byte == 0).next() == Some(name.as_bytes());
    if is && version > 1 && flags & 3 != 0 {
        return Err(format!("byte {offset}: its type is shared, which is not read"));
    }
    Ok((is, [datatype, dataspace, message]))
}

fn strings(file: &File, [of, shape, mut bytes]: Value) -> Result<Vec<String>, String> {
    let shape = dataspace(shape)?;
    let of = datatype(of)?;
    let size = match of {
        Type::Fixed(size) => size,
        Type::Variable => 16,
        // Keras's empty lists have no type.
        _ if shape.contains(&0) => 0,
        other => return Err(format!("it holds {other}, expected strings")),
    };
    let count = shape.iter().try_fold(1, |count: usize, &dim| count.checked_mul(dim));
    let count = count.filter(|&count| count.checked_mul(size.max(1)).is_some_and(|len| len <= bytes.len()));
    let count = count.ok_or_else(|| format!("its shape {shape:?} is larger than its {} bytes", bytes.len()))?;
    let mut heaps = BTreeMap::new();
    let mut string = || {
        let offset = bytes.offset();
        let found = match of {
            Type::Variable => {
                let (len, heap, index) = (bytes.u32()? as usize, bytes.address()?, bytes.u32()?);
                match heap {
                    Some(heap) if len > 0 => from_heap(file, &mut heaps, heap, index, len)?,
                    _ => &[],
                }
            }
            _ => bytes.take(size)?,
        };
        // A string takes more than its bytes, and twice as much in a list that grows.
        file.spend(found.len() + 2 * size_of::<String>())?;
        let end = found.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        String::from_utf8(found[..end].to_vec()).map_err(|_| format!("byte {offset}: a string that is not UTF-8"))
    };
    (0..count).map(|_| string()).collect()
}

/// The objects of global heaps, by their numbers.
type Heaps<'a> = BTreeMap<usize, BTreeMap<u32, &'a [u8]>>;

/// A string in a global heap.
fn from_heap<'a>(
    file: &File<'a>,
    heaps: &mut Heaps<'a>,
    address: usize,
    index: u32,
    len: usize,
) -> Result<&'a [u8], String> {
    let heap = match heaps.entry(address) {
        Entry::Occupied(heap) => heap.into_mut(),
        Entry::Vacant(heap) => heap.insert(global_heap(file, address)?),
    };
    let object = heap.get(&index).and_then(|object| object.get(..len));
    object.ok_or_else(|| format!("byte {address}: a heap without {len} bytes of number {index}"))
}

fn global_heap<'a>(file: &File<'a>, address: usize) -> Result<BTreeMap<u32, &'a [u8]>, String> {
    let mut head = file.part(address, 16)?;
    head.signature(b"GCOL")?;
    _ = head.take(4)?;
    let size = head.size()?.saturating_sub(16);
    let mut left = file.part(head.offset(), size)?;
    let mut objects = BTreeMap::new();
    while left.len() >= 16 {
        let index = left.u16()?;
        _ = left.take(6)?;
        let size = left.size()?;
        // Number 0 is the space that is free, at the end.
        if index == 0 {
            break;
        }
        objects.insert(index.into(), left.take(size)?);
        _ = left.take((size.next_multiple_of(8) - size).min(left.len()))?;
    }
    Ok(objects)
}
