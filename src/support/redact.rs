//! Takes secrets out of text: those that lie on this host, wherever they are quoted, and whatever has the shape of one.

use crate::config::layout::Layout;
use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What stands in the place of a secret.
const REMOVED: &str = "[removed]";
/// Shortest run of characters in a secret's file that is taken for a part of it.
const SHORTEST: usize = 20;
/// Larger files hold no secrets of ours.
const LARGEST: u64 = 1 << 20;

/// Shapes of secrets; where there is a group, what it holds stays.
const SHAPES: [&str; 7] = [
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    // A JSON web token.
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}",
    // Enrollment tokens and join codes.
    r"\bAH[A-Z][0-9]\.[0-9A-Za-z.:-]{20,}",
    r"\bAGE-SECRET-KEY-1[0-9A-Z]+",
    // Credentials in an address.
    r"([a-z][a-z0-9+.-]*://)[^/\s:@]+:[^/\s@]+@",
    r#"(?i)((?:password|passwd|pass[_ -]?phrase|secret|api[_-]?key|token|client-key-data)["']?\s*[:=]\s*["']?)[^\s"',;]{4,}"#,
];

/// Knows the secrets of one host.
pub struct Redactor {
    known: Option<AhoCorasick>,
    shapes: Vec<Regex>,
}

impl Redactor {
    /// Reads what is secret below the data root; what cannot be read cannot have been quoted by what we read either.
    pub fn of(layout: &Layout) -> Redactor {
        let mut known = BTreeSet::new();
        for place in [layout.pki(), layout.identity(), layout.cluster(), layout.data.join("secrets"), layout.rendered(), layout.data.join("users.json"), layout.kubernetes().join("home")] {
            for file in below(&place).into_iter().filter(|f| f.extension().is_none_or(|e| e != "crt")) {
                known.extend(runs(&std::fs::read(&file).unwrap_or_default()));
            }
        }
        known.extend(short(&layout.data.join("secrets")));
        known.extend(pin(&layout.run.join("setup-pin")));
        let known = (!known.is_empty()).then(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&known).ok()).flatten();
        Redactor { known, shapes: SHAPES.iter().map(|s| Regex::new(s).expect("a constant pattern")).collect() }
    }

    /// The same text without secrets, and how many there were.
    pub fn clean(&self, bytes: &[u8]) -> (Vec<u8>, usize) {
        let (mut text, mut count) = (String::from_utf8_lossy(bytes).into_owned(), 0);
        if let Some(known) = &self.known {
            let mut clean = String::with_capacity(text.len());
            known.replace_all_with(&text, &mut clean, |_, _, out| {
                out.push_str(REMOVED);
                count += 1;
                true
            });
            text = clean;
        }
        for shape in &self.shapes {
            let mut here = 0;
            let clean = shape.replace_all(&text, |found: &regex::Captures| {
                here += usize::from(!found[0].ends_with(REMOVED));
                format!("{}{REMOVED}", found.get(1).map_or("", |kept| kept.as_str()))
            });
            text = clean.into_owned();
            count += here;
        }
        (text.into_bytes(), count)
    }
}

fn below(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_path_buf()];
    }
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let own = entries.filter(|e| e.file_type().is_ok_and(|t| !t.is_symlink())).map(|e| e.path());
    let files = own.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] });
    files.filter(|path| path.metadata().is_ok_and(|m| m.len() <= LARGEST)).collect()
}

/// Runs of base 64 or hexadecimal in a file: lines of a key, values of a kubeconfig, sums of pass phrases. A run without a digit is a word.
fn runs(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/_=-".contains(c)));
    let looks = |run: &&str| run.len() >= SHORTEST && !run.starts_with('/') && run.bytes().any(|b| b.is_ascii_digit()) && run.bytes().any(|b| b.is_ascii_alphabetic());
    parts.filter(looks).map(str::to_owned).collect()
}

/// Whole contents of the small files that hold nothing but one secret.
fn short(folder: &Path) -> Vec<String> {
    let all = below(folder).into_iter().filter_map(|f| std::fs::read_to_string(f).ok());
    all.map(|text| text.trim().to_owned()).filter(|text| text.len() >= 4).collect()
}

/// The PIN, with and without its hyphen.
fn pin(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let pin = text.lines().next().unwrap_or_default().trim();
    if pin.len() < 8 { Vec::new() } else { vec![pin.to_owned(), pin.replace('-', "")] }
}
