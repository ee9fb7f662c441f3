//! What can go wrong through a user's argument, data or file.

use std::{fmt, io, path::PathBuf};

use crate::Shape;

/// A `Result` whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong through a user's argument, data or file.
///
/// Every variant names the place, what came and what was expected, and how to mend it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A shape does not fit where it is used.
    Shape {
        /// Where: a layer with its name and index, or a method.
        place: String,
        /// The shape that would have fitted, in words.
        expected: String,
        /// The shape that came.
        got: Shape,
        /// How to mend it; may be empty.
        help: Box<str>,
    },
    /// An argument lies outside its range.
    Argument {
        /// Where: a layer with its name and index, or a method.
        place: String,
        /// The argument, its value, its range.
        message: String,
    },
    /// Data cannot be used: lengths that differ, labels out of range, an empty set.
    Data {
        /// The method that was given the data.
        place: String,
        /// What is wrong with it and how to mend it.
        message: String,
    },
    /// A method was called that needs [`compile`](crate::Model::compile) first.
    NotCompiled {
        /// The method.
        method: &'static str,
    },
    /// A training step gave a loss, a gradient or weights that are NaN or infinite. The model keeps the weights with which
    /// the loss was finite last, and the [`history`](crate::Model::history) of the epochs before; its optimizer starts anew.
    NotFinite {
        /// `"loss"`, `"gradient"` or `"weights"`.
        what: &'static str,
        /// The epoch of this fit, counted from 1.
        epoch: usize,
        /// The step of the epoch, counted from 1.
        step: usize,
    },
    /// A file is not what its format demands.
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, where in the file, and what was expected.
        message: String,
    },
    /// A file cannot be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A data set is not on this machine.
    DatasetNotFound {
        /// The data set.
        name: &'static str,
        /// The folders that were searched, and the command that gets the files.
        message: String,
    },
}

impl Error {
    pub(crate) fn shape(
        place: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<Shape>,
        help: impl Into<Box<str>>,
    ) -> Self {
        Error::Shape { place: place.into(), expected: expected.into(), got: got.into(), help: help.into() }
    }

    pub(crate) fn argument(place: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Argument { place: place.into(), message: message.into() }
    }

    pub(crate) fn data(place: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Data { place: place.into(), message: message.into() }
    }

    pub(crate) fn format(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Error::Format { path: path.into(), message: message.into() }
    }

    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Error::Io { path: path.into(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Shape { place, expected, got, help } => {
                write!(f, "{place}: expected {expected}, got {got}")?;
                if !help.is_empty() {
                    write!(f, "; {help}")?;
                }
                Ok(())
            }
            Error::Argument { place, message } | Error::Data { place, message } => {
                write!(f, "{place}: {message}")
            }
            Error::NotCompiled { method } => {
                write!(f, "{method}: the model is not compiled; call compile(optimizer, loss, metrics) first")
            }
            Error::NotFinite { what, epoch, step } => write!(
                f,
                "fit: the {what} became NaN or infinite in epoch {epoch}, step {step}; the model keeps the weights with which \
                 the loss was finite last. Lower the learning rate, or look for NaN, infinity and unscaled values in the data"
            ),
            Error::Format { path, message } => write!(f, "{}: {message}", path.display()),
            Error::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Error::DatasetNotFound { name, message } => write!(f, "{name}: {message}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
