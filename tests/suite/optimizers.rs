//! What a model does with its optimizer: its learning rate, its state, and what stands around its step.

use cornu::prelude::*;

/// Samples and classes.
fn data(n: usize) -> (Tensor, Labels) {
    let labels: Vec<u32> = (0..n).map(|i| (i % 3) as u32).collect();
    (Tensor::random_uniform([n, 6], -1.0, 1.0, 5), labels.into())
}

/// More than a block of weights.
fn classifier(optimizer: impl Optimizer) -> Model {
    Sequential::new([6])
        .add(Dense::new(300).activation(Activation::Relu))
        .add(Dense::new(200).activation(Activation::Relu))
        .add(Dense::new(3).activation(Activation::Softmax))
        .compile(optimizer, SparseCategoricalCrossentropy::default(), [])
        .unwrap()
}

/// y = w x, from w = 1, whose gradient on x = 1, y = 0 is 2 w.
fn line(optimizer: impl Optimizer) -> Model {
    let layer = Dense::new(1).use_bias(false).kernel_initializer(Initializer::Ones);
    Sequential::new([1]).add(layer).compile(optimizer, MeanSquaredError, []).unwrap()
}

fn fit_line(model: &mut Model, steps: usize) -> f32 {
    let x = Tensor::new([steps, 1], vec![1.0; steps]).unwrap();
    model.fit(&x, &Tensor::zeros([steps, 1]), options().batch_size(1)).unwrap();
    model.params()[0]
}

fn options<'a>() -> Fit<'a> {
    Fit::new().batch_size(8).verbose(0)
}

fn bits(model: &Model) -> Vec<u32> {
    model.params().iter().map(|w| w.to_bits()).collect()
}

fn everything() -> AdamW {
    let adamw = AdamW::new(CosineDecay::new(0.0, 50).warmup_target(1e-2).warmup_steps(5)).amsgrad(true);
    let adamw = adamw.weight_decay(0.1).exclude_from_weight_decay(BIASES_AND_NORMALIZATION).global_clipnorm(0.5);
    adamw.use_ema(true).ema_momentum(0.9).ema_overwrite_frequency(7).gradient_accumulation_steps(3)
}

#[test]
fn the_rate_follows_the_schedule_step_by_step() {
    // Steps 0 and 1 halve the weight, the rest leave it.
    let mut model = line(SGD::new(PiecewiseConstantDecay::new([1], [0.25, 0.0])));
    assert_eq!(model.learning_rate().unwrap(), 0.25);
    assert_eq!(fit_line(&mut model, 1), 0.5);
    assert_eq!(fit_line(&mut model, 3), 0.25);
    assert_eq!(model.learning_rate().unwrap(), 0.0);

    let message = model.set_learning_rate(0.1).unwrap_err().to_string();
    assert!(message.starts_with("set_learning_rate: sgd: the learning rate follows a schedule"), "{message}");
}

#[test]
fn a_number_can_be_set() {
    let mut model = line(SGD::new(0.5));
    model.set_learning_rate(0.25).unwrap();
    assert_eq!(fit_line(&mut model, 1), 0.5);
    for rate in [-0.1, f64::NAN] {
        let message = model.set_learning_rate(rate).unwrap_err().to_string();
        assert!(message.contains("at least 0"), "{message}");
    }
    assert_eq!(model.learning_rate().unwrap(), 0.25);
    let mut uncompiled: Model = Sequential::new([1]).add(Dense::new(1)).build().unwrap();
    assert!(matches!(uncompiled.learning_rate(), Err(Error::NotCompiled { .. })));
    assert!(matches!(uncompiled.set_learning_rate(0.1), Err(Error::NotCompiled { .. })));
}

#[test]
fn a_rate_of_0_moves_nothing() {
    fn stays(optimizer: impl Optimizer) {
        let mut model = classifier(optimizer.weight_decay(0.5));
        let before = bits(&model);
        let (x, y) = data(16);
        model.fit(&x, &y, options()).unwrap();
        assert_eq!(bits(&model), before);
    }
    stays(SGD::new(0.0));
    stays(Adam::new(0.0).amsgrad(true));
    stays(AdamW::new(0.0));
    stays(RMSprop::new(0.0).momentum(0.9).centered(true));
    stays(Adagrad::new(0.0));
    stays(Adadelta::new(0.0));
    stays(Adamax::new(0.0));
    stays(Nadam::new(0.0));
    stays(Lion::new(0.0));
}

#[test]
fn a_single_weight_is_clipped() {
    // The gradient is 2 and becomes 0.5.
    assert_eq!(fit_line(&mut line(SGD::new(0.5).clipnorm(0.5)), 1), 0.75);
    assert_eq!(fit_line(&mut line(SGD::new(0.5).global_clipnorm(0.5)), 1), 0.75);
    assert_eq!(fit_line(&mut line(SGD::new(0.5).clipvalue(0.5)), 1), 0.75);
    assert_eq!(fit_line(&mut line(SGD::new(0.25).clipnorm(2.0)), 1), 0.5);
}

#[test]
fn threads_change_no_bit() {
    let (x, y) = data(48);
    let train = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut model = classifier(everything());
        pool.install(|| model.fit(&x, &y, options().epochs(3))).unwrap();
        bits(&model)
    };
    assert_eq!(train(1), train(4));
}

#[test]
fn training_goes_on_from_a_saved_state() {
    fn goes_on(optimizer: impl Optimizer) {
        let (x, y) = data(40);
        let mut whole = classifier(optimizer.clone());
        whole.fit(&x, &y, options()).unwrap();
        let (weights, state) = (whole.get_weights(), whole.optimizer_state().unwrap());
        whole.fit(&x, &y, options()).unwrap();

        let mut resumed = classifier(optimizer);
        resumed.set_weights(&weights).unwrap();
        resumed.set_optimizer_state(&state).unwrap();
        assert_eq!(resumed.optimizer_state().unwrap(), state);
        resumed.fit(&x, &y, options()).unwrap();
        assert_eq!(bits(&resumed), bits(&whole), "{}", whole.learning_rate().unwrap());
    }
    goes_on(SGD::new(0.1));
    goes_on(everything());
    goes_on(Nadam::default());
    goes_on(Adagrad::default().clipnorm(0.1));
}

#[test]
fn the_state_says_what_it_holds() {
    let mut model = classifier(everything());
    let (x, y) = data(40);
    model.fit(&x, &y, options()).unwrap();
    let state = model.optimizer_state().unwrap();
    assert_eq!((state.steps, state.epochs, state.learning_rate), (5, 1, None));
    let names: Vec<_> = state.arrays.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["momentum", "velocity", "velocity_hat", "average", "gradient_accumulator"]);
    assert!(state.arrays.iter().all(|(_, values)| values.len() == model.count_params()));
    // After 5 steps, two gradients wait for the third.
    assert!(state.arrays.iter().all(|(_, values)| values.iter().any(|&value| value != 0.0)));

    let start = classifier(Adagrad::new(0.5)).optimizer_state().unwrap();
    assert_eq!((start.steps, start.learning_rate), (0, Some(0.5)));
    assert!(start.arrays[0].1.iter().all(|&value| value == 0.1));
}

#[test]
fn a_rate_that_was_set_is_part_of_the_state() {
    let mut model = line(Adam::new(0.5));
    model.set_learning_rate(0.25).unwrap();
    let state = model.optimizer_state().unwrap();
    let mut other = line(Adam::new(0.5));
    other.set_optimizer_state(&state).unwrap();
    assert_eq!(other.learning_rate().unwrap(), 0.25);
}

#[test]
fn the_state_of_another_optimizer_is_refused() {
    let state = line(Adam::default()).optimizer_state().unwrap();
    for (mut model, expected) in [
        (line(SGD::default()), "expected no arrays"),
        (line(Adam::default().amsgrad(true)), "velocity_hat of 1 numbers"),
        (classifier(Adam::default()), "momentum of 62903 numbers"),
    ] {
        let before = model.optimizer_state().unwrap();
        let message = model.set_optimizer_state(&state).unwrap_err().to_string();
        for part in [expected, "got momentum of 1 numbers, velocity of 1 numbers", "compile with the optimizer"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(model.optimizer_state().unwrap(), before);
    }
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    let (x, y) = data(32);
    let train = |optimizer: SGD, batch_size| {
        let mut model = classifier(optimizer.momentum(0.9));
        model.fit(&x, &y, options().batch_size(batch_size).shuffle(false).epochs(2)).unwrap();
        model
    };
    let (large, small) = (train(SGD::new(0.5), 16), train(SGD::new(0.5).gradient_accumulation_steps(4), 4));
    for (a, b) in large.params().iter().zip(small.params()) {
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
}

#[test]
fn the_summary_counts_what_the_optimizer_holds() {
    let mut model = line(Adam::default().use_ema(true).gradient_accumulation_steps(2));
    fit_line(&mut model, 1);
    // Two slots, the average, the sum, the step and the rate.
    assert!(model.summary().contains("Optimizer params: 6 "), "{}", model.summary());
    let mut model = line(SGD::new(OneCycle::new(0.1, 10)));
    fit_line(&mut model, 1);
    assert!(model.summary().contains("Optimizer params: 1 "), "{}", model.summary());
}
