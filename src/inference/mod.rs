//! Text in, scores out. Sole home of tract, ort and tokenizers.
//!
//! A model folder is opened and checked ([`ModelFolder`]); posts are normalised ([`text`]), scored by character
//! n-grams ([`ngrams`]) and by the encoder in one of two engines ([`Engine`]), and one small layer joins both
//! ([`combine`]). [`Classifier`] is the whole way for one thread. Nothing here logs or keeps the text of a post.

pub mod batch;
mod cache;
mod classifier;
mod combine;
mod engine;
mod error;
mod folder;
#[cfg(test)]
mod golden;
pub mod ngrams;
mod onnxruntime;
pub mod text;
mod tokens;
mod tract;

pub use classifier::{Classifier, Options, Stats, Verdict};
pub use combine::{Combination, Decision};
pub use engine::{Engine, EngineKind, Tensor};
pub use error::InferenceError;
pub use folder::{Manifest, ModelFolder};
pub use onnxruntime::library as onnxruntime_library;
pub use tokens::Tokens;
