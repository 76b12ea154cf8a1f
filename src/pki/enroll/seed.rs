//! The token key: Ed25519 from the token's secret. The hub keeps the public half only.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

const INFO: &[u8] = b"ahn1 token key";

/// Derives the signing key from the secret of a token (at least 112 bits, so no slow hash is needed).
fn key(secret: &[u8]) -> SigningKey {
    let mut seed = Zeroizing::new([0u8; 32]);
    Hkdf::<Sha256>::new(None, secret).expand(INFO, seed.as_mut()).expect("32 bytes fit any HKDF output");
    SigningKey::from_bytes(&seed)
}

/// The public half: what the hub stores.
pub fn public(secret: &[u8]) -> [u8; 32] {
    key(secret).verifying_key().to_bytes()
}

/// Signs `input` with the token key.
pub fn sign(secret: &[u8], input: &[u8; 32]) -> [u8; 64] {
    key(secret).sign(input).to_bytes()
}

/// Whether `signature` over `input` is by the key with this public half.
pub fn verify(public: &[u8; 32], input: &[u8; 32], signature: &[u8; 64]) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    VerifyingKey::from_bytes(public).is_ok_and(|k| k.verify_strict(input, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_makes_signatures_that_its_public_half_accepts() {
        let public = public(b"0123456789ABCDEFGHJKMNPQRS");
        let input = [5; 32];
        assert!(verify(&public, &input, &sign(b"0123456789ABCDEFGHJKMNPQRS", &input)));
        assert!(!verify(&public, &input, &sign(b"0123456789ABCDEFGHJKMNPQRT", &input)));
        assert!(!verify(&public, &[6; 32], &sign(b"0123456789ABCDEFGHJKMNPQRS", &input)));
    }
}
