//! What a model does in training besides following gradients: frozen layers, batch normalization, regularizers, constraints, callbacks.

use cornu::{gradcheck, prelude::*};

fn task(n: usize) -> (Tensor, Labels) {
    let x = Tensor::random_normal([n, 8, 8, 1], 0.0, 1.0, 1);
    let label = |sample: &[f32]| u32::from(sample.iter().sum::<f32>() > 0.0) + u32::from(sample[0] > 0.5);
    let y: Vec<u32> = x.data().chunks_exact(64).map(label).collect();
    (x, y.into())
}

fn network() -> Sequential {
    Sequential::new([8, 8, 1])
        .add(Conv2D::new(4, 3).named("first"))
        .add(BatchNormalization::new().named("norm"))
        .add(Activation::Relu)
        .add(MaxPooling2D::new(2))
        .add(Flatten::new().named("features"))
        .add(Dense::new(3).activation(Activation::Softmax).named("head"))
}

fn compile(plan: Sequential) -> Model {
    plan.compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy]).unwrap()
}

fn quiet<'a>() -> Fit<'a> {
    Fit::new().verbose(0).batch_size(16)
}

#[test]
fn what_is_frozen_stays() {
    let (x, y) = task(64);
    let mut model = compile(network());
    model.freeze_until("features").unwrap();
    let before = model.get_weights();
    model.fit(&x, &y, quiet().epochs(2)).unwrap();
    for ((info, before), after) in model.layout().infos().iter().zip(before).zip(model.get_weights()) {
        assert_eq!(before == after, !info.name.starts_with("head"), "{}", info.name);
    }
}

#[test]
fn a_frozen_front_is_a_function() {
    let (x, y) = task(64);
    let mut whole = compile(network());
    whole.freeze_until("features").unwrap();
    // The same head on what the frozen layers make of the samples.
    let mut front = network().build().unwrap();
    front.set_weights(&whole.get_weights()).unwrap();
    let [h, w, c] = [3, 3, 4];
    let plan = Sequential::new([h * w * c]).add(Dense::new(3).activation(Activation::Softmax));
    let mut head = compile(plan);
    head.set_weights(&whole.get_weights()[6..]).unwrap();
    let features = Sequential::new([8, 8, 1])
        .add(Conv2D::new(4, 3))
        .add(BatchNormalization::new())
        .add(Activation::Relu)
        .add(MaxPooling2D::new(2))
        .add(Flatten::new());
    let mut features = features.build().unwrap();
    features.set_weights(&whole.get_weights()[..6]).unwrap();
    let features = features.predict(&x).unwrap();

    let of_whole = whole.fit(&x, &y, quiet().epochs(3)).unwrap();
    let of_head = head.fit(&features, &y, quiet().epochs(3)).unwrap();
    assert_eq!(of_whole.get("loss"), of_head.get("loss"));
    assert_eq!(whole.get_weights()[6..], head.get_weights());
}

#[test]
fn layers_can_be_frozen_and_thawed_between_trainings() {
    let (x, y) = task(64);
    let mut model = compile(network());
    model.fit(&x, &y, quiet()).unwrap();
    model.set_trainable("first", false).unwrap();
    let frozen = model.get_layer("first").unwrap().get_weights();
    model.fit(&x, &y, quiet()).unwrap();
    assert_eq!(model.get_layer("first").unwrap().get_weights(), frozen);
    model.set_trainable("first", true).unwrap();
    model.fit(&x, &y, quiet()).unwrap();
    assert_ne!(model.get_layer("first").unwrap().get_weights(), frozen);
}

#[test]
fn gradients_end_at_a_layer_that_sums_over_the_batch() {
    let (x, y) = task(64);
    let front = || Sequential::new([8, 8, 1]).add(Conv2D::new(4, 3).named("frozen"));
    let rest = |plan: Sequential| plan.add(Flatten::new()).add(Dense::new(3).activation(Activation::Softmax));
    let unlearned = || BatchNormalization::new().center(false).scale(false);
    for plan in [
        front().add(BatchNormalization::new()).add(Activation::Tanh),
        front().add(BatchNormalization::new()),
        front().add(unlearned()).add(Conv2D::new(2, 3)),
        front().add(unlearned()).add(BatchNormalization::new()),
    ] {
        let mut model = rest(plan).compile(SGD::new(1.0), SparseCategoricalCrossentropy::default(), []).unwrap();
        model.set_trainable("frozen", false).unwrap();
        let (before, (_, gradients)) = (model.get_weights(), model.gradients(&x, &y).unwrap());
        model.fit(&x, &y, Fit::new().verbose(0).batch_size(64).shuffle(false)).unwrap();
        let infos = model.layout().infos().iter().zip(gradients);
        for ((info, gradient), (before, after)) in infos.zip(before.iter().zip(model.get_weights())) {
            if info.trainable && !info.name.starts_with("frozen") {
                let stepped: Vec<f32> = before.data().iter().zip(gradient.data()).map(|(w, g)| w - g).collect();
                assert_eq!(after.data(), stepped, "{}", info.name);
            }
        }
    }
}

#[test]
fn a_layer_moves_at_a_rate_of_its_own() {
    let (x, y) = task(64);
    let loss = SparseCategoricalCrossentropy::default;
    for optimizer in [SGD::new(0.1), SGD::new(0.1).weight_decay(0.2)] {
        let step = |multiplier| {
            let mut model = network().compile(optimizer.clone(), loss(), []).unwrap();
            model.set_learning_rate_multiplier("first", multiplier).unwrap();
            let before = model.params().to_vec();
            model.fit(&x, &y, Fit::new().verbose(0).batch_size(64)).unwrap();
            let moved: Vec<f32> = model.params().iter().zip(before).map(|(after, before)| after - before).collect();
            (moved, model.get_layer("first").unwrap().count_params())
        };
        let ((one, first), (half, _)) = (step(1.0), step(0.5));
        for (i, (one, half)) in one.iter().zip(half).enumerate() {
            let expected = if i < first { one / 2.0 } else { *one };
            assert!((half - expected).abs() <= 1e-6 * expected.abs() + 1e-7, "{i}: {half}, {expected}");
        }
        assert!(one[..first].iter().any(|moved| moved.abs() > 1e-4));
    }
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = network().build().unwrap().set_learning_rate_multiplier("first", wrong).unwrap_err().to_string();
        assert!(error.contains("must be a finite number above 0"), "{error}");
    }
}

#[test]
fn nothing_to_train_is_an_error() {
    let (x, y) = task(16);
    let mut model = compile(network());
    model.freeze_until("head").unwrap();
    let error = model.fit(&x, &y, quiet()).unwrap_err().to_string();
    assert!(error.contains("set_trainable"), "{error}");
    let error = model.set_trainable("conv", false).unwrap_err().to_string();
    assert!(error.contains("first, norm, activation"), "{error}");
}

#[test]
fn regularizers_are_part_of_the_loss_and_its_gradient() {
    let plan = Sequential::new([3])
        .add(
            Dense::new(4)
                .activation(Activation::Tanh)
                .kernel_regularizer(Regularizer::l1_l2(0.01, 0.1))
                .bias_regularizer(Regularizer::l2(0.3)),
        )
        .add(Dense::new(2));
    let mut model = plan.build_as::<f64>().unwrap();
    model.compile(SGD::default(), MeanSquaredError, []).unwrap();
    let (x, y) = (Tensor::random_normal([5, 3], 0.0, 1.0, 2), Tensor::random_normal([5, 2], 0.0, 1.0, 3));
    let report = gradcheck::check_model(&model, &x, &y).unwrap();
    assert!(report.max_relative_error < 1e-6, "{report}");

    let kernel = model.get_weights().remove(0);
    let penalty: f64 = kernel.data().iter().map(|w| 0.01 * w.abs() + 0.1 * w * w).sum();
    let with = model.evaluate(&x, &y).unwrap().loss;
    model.set_trainable("dense", false).unwrap();
    let without = model.evaluate(&x, &y).unwrap().loss;
    approx::assert_relative_eq!(with - without, penalty, max_relative = 1e-9);
}

#[test]
fn constraints_hold_after_each_step() {
    let (x, y) = task(64);
    let plan = Sequential::new([8, 8, 1])
        .add(Conv2D::new(4, 3).kernel_constraint(Constraint::unit_norm().axis([0, 1, 2])))
        .add(Flatten::new())
        .add(Dense::new(3).kernel_constraint(Constraint::non_neg()).activation(Activation::Softmax));
    let mut model = compile(plan);
    model.fit(&x, &y, quiet()).unwrap();
    let weights = model.get_weights();
    for filter in 0..4 {
        let norm: f32 = weights[0].data()[filter..].iter().step_by(4).map(|w| w * w).sum();
        approx::assert_relative_eq!(norm, 1.0, max_relative = 1e-5);
    }
    assert!(weights[2].data().iter().all(|&w| w >= 0.0));
}

/// Notes what is called.
#[derive(Default)]
struct Log(Vec<String>);

impl Callback for Log {
    fn on_train_begin(&mut self, training: &mut Training) -> cornu::Result<()> {
        self.0.push(format!(
            "begin {} {} {}",
            training.epochs(),
            training.steps().unwrap(),
            training.monitors().join(" ")
        ));
        Ok(())
    }

    fn on_epoch_begin(&mut self, _: &mut Training, epoch: usize) -> cornu::Result<()> {
        self.0.push(format!("epoch {epoch}"));
        Ok(())
    }

    fn on_train_batch_begin(&mut self, _: &mut Training, batch: usize) -> cornu::Result<()> {
        self.0.push(format!("batch {batch}"));
        Ok(())
    }

    fn on_train_batch_end(&mut self, _: &mut Training, batch: usize, logs: &Score) -> cornu::Result<()> {
        assert!(logs.loss > 0.0 && logs.accuracy().is_some());
        self.0.push(format!("batch {batch} ends"));
        Ok(())
    }

    fn on_test_begin(&mut self, _: &mut Training) -> cornu::Result<()> {
        self.0.push("test".into());
        Ok(())
    }

    fn on_test_end(&mut self, _: &mut Training, _: &Score) -> cornu::Result<()> {
        self.0.push("test ends".into());
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut Training, epoch: usize, logs: &Epoch) -> cornu::Result<()> {
        assert!(logs.get("val_accuracy").is_some() && training.history().epochs.len() == epoch);
        self.0.push(format!("epoch {epoch} ends"));
        training.stop_training();
        Ok(())
    }

    fn on_train_end(&mut self, _: &mut Training) -> cornu::Result<()> {
        self.0.push("end".into());
        Ok(())
    }

    fn needs_batch_logs(&self) -> bool {
        true
    }
}

#[test]
fn callbacks_are_called_as_in_keras() {
    let (x, y) = task(40);
    let mut log = Log::default();
    let history = compile(network()).fit(&x, &y, quiet().epochs(5).validation_split(0.25).callback(&mut log)).unwrap();
    assert_eq!(history.epochs.len(), 1);
    let expected = [
        "begin 5 2 loss accuracy val_loss val_accuracy",
        "epoch 0",
        "batch 0",
        "batch 0 ends",
        "batch 1",
        "batch 1 ends",
        "test",
        "test ends",
        "epoch 0 ends",
        "end",
    ];
    assert_eq!(log.0, expected);
}

/// What `keras/src/backend/tensorflow/trainer.py` of Keras 3.15 calls after `stop_training`.
#[test]
fn a_stop_ends_the_epoch_as_in_keras() {
    let (x, y) = task(64);
    let called = |hook: &str| {
        let mut log = Log::default();
        let stop = |training: &mut Training, here: &str| {
            if here == hook {
                training.stop_training();
            }
            Ok(())
        };
        let stopper = LambdaCallback::new()
            .on_train_begin(|training| stop(training, "train begins"))
            .on_epoch_begin(|training, _| stop(training, "epoch begins"))
            .on_train_batch_begin(|training, _| stop(training, "batch begins"))
            .on_train_batch_end(|training, batch, _| if batch == 1 { stop(training, "batch ends") } else { Ok(()) })
            .on_test_end(|training, _| stop(training, "test ends"));
        let options = quiet().epochs(2).validation_data(&x, &y).callback(stopper).callback(&mut log);
        let history = compile(network()).fit(&x, &y, options).unwrap();
        assert_eq!(history.epochs.len(), 1);
        log.0.retain(|entry| entry.starts_with("batch") && entry.ends_with("ends") || entry.ends_with("0 ends"));
        log.0
    };
    for (hook, batches) in
        [("train begins", 1), ("epoch begins", 1), ("batch begins", 1), ("batch ends", 2), ("test ends", 4)]
    {
        let batches = (0..batches).map(|batch| format!("batch {batch} ends"));
        let expected: Vec<_> = batches.chain(["epoch 0 ends".to_owned()]).collect();
        assert_eq!(called(hook), expected, "{hook}");
    }
}

#[test]
fn a_monitor_that_does_not_exist_is_an_error_with_those_there_are() {
    let (x, y) = task(16);
    let error = compile(network()).fit(&x, &y, quiet().callback(EarlyStopping::new())).unwrap_err().to_string();
    assert!(error.contains("\"val_loss\"") && error.contains("loss, accuracy; give fit validation_data"), "{error}");
}

#[test]
fn early_stopping_ends_with_the_best_weights() {
    let (x, y) = task(64);
    let mut model = compile(network());
    let mut early = EarlyStopping::new().monitor("loss").min_delta(1e9).patience(2).restore_best_weights(true);
    let history = model.fit(&x, &y, quiet().epochs(20).callback(&mut early)).unwrap();
    assert_eq!((early.best_epoch(), early.stopped_epoch(), history.epochs.len()), (Some(0), Some(2), 3));

    let mut first = compile(network());
    first.fit(&x, &y, quiet()).unwrap();
    assert_eq!(model.get_weights(), first.get_weights());
}

#[test]
fn the_history_outlives_an_error_of_a_callback() {
    let (x, y): (Tensor, Tensor) = (Tensor::ones([4, 2]), Tensor::zeros([4, 1]));
    let mut model = Sequential::new([2]).add(Dense::new(1)).compile(SGD::new(0.1), MeanSquaredError, []).unwrap();
    let fail = LambdaCallback::new().on_epoch_end(|training, epoch, _| match epoch {
        2 => training.set_learning_rate(-1.0),
        _ => Ok(()),
    });
    model.fit(&x, &y, quiet().epochs(9).callback(fail)).unwrap_err();
    assert_eq!(model.history().epochs.len(), 3);
    let history = model.fit(&x, &y, quiet().epochs(2)).unwrap();
    assert_eq!((history.epochs.len(), &history), (2, model.history()));
}

/// What a callback sets free is trained from the next step on, as if it had been free from the start.
#[test]
fn a_callback_can_set_layers_free() {
    let (x, y): (Tensor, Tensor) = (Tensor::random_normal([8, 3], 0.0, 1.0, 0), Tensor::zeros([8, 1]));
    let model = || {
        Sequential::new([3]).add(Dense::new(4)).add(Dense::new(1)).compile(SGD::new(0.1), MeanSquaredError, []).unwrap()
    };
    let options = || Fit::new().batch_size(8).shuffle(false).verbose(0);
    let mut freed = model();
    freed.set_trainable("dense", false).unwrap();
    let free = LambdaCallback::new().on_epoch_begin(|training, epoch| {
        if epoch == 1 {
            training.model_mut().set_trainable("dense", true)?;
        }
        Ok(())
    });
    freed.fit(&x, &y, options().epochs(2).callback(free)).unwrap();

    let mut expected = model();
    expected.set_trainable("dense", false).unwrap();
    expected.fit(&x, &y, options()).unwrap();
    expected.set_trainable("dense", true).unwrap();
    expected.fit(&x, &y, options()).unwrap();
    assert_eq!(freed.params(), expected.params());
}

/// The average of weights that are not negative may be.
#[test]
fn constraints_hold_for_the_average_of_the_weights() {
    let (x, y): (Tensor, Tensor) = (Tensor::ones([4, 1]), Tensor::full([4, 1], -1.0));
    let layer = Dense::new(1).use_bias(false).kernel_initializer(Initializer::Zeros);
    let mut model = Sequential::new([1])
        .add(layer.kernel_constraint(Constraint::non_neg()))
        .compile(SGD::new(0.1).use_ema(true).ema_momentum(0.5), MeanSquaredError, [])
        .unwrap();
    model.fit(&x, &y, Fit::new().epochs(3).verbose(0)).unwrap();
    assert_eq!(model.params(), [0.0]);
}

/// To constrain once more what is constrained would round it.
#[test]
fn constraints_are_applied_once_a_step() {
    let (x, y): (Tensor, Tensor) = (Tensor::random_normal([8, 3], 0.0, 1.0, 0), Tensor::ones([8, 2]));
    let layer = || Dense::new(2).kernel_constraint(Constraint::unit_norm());
    let model = || Sequential::new([3]).add(layer()).compile(SGD::new(0.1), MeanSquaredError, []).unwrap();
    let (mut twice, mut once) = (model(), model());
    let options = || Fit::new().batch_size(4).verbose(0);
    twice.fit(&x, &y, options()).unwrap();
    twice.fit(&x, &y, options()).unwrap();
    once.fit(&x, &y, options().epochs(2)).unwrap();
    assert_eq!(twice.params(), once.params());
}
