//! [`Own`]: a user's layer, for tests.

use crate::{Result, Shape, config::Arguments, prelude::*};

/// It computes nothing, and has weights of these names and lengths.
#[derive(Clone, Debug)]
pub struct Own(pub &'static [(&'static str, usize)]);

impl LayerConfig for Own {
    type Built = BuiltOwn;

    fn class_name(&self) -> &'static str {
        "Own"
    }

    fn arguments(&mut self, _: &mut Arguments) {}

    fn build(&self, cx: &mut Build) -> Result<(BuiltOwn, Shape)> {
        for &(name, length) in self.0 {
            cx.weight(name, [length], Initializer::Ones)?;
        }
        Ok((BuiltOwn, cx.input()))
    }
}

#[derive(Debug)]
pub struct BuiltOwn;

impl Layer for BuiltOwn {
    type Work<T: Scalar> = ();

    fn forward<T: Scalar>(&self, _: &mut Forward<T>, _: &mut (), _: View<T>, _: ViewMut<T>) {}

    fn backward<T: Scalar>(&self, _: &mut Backward<T>, _: &mut (), _: Taped<T>, _: Option<ViewMut<T>>) {}
}
