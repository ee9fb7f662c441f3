//! cornu: convolutional networks on CPUs.
//!
//! A deep learning library written from scratch: tensors, layers with their gradients, losses and optimizers behind
//! the API of [Keras](https://keras.io). Names, arguments, defaults and results are Keras's, and tests hold them to its
//! numbers. There is no C or C++ below, no autograd and no GPU: what is trained and served with it is one binary.
//!
//! # A first model
//!
//! ```no_run
//! use cornu::prelude::*;
//!
//! fn main() -> cornu::Result<()> {
//!     let (train, test) = datasets::mnist::load()?;
//!     let (x_train, y_train) = (train.images.scaled(1.0 / 255.0), train.labels);
//!     let (x_test, y_test) = (test.images.scaled(1.0 / 255.0), test.labels);
//!
//!     let mut model = Sequential::new([28, 28, 1])
//!         .add(Conv2D::new(32, (3, 3)).activation(Activation::Relu))
//!         .add(MaxPooling2D::new((2, 2)))
//!         .add(Conv2D::new(64, (3, 3)).activation(Activation::Relu))
//!         .add(MaxPooling2D::new((2, 2)))
//!         .add(Flatten::new())
//!         .add(Dense::new(10).activation(Activation::Softmax))
//!         .compile(Adam::default(), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
//!
//!     println!("{}", model.summary());
//!     model.fit(&x_train, &y_train, Fit::new().epochs(5).batch_size(64))?;
//!     let score = model.evaluate(&x_test, &y_test)?;
//!     println!("Accuracy: {}", score.accuracy().unwrap());
//!     Ok(())
//! }
//! ```
//!
//! [`Sequential`] is the plan of a model, and [`compile`](Sequential::compile) makes a [`Model`] of it, with weights. A
//! model [predicts](Model::predict) `[n, ..output]` for samples `[n, ..input]`: the batch is the first axis, and images
//! are channels-last, `[n, h, w, c]`. Shapes of layers leave the batch out.
//!
//! What a model is given are a [`Tensor`], of `f32` or of bytes, and the [`Labels`] or the tensor that it shall answer:
//!
//! ```
//! use cornu::prelude::*;
//!
//! let x = Tensor::random_uniform([256, 2], -1.0, 1.0, 42);
//! let y: Vec<u32> = x.view().samples().map(|point| u32::from(point.data[0] > point.data[1])).collect();
//! let y = Labels::from(y);
//!
//! let mut model = Sequential::new([2])
//!     .add(Dense::new(8).activation(Activation::Tanh))
//!     .add(Dense::new(2).activation(Activation::Softmax))
//!     .compile(Adam::new(0.01), SparseCategoricalCrossentropy::default(), [Metric::Accuracy])?;
//! let history = model.fit(&x, &y, Fit::new().epochs(20).validation_split(0.25).verbose(0))?;
//! assert_eq!(history.get("val_accuracy").unwrap().len(), 20);
//! assert!(model.evaluate(&x, &y)?.accuracy().unwrap() > 0.9);
//!
//! let answers = model.predict(&Tensor::from([[0.5, -0.5], [-0.5, 0.5]]))?;
//! assert_eq!(answers.shape(), [2, 2].into());
//! assert!(answers[[0, 1]] > 0.5 && answers[[1, 0]] > 0.5);
//! # Ok::<(), cornu::Error>(())
//! ```
//!
//! # Where things are
//!
//! | what | where |
//! | --- | --- |
//! | the names that most programs need | [`prelude`] |
//! | plan, train and use a model | [`Sequential`], [`Model`], [`Fit`], [`History`], [`Score`] |
//! | layers, and how to write one | [`layers`], [`LayerConfig`](layers::LayerConfig), `examples/custom_layer.rs` |
//! | predict faster, in integers | [`Model::quantize`], [`QuantizedModel`] |
//! | activations | [`Activation`] |
//! | weights: first values, penalties, limits | [`Initializer`], [`Regularizer`], [`Constraint`] |
//! | what watches and steers a training | [`callbacks`] |
//! | losses and metrics | [`losses`], [`Metric`], [`metrics`] |
//! | files of models | [`load_model`], [`Model::save`], [`Model::from_bytes`], [`config`] |
//! | optimizers, and schedules of their rates | [`optimizers`], [`optimizers::schedules`] |
//! | arrays and classes | [`tensor`], [`Tensor`], [`Labels`], [`Shape`] |
//! | data that does not fit in memory | [`Dataset`](data::Dataset), [`Model::fit_dataset`], [`data::dataset`] |
//! | data sets and their files | [`datasets`], [`data::idx`] |
//! | checks of gradients by finite differences | [`gradcheck`] |
//! | pictures of trainings and models | [`plot`] |
//! | weights of PyTorch | [`torch`], [`Model::load_torch`] |
//! | files of NumPy | [`numpy`], [`Tensor::read_npy`], [`Npz`](numpy::Npz) |
//! | the weights as one array | [`params`], [`Model::params`] |
//! | the arithmetic | [`kernels`] |
//!
//! # Errors
//!
//! What an argument, data or a file can break is an [`Error`], found before the first step: it names the place, what
//! came, what was expected and how to mend it. Panics are bugs of cornu.
//!
//! ```
//! use cornu::prelude::*;
//!
//! let plan = Sequential::new([28, 28]).add(Rescaling::new(1.0 / 255.0)).add(Conv2D::new(32, (3, 3)));
//! assert_eq!(
//!     plan.build().unwrap_err().to_string(),
//!     r#"Conv2D "conv2d" (layer 1): expected input of rank 3, got (28, 28); images are (height, width, channels); a Reshape can add a dimension of 1
//!     input                            (28, 28)
//!     rescaling (Rescaling)            (28, 28)
//!   > Conv2D                           does not fit here"#
//! );
//! ```
//!
//! Three are found later: the batches of a [`Dataset`](data::Dataset) are checked as they come, a loss or a gradient that
//! becomes NaN or infinite ends [`fit`](Model::fit) with [`Error::NotFinite`], and [`Tensor`]s are indexed as slices are,
//! with a panic.
//!
//! # Reproducibility
//!
//! The same program gives the same weights after training, bit for bit, for any number of threads. What is random has a
//! seed, 0 by default: [`Sequential::seed`] for the first weights, [`Fit::seed`] for the order of the samples and for
//! dropout. Random numbers are the same on every machine; sums are not, where another processor has other vector
//! instructions. Another batch size or version of cornu may change last digits, too.
//!
//! Threads are those of [rayon](https://docs.rs/rayon): `RAYON_NUM_THREADS` says how many.
//!
//! # Precision
//!
//! Models compute in `f32`, losses and metrics in `f64`. [`Sequential::build_as::<f64>`](Sequential::build_as) makes a
//! model in double precision, for gradient checks and comparisons.
//!
//! # Features
//!
//! - `progress` (default): [`fit`](Model::fit) shows a bar for each epoch on a terminal.
//! - `image`: [`ImageFolder`](data::ImageFolder) trains on folders of images, [`Model::image_input`] takes one for a prediction.
//! - `cli`: the program `cornu`, for a command line; nothing of the library.
//! - `download`: data sets that are not on this machine are fetched, and their SHA-256 checked.
//! - `torch`: [`Model::load_torch`] takes weights from files of PyTorch.
//! - `numpy`: tensors and labels in files of NumPy, npy and npz.
//! - `onnx`: [`Model::save`] writes ONNX, and [`load_model`] reads it.
//! - `plot`: all pictures of [`plot`]; without it, only that of a model's layers.
#![warn(missing_docs)]

pub mod activations;
mod aligned;
mod atomic;
pub mod callbacks;
pub mod config;
pub mod constraints;
pub mod data;
mod error;
mod formats;
#[cfg(all(fuzzing, feature = "image", feature = "keras", feature = "numpy", feature = "onnx", feature = "torch"))]
pub use formats::fuzzing;
pub mod gradcheck;
pub mod initializers;
pub mod kernels;
mod labels;
pub mod layers;
pub mod losses;
pub mod metrics;
pub mod model;
pub mod optimizers;
pub mod params;
pub mod plot;
pub mod prelude;
pub mod regularizers;
pub mod rng;
mod scalar;
mod shape;
pub mod tensor;

pub use activations::Activation;
pub use constraints::Constraint;
pub use data::datasets;
pub use error::{Error, Result};
#[cfg(feature = "numpy")]
pub use formats::numpy;
#[cfg(feature = "torch")]
pub use formats::torch;
pub use formats::{LoadReport, load_model, load_model_with};
pub use initializers::Initializer;
pub use labels::Labels;
pub use metrics::Metric;
pub use model::{Fit, History, Model, OptimizerState, QuantizedModel, Score, Sequential};
pub use regularizers::Regularizer;
pub use scalar::Scalar;
pub use shape::{MAX_RANK, Shape};
pub use tensor::Tensor;
