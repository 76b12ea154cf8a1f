//! Files of the host below one root: a test gives a made-up host.

use std::path::{Path, PathBuf};

/// The root.
#[derive(Clone, Debug)]
pub struct Tree(PathBuf);

impl Tree {
    /// Below `root`.
    pub fn new(root: &Path) -> Tree {
        Tree(root.to_path_buf())
    }

    /// A path below it, with or without a slash at its beginning.
    pub fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// A file's text without white space at its ends; empty where it cannot be read.
    pub fn text(&self, path: &str) -> String {
        std::fs::read(self.at(path)).map(|raw| String::from_utf8_lossy(&raw).trim().to_owned()).unwrap_or_default()
    }

    /// The number with which a file begins.
    pub fn number(&self, path: &str) -> Option<u64> {
        self.text(path).split_whitespace().next()?.parse().ok()
    }

    /// Something is there.
    pub fn has(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    /// What of these is there.
    pub fn those(&self, paths: &[&'static str]) -> Vec<&'static str> {
        paths.iter().copied().filter(|p| self.has(p)).collect()
    }

    /// Names in a folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.at(folder)).into_iter().flatten().flatten();
        let mut all: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
        all.sort();
        all
    }

    /// For every folder in `folder` its name and the text of `file` in it, where there is one.
    pub fn each(&self, folder: &str, file: &str) -> Vec<(String, String)> {
        let read = |name: String| (self.text(&format!("{folder}/{name}/{file}")), name);
        self.names(folder).into_iter().map(read).filter(|(text, _)| !text.is_empty()).map(|(text, name)| (name, text)).collect()
    }

    /// The value behind `name` in a text of lines `name: value` or `name value`.
    pub fn field(&self, path: &str, name: &str) -> Option<String> {
        field(&self.text(path), name)
    }
}

/// The value behind `name` in lines `name: value`, `name<tab>: value` or `name value`.
pub fn field(text: &str, name: &str) -> Option<String> {
    let rest = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let value = rest.trim_start_matches([' ', '\t']).trim_start_matches(':');
        (rest.len() != value.len()).then(|| value.trim().to_owned())
    };
    text.lines().find_map(rest)
}

/// Bytes for a person.
pub fn size(bytes: u64) -> String {
    const KIB: f64 = 1024.0;
    let (mut amount, mut unit) = (bytes as f64 / (KIB * KIB), "MiB");
    if amount >= KIB {
        (amount, unit) = (amount / KIB, "GiB");
    }
    format!("{amount:.1} {unit}")
}

/// A list for a person; `none` where it is empty.
pub fn list<T: AsRef<str>>(all: &[T]) -> String {
    let words: Vec<&str> = all.iter().map(AsRef::as_ref).collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}

/// An amount that may not be known, or may have no bound.
pub fn known(amount: Option<u64>) -> String {
    const BOUNDLESS: u64 = 1 << 60;
    match amount {
        None => "not told by this kernel".into(),
        Some(BOUNDLESS..) => "no limit".into(),
        Some(n) => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_kernels_texts_are_found_by_their_whole_name() {
        let text = "MemTotal:  2 kB\nmodel name\t: A Processor\noom_kill 3\noom_kill_group 9";
        assert_eq!(field(text, "MemTotal").as_deref(), Some("2 kB"));
        assert_eq!(field(text, "model name").as_deref(), Some("A Processor"));
        assert_eq!(field(text, "oom_kill").as_deref(), Some("3"));
        assert_eq!(field(text, "Mem"), None);
    }

    #[test]
    fn amounts_are_told_in_their_unit() {
        assert_eq!([known(None), known(Some(7)), known(Some(u64::MAX))], ["not told by this kernel", "7", "no limit"]);
        assert_eq!((size(3 << 30), size(5 << 20), list::<&str>(&[])), ("3.0 GiB".into(), "5.0 MiB".into(), "none".into()));
    }
}
