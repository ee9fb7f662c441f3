//! The names in a group: in a symbol table, as before HDF5 1.8, or as links.

use std::{collections::BTreeMap, str};

use super::{
    File,
    bytes::Cursor,
    dense,
    header::{Header, kind},
};

/// Where the objects of a group have their headers, by name.
pub(super) fn read<'a>(file: &File<'a>, header: &Header<'a>) -> Result<BTreeMap<&'a str, usize>, String> {
    if let Some(table) = header.first(kind::SYMBOL_TABLE) {
        let mut table = table.body.clone();
        let [tree, heap] = [table.address()?, table.address()?];
        return symbols(file, tree.ok_or("it has no B-tree")?, heap.ok_or("it has no heap")?);
    }
    let mut links = BTreeMap::new();
    let mut add = |message: Cursor<'a>| -> Result<(), String> {
        links.extend(link(file, message)?);
        Ok(())
    };
    header.all(kind::LINK).try_for_each(|message| add(message.body.clone()))?;
    if let Some(info) = header.first(kind::LINK_INFO) {
        let mut info = info.body.clone();
        _ = info.u8()?;
        let flags = info.u8()?;
        _ = info.take(if flags & 1 != 0 { 8 } else { 0 })?;
        if let [Some(heap), Some(tree)] = [info.address()?, info.address()?] {
            // Before the identifier is the hash of the name.
            dense::for_each(file, heap, tree, 4, &mut add)?;
        }
    }
    Ok(links)
}

/// A link to an object of the same file. Others, such as to another file, lead nowhere here.
fn link<'a>(file: &File<'a>, mut message: Cursor<'a>) -> Result<Option<(&'a str, usize)>, String> {
    let (version, flags) = (message.u8()?, message.u8()?);
    if version != 1 {
        return Err(format!("byte {}: link version {version}; version 1 is read", message.offset() - 2));
    }
    let hard = flags & 8 == 0 || message.u8()? == 0;
    // The order of creation; the character set.
    _ = message.take(if flags & 4 != 0 { 8 } else { 0 } + if flags & 16 != 0 { 1 } else { 0 })?;
    let len = message.uint(1 << (flags & 3))?;
    let name = name(file, message.offset(), message.take(usize::try_from(len).unwrap_or(usize::MAX))?)?;
    Ok(if hard { message.address()?.map(|address| (name, address)) } else { None })
}

/// All that the B-tree of an old group leads to.
fn symbols<'a>(file: &File<'a>, tree: usize, heap: usize) -> Result<BTreeMap<&'a str, usize>, String> {
    let mut heap = file.part(heap, 32)?;
    heap.signature(b"HEAP")?;
    _ = heap.take(4)?;
    let size = heap.size()?;
    _ = heap.size()?;
    let start = heap.address()?.ok_or("the heap of its names is nowhere")?;
    let names = file.part(start, size)?;

    let mut links = BTreeMap::new();
    let mut nodes = vec![tree];
    while let Some(address) = nodes.pop() {
        let mut node = file.part(address, 8)?;
        if file.part(address, 4)?.take(4)? == b"SNOD" {
            _ = node.take(6)?;
            let count = usize::from(node.u16()?);
            let mut entries = file.part(address + 8, 40 * count)?;
            for _ in 0..count {
                let (name_at, object) = (entries.size()?, entries.address()?);
                _ = entries.take(24)?;
                let name_bytes = names.clone().take(names.len()).unwrap_or_default().get(name_at..);
                let len = name_bytes.and_then(|bytes| bytes.iter().position(|&byte| byte == 0));
                let (Some(bytes), Some(len)) = (name_bytes, len) else {
                    return Err(format!(
                        "byte {}: a name that should be at {name_at} of a heap of {size} bytes",
                        entries.offset() - 40
                    ));
                };
                // A symbolic link has no object.
                if let Some(object) = object {
                    links.insert(name(file, start + name_at, &bytes[..len])?, object);
                }
            }
        } else {
            node.signature(b"TREE")?;
            let (node_type, _level, count) = (node.u8()?, node.u8()?, usize::from(node.u16()?));
            if node_type != 0 {
                return Err(format!("byte {address}: a B-tree of type {node_type}, expected one of names (0)"));
            }
            // After the siblings, keys and children take turns.
            let mut children = file.part(address.saturating_add(24), 16 * count)?;
            for _ in 0..count {
                _ = children.u64()?;
                nodes.extend(children.address()?);
            }
        }
    }
    Ok(links)
}

fn name<'a>(file: &File, offset: usize, bytes: &'a [u8]) -> Result<&'a str, String> {
    file.spend(bytes.len())?;
    str::from_utf8(bytes).map_err(|_| format!("byte {offset}: a name that is not UTF-8"))
}
