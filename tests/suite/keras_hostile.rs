//! Damaged and hostile files of Keras's formats: an error that says what is wrong and where, and nothing else.

use std::{
    fs,
    io::{Cursor, Read, Write},
    path::Path,
};

use cornu::{config::Registry, prelude::*};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keras")).join(name)).unwrap()
}

fn error(bytes: &[u8]) -> String {
    Model::from_bytes(bytes).map(|_| ()).expect_err("the file is no good").to_string()
}

/// The files in a `.keras` file.
fn entries(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut zip = ZipArchive::new(Cursor::new(file(name))).unwrap();
    let entry = |i| {
        let mut entry = zip.by_index(i).unwrap();
        let (name, mut bytes) = (entry.name().unwrap().into_owned(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        (name, bytes)
    };
    (0..3).map(entry).collect()
}

fn zip<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::DEFLATE)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// `sgd.keras` with another text in its configuration.
fn with_config(from: &str, to: &str) -> Vec<u8> {
    let mut entries = entries("sgd.keras");
    let config = String::from_utf8(entries[1].1.clone()).unwrap();
    assert!(config.contains(from), "{config}");
    entries[1].1 = config.replacen(from, to, 1).into_bytes();
    zip(entries.iter().map(|(name, bytes)| (&**name, &**bytes)))
}

/// `functional.h5` with other bytes at a place.
fn patched(place: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file("functional.h5");
    file[place..place + bytes.len()].copy_from_slice(bytes);
    file
}

/// Where such bytes begin in `functional.h5`.
fn places(bytes: &[u8]) -> Vec<usize> {
    let file = file("functional.h5");
    (0..file.len() - bytes.len()).filter(|&i| file[i..].starts_with(bytes)).collect()
}

#[test]
fn files_cut_short() {
    for name in ["functional.h5", "latest.h5", "sgd.keras"] {
        let bytes = file(name);
        for len in 0..bytes.len() {
            assert!(Model::from_bytes(&bytes[..len]).is_err(), "{name}: {len} bytes");
        }
    }
    let bytes = file("functional.h5");
    assert!(error(&bytes[..bytes.len() - 1]).contains("it is cut short: it has 31143 bytes, and had 31144"));
}

#[test]
fn flipped_bits() {
    let whole = Model::from_bytes(&file("sgd.keras")).unwrap();
    let bytes = file("sgd.keras");
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // What is not covered by the checksums of a zip, such as the time, says nothing.
        if let Ok(model) = Model::from_bytes(&damaged) {
            assert_eq!(model.params(), whole.params(), "bit {bit}");
        }
    }
    // HDF5 has no checksums, so another number may be read, but nothing may panic.
    for name in ["functional.h5", "latest.h5"] {
        let bytes = file(name);
        for bit in (0..8 * bytes.len()).step_by(31) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            _ = Model::from_bytes(&damaged);
        }
    }
}

#[test]
fn cyclic_groups() {
    // Each node of a B-tree leads to itself; those of groups that say nothing are not read.
    let results =
        places(b"TREE").into_iter().map(|node| Model::from_bytes(&patched(node + 32, &(node as u64).to_le_bytes())));
    let errors: Vec<String> = results.filter_map(|result| result.err()).map(|error| error.to_string()).collect();
    assert!(errors.len() > 5);
    for message in errors {
        assert!(message.contains("it points to the same places over and over"), "{message}");
        assert!(message.contains(": /"), "it says in which group: {message}");
    }
    // The first entry of the root group, model_weights, is the root group.
    let root = u64::from_le_bytes(file("functional.h5")[64..72].try_into().unwrap());
    let message = error(&patched(places(b"SNOD")[0] + 16, &root.to_le_bytes()));
    assert!(message.contains("/model_weights"), "{message}");
    // A header goes on in itself.
    let continued = places(&[0x10, 0, 0x10, 0]);
    assert!(!continued.is_empty());
    for message in continued {
        let mut bytes = (message as u64).to_le_bytes().to_vec();
        bytes.extend(24u64.to_le_bytes());
        _ = Model::from_bytes(&patched(message + 8, &bytes));
    }
}

#[test]
fn offsets_outside_and_sizes_that_overflow() {
    // A contiguous layout: where the numbers are, and how many bytes.
    let layouts = places(&[8, 0, 24, 0]).into_iter().filter(|&at| file("functional.h5")[at + 8..].starts_with(&[3, 1]));
    let mut layouts: Vec<usize> = layouts.map(|at| at + 10).collect();
    let layout = layouts.remove(0);
    for address in [31_140, 1 << 40, u64::MAX - 8] {
        let message = error(&patched(layout, &address.to_le_bytes()));
        assert!(message.contains(&format!("byte {address}: 20 bytes should be here")), "{message}");
        assert!(message.contains("/optimizer_weights/") || message.contains("/model_weights/"), "{message}");
    }
    let message = error(&patched(layout, &u64::MAX.to_le_bytes()));
    assert!(message.contains("its numbers were never written"), "{message}");
    let message = error(&patched(layout + 8, &u64::MAX.to_le_bytes()));
    assert!(message.contains("bytes are stored, but the shape"), "{message}");
    // The shape of a kernel, [6, 5], becomes one whose product overflows.
    let shape = [6u64.to_le_bytes(), 5u64.to_le_bytes()].concat();
    let large = [(1u64 << 62).to_le_bytes(), (1u64 << 62).to_le_bytes()].concat();
    let message = error(&patched(places(&shape)[0], &large));
    assert!(message.contains("is larger than any memory"), "{message}");
    // Half precision, and what h5py makes of bfloat16: two bytes that mean nothing to HDF5.
    let single = places(&[0x11, 0x20, 31, 0, 4, 0, 0, 0])[0];
    for (class, words) in
        [(0x11, "it holds floating-point numbers of 2 bytes that"), (0x15, "it holds opaque values of 2 bytes that")]
    {
        let message = error(&patched(single, &[class, 0x20, 31, 0, 2]));
        assert!(message.contains(words), "{message}");
    }
    // The heap of names.
    for heap in &places(b"HEAP")[..3] {
        for size in [u64::MAX, 1 << 40, 1] {
            let message = error(&patched(heap + 8, &size.to_le_bytes()));
            assert!(message.contains(": /") && message.contains("byte"), "{message}");
        }
    }
    // The heap of strings, where model_config is.
    let message = error(&patched(places(b"GCOL")[0] + 8, &u64::MAX.to_le_bytes()));
    assert!(message.contains("attribute model_config: byte"), "{message}");
}

#[test]
fn what_is_damaged_of_a_training_does_not_matter_without_it() {
    let whole = Model::from_bytes(&file("functional.h5")).unwrap();
    let config = places(br#"{"loss""#)[0];
    // Behind the root group's first name, model_weights, the object of its second, optimizer_weights.
    let variables = places(b"SNOD")[0] + 56;
    for (bytes, words) in [
        (patched(config, b"?"), "training_config is not JSON"),
        (patched(variables, &(1u64 << 40).to_le_bytes()), "/optimizer_weights: byte 1099511627776"),
    ] {
        assert!(error(&bytes).contains(words), "{} lacks {words}", error(&bytes));
        let model: Model = Model::from_bytes_with(&bytes, &Registry::default().uncompiled()).unwrap();
        assert_eq!(model.params(), whole.params());
        assert!(model.optimizer_state().is_err());
    }
}

#[test]
fn zips_of_others() {
    let mut model = Sequential::new([4]).add(Dense::new(2)).build().unwrap();
    for (name, words) in [
        ("archive/data.pkl", "it is of PyTorch; build the model, and with the feature torch load_torch reads"),
        ("kernel.npy", "it holds arrays of NumPy, and no model; with the feature numpy Npz::read reads them"),
    ] {
        let bytes = zip([(name, &b"x"[..])]);
        assert!(error(&bytes).contains(words), "{}", error(&bytes));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, bytes).unwrap();
        let error = model.load_weights(&path).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn weights_by_name_are_not_in_keras_files() {
    let mut model = Sequential::new([4]).add(Dense::new(2)).build().unwrap();
    for (name, words) in [("sgd.keras", "got a zip, as .keras"), ("functional.h5", "got HDF5, as Keras's .h5 is")] {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keras")).join(name);
        let error = model.load_weights_by_name(path).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("load_model and load_weights read Keras's files"), "{error}");
    }
}

#[test]
fn zip_bombs() {
    let zeros = vec![b' '; 64 << 20];
    let metadata: &[u8] = b"{}";
    let bomb = zip([("metadata.json", metadata), ("config.json", &zeros), ("model.weights.h5", b"")]);
    assert!(bomb.len() < 100_000);
    let message = error(&bomb);
    assert!(message.contains("config.json has 67108864 bytes, and may have"), "{message}");
    let entries = entries("sgd.keras");
    let bomb = zip([("config.json", &*entries[1].1), ("model.weights.h5", &zeros)]);
    let message = error(&bomb);
    assert!(message.contains("model.weights.h5 has 67108864 bytes, and may have"), "{message}");
    // It says that it is shorter than it is: in the entry, and in the directory.
    let mut bytes = zip([("config.json", &*vec![b' '; 100_000]), ("model.weights.h5", b"")]);
    let places: Vec<usize> =
        (0..bytes.len() - 4).filter(|&i| bytes[i..].starts_with(&100_000u32.to_le_bytes())).collect();
    assert_eq!(places.len(), 2);
    places.iter().for_each(|&place| bytes[place..place + 4].copy_from_slice(&10u32.to_le_bytes()));
    let message = error(&bytes);
    assert!(message.contains("config.json is damaged: it should have 10 bytes"), "{message}");
}

#[test]
fn path_names_in_a_zip_are_names() {
    let entries = entries("sgd.keras");
    let own = entries.iter().map(|(name, bytes)| (&**name, &**bytes));
    let paths: [(&str, &[u8]); 2] = [("../cornu-was-here", b"x"), ("/tmp/cornu-was-here", b"x")];
    Model::from_bytes(&zip(own.chain(paths))).unwrap();
    assert!(!Path::new("../cornu-was-here").exists() && !Path::new("/tmp/cornu-was-here").exists());
    let message = error(&zip([("../config.json", &*entries[1].1)]));
    assert!(message.contains("it has no config.json"), "{message}");
}

#[test]
fn configurations() {
    let layers = |count: usize| {
        let layers = vec![r#"{"class_name":"Flatten"}"#; count].join(",");
        format!(r#"{{"class_name":"Sequential","config":{{"layers":[{layers}]}}}}"#).into_bytes()
    };
    let with = |config: &[u8]| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in [("config.json", config), ("model.weights.h5", &*entries("sgd.keras")[2].1)] {
            zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        error(&zip.finish().unwrap().into_inner())
    };
    for (config, words) in [
        (layers(1_000_000), "config.json has 25000049 bytes, and may have 16777216"),
        (layers(20_000), "20000 layers are more than 10000"),
        (vec![b'['; 100_000], "config.json is not JSON: recursion limit"),
    ] {
        let message = with(&config);
        assert!(message.contains(words), "{message} lacks {words}");
    }
    for (config, words) in [
        (with_config(r#""class_name": "Dense""#, r#""class_name": "Lambda""#), r#"layers[1] Lambda "dense"#),
        (
            with_config(r#""class_name": "Dense""#, r#""class_name": "Normalization""#),
            r#"layers[1] Normalization "dense"#,
        ),
        (with_config(r#""units": 5"#, r#""units": 1000000000"#), "has shape [6, 5], expected (6, 1000000000)"),
        (with_config(r#""units": 5"#, r#""units": 4"#), "/layers/dense/vars/0, which is dense"),
        (with_config(r#""use_bias": true"#, r#""use_bias": false"#), "has 2 weights in the file, expected 1"),
        (
            with_config(r#""momentum": 0.9"#, r#""momentum": 0.0"#),
            "the optimizer's state: it has 4 variables for 4 weights",
        ),
        (
            with_config(r#""class_name": "Sequential""#, r#""class_name": "MyModel""#),
            "expected a Sequential, got a MyModel",
        ),
    ] {
        let message = error(&config);
        assert!(message.contains(words), "{message} lacks {words}");
    }
    let own = entries("sgd.keras");
    let message = error(&zip([("config.json", &*own[1].1), ("model.weights.npz", b"x")]));
    assert!(message.contains("it has no model.weights.h5"), "{message}");
    let message = error(&zip([("config.json", &*own[1].1), ("model.weights.h5", b"x")]));
    assert!(message.contains("model.weights.h5: it does not begin as"), "{message}");
}
