//! [`Argument`]: a value that JSON can hold.

use serde_json::{Value, json};

use super::shortened;

/// A value of an argument, as Keras writes it in JSON.
pub trait Argument: Sized {
    /// The value.
    fn to_json(&self) -> Value;

    /// The value that `json` stands for.
    ///
    /// # Errors
    /// When it stands for none: what was expected, and what came.
    fn from_json(json: &Value) -> Result<Self, String>;
}

fn expected(what: &str, got: &Value) -> String {
    format!("expected {what}, got {}", shortened(got))
}

impl Argument for bool {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        json.as_bool().ok_or_else(|| expected("true or false", json))
    }
}

impl Argument for f64 {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        json.as_f64().ok_or_else(|| expected("a number", json))
    }
}

impl Argument for u64 {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        // Python writes 2.0 where a user wrote that.
        let whole = |x: f64| (x >= 0.0 && x < 2_f64.powi(53) && x.fract() == 0.0).then_some(x as u64);
        json.as_u64()
            .or_else(|| json.as_f64().and_then(whole))
            .ok_or_else(|| expected("a whole number of at least 0", json))
    }
}

impl Argument for usize {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        u64::from_json(json)?.try_into().map_err(|_| expected("a smaller number", json))
    }
}

impl Argument for i64 {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        json.as_i64().ok_or_else(|| expected("a whole number", json))
    }
}

impl Argument for isize {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        i64::from_json(json)?.try_into().map_err(|_| expected("a smaller number", json))
    }
}

impl Argument for String {
    fn to_json(&self) -> Value {
        self.as_str().into()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        json.as_str().map(str::to_owned).ok_or_else(|| expected("a string", json))
    }
}

/// `null` for none.
impl<A: Argument> Argument for Option<A> {
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, A::to_json)
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        if json.is_null() { Ok(None) } else { A::from_json(json).map(Some) }
    }
}

/// Python takes one item for a list of it.
impl<A: Argument> Argument for Vec<A> {
    fn to_json(&self) -> Value {
        self.iter().map(A::to_json).collect()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        match json.as_array() {
            Some(items) => items.iter().map(A::from_json).collect(),
            None => Ok(vec![A::from_json(json)?]),
        }
    }
}

impl<A: Argument, B: Argument> Argument for (A, B) {
    fn to_json(&self) -> Value {
        json!([self.0.to_json(), self.1.to_json()])
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        match json.as_array().map(Vec::as_slice) {
            Some([a, b]) => Ok((A::from_json(a)?, B::from_json(b)?)),
            _ => Err(expected("a list of two", json)),
        }
    }
}

/// The one of some choices that has the name in `json`.
///
/// # Errors
/// When none has it: the names that there are.
pub(crate) fn choice<T: Copy>(json: &Value, choices: &[(&str, T)]) -> Result<T, String> {
    let found = json.as_str().and_then(|name| choices.iter().find(|(choice, _)| *choice == name));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        expected(&names.join(" or "), json)
    })
}

/// The name of one of some choices.
///
/// # Panics
/// When `value` is none of them.
pub(crate) fn named<T: PartialEq>(value: &T, choices: &[(&str, T)]) -> Value {
    choices.iter().find(|(_, choice)| choice == value).expect("a name for each value").0.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_python() {
        assert_eq!(usize::from_json(&json!(3.0)), Ok(3));
        assert_eq!(f64::from_json(&json!(3)), Ok(3.0));
        for wrong in [json!(-1), json!(1.5), json!(1e300), json!("3"), json!(null)] {
            assert!(usize::from_json(&wrong).is_err(), "{wrong}");
        }
        assert_eq!(i64::from_json(&json!(-1)), Ok(-1));
    }

    #[test]
    fn lists_and_none() {
        let pairs = vec![(1_usize, Some(0.5)), (2, None)];
        let json = pairs.to_json();
        assert_eq!(json, json!([[1, 0.5], [2, null]]));
        assert_eq!(Vec::from_json(&json), Ok(pairs));
        let error = <(usize, usize)>::from_json(&json!([1, 2, 3])).unwrap_err();
        assert_eq!(error, "expected a list of two, got [1,2,3]");
    }

    #[test]
    fn a_wrong_choice_names_the_right_ones() {
        let choices = [("a", 1), ("b", 2)];
        assert_eq!(choice(&json!("b"), &choices), Ok(2));
        assert_eq!(named(&2, &choices), "b");
        assert_eq!(choice(&json!("c"), &choices), Err("expected \"a\" or \"b\", got \"c\"".into()));
    }
}
