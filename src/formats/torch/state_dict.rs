//! [`StateDict`]: the tensors of a file, by their names.

use std::collections::{HashMap, HashSet};

use safetensors::tensor::TensorInfo;

use super::{
    few,
    pickle::{Pickle, Value},
};
use crate::{
    MAX_RANK, Scalar,
    formats::{
        archive::{header, metadata},
        dtype::Dtype,
        entries::Entries,
    },
};

/// The tensors of a file of PyTorch, where they lie: none is copied before it is read.
#[derive(Debug)]
pub(super) struct StateDict<'a> {
    pub tensors: Vec<Tensor<'a>>,
    /// Whether they have the order in which the modules were declared; a file of safetensors is sorted by name.
    pub ordered: bool,
}

/// A tensor of a file, all of whose elements are there.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub name: String,
    /// How many bytes of the name are that of the dict that it is in.
    dict: usize,
    pub shape: Vec<usize>,
    dtype: Dtype,
    /// The storage from its first element on.
    bytes: &'a [u8],
    strides: Vec<usize>,
}

/// More than any model has here.
const MAX_TENSORS: usize = 1 << 16;

/// The longest name of a tensor, with those of the dicts that it is in.
const MAX_NAME: usize = 256;

/// The most bytes of a pickle, in which a tensor takes about a hundred.
const MAX_PICKLE: usize = 16 << 20;

/// What files of a training call the weights among other things.
const USUAL: [&str; 6] = ["state_dict", "model_state_dict", "model", "net", "network", "weights"];

impl<'a> StateDict<'a> {
    /// Those of a file of `torch.save` or of safetensors: of the dict at `path`, names with dots between them, or else of the one that
    /// holds the weights.
    pub fn parse(file: &'a [u8], path: Option<&str>) -> Result<Self, String> {
        let (tensors, ordered) = match file {
            [b'P', b'K', ..] => (of_zip(file)?, true),
            [0x80, ..] => {
                return Err("it is in the format of PyTorch before 1.6; write it again, in Python: torch.save(torch.load(path), \
                            path)"
                    .to_owned());
            }
            [_, _, _, _, _, _, _, _, b'{', ..] => (of_safetensors(file)?, false),
            _ => return Err("neither a file of torch.save nor one of safetensors".to_owned()),
        };
        let tensors: Vec<_> = match path {
            Some(path) => tensors.into_iter().filter_map(|tensor| tensor.within(&format!("{path}."))).collect(),
            None => {
                let dict = dict_of_weights(&tensors)?;
                tensors
                    .into_iter()
                    .filter(|tensor| tensor.dict() == dict)
                    .filter_map(|tensor| tensor.within(&dict))
                    .collect()
            }
        };
        match tensors.is_empty() {
            false => Ok(StateDict { tensors, ordered }),
            true => {
                Err(format!("there is no tensor in it{}", path.map_or(String::new(), |path| format!(" within {path}"))))
            }
        }
    }
}

impl Tensor<'_> {
    fn dict(&self) -> &str {
        &self.name[..self.dict]
    }

    /// With the rest of its name, if it begins so.
    fn within(self, prefix: &str) -> Option<Self> {
        let name = self.name.strip_prefix(prefix)?.to_owned();
        Some(Tensor { name, dict: 0, ..self })
    }

    /// Its elements, row-major, rounded where `T` is the shorter type. An error when they are no floating-point numbers.
    pub fn values<T: Scalar>(&self) -> Result<Vec<T>, String> {
        if !matches!(self.dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64) {
            return Err(format!(
                "{} has numbers of type {:?}, expected floating-point numbers: save it as tensor.float() in Python, or leave it \
                 out of the file",
                self.name, self.dtype
            ));
        }
        let mut values = Vec::with_capacity(self.shape.iter().product());
        let mut index = vec![0; self.shape.len()];
        for _ in 0..values.capacity() {
            let at: usize = index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum();
            values.push(T::of(self.dtype.number(&self.bytes[at * self.dtype.size()..]).as_f64()));
            for (i, &len) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < len {
                    break;
                }
                *i = 0;
            }
        }
        Ok(values)
    }
}

/// The tensors in a zip of `torch.save`, with their names from the outermost dict on.
fn of_zip(file: &[u8]) -> Result<Vec<Tensor<'_>>, String> {
    let entries = Entries::parse(file)?;
    let is_pickle = |name: &&str| name.strip_suffix("data.pkl").is_some_and(|folder| folder.split('/').count() <= 2);
    let pickle = entries.names().find(is_pickle).ok_or("it has no data.pkl, so torch.save has not written it")?;
    let folder = pickle.strip_suffix("data.pkl").unwrap_or_default();
    // Files from before PyTorch 2.0 do not say it, and are little-endian.
    if let Ok(order) = entries.stored(&format!("{folder}byteorder"))
        && order != b"little"
    {
        return Err(format!("its byteorder is {}, expected little; write it on another machine", order.escape_ascii()));
    }
    let bytes = entries.stored(pickle)?;
    if bytes.len() > MAX_PICKLE {
        return Err(format!("{pickle} has {} bytes, and may have {MAX_PICKLE}", bytes.len()));
    }
    let (pickle_values, root) = Pickle::parse(bytes).map_err(|message| format!("{pickle}, {message}"))?;
    let mut read = HashMap::new();
    let mut storages = Vec::new();
    for storage in &pickle_values.storages {
        let bytes = match read.get(storage.key) {
            Some(&bytes) => bytes,
            None => {
                let bytes = entries.stored(&format!("{folder}data/{}", storage.key))?;
                read.insert(storage.key, bytes);
                bytes
            }
        };
        if storage.len.checked_mul(storage.dtype.size()) != Some(bytes.len()) {
            let (key, len, dtype) = (storage.key, storage.len, storage.dtype);
            return Err(format!(
                "{folder}data/{key} has {} bytes, expected {len} numbers of type {dtype:?}",
                bytes.len()
            ));
        }
        storages.push(bytes);
    }
    names(&pickle_values, root)?
        .into_iter()
        .map(|(dict, name, i)| {
            let tensor = &pickle_values.tensors[i];
            let dtype = pickle_values.storages[tensor.storage].dtype;
            let bytes = inside(storages[tensor.storage], dtype, tensor.offset, &tensor.shape, &tensor.strides);
            let bytes = bytes.map_err(|message| format!("{name} {message}"))?;
            Ok(Tensor { name, dict, shape: tensor.shape.clone(), dtype, bytes, strides: tensor.strides.clone() })
        })
        .collect()
}

/// The storage from the offset on, if all elements of such a tensor lie in it, and are no more than it has.
fn inside<'a>(
    storage: &'a [u8],
    dtype: Dtype,
    offset: usize,
    shape: &[usize],
    strides: &[usize],
) -> Result<&'a [u8], String> {
    let numbers = storage.len() / dtype.size();
    let outside =
        || format!("has shape {shape:?}, strides {strides:?} and offset {offset} in a storage of {numbers} numbers");
    let len = shape.iter().try_fold(1_usize, |len, &dim| len.checked_mul(dim)).ok_or_else(outside)?;
    if len == 0 {
        return Ok(&[]);
    }
    if len > numbers {
        return Err(format!("{}; if it was expanded, save tensor.clone()", outside()));
    }
    let mut dims = shape.iter().zip(strides);
    let last = dims.try_fold(offset, |last, (&dim, &stride)| last.checked_add((dim - 1).checked_mul(stride)?));
    match last.filter(|&last| last < numbers) {
        Some(_) => Ok(&storage[offset * dtype.size()..]),
        None => Err(outside()),
    }
}

/// The tensors in the dict `root`, and in dicts that it holds, in their order, with how long the name of their dict is. Each dict is
/// taken once, so one that holds itself is no endless one.
fn names(pickle: &Pickle, root: Value) -> Result<Vec<(usize, String, usize)>, String> {
    let Value::Dict(root) = root else {
        return Err(format!(
            "it holds {}, expected a state_dict; in Python: torch.save(model.state_dict(), path)",
            root.kind()
        ));
    };
    let (mut found, mut taken, mut seen) = (Vec::new(), HashSet::new(), HashSet::new());
    // What is on top comes next, so that the tensors of an inner dict stay together.
    let mut open = vec![(String::new(), pickle.dicts[root].iter())];
    seen.insert(root);
    while let Some((prefix, items)) = open.last_mut() {
        let Some(&(key, value)) = items.next() else {
            open.pop();
            continue;
        };
        let name = match key {
            _ if !matches!(value, Value::Dict(_) | Value::Tensor(_)) => continue,
            Value::Str(key) => [&**prefix, key].concat(),
            Value::Int(key) => format!("{prefix}{key}"),
            other => return Err(format!("a key of a dict with tensors is {}, expected a string", other.kind())),
        };
        check_name(&name)?;
        match value {
            Value::Dict(dict) if seen.insert(dict) => open.push((format!("{name}."), pickle.dicts[dict].iter())),
            Value::Tensor(tensor) => {
                if !taken.insert(name.clone()) {
                    return Err(format!("it holds {name} twice"));
                }
                found.push((prefix.len(), name, tensor));
            }
            _ => (),
        }
        check_count(found.len())?;
    }
    Ok(found)
}

fn check_count(tensors: usize) -> Result<(), String> {
    match tensors <= MAX_TENSORS {
        true => Ok(()),
        false => Err(format!("it holds more than {MAX_TENSORS} tensors")),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.len() > MAX_NAME {
        let start: String = name.chars().take(40).collect();
        return Err(format!("the name {start}... has {} bytes, and may have {MAX_NAME}", name.len()));
    }
    Ok(())
}

/// Where the weights are: in the dict with a usual name, or in the outermost one, or in the only other one that holds tensors.
fn dict_of_weights(tensors: &[Tensor]) -> Result<String, String> {
    let mut dicts: Vec<&str> = Vec::new();
    for tensor in tensors {
        if dicts.last() != Some(&tensor.dict()) {
            dicts.push(tensor.dict());
        }
    }
    let usual = USUAL.iter().find_map(|usual| dicts.iter().find(|dict| dict.strip_suffix('.') == Some(usual)));
    match (usual, &*dicts) {
        (Some(dict), _) | (None, [dict]) => Ok((*dict).to_owned()),
        _ if dicts.is_empty() || dicts.contains(&"") => Ok(String::new()),
        _ => {
            let shown = few(dicts.iter().map(|dict| format!("\"{}\"", dict.trim_end_matches('.'))));
            Err(format!("it holds tensors in {shown}; say which by TorchMapping::within"))
        }
    }
}

/// The tensors of a file of safetensors, in the order of their names, where 10 comes after 9.
fn of_safetensors(file: &[u8]) -> Result<Vec<Tensor<'_>>, String> {
    let (start, header) = header(file)?;
    if metadata(&header).is_some() {
        return Err("it is of cornu and has no weights of PyTorch; load_weights reads it".to_owned());
    }
    let infos = header.tensors();
    check_count(infos.len())?;
    infos.keys().try_for_each(|name| check_name(name))?;
    let tensor = |(name, info): (&String, &&TensorInfo)| {
        let (begin, end) = info.data_offsets;
        of_info(name, info, &file[start..][begin..end])
    };
    let mut tensors = infos.iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    // 1 and 01 are the same number; the names are not the same.
    tensors.sort_by(|a, b| natural(&a.name).cmp(natural(&b.name)).then_with(|| a.name.cmp(&b.name)));
    Ok(tensors)
}

fn of_info<'a>(name: &str, info: &TensorInfo, bytes: &'a [u8]) -> Result<Tensor<'a>, String> {
    use safetensors::Dtype as Other;
    let dtype = match info.dtype {
        Other::BOOL => Dtype::Bool,
        Other::U8 => Dtype::U8,
        Other::U16 => Dtype::U16,
        Other::U32 => Dtype::U32,
        Other::U64 => Dtype::U64,
        Other::I8 => Dtype::I8,
        Other::I16 => Dtype::I16,
        Other::I32 => Dtype::I32,
        Other::I64 => Dtype::I64,
        Other::F16 => Dtype::F16,
        Other::BF16 => Dtype::BF16,
        Other::F32 => Dtype::F32,
        Other::F64 => Dtype::F64,
        other => {
            return Err(format!(
                "{name} has numbers of type {other:?}, which are not read: save it as tensor.float() in Python, or leave it out of the file"
            ));
        }
    };
    let shape = info.shape.clone();
    if shape.len() > MAX_RANK {
        return Err(format!("{name} has {} dimensions, and may have {MAX_RANK}", shape.len()));
    }
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = shape[axis].saturating_mul(strides[axis]);
    }
    Ok(Tensor { name: name.to_owned(), dict: 0, shape, dtype, bytes, strides })
}

/// What a name is sorted by: part by part, of which `None` is the end, with numbers counted as such, by how many digits they have first.
fn natural(name: &str) -> impl Iterator<Item = Option<(usize, &[u8])>> {
    let is_digit = u8::is_ascii_digit;
    let run = move |run| {
        let zeros = <[u8]>::iter(run).take_while(|&&byte| byte == b'0').count();
        if is_digit(&run[0]) { (run.len() - zeros, &run[zeros..]) } else { (0, run) }
    };
    name.split('.').flat_map(move |part| {
        let runs = part.as_bytes().chunk_by(move |a, b| is_digit(a) == is_digit(b));
        runs.map(run).map(Some).chain([None])
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;

    /// A zip of files that are not packed.
    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// The opcodes of a string, and of a number.
    fn string(string: &str) -> Vec<u8> {
        [b"X", &(string.len() as u32).to_le_bytes()[..], string.as_bytes()].concat()
    }

    fn int(n: i64) -> Vec<u8> {
        [&[0x8a, 8], &n.to_le_bytes()[..]].concat()
    }

    fn ints(numbers: &[i64]) -> Vec<u8> {
        [b"(", &*numbers.iter().flat_map(|&n| int(n)).collect::<Vec<_>>(), b"t"].concat()
    }

    /// Those of a tensor in a storage that is said to have `len` numbers.
    fn tensor(len: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
        let storage =
            [b"(", &*string("storage"), b"ctorch\nFloatStorage\n", &string("0"), &string("cpu"), &int(len), b"tQ"];
        [
            b"ctorch._utils\n_rebuild_tensor_v2\n(",
            &*storage.concat(),
            &int(offset),
            &ints(shape),
            &ints(strides),
            b"\x89}tR",
        ]
        .concat()
    }

    /// A file with the dict of these opcodes, and a storage of 6 numbers.
    fn file(items: &[u8]) -> Vec<u8> {
        let numbers: Vec<u8> = (0..6).flat_map(|n| (n as f32).to_le_bytes()).collect();
        let pickle = [b"\x80\x02}(", items, b"u."].concat();
        zip(&[("a/data.pkl", &pickle), ("a/byteorder", b"little"), ("a/data/0", &numbers)])
    }

    fn error(file: &[u8]) -> String {
        StateDict::parse(file, None).unwrap_err()
    }

    #[test]
    fn tensors_lie_where_offset_and_strides_say() {
        let items =
            [string("w"), tensor(6, 1, &[2, 2], &[1, 3]), string("none"), tensor(6, 9, &[0, 2], &[1, 1])].concat();
        let zip = file(&items);
        let state = StateDict::parse(&zip, None).unwrap();
        assert_eq!(state.tensors[0].values::<f32>().unwrap(), [1.0, 4.0, 2.0, 5.0]);
        assert!(state.tensors[1].values::<f32>().unwrap().is_empty());
        assert_eq!(error(&file(b"")), "there is no tensor in it");
    }

    #[test]
    fn tensors_that_leave_their_storage() {
        let huge = i64::MAX;
        for tensor in [
            tensor(6, 1, &[2, 3], &[3, 1]),
            tensor(6, 0, &[2, 3], &[4, 1]),
            tensor(6, 7, &[], &[]),
            tensor(6, huge, &[2], &[1]),
            tensor(6, huge, &[2], &[huge]),
            tensor(6, 0, &[2, 2], &[huge, huge]),
            tensor(6, 0, &[huge, huge, 4], &[0, 0, 0]),
            tensor(6, 0, &[7], &[0]),
        ] {
            let error = error(&file(&[string("w"), tensor].concat()));
            assert!(error.starts_with("w has shape ") && error.contains("in a storage of 6 numbers"), "{error}");
        }
        for len in [5, 7, 1 << 62, huge] {
            let error = error(&file(&[string("w"), tensor(len, 0, &[1], &[1])].concat()));
            assert!(error.contains("a/data/0 has 24 bytes, expected"), "{error}");
        }
        for (shape, strides, words) in [
            (&[-1][..], &[1][..], "no number of at least 0"),
            (&[1], &[1, 1], "a tensor of shape [1] has the strides [1, 1]"),
            (&[1; 7], &[1; 7], "7 dimensions, and may have 6"),
        ] {
            let error = error(&file(&[string("w"), tensor(6, 0, shape, strides)].concat()));
            assert!(error.starts_with("a/data.pkl, byte ") && error.contains(words), "{error}");
        }
    }

    #[test]
    fn dicts_in_dicts() {
        let inner = |items: &[u8]| [b"}(", items, b"u"].concat();
        let weight = [string("w"), tensor(6, 0, &[1], &[1])].concat();
        let names = |items: &[u8], path| {
            let file = file(items);
            StateDict::parse(&file, path).map(|state| state.tensors.iter().map(|t| t.name.clone()).collect::<Vec<_>>())
        };
        let optimizer = [string("optimizer"), inner(&[int(0), inner(&weight)].concat())].concat();
        let training = [optimizer, string("state_dict"), inner(&weight)].concat();
        assert_eq!(names(&training, None).unwrap(), ["w"]);
        assert_eq!(names(&training, Some("optimizer.0")).unwrap(), ["w"]);
        assert_eq!(names(&training, Some("optimizer")).unwrap(), ["0.w"]);
        assert_eq!(names(&[string("ema"), inner(&weight)].concat(), None).unwrap(), ["w"]);
        assert_eq!(names(&[&*weight, &string("other"), &inner(&weight)].concat(), None).unwrap(), ["w"]);
        let twice = [weight.clone(), weight.clone()].concat();
        assert_eq!(names(&twice, None).unwrap_err(), "it holds w twice");
        let other = [&b"N"[..], &tensor(6, 0, &[1], &[1])].concat();
        assert!(names(&other, None).unwrap_err().contains("a key of a dict with tensors is a number, a bool or None"));
        let long = [string(&"n".repeat(300)), tensor(6, 0, &[1], &[1])].concat();
        assert!(names(&long, None).unwrap_err().contains("300 bytes, and may have 256"));
    }

    #[test]
    fn dicts_that_hold_themselves_and_many_names_of_one() {
        let weight = [string("w"), tensor(6, 0, &[1], &[1])].concat();
        let own = [&string("x")[..], b"}q\0(", &string("own"), b"h\0", &weight, b"u"].concat();
        assert_eq!(StateDict::parse(&file(&own), None).unwrap().tensors.len(), 1);
        // Each dict holds the one before it twice: 2^60 names of one tensor.
        let twice = [b"}(", &*string("a"), b"h\0", &string("b"), b"h\0uq\0"].concat();
        let many = [&string("x")[..], b"(}(", &weight, b"uq\0", &twice.repeat(60), b"t", &string("y"), b"h\0"].concat();
        let file_of_many = file(&many);
        let state = StateDict::parse(&file_of_many, Some("y")).unwrap();
        assert_eq!(state.tensors[0].name, format!("{}w", "a.".repeat(60)));
        assert_eq!(state.tensors.len(), 1);
        // A dict in a dict, and so on.
        let deep =
            [&string("x")[..], b"}", &[&string("n")[..], b"}"].concat().repeat(1000), &b"s".repeat(1000)].concat();
        assert!(error(&file(&deep)).contains("bytes, and may have 256"));
    }

    #[test]
    fn zips_that_torch_has_not_written() {
        assert!(error(b"PK").starts_with("not a whole zip file"));
        assert!(error(&zip(&[("a/other", b"")])).contains("it has no data.pkl"));
        let pickle = b"\x80\x02}.";
        let big = zip(&[("a/data.pkl", pickle), ("a/byteorder", b"big")]);
        assert_eq!(error(&big), "its byteorder is big, expected little; write it on another machine");
        let missing = [&b"\x80\x02}("[..], &string("w"), &tensor(6, 0, &[1], &[1]), b"u."].concat();
        assert_eq!(error(&zip(&[("a/data.pkl", &missing)])), "it has no a/data/0");
        assert!(error(&zip(&[("../../data.pkl", pickle)])).contains("it has no data.pkl"));
        let mut damaged = file(&[string("w"), tensor(6, 0, &[1], &[1])].concat());
        let at = damaged.windows(4).position(|bytes| bytes == 5_f32.to_le_bytes()).unwrap();
        damaged[at] ^= 1;
        assert!(error(&damaged).contains("a/data/0 is damaged: its checksum is"));
    }

    #[test]
    fn other_files() {
        assert_eq!(error(b""), "neither a file of torch.save nor one of safetensors");
        assert!(error(b"\x80\x02").contains("PyTorch before 1.6"));
        assert!(error(b"\xff\xff\xff\xff\0\0\0\0{").contains("4294967295 bytes, and may have"));
        assert!(error(b"\x02\0\0\0\0\0\0\0{").contains("not a whole file in the format safetensors"));
    }

    #[test]
    fn names_are_sorted_as_their_numbers_count() {
        let mut names = ["b10.w", "b9.w", "b.10", "b.9", "b.w", "b2.1.w", "b02.w", "a"];
        names.sort_by(|a, b| natural(a).cmp(natural(b)));
        assert_eq!(names, ["a", "b.w", "b.9", "b.10", "b02.w", "b2.1.w", "b9.w", "b10.w"]);
        let mut ends = ["a1", "a.b", "a", "a.", ""];
        ends.sort_by(|a, b| natural(a).cmp(natural(b)));
        assert_eq!(ends, ["", "a", "a.", "a.b", "a1"]);
    }

    /// A file of safetensors, with tensors without elements.
    fn safetensors(names: impl Iterator<Item = String>) -> Vec<u8> {
        let tensor = |name| format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
        let header = format!("{{{}}}", names.map(tensor).collect::<Vec<_>>().join(","));
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
    }

    #[test]
    fn a_file_of_safetensors_has_the_limits_of_a_pickle() {
        let long = safetensors([".".repeat(256), "0.".repeat(129)].into_iter());
        assert!(error(&long).ends_with("has 258 bytes, and may have 256"), "{}", error(&long));
        let many = safetensors((0..MAX_TENSORS + 1).map(|i| i.to_string()));
        assert_eq!(error(&many), "it holds more than 65536 tensors");
    }

    #[test]
    fn names_with_the_same_numbers_have_one_order() {
        let names: Vec<String> = (1..=20).rev().map(|zeros| format!("w{}1", "0".repeat(zeros))).collect();
        let file = safetensors(names.iter().rev().cloned());
        let state = StateDict::parse(&file, None).unwrap();
        assert_eq!(
            state.tensors.iter().map(|tensor| &tensor.name).collect::<Vec<_>>(),
            names.iter().collect::<Vec<_>>()
        );
    }
}
