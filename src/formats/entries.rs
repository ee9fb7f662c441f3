//! [`Entries`]: the files in a zip.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{Cursor, Read},
};

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

/// The files in a zip, by their names, which nothing but their names: no path is ever opened.
pub(super) struct Entries<'a>(BTreeMap<String, Entry<'a>>);

struct Entry<'a> {
    /// As they lie in the zip.
    bytes: &'a [u8],
    /// Of what they are unpacked.
    len: u64,
    crc: u32,
    deflated: bool,
}

impl<'a> Entries<'a> {
    /// Those of a zip; nothing is unpacked yet.
    pub fn parse(zip: &'a [u8]) -> Result<Self, String> {
        let broken = |error| format!("not a whole zip file: {error}");
        let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(broken)?;
        let (mut entries, mut packed) = (BTreeMap::new(), 0);
        for i in 0..archive.len() {
            let file = archive.by_index_raw(i).map_err(broken)?;
            let name = file.name().map_err(broken)?.into_owned();
            let deflated = match file.compression() {
                _ if file.encrypted() => return Err(format!("{name} is encrypted")),
                CompressionMethod::Stored => false,
                CompressionMethod::DEFLATE => true,
                other => return Err(format!("{name} is packed by {other}, expected stored or deflated files")),
            };
            let start = file.data_start().and_then(|start| usize::try_from(start).ok());
            let len = usize::try_from(file.compressed_size()).ok();
            let range = start.zip(len).and_then(|(start, len)| Some(start..start.checked_add(len)?));
            let bytes = range.and_then(|range| zip.get(range));
            let bytes = bytes.ok_or_else(|| format!("{name} goes beyond the end of the file"))?;
            if !deflated && bytes.len() as u64 != file.size() {
                return Err(format!("{name} has {} bytes, and should have {}", bytes.len(), file.size()));
            }
            packed += bytes.len();
            entries.insert(name, Entry { bytes, len: file.size(), crc: file.crc32(), deflated });
        }
        // Else a small file could ask for the same bytes again and again.
        if packed > zip.len() || archive.has_duplicate_names() {
            return Err("files in it overlap, or have the same name".to_owned());
        }
        Ok(Entries(entries))
    }

    /// The bytes of a file, of which there may be `limit`.
    pub fn unpacked(&self, name: &str, limit: u64) -> Result<Cow<'a, [u8]>, String> {
        let entry = self.entry(name)?;
        let bytes = entry.unpack(limit).map_err(|message| format!("{name} {message}"))?;
        entry.check(name, &bytes)?;
        Ok(bytes)
    }

    fn entry(&self, name: &str) -> Result<&Entry<'a>, String> {
        self.0.get(name).ok_or_else(|| format!("it has no {name}"))
    }
}

impl<'a> Entry<'a> {
    /// A checksum of 0 stands for none: so PyTorch writes it when it is told to compute none.
    fn check(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        match crc32fast::hash(bytes) {
            crc if self.crc == 0 || crc == self.crc => Ok(()),
            crc => Err(format!("{name} is damaged: its checksum is {crc:08x}, and should be {:08x}", self.crc)),
        }
    }

    fn unpack(&self, limit: u64) -> Result<Cow<'a, [u8]>, String> {
        if self.len > limit {
            return Err(format!("has {} bytes, and may have {limit}", self.len));
        }
        if !self.deflated {
            return Ok(self.bytes.into());
        }
        // Memory grows with what is unpacked, which may be more than the zip says.
        let mut bytes = Vec::new();
        let result = DeflateDecoder::new(self.bytes).take(self.len.saturating_add(1)).read_to_end(&mut bytes);
        result.map_err(|error| format!("is damaged after {} bytes: {error}", bytes.len()))?;
        if bytes.len() as u64 != self.len {
            return Err(format!("is damaged: it should have {} bytes, and has fewer or more", self.len));
        }
        Ok(bytes.into())
    }
}
