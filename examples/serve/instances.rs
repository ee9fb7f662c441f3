//! The JSON that TensorFlow Serving speaks: `{"instances": [...]}` in, `{"predictions": [...]}` out.

use std::fmt;

use cornu::{Shape, Tensor};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The samples of a request's body, at most `max` of them, for a model whose input has this shape.
///
/// A sample is nested lists of the model's shape, the same without a last dimension of 1, or one flat list. It is read straight
/// into the numbers that the model takes: no more memory is needed than a small multiple of the body.
pub fn parse(body: &[u8], shape: Shape, max: usize) -> Result<Tensor, String> {
    let mut reading = Reading { shape, max, values: Vec::new(), path: Vec::new(), dims: Vec::new(), leaves: None };
    let mut json = serde_json::Deserializer::from_slice(body);
    let result = Body(&mut reading).deserialize(&mut json).and_then(|n| json.end().map(|()| n));
    match result {
        Ok(n) => Ok(Tensor::new(shape.batch(n), reading.values).expect("each sample was checked")),
        Err(error) if error.is_data() => Err(format!("{}{error}", reading.place())),
        Err(error) => Err(format!("the body is no JSON: {error}")),
    }
}

/// The answer for these outputs of a model.
pub fn predictions(y: &Tensor) -> Result<String, String> {
    if let Some(value) = y.data().iter().find(|value| !value.is_finite()) {
        return Err(format!("the model's answer has a {value}"));
    }
    let mut json = String::from("{\"predictions\":");
    write_nested(y.data(), y.shape().dims(), &mut json);
    json.push('}');
    Ok(json)
}

/// Numbers as Rust prints them for debugging are JSON: the shortest that are read as the same number, with an exponent where that
/// is shorter.
fn write_nested(values: &[f32], dims: &[usize], json: &mut String) {
    let [n, inner @ ..] = dims else {
        *json += &format!("{:?}", values[0]);
        return;
    };
    json.push('[');
    for (i, values) in values.chunks(values.len() / n).enumerate() {
        if i > 0 {
            json.push(',');
        }
        write_nested(values, inner, json);
    }
    json.push(']');
}

/// What was read so far.
struct Reading {
    shape: Shape,
    max: usize,
    values: Vec<f32>,
    /// The indices of the list or number that is being read, the instance's first. After an error they tell where it was.
    path: Vec<usize>,
    /// The lengths of the lists of the instance, the outermost first.
    dims: Vec<usize>,
    /// How many lists its numbers lie in.
    leaves: Option<usize>,
}

impl Reading {
    /// Where the reading stands: `instances[3][0]: `.
    fn place(&self) -> String {
        if self.path.is_empty() {
            return String::new();
        }
        let indices: String = self.path.iter().map(|i| format!("[{i}]")).collect();
        format!("instances{indices}: ")
    }

    fn put<E: Error>(&mut self, value: f64) -> Result<(), E> {
        if !(value as f32).is_finite() {
            let max = f32::MAX;
            return Err(E::custom(format!("{value:e} is too large for a number of 32 bits, which is {max:e} at most")));
        }
        let depth = self.path.len() - 1;
        if *self.leaves.get_or_insert(depth) != depth {
            return Err(E::custom("expected a list, as beside it, got a number"));
        }
        if self.values.len() == (self.path[0] + 1) * self.shape.size() {
            return Err(E::custom(format!("the instance is too long; expected {}", self.expected())));
        }
        self.values.push(value as f32);
        Ok(())
    }

    /// The end of a list of `len` elements.
    fn close<E: Error>(&mut self, len: usize) -> Result<(), E> {
        let depth = self.path.len() - 1;
        if self.dims.len() <= depth {
            self.dims.resize(depth + 1, usize::MAX);
        }
        let dim = &mut self.dims[depth];
        if *dim != usize::MAX && *dim != len {
            return Err(E::custom(format!("expected a list of {dim}, as beside it, got {len}")));
        }
        *dim = len;
        Ok(())
    }

    /// The end of an instance.
    fn check<E: Error>(&mut self) -> Result<(), E> {
        let dims = std::mem::take(&mut self.dims);
        self.leaves = None;
        match self.shapes().contains(&dims) {
            true => Ok(()),
            false => {
                let got = Shape::new(&dims).map_or_else(|error| error.to_string(), |shape| shape.to_string());
                Err(E::custom(format!("expected {}, got {got}", self.expected())))
            }
        }
    }

    /// The shapes that an instance may have.
    fn shapes(&self) -> Vec<Vec<usize>> {
        let mut shapes = vec![self.shape.dims().to_vec()];
        if let [outer @ .., 1] = self.shape.dims() {
            shapes.push(outer.to_vec());
        }
        if self.shape.rank() > 1 {
            shapes.push(vec![self.shape.size()]);
        }
        shapes
    }

    fn expected(&self) -> String {
        let text = |shape: &Vec<usize>| match Shape::new(shape) {
            Ok(shape) if !shape.dims().is_empty() => format!("a list of shape {shape}"),
            _ => "a number".to_owned(),
        };
        self.shapes().iter().map(text).collect::<Vec<_>>().join(" or ")
    }
}

/// The object that holds the instances; gives how many there are.
struct Body<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "an object {{\"instances\": [...]}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
        let mut n = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "instances" if n.is_none() => n = Some(map.next_value_seed(Instances(&mut *self.0))?),
                "instances" => return Err(A::Error::custom("\"instances\" stands twice")),
                // A model has one signature here, but clients of TensorFlow Serving may name it.
                "signature_name" => drop(map.next_value::<IgnoredAny>()?),
                _ => return Err(A::Error::custom(format!("unknown key {key:?}, expected \"instances\""))),
            }
        }
        n.ok_or_else(|| A::Error::custom("\"instances\" is missing"))
    }
}

/// The list of instances; gives how many there are.
struct Instances<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Instances<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Instances<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a list of instances")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<usize, A::Error> {
        let mut n = 0;
        self.0.path.push(0);
        while list.next_element_seed(Nested(&mut *self.0))?.is_some() {
            self.0.check()?;
            n += 1;
            if n > self.0.max {
                self.0.path.clear();
                return Err(A::Error::custom(format!(
                    "expected at most {} instances in a request, got more; send them in several",
                    self.0.max
                )));
            }
            self.0.path[0] = n;
        }
        self.0.path.clear();
        match n {
            0 => Err(A::Error::custom("\"instances\" is empty, expected at least one")),
            n => Ok(n),
        }
    }
}

/// An instance, or a list or a number in it.
struct Nested<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a number or a list of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let depth = self.0.path.len();
        if depth > self.0.shape.rank() || self.0.leaves.is_some_and(|leaves| depth > leaves) {
            return Err(A::Error::custom(format!("the list is nested too deeply; expected {}", self.0.expected())));
        }
        let mut len = 0;
        self.0.path.push(0);
        while list.next_element_seed(Nested(&mut *self.0))?.is_some() {
            len += 1;
            self.0.path[depth] = len;
        }
        self.0.path.pop();
        self.0.close(len)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.put(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.put(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.put(value as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> String {
        parse(body.as_bytes(), [2, 2, 1].into(), 3).unwrap_err()
    }

    #[test]
    fn a_sample_is_nested_or_flat() {
        for sample in ["[[[1],[-2.5]],[[3e1],[4]]]", "[[1,-2.5],[3e1,4]]", " [1, -2.5, 3e1, 4] "] {
            let body = format!("{{\"signature_name\": [{{}}], \"instances\": [{sample},{sample}]}}");
            let x = parse(body.as_bytes(), [2, 2, 1].into(), 3).unwrap();
            assert_eq!((x.shape(), &x.data()[4..]), ([2, 2, 2, 1].into(), &[1.0, -2.5, 30.0, 4.0][..]));
        }
        assert_eq!(parse(b"{\"instances\": [1, [2]]}", [1].into(), 3).unwrap().data(), [1.0, 2.0]);
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let shapes = "expected a list of shape (2, 2, 1) or a list of shape (2, 2) or a list of shape (4,)";
        for (instances, message) in [
            ("[[1,2,3]]", format!("instances[0]: {shapes}, got (3,)")),
            ("[[1,2,3,4],[1,2,3,4,5]]", "instances[1][4]: the instance is too long; expected a list".to_owned()),
            ("[[[1,2],[3]]]", "instances[0][1]: expected a list of 2, as beside it, got 1".to_owned()),
            ("[[[1,2],3]]", "instances[0][1]: expected a list, as beside it, got a number".to_owned()),
            ("[[1,[2,3]]]", "instances[0][1]: the list is nested too deeply".to_owned()),
            ("[[[[[1]]]]]", "instances[0][0][0][0]: the list is nested too deeply".to_owned()),
            ("[[]]", format!("instances[0]: {shapes}, got (0,)")),
            ("[7]", format!("instances[0]: {shapes}, got ()")),
            ("[[1,2,3,\"4\"]]", "instances[0][3]: invalid type: string \"4\", expected a number or a list".to_owned()),
            ("[[1,2,3,null]]", "instances[0][3]: invalid type: null, expected a number".to_owned()),
            (
                "[[1,2,3,1e39]]",
                "instances[0][3]: 1e39 is too large for a number of 32 bits, which is 3.4028235e38".to_owned(),
            ),
            ("[]", "\"instances\" is empty".to_owned()),
            ("3", "invalid type: integer `3`, expected a list of instances".to_owned()),
            ("[[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4]]", "expected at most 3 instances in a request".to_owned()),
        ] {
            let found = error(&format!("{{\"instances\": {instances}}}"));
            assert!(found.starts_with(&message), "{instances}: {found}");
        }
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        for (body, message) in [
            ("", "the body is no JSON: EOF"),
            ("{\"instances\": [[1,2,3,NaN]]}", "the body is no JSON: expected value at line 1 column 23"),
            ("{\"instances\": [[1,2,3,1e999]]}", "the body is no JSON: number out of range"),
            ("{\"instances\": [[1,2,3,4]]} x", "the body is no JSON: trailing characters"),
            ("[]", "invalid type: sequence, expected an object {\"instances\": [...]}"),
            ("{}", "\"instances\" is missing"),
            ("{\"inputs\": []}", "unknown key \"inputs\", expected \"instances\""),
            ("{\"instances\": [[1,2,3,4]], \"instances\": [[1,2,3,4]]}", "\"instances\" stands twice"),
        ] {
            assert!(error(body).starts_with(message), "{body}: {}", error(body));
        }
        let deep = "[".repeat(1 << 20);
        assert!(error(&format!("{{\"instances\": {deep}")).contains("nested too deeply"));
        assert!(error(&format!("{{\"signature_name\": {deep}")).contains("no JSON: EOF"));
    }

    #[test]
    fn predictions_are_nested_as_the_output_is() {
        let y = Tensor::new([2, 2, 1], vec![0.1, 1.0, 1e-20, -3.5e20]).unwrap();
        let json = predictions(&y).unwrap();
        assert_eq!(json, "{\"predictions\":[[[0.1],[1.0]],[[1e-20],[-3.5e20]]]}");
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
        assert!(predictions(&Tensor::from([[f32::NAN]])).unwrap_err().contains("has a NaN"));
    }
}
