//! The program `cornu`, run as a user does.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use cornu::prelude::*;
use tempfile::TempDir;

/// What the program did in `folder`.
fn cornu(folder: &TempDir, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cornu")).current_dir(folder).args(args).output().unwrap()
}

/// What it printed; nothing went wrong.
#[track_caller]
fn printed(folder: &TempDir, args: &[&str]) -> String {
    let output = cornu(folder, args);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && err.is_empty(), "{args:?}: {out}{err}");
    out
}

/// What it said was wrong; the exit code is `code`, and nothing was printed.
#[track_caller]
fn fails(folder: &TempDir, args: &[&str], code: i32) -> String {
    let output = cornu(folder, args);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.code() == Some(code) && out.is_empty(), "{args:?}: {:?} {out}{err}", output.status);
    err
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Gray, from 0 to 1: class 1 where the mean is above a half.
fn light() -> Sequential {
    Sequential::new([2, 2, 1]).add(Flatten::new()).add(Dense::new(2).activation(Activation::Softmax))
}

fn save(plan: Sequential, path: &Path) {
    let mut model = plan.build().unwrap();
    model.set_weights(&[Tensor::from([[-1.0, 1.0]; 4]), Tensor::from([2.0, -2.0])]).unwrap();
    model.save(path).unwrap();
}

/// A folder with the model, and with images of one pixel in two classes, one of them in the wrong one.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    save(light(), &folder.path().join("light.safetensors"));
    for (name, pixel) in [("0/black", 0), ("0/gray", 60), ("1/white", 255), ("1/dark", 30)] {
        write(&folder, &format!("images/{name}.pgm"), &[&b"P5 1 1 255\n"[..], &[pixel]].concat());
    }
    folder
}

#[test]
fn summary_is_the_models() {
    let folder = folder();
    let model = cornu::load_model(folder.path().join("light.safetensors")).unwrap();
    assert_eq!(printed(&folder, &["summary", "light.safetensors"]), model.summary() + "\n");
}

#[test]
fn convert_writes_the_same_model() {
    let folder = folder();
    let predict = |model| printed(&folder, &["predict", "--json", model, "images/0/gray.pgm"]);
    for to in ["again.safetensors", "light.keras", "light.onnx"] {
        assert_eq!(printed(&folder, &["convert", "light.safetensors", to]), "");
        assert_eq!(predict(to), predict("light.safetensors"), "{to}");
    }
    let error = fails(&folder, &["convert", "light.safetensors", "light.doc"], 1);
    assert!(error.starts_with("error: ") && error.contains("light.doc"), "{error}");
    assert!(!folder.path().join("light.doc").exists());
}

#[test]
fn predict_prints_a_line_for_each_image() {
    let folder = folder();
    let args = ["predict", "light.safetensors", "images/1/white.pgm", "images/0/black.pgm"];
    // softmax of (-2, 2) and of (2, -2)
    assert_eq!(printed(&folder, &args), "images/1/white.pgm\t1\t0.9820\nimages/0/black.pgm\t0\t0.9820\n");
    // Pixels from 0 to 255 times 1/510: half as light.
    let args = [&args[..], &["--scale", "0.00196078431372549"]].concat();
    assert_eq!(printed(&folder, &args), "images/1/white.pgm\t0\t0.5000\nimages/0/black.pgm\t0\t0.9820\n");
    let json = printed(&folder, &["predict", "--json", "light.safetensors", "images/1/white.pgm"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["image"], &json["class"]), (&"images/1/white.pgm".into(), &1.into()));
    assert_eq!(json["probability"], json["outputs"][1]);
}

#[test]
fn an_image_that_cannot_be_read_does_not_hinder_the_others() {
    let folder = folder();
    write(&folder, "broken.png", b"\x89PNG\r\n\x1a\n");
    let output = cornu(&folder, &["predict", "light.safetensors", "broken.png", "none.png", "images/0/black.pgm"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"images/0/black.pgm\t0\t0.9820\n");
    let errors = String::from_utf8(output.stderr).unwrap();
    let errors: Vec<_> = errors.lines().collect();
    assert!(errors[0].starts_with("error: broken.png: the image cannot be decoded"), "{errors:?}");
    assert!(errors[1].starts_with("error: none.png: ") && errors.len() == 2, "{errors:?}");
}

#[test]
fn an_output_that_is_no_number_is_no_class() {
    let folder = folder();
    let mut model = light().build().unwrap();
    model.set_weights(&[Tensor::full([4, 2], f32::NAN), Tensor::zeros([2])]).unwrap();
    model.save(folder.path().join("broken.safetensors")).unwrap();
    let error = fails(&folder, &["predict", "broken.safetensors", "images/0/gray.pgm"], 1);
    assert!(error.starts_with("error: images/0/gray.pgm: an output of the model is NaN"), "{error}");
}

#[test]
fn evaluate_takes_a_folder_of_classes() {
    let folder = folder();
    // Crossentropies: ln(1 + e^-(4 - 8 m)) for the mean m of an image of class 0, with a plus for class 1.
    let loss = [(0.0, 1.0), (60.0, 1.0), (255.0, -1.0), (30.0, -1.0)]
        .map(|(pixel, sign): (f64, f64)| (1.0 + (-sign * (4.0 - 8.0 * pixel / 255.0)).exp()).ln());
    let expected = format!("loss: {:.4} - accuracy: 0.7500\n", loss.iter().sum::<f64>() / 4.0);
    assert_eq!(printed(&folder, &["evaluate", "light.safetensors", "images"]), expected);

    // Logits, and a loss that takes no labels.
    let path = folder.path().join("light.safetensors");
    save(Sequential::new([2, 2]).add(Flatten::new()).add(Dense::new(2)), &path);
    assert_eq!(printed(&folder, &["evaluate", "light.safetensors", "images"]), expected);
    let mut model = cornu::load_model(&path).unwrap();
    model.compile(SGD::default(), CategoricalCrossentropy::default().from_logits(true), []).unwrap();
    model.save(&path).unwrap();
    assert_eq!(printed(&folder, &["evaluate", "light.safetensors", "images"]), expected);
    // As it was compiled.
    model.compile(SGD::default(), SparseCategoricalCrossentropy::default().from_logits(true), []).unwrap();
    model.save(&path).unwrap();
    let json = printed(&folder, &["evaluate", "--json", "light.safetensors", "images"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!((json["loss"].as_f64().unwrap() - loss.iter().sum::<f64>() / 4.0).abs() < 1e-6, "{json}");
    assert!(json.get("accuracy").is_none());

    let error = fails(&folder, &["evaluate", "light.safetensors", "images/0"], 1);
    assert!(error.starts_with("error: images/0: there is no sub-folder"), "{error}");
}

#[test]
fn evaluate_takes_arrays_of_numpy() {
    let folder = folder();
    let x =
        Tensor::from([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]).reshape([3, 2, 2]).unwrap();
    let labels = Labels::from(vec![0u8, 1, 1]);
    let one_hot = labels.one_hot::<f32>(2).unwrap();
    let write = |npz: Npz, name: &str| npz.write(folder.path().join(name)).unwrap();
    write(Npz::new().tensor("x", &x).labels("y", &labels), "labels.npz");
    write(Npz::new().tensor("x_test", &(&x * 255.0)).tensor("y_test", &one_hot), "one_hot.npz");
    // ln(1 + e^-4) twice, and ln 2, where class 0 is as likely as class 1.
    let loss = (2.0 * (-4.0_f64).exp().ln_1p() + 2.0_f64.ln()) / 3.0;
    let expected = format!("loss: {loss:.4} - accuracy: 0.6667\n");
    assert_eq!(printed(&folder, &["evaluate", "light.safetensors", "labels.npz"]), expected);
    let scale = ["--scale", "0.00392156862745098"];
    assert_eq!(printed(&folder, &[&["evaluate", "light.safetensors", "one_hot.npz"], &scale[..]].concat()), expected);

    let plan = Sequential::new([2, 2]).add(Flatten::new()).add(Dense::new(1).kernel_initializer(Initializer::Ones));
    plan.build().unwrap().save(folder.path().join("sum.safetensors")).unwrap();
    write(Npz::new().tensor("x", &x).tensor("y", &Tensor::from([0.0, 2.0, 5.0])), "sums.npz");
    assert_eq!(printed(&folder, &["evaluate", "sum.safetensors", "sums.npz"]), "loss: 0.3333 - mae: 0.3333\n");

    write(Npz::new().tensor("a", &x), "others.npz");
    let error = fails(&folder, &["evaluate", "sum.safetensors", "others.npz"], 1);
    assert!(error.starts_with("error: others.npz: ") && error.contains("x_test"), "{error}");
}

#[test]
fn evaluate_knows_the_data_sets_by_name() {
    let folder = folder();
    let model = Sequential::new([28, 28]).add(Flatten::new()).add(Dense::new(10).activation(Activation::Softmax));
    model.build().unwrap().save(folder.path().join("digits.safetensors")).unwrap();
    let printed = printed(&folder, &["evaluate", "digits.safetensors", "mnist"]);
    assert!(printed.starts_with("loss: ") && printed.contains(" - accuracy: 0."), "{printed}");
    let error = fails(&folder, &["evaluate", "light.safetensors", "mnist"], 1);
    assert!(error.contains("expected images of shape (2, 2, 1), got (28, 28, 1)"), "{error}");
}

#[test]
fn bench_prints_a_line_for_each_batch_size() {
    let folder = folder();
    let args = ["bench", "light.safetensors", "--batch-sizes", "1,4", "--seconds", "0"];
    let table = printed(&folder, &args);
    let sizes: Vec<_> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(sizes, ["batch", "1", "4"], "{table}");
    let json = printed(&folder, &[&args[..], &["--json"]].concat());
    for (line, n) in json.lines().zip([1.0, 4.0]) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let [median, rate] = ["median_us", "samples_per_s"].map(|name| line[name].as_f64().unwrap());
        assert!(line["batch_size"] == n as u64 && line["runs"] == 5, "{line}");
        assert!(median > 0.0 && (rate * median / 1e6 - n).abs() < 1e-6, "{line}");
    }
}

#[test]
fn what_is_wrong_goes_to_stderr_with_a_code() {
    let folder = folder();
    write(&folder, "noise.safetensors", b"noise");
    for (args, code, words) in [
        (&["summary", "none.safetensors"][..], 1, "error: none.safetensors: "),
        (&["summary", "noise.safetensors"], 1, "error: noise.safetensors: "),
        (&["summary"], 2, "required arguments were not provided"),
        (&["predict", "light.safetensors"], 2, "required arguments were not provided"),
        (
            &["evaluate", "light.safetensors", "MNIST"],
            1,
            "error: MNIST: expected a folder of images, a file .npz, or one of",
        ),
        (
            &["evaluate", "light.safetensors", "noise.safetensors"],
            1,
            "error: noise.safetensors: expected a folder of images",
        ),
        (&["bench", "light.safetensors", "--seconds", "-1"], 2, "expected 0 to 3600"),
        (&["train"], 2, "unrecognized subcommand 'train'"),
        (&["bench", "light.safetensors", "--batch-sizes", "0"], 2, "0 is not in 1..=65536"),
        (&["predict", "light.safetensors", "images/0/gray.pgm", "--scale", "0"], 2, "a finite number other than 0"),
        (&["predict", "light.safetensors", "images/0/gray.pgm", "--scale", "1e39"], 2, "a finite number other than 0"),
        (&["evaluate", "light.safetensors", "images", "--scale", "nan"], 2, "a finite number other than 0"),
        (&[], 2, "Usage: cornu <COMMAND>"),
    ] {
        let error = fails(&folder, args, code);
        assert!(error.contains(words), "{args:?}: {error}");
    }
    for args in [&["--help"][..], &["evaluate", "--help"], &["--version"]] {
        assert!(printed(&folder, args).contains("cornu"), "{args:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = folder();
    let images = vec!["images/0/black.pgm"; 2000];
    let mut child = Command::new(env!("CARGO_BIN_EXE_cornu"))
        .current_dir(&folder)
        .args([&["predict", "light.safetensors"], &images[..]].concat())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
