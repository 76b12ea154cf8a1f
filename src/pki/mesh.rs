//! The key of this host's end of the mesh between hosts: X25519, made once, in the form of WireGuard's tools. It never leaves the host.

use super::cluster::PkiError;
use crate::files;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::{Path, PathBuf};
use x25519_dalek::{PublicKey, StaticSecret};

/// Both halves, in base64.
pub struct Pair {
    /// Stays here.
    pub private: zeroize::Zeroizing<String>,
    /// What the other hosts know.
    pub public: String,
}

/// The file of the private half.
pub fn file(dir: &Path) -> PathBuf {
    dir.join("mesh.key")
}

/// Reads the key; makes it where there is none that is whole.
pub fn ensure(dir: &Path) -> Result<Pair, PkiError> {
    let path = file(dir);
    let failed = |source| PkiError::File { path: path.clone(), source };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if [std::io::ErrorKind::NotFound, std::io::ErrorKind::InvalidData].contains(&e.kind()) => String::new(),
        Err(e) => return Err(failed(e)),
    };
    if let Some(raw) = decode(text.trim()) {
        return Ok(pair(raw));
    }
    let made = pair(rand::random());
    files::folder(dir, 0o755).map_err(failed)?;
    files::replace(&path, format!("{}\n", *made.private).as_bytes(), 0o600).map_err(failed)?;
    Ok(made)
}

fn pair(raw: [u8; 32]) -> Pair {
    let secret = StaticSecret::from(raw);
    Pair { public: STANDARD.encode(PublicKey::from(&secret).as_bytes()), private: STANDARD.encode(secret.to_bytes()).into() }
}

fn decode(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// What the host with this public half is called in certificates beside its name. A host that was taken off and joins again has
/// another key: its old certificates are not its new self's.
pub fn id(public: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(&Sha256::digest(public.as_bytes())[..8])
}

/// Whether `text` has the form of a key.
pub fn is_key(text: &str) -> bool {
    decode(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_is_made_once_and_a_damaged_one_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let first = ensure(dir.path()).unwrap();
        assert_eq!(ensure(dir.path()).unwrap().public, first.public);
        assert_eq!(std::fs::metadata(file(dir.path())).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(file(dir.path()), "c2hvcnQ=").unwrap();
        let second = ensure(dir.path()).unwrap();
        assert_ne!(second.public, first.public);
        assert!(is_key(&second.public) && !is_key("c2hvcnQ="));
    }

    #[test]
    fn the_public_half_is_what_wg_pubkey_says() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(file(dir.path()), "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n").unwrap();
        let read = ensure(dir.path()).unwrap();
        assert_eq!((read.private.as_str(), read.public.as_str()), ("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="));
    }
}
