//! Role: the support bundle: what somebody who helps has to see, and nothing that is secret or somebody's post.
//!
//! Only what stands in the list is taken ([`list`]); each part has its own time and size, all are taken at once, and one that fails is
//! told in the manifest instead of ending the rest, so that it works while the cluster is down. What is taken goes through the removal
//! of secrets ([`redact`]), into an archive with its manifest, and is encrypted ([`seal`]). It never reads volumes, the database, a topic
//! or the log of a program that quotes rows, and it changes nothing on the host.

mod collect;
mod list;
mod redact;
mod seal;
#[cfg(test)]
mod tests;

pub use list::{LEFT_OUT, Part, Source, parts};
pub use seal::{Seal, is_key};

use crate::config::layout::Layout;
use crate::status::Problem;
use chrono::{DateTime, Utc};
use redact::Redactor;
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Largest sum of the parts, bytes; what comes later is left out and named in the manifest.
pub const LARGEST: usize = 50 << 20;

/// What the bundle says of one of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its name in the archive.
    pub name: String,
    /// What it is for, in plain words.
    pub what: &'static str,
    /// Bytes in the archive.
    pub bytes: usize,
    /// SHA-256 of them, hexadecimal.
    pub sha256: String,
    /// Milliseconds that it took.
    pub took_ms: u128,
    /// Only the end (of a log) or the beginning was taken.
    pub cut: bool,
    /// How many secrets were taken out of it.
    pub removed: usize,
    /// Why it is empty or not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What stands in `manifest.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// When it was begun.
    pub made_at: DateTime<Utc>,
    /// Version of `antihate`.
    pub version: &'static str,
    /// The parts, by name.
    pub parts: Vec<Line>,
    /// What is never taken, and why.
    pub left_out: Vec<(&'static str, &'static str)>,
}

/// A bundle that can be given away.
pub struct Bundle {
    /// What is in it.
    pub manifest: Manifest,
    /// The file: a tar under zstd, encrypted by age unless that was not wanted.
    pub bytes: Vec<u8>,
    /// What opens it, where it was encrypted with a phrase; nothing keeps it.
    pub phrase: Option<Zeroizing<String>>,
}

impl Bundle {
    /// How a file with it should be called, such as `antihate-support-20261127T204400Z.tar.zst.age`.
    pub fn file_name(&self, encrypted: bool) -> String {
        format!("antihate-support-{}.tar.zst{}", self.manifest.made_at.format("%Y%m%dT%H%M%SZ"), if encrypted { ".age" } else { "" })
    }
}

/// Makes the bundle of the node at `layout`. `given` are parts that only the caller can make. Blocks,
/// half a minute at most. Errors: SUP-101 for a key that is none, SUP-102 where packing or encrypting fails.
pub fn bundle(layout: &Layout, given: Vec<Part>, seal: &Seal) -> Result<Bundle, Problem> {
    let made_at = Utc::now();
    let wanted = given.into_iter().chain(parts(layout)).collect();
    let redactor = Redactor::of(layout);
    let (mut lines, mut files, mut total) = (Vec::new(), Vec::new(), 0);
    for taken in collect::all(wanted) {
        let (mut bytes, removed) = redactor.clean(&taken.bytes);
        let mut problem = taken.problem.map(|p| String::from_utf8_lossy(&redactor.clean(p.as_bytes()).0).into_owned());
        if total + bytes.len() > LARGEST {
            (bytes, problem) = (Vec::new(), Some(format!("left out: with it the bundle would be larger than {} MiB", LARGEST >> 20)));
        }
        total += bytes.len();
        lines.push(Line { name: taken.name.clone(), what: taken.what, bytes: bytes.len(), sha256: hex::encode(Sha256::digest(&bytes)), took_ms: taken.took.as_millis(), cut: taken.cut, removed, problem });
        files.push((taken.name, bytes));
    }
    let manifest = Manifest { made_at, version: env!("CARGO_PKG_VERSION"), parts: lines, left_out: LEFT_OUT.to_vec() };
    files.insert(0, ("manifest.json".into(), serde_json::to_vec_pretty(&manifest).expect("plain data")));
    let (bytes, phrase) = seal::seal(&seal::archive(&files, made_at).map_err(|e| failed(&e))?, seal)?;
    Ok(Bundle { manifest, bytes, phrase })
}

/// The problem of a bundle that could not be packed or encrypted.
pub fn failed(e: &dyn std::fmt::Display) -> Problem {
    Problem::new("SUP-102", "the support bundle could not be made", e.to_string(), "Free memory on this host and try again.")
}
