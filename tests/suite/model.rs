//! How a model behaves: what is reproducible, which samples it learns from, what it reports.

use cornu::{
    Scalar,
    layers::{Backward, Build, Forward, Layer, LayerConfig, Taped},
    params::ParamId,
    prelude::*,
    tensor::{View, ViewMut},
};

/// The network of the MNIST example.
fn reference() -> Model {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
        .unwrap()
}

/// Four features, three classes, sparse labels.
fn classifier(optimizer: impl Optimizer) -> Model {
    Sequential::new([4])
        .add(Dense::new(16).activation(Activation::Relu))
        .add(Dense::new(3).activation(Activation::Softmax))
        .compile(optimizer, SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
        .unwrap()
}

/// One feature, one number, no bias; the weight starts at 0.
fn line(optimizer: impl Optimizer) -> Model {
    let layer = Dense::new(1).use_bias(false).kernel_initializer(Initializer::Zeros);
    Sequential::new([1]).add(layer).compile(optimizer, MeanSquaredError, [Metric::MeanAbsoluteError]).unwrap()
}

/// `n` samples of four features whose class is the largest of the first three.
fn task(n: usize) -> (Tensor, Labels) {
    let x = Tensor::random_normal([n, 4], 0.0, 1.0, 1);
    let class = |row: View<f32>| (1..3).fold(0, |best, i| if row.data[i] > row.data[best] { i } else { best });
    let y = x.view().samples().map(class).collect::<Vec<_>>();
    (x, y.try_into().unwrap())
}

/// `n` images of noise and labels of ten classes.
fn images(n: usize) -> (Tensor, Labels) {
    let x = Tensor::random_uniform([n, 28, 28, 1], 0.0, 1.0, 2);
    (x, (0..n).map(|i| (i * 7 % 10) as u8).collect::<Vec<_>>().into())
}

/// `n` rows of one number.
fn column(n: usize, f: impl Fn(usize) -> f32) -> Tensor {
    Tensor::from_fn([n, 1], |[i, _]| f(i))
}

fn quiet<'a>() -> Fit<'a> {
    Fit::new().verbose(0)
}

fn bits(model: &Model) -> Vec<u32> {
    model.params().iter().map(|weight| weight.to_bits()).collect()
}

mod reproducibility {
    use super::*;

    /// The bits of the weights after training with `threads` threads.
    fn trained(threads: usize, model: fn() -> Model, (x, y): &(Tensor, Labels), seed: u64) -> Vec<u32> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut model = model();
            model.fit(x, y, quiet().epochs(2).batch_size(64).seed(seed)).unwrap();
            bits(&model)
        })
    }

    #[test]
    fn the_reference_network_has_the_same_bits_for_any_number_of_threads() {
        // The last batch holds 44 samples.
        let data = images(300);
        let one = trained(1, reference, &data, 3);
        assert_ne!(one, bits(&reference()));
        for threads in [2, 8] {
            assert!(trained(threads, reference, &data, 3) == one, "{threads} threads");
        }
    }

    #[test]
    fn a_dense_network_has_the_same_bits_for_any_number_of_threads() {
        let wide = || {
            Sequential::new([4])
                .add(Dense::new(300).activation(Activation::Tanh))
                .add(Dense::new(200).activation(Activation::Silu))
                .add(Dense::new(3).activation(Activation::Softmax))
                .compile(SGD::new(0.1).momentum(0.9), SparseCategoricalCrossentropy::default(), [])
                .unwrap()
        };
        let data = task(150);
        let one = trained(1, wide, &data, 3);
        assert_ne!(one, bits(&wide()));
        for threads in [2, 8] {
            assert!(trained(threads, wide, &data, 3) == one, "{threads} threads");
        }
        assert!(trained(1, wide, &data, 4) != one, "another seed shuffles otherwise");
    }

    #[test]
    fn a_network_with_random_and_normalizing_layers_has_the_same_bits_for_any_number_of_threads() {
        let random = || {
            Sequential::new([28, 28, 1])
                .add(GaussianNoise::new(0.1))
                .add(Conv2D::new(8, 3).strides(2))
                .add(PReLU::new().shared_axes([1, 2]))
                .add(LayerNormalization::new().axis([1, 2]))
                .add(SpatialDropout2D::new(0.3))
                .add(UpSampling2D::default().interpolation(Interpolation::Bilinear))
                .add(GlobalAveragePooling2D::new())
                .add(Dense::new(10).activation(Activation::Softmax))
                .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [])
                .unwrap()
        };
        let data = images(150);
        let one = trained(1, random, &data, 3);
        for threads in [2, 8] {
            assert!(trained(threads, random, &data, 3) == one, "{threads} threads");
        }
    }

    #[test]
    fn the_seed_of_a_plan_decides_the_initial_weights() {
        let weights = |seed| bits(&Sequential::new([4]).add(Dense::new(3)).seed(seed).build().unwrap());
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
    }

    #[test]
    fn training_again_goes_on_where_it_ended() {
        let (x, y) = task(50);
        let fit = |model: &mut Model, epochs| model.fit(&x, &y, quiet().epochs(epochs).batch_size(16).seed(5)).unwrap();
        let (mut once, mut twice) = (classifier(Adam::default()), classifier(Adam::default()));
        let history = fit(&mut once, 2);
        let halves = [fit(&mut twice, 1), fit(&mut twice, 1)];
        assert_eq!(bits(&once), bits(&twice));
        let losses: Vec<f64> = halves.iter().flat_map(|history| history.get("loss").unwrap()).collect();
        assert_eq!(history.get("loss").unwrap(), losses);
    }

    #[test]
    fn compiling_again_keeps_the_weights_and_forgets_the_optimizer() {
        let (x, y) = task(50);
        let mut trained = classifier(Adam::default());
        trained.fit(&x, &y, quiet()).unwrap();
        let mut fresh = classifier(Adam::default());
        fresh.set_weights(&trained.get_weights()).unwrap();

        let weights = bits(&trained);
        trained.compile(Adam::default(), SparseCategoricalCrossentropy::default(), []).unwrap();
        assert_eq!(bits(&trained), weights);
        for model in [&mut trained, &mut fresh] {
            model.fit(&x, &y, quiet()).unwrap();
        }
        assert_eq!(bits(&trained), bits(&fresh));
    }

    #[test]
    fn a_clone_is_independent_and_goes_on_alike() {
        let (x, y) = task(50);
        let mut model = classifier(Adam::default());
        model.fit(&x, &y, quiet()).unwrap();
        let (before, mut clone) = (bits(&model), model.clone());
        clone.fit(&x, &y, quiet()).unwrap();
        assert_eq!(bits(&model), before);
        assert_ne!(bits(&clone), before);
        model.fit(&x, &y, quiet()).unwrap();
        assert_eq!(bits(&model), bits(&clone));
    }
}

mod samples {
    use super::*;

    #[test]
    fn without_shuffling_samples_are_seen_in_their_order() {
        // Each step leaves w = y: the gradient is 2 (w - y), the rate a half. So the epoch's loss tells the order.
        let y = [1.0, 4.0, 2.0, 8.0, 3.0, 16.0, 9.0];
        let epoch = |shuffle| {
            let mut model = line(SGD::new(0.5));
            let options = quiet().batch_size(1).shuffle(shuffle);
            let history = model.fit(&column(7, |_| 1.0), &column(7, |i| y[i]), options).unwrap();
            (history.epochs[0].train.loss, model.params()[0])
        };
        let squares = [1.0, 9.0, 4.0, 36.0, 25.0, 169.0, 49.0];
        assert_eq!(epoch(false), (squares.iter().sum::<f64>() / 7.0, 9.0));
        assert_ne!(epoch(true), epoch(false));
    }

    #[test]
    fn every_sample_is_seen_once_an_epoch() {
        // At a rate of 0 the weight stays 0, and the loss is the mean of y^2 in any order.
        let mut model = line(SGD::new(0.0));
        let options = quiet().epochs(3).batch_size(4);
        let history = model.fit(&column(11, |_| 1.0), &column(11, |i| i as f32), options).unwrap();
        assert_eq!(history.get("loss"), Some(vec![35.0; 3]));
        assert_eq!(history.get("mae"), Some(vec![5.0; 3]));
    }

    #[test]
    fn a_validation_split_takes_the_last_samples() {
        let (x, y) = (column(10, |_| 1.0), column(10, |i| if i < 7 { 1.0 } else { 3.0 }));
        let mut model = line(SGD::new(0.0));
        let history = model.fit(&x, &y, quiet().validation_split(0.3)).unwrap();
        assert_eq!((history.get("loss"), history.get("val_loss")), (Some(vec![1.0]), Some(vec![9.0])));
        // Nothing is learned from them.
        let mut model = line(SGD::new(0.5));
        model.fit(&x, &y, quiet().validation_split(0.3).batch_size(7)).unwrap();
        assert_eq!(model.params(), [1.0]);
    }

    #[test]
    fn validation_data_is_evaluated_after_the_epoch() {
        let ((x, y), (x_val, y_val)) = (task(50), task(20));
        let mut model = classifier(Adam::default());
        let history = model.fit(&x, &y, quiet().validation_data(&x_val, &y_val)).unwrap();
        assert_eq!(history.epochs[0].validation, Some(model.evaluate(&x_val, &y_val).unwrap()));
    }

    #[test]
    fn a_weight_of_zero_takes_a_sample_out_of_the_gradient() {
        let (x, y) = task(40);
        let kept: Vec<usize> = (0..40).filter(|i| i % 2 == 0).collect();
        let weights: Vec<f32> = (0..40).map(|i| if i % 2 == 0 { 1.0 } else { 0.0 }).collect();
        let mut weighted = classifier(SGD::new(0.5));
        weighted.fit(&x, &y, quiet().batch_size(40).shuffle(false).sample_weight(&weights)).unwrap();
        // The sum is divided by all 40 samples, so the 20 alone move the weights as far at half the rate.
        let mut alone = classifier(SGD::new(0.25));
        let (x, y) = (x.gather(&kept).unwrap(), y.gather(&kept).unwrap());
        alone.fit(&x, &y, quiet().batch_size(40).shuffle(false)).unwrap();
        assert_close(&weighted, &alone);
        assert_ne!(bits(&weighted), bits(&classifier(SGD::new(0.5))));
    }

    #[test]
    fn a_class_weight_of_zero_takes_its_samples_out_of_the_gradient() {
        let (x, y) = task(40);
        let by_class = |class| if class == 1 { 0.0 } else { 1.0 };
        let by_sample: Vec<f32> = y.iter().map(by_class).collect();
        let (mut by_classes, mut by_samples) = (classifier(SGD::new(0.5)), classifier(SGD::new(0.5)));
        let losses = [
            by_classes.fit(&x, &y, quiet().class_weight([(1, 0.0)])).unwrap().get("loss"),
            by_samples.fit(&x, &y, quiet().sample_weight(&by_sample)).unwrap().get("loss"),
        ];
        assert_eq!(bits(&by_classes), bits(&by_samples));
        assert_eq!(losses[0], losses[1]);

        // Only class 1: nothing moves, and the loss is 0.
        let only: Vec<usize> = (0..40).filter(|&i| y.get(i) == Some(1)).collect();
        let mut model = classifier(Adam::default());
        let before = bits(&model);
        let (x, y) = (x.gather(&only).unwrap(), y.gather(&only).unwrap());
        let history = model.fit(&x, &y, quiet().class_weight([(1, 0.0)])).unwrap();
        assert_eq!((bits(&model), history.get("loss")), (before, Some(vec![0.0])));
    }

    #[test]
    fn weights_multiply_the_loss_but_not_the_metrics_nor_the_validation_by_class() {
        let (x, y) = (column(8, |_| 1.0), Labels::from(vec![1u8; 8]));
        let mut model = Sequential::new([1])
            .add(Dense::new(2).kernel_initializer(Initializer::Zeros).activation(Activation::Softmax))
            .compile(SGD::new(0.0), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
            .unwrap();
        let history = model.fit(&x, &y, quiet().validation_split(0.5).class_weight([(1, 3.0)])).unwrap();
        let (loss, val_loss) = (history.get("loss").unwrap()[0], history.get("val_loss").unwrap()[0]);
        approx::assert_relative_eq!(loss, 3.0 * 2f64.ln(), max_relative = 1e-12);
        approx::assert_relative_eq!(val_loss, 2f64.ln(), max_relative = 1e-12);
        assert_eq!(history.get("accuracy"), Some(vec![0.0]));
    }

    #[test]
    fn bytes_are_numbers() {
        let bytes = Tensor::from_fn([60, 4], |[i, j]| ((i * 31 + j * 57) % 256) as u8);
        let (numbers, y) = (bytes.map(f32::from), task(60).1);
        let (mut a, mut b) = (classifier(Adam::default()), classifier(Adam::default()));
        let options = || quiet().epochs(2).batch_size(16).validation_split(0.25);
        assert_eq!(
            a.fit(&bytes, &y, options()).unwrap().get("val_loss"),
            b.fit(&numbers, &y, options()).unwrap().get("val_loss")
        );
        assert_eq!(bits(&a), bits(&b));
        assert_eq!(a.predict(&bytes).unwrap(), a.predict(&numbers).unwrap());
        assert_eq!(a.evaluate(&bytes, &y).unwrap(), a.evaluate(&numbers, &y).unwrap());
        assert_eq!(a.predict_classes(&bytes).unwrap(), a.predict(&numbers).unwrap().argmax(1).unwrap());
    }

    #[track_caller]
    fn assert_close(a: &Model, b: &Model) {
        for (a, b) in a.params().iter().zip(b.params()) {
            approx::assert_relative_eq!(a, b, epsilon = 1e-6, max_relative = 1e-5);
        }
    }
}

mod prediction {
    use super::*;

    #[test]
    fn the_batch_size_changes_no_bit() {
        let (x, y) = images(37);
        let model = reference();
        let expected = model.predict(&x).unwrap();
        let score = model.evaluate(&x, &y).unwrap();
        for batch_size in [1, 2, 5, 16, 36, 37, 1000] {
            assert!(model.predict_with(&x, batch_size).unwrap() == expected, "batches of {batch_size}");
            assert_eq!(model.evaluate_with(&x, &y, batch_size).unwrap(), score, "batches of {batch_size}");
        }
    }

    #[test]
    fn threads_share_a_model() {
        let (x, _) = images(8);
        let model = reference();
        let expected = model.predict(&x).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| model.predict(&x).unwrap())).collect();
            for thread in threads {
                assert!(thread.join().unwrap() == expected);
            }
        });
    }

    #[test]
    fn the_first_predictions_may_come_from_within_the_pool() {
        use rayon::prelude::*;

        let (x, _) = images(8);
        for _ in 0..50 {
            let model = reference();
            let all: Vec<_> = (0..16).into_par_iter().map(|_| model.predict(&x).unwrap()).collect();
            assert!(all.iter().all(|y| *y == all[0]));
        }
    }

    #[test]
    fn evaluation_is_that_of_the_predictions() {
        let (x, y) = task(50);
        let mut model = classifier(Adam::default());
        let (p, score) = (model.predict(&x).unwrap(), model.evaluate(&x, &y).unwrap());
        let loss = y.iter().enumerate().map(|(i, label)| -f64::from(p[[i, label]]).ln()).sum::<f64>() / 50.0;
        approx::assert_relative_eq!(score.loss, loss, max_relative = 1e-5);
        let right = y.iter().zip(model.predict_classes(&x).unwrap().iter()).filter(|(y, p)| y == p).count();
        assert_eq!(score.accuracy(), Some(right as f64 / 50.0));

        model.compile(SGD::default(), MeanSquaredError, [Metric::MeanAbsoluteError]).unwrap();
        let targets = Tensor::random_normal([50, 3], 0.0, 1.0, 9);
        let errors = p.data().iter().zip(targets.data()).map(|(p, t)| f64::from(*p) - f64::from(*t));
        let score = model.evaluate(&x, &targets).unwrap();
        approx::assert_relative_eq!(
            score.loss,
            errors.clone().map(|e| e * e).sum::<f64>() / 150.0,
            max_relative = 1e-5
        );
        let mae = errors.map(f64::abs).sum::<f64>() / 150.0;
        approx::assert_relative_eq!(score.get("mae").unwrap(), mae, max_relative = 1e-5);
    }
}

mod history {
    use super::*;

    #[test]
    fn curves_have_a_value_an_epoch() {
        let (x, y) = task(50);
        let mut model = classifier(Adam::default());
        let history = model.fit(&x, &y, quiet().epochs(3).validation_split(0.2)).unwrap();
        for name in ["loss", "accuracy", "val_loss", "val_accuracy"] {
            assert_eq!(history.get(name).map(|curve| curve.len()), Some(3), "{name}");
        }
        let history = model.fit(&x, &y, quiet().epochs(3)).unwrap();
        for name in ["val_loss", "val_accuracy", "mse", "val_mse", ""] {
            assert_eq!(history.get(name), None, "{name}");
        }
        assert_eq!(model.fit(&x, &y, quiet().epochs(0)).unwrap().epochs, []);
    }

    #[track_caller]
    fn warns(x: &Tensor, y: &Labels, options: Fit, words: &str) {
        let mut model = Sequential::new(x.shape().sample())
            .add(Flatten::new())
            .add(Dense::new(3).activation(Activation::Softmax))
            .compile(SGD::new(1e-9), SparseCategoricalCrossentropy::default(), [])
            .unwrap();
        match model.fit(x, y, options.verbose(0)) {
            Ok(_) | Err(Error::NotFinite { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        match model.history().warnings.as_slice() {
            [] => assert_eq!(words, "", "no warning"),
            [warning] => assert!(!words.is_empty() && warning.contains(words), "{warning}"),
            warnings => panic!("several warnings: {warnings:?}"),
        }
    }

    #[test]
    fn suspicious_data_is_told() {
        let fine = Tensor::random_uniform([30, 4, 4, 1], 0.0, 1.0, 1);
        let y = task(30).1;
        let sorted: Labels = (0..30).map(|i| (i / 10) as u8).collect::<Vec<_>>().into();
        warns(&fine, &y, quiet(), "");
        warns(&fine, &y, quiet().validation_split(0.3), "");
        warns(&fine, &sorted, quiet(), "");
        warns(&fine, &sorted, quiet().validation_split(0.4), "classes that the training part lacks: {2}");
        warns(&fine, &Labels::from(vec![1u8; 30]), quiet(), "all samples to train on are of class 1");
        warns(&(&fine * 255.0), &y, quiet(), "scale them to 0..1");
        warns(&(&fine * 255.0).reshape([30, 16]).unwrap(), &y, quiet(), "");
        for bad in [f32::NAN, f32::INFINITY] {
            let mut broken = fine.clone();
            broken[[17, 1, 2, 0]] = bad;
            warns(&broken, &y, quiet(), "x holds NaN or infinity");
        }
    }
}

mod learning {
    use super::*;

    #[test]
    fn the_loss_falls() {
        #[track_caller]
        fn falls(optimizer: impl Optimizer) {
            let (x, y) = task(200);
            let mut model = classifier(optimizer);
            let before = model.evaluate(&x, &y).unwrap();
            let losses = model.fit(&x, &y, quiet().epochs(20)).unwrap().get("loss").unwrap();
            let after = model.evaluate(&x, &y).unwrap();
            assert!(losses[0] < before.loss && losses[19] < 0.5 * losses[0], "{losses:?}");
            assert!(after.loss < 0.4 * before.loss && after.accuracy().unwrap() > 0.9, "{before}, then {after}");
        }
        falls(SGD::new(0.1));
        falls(SGD::new(0.02).momentum(0.9).nesterov(true));
        falls(Adam::new(0.01));
    }

    /// `y = x * scale + shift`, elementwise; the scale is a constant, the shift is learned.
    #[derive(Clone, Debug)]
    struct Affine;

    #[derive(Debug)]
    struct BuiltAffine {
        scale: ParamId,
        shift: ParamId,
    }

    impl LayerConfig for Affine {
        type Built = BuiltAffine;

        fn class_name(&self) -> &'static str {
            "Affine"
        }

        fn build(&self, cx: &mut Build) -> cornu::Result<(BuiltAffine, Shape)> {
            let input = cx.input();
            let scale = cx.constant("scale", input, Initializer::Constant(2.0))?;
            let shift = cx.weight("shift", input, Initializer::Zeros)?;
            Ok((BuiltAffine { scale, shift }, input))
        }
    }

    impl Layer for BuiltAffine {
        type Work<T: Scalar> = ();

        fn forward<T: Scalar>(&self, cx: &mut Forward<T>, _: &mut (), x: View<T>, y: ViewMut<T>) {
            let weights = cx.param(self.scale).iter().zip(cx.param(self.shift)).cycle();
            for ((y, &x), (&scale, &shift)) in y.data.iter_mut().zip(x.data).zip(weights) {
                *y = x * scale + shift;
            }
        }

        fn backward<T: Scalar>(&self, cx: &mut Backward<T>, _: &mut (), taped: Taped<T>, dx: Option<ViewMut<T>>) {
            let scale = cx.param(self.scale);
            for (x, dy) in taped.x.data.chunks_exact(scale.len()).zip(taped.dy.data.chunks_exact(scale.len())) {
                for i in 0..scale.len() {
                    // A gradient to a constant moves nothing.
                    cx.grads.of(self.scale)[i] += dy[i] * x[i];
                    cx.grads.of(self.shift)[i] += dy[i];
                }
            }
            if let Some(dx) = dx {
                for ((dx, &dy), &scale) in dx.data.iter_mut().zip(&*taped.dy.data).zip(scale.iter().cycle()) {
                    *dx = dy * scale;
                }
            }
        }
    }

    #[test]
    fn constants_are_not_moved() {
        let (x, y) = task(50);
        let mut model = Sequential::new([4])
            .add(Dense::new(8).activation(Activation::Tanh))
            .add(Affine)
            .add(Dense::new(3).activation(Activation::Softmax))
            .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [])
            .unwrap();
        let before = model.get_weights();
        model.fit(&x, &y, quiet().epochs(2)).unwrap();
        for ((info, before), after) in model.layout().infos().iter().zip(before).zip(model.get_weights()) {
            assert_eq!(before == after, info.name == "affine/scale", "{}", info.name);
        }
        assert!(model.summary().to_string().contains("Non-trainable params: 8"));
    }
}
