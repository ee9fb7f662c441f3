//! [`Cursor`]: bytes that are taken one field after the other.

/// A part of a file, and how far it has been read.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    left: &'a [u8],
    /// Where in the file the part that is left begins, for errors.
    offset: usize,
}

/// What stands for no address.
const UNDEFINED: u64 = u64::MAX;

impl<'a> Cursor<'a> {
    pub fn new(left: &'a [u8], offset: usize) -> Self {
        Cursor { left, offset }
    }

    pub fn len(&self) -> usize {
        self.left.len()
    }

    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The next bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let Some((taken, left)) = self.left.split_at_checked(len) else {
            return Err(format!(
                "byte {}: {len} bytes should be here, and {} are left of this part",
                self.offset,
                self.left.len()
            ));
        };
        (self.left, self.offset) = (left, self.offset + len);
        Ok(taken)
    }

    /// The next bytes as a part of their own.
    pub fn part(&mut self, len: usize) -> Result<Cursor<'a>, String> {
        let offset = self.offset;
        Ok(Cursor::new(self.take(len)?, offset))
    }

    /// Passes over what fills up a field of `len` bytes to a multiple of 8.
    pub fn pad(&mut self, len: usize) -> Result<(), String> {
        self.take(len.next_multiple_of(8) - len).map(|_| ())
    }

    /// Demands the four letters that such a part begins with.
    pub fn signature(&mut self, expected: &[u8; 4]) -> Result<(), String> {
        let offset = self.offset;
        let found = self.take(4)?;
        if found != expected {
            let (expected, found) = (expected.escape_ascii(), found.escape_ascii());
            return Err(format!("byte {offset}: expected the signature {expected}, got {found}"));
        }
        Ok(())
    }

    /// A number of `len` bytes, at most 8.
    pub fn uint(&mut self, len: usize) -> Result<u64, String> {
        Ok(self.take(len)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    pub fn u8(&mut self) -> Result<u8, String> {
        Ok(self.uint(1)? as u8)
    }

    pub fn u16(&mut self) -> Result<u16, String> {
        Ok(self.uint(2)? as u16)
    }

    pub fn u32(&mut self) -> Result<u32, String> {
        Ok(self.uint(4)? as u32)
    }

    pub fn u64(&mut self) -> Result<u64, String> {
        self.uint(8)
    }

    /// A length or an offset that this machine can have.
    pub fn size(&mut self) -> Result<usize, String> {
        let offset = self.offset;
        let size = self.u64()?;
        usize::try_from(size).map_err(|_| format!("byte {offset}: {size} bytes are more than this machine has"))
    }

    /// An offset in the file, if there is one.
    pub fn address(&mut self) -> Result<Option<usize>, String> {
        let offset = self.offset;
        let address = self.u64()?;
        let no_memory = |_| format!("byte {offset}: it points to byte {address}, which no file has");
        if address == UNDEFINED { Ok(None) } else { address.try_into().map(Some).map_err(no_memory) }
    }
}
