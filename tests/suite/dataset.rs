//! Training on data sets: as `fit` trains, to the bit, and whatever ends it, it ends.

use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use cornu::prelude::*;

fn task(n: usize) -> (Tensor, Labels) {
    let x = Tensor::random_normal([n, 8, 8, 1], 0.0, 1.0, 1);
    let label = |sample: &[f32]| u32::from(sample.iter().sum::<f32>() > 0.0) + u32::from(sample[0] > 0.5);
    let y: Vec<u32> = x.data().chunks_exact(64).map(label).collect();
    (x, y.into())
}

/// A network with all that depends on more than the sample: the batch, the step, and weights that no gradient moves.
fn network() -> Model {
    Sequential::new([8, 8, 1])
        .add(Conv2D::new(4, 3).kernel_regularizer(Regularizer::l2(0.01)))
        .add(BatchNormalization::new())
        .add(Activation::Relu)
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dropout::new(0.3))
        .add(Dense::new(3).activation(Activation::Softmax))
        .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])
        .unwrap()
}

fn quiet<'a>() -> Fit<'a> {
    Fit::new().verbose(0).seed(5)
}

/// Two models are the same, and so are the figures of their trainings.
#[track_caller]
fn assert_same(a: (&Model, History), b: (&Model, History)) {
    for figure in ["loss", "accuracy", "val_loss", "val_accuracy"] {
        assert_eq!(a.1.get(figure), b.1.get(figure), "{figure}");
    }
    assert_eq!(a.0.params(), b.0.params());
    assert_eq!(a.0.optimizer_state().unwrap(), b.0.optimizer_state().unwrap());
}

/// Samples that are given as they are, epoch after epoch.
fn batches(x: &Tensor, y: &Labels, sizes: &[usize]) -> impl Dataset {
    let mut start = 0;
    let batch = |&size: &usize| {
        let range = start..start + size;
        start = range.end;
        Batch::new(x.slice(range.clone()).unwrap().to_tensor(), y.slice(range).unwrap())
    };
    let batches: Vec<Batch> = sizes.iter().map(batch).collect();
    dataset::from_fn(batches.len(), move |_, batch| Ok(batches[batch].clone()))
}

mod same_as_fit {
    use super::*;

    #[test]
    fn in_order() {
        let (x, y) = task(75);
        let (mut a, mut b) = (network(), network());
        let options = || quiet().epochs(3).validation_data(&x, &y);
        let of_fit = a.fit(&x, &y, options().batch_size(20).shuffle(false)).unwrap();
        let of_batches = b.fit_dataset(&batches(&x, &y, &[20, 20, 20, 15]), options()).unwrap();
        assert_same((&a, of_fit), (&b, of_batches));
    }

    #[test]
    fn shuffled_and_continued() {
        let (x, y) = task(75);
        let (mut a, mut b) = (network(), network());
        let of_fit = a.fit(&x, &y, quiet().epochs(4)).unwrap();
        let dataset = TensorDataset::new(&x, &y).unwrap().seed(5);
        let first = b.fit_dataset(&dataset, quiet().epochs(3)).unwrap();
        let second = b.fit_dataset(&dataset, quiet()).unwrap();
        let epochs = first.epochs.into_iter().chain(second.epochs).collect();
        assert_same((&a, of_fit), (&b, History { epochs, warnings: Vec::new() }));
    }

    #[test]
    fn batches_of_any_size() {
        let (x, y) = task(41);
        let (mut a, mut b) = (network(), network());
        let sizes = [3, 20, 1, 10, 7];
        let mut start = 0;
        for size in sizes {
            let range = start..start + size;
            start = range.end;
            let (x, y) = (x.slice(range.clone()).unwrap(), y.slice(range).unwrap());
            a.fit(x, &y, quiet().batch_size(100).shuffle(false)).unwrap();
        }
        b.fit_dataset(&batches(&x, &y, &sizes), quiet()).unwrap();
        assert_eq!(a.params(), b.params());
    }

    #[test]
    fn bytes() {
        let (x, y) = task(50);
        let x = x.map(|x| (x.abs() * 50.0) as u8);
        let (mut a, mut b) = (network(), network());
        let of_fit = a.fit(&x, &y, quiet().epochs(2)).unwrap();
        let dataset = TensorDataset::new(&x, &y).unwrap().seed(5);
        let of_dataset = b.fit_dataset(&dataset, quiet().epochs(2)).unwrap();
        assert_same((&a, of_fit), (&b, of_dataset));
    }

    #[test]
    fn numbers_in_double_precision() {
        let (x, y) = (Tensor::random_normal([20, 3], 0.0, 1.0, 1), Tensor::random_normal([20, 2], 0.0, 1.0, 2));
        let plan = Sequential::new([3]).add(Dense::new(2));
        let mut a = plan.build_as::<f64>().unwrap();
        a.compile(SGD::new(0.1), MeanSquaredError, []).unwrap();
        let mut b = a.clone();
        a.fit(&x, &y, Fit::new().verbose(0)).unwrap();
        b.fit_dataset(&TensorDataset::new(&x, &y).unwrap(), Fit::new().verbose(0)).unwrap();
        assert_eq!(a.params(), b.params());
    }

    #[test]
    fn class_weights() {
        let (x, y) = task(50);
        let (mut a, mut b) = (network(), network());
        let options = || quiet().class_weight([(0, 3.0), (2, 0.5)]);
        let of_fit = a.fit(&x, &y, options().batch_size(25).shuffle(false)).unwrap();
        let of_batches = b.fit_dataset(&batches(&x, &y, &[25, 25]), options()).unwrap();
        assert_same((&a, of_fit), (&b, of_batches));
    }

    #[test]
    fn sample_weights() {
        let (x, y) = task(50);
        let weights: Vec<f32> = (0..50).map(|i| i as f32 / 25.0).collect();
        let weighed = dataset::from_fn(2, |_, batch| {
            let range = batch * 25..(batch + 1) * 25;
            let (x, y) = (x.slice(range.clone())?.to_tensor(), y.slice(range.clone())?);
            Ok(Batch::new(x, y).sample_weight(&weights[range]))
        });
        let (mut a, mut b) = (network(), network());
        let of_fit = a.fit(&x, &y, quiet().batch_size(25).shuffle(false).sample_weight(&weights)).unwrap();
        let of_batches = b.fit_dataset(&weighed, quiet()).unwrap();
        assert_same((&a, of_fit), (&b, of_batches));

        let classes = network().fit_dataset(&weighed, quiet().class_weight([(0, 2.0)])).unwrap_err().to_string();
        assert_eq!(classes, "fit_dataset: epoch 1, batch 1: give sample_weight or class_weight, not both");
    }

    #[test]
    fn evaluation_and_validation() {
        let (x, y) = task(75);
        let dataset = batches(&x, &y, &[20, 1, 54]);
        let (mut a, mut b) = (network(), network());
        assert_eq!(a.evaluate(&x, &y).unwrap(), a.evaluate_dataset(&dataset).unwrap());
        let of_data = a.fit(&x, &y, quiet().epochs(2).validation_data(&x, &y)).unwrap();
        let of_dataset = b.fit(&x, &y, quiet().epochs(2).validation_dataset(&dataset)).unwrap();
        assert_same((&a, of_data), (&b, of_dataset));
    }
}

#[test]
fn each_epoch_is_asked_for_by_its_number() {
    let (x, y) = task(4);
    let asked = Mutex::new(Vec::new());
    let dataset = |name| {
        let (x, y, asked) = (&x, &y, &asked);
        dataset::from_fn(1, move |epoch, _| {
            asked.lock().unwrap().push((name, epoch));
            Ok(Batch::new(x.clone(), y.clone()))
        })
    };
    let (train, validation) = (dataset("train"), dataset("validation"));
    let mut model = network();
    model.fit_dataset(&train, quiet().epochs(2).validation_dataset(&validation)).unwrap();
    model.fit(&x, &y, quiet()).unwrap();
    model.fit_dataset(&train, quiet()).unwrap();
    model.evaluate_dataset(&validation).unwrap();
    let expected = [("train", 0), ("validation", 0), ("train", 1), ("validation", 0), ("train", 3), ("validation", 0)];
    assert_eq!(*asked.lock().unwrap(), expected);
}

/// The batches that `next` gives, of unknown number; counts the iterators that live.
struct Stream<F> {
    next: F,
    alive: AtomicUsize,
}

impl<F> Stream<F> {
    fn new(next: F) -> Self {
        Stream { next, alive: AtomicUsize::new(0) }
    }
}

impl<F: Fn(usize) -> Option<cornu::Result<Batch>> + Sync> Dataset for Stream<F> {
    fn batches(&self, _: usize) -> Box<dyn Iterator<Item = cornu::Result<Batch>> + '_> {
        struct Alive<'a>(&'a AtomicUsize);
        impl Drop for Alive<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.alive.fetch_add(1, Ordering::SeqCst);
        let (alive, mut batch) = (Alive(&self.alive), 0);
        Box::new(iter::from_fn(move || {
            let _ = &alive;
            batch += 1;
            (self.next)(batch - 1)
        }))
    }
}

fn good() -> Batch {
    let (x, y) = task(8);
    Batch::new(x, y)
}

/// Training on a data set that gives `next` fails with this message, and nothing of it is left running.
#[track_caller]
fn fails(next: impl Fn(usize) -> Option<cornu::Result<Batch>> + Sync, options: Fit, message: &str) {
    let stream = Stream::new(next);
    assert_eq!(network().fit_dataset(&stream, options).unwrap_err().to_string(), message);
    assert_eq!(stream.alive.load(Ordering::SeqCst), 0);
}

mod ends {
    use super::*;

    fn endless(_: usize) -> Option<cornu::Result<Batch>> {
        Some(Ok(good()))
    }

    #[test]
    fn when_a_callback_stops() {
        let stream = Stream::new(endless);
        let mut ended = 0;
        let stop = LambdaCallback::new()
            .on_train_batch_end(|training, batch, _| {
                assert_eq!(training.steps(), None);
                if batch == 3 {
                    training.stop_training();
                }
                Ok(())
            })
            .on_epoch_end(|_, _, _| {
                ended += 1;
                Ok(())
            });
        let mut model = network();
        let history = model.fit_dataset(&stream, quiet().epochs(2).callback(stop)).unwrap();
        assert_eq!((history.epochs.len(), ended, model.optimizer_state().unwrap().steps), (1, 1, 4));
        assert_eq!(stream.alive.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn when_a_callback_fails() {
        let fail = LambdaCallback::new().on_train_batch_begin(|training, batch| match batch {
            5 => training.set_learning_rate(-1.0),
            _ => Ok(()),
        });
        let message = "set_learning_rate: adam: learning_rate must be a finite number of at least 0, got -1";
        fails(endless, quiet().callback(fail), message);
    }

    #[test]
    fn when_a_loss_is_not_finite() {
        let spoilt = |batch| {
            let mut good = good();
            if batch == 2 {
                good.x = Tensor::full([8, 8, 8, 1], f32::NAN).into();
            }
            Some(Ok(good))
        };
        let stream = Stream::new(spoilt);
        let error = network().fit_dataset(&stream, quiet()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { epoch: 1, step: 3, .. }), "{error}");
        let history = network().fit_dataset(&stream, quiet().callback(TerminateOnNaN)).unwrap();
        assert_eq!((history.epochs.len(), &history.warnings[..]), (0, &[error.to_string()][..]));
        assert_eq!(stream.alive.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn when_the_data_set_fails() {
        let fail = |batch| match batch {
            2 => Some(Err(Error::NotCompiled { method: "of the data set" })),
            _ => Some(Ok(good())),
        };
        fails(fail, quiet(), &Error::NotCompiled { method: "of the data set" }.to_string());
        let error = network().evaluate_dataset(&Stream::new(fail)).unwrap_err().to_string();
        assert!(error.starts_with("of the data set"), "{error}");
    }

    #[test]
    fn when_the_data_set_panics() {
        let stream = Stream::new(|batch| match batch {
            2 => panic!("the third batch"),
            _ => Some(Ok(good())),
        });
        let mut model = network();
        let panic = catch_unwind(AssertUnwindSafe(|| model.fit_dataset(&stream, quiet()))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the third batch"));
        assert_eq!(stream.alive.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn when_a_callback_panics() {
        let stream = Stream::new(endless);
        let fail = LambdaCallback::new().on_train_batch_end(|_, _, _| panic!("the first step"));
        let mut model = network();
        let options = quiet().callback(fail);
        let panic = catch_unwind(AssertUnwindSafe(|| model.fit_dataset(&stream, options))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the first step"));
        assert_eq!(stream.alive.load(Ordering::SeqCst), 0);
    }

    /// A thread of the pool waits for a batch that is made by the pool, and there is no other thread.
    #[test]
    fn when_the_data_set_needs_the_only_thread() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let stream = Stream::new(|batch| (batch < 3).then(|| Ok(pool.install(good))));
        let mut model = network();
        pool.install(|| model.fit_dataset(&stream, quiet())).unwrap();
        assert_eq!(model.optimizer_state().unwrap().steps, 3);

        // The batch that is being made when no more are wanted needs it, too.
        let stream = Stream::new(|_| Some(Ok(pool.install(good))));
        let stop = LambdaCallback::new().on_train_batch_end(|training, _, _| {
            training.stop_training();
            Ok(())
        });
        pool.install(|| model.fit_dataset(&stream, quiet().callback(stop))).unwrap();
        let fail = LambdaCallback::new().on_train_batch_end(|_, _, _| panic!("the first step"));
        let fit = || pool.install(|| model.fit_dataset(&stream, quiet().callback(fail)));
        let panic = catch_unwind(AssertUnwindSafe(fit)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the first step"));
    }
}

mod errors {
    use super::*;

    #[test]
    fn options_that_the_data_set_decides() {
        let (x, y) = task(8);
        let dataset = batches(&x, &y, &[8]);
        for (options, words) in [
            (quiet().batch_size(32), ["batch_size", "let the data set"]),
            (quiet().shuffle(true), ["shuffle", "let the data set"]),
            (quiet().validation_split(0.5), ["validation_split", "validation_dataset"]),
            (quiet().sample_weight(&[1.0; 8]), ["sample_weight", "Batch::sample_weight"]),
            (quiet().class_weight([(3, 1.0)]), ["class_weight names class 3", "3 classes"]),
            (
                quiet().validation_data(&x, &y).validation_dataset(&dataset),
                ["give one of validation_data", "not several"],
            ),
        ] {
            let error = network().fit_dataset(&dataset, options).unwrap_err().to_string();
            assert!(error.starts_with("fit_dataset: "), "{error}");
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn a_batch_that_does_not_fit() {
        let second = |wrong: Batch| move |batch| Some(Ok(if batch == 1 { wrong.clone() } else { good() }));
        let place = "fit_dataset: epoch 1, batch 2";
        let wrong = Batch::new(Tensor::<f32>::zeros([8, 9, 9, 1]), task(8).1);
        fails(second(wrong), quiet(), &format!("{place}: x: expected shape (n, 8, 8, 1), got (8, 9, 9, 1)"));
        let wrong = Batch::new(task(8).0, task(7).1);
        fails(second(wrong), quiet(), &format!("{place}: x has 8 samples, but y has 7"));
        let wrong = Batch::new(Tensor::<f32>::zeros([0, 8, 8, 1]), Labels::from(Vec::<u8>::new()));
        fails(second(wrong), quiet(), &format!("{place}: x has no samples"));
        let wrong = Batch::new(task(2).0, Labels::from(vec![0u8, 3]));
        let message = "label 3 of sample 1 is out of range: the model has 3 classes, 0 to 2";
        fails(second(wrong), quiet(), &format!("{place}: {message}"));
        let message = "sample_weight of sample 1 must be a finite number of at least 0, got -1";
        let mut weights = [1.0; 8];
        weights[1] = -1.0;
        fails(second(good().sample_weight(weights)), quiet(), &format!("{place}: {message}"));
        fails(
            second(good().sample_weight([1.0])),
            quiet(),
            &format!("{place}: x has 8 samples, but sample_weight has 1"),
        );
    }

    #[test]
    fn of_a_later_epoch_and_of_validation() {
        let (x, y) = task(8);
        let wrong = Batch::new(Tensor::<f32>::zeros([8, 9, 9, 1]), y.clone());
        let late =
            dataset::from_fn(2, |epoch, batch| Ok(if (epoch, batch) == (2, 1) { wrong.clone() } else { good() }));
        let mut model = network();
        let error = model.fit_dataset(&late, quiet().epochs(5)).unwrap_err().to_string();
        assert!(error.starts_with("fit_dataset: epoch 3, batch 2: x: expected"), "{error}");
        assert_eq!(model.history().epochs.len(), 2);

        let validation = dataset::from_fn(1, |_, _| Ok(wrong.clone()));
        let error = network().fit(&x, &y, quiet().validation_dataset(&validation)).unwrap_err().to_string();
        assert!(error.starts_with("fit: epoch 1, validation_dataset, batch 1: x: expected"), "{error}");
        let error = network().evaluate_dataset(&validation).unwrap_err().to_string();
        assert!(error.starts_with("evaluate_dataset, batch 1: x: expected"), "{error}");
    }

    #[test]
    fn an_epoch_without_batches() {
        fails(
            |_| None,
            quiet(),
            "fit_dataset: epoch 1: the data set has no batches in this epoch; give it at least one",
        );
        assert!(network().evaluate_dataset(&Stream::new(|_| None)).is_err());
    }

    #[test]
    fn a_model_that_is_not_compiled() {
        let (x, y) = task(8);
        let mut model = Sequential::new([8, 8, 1]).add(Flatten::new()).add(Dense::new(3)).build().unwrap();
        let dataset = TensorDataset::new(&x, &y).unwrap();
        let error = model.fit_dataset(&dataset, quiet()).unwrap_err().to_string();
        assert!(error.starts_with("fit_dataset: the model is not compiled"), "{error}");
        let error = model.evaluate_dataset(&dataset).unwrap_err().to_string();
        assert!(error.starts_with("evaluate_dataset: the model is not compiled"), "{error}");
    }
}
