//! [`Aligned`]: memory that begins with a cache line.

use num_traits::Zero;

/// The bytes of a cache line.
const LINE: usize = 64;

/// A buffer whose elements begin at the start of a cache line, so that no vector of them crosses one.
#[derive(Debug, Default)]
pub(crate) struct Aligned<T>(Vec<T>);

impl<T: Copy + Zero> Aligned<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let mut aligned = Aligned(Vec::new());
        aligned.grown(len);
        aligned
    }

    /// The first `len` elements, of any value. Grown once, then reused.
    pub fn grown(&mut self, len: usize) -> &mut [T] {
        let room = len + LINE / size_of::<T>();
        if len > 0 && self.0.len() < room {
            self.0.resize(room, T::zero());
        }
        let start = self.start();
        &mut self.0[start..start + len]
    }

    /// The first `len` elements, which the buffer has been grown to.
    pub fn get(&self, len: usize) -> &[T] {
        &self.0[self.start()..][..len]
    }

    fn start(&self) -> usize {
        if self.0.is_empty() { 0 } else { self.0.as_ptr().align_offset(LINE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_with_a_line_and_keeps_it() {
        let mut buffer = Aligned::<f32>::zeros(3);
        for len in [3, 0, 100, 17, 10_000] {
            assert_eq!(buffer.grown(len).len(), len);
            assert_eq!(buffer.get(len).len(), len);
            assert_eq!(buffer.grown(1).as_ptr().addr() % LINE, 0);
        }
        assert!(Aligned::<f64>::zeros(0).get(0).is_empty());
    }
}
