//! A training that is interrupted goes on with the same bits.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::{BuildHasher, Hasher},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cornu::{
    Error,
    callbacks::{BackupAndRestore, CSVLogger, EarlyStopping, LambdaCallback, ReduceLROnPlateau},
    metrics::Averaging,
    prelude::*,
};

/// Convolution, normalization, dropout and augmentation: all that leaves something from one step to the next, or is random.
fn model() -> Model {
    Sequential::new([8, 8, 1])
        .add(RandomTranslation::new(0.2, 0.2))
        .add(Conv2D::new(4, 3).use_bias(false))
        .add(BatchNormalization::new())
        .add(Activation::Relu)
        .add(Flatten::new())
        .add(Dropout::new(0.3))
        .add(Dense::new(3).activation(Activation::Softmax))
        .compile(
            Adam::new(0.01).use_ema(true),
            SparseCategoricalCrossentropy::default(),
            [Metric::Accuracy, F1Score::new(Averaging::Macro).into()],
        )
        .unwrap()
}

fn data() -> (Tensor, Labels) {
    let x = Tensor::random_normal([150, 8, 8, 1], 0.0, 1.0, 1);
    let y: Vec<u32> =
        x.data().chunks_exact(64).map(|sample| u32::from(sample[0] > 0.0) + u32::from(sample[1] > 0.5)).collect();
    (x, y.into())
}

const EPOCHS: usize = 6;

/// Ends the training with an error before this step, counted over all epochs.
fn interrupt<'a>(before: Option<usize>) -> LambdaCallback<'a> {
    let mut step = 0;
    LambdaCallback::new().on_train_batch_begin(move |_, _| {
        step += 1;
        match before {
            Some(before) if step > before => Err(Error::Data { place: "test".into(), message: "interrupted".into() }),
            _ => Ok(()),
        }
    })
}

/// All callbacks that know something, and at last [`interrupt`].
fn options<'a>(folder: &Path, fails: Option<usize>) -> Fit<'a> {
    Fit::new()
        .epochs(EPOCHS)
        .batch_size(16)
        .seed(5)
        .validation_split(0.2)
        .verbose(0)
        .callback(CSVLogger::new(folder.join("log.csv")))
        .callback(EarlyStopping::new().patience(2).restore_best_weights(true))
        .callback(ReduceLROnPlateau::new().patience(1).factor(0.5))
        .callback(BackupAndRestore::new(folder.join("backup")).every_batches(2))
        .callback(interrupt(fails))
}

/// Trains, or goes on, and says what that leaves: the weights, the figures of all epochs, the rate, and the log.
fn train(folder: &Path, fails: Option<usize>) -> cornu::Result<String> {
    let ((x, y), mut model) = (data(), model());
    let history = model.fit(&x, &y, options(folder, fails))?;
    assert!(!folder.join("backup").exists(), "it is deleted at the end");
    let bits: Vec<u32> = model.params().iter().map(|weight| weight.to_bits()).collect();
    let curves: Vec<_> =
        ["loss", "accuracy", "f1_score", "val_loss", "val_f1_score"].map(|name| history.get(name)).into();
    let rate = model.learning_rate()?;
    Ok(format!("{bits:?}\n{curves:?}\n{rate}\n{}", fs::read_to_string(folder.join("log.csv")).unwrap()))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn an_error_at_any_step_is_gone_on_from_with_the_same_bits() {
    let whole = train(folder().path(), None).unwrap();
    let steps =
        whole.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(',')).count() * 8;
    assert!((16..=8 * EPOCHS).contains(&steps), "{steps}");
    for fails in 0..steps {
        let folder = folder();
        let error = train(folder.path(), Some(fails)).unwrap_err().to_string();
        assert!(error.contains("interrupted"), "{error}");
        assert_eq!(folder.path().join("backup").exists(), fails >= 2);
        assert!(train(folder.path(), None).unwrap() == whole, "step {fails}");
    }
}

#[test]
fn more_than_one_interruption_is_gone_on_from() {
    let whole = train(folder().path(), None).unwrap();
    let folder = folder();
    for _ in 0..4 {
        train(folder.path(), Some(3)).unwrap_err();
    }
    assert!(train(folder.path(), None).unwrap() == whole);
}

#[test]
fn a_training_in_other_circumstances_is_an_error_and_the_file_stays() {
    let folder = folder();
    train(folder.path(), Some(4)).unwrap_err();
    let ((x, y), path) = (data(), folder.path());
    let error = |model: Model, options: Fit| {
        let mut model = model;
        let error = model.fit(&x, &y, options).unwrap_err().to_string();
        assert!(error.contains("backup") && error.contains("delete the file"), "{error}");
        assert!(path.join("backup").exists());
        error
    };
    assert!(error(model(), options(path, None).seed(6)).contains("with the seed 5, but this one has 6"));
    assert!(error(model(), options(path, None).batch_size(8)).contains("in batches of 16, shuffled, but this one has"));
    assert!(error(model(), options(path, None).shuffle(false)).contains("in their order"));
    assert!(error(model(), options(path, None).epochs(0)).contains("is in epoch 1, but this one ends after 0"));
    let others = Fit::new().epochs(EPOCHS).batch_size(16).seed(5).validation_split(0.2).verbose(0);
    let others = others
        .callback(EarlyStopping::new())
        .callback(CSVLogger::new(path.join("log.csv")))
        .callback(ReduceLROnPlateau::new())
        .callback(BackupAndRestore::new(path.join("backup")))
        .callback(LambdaCallback::new());
    assert!(error(model(), others).contains("give the same callbacks in the same order"));
    assert!(
        error(model(), options(path, None).callback(LambdaCallback::new())).contains("callbacks 5, but this one has 6")
    );
    let mut other = model();
    other
        .compile(
            SGD::default(),
            SparseCategoricalCrossentropy::default(),
            [Metric::Accuracy, F1Score::new(Averaging::Macro).into()],
        )
        .unwrap();
    assert!(error(other, options(path, None)).contains("optimizer adam, but this one has sgd"));

    let mut damaged = fs::read(path.join("backup")).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(path.join("backup"), damaged).unwrap();
    let error = model().fit(&x, &y, options(path, None)).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
}

#[test]
fn a_dataset_goes_on_in_the_middle_of_an_epoch() {
    let train = |path: &Path, fails: Option<usize>| {
        let (x, y) = data();
        let dataset = TensorDataset::new(&x, &y).unwrap().batch_size(16).seed(3);
        let backup = BackupAndRestore::new(path.join("backup")).every_batches(1);
        let mut model = model();
        model
            .fit_dataset(&dataset, Fit::new().epochs(2).verbose(0).callback(backup).callback(interrupt(fails)))
            .map(|_| model.params().to_vec())
    };
    let whole = train(folder().path(), None).unwrap();
    for fails in [1, 9, 12] {
        let folder = folder();
        train(folder.path(), Some(fails)).unwrap_err();
        assert!(train(folder.path(), None).unwrap() == whole, "step {fails}");
    }
}

/// What the processes that are killed run.
#[test]
#[ignore = "run by a_process_that_is_killed_at_any_moment_is_gone_on_from"]
fn child() {
    let folder = PathBuf::from(env::var_os(FOLDER).expect("the folder of the training"));
    fs::write(folder.join("begun"), "").unwrap();
    let result = train(&folder, None).unwrap();
    fs::write(folder.join("result"), result).unwrap();
}

const FOLDER: &str = "CORNU_TEST_FOLDER";
const KILLED: usize = 20;

#[test]
fn a_process_that_is_killed_at_any_moment_is_gone_on_from() {
    let whole = train(folder().path(), None).unwrap();
    let start = |folder: &Path| -> Child {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "interrupted::child", "--ignored"])
            .env(FOLDER, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    // Until the training begins, and from then on until it has ended.
    let wait = |child: &mut Child, folder: &Path, name: &str| {
        while !folder.join(name).exists() {
            assert!(child.try_wait().unwrap().is_none_or(|status| status.success()), "it died before {name}");
            thread::sleep(Duration::from_micros(200));
        }
    };
    let first = folder();
    let mut child = start(first.path());
    wait(&mut child, first.path(), "begun");
    let begun = Instant::now();
    wait(&mut child, first.path(), "result");
    let time = begun.elapsed();
    assert!(child.wait().unwrap().success());

    for i in 0..KILLED {
        let folder = folder();
        let mut child = start(folder.path());
        wait(&mut child, folder.path(), "begun");
        // One random moment in each twentieth.
        let moment = (i as f64 + random()) / KILLED as f64;
        thread::sleep(time.mul_f64(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(start(folder.path()).wait().unwrap().success(), "killed after {moment} of it");
        assert!(fs::read_to_string(folder.path().join("result")).unwrap() == whole, "killed after {moment} of it");
    }
}

/// A number from 0 to 1 that is another in each run.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
