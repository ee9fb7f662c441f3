//! [`Pickle`]: what a pickle stands for, as far as a `state_dict` needs it.
//!
//! A pickle is a program for a machine with a stack, which in Python may call any function. This machine has no functions: the few names
//! of [`Global`] stand for what they would make, and any other name or opcode is an error. It does not recurse, takes each opcode once,
//! and none makes more than it has bytes or stack for.
//!
//! Source: `pickletools` of Python, and `torch/serialization.py`.

use std::collections::HashMap;

use crate::{MAX_RANK, formats::dtype::Dtype};

/// More than 4,000 tensors take, more than any model has here; the memory that they need is bounded by it, too.
const MAX_OPCODES: usize = 1 << 17;

/// A value on the stack. Those that hold others are numbers of a place in [`Pickle`], since a pickle can put one in many places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// None, a bool, a float, a long number: nothing here depends on them.
    Other,
    Int(i64),
    Str(&'a str),
    Global(Global),
    Tuple(usize),
    /// What is in it is not kept.
    List,
    Dict(usize),
    Storage(usize),
    Tensor(usize),
}

/// The names that a pickle may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    Storage(Dtype),
}

/// What a pickle has made.
#[derive(Debug, Default)]
pub(super) struct Pickle<'a> {
    pub tuples: Vec<Vec<Value<'a>>>,
    /// The items in the order in which they were put in.
    pub dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub storages: Vec<Storage<'a>>,
    pub tensors: Vec<Rebuilt>,
}

/// An array of numbers in a file of its own.
#[derive(Debug, PartialEq)]
pub(super) struct Storage<'a> {
    /// The file's name in the folder `data`.
    pub key: &'a str,
    pub dtype: Dtype,
    /// How many numbers it is said to have.
    pub len: usize,
}

/// A tensor in a storage; nothing is checked but that its dimensions have strides.
#[derive(Debug, PartialEq)]
pub(super) struct Rebuilt {
    pub storage: usize,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl<'a> Pickle<'a> {
    /// Runs the machine: what was made, and the value that is left on the stack. An error names the byte.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, Value<'a>), String> {
        let mut machine = Machine {
            bytes,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            pickle: Pickle::default(),
        };
        for _ in 0..MAX_OPCODES {
            let start = machine.at;
            match machine.step() {
                Ok(None) => (),
                Ok(Some(value)) => return Ok((machine.pickle, value)),
                Err(message) => return Err(format!("byte {start}: {message}")),
            }
        }
        Err(format!("it has more than {MAX_OPCODES} opcodes, which no state_dict needs"))
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    /// The byte that is read next.
    at: usize,
    stack: Vec<Value<'a>>,
    /// The heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Value<'a>>,
    pickle: Pickle<'a>,
}

type Step<T> = Result<T, String>;

impl<'a> Machine<'a> {
    /// Takes the next opcode; gives the result at the last.
    fn step(&mut self) -> Step<Option<Value<'a>>> {
        let opcode = self.number::<1>()? as u8;
        let value = match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => return self.protocol(),
            // A frame tells how many bytes can be read at once.
            0x95 => return self.take(8).map(|_| None),
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(None);
            }
            b'N' | 0x88 | 0x89 => Value::Other,
            b'G' => self.take(8).map(|_| Value::Other)?,
            b'K' => Value::Int(self.number::<1>()? as i64),
            b'M' => Value::Int(self.number::<2>()? as i64),
            b'J' => Value::Int(i64::from(self.number::<4>()? as u32 as i32)),
            0x8a => self.long()?,
            0x8c => self.string::<1>()?,
            b'X' => self.string::<4>()?,
            0x8d => self.string::<8>()?,
            b')' => self.tuple(Vec::new()),
            0x85 => self.tuple_of(1)?,
            0x86 => self.tuple_of(2)?,
            0x87 => self.tuple_of(3)?,
            b't' => {
                let items = self.pop_mark()?;
                self.tuple(items)
            }
            b']' => Value::List,
            b'}' => self.dict(),
            b'a' => {
                self.pop()?;
                return self.is_list().map(|()| None);
            }
            b'e' => {
                self.pop_mark()?;
                return self.is_list().map(|()| None);
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                return self.set_items(&[key, value]).map(|()| None);
            }
            b'u' => {
                let items = self.pop_mark()?;
                return self.set_items(&items).map(|()| None);
            }
            b'q' => return self.put::<1>().map(|()| None),
            b'r' => return self.put::<4>().map(|()| None),
            0x94 => {
                let value = self.top()?;
                self.memo.insert(self.memo.len() as u64, value);
                return Ok(None);
            }
            b'h' => self.get::<1>()?,
            b'j' => self.get::<4>()?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Value::Global(global(module, name)?)
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Str(name), Value::Str(module)) => Value::Global(global(module, name)?),
                _ => return Err("the name of what it refers to is no string".to_owned()),
            },
            b'Q' => self.persistent()?,
            b'R' => self.reduce()?,
            b'b' => {
                // The attributes of an OrderedDict, which PyTorch gives the versions of its modules.
                self.pop()?;
                return match self.top()? {
                    Value::Dict(_) => Ok(None),
                    other => Err(format!("attributes are given to {}, which has none in a state_dict", other.kind())),
                };
            }
            other => return Err(format!("the opcode {other:#04x} is none that a state_dict needs")),
        };
        self.stack.push(value);
        Ok(None)
    }

    fn protocol(&mut self) -> Step<Option<Value<'a>>> {
        match self.number::<1>()? {
            2..=5 => Ok(None),
            other => Err(format!("it has the protocol {other}, expected 2 to 5")),
        }
    }

    /// A signed number of any length.
    fn long(&mut self) -> Step<Value<'a>> {
        let len = self.number::<1>()? as usize;
        let bytes = self.take(len)?;
        let sign = bytes.last().map_or(0, |&last| if last >= 0x80 { 0xff } else { 0 });
        let mut all = [sign; 8];
        let fits = all.get_mut(..len).map(|number| number.copy_from_slice(bytes)).is_some();
        Ok(if fits { Value::Int(i64::from_le_bytes(all)) } else { Value::Other })
    }

    /// A string behind its length, a number of `N` bytes.
    fn string<const N: usize>(&mut self) -> Step<Value<'a>> {
        let len = self.number::<N>()?;
        let bytes = self.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        Ok(Value::Str(std::str::from_utf8(bytes).map_err(|_| "a string is not UTF-8")?))
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or("a name does not end")?;
        self.at += len + 1;
        std::str::from_utf8(&rest[..len]).map_err(|_| "a name is not UTF-8".to_owned())
    }

    fn tuple(&mut self, items: Vec<Value<'a>>) -> Value<'a> {
        self.pickle.tuples.push(items);
        Value::Tuple(self.pickle.tuples.len() - 1)
    }

    fn tuple_of(&mut self, len: usize) -> Step<Value<'a>> {
        let start = self.stack.len().checked_sub(len).filter(|&start| start >= self.floor()).ok_or(EMPTY)?;
        let items = self.stack.split_off(start);
        Ok(self.tuple(items))
    }

    fn dict(&mut self) -> Value<'a> {
        self.pickle.dicts.push(Vec::new());
        Value::Dict(self.pickle.dicts.len() - 1)
    }

    /// Puts keys and values into the dict on top.
    fn set_items(&mut self, items: &[Value<'a>]) -> Step<()> {
        let Value::Dict(dict) = self.top()? else {
            return Err(format!("items are put into {}, which is no dict", self.top()?.kind()));
        };
        let (pairs, []) = items.as_chunks() else {
            return Err("a key has no value".to_owned());
        };
        self.pickle.dicts[dict].extend(pairs.iter().map(|&[key, value]| (key, value)));
        Ok(())
    }

    fn is_list(&mut self) -> Step<()> {
        match self.top()? {
            Value::List => Ok(()),
            other => Err(format!("items are put into {}, which is no list", other.kind())),
        }
    }

    fn put<const N: usize>(&mut self) -> Step<()> {
        let (key, value) = (self.number::<N>()?, self.top()?);
        self.memo.insert(key, value);
        Ok(())
    }

    fn get<const N: usize>(&mut self) -> Step<Value<'a>> {
        let key = self.number::<N>()?;
        self.memo.get(&key).copied().ok_or_else(|| format!("nothing was memorized as {key}"))
    }

    /// The storage that `("storage", type, key, device, length)` stands for.
    fn persistent(&mut self) -> Step<Value<'a>> {
        let id = self.pop()?;
        let Some(&[Value::Str("storage"), Value::Global(Global::Storage(dtype)), Value::Str(key), Value::Str(_), len]) =
            self.items(id)
        else {
            return Err("what is stored outside the pickle is no storage of numbers".to_owned());
        };
        let len = count(len).ok_or("the length of a storage is no number of at least 0")?;
        self.pickle.storages.push(Storage { key, dtype, len });
        Ok(Value::Storage(self.pickle.storages.len() - 1))
    }

    /// What a function would give for its arguments.
    fn reduce(&mut self) -> Step<Value<'a>> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Global(function), Some(arguments)) = (function, self.items(arguments)) else {
            return Err(format!("{} is called, which is no function", function.kind()));
        };
        match (function, arguments) {
            (Global::OrderedDict, []) => Ok(self.dict()),
            (Global::Size, [Value::Tuple(_)]) => Ok(Value::Other),
            (Global::RebuildParameter, &[tensor @ Value::Tensor(_), ..]) => Ok(tensor),
            (Global::RebuildTensor, &[Value::Storage(storage), offset, shape, strides, ..]) => {
                let offset = count(offset).ok_or("the offset of a tensor is no number of at least 0")?;
                let (shape, strides) = (self.counts(shape)?, self.counts(strides)?);
                if shape.len() != strides.len() {
                    return Err(format!("a tensor of shape {shape:?} has the strides {strides:?}"));
                }
                self.pickle.tensors.push(Rebuilt { storage, offset, shape, strides });
                Ok(Value::Tensor(self.pickle.tensors.len() - 1))
            }
            _ => Err(format!("{function:?} has arguments that torch.save does not give it")),
        }
    }

    /// The tuple of numbers of at least 0.
    fn counts(&self, tuple: Value) -> Step<Vec<usize>> {
        let items = self.items(tuple).ok_or("the shape of a tensor is no tuple")?;
        if items.len() > MAX_RANK {
            return Err(format!("a tensor has {} dimensions, and may have {MAX_RANK}", items.len()));
        }
        let counts = items.iter().map(|&item| count(item)).collect::<Option<_>>();
        counts.ok_or_else(|| "the shape of a tensor has what is no number of at least 0".to_owned())
    }

    /// Those of a tuple.
    fn items(&self, tuple: Value) -> Option<&[Value<'a>]> {
        match tuple {
            Value::Tuple(tuple) => Some(&self.pickle.tuples[tuple]),
            _ => None,
        }
    }

    /// Where the stack ends, below which nothing may be taken: the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Step<Value<'a>> {
        self.stack[self.floor()..].last().copied().ok_or_else(|| EMPTY.to_owned())
    }

    fn pop(&mut self) -> Step<Value<'a>> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    /// All above the last mark.
    fn pop_mark(&mut self) -> Step<Vec<Value<'a>>> {
        let mark = self.marks.pop().ok_or("there is no mark on the stack")?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, len: usize) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let bytes = rest.get(..len).ok_or_else(|| format!("{len} bytes are needed, {} are left", rest.len()))?;
        self.at += len;
        Ok(bytes)
    }

    fn number<const N: usize>(&mut self) -> Step<u64> {
        let mut number = [0; 8];
        number[..N].copy_from_slice(self.take(N)?);
        Ok(u64::from_le_bytes(number))
    }
}

const EMPTY: &str = "the stack is empty";

impl Value<'_> {
    /// What it is, in words.
    pub fn kind(self) -> &'static str {
        match self {
            Value::Other => "a number, a bool or None",
            Value::Int(_) => "a number",
            Value::Str(_) => "a string",
            Value::Global(_) => "a function",
            Value::Tuple(_) => "a tuple",
            Value::List => "a list",
            Value::Dict(_) => "a dict",
            Value::Storage(_) => "a storage",
            Value::Tensor(_) => "a tensor",
        }
    }
}

fn count(value: Value) -> Option<usize> {
    match value {
        Value::Int(n) => n.try_into().ok(),
        _ => None,
    }
}

/// The one of this name.
fn global(module: &str, name: &str) -> Step<Global> {
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
        ("torch", "Size") => Global::Size,
        ("torch", "FloatStorage") => Global::Storage(Dtype::F32),
        ("torch", "DoubleStorage") => Global::Storage(Dtype::F64),
        ("torch", "HalfStorage") => Global::Storage(Dtype::F16),
        ("torch", "BFloat16Storage") => Global::Storage(Dtype::BF16),
        ("torch", "LongStorage") => Global::Storage(Dtype::I64),
        ("torch", "IntStorage") => Global::Storage(Dtype::I32),
        ("torch", "ShortStorage") => Global::Storage(Dtype::I16),
        ("torch", "CharStorage") => Global::Storage(Dtype::I8),
        ("torch", "ByteStorage") => Global::Storage(Dtype::U8),
        ("torch", "BoolStorage") => Global::Storage(Dtype::Bool),
        _ => {
            let shown: String = format!("{module}.{name}").chars().take(100).collect();
            return Err(format!(
                "it refers to {shown}, which no state_dict needs, and nothing in a file is run. If a whole model was saved, save its \
                 weights alone, in Python: torch.save(model.state_dict(), path)"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(pickle: &[u8]) -> String {
        Pickle::parse(pickle).unwrap_err()
    }

    #[test]
    fn values() {
        let value = |pickle: &'static [u8]| Pickle::parse(pickle).unwrap().1;
        assert_eq!(value(b"K\xff."), Value::Int(255));
        assert_eq!(value(b"M\x01\x02."), Value::Int(513));
        assert_eq!(value(b"J\xff\xff\xff\xff."), Value::Int(-1));
        assert_eq!(value(b"\x8a\0."), Value::Int(0));
        assert_eq!(value(b"\x8a\x02\xff\x7f."), Value::Int(32767));
        assert_eq!(value(b"\x8a\x01\x80."), Value::Int(-128));
        assert_eq!(value(b"\x8a\x09\0\0\0\0\0\0\0\0\x01."), Value::Other);
        assert_eq!(value(b"\x8c\x02ab."), Value::Str("ab"));
        assert_eq!(value(b"\x80\x04\x95\0\0\0\0\0\0\0\0N."), Value::Other);
        assert_eq!(value(b"K\x01\x94(h\0t."), Value::Tuple(0));
        assert_eq!(value(b"K\x01r\xff\xff\xff\xffj\xff\xff\xff\xff."), Value::Int(1));
        let (pickle, root) = Pickle::parse(b"}(K\x01K\x02K\x03Nu.").unwrap();
        assert_eq!(
            (root, &pickle.dicts[0][..]),
            (Value::Dict(0), &[(Value::Int(1), Value::Int(2)), (Value::Int(3), Value::Other)][..])
        );
    }

    #[test]
    fn nothing_is_run() {
        for pickle in [
            &b"\x80\x02cos\nsystem\nX\x04\0\0\0echo\x85R."[..],
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04echo\x85R.",
        ] {
            let error = error(pickle);
            assert!(error.contains("it refers to os.system, which no state_dict needs"), "{error}");
            assert!(error.contains("torch.save(model.state_dict(), path)"), "{error}");
        }
        assert!(error(b"cos\nsystem\n.").starts_with("byte 0: "));
        assert!(error(&[b"c", &*b"x".repeat(1000), b"\nsystem\n."].concat()).len() < 400);
        // INST, OBJ, NEWOBJ, EXT1, PERSID, and two that do not exist.
        for opcode in [b'i', b'o', 0x81, 0x82, b'P', 0, 0xff] {
            let error = error(&[&b"NN("[..], &[opcode], b"os\nsystem\n)."].concat());
            assert_eq!(error, format!("byte 3: the opcode {opcode:#04x} is none that a state_dict needs"));
        }
        for pickle in
            [&b"ccollections\nOrderedDict\nK\x01\x85R."[..], b"ctorch\nFloatStorage\n)R.", b"ctorch\nSize\n)R."]
        {
            assert!(error(pickle).contains("has arguments that torch.save does not give it"));
        }
        assert!(error(b"K\x01)R.").contains("a number is called"));
        assert!(error(b"K\x01}b.").contains("attributes are given to a number"));
    }

    #[test]
    fn broken_programs() {
        for (pickle, words) in [
            (&b""[..], "byte 0: 1 bytes are needed, 0 are left"),
            (b".", "byte 0: the stack is empty"),
            (b"K\x01(.", "byte 3: the stack is empty"),
            (b"K\x01(\x85.", "byte 3: the stack is empty"),
            (b"K\x01\x86.", "the stack is empty"),
            (b"t", "there is no mark"),
            (b"h\x07", "nothing was memorized as 7"),
            (b"\x94", "the stack is empty"),
            (b"Ns", "the stack is empty"),
            (b"NNNs", "items are put into a number, a bool or None, which is no dict"),
            (b"}(Nu", "a key has no value"),
            (b"}Na", "which is no list"),
            (b"]}(Ne", "which is no list"),
            (b"NQ", "no storage of numbers"),
            (b"X\xff\xff\xff\xffab", "4294967295 bytes are needed, 2 are left"),
            (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab", "bytes are needed, 2 are left"),
            (b"\x8c\x01\xff", "not UTF-8"),
            (b"cos", "a name does not end"),
            (b"c\xff\nx\n", "not UTF-8"),
            (b"NN\x93", "is no string"),
            (b"\x80\x06", "the protocol 6, expected 2 to 5"),
        ] {
            let error = error(pickle);
            assert!(error.contains(words), "{error} lacks {words}");
        }
    }

    #[test]
    fn long_programs_end() {
        for opcodes in [&b"("[..], b"}", b"]", b")", b"N\x94", b"(t", b"}q\0", b"K\x01", b"N\x85"] {
            let error = error(&opcodes.repeat(MAX_OPCODES));
            assert!(error.contains("more than 131072 opcodes"), "{error}");
        }
        // A tuple that holds itself twice, and so on.
        let bomb = [&b"N\x85q\0"[..], &b"h\0h\0\x86q\0".repeat(30_000), b"."].concat();
        assert!(Pickle::parse(&bomb).is_ok());
    }
}
