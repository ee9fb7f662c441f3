//! [`Element`]: the numbers that arrays of NumPy are read as.

use crate::formats::dtype::Number;

/// A number that an array of NumPy is read as and written from: `f32`, `f64`, `u8`, `i32` or `i64`.
///
/// The trait is sealed.
pub trait Element: sealed::Sealed {}

pub(super) mod sealed {
    use super::Number;

    pub trait Sealed: Copy {
        /// The type's name in Rust.
        const NAME: &str;
        /// How NumPy describes it.
        const DESCR: &str;

        /// The number, if it is one of this type, or the nearest of a floating-point type.
        fn of(number: Number) -> Option<Self>;

        /// Adds its bytes, little-endian.
        fn write(self, bytes: &mut Vec<u8>);
    }

    impl Sealed for f32 {
        const NAME: &str = "f32";
        const DESCR: &str = "<f4";

        fn of(number: Number) -> Option<f32> {
            Some(match number {
                Number::Whole(n) => n as f32,
                Number::Real(x) => x as f32,
            })
        }

        fn write(self, bytes: &mut Vec<u8>) {
            bytes.extend(self.to_le_bytes());
        }
    }

    impl Sealed for f64 {
        const NAME: &str = "f64";
        const DESCR: &str = "<f8";

        fn of(number: Number) -> Option<f64> {
            Some(number.as_f64())
        }

        fn write(self, bytes: &mut Vec<u8>) {
            bytes.extend(self.to_le_bytes());
        }
    }

    impl Sealed for u8 {
        const NAME: &str = "u8";
        const DESCR: &str = "|u1";

        fn of(number: Number) -> Option<u8> {
            whole(number)?.try_into().ok()
        }

        fn write(self, bytes: &mut Vec<u8>) {
            bytes.push(self);
        }
    }

    impl Sealed for i32 {
        const NAME: &str = "i32";
        const DESCR: &str = "<i4";

        fn of(number: Number) -> Option<i32> {
            whole(number)?.try_into().ok()
        }

        fn write(self, bytes: &mut Vec<u8>) {
            bytes.extend(self.to_le_bytes());
        }
    }

    impl Sealed for i64 {
        const NAME: &str = "i64";
        const DESCR: &str = "<i8";

        fn of(number: Number) -> Option<i64> {
            whole(number)?.try_into().ok()
        }

        fn write(self, bytes: &mut Vec<u8>) {
            bytes.extend(self.to_le_bytes());
        }
    }

    fn whole(number: Number) -> Option<i128> {
        match number {
            Number::Whole(n) => Some(n),
            Number::Real(x) => (x.fract() == 0.0).then_some(x as i128),
        }
    }
}

impl<T: sealed::Sealed> Element for T {}
