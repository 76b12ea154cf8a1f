//! The join code: `AHJ1.<SECRET24>.<PIN24>.<HOST:PORT>.<CHK5>`.
//!
//! It is read without any network: a typo is told before the first packet. No message and no `Debug` output holds the secret.

use super::problem;
use crate::pki::enroll::seed;
use crate::pki::symbols;
use crate::status::Problem;
use sha2::{Digest, Sha256};
use std::net::SocketAddrV4;
use zeroize::Zeroizing;

const PREFIX: &str = "AHJ1";
const SECRET_LEN: usize = 24;
const PIN_LEN: usize = 24;
/// Bytes of the hash that the pin holds.
const PIN_BYTES: usize = 15;
const CHECK_LEN: usize = 5;
const ID_LEN: usize = 8;
/// Longest text that is looked at, in bytes; a code has about 80.
const MAX_LEN: usize = 300;

/// A well-formed code.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    secret: Zeroizing<String>,
    /// Begin of the SHA-256 of the cluster authority's subject public key info.
    pub pin: Vec<u8>,
    /// Where a control plane listens.
    pub address: SocketAddrV4,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({} at {})", self.id(), self.address)
    }
}

impl Code {
    /// A new code with a secret at random, for the cluster whose authority's key has this hash.
    pub fn generate(spki_hash: [u8; 32], address: SocketAddrV4) -> Code {
        Code { secret: Zeroizing::new(symbols::random(SECRET_LEN)), pin: spki_hash[..PIN_BYTES].to_vec(), address }
    }

    /// Reads a code as typed, pasted or read from a file: white space and hyphens are ignored, letters may be of either case.
    pub fn parse(typed: &str) -> Result<Code, Problem> {
        let wrong = |why: String| problem(101, "this is no join code", why, "Copy it whole, from AHJ1 to the last character, or make another with `antihate node add`.");
        if typed.len() > MAX_LEN || !typed.is_ascii() {
            return Err(wrong("it is too long or has a character that codes never have".into()));
        }
        let text: Zeroizing<String> = Zeroizing::new(typed.chars().filter(|c| !c.is_ascii_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect());
        let (body, check) = text.rsplit_once('.').ok_or_else(|| wrong("it has no parts".into()))?;
        let parts: Vec<&str> = body.splitn(4, '.').collect();
        if parts[0] != PREFIX {
            return Err(wrong(format!("it does not begin with {PREFIX}")));
        }
        let [_, secret, pin, address] = parts[..] else { return Err(wrong(format!("{} of 5 parts are there", parts.len() + 1))) };
        for (name, part, want) in [("secret", secret, SECRET_LEN), ("pin", pin, PIN_LEN), ("checksum", check, CHECK_LEN)] {
            if part.len() != want {
                return Err(wrong(format!("its {name} has {} of {want} characters", part.len())));
            }
        }
        if subtle::ConstantTimeEq::ct_ne(symbols::checksum(body, CHECK_LEN).as_bytes(), check.as_bytes()).into() {
            return Err(problem(102, "the join code has a typing error", "its last five characters do not fit the rest", "Compare it with the original, character by character."));
        }
        let pin = symbols::decode(pin).filter(|_| symbols::only(secret)).ok_or_else(|| wrong("it has a character that codes never have".into()))?;
        let address = address.parse().map_err(|_| wrong("its address is not IP:PORT".into()))?;
        Ok(Code { secret: Zeroizing::new(secret.into()), pin, address })
    }

    /// The whole code with its secret: shown once when it is made, never logged.
    pub fn reveal(&self) -> Zeroizing<String> {
        let body = Zeroizing::new(format!("{PREFIX}.{}.{}.{}", &*self.secret, symbols::encode(&self.pin), self.address));
        Zeroizing::new(format!("{}.{}", &*body, symbols::checksum(&body, CHECK_LEN)))
    }

    /// Its public half: what the cluster keeps.
    pub fn public(&self) -> [u8; 32] {
        seed::public(self.secret.as_bytes())
    }

    /// What it is called in lists and logs.
    pub fn id(&self) -> String {
        id_of(&self.public())
    }

    /// Signs what is said in this TLS session.
    pub fn sign(&self, facts: &str, exporter: &[u8; 32]) -> [u8; 64] {
        seed::sign(self.secret.as_bytes(), &input(facts, exporter))
    }
}

/// The name of the code with this public half.
pub fn id_of(public: &[u8; 32]) -> String {
    let mut id = symbols::encode(&Sha256::digest(public)[..5]);
    id.truncate(ID_LEN);
    id
}

/// Whether `signature` was made by the code with this public half, over these facts and in this session.
pub fn verify(public: &[u8; 32], facts: &str, exporter: &[u8; 32], signature: &[u8; 64]) -> bool {
    seed::verify(public, &input(facts, exporter), signature)
}

fn input(facts: &str, exporter: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"ahj1-join");
    hash.update(Sha256::digest(facts.as_bytes()));
    hash.update(exporter);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> Code {
        Code::generate([7; 32], "192.0.2.7:8444".parse().unwrap())
    }

    #[test]
    fn a_code_survives_a_round_trip_typed_in_groups_and_in_lower_case() {
        let code = code();
        let text = code.reveal();
        assert_eq!(Code::parse(&text).unwrap(), code);
        let groups: String = text.to_ascii_lowercase().chars().collect::<Vec<_>>().chunks(5).map(|g| g.iter().collect::<String>() + " -").collect();
        assert_eq!(Code::parse(&groups).unwrap(), code);
        assert!(text.len() < 85, "{}", text.len());
    }

    #[test]
    fn every_wrong_character_is_found_and_no_message_echoes_the_secret() {
        let code = code();
        let text = code.reveal();
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
            let refused = Code::parse(std::str::from_utf8(&bytes).unwrap()).expect_err("a wrong character was accepted");
            assert!(matches!(refused.code.as_str(), "JOI-101" | "JOI-102"), "{at}: {refused:?}");
            assert!(!format!("{refused:?}").contains(&code.secret[..8]));
        }
        assert!(!format!("{code:?}").contains(&code.secret[..8]));
    }

    #[test]
    fn a_signature_holds_for_one_session_and_these_facts() {
        let (code, other) = (code(), code());
        let signature = code.sign("facts", &[1; 32]);
        assert!(verify(&code.public(), "facts", &[1; 32], &signature));
        assert!(!verify(&code.public(), "facts", &[2; 32], &signature) && !verify(&code.public(), "fact", &[1; 32], &signature));
        assert!(!verify(&other.public(), "facts", &[1; 32], &signature));
    }
}
