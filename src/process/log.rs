//! Logs of children: one file each, with a cap, and one older file beside it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A log that keeps at most two files of `cap` bytes: `x.log` and `x.log.1`.
pub struct RotatingLog {
    path: PathBuf,
    file: File,
    written: u64,
    cap: u64,
}

impl RotatingLog {
    /// Opens the log for appending.
    pub fn open(path: &Path, cap: u64) -> std::io::Result<RotatingLog> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let file = File::options().create(true).append(true).open(path)?;
        let written = file.metadata()?.len();
        Ok(RotatingLog { path: path.to_path_buf(), file, written, cap })
    }

    /// Appends; moves the file aside first when it is full.
    pub fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.written > 0 && self.written + bytes.len() as u64 > self.cap {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.file = File::options().create(true).append(true).open(&self.path)?;
            self.written = 0;
        }
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// Largest log of what has no process of its own, bytes.
const NOTES_CAP: u64 = 1 << 20;

/// One stamped line in the log at `path`, of a part of the host process. A log that cannot be written stops nothing.
pub fn note(path: &Path, line: &str) {
    let line = format!("{} {}\n", chrono::Utc::now().format("%FT%T%.3fZ"), line.trim().replace('\n', "; "));
    drop(RotatingLog::open(path, NOTES_CAP).and_then(|mut log| log.append(line.as_bytes())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_moves_aside_and_only_one_older_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut log = RotatingLog::open(&path, 10).unwrap();
        for line in ["first---\n", "second--\n", "third---\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "third---\n");
        assert_eq!(std::fs::read_to_string(dir.path().join("a.log.1")).unwrap(), "second--\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
