//! [`write`]: named numbers as a file that any HDF5 library reads.

use std::collections::BTreeMap;

use super::header::kind;
use crate::formats::HDF5;

/// The numbers of a dataset.
pub(crate) enum Numbers {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

/// What is in a group.
enum Node<'a> {
    Group(BTreeMap<&'a str, Node<'a>>),
    Dataset(&'a [usize], &'a Numbers),
}

/// The kinds of messages that only a writer needs.
const FILL_VALUE: u16 = 0x05;
const GROUP_INFO: u16 = 0x0a;

/// No address.
const UNDEFINED: [u8; 8] = [0xff; 8];

/// A file of these datasets. Their names are paths, whose groups are made: `layers/dense/vars/0`.
///
/// The file has the version of the superblock and of headers that every library knows; its groups hold their names as links, which HDF5
/// 1.8 brought.
///
/// # Errors
/// When a group would hold more names than a header can, 65,533.
pub(crate) fn write(objects: &[(String, Vec<usize>, Numbers)]) -> Result<Vec<u8>, String> {
    let mut root = BTreeMap::new();
    for (path, shape, numbers) in objects {
        let (groups, name) = path.rsplit_once('/').unwrap_or(("", path));
        let group = groups.split('/').filter(|name| !name.is_empty()).fold(&mut root, |group, name| {
            match group.entry(name).or_insert_with(|| Node::Group(BTreeMap::new())) {
                Node::Group(group) => group,
                Node::Dataset(..) => panic!("{name} of {path} is a dataset"),
            }
        });
        group.insert(name, Node::Dataset(shape, numbers));
    }

    let mut file = vec![0; SUPERBLOCK];
    let root = Node::Group(root).write("/", &mut file)?;
    let end = (file.len() as u64).to_le_bytes();
    let superblock: [&[u8]; 9] = [
        HDF5,
        // The versions of its parts, the bytes of an offset and of a length.
        &[0, 0, 0, 0, 0, 8, 8, 0],
        // How large the nodes of old groups would be, and flags.
        &[4, 0, 16, 0, 0, 0, 0, 0],
        // Addresses begin at 0; no list of free space.
        &[0; 8],
        &UNDEFINED,
        &end,
        // No drivers, no name.
        &UNDEFINED,
        &[0; 8],
        &root.to_le_bytes(),
    ];
    let superblock = superblock.concat();
    file[..superblock.len()].copy_from_slice(&superblock);
    Ok(file)
}

/// With what may be kept of the root group, which is not.
const SUPERBLOCK: usize = 96;

impl Node<'_> {
    /// Adds the object to the file and says where its header is.
    fn write(&self, name: &str, file: &mut Vec<u8>) -> Result<u64, String> {
        let mut header = HeaderWriter::default();
        match self {
            Node::Group(children) => {
                header.add(kind::LINK_INFO, &[&[0, 0], &UNDEFINED, &UNDEFINED]);
                header.add(GROUP_INFO, &[&[0, 0]]);
                for (name, child) in children {
                    let address = child.write(name, file)?.to_le_bytes();
                    let len = u16::try_from(name.len()).map_err(|_| format!("a name of {} bytes", name.len()))?;
                    // With its character set, UTF-8, and a length of two bytes.
                    header.add(kind::LINK, &[&[1, 0x11, 1], &len.to_le_bytes(), name.as_bytes(), &address]);
                }
            }
            Node::Dataset(shape, numbers) => {
                let bytes: Vec<u8> = match numbers {
                    Numbers::F32(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
                    Numbers::I64(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
                };
                let start = if bytes.is_empty() { UNDEFINED } else { (file.len() as u64).to_le_bytes() };
                let dims: Vec<u8> = shape.iter().flat_map(|&dim| (dim as u64).to_le_bytes()).collect();
                header.add(kind::DATASPACE, &[&[1, shape.len() as u8, 0, 0, 0, 0, 0, 0], &dims]);
                header.add(
                    kind::DATATYPE,
                    &[match numbers {
                        // Little-endian; the sign is bit 31, of 32; 8 bits of exponent from 23, 23 of mantissa from 0; bias 127.
                        Numbers::F32(_) => &[0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0],
                        // Little-endian, signed, 64 bits.
                        Numbers::I64(_) => &[0x10, 8, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0],
                    }],
                );
                header.add(FILL_VALUE, &[&[2, 2, 2, 1, 0, 0, 0, 0]]);
                header.add(kind::LAYOUT, &[&[3, 1], &start, &(bytes.len() as u64).to_le_bytes()]);
                file.extend(bytes);
                file.resize(file.len().next_multiple_of(8), 0);
            }
        }
        let address = file.len() as u64;
        header.finish(name, file)?;
        Ok(address)
    }
}

/// An object header, of version 1.
#[derive(Default)]
struct HeaderWriter {
    messages: Vec<u8>,
    count: usize,
}

impl HeaderWriter {
    /// Adds a message.
    fn add(&mut self, kind: u16, parts: &[&[u8]]) {
        let body = parts.concat();
        let size = body.len().next_multiple_of(8);
        self.messages.extend(kind.to_le_bytes());
        self.messages.extend((size as u16).to_le_bytes());
        self.messages.extend([0; 4]);
        self.messages.extend(&body);
        self.messages.resize(self.messages.len() + size - body.len(), 0);
        self.count += 1;
    }

    fn finish(self, name: &str, file: &mut Vec<u8>) -> Result<(), String> {
        let count = u16::try_from(self.count).map_err(|_| format!("{name} would hold {} names", self.count))?;
        file.extend([1, 0]);
        file.extend(count.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend((self.messages.len() as u32).to_le_bytes());
        file.extend([0; 4]);
        file.extend(self.messages);
        Ok(())
    }
}
