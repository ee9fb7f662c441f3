//! [`Entries`]: the files in a zip.

#[cfg(any(feature = "keras", feature = "numpy"))]
use std::{borrow::Cow, io::Read};
use std::{collections::BTreeMap, io::Cursor};

#[cfg(any(feature = "keras", feature = "numpy"))]
use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

/// The files in a zip, by their names, which are names and nothing else: no path is ever opened.
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
            let entry = Entry { bytes, len: file.size(), crc: file.crc32(), deflated };
            if !deflated && bytes.len() as u64 != entry.len {
                return Err(format!("{name} has {} bytes, and should have {}", bytes.len(), entry.len));
            }
            packed += bytes.len();
            entries.insert(name, entry);
        }
        // Else a small file could ask for the same bytes again and again.
        if packed > zip.len() || archive.has_duplicate_names() {
            return Err("files in it overlap, or have the same name".to_owned());
        }
        Ok(Entries(entries))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The bytes of a file that is not packed, where they lie.
    #[cfg(feature = "torch")]
    pub fn stored(&self, name: &str) -> Result<&'a [u8], String> {
        let entry = self.entry(name)?;
        if entry.deflated {
            return Err(format!("{name} is compressed, which torch.save never does"));
        }
        entry.check(name, entry.bytes)?;
        Ok(entry.bytes)
    }

    /// The bytes of a file, of which there may be `limit`.
    #[cfg(any(feature = "keras", feature = "numpy"))]
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

    #[cfg(any(feature = "keras", feature = "numpy"))]
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::DeflateEncoder};
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        zip.write_all(bytes).unwrap();
        zip.finish().unwrap().into_inner()
    }

    /// Where the only file's central header begins, and where it ends.
    fn central(zip: &[u8]) -> (usize, usize) {
        let find = |mark: &[u8]| zip.windows(4).rposition(|bytes| bytes == mark).unwrap();
        (find(b"PK\x01\x02"), find(b"PK\x05\x06"))
    }

    fn error(zip: &[u8]) -> String {
        Entries::parse(zip).err().unwrap()
    }

    #[test]
    fn names_are_no_paths() {
        for name in ["../../etc/passwd", "/x", "C:\\x", "a/../b"] {
            let zip = zip(name, b"abc");
            let entries = Entries::parse(&zip).unwrap();
            assert_eq!(entries.names().collect::<Vec<_>>(), [name]);
        }
    }

    #[test]
    fn files_that_overlap() {
        let zip = zip("a", &[7; 1000]);
        let (start, end) = central(&zip);
        // The same file many times, by other names.
        let mut bytes = zip[..start].to_vec();
        for name in b"abcd" {
            let mut header = zip[start..end].to_vec();
            header[46] = *name;
            bytes.extend(header);
        }
        let mut trailer = zip[end..].to_vec();
        trailer[8] = 4;
        trailer[10] = 4;
        trailer[12..16].copy_from_slice(&(4 * (end - start) as u32).to_le_bytes());
        bytes.extend(trailer);
        assert!(error(&bytes).contains("overlap"), "{}", error(&bytes));
    }

    #[test]
    fn sizes_that_are_not_there() {
        let whole = zip("a", &[7; 100]);
        let (start, _) = central(&whole);
        for (at, words) in [(start + 20, "goes beyond the end"), (start + 24, "has 100 bytes, and should have")] {
            let mut bytes = whole.clone();
            bytes[at + 2] = 1;
            assert!(error(&bytes).contains(words), "{}", error(&bytes));
        }
        let mut encrypted = whole.clone();
        encrypted[start + 8] |= 1;
        assert_eq!(error(&encrypted), "a is encrypted");
        let mut other = whole;
        other[start + 10] = 14;
        assert!(error(&other).contains("expected stored or deflated files"), "{}", error(&other));
    }

    #[cfg(any(feature = "keras", feature = "numpy"))]
    #[test]
    fn what_is_unpacked_is_bounded() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
        let packed = encoder.finish().unwrap();
        let mut zip = zip("a", &packed);
        let (start, _) = central(&zip);
        zip[start + 10] = 8;
        // As it says, and more than it says.
        for len in [1_u32 << 20, 1000] {
            zip[start + 24..start + 28].copy_from_slice(&len.to_le_bytes());
            zip[start + 16..start + 20].copy_from_slice(&crc32fast::hash(&vec![0; 1 << 20]).to_le_bytes());
            let entries = Entries::parse(&zip).unwrap();
            assert_eq!(entries.unpacked("a", 1 << 20).is_ok(), len == 1 << 20);
            assert!(entries.unpacked("a", 999).unwrap_err().contains("bytes, and may have 999"));
        }
    }
}
