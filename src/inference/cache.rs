//! Verdicts of texts seen before: reposts are common, and a look-up costs a thousandth of a run.
//!
//! Two generations: when the young one is full it becomes the old one, so memory is bounded without any bookkeeping
//! by age. Keys are 128 bits of a SHA-256 over model version and normalised text; the text itself is not kept.

use super::Verdict;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A bounded map from text to verdict, for one model version.
pub struct Cache {
    model: String,
    capacity: usize,
    young: HashMap<u128, Verdict>,
    old: HashMap<u128, Verdict>,
}

impl Cache {
    /// Holds at most twice `capacity` verdicts; 0 keeps none.
    pub fn new(model: &str, capacity: usize) -> Cache {
        Cache { model: model.to_owned(), capacity, young: HashMap::new(), old: HashMap::new() }
    }

    /// Key of a normalised text.
    pub fn key(&self, normalised: &str) -> u128 {
        let sum = Sha256::new().chain_update(&self.model).chain_update([0]).chain_update(normalised).finalize();
        sum.iter().take(16).fold(0, |k, b| k << 8 | u128::from(*b))
    }

    /// The verdict kept under `key`; a find in the old generation is kept for another one.
    pub fn get(&mut self, key: u128) -> Option<Verdict> {
        if let Some(v) = self.young.get(&key) {
            return Some(*v);
        }
        let v = self.old.remove(&key)?;
        self.put(key, v);
        Some(v)
    }

    /// Keeps a verdict.
    pub fn put(&mut self, key: u128, verdict: Verdict) {
        if self.capacity == 0 {
            return;
        }
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Label, Scores};

    fn verdict(hate: f32) -> Verdict {
        Verdict { label: Label::None, scores: Scores { none: 1.0 - hate, offensive: 0.0, hate } }
    }

    #[test]
    fn another_model_version_has_other_keys() {
        assert_ne!(Cache::new("m@1", 4).key("a text"), Cache::new("m@2", 4).key("a text"));
    }

    #[test]
    fn what_is_asked_for_survives_and_what_is_not_goes() {
        let mut c = Cache::new("m@1", 2);
        for k in 0..7 {
            c.put(k, verdict(0.1));
            assert!(k == 0 || c.get(0).is_some(), "the text that is asked for every time is kept");
        }
        assert!(c.get(1).is_none());
        assert!(c.young.len() + c.old.len() <= 4);
    }
}
