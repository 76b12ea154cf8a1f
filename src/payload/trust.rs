//! Keys: who may sign a pack. The build's key comes with the embedded pack; the owner may trust more, one file a key.

use super::PackError;
use crate::files;
use ed25519_dalek as dalek;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// A public key; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl Key {
    /// Reads a `.pub` file: 64 hexadecimal digits.
    pub fn load(path: &Path) -> Result<Key, PackError> {
        let text = std::fs::read_to_string(path).map_err(|e| PackError::io("read", path, e))?;
        decode(&text).map(Key).ok_or_else(|| PackError::KeyFile { path: path.into() })
    }
}

/// A private key that signs packs. It is never printed.
pub struct SigningKey(pub(super) dalek::SigningKey);

impl SigningKey {
    /// A fresh key from the system's random source.
    pub fn generate() -> SigningKey {
        SigningKey(dalek::SigningKey::generate(&mut rand::rngs::OsRng))
    }

    /// Reads a key file: 64 hexadecimal digits.
    pub fn load(path: &Path) -> Result<SigningKey, PackError> {
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|e| PackError::io("read", path, e))?);
        let seed = Zeroizing::new(decode(&text).ok_or_else(|| PackError::KeyFile { path: path.into() })?);
        Ok(SigningKey(dalek::SigningKey::from_bytes(&seed)))
    }

    /// Writes the key, readable by its owner only, and beside it `<path>.pub`.
    pub fn store(&self, path: &Path) -> Result<(), PackError> {
        let secret = Zeroizing::new(hex::encode(self.0.to_bytes()) + "\n");
        files::replace(path, secret.as_bytes(), 0o600).map_err(|e| PackError::io("write", path, e))?;
        let mut public = path.as_os_str().to_owned();
        public.push(".pub");
        let text = format!("{}\n", self.public());
        files::replace(Path::new(&public), text.as_bytes(), 0o644).map_err(|e| PackError::io("write", public, e))
    }

    /// The public half.
    pub fn public(&self) -> Key {
        Key(self.0.verifying_key().to_bytes())
    }
}

fn decode(text: &str) -> Option<[u8; 32]> {
    hex::decode(text.trim()).ok()?.try_into().ok()
}

/// The keys whose packs are accepted.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: Vec<Key>,
}

impl Trust {
    /// The keys that the owner of this host trusts: `<data>/trust/*.pub`. A missing folder means none.
    pub fn of_owner(data: &Path) -> Result<Trust, PackError> {
        let folder = data.join("trust");
        let names = match std::fs::read_dir(&folder) {
            Ok(names) => names,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Trust::default()),
            Err(e) => return Err(PackError::io("read", folder, e)),
        };
        let mut trust = Trust::default();
        for name in names {
            let path = name.map_err(|e| PackError::io("read", &folder, e))?.path();
            if path.extension().is_some_and(|e| e == "pub") {
                trust.add(Key::load(&path)?);
            }
        }
        Ok(trust)
    }

    /// Writes down that the owner trusts `key` on this host.
    pub fn remember(data: &Path, key: Key) -> Result<(), PackError> {
        let path = data.join("trust").join(format!("{key}.pub"));
        files::replace(&path, format!("{key}\n").as_bytes(), 0o644).map_err(|e| PackError::io("write", path, e))
    }

    /// Trusts `key` too, in this process.
    pub fn add(&mut self, key: Key) {
        self.keys.push(key);
    }

    /// Fails with UNP-204 unless `key` is trusted.
    pub fn check(&self, key: Key, origin: &str) -> Result<(), PackError> {
        if self.keys.contains(&key) {
            return Ok(());
        }
        Err(PackError::Untrusted { origin: origin.into(), key: key.to_string() })
    }
}
