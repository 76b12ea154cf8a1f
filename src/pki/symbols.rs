//! Characters of what people type or scan: Crockford's base 32, without a letter that is mistaken for a digit, and a checksum over them.

use data_encoding::{Encoding, Specification};
use rand::Rng;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The 32 characters.
pub const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str(ALPHABET);
    spec.encoding().expect("a constant alphabet of 32 symbols")
});

/// Bytes as characters, five bits each.
pub fn encode(bytes: &[u8]) -> String {
    BASE32.encode(bytes)
}

/// Characters as bytes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    BASE32.decode(text.as_bytes()).ok()
}

/// Whether `text` holds nothing else.
pub fn only(text: &str) -> bool {
    text.chars().all(|c| ALPHABET.contains(c))
}

/// `count` characters at random, five bits each.
pub fn random(count: usize) -> String {
    let mut random = rand::rngs::OsRng;
    (0..count).map(|_| char::from(ALPHABET.as_bytes()[random.gen_range(0..ALPHABET.len())])).collect()
}

/// In groups of four, as a person reads them off a screen: `K7M2-9QXD`.
pub fn grouped(plain: &str) -> String {
    plain.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-")
}

/// The first `length` (at most 8) characters of SHA-256 over `text`.
pub fn checksum(text: &str, length: usize) -> String {
    let mut sum = encode(&Sha256::digest(text.as_bytes())[..5]);
    sum.truncate(length);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_a_checksum_differs_with_every_character() {
        assert_eq!(decode(&encode(&[7; 15])).unwrap(), [7; 15]);
        assert!(only(&random(24)) && random(24).len() == 24 && !only("AIO"));
        assert_ne!(checksum("A", 5), checksum("B", 5));
        assert_eq!(checksum("A", 5).len(), 5);
    }
}
