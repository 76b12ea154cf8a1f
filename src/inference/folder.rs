//! A model folder: `model.toml` and the files that it names, each checked before anything uses it.

use super::{Combination, Decision, InferenceError};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The form of `model.toml` that this version reads.
const FORMAT: u32 = 1;
const LABELS: [&str; 3] = ["none", "offensive", "hate"];

/// One file of the folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Name inside the folder.
    pub path: String,
    /// SHA-256 in lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// The files that every text model has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Tokenizer in the Hugging Face form.
    pub tokenizer: ModelFile,
    /// Hashed n-gram weights.
    pub ngrams: ModelFile,
    /// Scores that both engines must reproduce.
    pub golden: ModelFile,
    /// ONNX with half-precision weights, computed in single precision.
    pub encoder_f32: ModelFile,
    /// ONNX with eight-bit weights.
    pub encoder_int8: ModelFile,
}

/// Macro-F1 of hate against the rest on the shared test split.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// Posts in the slice.
    pub posts: u32,
    /// In single precision.
    pub f32: f64,
    /// With eight-bit weights.
    pub int8: f64,
    /// Of the character n-grams of the data card.
    pub baseline: f64,
}

/// `model.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form: 1.
    pub format: u32,
    /// Name of the model.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// SPDX expression of the weights.
    pub licence: String,
    /// What it reads: `text`.
    pub task: String,
    /// Labels in the order of the logits.
    pub labels: Vec<String>,
    /// Longest input of the encoder, in tokens.
    pub max_length: usize,
    /// The files.
    pub files: Files,
    /// Thresholds.
    pub decision: Decision,
    /// The layer over encoder and n-grams.
    pub combination: Combination,
    /// By language.
    pub accuracy: BTreeMap<String, Accuracy>,
}

impl Manifest {
    /// `name@version`, as stored with every analysis.
    pub fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("format {} is not known; this version reads format {FORMAT}", self.format));
        }
        if self.task != "text" || self.labels != LABELS {
            return Err("it must be a text model with the labels none, offensive, hate".into());
        }
        if !(8..=512).contains(&self.max_length) {
            return Err(format!("max_length {} is outside 8 to 512", self.max_length));
        }
        let f = &self.files;
        let plain = |p: &ModelFile| !p.path.is_empty() && !p.path.contains('/') && !p.path.starts_with('.');
        match [&f.tokenizer, &f.ngrams, &f.golden, &f.encoder_f32, &f.encoder_int8].iter().find(|p| !plain(p)) {
            Some(p) => Err(format!("{:?} is not a plain file name", p.path)),
            None => Ok(()),
        }
    }
}

/// A folder whose description was read; files are checked as they are read.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    path: PathBuf,
    manifest: Manifest,
}

impl ModelFolder {
    /// Reads and checks `model.toml`.
    pub fn open(path: &Path) -> Result<ModelFolder, InferenceError> {
        let file = path.join("model.toml");
        let text = std::fs::read_to_string(&file).map_err(|source| InferenceError::NoManifest { folder: path.to_owned(), source })?;
        let bad = |reason: String| InferenceError::BadManifest { path: file.clone(), reason };
        let manifest: Manifest = toml::from_str(&text).map_err(|e| bad(e.message().to_owned()))?;
        manifest.check().map_err(bad)?;
        Ok(ModelFolder { path: path.to_owned(), manifest })
    }

    /// What `model.toml` says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where a file lies.
    pub fn locate(&self, file: &ModelFile) -> PathBuf {
        self.path.join(&file.path)
    }

    /// Content of a file whose size and SHA-256 are as described.
    pub fn read(&self, file: &ModelFile) -> Result<Vec<u8>, InferenceError> {
        let path = self.locate(file);
        let raw = std::fs::read(&path).map_err(|source| InferenceError::MissingFile { path: path.clone(), source })?;
        let found = hex::encode(Sha256::digest(&raw));
        if found != file.sha256 || raw.len() as u64 != file.size {
            return Err(InferenceError::DamagedFile { path, expected: file.sha256.clone(), found });
        }
        Ok(raw)
    }
}
