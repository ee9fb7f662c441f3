//! [`Unpacked`]: the bytes of a file, packed with gzip or not.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// Unpacked bytes that are read from the front.
///
/// Memory grows with the bytes that arrive, never with what is asked for.
pub(super) struct Unpacked<'a> {
    bytes: Box<dyn Read + 'a>,
    /// What an error calls the source.
    name: &'a Path,
    /// The number of bytes read so far.
    at: u64,
}

impl<'a> Unpacked<'a> {
    /// Those of a file.
    pub fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        Unpacked::new(BufReader::with_capacity(1 << 16, file), path)
    }

    /// Those of any source; an error calls it by `name`.
    pub fn new(source: impl Read + 'a, name: &'a Path) -> Result<Self> {
        let bytes = unpack(source).map_err(|e| Error::io(name, e))?;
        Ok(Unpacked { bytes, name, at: 0 })
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
        let result = self.bytes.by_ref().take(len).read_to_end(&mut bytes);
        self.at += bytes.len() as u64;
        match result {
            Ok(_) => Ok(bytes),
            // An error without a number is not the operating system's, but the decoder's.
            Err(e) if e.raw_os_error().is_none() && is_damage(e.kind()) => {
                Err(Error::format(self.name, format!("damaged after {} bytes: {e}", self.at)))
            }
            Err(e) => Err(Error::io(self.name, e)),
        }
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
