//! What can go wrong between a model folder and a score, each with its code.

use crate::status::Problem;
use std::path::PathBuf;

/// A failure of loading or of running a model.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The folder or its `model.toml` cannot be read.
    #[error("the model folder {folder} has no readable model.toml")]
    NoManifest { folder: PathBuf, source: std::io::Error },
    /// `model.toml` is not what this version understands.
    #[error("{path} is not a valid model description")]
    BadManifest { path: PathBuf, reason: String },
    /// A file that `model.toml` names is not there.
    #[error("the model file {path} is missing")]
    MissingFile { path: PathBuf, source: std::io::Error },
    /// A file differs from what `model.toml` says.
    #[error("the model file {path} is damaged")]
    DamagedFile { path: PathBuf, expected: String, found: String },
    /// A file is whole but cannot be used.
    #[error("the model file {path} cannot be used")]
    BadFile { path: PathBuf, reason: String },
    /// ONNX Runtime was asked for and cannot be loaded.
    #[error("ONNX Runtime cannot be loaded")]
    NoOnnxRuntime { reason: String },
    /// The engine refused a batch.
    #[error("the {engine} engine failed on a batch of {rows} posts with {width} tokens each")]
    Run { engine: &'static str, rows: usize, width: usize, reason: String },
}

impl InferenceError {
    /// The same with code, cause and next step, as it is shown to a person.
    pub fn problem(&self) -> Problem {
        let again = "Put the model folder back as it was delivered, or name another one with MODEL_PATH.";
        let (code, cause, next) = match self {
            Self::NoManifest { source, .. } => ("MOD-101", source.to_string(), again),
            Self::BadManifest { reason, .. } => ("MOD-102", reason.clone(), "Correct model.toml, or use a model made for this version."),
            Self::MissingFile { source, .. } => ("MOD-103", source.to_string(), again),
            Self::DamagedFile { expected, found, .. } => {
                ("MOD-104", format!("Its SHA-256 should be {expected} and is {found}."), again)
            }
            Self::BadFile { reason, .. } => ("MOD-105", reason.clone(), again),
            Self::NoOnnxRuntime { reason } => (
                "MOD-106",
                reason.clone(),
                "Set ORT_DYLIB_PATH to libonnxruntime.so (1.24 or newer), or choose the engine tract.",
            ),
            Self::Run { reason, .. } => {
                ("MOD-107", reason.clone(), "The batch is tried again; if it stays, check free memory and the model folder.")
            }
        };
        Problem::new(code, format!("{self}."), cause, next)
    }
}

impl From<InferenceError> for Problem {
    fn from(e: InferenceError) -> Problem {
        e.problem()
    }
}
