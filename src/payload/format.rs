//! The pack on disk: zstd frames back to back, a JSON index, a footer of 160 bytes. Pure encoding and checking.

use super::PackError;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Length of the footer in bytes.
pub const FOOTER: usize = 160;
/// The newest index format that this program reads.
pub const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"AHPACK01";

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file of the Kubernetes distribution; the name is its path in the unpacked folder.
    Kubernetes,
    /// An OCI image manifest; the name is the full image reference.
    Image,
    /// An OCI blob (layer or configuration), not compressed; the name is `sha256:<hex>`.
    Blob,
    /// A model folder as tar; the name is the model's.
    Model,
    /// Any other file.
    File,
}

/// One entry of the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name; its meaning depends on the kind.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Version of the content as its maker calls it.
    pub version: String,
    /// SPDX expression, or where to find the licence.
    pub licence: String,
    /// Where it is from: `go:<module>`, `deb:<package>`, or empty.
    #[serde(default)]
    pub source: String,
    /// Permission bits when unpacked.
    pub mode: u32,
    /// sha256 of the uncompressed content, hexadecimal.
    pub sha256: String,
    /// Bytes of the uncompressed content.
    pub size: u64,
    /// First byte of the zstd frame, counted from the start of the pack.
    #[serde(default)]
    pub offset: u64,
    /// Bytes of the zstd frame.
    #[serde(default)]
    pub stored_size: u64,
    /// CRC-32C of the zstd frame: a frame has bits that its decoder ignores, and no altered bit is let through.
    #[serde(default)]
    pub stored_crc32c: u32,
}

/// The table of contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Format of the pack; a reader refuses a higher one than it knows.
    pub format: u32,
    /// Entries in the order of their frames.
    pub entries: Vec<Entry>,
}

/// The last 160 bytes of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Bytes from the first frame to the end of the footer.
    pub pack_len: u64,
    /// First byte of the index, counted from the start of the pack.
    pub index_offset: u64,
    /// Bytes of the index.
    pub index_len: u64,
    /// sha256 of the index.
    pub index_sha256: [u8; 32],
    /// The signer's public key.
    pub key: [u8; 32],
    /// Signature over `index_sha256`.
    pub signature: [u8; 64],
}

impl Footer {
    /// The footer for `index`, which begins `index_offset` bytes into the pack.
    pub fn sign(index: &[u8], index_offset: u64, key: &SigningKey) -> Footer {
        let index_len = index.len() as u64;
        let index_sha256: [u8; 32] = Sha256::digest(index).into();
        Footer {
            pack_len: index_offset + index_len + FOOTER as u64,
            index_offset,
            index_len,
            index_sha256,
            key: key.verifying_key().to_bytes(),
            signature: key.sign(&index_sha256).to_bytes(),
        }
    }

    /// The footer's bytes.
    pub fn encode(&self) -> [u8; FOOTER] {
        let mut out = [0; FOOTER];
        out[..8].copy_from_slice(MAGIC);
        out[8..16].copy_from_slice(&self.pack_len.to_le_bytes());
        out[16..24].copy_from_slice(&self.index_offset.to_le_bytes());
        out[24..32].copy_from_slice(&self.index_len.to_le_bytes());
        out[32..64].copy_from_slice(&self.index_sha256);
        out[64..96].copy_from_slice(&self.key);
        out[96..].copy_from_slice(&self.signature);
        out
    }

    /// Reads a footer; `room` is how many bytes lie before its end. Says what is wrong otherwise.
    pub fn decode(raw: &[u8; FOOTER], room: u64) -> Result<Footer, &'static str> {
        if &raw[..8] != MAGIC {
            return Err("the mark of a pack is not where it should be");
        }
        let number = |at: usize| u64::from_le_bytes(raw[at..at + 8].try_into().expect("8 bytes"));
        let footer = Footer {
            pack_len: number(8),
            index_offset: number(16),
            index_len: number(24),
            index_sha256: raw[32..64].try_into().expect("32 bytes"),
            key: raw[64..96].try_into().expect("32 bytes"),
            signature: raw[96..].try_into().expect("64 bytes"),
        };
        let sum = footer.index_offset.checked_add(footer.index_len).and_then(|n| n.checked_add(FOOTER as u64));
        if footer.pack_len > room || sum != Some(footer.pack_len) {
            return Err("the lengths in the footer do not fit the file");
        }
        Ok(footer)
    }

    /// Checks sum, signature and form of the index, and that its frames cover the pack without a gap.
    pub fn open_index(&self, raw: &[u8], origin: &str) -> Result<Index, PackError> {
        let damaged = |detail: &str| PackError::Damaged { origin: origin.into(), detail: detail.into() };
        if <[u8; 32]>::from(Sha256::digest(raw)) != self.index_sha256 {
            return Err(damaged("the index has another sum than the footer says"));
        }
        let signature = Signature::from_bytes(&self.signature);
        VerifyingKey::from_bytes(&self.key)
            .and_then(|key| key.verify_strict(&self.index_sha256, &signature))
            .map_err(|_| PackError::Signature { origin: origin.into() })?;
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(raw).map_err(|_| damaged("the index is not JSON"))?;
        if head.format > FORMAT {
            return Err(PackError::TooNew { origin: origin.into(), found: head.format, known: FORMAT });
        }
        let index: Index = serde_json::from_slice(raw).map_err(|_| damaged("the index lacks a field"))?;
        let mut at = 0u64;
        for entry in &index.entries {
            check_name(entry)?;
            if entry.offset != at {
                return Err(damaged("the index leaves a gap between entries"));
            }
            at = at.checked_add(entry.stored_size).ok_or_else(|| damaged("the index names impossible sizes"))?;
        }
        if at != self.index_offset {
            return Err(damaged("the entries do not end where the index begins"));
        }
        Ok(index)
    }
}

/// Refuses a name that could leave the folder that it is unpacked into.
fn check_name(entry: &Entry) -> Result<(), PackError> {
    let plain = |name: &str| safe_path(name);
    let fine = match entry.kind {
        Kind::Kubernetes | Kind::File => plain(&entry.name),
        Kind::Model => plain(&entry.name) && !entry.name.contains('/') && !entry.name.starts_with('.'),
        Kind::Blob => entry.name == format!("sha256:{}", entry.sha256),
        Kind::Image => !entry.name.is_empty(),
    };
    let sum = entry.sha256.len() == 64 && entry.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if fine && sum { Ok(()) } else { Err(PackError::Name { name: entry.name.clone() }) }
}

/// True for a relative path whose every part is an ordinary name.
pub fn safe_path(path: &str) -> bool {
    !path.is_empty() && !path.contains(['\0', '\\']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
