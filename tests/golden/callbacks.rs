use std::{fs, slice};

use cornu::{callbacks::Mode, prelude::*};
use serde_json::{Map, Value};

use crate::cases;

#[test]
fn callbacks_decide_as_those_of_keras() {
    let golden: Value = serde_json::from_slice(&fs::read(cases::path("callbacks.json")).unwrap()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let figures = figures(&golden, case["figures"].as_str().unwrap());
        let arguments = case["arguments"].as_object().unwrap();
        if figures[arguments.get("start_from_epoch").map_or(0, integer)].is_nan() {
            continue; // see the next test
        }
        match case["callback"].as_str().unwrap() {
            "EarlyStopping" => {
                let mut early = early_stopping(arguments);
                fit(&figures, &mut early);
                let expected = (case["stopped_epoch"].as_u64(), case["best_epoch"].as_u64());
                let epoch = |epoch: Option<usize>| epoch.map(|epoch| epoch as u64);
                assert_eq!((epoch(early.stopped_epoch()), epoch(early.best_epoch())), expected, "{case}");
            }
            "ReduceLROnPlateau" => {
                let rates = fit(&figures, reduce_lr_on_plateau(arguments));
                let expected = case["rates"].as_array().unwrap();
                assert_eq!(rates.len(), expected.len());
                for (rate, expected) in rates.iter().zip(expected.iter().map(number)) {
                    // Keras keeps the rate in float32.
                    assert!((rate - expected).abs() <= 1e-6 * expected, "{rates:?}: {case}");
                }
            }
            other => panic!("{other} is not tested; add it here"),
        }
    }
}

/// In Keras it is, and nothing is better.
#[test]
fn a_nan_that_comes_first_is_not_the_best() {
    let golden: Value = serde_json::from_slice(&fs::read(cases::path("callbacks.json")).unwrap()).unwrap();
    let figures = figures(&golden, "nan_first");
    let mut early = EarlyStopping::new().patience(3);
    fit(&figures, &mut early);
    assert_eq!((early.stopped_epoch(), early.best_epoch()), (None, Some(5)));
    let rates = fit(&figures, ReduceLROnPlateau::new().patience(2).factor(0.5));
    assert_eq!(rates, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]);
}

/// The monitored figure of each epoch.
fn figures(golden: &Value, name: &str) -> Vec<f64> {
    golden["figures"][name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
}

fn early_stopping(arguments: &Map<String, Value>) -> EarlyStopping<f64> {
    arguments.iter().fold(EarlyStopping::new(), |early, (name, value)| match name.as_str() {
        "patience" => early.patience(integer(value)),
        "min_delta" => early.min_delta(number(value)),
        "mode" => early.mode(mode(value)),
        "baseline" => early.baseline(number(value)),
        "start_from_epoch" => early.start_from_epoch(integer(value)),
        other => panic!("{other} is not tested; add it here"),
    })
}

fn reduce_lr_on_plateau(arguments: &Map<String, Value>) -> ReduceLROnPlateau {
    arguments.iter().fold(ReduceLROnPlateau::new(), |plateau, (name, value)| match name.as_str() {
        "factor" => plateau.factor(number(value)),
        "patience" => plateau.patience(integer(value)),
        "min_delta" => plateau.min_delta(number(value)),
        "mode" => plateau.mode(mode(value)),
        "cooldown" => plateau.cooldown(integer(value)),
        "min_lr" => plateau.min_lr(number(value)),
        other => panic!("{other} is not tested; add it here"),
    })
}

fn integer(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn mode(value: &Value) -> Mode {
    assert_eq!(value, "max");
    Mode::Max
}

/// Trains with these values of `val_loss`, from a rate of 1, and returns the rate after each epoch.
fn fit(figures: &[f64], callback: impl Callback<f64>) -> Vec<f64> {
    let (x, y): (Tensor<f64>, Tensor<f64>) = (Tensor::ones([1, 1]), Tensor::zeros([1, 1]));
    let mut model = Sequential::new([1]).add(Dense::new(1).use_bias(false)).build_as::<f64>().unwrap();
    model.compile(SGD::new(1.0), MeanAbsoluteError, []).unwrap();
    let mut feed = Feed { figures: figures.iter(), rates: Vec::new() };
    // The rates are noted after the callback has set them.
    let options = Fit::new().verbose(0).epochs(figures.len()).validation_data(&x, &y).callback(callback);
    model.fit(&x, &y, options.callback(&mut feed)).unwrap();
    feed.rates
}

/// Lets the validation of each epoch give the next figure, by a weight that is as large.
struct Feed<'a> {
    figures: slice::Iter<'a, f64>,
    rates: Vec<f64>,
}

impl Callback<f64> for Feed<'_> {
    fn on_test_begin(&mut self, training: &mut Training<f64>) -> cornu::Result<()> {
        training.model_mut().set_weights(&[Tensor::new([1, 1], vec![*self.figures.next().unwrap()])?])
    }

    fn on_test_end(&mut self, training: &mut Training<f64>, _: &Score) -> cornu::Result<()> {
        training.model_mut().set_weights(&[Tensor::zeros([1, 1])])
    }

    fn on_epoch_end(&mut self, training: &mut Training<f64>, _: usize, _: &Epoch) -> cornu::Result<()> {
        self.rates.push(training.learning_rate());
        Ok(())
    }
}
