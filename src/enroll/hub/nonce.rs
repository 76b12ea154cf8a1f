//! Nonces without memory: time, randomness and a MAC over both and the token's identifier.
//!
//! Making one costs no memory, so a flood of challenges fills nothing. Only a nonce that came back with a valid
//! signature is remembered, until it ends, so that it serves once.

use crate::enroll::protocol::{NONCE_LEN, NONCE_TTL_S};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::Mutex;

/// time (8) | random (8) | MAC (16)
pub(super) type Nonce = [u8; NONCE_LEN];

/// The key lives as long as the process: after a restart nodes ask again.
pub(super) struct Nonces {
    key: [u8; 32],
    used: Mutex<HashMap<Nonce, i64>>,
}

impl Nonces {
    pub(super) fn new() -> Nonces {
        Nonces { key: rand::random(), used: Mutex::new(HashMap::new()) }
    }

    /// A nonce for a token, known or not.
    pub(super) fn make(&self, id: &str, now: i64) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&now.to_be_bytes());
        nonce[8..16].copy_from_slice(&rand::random::<[u8; 8]>());
        let mac = self.mac(id, &nonce[..16]).finalize().into_bytes();
        nonce[16..].copy_from_slice(&mac[..16]);
        nonce
    }

    /// Whether this hub made it for this token a short while ago.
    pub(super) fn fresh(&self, id: &str, nonce: &Nonce, now: i64) -> bool {
        let made = i64::from_be_bytes(nonce[..8].try_into().expect("8 bytes"));
        let ours = self.mac(id, &nonce[..16]).verify_truncated_left(&nonce[16..]).is_ok();
        ours && (0..=NONCE_TTL_S).contains(&now.saturating_sub(made))
    }

    /// Marks it as used; false if it was used before.
    pub(super) fn spend(&self, nonce: &Nonce, now: i64) -> bool {
        let mut used = self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        used.retain(|_, at| now.saturating_sub(*at) <= NONCE_TTL_S);
        used.insert(*nonce, now).is_none()
    }

    fn mac(&self, id: &str, head: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes any key length");
        mac.update(head);
        mac.update(id.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_serves_its_token_once_for_a_minute_at_the_hub_that_made_it() {
        let nonces = Nonces::new();
        let nonce = nonces.make("ID", 1_000);
        assert!(nonces.fresh("ID", &nonce, 1_000) && nonces.fresh("ID", &nonce, 1_060));
        assert!(!nonces.fresh("ID", &nonce, 1_061) && !nonces.fresh("ID", &nonce, 999));
        assert!(!nonces.fresh("OTHER", &nonce, 1_000));
        assert!(!Nonces::new().fresh("ID", &nonce, 1_000));
        assert!(nonces.spend(&nonce, 1_000));
        assert!(!nonces.spend(&nonce, 1_060));
    }
}
