//! [`Dtype`]: the type of the numbers in a file.

#[cfg(feature = "torch")]
use super::archive::brain;
use super::archive::half;

/// The type of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dtype {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    #[cfg(feature = "torch")]
    BF16,
    F32,
    F64,
}

/// A number of any [`Dtype`], exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Whole(i128),
    Real(f64),
}

impl Dtype {
    /// The bytes of a number.
    pub fn size(self) -> usize {
        match self {
            Dtype::Bool | Dtype::U8 | Dtype::I8 => 1,
            Dtype::U16 | Dtype::I16 | Dtype::F16 => 2,
            #[cfg(feature = "torch")]
            Dtype::BF16 => 2,
            Dtype::U32 | Dtype::I32 | Dtype::F32 => 4,
            Dtype::U64 | Dtype::I64 | Dtype::F64 => 8,
        }
    }

    /// The number whose bytes, little-endian, are the first of `bytes`.
    ///
    /// # Panics
    /// When there are fewer than [`size`](Dtype::size).
    pub fn number(self, bytes: &[u8]) -> Number {
        match self {
            Dtype::Bool | Dtype::U8 => Number::Whole(bytes[0].into()),
            Dtype::U16 => Number::Whole(u16::from_le_bytes(first(bytes)).into()),
            Dtype::U32 => Number::Whole(u32::from_le_bytes(first(bytes)).into()),
            Dtype::U64 => Number::Whole(u64::from_le_bytes(first(bytes)).into()),
            Dtype::I8 => Number::Whole(i8::from_le_bytes(first(bytes)).into()),
            Dtype::I16 => Number::Whole(i16::from_le_bytes(first(bytes)).into()),
            Dtype::I32 => Number::Whole(i32::from_le_bytes(first(bytes)).into()),
            Dtype::I64 => Number::Whole(i64::from_le_bytes(first(bytes)).into()),
            Dtype::F16 => Number::Real(half(u16::from_le_bytes(first(bytes))).into()),
            #[cfg(feature = "torch")]
            Dtype::BF16 => Number::Real(brain(u16::from_le_bytes(first(bytes))).into()),
            Dtype::F32 => Number::Real(f32::from_le_bytes(first(bytes)).into()),
            Dtype::F64 => Number::Real(f64::from_le_bytes(first(bytes))),
        }
    }
}

impl Number {
    /// The nearest `f64`.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Whole(n) => n as f64,
            Number::Real(x) => x,
        }
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("the bytes of a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_two_bytes() {
        assert_eq!(Dtype::F16.number(&[0x55, 0x35, 0xff]), Number::Real(0.333251953125));
        #[cfg(feature = "torch")]
        assert_eq!(Dtype::BF16.number(&[0x80, 0x3f, 0xff]), Number::Real(1.0));
    }

    #[test]
    fn whole_numbers_are_exact() {
        assert_eq!(Dtype::U64.number(&[0xff; 8]), Number::Whole(u64::MAX.into()));
        assert_eq!(Dtype::I64.number(&[0xff; 8]), Number::Whole(-1));
        assert_eq!(Dtype::I16.number(&[0, 0x80]), Number::Whole(-32768));
        assert_eq!(Dtype::F64.number(&0.1_f64.to_le_bytes()).as_f64(), 0.1);
    }
}
