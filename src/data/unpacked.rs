//! [`Unpacked`]: the bytes of a file, packed with gzip or not.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::Path,
    rc::Rc,
};

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// How many times its size a file may unpack to; real data shrinks to a tenth.
const MAX_RATIO: u64 = 200;

/// Up to so many bytes, the ratio does not count.
const ALWAYS: u64 = 16 << 20;

/// Bytes that are read before the ratio is looked at again.
const PART: u64 = 1 << 20;

/// Unpacked bytes that are read from the front.
///
/// Memory grows with the bytes that arrive, never with what is asked for, and those that arrive are at most [`MAX_RATIO`] times the file.
pub(super) struct Unpacked<'a> {
    bytes: Box<dyn Read + 'a>,
    /// The bytes of the file that were read so far.
    packed: Rc<Cell<u64>>,
    /// What an error calls the source.
    name: &'a Path,
    /// The number of bytes read so far.
    at: u64,
}

impl<'a> Unpacked<'a> {
    /// Those of a file.
    pub fn open(path: &'a Path) -> Result<Self> {
        Unpacked::file(File::open(path).map_err(|e| Error::io(path, e))?, path)
    }

    /// Those of what will be a file, read in the same parts.
    pub fn file(bytes: impl Read + 'a, path: &'a Path) -> Result<Self> {
        Unpacked::new(BufReader::with_capacity(1 << 16, bytes), path)
    }

    /// Those of any source; an error calls it by `name`.
    pub fn new(source: impl Read + 'a, name: &'a Path) -> Result<Self> {
        let packed = Rc::default();
        let bytes = unpack(Counted { source, count: Rc::clone(&packed) }).map_err(|e| Error::io(name, e))?;
        Ok(Unpacked { bytes, packed, name, at: 0 })
    }

    pub fn name(&self) -> &'a Path {
        self.name
    }

    /// The next `len` bytes, which are `what`.
    pub fn take(&mut self, len: u64, what: &str) -> Result<Vec<u8>> {
        let bytes = self.take_up_to(len)?;
        if (bytes.len() as u64) < len {
            let end = self.at;
            let start = end - bytes.len() as u64;
            let message = format!("ends after {end} bytes; {what} take {len} bytes from byte {start} on");
            return Err(Error::format(self.name, message));
        }
        Ok(bytes)
    }

    /// Nothing may follow `what`, which was read last. This also makes gzip compare its checksum.
    pub fn end(&mut self, what: &str) -> Result<()> {
        let end = self.at;
        if self.take_up_to(1)?.is_empty() {
            return Ok(());
        }
        Err(Error::format(self.name, format!("goes on after byte {end}, where {what} end")))
    }

    /// The next `len` bytes, or all that are left.
    pub fn take_up_to(&mut self, len: u64) -> Result<Vec<u8>> {
        // Not with_capacity: `len` is only what the file claims.
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < len {
            let (start, part) = (bytes.len(), PART.min(len - bytes.len() as u64));
            let result = self.bytes.by_ref().take(part).read_to_end(&mut bytes);
            let read = (bytes.len() - start) as u64;
            self.at += read;
            match result {
                Ok(_) if self.at > ALWAYS && self.at / MAX_RATIO > self.packed.get() => {
                    let (at, packed) = (self.at, self.packed.get());
                    return Err(Error::format(
                        self.name,
                        format!(
                            "{packed} bytes of it unpack to {at} or more, over {MAX_RATIO} times as many: no data set does"
                        ),
                    ));
                }
                Ok(_) if read < part => break,
                Ok(_) => {}
                // An error without a number is not the operating system's, but the decoder's.
                Err(e) if e.raw_os_error().is_none() && is_damage(e.kind()) => {
                    return Err(Error::format(self.name, format!("damaged after {} bytes: {e}", self.at)));
                }
                Err(e) => return Err(Error::io(self.name, e)),
            }
        }
        Ok(bytes)
    }
}

/// A source that counts the bytes that are read.
struct Counted<R> {
    source: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

fn is_damage(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// The bytes of `source`, unpacked if they begin as gzip does.
pub(super) fn unpack<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = Vec::new();
    source.by_ref().take(2).read_to_end(&mut start)?;
    let is_gzip = start == [0x1f, 0x8b];
    let source = Cursor::new(start).chain(source);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) })
}
