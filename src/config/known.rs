//! [`Known`]: the classes that a configuration is read as, which a user can add to.

use serde_json::Value;

use super::{Object, parse, read};

/// One object of each class, with the defaults of the arguments that a configuration lacks.
#[derive(Clone, Debug)]
pub(crate) struct Known<O>(Vec<O>);

impl<O: Object> Known<O> {
    pub fn new(objects: impl IntoIterator<Item = O>) -> Self {
        Known(objects.into_iter().collect())
    }

    /// Adds a class, or replaces it.
    pub fn add(&mut self, object: O) {
        let class = letters(object.class_name());
        self.0.retain(|known| letters(known.class_name()) != class);
        self.0.push(object);
    }

    /// The object that Keras has written, as an object or as a name: `"SparseCategoricalCrossentropy"` or
    /// `"sparse_categorical_crossentropy"`.
    pub fn read(&self, json: &Value) -> Result<O, String> {
        let (class, config) = parse(json)?;
        let known = self.0.iter().find(|known| letters(known.class_name()) == letters(class));
        let known = known.ok_or_else(|| {
            let mut classes: Vec<&str> = self.0.iter().map(Object::class_name).collect();
            classes.sort_unstable();
            let module = O::MODULE;
            format!(
                "{module} has no {class} here, but {}, and those of your own that are registered",
                classes.join(", ")
            )
        })?;
        read(known.clone(), config)
    }
}

/// One form of all the names that Keras has for a class: `SparseCategoricalCrossentropy`, `sparse_categorical_crossentropy`, `MSE`.
pub(crate) fn letters(name: &str) -> String {
    let letters = name.replace('_', "").to_lowercase();
    let long = match &*letters {
        "bce" => "binarycrossentropy",
        "mae" => "meanabsoluteerror",
        "mse" => "meansquarederror",
        // The same for other targets.
        "onehotmeaniou" => "meaniou",
        _ => return letters,
    };
    long.to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{losses::Loss, prelude::*};

    #[test]
    fn a_class_of_ones_own_replaces_that_of_the_same_name() {
        #[derive(Clone, Debug)]
        struct Own;
        impl Loss for Own {
            fn name(&self) -> &'static str {
                "huber"
            }

            fn arguments(&mut self, _: &mut crate::config::Arguments) {}

            fn sample(&self, _: Target, _: &[f64], _: usize, _: Option<&mut [f64]>) -> f64 {
                0.0
            }
        }
        let mut known: Known<Arc<dyn Loss>> = Known::new([Arc::new(Huber::default()) as Arc<dyn Loss>]);
        known.add(Arc::new(Own));
        assert_eq!(known.read(&json!("Huber")).unwrap().class_name(), "huber");
    }

    #[test]
    fn names_are_those_of_keras_in_either_form() {
        let losses: [Arc<dyn Loss>; 2] = [Arc::new(MeanSquaredError), Arc::new(Huber::default())];
        let known = Known::new(losses);
        let name = |json| known.read(&json).map(|loss| loss.class_name());
        assert_eq!(name(json!("mean_squared_error")), Ok("MeanSquaredError"));
        assert_eq!(name(json!("MeanSquaredError")), Ok("MeanSquaredError"));
        assert_eq!(name(json!("MSE")), Ok("MeanSquaredError"));
        assert_eq!(name(json!({"class_name": "function", "config": "huber"})), Ok("Huber"));
        let error = name(json!("poisson")).unwrap_err();
        assert!(error.starts_with("keras.losses has no poisson here, but Huber, MeanSquaredError, and"), "{error}");
    }
}
