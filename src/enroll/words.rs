//! Four words that stand for a device key, so that two people can compare it by telephone.

use sha2::{Digest, Sha256};

/// 256 common English words.
static WORDS: &str = include_str!("words.txt");

/// The words of a device, from its subject public key info.
pub fn of_spki(spki: &[u8]) -> String {
    of_hash(&Sha256::digest(spki).into())
}

/// The words of a key, from the SHA-256 of its subject public key info.
pub fn of_hash(hash: &[u8; 32]) -> String {
    let list: Vec<&str> = WORDS.split_ascii_whitespace().collect();
    hash[..4].iter().map(|b| list[usize::from(*b)]).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_256_different_words_and_a_key_always_gives_the_same_four() {
        let list: std::collections::BTreeSet<&str> = WORDS.split_ascii_whitespace().collect();
        assert_eq!((list.len(), WORDS.split_ascii_whitespace().count()), (256, 256));
        assert_eq!(of_spki(b"a key"), of_spki(b"a key"));
        assert_ne!(of_spki(b"a key"), of_spki(b"another key"));
        assert_eq!(of_spki(b"a key").split(' ').count(), 4);
    }
}
