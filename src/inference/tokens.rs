//! Tokenising, in the same thread as the inference that follows.

use super::InferenceError;
use std::path::Path;
use tokenizers::{Tokenizer, TruncationParams};

/// The tokenizer of a model folder.
pub struct Tokens {
    inner: Tokenizer,
}

impl Tokens {
    /// Reads `tokenizer.json`; posts are cut at `longest` tokens, the special ones included.
    pub fn parse(path: &Path, raw: &[u8], longest: usize) -> Result<Tokens, InferenceError> {
        let bad = |e: tokenizers::Error| InferenceError::BadFile { path: path.to_owned(), reason: e.to_string() };
        let mut inner = Tokenizer::from_bytes(raw).map_err(bad)?;
        inner.with_padding(None);
        inner.with_truncation(Some(TruncationParams { max_length: longest, ..Default::default() })).map_err(bad)?;
        Ok(Tokens { inner })
    }

    /// Token numbers of a normalised text; at least one.
    pub fn ids(&self, normalised: &str) -> Vec<u32> {
        // Encoding a plain string has no way to fail; an empty list would be a post of padding alone.
        match self.inner.encode_fast(normalised, true) {
            Ok(e) if !e.is_empty() => e.get_ids().to_vec(),
            _ => vec![0],
        }
    }
}
