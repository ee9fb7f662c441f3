//! The files that the pictures are written to.

use std::{collections::HashSet, fs, path::Path};

use cornu::prelude::*;

fn model() -> Model {
    Sequential::new([8, 8, 1])
        .add(Conv2D::new(3, 3).activation(Activation::Relu))
        .add(Conv2D::new(4, 2).named("second"))
        .add(Flatten::new())
        .add(Dense::new(5).activation(Activation::Softmax))
        .build()
        .unwrap()
}

fn images(n: usize) -> Tensor {
    Tensor::random_uniform([n, 8, 8, 1], 0.0, 1.0, 42)
}

fn history(epochs: u32) -> History {
    let score = |loss: f64| Score { loss, metrics: vec![("accuracy".to_owned(), 1.0 - loss)] };
    let epoch = |i: u32| {
        let loss = 1.0 / f64::from(i + 1);
        Epoch { train: score(loss), validation: Some(score(1.5 * loss)), time: Default::default() }
    };
    History { epochs: (0..epochs).map(epoch).collect(), warnings: Vec::new() }
}

fn matrix() -> ConfusionMatrix {
    let labels = Labels::from(vec![0u8, 0, 1, 2, 2, 2]);
    ConfusionMatrix::new(&labels, &Labels::from(vec![0u8, 2, 1, 2, 2, 2]), 3).unwrap()
}

/// Draws as SVG and as PNG, twice; returns the SVG and the size of the PNG.
fn draw(draw: impl Fn(&Path) -> cornu::Result<()>) -> (String, (u32, u32)) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        draw(&path).unwrap();
        fs::read(path).unwrap()
    };
    let (svg, png) = (file("a.svg"), file("a.PNG"));
    assert_eq!((&svg, &png), (&file("b.svg"), &file("b.png")), "the same input gave other bytes");
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (String::from_utf8(svg).unwrap(), (side(16), side(20)))
}

fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(!text.contains('>') && tag.matches('"').count() % 2 == 0, "{part}");
        for entity in part.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known)), "{part}");
        }
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a split has a part");
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name)),
            (false, false) => open.push(name),
            (false, true) => {}
        }
    }
    assert!(svg.starts_with("<svg ") && open.is_empty(), "{open:?} are not closed");
}

fn assert_has(svg: &str, texts: &[&str]) {
    assert_well_formed(svg);
    for text in texts {
        assert!(svg.contains(&format!(">{text}</text>")), "\"{text}\" is not in {svg}");
    }
}

#[test]
fn a_history_has_a_panel_for_each_figure() {
    let (svg, size) = draw(|path| plot::history(&history(3), path));
    assert_has(&svg, &["loss", "accuracy", "epoch", "training", "validation", "1", "2", "3", "0.5", "1.0", "1.5"]);
    assert_eq!(size, (1600, 660));
    assert!(svg.contains("width=\"800\" height=\"330\""), "{svg}");
    // Two curves with three points in each of two panels, and the two dots of the legend.
    assert_eq!(svg.matches("<circle").count(), 2 * 2 * 3 + 2);
}

#[test]
fn what_is_not_finite_is_left_out_of_a_curve() {
    let mut history = history(5);
    history.epochs[2].train.loss = f64::NAN;
    let (svg, _) = draw(|path| plot::history(&history, path));
    assert_well_formed(&svg);
    assert!(!svg.contains("NaN"), "{svg}");
    assert_eq!(svg.matches("<circle").count(), 2 * 2 * 5 + 2 - 1);
    history.epochs.iter_mut().for_each(|epoch| epoch.train.loss = f64::INFINITY);
    draw(|path| plot::history(&history, path));
}

#[test]
fn a_confusion_matrix_has_its_counts_and_classes() {
    let (svg, (width, height)) = draw(|path| plot::confusion_matrix(&matrix(), path));
    assert_has(&svg, &["label", "prediction", "3", "accuracy 83.33 % of 6 samples", "100 %"]);
    assert_eq!(svg.matches(">0</text>").count(), 5 + 2);
    assert!(width > 2 * 192 && height > 2 * 192, "{width} x {height}");

    let names = ["cat & dog", "<bird>", "a long name of a fish"];
    let (svg, _) = draw(|path| plot::confusion_matrix_named(&matrix(), &names, path));
    assert_has(&svg, &["cat &amp; dog", "&lt;bird&gt;", "a long name of a fish"]);
    let error = plot::confusion_matrix_named(&matrix(), &["cat"], "matrix.svg").unwrap_err().to_string();
    assert_eq!(error, "plot::confusion_matrix_named: expected a name for each of 3 classes, got 1");
}

#[test]
fn a_matrix_of_many_classes_is_drawn_or_an_error() {
    let matrix = |classes: u32| {
        let labels = Labels::from((0..classes).collect::<Vec<_>>());
        ConfusionMatrix::new(&labels, &labels, classes as usize).unwrap()
    };
    let (_, (width, height)) = draw(|path| plot::confusion_matrix(&matrix(100), path));
    assert!(width > 1800 && height > 1800, "{width} x {height}");
    let error = plot::confusion_matrix(&matrix(1000), "matrix.svg").unwrap_err().to_string();
    assert!(
        error.starts_with("plot::confusion_matrix: a picture of ") && error.ends_with(" would be too large"),
        "{error}"
    );
}

#[test]
fn each_filter_has_an_image() {
    let model = model();
    let (svg, _) = draw(|path| plot::filters(&model, "conv2d", path));
    assert_has(&svg, &["conv2d: 3 filters of 3 x 3", "0", "1", "2"]);
    // And that of the color bar.
    assert_eq!(svg.matches("<image").count(), 3 + 1);
    let largest = model.get_weights()[0].data().iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    assert!(svg.contains(&format!(">-{largest:.3}")), "{largest} is not in {svg}");

    let (svg, _) = draw(|path| plot::filters(&model, "second", path));
    assert_has(&svg, &["second: 4 filters of 2 x 2 for 3 channels", "filter", "channel of the input", "3"]);
}

#[test]
fn a_layer_without_filters_is_an_error_that_names_those_with() {
    let error = plot::filters(&model(), "dense", "filters.svg").unwrap_err().to_string();
    assert_eq!(error, "plot::filters: dense (Dense) has no filters; those that have some: conv2d, second");
    let dense = Sequential::new([3]).add(Dense::new(2)).build().unwrap();
    let error = plot::filters(&dense, "dense", "filters.svg").unwrap_err().to_string();
    assert_eq!(error, "plot::filters: dense (Dense) has no filters; those that have some: no layer of the model has");
    assert!(plot::filters(&dense, "conv2d", "filters.svg").is_err());
}

#[test]
fn each_channel_of_an_activation_has_an_image() {
    let (model, x) = (model(), images(3));
    let (svg, _) = draw(|path| plot::activations(&model, "conv2d", x.slice(1..2)?, path));
    assert_has(&svg, &["conv2d: output (6, 6, 3)", "0", "1", "2"]);
    let images: HashSet<_> = svg.split("href=").skip(1).map(|image| image.split("/>").next()).collect();
    assert_eq!(images.len(), 3 + 1, "two channels look the same");
    let image = x.slice(1..2).unwrap().to_tensor().reshape([8, 8, 1]).unwrap();
    assert_eq!(svg, draw(|path| plot::activations(&model, "conv2d", &image, path)).0);
    let (svg, _) = draw(|path| plot::activations(&model, "dense", &image, path));
    assert_has(&svg, &["dense: output (5,)", "4"]);

    let error = plot::activations(&model, "conv2d", &x, "activations.svg").unwrap_err().to_string();
    assert!(error.starts_with("plot::activations: expected a sample of shape (8, 8, 1), got (3, 8, 8, 1)"), "{error}");
}

#[test]
fn misclassified_images_have_captions() {
    let (labels, predictions) = (Labels::from(vec![0u8, 1, 2, 3]), Labels::from(vec![0u8, 7, 2, 4]));
    let (svg, _) = draw(|path| plot::misclassified(&images(4), &labels, &predictions, path));
    assert_has(&svg, &["2 of 4 images are misclassified (label → prediction)", "1 → 7", "3 → 4"]);
    assert_eq!(svg.matches("<image").count(), 2);

    let bytes = Tensor::from_fn([4, 8, 8, 3], |[_, y, x, c]| (y * x + c) as u8);
    let (svg, _) = draw(|path| plot::misclassified(&bytes, &labels, &predictions, path));
    assert_eq!(svg.matches("<image").count(), 2);
    let (svg, _) = draw(|path| plot::misclassified(&bytes, &labels, &labels, path));
    assert_has(&svg, &["0 of 4 images are misclassified (label → prediction)"]);

    let error = plot::misclassified(&images(3), &labels, &predictions, "wrong.svg").unwrap_err().to_string();
    assert_eq!(error, "plot::misclassified: there are 3 images, but 4 labels and 4 predictions");
    let flat = Tensor::<f32>::zeros([4, 64]);
    assert!(matches!(plot::misclassified(&flat, &labels, &predictions, "wrong.svg"), Err(Error::Shape { .. })));
}

#[test]
fn each_layer_of_a_model_has_a_box() {
    let mut model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(8, 3))
        .add(Flatten::new().named("<flat> & \"out\""))
        .add(Dense::new(10))
        .build()
        .unwrap();
    model.set_trainable("conv2d", false).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.SVG");
    plot::plot_model(&model, &path).unwrap();
    let svg = fs::read_to_string(&path).unwrap();
    let layers = ["input", "conv2d", "Conv2D", "&lt;flat&gt; &amp; &quot;out&quot;", "Flatten", "dense", "Dense"];
    assert_has(&svg, &layers);
    assert_has(&svg, &["(None, 28, 28, 1)", "(None, 26, 26, 8)", "80 params", "(None, 5408)", "(None, 10)"]);
    // The frozen layer, gray, and three arrows.
    assert_eq!((svg.matches("fill=\"#6e6e6e\"").count(), svg.matches("Z\"").count()), (1, 3));
    let error = plot::plot_model(&model, "model.png").unwrap_err().to_string();
    assert_eq!(error, "plot::plot_model: model.png: the file's name must end in .svg");
}

#[test]
fn another_format_and_a_folder_that_is_not_there_are_errors() {
    let error = plot::history(&history(1), "history.jpg").unwrap_err().to_string();
    assert_eq!(error, "plot::history: history.jpg: the file's name must end in .svg or .png");
    let error = plot::history(&history(1), "no/such/folder/history.png").unwrap_err();
    assert!(
        matches!(error, Error::Io { .. }) && error.to_string().starts_with("no/such/folder/history.png: "),
        "{error}"
    );
    let error = plot::history(&history(0), "history.svg").unwrap_err().to_string();
    assert_eq!(error, "plot::history: the history has no epoch");
}
