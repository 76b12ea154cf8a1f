//! Who did what on the page: one JSON line an action, made durable before the action is done. Never with post text.

use crate::files;
use chrono::Utc;
use serde::Serialize;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What was done.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The page was opened with the PIN.
    Unlock,
    /// A PIN was refused.
    WrongPin,
    /// The page was locked.
    Lock,
    /// The text of a post was shown.
    Reveal,
    /// A token was sent to its hub.
    Enroll,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    session: &'a str,
    from: IpAddr,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<&'a str>,
}

/// The audit log of the page.
pub struct Audit {
    path: PathBuf,
}

impl Audit {
    /// The log at `path`; it is made with the first line.
    pub fn new(path: &Path) -> Self {
        Audit { path: path.to_owned() }
    }

    /// Adds a line and waits until it is on disk. `post` is the key of the post concerned.
    pub fn note(&self, session: &str, from: IpAddr, action: Action, post: Option<&str>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&Line { at: Utc::now().to_rfc3339(), session, from, action, post })?;
        line.push(b'\n');
        let dir = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)?;
        let new = !self.path.exists();
        let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        file.write_all(&line)?;
        file.sync_data()?;
        if new { files::sync_dir(dir) } else { Ok(()) }
    }
}
