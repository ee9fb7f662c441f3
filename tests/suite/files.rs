//! Files of models: what is saved and loaded is the same model, and goes on training with the same bits.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::{BuildHasher, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cornu::{config::Registry, load_model_with, prelude::*};

/// All that leaves something from one step to the next, or is random; a frozen layer, and one with a rate of its own.
fn model(optimizer: impl Optimizer) -> Model {
    let mut model = Sequential::new([8, 8, 1])
        .add(Conv2D::new(4, 3).named("frozen"))
        .add(RandomFlip::new(FlipMode::Horizontal))
        .add(Conv2D::new(4, 3).use_bias(false))
        .add(BatchNormalization::new())
        .add(Activation::Relu)
        .add(Flatten::new())
        .add(Dropout::new(0.3))
        .add(Dense::new(3).kernel_regularizer(Regularizer::l2(1e-3)).activation(Activation::Softmax))
        .compile(
            optimizer,
            SparseCategoricalCrossentropy::default(),
            [Metric::Accuracy, Metric::TopKAccuracy(2), F1Score::new(Averaging::Macro).into()],
        )
        .unwrap();
    model.set_trainable("frozen", false).unwrap();
    model.set_learning_rate_multiplier("dense", 0.3).unwrap();
    model
}

fn data() -> (Tensor, Labels) {
    let x = Tensor::random_normal([70, 8, 8, 1], 0.0, 1.0, 1);
    let y: Vec<u32> = x.data().chunks_exact(64).map(|sample| u32::from(sample[0] > 0.0)).collect();
    (x, y.into())
}

fn train(model: &mut Model, epochs: usize) {
    let (x, y) = data();
    model.fit(&x, &y, Fit::new().epochs(epochs).batch_size(16).seed(3).verbose(0)).unwrap();
}

fn bits(model: &Model) -> Vec<u32> {
    model.params().iter().map(|weight| weight.to_bits()).collect()
}

fn saved(model: &Model) -> Model {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model.save(&path).unwrap();
    load_model(&path).unwrap()
}

fn goes_on_with_the_same_bits(optimizer: impl Optimizer) {
    let mut whole = model(optimizer.clone());
    train(&mut whole, 2);
    let mut again = saved(&whole);
    assert_eq!(bits(&again), bits(&whole), "{optimizer:?}");
    assert_eq!(again.summary(), whole.summary());
    assert_eq!(again.optimizer_state().unwrap(), whole.optimizer_state().unwrap());
    train(&mut whole, 2);
    train(&mut again, 2);
    assert_eq!(bits(&again), bits(&whole), "{optimizer:?}");
    assert_eq!(again.optimizer_state().unwrap(), whole.optimizer_state().unwrap());
    let (x, y) = data();
    assert_eq!(again.evaluate(&x, &y).unwrap(), whole.evaluate(&x, &y).unwrap());
}

#[test]
fn a_loaded_model_goes_on_with_the_same_bits() {
    goes_on_with_the_same_bits(SGD::new(0.1 / 3.0).momentum(0.9).nesterov(true).clipvalue(0.1));
    goes_on_with_the_same_bits(
        Adam::new(CosineDecay::new(0.01, 20)).amsgrad(true).use_ema(true).gradient_accumulation_steps(3),
    );
    goes_on_with_the_same_bits(
        AdamW::new(0.01).exclude_from_weight_decay(BIASES_AND_NORMALIZATION).global_clipnorm(0.1),
    );
    goes_on_with_the_same_bits(RMSprop::new(OneCycle::new(0.01, 20)).momentum(0.5).centered(true).weight_decay(0.1));
    goes_on_with_the_same_bits(Adagrad::new(0.1).initial_accumulator_value(0.3));
}

#[test]
fn a_rate_that_was_set_is_kept() {
    let mut before = model(SGD::new(0.1));
    before.set_learning_rate(1.0 / 3.0).unwrap();
    assert_eq!(saved(&before).learning_rate().unwrap(), 1.0 / 3.0);
}

#[test]
fn an_uncompiled_model_stays_so() {
    let plan = Sequential::new([4]).add(Dense::new(3).named("a")).add(Dense::new(2));
    let before = plan.seed(9).build().unwrap();
    let again = saved(&before);
    assert_eq!(bits(&again), bits(&before));
    assert!(matches!(again.optimizer_state(), Err(Error::NotCompiled { .. })));
    assert_eq!(again.to_json().unwrap(), before.to_json().unwrap());
}

#[test]
fn a_compiled_model_is_loaded_uncompiled_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut before = model(Adam::default());
    train(&mut before, 1);
    before.save(&path).unwrap();
    let again = load_model_with(&path, &Registry::default().uncompiled()).unwrap();
    assert_eq!(bits(&again), bits(&before));
    assert!(again.optimizer_state().is_err());
}

#[test]
fn double_precision_is_kept() {
    let plan = Sequential::new([4]).add(Dense::new(3));
    let mut before = plan.build_as::<f64>().unwrap();
    before.compile(Adam::new(0.1), MeanSquaredError, []).unwrap();
    let (x, y) = (Tensor::random_normal([5, 4], 0.0, 1.0, 1), Tensor::zeros([5, 3]));
    before.fit(&x, &y, Fit::new().verbose(0)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    before.save(&path).unwrap();
    let mut again = Model::<f64>::from_bytes_with(&fs::read(&path).unwrap(), &Registry::default()).unwrap();
    assert_eq!(again.params(), before.params());
    before.fit(&x, &y, Fit::new().verbose(0)).unwrap();
    again.fit(&x, &y, Fit::new().verbose(0)).unwrap();
    assert_eq!(again.params(), before.params());
    let rounded: Vec<f32> = before.params().iter().map(|&weight| weight as f32).collect();
    before.save(&path).unwrap();
    assert_eq!(load_model(&path).unwrap().params(), rounded);
}

#[test]
fn the_ending_says_the_format() {
    let model = Sequential::new([4]).add(Dense::new(3)).build().unwrap();
    for path in ["model", "model.txt", "folder/model.pb"] {
        let error = model.save(path).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains(".safetensors"), "{error}");
        assert!(!Path::new(path).exists());
    }
}

#[test]
fn what_is_no_model_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.safetensors");
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = load_model(&path).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
        error
    };
    for bytes in [&b""[..], b"{}", b"hello, world, hello, world", &[0; 100]] {
        assert!(error(bytes).contains("no format that is known"));
    }
    let model = model(SGD::default());
    model.save_weights(&path).unwrap();
    assert!(error(&fs::read(&path).unwrap()).contains("call load_weights"));
    assert!(matches!(load_model(folder.path().join("none")), Err(Error::Io { .. })));
    assert!(matches!(Model::from_bytes(b"?"), Err(Error::Data { .. })));
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let model = |name: &str| Sequential::new([1]).add(Dense::new(1).named(name)).build().unwrap();
    let (small, large) = (model("small"), model(&"large".repeat(4 << 20)));
    for name in ["model.safetensors", "model.keras"].into_iter().take(if cfg!(feature = "keras") { 2 } else { 1 }) {
        let path = folder.path().join(name);
        small.save(&path).unwrap();
        let error = large.save(&path).unwrap_err().to_string();
        assert!(error.contains("bytes, and may have 16777216"), "{error}");
        assert_eq!(load_model(&path).unwrap().params(), small.params(), "the file is as it was");
    }
}

#[test]
fn weights_alone_are_read_from_the_file_of_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut before = model(Adam::default());
    train(&mut before, 1);
    before.save(&path).unwrap();
    let mut other = model(SGD::default());
    other.load_weights(&path).unwrap();
    assert_eq!(bits(&other), bits(&before));
    let report = model(SGD::default()).load_weights_by_name(&path).unwrap();
    assert_eq!((report.loaded.len(), report.skipped.len(), report.kept.len()), (9, 0, 0), "{report}");
}

#[test]
fn weights_by_name_say_what_went_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let plan = Sequential::new([4]).add(Dense::new(3).named("a"));
    let from = plan.clone().add(Dense::new(5).named("b")).add(Dense::new(2).named("c")).build().unwrap();
    from.save_weights(&path).unwrap();
    let mut to = plan.add(Dense::new(6).named("b")).add(Dense::new(2).named("d")).seed(1).build().unwrap();
    let before = to.get_weights();
    let report = to.load_weights_by_name(&path).unwrap();
    assert_eq!(
        report.to_string(),
        "2 weights loaded, 4 skipped, 4 kept
  skipped b/kernel: expected shape (3, 6), got [3, 5]
  skipped b/bias: expected shape (6,), got [5]
  skipped c/bias: the model has no weight of this name
  skipped c/kernel: the model has no weight of this name
  kept b/kernel
  kept b/bias
  kept d/kernel
  kept d/bias"
    );
    assert_eq!(to.get_weights()[..2], from.get_weights()[..2]);
    assert_eq!(to.get_weights()[2..], before[2..]);
}

/// What the process that is killed runs: it saves one of two models over the other, again and again.
#[test]
#[ignore = "run by a_process_that_is_killed_while_it_saves_leaves_a_whole_model"]
fn child() {
    let path = PathBuf::from(env::var_os(FILE).expect("the file of the model"));
    let models = [0, 1].map(large);
    for i in 0.. {
        models[i % 2].save(&path).unwrap();
    }
}

const FILE: &str = "CORNU_TEST_FILE";
const KILLED: usize = 100;

/// One of two models, so large that writing it takes most of the time of saving.
fn large(model: u8) -> Model {
    let dense = Dense::new(1000).kernel_initializer(Initializer::Constant(model.into()));
    Sequential::new([64]).add(dense).compile(Adam::default(), MeanSquaredError, []).unwrap()
}

#[test]
fn a_process_that_is_killed_while_it_saves_leaves_a_whole_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let first = large(0);
    first.save(&path).unwrap();
    let start = Instant::now();
    first.save(&path).unwrap();
    // For as long as a few files take, on this machine.
    let longest = 4 * start.elapsed();
    let models = [0, 1].map(|model| bits(&large(model)));
    let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let mut found = [0; 2];
    let mut left_behind = 0;
    for _ in 0..KILLED {
        let start = modified(&path);
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "files::child", "--ignored"])
            .env(FILE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Until it is saving, and then until some moment of it.
        while modified(&path) == start {
            assert!(child.try_wait().unwrap().is_none());
            thread::sleep(Duration::from_micros(100));
        }
        thread::sleep(longest.mul_f64(random()));
        child.kill().unwrap();
        child.wait().unwrap();
        let weights = bits(&load_model(&path).unwrap());
        found[models.iter().position(|model| *model == weights).expect("one of the two")] += 1;
        for file in fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).filter(|file| *file != path) {
            fs::remove_file(file).unwrap();
            left_behind += 1;
        }
    }
    // The moments were those of saving: both models were found, and halves of files beside them.
    assert!(found.iter().all(|&times| times > 0) && left_behind > 0, "{found:?}, {left_behind}");
}

/// A number from 0 to 1 that is another in each run.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

/// The model of the files that are kept, one of each version.
fn kept() -> Model {
    let mut model = Sequential::new([6, 6, 1])
        .add(Conv2D::new(2, 3))
        .add(BatchNormalization::new())
        .add(Activation::Relu)
        .add(Flatten::new())
        .add(Dense::new(3).activation(Activation::Softmax).named("classes"))
        .compile(
            AdamW::new(CosineDecay::new(0.01, 100)).exclude_from_weight_decay(["bias"]),
            SparseCategoricalCrossentropy::default(),
            [Metric::Accuracy, Metric::TopKAccuracy(2)],
        )
        .unwrap();
    let x = Tensor::random_normal([20, 6, 6, 1], 0.0, 1.0, 1);
    let y: Labels = (0..20).map(|i| i % 3).collect::<Vec<u8>>().into();
    model.fit(&x, &y, Fit::new().epochs(3).batch_size(8).verbose(0)).unwrap();
    model
}

#[test]
#[ignore = "writes the file of the current version: run once, when the version is raised"]
fn write_the_file_of_this_version() {
    kept().save(fixture(1)).unwrap();
}

fn fixture(version: usize) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/version_{version}.safetensors"))
}

#[test]
fn files_of_all_versions_are_read() {
    let x: Vec<f32> = (0..72).map(|i| -1.0 + 2.0 * i as f32 / 71.0).collect();
    let x = Tensor::new([2, 6, 6, 1], x).unwrap();
    for version in [1] {
        let mut model = load_model(fixture(version)).unwrap();
        // data-scripts/check_safetensors.py: Keras 3.15 with the same file.
        let keras = [0.345_851_57, 0.307_772_87, 0.346_375_52, 0.507_419_17, 0.202_771_93, 0.289_808_87];
        for (ours, keras) in model.predict(&x).unwrap().data().iter().zip(keras) {
            assert!((ours - keras).abs() < 1e-6, "{ours} is not {keras}");
        }
        let score = model.evaluate(&x, &Labels::from(vec![0u8, 2])).unwrap();
        assert!((score.loss - 1.150_139_6).abs() < 1e-6, "{}", score.loss);
        assert_eq!((score.get("accuracy"), score.get("top_2_accuracy")), (Some(0.0), Some(1.0)));
        let state = model.optimizer_state().unwrap();
        assert_eq!((state.steps, state.epochs, state.arrays.len()), (9, 3, 2));
        let y = Labels::from(vec![0u8, 2]);
        model.fit(&x, &y, Fit::new().verbose(0)).unwrap();
    }
}
