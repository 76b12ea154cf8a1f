//! Packs the parts and closes the archive: a tar under zstd, encrypted as an age file (<https://age-encryption.org/v1>), which whoever
//! helps opens with the usual program of that name.

use super::failed;
use crate::pki::symbols;
use crate::status::Problem;
use age::secrecy::SecretString;
use age::x25519::Recipient;
use age::{Encryptor, scrypt};
use chrono::{DateTime, Utc};
use std::io::Write;
use zeroize::Zeroizing;

/// Characters of a phrase, five random bits each.
const PHRASE: usize = 24;
/// Cost of guessing a phrase, as a power of two; with 120 random bits it adds nothing, and more would take a small host its memory.
const WORK: u8 = 15;
/// How hard the archive is compressed.
const LEVEL: i32 = 9;

/// Who can open a bundle.
pub enum Seal {
    /// The holders of these age keys (`age1…`).
    Keys(Vec<String>),
    /// Whoever is told a phrase that is made for this bundle.
    Phrase,
    /// Everybody.
    Open,
}

/// Whether this is the public key of an age identity.
pub fn is_key(text: &str) -> bool {
    text.parse::<Recipient>().is_ok()
}

/// An archive of the files, readable for their owner alone.
pub fn archive(files: &[(String, Vec<u8>)], made_at: DateTime<Utc>) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(made_at.timestamp().max(0) as u64);
        tar.append_data(&mut header, format!("antihate-support/{name}"), bytes.as_slice())?;
    }
    tar.into_inner()?.finish()
}

/// Encrypts the archive as wanted; with the phrase that opens it, if there is one.
pub fn seal(archive: &[u8], how: &Seal) -> Result<(Vec<u8>, Option<Zeroizing<String>>), Problem> {
    match how {
        Seal::Open => Ok((archive.to_vec(), None)),
        Seal::Keys(keys) => {
            let keys = keys.iter().map(|k| recipient(k)).collect::<Result<Vec<_>, _>>()?;
            let to = Encryptor::with_recipients(keys.iter().map(|k| k as &dyn age::Recipient)).map_err(|e| failed(&e))?;
            Ok((encrypt(to, archive).map_err(|e| failed(&e))?, None))
        }
        Seal::Phrase => {
            let random = Zeroizing::new(symbols::random(PHRASE));
            let phrase = Zeroizing::new(symbols::grouped(&random));
            let mut by = scrypt::Recipient::new(SecretString::from(phrase.as_str().to_owned()));
            by.set_work_factor(WORK);
            let to = Encryptor::with_recipients(std::iter::once(&by as &dyn age::Recipient)).map_err(|e| failed(&e))?;
            Ok((encrypt(to, archive).map_err(|e| failed(&e))?, Some(phrase)))
        }
    }
}

fn recipient(key: &str) -> Result<Recipient, Problem> {
    key.parse().map_err(|e: &str| {
        Problem::new("SUP-101", "this is no key to encrypt for", format!("{key:?}: {e}"), "Give the public key that begins with age1; `age-keygen` prints it.")
    })
}

fn encrypt(to: Encryptor, archive: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(archive.len() + 4096);
    let mut writer = to.wrap_output(&mut out)?;
    writer.write_all(archive)?;
    writer.finish()?;
    Ok(out)
}
