use cornu::prelude::*;

use crate::{
    cases::{self, Case},
    compile_configs,
};

#[test]
fn optimizers_are_those_of_keras() {
    for case in cases::read("optimizers.safetensors") {
        let sgd = SGD::new(0.1);
        match case.name.as_str() {
            "sgd" => check(&case, SGD::default()),
            "sgd_momentum" => check(&case, sgd.momentum(0.9)),
            "sgd_nesterov" => check(&case, sgd.momentum(0.9).nesterov(true)),
            "sgd_weight_decay" => check(&case, sgd.weight_decay(0.05)),
            "sgd_weight_decay_of_kernels" => {
                check(&case, sgd.weight_decay(0.5).exclude_from_weight_decay(BIASES_AND_NORMALIZATION));
            }
            "sgd_clipnorm" => check(&case, sgd.clipnorm(1.0)),
            "sgd_clipvalue" => check(&case, sgd.clipvalue(0.5)),
            "sgd_global_clipnorm" => check(&case, sgd.global_clipnorm(2.5)),
            "sgd_ema" => check(&case, sgd.use_ema(true)),
            "sgd_ema_overwrite" => check(&case, sgd.use_ema(true).ema_momentum(0.5).ema_overwrite_frequency(2)),
            "sgd_accumulation" => check(&case, sgd.momentum(0.9).gradient_accumulation_steps(2)),
            "adam" => check(&case, Adam::default()),
            "adam_options" => check(&case, Adam::new(0.01).beta_1(0.8).beta_2(0.9).epsilon(1e-3)),
            "adam_amsgrad" => check(&case, Adam::new(0.1).beta_2(0.5).amsgrad(true)),
            "adam_everything" => {
                let adam = Adam::new(ExponentialDecay::new(0.5, 2, 0.5)).weight_decay(0.1).global_clipnorm(1.0);
                let averaged = adam.use_ema(true).ema_momentum(0.5).ema_overwrite_frequency(2);
                check(&case, averaged.gradient_accumulation_steps(2));
            }
            "adamw" => check(&case, AdamW::default()),
            "adamw_large_rate" => check(&case, AdamW::new(0.5)),
            "adamw_options" => {
                let adamw = AdamW::new(0.1).weight_decay(0.5).beta_1(0.8).beta_2(0.9);
                check(&case, adamw.epsilon(1e-3).amsgrad(true));
            }
            "rmsprop" => check(&case, RMSprop::new(0.1)),
            "rmsprop_momentum" => check(&case, RMSprop::new(0.1).rho(0.8).momentum(0.5).epsilon(1e-3)),
            "rmsprop_centered" => check(&case, RMSprop::new(0.1).centered(true)),
            "rmsprop_centered_momentum" => check(&case, RMSprop::new(0.1).momentum(0.5).centered(true)),
            "adagrad" => check(&case, Adagrad::new(0.5)),
            "adagrad_options" => check(&case, Adagrad::new(0.5).initial_accumulator_value(2.0).epsilon(0.1)),
            "adadelta" => check(&case, Adadelta::new(1000.0)),
            "adadelta_options" => check(&case, Adadelta::new(10.0).rho(0.5).epsilon(1e-2)),
            "adamax" => check(&case, Adamax::new(0.1)),
            "adamax_options" => check(&case, Adamax::new(0.1).beta_1(0.5).beta_2(0.75).epsilon(0.1)),
            "nadam" => check(&case, Nadam::new(0.1)),
            "nadam_options" => check(&case, Nadam::new(0.1).beta_1(0.5).beta_2(0.75).epsilon(0.1)),
            "lion" => check(&case, Lion::new(0.1)),
            "lion_options" => check(&case, Lion::new(0.1).beta_1(0.25).beta_2(0.5)),
            name => panic!("the case {name} is not tested; add its optimizer here"),
        }
    }
}

fn check(case: &Case, optimizer: impl Optimizer) {
    let plan = Sequential::new([1]).add(Activation::Linear);
    let model = plan.compile(optimizer.clone(), MeanSquaredError, []).unwrap();
    compile_configs::check("optimizers", &case.name, model);
    steps::<f32>(case, &optimizer);
    steps::<f64>(case, &optimizer);
}

/// Fits of one step to five, each from the start.
fn steps<T: Scalar>(case: &Case, optimizer: &impl Optimizer) {
    let gradient = |t| [case.tensor::<T>(&format!("g{t}")), case.tensor(&format!("h{t}"))];
    for n in 1..=5 {
        let mut model = Sequential::new([1]).add(KernelAndBias).build_as::<T>().unwrap();
        model.set_weights(&[case.tensor("w0"), case.tensor("b0")]).unwrap();
        model.compile(optimizer.clone(), Product, []).unwrap();
        let gradients = (0..n).flat_map(gradient).flat_map(|gradient| gradient.data().to_vec()).collect();
        let y = Tensor::new([n, 9], gradients).unwrap();
        model.fit(&Tensor::<T>::zeros([n, 1]), &y, Fit::new().batch_size(1).shuffle(false).verbose(0)).unwrap();
        let weights = model.get_weights();
        case.assert_close(&format!("w{n}"), &weights[0], 0.0);
        case.assert_close(&format!("b{n}"), &weights[1], 0.0);
    }
}

#[test]
fn default_rates_are_those_of_keras() {
    fn rate(optimizer: impl Optimizer) -> f64 {
        optimizer.base().learning_rate().at(0)
    }
    assert_eq!(rate(SGD::default()), 0.01);
    let rates = [
        rate(Adam::default()),
        rate(AdamW::default()),
        rate(RMSprop::default()),
        rate(Adagrad::default()),
        rate(Adadelta::default()),
        rate(Adamax::default()),
        rate(Nadam::default()),
        rate(Lion::default()),
    ];
    assert_eq!(rates, [0.001; 8]);
}

#[test]
fn schedules_are_those_of_keras() {
    for case in cases::read("schedules.safetensors") {
        let polynomial = PolynomialDecay::new(0.1, 50);
        match case.name.as_str() {
            "exponential_decay" => rates(&case, ExponentialDecay::new(0.1, 10, 0.5)),
            "exponential_decay_staircase" => rates(&case, ExponentialDecay::new(0.1, 10, 0.5).staircase(true)),
            "inverse_time_decay" => rates(&case, InverseTimeDecay::new(0.1, 10, 0.5)),
            "inverse_time_decay_staircase" => rates(&case, InverseTimeDecay::new(0.1, 10, 0.5).staircase(true)),
            "polynomial_decay" => rates(&case, polynomial),
            "polynomial_decay_options" => rates(&case, polynomial.end_learning_rate(0.01).power(2.0)),
            "polynomial_decay_cycle" => {
                rates(&case, PolynomialDecay::new(0.1, 10).end_learning_rate(0.01).power(0.5).cycle(true));
            }
            "piecewise_constant_decay" => rates(&case, PiecewiseConstantDecay::new([10, 30], [0.1, 0.05, 0.01])),
            "cosine_decay" => rates(&case, CosineDecay::new(0.1, 50)),
            "cosine_decay_alpha" => rates(&case, CosineDecay::new(0.1, 50).alpha(0.25)),
            "cosine_decay_warmup" => {
                rates(&case, CosineDecay::new(0.01, 50).alpha(0.25).warmup_target(0.1).warmup_steps(20));
            }
            "cosine_decay_restarts" => rates(&case, CosineDecayRestarts::new(0.1, 10)),
            "cosine_decay_restarts_options" => {
                rates(&case, CosineDecayRestarts::new(0.1, 10).t_mul(1.5).m_mul(0.5).alpha(0.25));
            }
            "cosine_decay_restarts_even" => rates(&case, CosineDecayRestarts::new(0.1, 10).t_mul(1.0).m_mul(0.5)),
            name => panic!("the case {name} is not tested; add its schedule here"),
        }
    }
}

fn rates(case: &Case, schedule: impl Schedule + Clone) {
    schedule.check().unwrap();
    let plan = Sequential::new([1]).add(Activation::Linear);
    let model = plan.compile(SGD::new(schedule.clone()), MeanSquaredError, []).unwrap();
    compile_configs::check("schedules", &case.name, model);
    let rates: Vec<f64> = case.get("step").data().iter().map(|&step| schedule.rate(step as u64)).collect();
    case.assert_close("rate", &Tensor::new([rates.len()], rates.clone()).unwrap(), 0.0);
}

/// A layer that answers with its weights: a kernel [2, 3] and a bias [3], one after the other.
#[derive(Clone, Debug)]
struct KernelAndBias;

#[derive(Debug)]
struct BuiltKernelAndBias([ParamId; 2]);

impl LayerConfig for KernelAndBias {
    type Built = BuiltKernelAndBias;

    fn class_name(&self) -> &'static str {
        "KernelAndBias"
    }

    fn build(&self, cx: &mut Build) -> cornu::Result<(BuiltKernelAndBias, Shape)> {
        let kernel = cx.weight("kernel", [2, 3], Initializer::Zeros)?;
        let bias = cx.weight("bias", [3], Initializer::Zeros)?;
        Ok((BuiltKernelAndBias([kernel, bias]), [9].into()))
    }
}

impl Layer for BuiltKernelAndBias {
    type Work<T: Scalar> = ();

    fn forward<T: Scalar>(&self, cx: &mut Forward<T>, _: &mut (), _: View<T>, y: ViewMut<T>) {
        let (kernel, bias) = y.data.split_at_mut(6);
        kernel.copy_from_slice(cx.param(self.0[0]));
        bias.copy_from_slice(cx.param(self.0[1]));
    }

    fn backward<T: Scalar>(&self, cx: &mut Backward<T>, _: &mut (), taped: Taped<T>, _: Option<ViewMut<T>>) {
        let (kernel, bias) = taped.dy.data.split_at(6);
        cx.grads.of(self.0[0]).copy_from_slice(kernel);
        cx.grads.of(self.0[1]).copy_from_slice(bias);
    }
}

/// The sum of `target * prediction`, whose gradient to the prediction is the target.
#[derive(Clone, Debug)]
struct Product;

impl Loss for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn sample(&self, target: Target, prediction: &[f64], _: usize, gradient: Option<&mut [f64]>) -> f64 {
        if let Some(gradient) = gradient {
            gradient.copy_from_slice(target.values());
        }
        target.values().iter().zip(prediction).map(|(t, p)| t * p).sum()
    }
}
