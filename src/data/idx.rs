//! IDX, the file format of MNIST: [`read`] and [`write()`] arrays of bytes.
//!
//! | bytes | what |
//! | --- | --- |
//! | 2 | zero |
//! | 1 | the type of the elements: 0x08 for unsigned bytes, the only one that is read and written here |
//! | 1 | the number of dimensions |
//! | 4 each | the dimensions, outermost first, big-endian |
//! | the rest | the elements, row-major |
//!
//! The whole file may be packed with gzip.
//!
//! Source: Y. LeCun, C. Cortes, C. J. C. Burges, [The MNIST database](http://yann.lecun.com/exdb/mnist/).

use std::{
    io::{Read, Write},
    path::Path,
};

use byteorder::{BigEndian, ByteOrder, WriteBytesExt};
use flate2::{Compression, write::GzEncoder};

use super::unpacked::Unpacked;
use crate::{Error, MAX_RANK, Result, Shape, Tensor, atomic};

const UNSIGNED_BYTE: u8 = 0x08;

/// Reads an IDX file of unsigned bytes, plain or gzip: the first bytes tell, not the name.
///
/// ```
/// use cornu::{Tensor, data::idx};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("labels-idx1-ubyte.gz");
/// let labels = Tensor::new([3], vec![7u8, 2, 1])?;
/// idx::write(&path, &labels)?;
/// assert!(idx::read(&path)? == labels);
/// # Ok::<(), cornu::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::Format`] when it is damaged, shorter or longer than its header
/// says, when the elements are of another type, when it has no dimension, more than 6, or one that is 0, or when it is larger than 16 MiB and
/// unpacks to more than 200 times its size, as no data set does.
pub fn read(path: impl AsRef<Path>) -> Result<Tensor<u8>> {
    parse(Unpacked::open(path.as_ref())?)
}

/// As [`read`], from any source of bytes; an error calls it by `name`.
///
/// Memory grows with the (unpacked) bytes that arrive, never with what the header promises, and nothing is read beyond
/// the first byte that should not be there.
///
/// # Errors
/// Those of [`read`].
pub fn read_from(source: impl Read, name: impl AsRef<Path>) -> Result<Tensor<u8>> {
    parse(Unpacked::new(source, name.as_ref())?)
}

fn parse(mut source: Unpacked) -> Result<Tensor<u8>> {
    let name = source.name();
    let magic = source.take(4, "the magic number")?;
    let rank = usize::from(magic[3]);
    if magic[..2] != [0, 0] {
        let message = format!("bytes 0 and 1 are {:#04x} {:#04x}, an IDX file has zeros there", magic[0], magic[1]);
        return Err(Error::format(name, message));
    }
    if magic[2] != UNSIGNED_BYTE {
        let kind = element_type(magic[2]);
        let message = format!("byte 2, the type of the elements, is {kind}, expected {}", element_type(UNSIGNED_BYTE));
        return Err(Error::format(name, message));
    }
    if !(1..=MAX_RANK).contains(&rank) {
        let message = format!("byte 3, the number of dimensions, is {rank}, expected 1 to {MAX_RANK}");
        return Err(Error::format(name, message));
    }

    let dims = source.take(4 * rank as u64, "the dimensions")?;
    let dims: Vec<usize> = dims.chunks_exact(4).map(|dim| BigEndian::read_u32(dim) as usize).collect();
    let shape = Shape::new(&dims)?;
    if dims.contains(&0) {
        return Err(Error::format(name, format!("the header says shape {shape}, expected no dimension of 0")));
    }
    if shape.size() == usize::MAX {
        return Err(Error::format(name, format!("the header says shape {shape}, more bytes than any memory holds")));
    }

    let data = source.take(shape.size() as u64, &format!("the elements of shape {shape}"))?;
    source.end(&format!("the elements of shape {shape}"))?;
    Tensor::new(shape, data)
}

/// Writes a tensor as an IDX file, packed with gzip if `path` ends in `.gz`. An old file is replaced at once when the
/// new one is complete.
///
/// What is so uniform that [`read`] would refuse what it is packed into (more than 16 MiB in a 200th) is put into the gzip file unpacked.
/// To see that, what was packed is read once, which takes the memory of the tensor again.
///
/// # Errors
/// [`Error::Argument`] when the tensor is a scalar or empty, or a dimension does not fit into 32 bits; [`Error::Io`]
/// when the file cannot be written.
pub fn write(path: impl AsRef<Path>, tensor: &Tensor<u8>) -> Result<()> {
    let path = path.as_ref();
    let header = header(tensor.shape())?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return atomic::replace(path, |file| {
            file.write_all(&header)?;
            file.write_all(tensor.data())
        });
    }
    let mut file = pack(&header, tensor.data(), Compression::default());
    if parse(Unpacked::file(&file[..], path)?).is_err() {
        file = pack(&header, tensor.data(), Compression::none());
    }
    atomic::replace(path, |sink| sink.write_all(&file))
}

fn pack(header: &[u8], data: &[u8], level: Compression) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), level);
    let written = gzip.write_all(header).and_then(|()| gzip.write_all(data));
    written.and_then(|()| gzip.finish()).expect("a Vec takes any bytes")
}

fn header(shape: Shape) -> Result<Vec<u8>> {
    let refuse = |why| Err(Error::argument("idx::write", format!("a tensor of shape {shape}: {why}")));
    if shape.rank() == 0 || shape.size() == 0 {
        return refuse("an IDX file has at least one dimension, and none of 0");
    }
    let mut header = vec![0, 0, UNSIGNED_BYTE, shape.rank() as u8];
    for &dim in shape.dims() {
        let Ok(dim) = u32::try_from(dim) else {
            return refuse("a dimension of an IDX file has 32 bits");
        };
        header.write_u32::<BigEndian>(dim).expect("a Vec takes any bytes");
    }
    Ok(header)
}

fn element_type(code: u8) -> String {
    let name = match code {
        UNSIGNED_BYTE => "unsigned bytes",
        0x09 => "signed bytes",
        0x0b => "16-bit integers",
        0x0c => "32-bit integers",
        0x0d => "32-bit floats",
        0x0e => "64-bit floats",
        _ => "unknown",
    };
    format!("{code:#04x} ({name})")
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// 2 images of 2 x 3 pixels.
    fn file() -> Vec<u8> {
        let mut file = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
        file.extend(0..12);
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn image() -> Tensor<u8> {
        Tensor::new([2, 2, 3], (0..12).collect()).unwrap()
    }

    #[track_caller]
    fn assert_format_error(bytes: &[u8], part: &str) {
        match read_from(bytes, "x") {
            Err(error @ Error::Format { .. }) => {
                let message = error.to_string();
                assert!(message.starts_with("x: ") && message.contains(part), "{message}");
            }
            Err(error) => panic!("{error:?}"),
            Ok(tensor) => panic!("read {}", tensor.shape()),
        }
    }

    #[test]
    fn reads_plain_and_gzip() {
        assert!(read_from(&file()[..], "x").unwrap() == image());
        assert!(read_from(&gzip(&file())[..], "x").unwrap() == image());
    }

    #[test]
    fn reads_a_source_that_gives_a_byte_at_a_time() {
        struct Trickle<'a>(&'a [u8]);
        impl Read for Trickle<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let len = buffer.len().min(1);
                self.0.read(&mut buffer[..len])
            }
        }
        assert!(read_from(Trickle(&gzip(&file())), "x").unwrap() == image());
    }

    #[test]
    fn writes_the_bytes_of_the_format() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed) = (folder.path().join("x-idx3-ubyte"), folder.path().join("x-idx3-ubyte.gz"));
        write(&plain, &image()).unwrap();
        write(&packed, &image()).unwrap();
        assert_eq!(fs::read(&plain).unwrap(), file());
        assert_eq!(fs::read(&packed).unwrap(), gzip(&file()));
        assert!(read(&plain).unwrap() == image());
        assert!(read(&packed).unwrap() == image());
    }

    #[test]
    fn every_truncated_file_is_an_error() {
        for whole in [file(), gzip(&file())] {
            for len in 0..whole.len() {
                assert_format_error(&whole[..len], "");
            }
        }
        assert_format_error(&[], "ends after 0 bytes; the magic number take 4 bytes from byte 0 on");
        assert_format_error(&file()[..9], "ends after 9 bytes; the dimensions take 12 bytes from byte 4 on");
        assert_format_error(&file()[..20], "ends after 20 bytes; the elements of shape (2, 2, 3) take 12 bytes");
    }

    #[test]
    fn a_wrong_header_is_an_error() {
        assert_format_error(b"PK\x03\x04", "bytes 0 and 1 are 0x50 0x4b");
        assert_format_error(&[0, 1, 8, 1, 0, 0, 0, 1, 0], "bytes 0 and 1 are 0x00 0x01");
        assert_format_error(&[0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0], "0x0d (32-bit floats)");
        assert_format_error(&[0, 0, 7, 1, 0, 0, 0, 1, 0], "0x07 (unknown), expected 0x08 (unsigned bytes)");
        assert_format_error(&[0, 0, 8, 0, 0], "the number of dimensions, is 0");
        assert_format_error(&[&[0, 0, 8, 7][..], &[0, 0, 0, 1].repeat(7), &[0]].concat(), "is 7, expected 1 to 6");
        assert_format_error(&[0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 0], "shape (1, 0), expected no dimension of 0");
    }

    #[test]
    fn dimensions_that_promise_too_much_reserve_nothing() {
        // 2^62 bytes: to reserve them would abort.
        assert_format_error(&[0, 0, 8, 2, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 1, 2], "ends after 14 bytes");
        let overflow = [&[0, 0, 8, 6][..], &[0xff; 24], &[1]].concat();
        assert_format_error(&overflow, "more bytes than any memory holds");
    }

    #[test]
    fn what_unpacks_to_hundreds_of_times_its_size_is_an_error() {
        let zeros = |len: u32| {
            let mut bytes = vec![0, 0, 8, 1];
            bytes.extend(len.to_be_bytes());
            bytes.resize(bytes.len() + len as usize, 0);
            gzip(&bytes)
        };
        assert_format_error(&zeros(20 << 20), "over 200 times as many");
        let few = zeros(10 << 20);
        assert_eq!(read_from(&few[..], "few").unwrap().shape(), (10 << 20).into());
    }

    #[test]
    fn what_packs_too_well_is_written_so_that_it_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("black.gz");
        for (len, unpacked) in [(10 << 20, false), (17 << 20, true)] {
            let black = Tensor::zeros([len]);
            write(&path, &black).unwrap();
            assert!(read(&path).unwrap() == black);
            assert_eq!(fs::metadata(&path).unwrap().len() > len as u64, unpacked);
        }
    }

    #[test]
    fn bytes_after_the_end_are_an_error() {
        let long = [file(), vec![0]].concat();
        assert_format_error(&long, "goes on after byte 28");
        assert_format_error(&gzip(&long), "goes on after byte 28");
        let endless = io::Cursor::new(file()).chain(io::repeat(0));
        assert!(matches!(read_from(endless, "x"), Err(Error::Format { .. })));
    }

    #[test]
    fn gzip_members_are_one_stream() {
        let (first, second) = (gzip(&file()[..17]), gzip(&file()[17..]));
        assert!(read_from(&[&first[..], &second].concat()[..], "x").unwrap() == image());
        assert_format_error(&[gzip(&file()), gzip(&[0])].concat(), "goes on after byte 28");
        assert_format_error(&[gzip(&file()), b"garbage".to_vec()].concat(), "damaged after 28 bytes");
        // An empty member takes 20 bytes; a decoder that recurses would overflow its stack.
        let empty = gzip(&[]).repeat(30_000);
        assert_format_error(&empty, "ends after 0 bytes");
    }

    #[test]
    fn damaged_gzip_is_an_error() {
        let good = gzip(&file());
        let with_byte = |i: usize, byte: u8| {
            let mut bad = good.clone();
            bad[i] ^= byte;
            bad
        };
        assert_format_error(&with_byte(2, 1), "damaged after 0 bytes");
        assert_format_error(&with_byte(good.len() - 8, 1), "checksum");
        assert_format_error(&with_byte(good.len() - 1, 1), "checksum");
        assert_format_error(&with_byte(10, 6), "damaged after");
    }

    #[test]
    fn what_the_operating_system_refuses_is_an_io_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path().join("missing")), Err(Error::Io { .. })));
        assert!(matches!(read(folder.path()), Err(Error::Io { .. })));
        assert!(matches!(write(folder.path().join("missing").join("x"), &image()), Err(Error::Io { .. })));
    }

    #[test]
    fn refuses_to_write_what_cannot_be_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for (tensor, part) in [
            (Tensor::new((), vec![1]).unwrap(), "shape (): an IDX file has at least one dimension"),
            (Tensor::new([0, 2], vec![]).unwrap(), "shape (0, 2): an IDX file has at least one dimension, and none"),
        ] {
            let message = write(&path, &tensor).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        #[cfg(target_pointer_width = "64")]
        assert!(header([1 << 32].into()).is_err());
        assert!(!path.exists());
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in vec(any::<u8>(), 0..64)) {
            let _ = read_from(&bytes[..], "x");
            let _ = read_from(&[&[0, 0, 8][..], &bytes].concat()[..], "x");
            let _ = read_from(&[&[0x1f, 0x8b, 8, 0][..], &bytes].concat()[..], "x");
            let _ = read_from(&gzip(&bytes)[..], "x");
        }

        #[test]
        fn any_damage_never_panics(packed: bool, place: prop::sample::Index, byte: u8) {
            let mut bytes = if packed { gzip(&file()) } else { file() };
            *place.get_mut(&mut bytes) = byte;
            let _ = read_from(&bytes[..], "x");
        }

        #[test]
        fn write_then_read_is_the_identity(dims in vec(1usize..5, 1..=MAX_RANK), packed: bool, seed: u8) {
            let shape = Shape::new(&dims).unwrap();
            let data = (0..shape.size()).map(|i| (i as u8).wrapping_mul(37) ^ seed).collect();
            let tensor = Tensor::new(shape, data).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(if packed { "x.gz" } else { "x" });
            write(&path, &tensor).unwrap();
            prop_assert!(read(&path).unwrap() == tensor);
        }
    }
}
