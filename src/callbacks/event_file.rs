//! [`EventFile`]: scalars in a file that TensorBoard reads.
//!
//! Such a file is a sequence of TFRecords: the length of the data, the length's checksum, the data, the data's checksum. The data of each
//! is an `Event` of TensorBoard's `event.proto`, in the encoding of protocol buffers.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process,
    time::{Duration, SystemTime},
};

use crate::{Error, Result};

/// An event file, complete after each call.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in a folder, which is made if need be.
    pub fn create(folder: &Path) -> Result<Self> {
        let time = now();
        // TensorBoard asks for `tfevents`, and reads the files of a folder in the order of their names.
        let name = format!("events.out.tfevents.{:010}.{:09}.{}", time.as_secs(), time.subsec_nanos(), process::id());
        let path = folder.join(name);
        let file = fs::create_dir_all(folder).and_then(|()| File::create_new(&path));
        let file = file.map_err(|error| Error::io(&path, error))?;
        let mut file = EventFile { path, file };
        file.write(&event(time, 0, FILE_VERSION, b"brain.Event:2"))?;
        Ok(file)
    }

    /// Adds scalars, each a tag and its value in a step.
    pub fn add(&mut self, step: usize, scalars: impl IntoIterator<Item = (String, f64)>) -> Result<()> {
        let scalars = scalars.into_iter();
        let summary: Vec<u8> = scalars.flat_map(|(tag, value)| message(SUMMARY_VALUE, &scalar(&tag, value))).collect();
        self.write(&event(now(), step as u64, SUMMARY, &summary))
    }

    fn write(&mut self, event: &[u8]) -> Result<()> {
        self.file.write_all(&record(event)).map_err(|error| Error::io(&self.path, error))
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn record(data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u64).to_le_bytes();
    [&len[..], &checksum(&len), data, &checksum(data)].concat()
}

/// The CRC-32C, masked as TFRecords want it.
fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The cyclic redundancy check of RFC 3720, bit by bit: records are short.
fn crc32c(data: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    !data.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}

// The numbers of the fields: `what` of an Event, `value` of a Summary, `tag` and `simple_value` of a Value.
const FILE_VERSION: u8 = 3;
const SUMMARY: u8 = 5;
const SUMMARY_VALUE: u8 = 1;
const TAG: u8 = 1;
const SIMPLE_VALUE: u8 = 2;

/// An `Event`, with a message in the field `what`.
fn event(time: Duration, step: u64, what: u8, data: &[u8]) -> Vec<u8> {
    let time = time.as_secs_f64().to_le_bytes();
    // Key, then value: `wall_time` is field 1 in 8 bytes, `step` field 2, a varint.
    [&[1 << 3 | 1], &time[..], &[2 << 3], &varint(step), &message(what, data)].concat()
}

/// A `Value`.
fn scalar(tag: &str, value: f64) -> Vec<u8> {
    [&message(TAG, tag.as_bytes())[..], &[SIMPLE_VALUE << 3 | 5], &(value as f32).to_le_bytes()].concat()
}

/// A field that holds bytes, a string or a message.
fn message(field: u8, data: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2], &varint(data.len() as u64)[..], data].concat()
}

/// Seven bits a byte, the lowest first; all bytes but the last have the top bit.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_crc_is_that_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    /// Made by tensorboard's `RecordWriter` of its `Event`.
    #[test]
    fn the_bytes_are_those_of_tensorboard() {
        let time = Duration::from_millis(1500);
        let version = event(time, 300, FILE_VERSION, b"brain.Event:2");
        let expected = "1b000000000000001a0d9e1309000000000000f83f10ac021a0d627261696e2e4576656e743a320a8dc5e4";
        assert_eq!(hex(&record(&version)), expected);
        let summary = [("epoch_loss", 0.25), ("epoch_accuracy", 0.5)]
            .map(|(tag, value)| message(SUMMARY_VALUE, &scalar(tag, value)))
            .concat();
        let expected = "3800000000000000a3797d5709000000000000f83f10ac022a2a0a110a0a65706f63685f6c6f7373150000803e\
            0a150a0e65706f63685f6163637572616379150000003f1f1e9a3a";
        assert_eq!(hex(&record(&event(time, 300, SUMMARY, &summary))), expected);
    }
}
