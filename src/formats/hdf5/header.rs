//! [`Header`]: the messages of an object.

use std::collections::VecDeque;

use super::{File, bytes::Cursor};

/// The kinds of messages that say something here.
pub(super) mod kind {
    pub const DATASPACE: u16 = 0x01;
    pub const LINK_INFO: u16 = 0x02;
    pub const DATATYPE: u16 = 0x03;
    pub const LINK: u16 = 0x06;
    pub const LAYOUT: u16 = 0x08;
    pub const FILTERS: u16 = 0x0b;
    pub const ATTRIBUTE: u16 = 0x0c;
    pub const CONTINUATION: u16 = 0x10;
    pub const SYMBOL_TABLE: u16 = 0x11;
    pub const ATTRIBUTE_INFO: u16 = 0x15;
}

pub(super) struct Message<'a> {
    pub kind: u16,
    /// Whether the message is elsewhere, and this says where.
    pub shared: bool,
    pub body: Cursor<'a>,
}

/// What an object's header holds.
pub(super) struct Header<'a> {
    messages: Vec<Message<'a>>,
}

impl<'a> Header<'a> {
    pub fn read(file: &File<'a>, address: usize) -> Result<Self, String> {
        let old = file.part(address, 4)?.take(4)? != b"OHDR";
        let (mut blocks, flags) = if old { first_block_of_1(file, address)? } else { first_block_of_2(file, address)? };
        let mut messages = Vec::new();
        while let Some(mut block) = blocks.pop_front() {
            // Shorter than a message's head is what is left between the last message and the end of the block.
            let head = if old { 8 } else { 4 + if flags & 4 != 0 { 2 } else { 0 } };
            while block.len() >= head {
                let message = if old { message_of_1(&mut block)? } else { message_of_2(&mut block, head)? };
                match message.kind {
                    0 => (),
                    kind::CONTINUATION => {
                        let mut body = message.body;
                        let start = body.address()?.ok_or("a header goes on nowhere")?;
                        let part = file.part(start, body.size()?)?;
                        blocks.push_back(if old { part } else { block_of_2(part)? });
                    }
                    _ => {
                        // A message of a few bytes takes more than them here.
                        file.spend(size_of::<Message>())?;
                        messages.push(message);
                    }
                }
            }
        }
        Ok(Header { messages })
    }

    /// The messages of a kind.
    pub fn all(&self, kind: u16) -> impl Iterator<Item = &Message<'a>> {
        self.messages.iter().filter(move |message| message.kind == kind)
    }

    /// The first of a kind, which is the only one of most.
    pub fn first(&self, kind: u16) -> Option<&Message<'a>> {
        self.all(kind).next()
    }
}

type Blocks<'a> = (VecDeque<Cursor<'a>>, u8);

fn first_block_of_1<'a>(file: &File<'a>, address: usize) -> Result<Blocks<'a>, String> {
    let mut prefix = file.part(address, 16)?;
    let version = prefix.u8()?;
    if version != 1 {
        return Err(format!("byte {address}: no object header is here"));
    }
    // The number of messages and of references.
    _ = prefix.take(7)?;
    let size = prefix.u32()? as usize;
    Ok((VecDeque::from([file.part(prefix.offset() + 4, size)?]), 0))
}

fn message_of_1<'a>(block: &mut Cursor<'a>) -> Result<Message<'a>, String> {
    let (kind, size, flags) = (block.u16()?, block.u16()?, block.u8()?);
    _ = block.take(3)?;
    Ok(Message { kind, shared: flags & 2 != 0, body: block.part(size.into())? })
}

fn first_block_of_2<'a>(file: &File<'a>, address: usize) -> Result<Blocks<'a>, String> {
    let mut prefix = file.rest(address)?;
    prefix.signature(b"OHDR")?;
    let (version, flags) = (prefix.u8()?, prefix.u8()?);
    if version != 2 {
        return Err(format!("byte {address}: object header version {version}; versions 1 and 2 are read"));
    }
    // Four times of changes; limits for attributes.
    _ = prefix.take(if flags & 0x20 != 0 { 16 } else { 0 } + if flags & 0x10 != 0 { 4 } else { 0 })?;
    let size = usize::try_from(prefix.uint(1 << (flags & 3))?).unwrap_or(usize::MAX);
    Ok((VecDeque::from([file.part(prefix.offset(), size)?]), flags))
}

/// A block that continues a header: its messages are between a signature and a checksum.
fn block_of_2(mut part: Cursor) -> Result<Cursor, String> {
    part.signature(b"OCHK")?;
    let len = part.len().checked_sub(4).ok_or_else(|| format!("byte {}: the block has no checksum", part.offset()))?;
    part.part(len)
}

fn message_of_2<'a>(block: &mut Cursor<'a>, head: usize) -> Result<Message<'a>, String> {
    let (kind, size, flags) = (block.u8()?, block.u16()?, block.u8()?);
    // The order of creation.
    _ = block.take(head - 4)?;
    Ok(Message { kind: kind.into(), shared: flags & 2 != 0, body: block.part(size.into())? })
}
