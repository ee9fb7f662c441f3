//! Arrays of NumPy. `data-scripts/numpy_arrays.py` makes the files.

use std::{fs, path::PathBuf};

use cornu::{numpy::Element, prelude::*};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/numpy")).join(name)
}

fn numbers() -> Tensor {
    Tensor::new([2, 3, 4], (0..24).map(|n| n as f32).collect()).unwrap()
}

#[test]
fn arrays_of_every_type_and_order_are_read() {
    for file in ["f2", "f4", "f8", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "big_endian", "fortran", "version2"]
    {
        let path = fixture(&format!("{file}.npy"));
        assert_eq!(Tensor::<f32>::read_npy(&path).unwrap(), numbers(), "{file}");
        assert_eq!(Tensor::<f64>::read_npy(&path).unwrap(), numbers().cast(), "{file}");
        assert_eq!(Tensor::<u8>::read_npy(&path).unwrap(), numbers().map(|x| x as u8), "{file}");
        assert_eq!(Tensor::<i64>::read_npy(&path).unwrap(), numbers().map(|x| x as i64), "{file}");
    }
    assert_eq!(Tensor::<f32>::read_npy(fixture("scalar.npy")).unwrap(), Tensor::full((), 2.5));
    assert_eq!(Tensor::<f32>::read_npy(fixture("empty.npy")).unwrap(), Tensor::zeros([0, 3]));
    assert_eq!(Labels::read_npy(fixture("bool.npy")).unwrap(), Labels::from(vec![1u8, 0]));
}

#[test]
fn what_is_written_has_the_bytes_that_numpy_writes() {
    let folder = tempfile::tempdir().unwrap();
    let same = |file: &str, write: &dyn Fn(&PathBuf) -> cornu::Result<()>| {
        let path = folder.path().join(file);
        write(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(fixture(file)).unwrap(), "{file}");
    };
    fn cast<T: Element>(to: impl Fn(f32) -> T) -> Tensor<T> {
        numbers().map(to)
    }
    same("f4.npy", &|path| numbers().write_npy(path));
    same("f8.npy", &|path| cast(f64::from).write_npy(path));
    same("u1.npy", &|path| cast(|x| x as u8).write_npy(path));
    same("i4.npy", &|path| cast(|x| x as i32).write_npy(path));
    same("i8.npy", &|path| cast(|x| x as i64).write_npy(path));
    same("scalar.npy", &|path| Tensor::full((), 2.5f32).write_npy(path));
    same("empty.npy", &|path| Tensor::<f32>::zeros([0, 3]).write_npy(path));
}

#[test]
fn labels_of_both_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.npy");
    for labels in [Labels::from(vec![3u8, 255]), Labels::from(vec![3u32, 70_000]), Labels::from(Vec::<u8>::new())] {
        labels.write_npy(&path).unwrap();
        assert_eq!(Labels::read_npy(&path).unwrap(), labels);
    }
    let error = Labels::read_npy(fixture("f4.npy")).unwrap_err().to_string();
    assert!(error.contains("of type <f4") && error.contains("got (2, 3, 4)"), "{error}");
    Tensor::from([[1.0], [2.5]]).write_npy(&path).unwrap();
    let error = Labels::read_npy(&path).unwrap_err().to_string();
    assert!(error.contains("got 2.5 at index 1"), "{error}");
}

#[test]
fn named_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arrays.npz");
    let labels = Labels::from(vec![1u32, 300]);
    Npz::new().tensor("x", &numbers()).labels("y", &labels).write(&path).unwrap();
    let first = fs::read(&path).unwrap();
    Npz::read(&path).unwrap().write(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first, "the same bytes each time");
    for path in [path, fixture("plain.npz"), fixture("compressed.npz")] {
        let npz = Npz::read(&path).unwrap();
        assert_eq!(npz.names().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(npz.get::<f32>("x").unwrap(), numbers());
        assert_eq!(npz.get_labels("y").unwrap(), labels);
        let error = npz.get::<f32>("z").unwrap_err().to_string();
        assert!(error.contains("there is no array z; there are x, y"), "{error}");
    }
}

#[test]
fn what_is_refused_names_type_and_shape() {
    for (file, words) in [
        ("complex", "elements are of type \"<c8\""),
        ("string", "elements are of type \"<U2\""),
        ("object", "elements are objects (|O), which are pickles"),
        ("record", "records are not read"),
        ("rank7", "shape [1, 1, 1, 1, 1, 1, 1]"),
    ] {
        let error = Tensor::<f32>::read_npy(fixture(&format!("{file}.npy"))).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(file), "{error} lacks {words}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    Tensor::from([[1.0f32, 256.0]]).write_npy(&path).unwrap();
    let error = Tensor::<u8>::read_npy(&path).unwrap_err().to_string();
    assert!(error.contains("of type <f4 and shape (1, 2) has 256 at place 1, which is no u8"), "{error}");
    Tensor::from([f64::NAN]).write_npy(&path).unwrap();
    assert!(Tensor::<i64>::read_npy(&path).is_err());
    let error = Npz::read(fixture("bomb.npz")).unwrap_err().to_string();
    assert!(error.contains("x.npy has 40000128 bytes, and may have"), "{error}");
}

#[test]
fn cut_files_and_flipped_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for file in ["f4.npy", "fortran.npy", "version2.npy", "plain.npz", "compressed.npz"] {
        let bytes = fs::read(fixture(file)).unwrap();
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            match file.ends_with("npz") {
                true => Npz::read(&path).and_then(|npz| npz.get("x")),
                false => Tensor::<f32>::read_npy(&path),
            }
        };
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{file}: {len} bytes");
        }
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = read(&damaged);
            assert!(!file.ends_with("npz") || read.is_err() || read.unwrap() == numbers(), "{file}: bit {bit}");
        }
    }
}
