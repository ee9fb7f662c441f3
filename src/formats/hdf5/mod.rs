//! HDF5, as far as Keras writes it: a reader of hostile files, and a writer.
//!
//! A file is groups of named objects, which are groups or datasets; each has an object header, a list of messages that say what it is. The
//! [format](https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html) has grown for decades, and much of it is left out: what is
//! read are files of h5py with its default settings, and with `libver="latest"` as far as groups go. Numbers lie in the file as they are, so a dataset
//! is a slice of the file.

mod bytes;
mod dense;
mod header;
mod links;
mod value;
mod write;

use std::{cell::Cell, collections::BTreeMap};

use self::{
    bytes::Cursor,
    header::{Header, kind},
};
pub(crate) use self::{
    value::Dataset,
    write::{Numbers, write},
};
use super::HDF5;

/// A file that is being read.
///
/// Whatever is read is taken off an allowance of a few times the file's size. So no file, whatever its blocks point to, takes long
/// or much memory, and no structure has to be checked for cycles on its own.
pub(crate) struct File<'a> {
    bytes: &'a [u8],
    allowance: Cell<usize>,
    root: usize,
}

/// A group of a file.
pub(crate) struct Group<'a> {
    file: &'a File<'a>,
    /// `/layers/conv2d`, for errors.
    path: String,
    header: Header<'a>,
    links: BTreeMap<&'a str, usize>,
}

impl<'a> File<'a> {
    /// Reads where the root group is.
    ///
    /// # Errors
    /// When the bytes are not the whole of such a file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let allowance = Cell::new(bytes.len().saturating_mul(8).saturating_add(1 << 16));
        let mut file = File { bytes, allowance, root: 0 };
        if !bytes.starts_with(HDF5) {
            return Err("it does not begin as a file in the format HDF5 does".to_owned());
        }
        let mut cursor = file.rest(HDF5.len())?;
        let version = cursor.u8()?;
        match version {
            0 | 1 => _ = cursor.take(4)?,
            2 | 3 => (),
            _ => return Err(format!("byte 8: superblock version {version}; versions 0 to 3 are read")),
        }
        let sizes = [cursor.u8()?, cursor.u8()?];
        if sizes != [8, 8] {
            return Err(format!("its offsets and lengths take {sizes:?} bytes; only 8 are read"));
        }
        // Flags, and before them the sizes of the nodes of old groups, which say nothing to a reader.
        _ = cursor.take(match version {
            0 => 9,
            1 => 13,
            _ => 1,
        })?;
        let base = cursor.u64()?;
        if base != 0 {
            return Err(format!("its addresses begin at byte {base}; only files without a user block are read"));
        }
        _ = cursor.u64()?;
        let end = cursor.u64()?;
        if end > bytes.len() as u64 {
            return Err(format!("it is cut short: it has {} bytes, and had {end}", bytes.len()));
        }
        if version < 2 {
            // The address of drivers, and the name of the root group.
            _ = cursor.take(16)?;
        }
        file.root = cursor.address()?.ok_or("it has no root group")?;
        Ok(file)
    }

    /// The group that all others are in.
    pub fn root(&'a self) -> Result<Group<'a>, String> {
        Group::read(self, self.root, "/".to_owned())
    }

    /// Takes what is read off the allowance.
    fn spend(&self, len: usize) -> Result<(), String> {
        let left = self.allowance.get().checked_sub(len);
        self.allowance.set(left.ok_or("it points to the same places over and over, which a sound file does not")?);
        Ok(())
    }

    /// A part of the file.
    fn part(&self, offset: usize, len: usize) -> Result<Cursor<'a>, String> {
        let part = offset.checked_add(len).and_then(|end| self.bytes.get(offset..end)).ok_or_else(|| {
            format!("byte {offset}: {len} bytes should be here, but the file ends at byte {}", self.bytes.len())
        })?;
        self.spend(len)?;
        Ok(Cursor::new(part, offset))
    }

    /// All from an offset on; for what is a few bytes.
    fn rest(&self, offset: usize) -> Result<Cursor<'a>, String> {
        let part = self.bytes.get(offset..);
        let part = part.ok_or_else(|| format!("byte {offset}: the file ends at byte {}", self.bytes.len()))?;
        self.spend(16)?;
        Ok(Cursor::new(part, offset))
    }
}

impl<'a> Group<'a> {
    fn read(file: &'a File<'a>, address: usize, path: String) -> Result<Self, String> {
        let place = |message| format!("{path}: {message}");
        let header = Header::read(file, address).map_err(place)?;
        if header.first(kind::LAYOUT).is_some() {
            return Err(place("it is a dataset, expected a group".to_owned()));
        }
        let links = links::read(file, &header).map_err(place)?;
        Ok(Group { file, path, header, links })
    }

    /// `/layers/conv2d`
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The names of what is in it, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.links.keys().copied()
    }

    /// Whether something in it has this name.
    pub fn has(&self, name: &str) -> bool {
        self.links.contains_key(name)
    }

    fn child(&self, name: &str) -> Result<(usize, String), String> {
        let path = format!("{}/{name}", self.path.trim_end_matches('/'));
        // A group that holds itself has paths of any length, and each is a copy.
        self.file.spend(path.len())?;
        match self.links.get(name) {
            Some(&address) => Ok((address, path)),
            None => Err(format!("{path} is missing")),
        }
    }

    /// The group in it of this name, or of a name in a group in it, as a layer of Keras 2 may have: `block/conv2d`.
    pub fn group(&self, path: &str) -> Result<Group<'a>, String> {
        let read = |parent: &Group<'a>, name: &str| {
            let (address, path) = parent.child(name)?;
            Group::read(self.file, address, path)
        };
        let mut names = path.split('/');
        let first = read(self, names.next().unwrap_or_default())?;
        names.try_fold(first, |group, name| read(&group, name))
    }

    /// The dataset in it of this name, or of a name in a group in it: `conv2d/kernel:0`.
    pub fn dataset(&self, path: &str) -> Result<Dataset<'a>, String> {
        let (group, name) = match path.rsplit_once('/') {
            Some((groups, name)) => (Some(self.group(groups)?), name),
            None => (None, path),
        };
        let (address, path) = group.as_ref().unwrap_or(self).child(name)?;
        Dataset::read(self.file, address, path)
    }

    /// The strings of an attribute, if there is one of this name.
    pub fn strings(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        value::attribute(self.file, &self.header, name)
            .map_err(|message| format!("{}: attribute {name}: {message}", self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(dataset: &Dataset) -> Vec<f64> {
        dataset.values::<f64>().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let kernel: Vec<f32> = (0..6).map(|x| x as f32).collect();
        let mut objects = vec![
            ("optimizer/vars/0".to_owned(), Vec::new(), Numbers::I64(vec![7])),
            ("layers/dense/vars/0".to_owned(), vec![2, 3], Numbers::F32(kernel)),
            ("layers/dense/vars/1".to_owned(), vec![0], Numbers::F32(vec![])),
        ];
        for i in 0..300 {
            objects.push((format!("many/{i}"), vec![1], Numbers::F32(vec![0.0])));
        }
        let bytes = write(&objects).unwrap();
        let file = File::parse(&bytes).unwrap();
        let root = file.root().unwrap();
        assert_eq!(root.names().collect::<Vec<_>>(), ["layers", "many", "optimizer"]);
        let kernel = root.dataset("layers/dense/vars/0").unwrap();
        assert_eq!((kernel.shape(), numbers(&kernel)), (&[2, 3][..], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(root.dataset("layers/dense/vars/1").unwrap().shape(), [0]);
        assert_eq!(root.dataset("optimizer/vars/0").unwrap().integer(), Ok(7));
        assert_eq!(root.group("many").unwrap().names().count(), 300);
        assert_eq!(root.group("layers/dense").unwrap().names().collect::<Vec<_>>(), ["vars"]);
        let error = root.dataset("layers/dense/vars/2").map(|_| ()).unwrap_err();
        assert_eq!(error, "/layers/dense/vars/2 is missing");
        let error = root.group("layers").unwrap().dataset("dense").map(|_| ()).unwrap_err();
        assert!(error.starts_with("/layers/dense: it is a group"), "{error}");
        let error = root.dataset("many/0/1").map(|_| ()).unwrap_err();
        assert!(error.starts_with("/many/0: it is a dataset"), "{error}");
    }

    #[test]
    fn paths_through_a_group_that_holds_itself_are_taken_off_the_allowance() {
        let name = "b".repeat(100);
        let mut bytes = write(&[(format!("a/{name}"), vec![1], Numbers::F32(vec![1.0]))]).unwrap();
        let group = File::parse(&bytes).unwrap().root().unwrap().links["a"] as u64;
        // Behind the name is the address.
        let at = bytes.windows(100).position(|bytes| bytes == name.as_bytes()).unwrap() + 100;
        bytes[at..at + 8].copy_from_slice(&group.to_le_bytes());
        let read = |depth: usize| {
            let file = File::parse(&bytes).unwrap();
            let root = file.root().unwrap();
            root.dataset(&format!("a{}/c", format!("/{name}").repeat(depth))).map(|_| ()).unwrap_err()
        };
        assert_eq!(read(2), format!("/a/{name}/{name}/c is missing"));
        // The headers that are read are 15 kB, the paths 250 kB.
        assert!(read(70).contains("over and over"), "{}", read(70));
    }

    /// A file whose root group has a header with these messages.
    fn with_header(messages: &[u8]) -> Vec<u8> {
        let mut bytes = write(&[]).unwrap();
        let root = (bytes.len() as u64).to_le_bytes();
        bytes[64..72].copy_from_slice(&root);
        bytes.extend(b"OHDR\x02\x02");
        bytes.extend((messages.len() as u32).to_le_bytes());
        bytes.extend(messages);
        bytes
    }

    #[test]
    fn what_takes_more_memory_than_its_bytes_is_taken_off_the_allowance() {
        // Comments without a text, of four bytes each.
        let read = |count: usize| {
            let bytes = with_header(&[0x0d, 0, 0, 0].repeat(count));
            File::parse(&bytes).unwrap().root().map(|_| ()).err().unwrap_or_default()
        };
        assert_eq!(read(1000), "");
        assert!(read(50_000).contains("over and over"), "{}", read(50_000));

        // An attribute of strings of no byte, and of one.
        let read = |size: u8, count: u16| {
            let mut body = vec![3, 0, 2, 0, 8, 0, 12, 0, 0, b'a', 0];
            body.extend([0x13, 0, 0, 0, size, 0, 0, 0]);
            body.extend([2, 1, 0, 1]);
            body.extend(u64::from(count).to_le_bytes());
            body.resize(body.len() + usize::from(count), b'x');
            let mut message = vec![kind::ATTRIBUTE as u8];
            message.extend((body.len() as u16).to_le_bytes());
            message.push(0);
            message.extend(body);
            let bytes = with_header(&message);
            let file = File::parse(&bytes).unwrap();
            let root = file.root().unwrap();
            root.strings("a").map(|strings| strings.unwrap().len())
        };
        for size in [0, 1] {
            assert_eq!(read(size, 1000), Ok(1000));
            let error = read(size, 60_000).unwrap_err();
            assert!(error.contains("attribute a: it points to the same places over and over"), "{error}");
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_of_what_is_written_is_read_or_an_error() {
        let bytes = write(&[
            ("a/b".to_owned(), vec![2], Numbers::F32(vec![1.0, 2.0])),
            ("c".to_owned(), Vec::new(), Numbers::I64(vec![1])),
        ])
        .unwrap();
        let read = |bytes: &[u8]| -> Result<(), String> {
            let file = File::parse(bytes)?;
            let root = file.root()?;
            root.dataset("a/b")?.values::<f32>()?;
            root.dataset("c")?.integer().map(|_| ())
        };
        read(&bytes).unwrap();
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len} bytes");
        }
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            _ = read(&damaged);
        }
    }
}
