//! The keys that encrypt secrets at rest, in the API server's own form. The first one writes, all of them read.

use super::cluster::PkiError;
use crate::files;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::{Path, PathBuf};

/// One key: its name stands before everything that it encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// 32 bytes in base64.
    pub secret: String,
}

impl Key {
    /// A new key at random.
    pub fn new(name: String) -> Key {
        Key { name, secret: STANDARD.encode(rand::random::<[u8; 32]>()) }
    }
}

/// The file that the API server reads, and reads again when it changes.
pub fn file(dir: &Path) -> PathBuf {
    dir.join("encryption.yaml")
}

/// Makes the first key where there is none that is whole; returns whether it did.
pub fn ensure(dir: &Path) -> Result<bool, PkiError> {
    if exists(dir) {
        return Ok(false);
    }
    write(dir, &[Key::new("first".into())])?;
    Ok(true)
}

/// True when `dir` holds the keys that encrypt secrets at rest. Where they are lost, no older secret can be read any more.
pub fn exists(dir: &Path) -> bool {
    !keys(dir).is_empty()
}

/// The keys, the writing one first; none where the file is not there or not whole.
pub fn keys(dir: &Path) -> Vec<Key> {
    let text = std::fs::read_to_string(file(dir)).unwrap_or_default();
    let all = |field: &str| text.lines().filter_map(|l| l.trim().strip_prefix(field)).map(String::from).collect::<Vec<_>>();
    let keys: Vec<Key> = all("- name: ").into_iter().zip(all("secret: ")).map(|(name, secret)| Key { name, secret }).collect();
    let long_enough = |k: &Key| STANDARD.decode(&k.secret).is_ok_and(|raw| raw.len() == 32);
    let config = config(&keys);
    // An earlier version wrote no sum.
    if keys.iter().all(long_enough) && (text == config || text == format!("{config}{}", sum(&config))) { keys } else { Vec::new() }
}

/// Replaces the keys.
pub fn write(dir: &Path, keys: &[Key]) -> Result<(), PkiError> {
    let path = file(dir);
    let config = config(keys);
    files::replace(&path, format!("{config}{}", sum(&config)).as_bytes(), 0o600).map_err(|source| PkiError::File { path, source })
}

/// The file's last line: one changed bit of a key leaves a key that is as good as any other and reads nothing.
fn sum(config: &str) -> String {
    use sha2::Digest;
    format!("# sum {}\n", hex::encode(sha2::Sha256::digest(config.as_bytes())))
}

/// Secrets are written with XSalsa20-Poly1305; what was written in the clear before stays readable.
fn config(keys: &[Key]) -> String {
    let keys: String = keys.iter().map(|k| format!("      - name: {}\n        secret: {}\n", k.name, k.secret)).collect();
    format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - secretbox:\n      keys:\n{keys}  - identity: {{}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_in_their_order_and_a_damaged_file_holds_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!exists(dir.path()));
        assert!(ensure(dir.path()).unwrap() && !ensure(dir.path()).unwrap());
        let both = [Key::new("second".into()), keys(dir.path()).remove(0)];
        write(dir.path(), &both).unwrap();
        assert_eq!(keys(dir.path()), both);
        let text = std::fs::read_to_string(file(dir.path())).unwrap();
        for damaged in [text[..text.len() - 30].to_string(), text.replace(&both[0].secret, "c2hvcnQ="), text.replace("secretbox", "secretbux"), String::new()] {
            std::fs::write(file(dir.path()), damaged).unwrap();
            assert!(!exists(dir.path()));
        }
        let other = if both[1].secret.starts_with('A') { "B" } else { "A" };
        std::fs::write(file(dir.path()), text.replace(&both[1].secret, &format!("{other}{}", &both[1].secret[1..]))).unwrap();
        assert!(!exists(dir.path()), "another key of the right form");
        std::fs::write(file(dir.path()), text.split("# sum").next().unwrap()).unwrap();
        assert_eq!(keys(dir.path()), both, "as an earlier version wrote it");
    }
}
