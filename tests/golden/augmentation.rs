use std::sync::Arc;

use cornu::{Scalar, prelude::*};

use crate::{
    cases::{self, Case},
    dot::Dot,
    given::Given,
};

#[test]
fn augmentations_are_those_of_keras() {
    for case in cases::read("augmentation.safetensors") {
        check::<f32>(&case);
        check::<f64>(&case);
    }
}

/// The layer of a case, added to `model`.
pub fn layer(case: &str, model: Sequential) -> Sequential {
    if let Some(model) = moving_layer(case, &model) {
        return model;
    }
    match case {
        "rotation_none" => model.add(RandomRotation::new(0.0)),
        "brightness" => model.add(RandomBrightness::new((0.2, 0.2)).value_range((-1.0, 1.0))),
        "brightness_bytes" => model.add(RandomBrightness::new((-0.1, -0.1))),
        "contrast" => model.add(RandomContrast::new((0.2, 0.4)).value_range((-1.0, 1.0))),
        "contrast_one_number" => model.add(RandomContrast::new(0.4).value_range((-1.0, 1.0))),
        "flip_horizontal" => model.add(RandomFlip::new(FlipMode::Horizontal)),
        "flip_vertical" => model.add(RandomFlip::new(FlipMode::Vertical)),
        "flip_both" => model.add(RandomFlip::default()),
        "erasing" => {
            model.add(RandomErasing::new((1.0, 1.0)).scale((0.2, 0.2)).fill_value(0.7).value_range((-1.0, 1.0)))
        }
        "erasing_rgb" => model.add(RandomErasing::new((1.0, 1.0)).scale((0.5, 0.5)).fill_value([0.1, 0.5, 300.0])),
        _ => panic!("the case {case} is not tested; add its layer here"),
    }
}

/// Cases such as `rotation_reflect_bilinear`.
fn moving_layer(case: &str, model: &Sequential) -> Option<Sequential> {
    let (case, interpolation) = case.rsplit_once('_')?;
    let (layer, fill_mode) = case.rsplit_once('_')?;
    let interpolation = match interpolation {
        "nearest" => Interpolation::Nearest,
        "bilinear" => Interpolation::Bilinear,
        _ => return None,
    };
    let fill_mode = match fill_mode {
        "reflect" => FillMode::Reflect,
        "wrap" => FillMode::Wrap,
        "constant" => FillMode::Constant,
        "nearest" => FillMode::Nearest,
        _ => return None,
    };
    let rotation = |turns| {
        let layer = RandomRotation::new((turns, turns)).fill_mode(fill_mode);
        model.clone().add(layer.interpolation(interpolation).fill_value(0.7))
    };
    let translation = |height, width| {
        let layer = RandomTranslation::new((height, height), (width, width)).fill_mode(fill_mode);
        model.clone().add(layer.interpolation(interpolation).fill_value(0.7))
    };
    let zoom =
        |layer: RandomZoom| model.clone().add(layer.fill_mode(fill_mode).interpolation(interpolation).fill_value(0.7));
    Some(match layer {
        "rotation" => rotation(0.13),
        "rotation_wide" => rotation(-0.3),
        "rotation_tall" => rotation(0.3),
        "translation" => translation(0.37, -0.71),
        "translation_far" => translation(-0.97, 0.93),
        "zoom_in" => zoom(RandomZoom::new((-0.4, -0.4))),
        "zoom_out" => zoom(RandomZoom::new((0.3, 0.3)).width_factor((0.8, 0.8))),
        _ => return None,
    })
}

fn check<T: Scalar>(case: &Case) {
    if case.has("any") {
        return check_any::<T>(case);
    }
    let x = case.tensor::<T>("x");
    let dy = if case.has("dy") { case.tensor("dy") } else { Tensor::zeros(x.shape()) };
    let (y, dx) = train(&case.name, &x, &dy);
    if case.has("y") {
        case.assert_close("y", &y, 0.0);
        if case.has("dx") {
            case.assert_close("dx", &dx, 0.0);
        }
    } else {
        check_between(case, &y, &dx);
    }
}

/// One image many times: each becomes one of those that it can become in Keras, and each of them comes up.
fn check_any<T: Scalar>(case: &Case) {
    let (image, wanted) = (case.tensor::<T>("x"), case.tensor::<T>("any"));
    let x = image.gather(&[0; 2000]).unwrap();
    let (y, _) = train(&case.name, &x, &Tensor::zeros(x.shape()));
    let mut seen = vec![false; wanted.shape()[0]];
    for y in y.view().samples() {
        // A fill value is rounded to float32 in Keras.
        let close = |wanted: &[T]| y.data.iter().zip(wanted).all(|(&y, &wanted)| (y - wanted).abs() < T::of(1e-6));
        let found = wanted.view().samples().position(|wanted| close(wanted.data));
        seen[found.unwrap_or_else(|| panic!("{}: Keras has no {:?}", case.name, y.data))] = true;
    }
    assert!(seen.iter().all(|&seen| seen), "{}: {seen:?}", case.name);
}

/// Each sample lies on the line from `y_lower` to `y_upper`, and its gradient as far along that from `dx_lower` to `dx_upper`.
fn check_between<T: Scalar>(case: &Case, y: &Tensor<T>, dx: &Tensor<T>) {
    let mut parts = Vec::new();
    for i in 0..y.shape()[0] {
        let sample = |tensor: &str| case.get(tensor).view().sample(i).unwrap().data;
        let (lower, upper) = (sample("y_lower"), sample("y_upper"));
        let actual = y.view().sample(i).unwrap().data;
        let far = (0..lower.len()).max_by(|&i, &j| (upper[i] - lower[i]).abs().total_cmp(&(upper[j] - lower[j]).abs()));
        let far = far.unwrap();
        let part = (actual[far].as_f64() - lower[far]) / (upper[far] - lower[far]);
        let close = |actual: &[T], lower: &[f64], upper: &[f64]| {
            let line = lower.iter().zip(upper).map(|(lower, upper)| lower + part * (upper - lower));
            line.zip(actual).all(|(line, actual)| (actual.as_f64() - line).abs() < 1e-5)
        };
        assert!(close(actual, lower, upper), "{}: y of sample {i}", case.name);
        let gradient = dx.view().sample(i).unwrap().data;
        assert!(close(gradient, sample("dx_lower"), sample("dx_upper")), "{}: dx of sample {i}", case.name);
        parts.push(part);
    }
    assert!(parts.iter().all(|part| (0.0..=1.0).contains(part)), "{}: {parts:?}", case.name);
    assert!(parts.iter().any(|part| *part < 0.4) && parts.iter().any(|part| *part > 0.6), "{}: {parts:?}", case.name);
}

/// What the layer of a case makes of `x` in training, and the gradient of `sum(y * dy)` to `x`.
fn train<T: Scalar>(case: &str, x: &Tensor<T>, dy: &Tensor<T>) -> (Tensor<T>, Tensor<T>) {
    let given = Given::new(x.shape());
    let mut model = layer(case, Sequential::new(Given::INPUT).add(given.clone())).build_as::<T>().unwrap();
    model.set_weights(std::slice::from_ref(x)).unwrap();
    let dot = Dot::new(x.shape()[0]);
    let outputs = Arc::clone(&dot.outputs);
    model.compile(SGD::default(), dot, []).unwrap();
    let (_, mut gradients) = model.gradients(&given.input(), dy).unwrap();
    let y = outputs.lock().unwrap().iter().map(|&y| T::of(y)).collect();
    (Tensor::new(x.shape(), y).unwrap(), gradients.remove(0))
}
