//! [`Pair`]: height and width of a kernel, a stride or a padding.

use serde_json::Value;

use crate::config::Argument;

/// Height and width, from one number or from two: `3`, `(3, 3)` and `[3, 3]` all convert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Along the height.
    pub height: usize,
    /// Along the width.
    pub width: usize,
}

impl Pair {
    pub(crate) fn to_array(self) -> [usize; 2] {
        [self.height, self.width]
    }
}

impl From<usize> for Pair {
    fn from(both: usize) -> Self {
        Pair { height: both, width: both }
    }
}

impl From<(usize, usize)> for Pair {
    fn from((height, width): (usize, usize)) -> Self {
        Pair { height, width }
    }
}

impl From<[usize; 2]> for Pair {
    fn from([height, width]: [usize; 2]) -> Self {
        Pair { height, width }
    }
}

impl Argument for Pair {
    fn to_json(&self) -> Value {
        self.to_array().to_vec().to_json()
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        match Vec::<usize>::from_json(json)?[..] {
            [both] => Ok(both.into()),
            [height, width] => Ok((height, width).into()),
            _ => Err(format!("expected (height, width), got {json}")),
        }
    }
}
