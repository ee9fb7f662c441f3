use std::fs;

use cornu::prelude::*;
use serde_json::Value;

use crate::{cases, given::Given};

/// How many numbers are drawn.
const DRAWS: usize = 200_000;

/// The standard deviation of a standard normal distribution that is cut at two.
const TRUNCATED_STDDEV: f64 = 0.879_625_661_034_239_8;

#[test]
fn initializers_are_those_of_keras() {
    let shapes: Vec<Value> = serde_json::from_slice(&fs::read(cases::path("initializers.json")).unwrap()).unwrap();
    for case in &shapes {
        let dims: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        for (key, value) in case.as_object().unwrap() {
            let (limit, stddev) = match (key.rsplit_once('_'), value.as_f64()) {
                (Some((_, "limit")), Some(limit)) => (limit, limit / 3f64.sqrt()),
                (Some((_, "stddev")), Some(sigma)) => (2.0 * sigma, TRUNCATED_STDDEV * sigma),
                _ => continue,
            };
            let initializer = match key.as_str() {
                "glorot_uniform_limit" => Initializer::GlorotUniform,
                "glorot_normal_stddev" => Initializer::GlorotNormal,
                "he_uniform_limit" => Initializer::HeUniform,
                "he_normal_stddev" => Initializer::HeNormal,
                "lecun_uniform_limit" => Initializer::LecunUniform,
                "lecun_normal_stddev" => Initializer::LecunNormal,
                _ => panic!("{key} is not tested; add its initializer here"),
            };
            check(initializer, Shape::new(&dims).unwrap(), limit, stddev);
        }
    }
}

/// The weights of many models fill the range up to `limit`, and are spread as wide as `stddev`.
fn check(initializer: Initializer, shape: Shape, limit: f64, stddev: f64) {
    let draw = |seed| {
        let model = Sequential::new(Given::INPUT).add(Given { batch: shape, initializer }).seed(seed);
        model.build_as::<f64>().unwrap().params().to_vec()
    };
    let values: Vec<f64> = (0..).flat_map(draw).take(DRAWS).collect();
    let largest = values.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    assert!((0.999 * limit..=limit).contains(&largest), "{initializer:?} of {shape}: up to {largest}, not {limit}");
    let measured = (values.iter().map(|x| x * x).sum::<f64>() / DRAWS as f64).sqrt();
    let error = measured / stddev - 1.0;
    assert!(error.abs() < 0.01, "{initializer:?} of {shape}: a standard deviation of {measured}, not {stddev}");
}
