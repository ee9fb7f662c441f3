//! What Keras computes, case by case: README.md in this folder lists the cases and what they settle. A case that is in
//! a file, but that no test knows, fails.

mod augmentation;
mod callbacks;
mod cases;
mod compile_configs;
mod configurations;
mod convolutions;
mod dot;
mod given;
mod initializers;
mod layers;
mod losses;
mod metrics;
mod optimizers;
mod penalties;
mod training;
mod trajectory;
