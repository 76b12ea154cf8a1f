//! A pasted token that waits to be sent: a file of its own, for root alone, never shown and never downloaded. It goes when it was used.

use crate::files;
use crate::status::Problem;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The token on the disk.
pub struct Token {
    path: PathBuf,
}

impl Token {
    /// The token of the node whose data root is `data`; beside the other secrets, so that no support bundle quotes it.
    pub fn new(data: &Path) -> Token {
        Token { path: data.join("secrets/setup-token") }
    }

    /// The token, if one waits.
    pub fn read(&self) -> Option<Zeroizing<String>> {
        std::fs::read_to_string(&self.path).ok().map(Zeroizing::new)
    }

    /// Keeps a token.
    pub fn set(&self, token: &str) -> Result<(), Problem> {
        files::replace(&self.path, token.as_bytes(), 0o600).map_err(|e| self.failed("kept", &e))
    }

    /// Forgets it.
    pub fn forget(&self) -> Result<(), Problem> {
        match std::fs::remove_file(&self.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(self.failed("removed", &e)),
            _ => Ok(()),
        }
    }

    fn failed(&self, deed: &str, error: &std::io::Error) -> Problem {
        Problem::new("SET-112", format!("The token cannot be {deed}"), format!("{}: {error}", self.path.display()), "Make room on the data disk and try again.")
    }
}
