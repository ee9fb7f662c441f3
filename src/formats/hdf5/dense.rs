//! Many links or attributes of one object, as HDF5 1.8 and later keep them: in a fractal heap that a B-tree indexes.

use super::{File, bytes::Cursor};

/// Calls `f` with each message in the heap, as the B-tree lists them. Its records have a heap identifier `at` bytes behind their start.
pub(super) fn for_each<'a>(
    file: &File<'a>,
    heap: usize,
    tree: usize,
    at: usize,
    f: &mut dyn FnMut(Cursor<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let heap = Heap::read(file, heap)?;
    records(file, tree, &mut |mut record| {
        _ = record.take(at)?;
        f(heap.object(file, record)?)
    })
}

/// The records of a B-tree of version 2, of at most two levels: some thousand names.
fn records<'a>(
    file: &File<'a>,
    tree: usize,
    f: &mut dyn FnMut(Cursor<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let mut header = file.part(tree, 34)?;
    header.signature(b"BTHD")?;
    _ = header.take(2)?;
    let node_size = header.u32()? as usize;
    let record_size = usize::from(header.u16()?);
    let depth = header.u16()?;
    _ = header.take(2)?;
    let (root, count) = (header.address()?, usize::from(header.u16()?));
    if record_size == 0 {
        return Err(format!("byte {tree}: a B-tree of records without bytes"));
    }
    let mut leaves = Vec::new();
    match (root, depth) {
        (None, _) => (),
        (Some(root), 0) => leaves.push((root, count)),
        (Some(root), 1) => {
            let mut node = file.part(root, node_size)?;
            node.signature(b"BTIN")?;
            _ = node.take(2)?;
            for _ in 0..count {
                f(node.part(record_size)?)?;
            }
            // How many records a leaf has is a number as long as the largest there can be.
            let most = node_size.saturating_sub(10) / record_size;
            let len = most.checked_ilog2().unwrap_or(0) as usize / 8 + 1;
            for _ in 0..=count {
                let leaf = node.address()?.ok_or("a B-tree leads nowhere")?;
                leaves.push((leaf, node.uint(len)? as usize));
            }
        }
        (_, depth) => return Err(format!("byte {tree}: a B-tree of depth {depth}; up to 1 is read")),
    }
    for (leaf, count) in leaves {
        let mut node = file.part(leaf, node_size)?;
        node.signature(b"BTLF")?;
        _ = node.take(2)?;
        for _ in 0..count {
            f(node.part(record_size)?)?;
        }
    }
    Ok(())
}

/// A fractal heap: objects in blocks that follow each other in the heap's own addresses.
struct Heap {
    /// The bytes of an offset and of a length in an identifier.
    offset_len: usize,
    length_len: usize,
    /// The blocks: where each begins in the heap, in the file, and its size.
    blocks: Vec<(u64, usize, u64)>,
}

impl Heap {
    fn read(file: &File, address: usize) -> Result<Self, String> {
        let mut header = file.part(address, 142)?;
        header.signature(b"FRHP")?;
        _ = header.take(3)?;
        let filters = header.u16()?;
        if filters != 0 {
            return Err(format!("byte {address}: a compressed heap, which is not read"));
        }
        _ = header.u8()?;
        let largest_object = header.u32()?;
        // Huge objects, free space and statistics.
        _ = header.take(12 * 8)?;
        let width = u64::from(header.u16()?);
        let (start, largest_block) = (header.u64()?, header.u64()?);
        let bits = usize::from(header.u16()?);
        _ = header.u16()?;
        let (root, rows) = (header.address()?, header.u16()?);
        let offset_len = bits.div_ceil(8);
        let encoded = |limit: u64| limit.checked_ilog2().unwrap_or(0) as usize;
        let length_len = encoded(largest_block).div_ceil(8).min(encoded(largest_object.into()) / 8 + 1);
        if offset_len > 8 || length_len > 8 || start == 0 {
            return Err(format!("byte {address}: the numbers of a heap make no sense"));
        }
        let mut heap = Heap { offset_len, length_len, blocks: Vec::new() };
        match (root, rows) {
            (None, _) => (),
            (Some(root), 0) => heap.blocks.push((0, root, start)),
            (Some(root), rows) => {
                let count = usize::from(rows).saturating_mul(width as usize);
                let head = 13 + offset_len;
                let mut node = file.part(root, count.saturating_mul(8).saturating_add(head))?;
                node.signature(b"FHIB")?;
                _ = node.take(head - 4)?;
                let mut offset = 0u64;
                for row in 0..u32::from(rows) {
                    // The first two rows have blocks of the size to start with, and each after them of twice the size.
                    let size = start.checked_shl(row.saturating_sub(1)).filter(|&size| size <= largest_block);
                    let size =
                        size.ok_or_else(|| format!("byte {root}: a heap of several levels, which is not read"))?;
                    for _ in 0..width {
                        heap.blocks.extend(node.address()?.map(|block| (offset, block, size)));
                        offset = offset.saturating_add(size);
                    }
                }
            }
        }
        Ok(heap)
    }

    /// The object of an identifier.
    fn object<'a>(&self, file: &File<'a>, mut id: Cursor<'a>) -> Result<Cursor<'a>, String> {
        let place = id.offset();
        let kind = id.u8()?;
        if kind & 0x30 != 0 {
            return Err(format!("byte {place}: an object outside of the heap's blocks, which is not read"));
        }
        let (offset, len) = (id.uint(self.offset_len)?, id.uint(self.length_len)?);
        let index = self.blocks.partition_point(|&(start, ..)| start <= offset);
        let block = index.checked_sub(1).map(|index| self.blocks[index]);
        let inside = |&(start, _, size): &(u64, usize, u64)| len <= size && offset - start <= size - len;
        let (start, block, _) = block.filter(inside).ok_or_else(|| {
            format!("byte {place}: an object of {len} bytes at {offset} of a heap that has no such place")
        })?;
        file.part(block.saturating_add((offset - start) as usize), len as usize)
    }
}
