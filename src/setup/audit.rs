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
    /// The page of an unclaimed node was opened with the PIN.
    Unlock,
    /// The node was claimed.
    Claim,
    /// A user came in.
    Login,
    /// A name and pass phrase were refused.
    WrongLogin,
    /// A pass phrase was chosen.
    PassPhrase,
    /// A pass phrase was chosen with a recovery code.
    Recover,
    /// A user was added.
    UserAdded,
    /// A user got another role.
    UserRole,
    /// A user got a pass phrase that serves once.
    UserRenewed,
    /// A user was removed.
    UserRemoved,
    /// Credentials for the cluster were handed out.
    Kubeconfig,
    /// A support bundle was made.
    Support,
    /// A PIN was refused.
    WrongPin,
    /// A user went out.
    Logout,
    /// The text of a post was shown.
    Reveal,
    /// A token was sent to its hub.
    Enroll,
    /// A screen of the setup was answered.
    Setup,
}

/// One thing that somebody did.
#[derive(Clone, Debug, Serialize)]
pub struct Deed<'a> {
    /// The user, or the name that was tried; empty where nobody is known.
    pub who: &'a str,
    /// Short name of the session; empty before there is one.
    pub session: &'a str,
    /// Where the request came from.
    pub from: IpAddr,
    /// What was done.
    pub action: Action,
    /// What it was done to: the key of a post, the name of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<&'a str>,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(flatten)]
    deed: &'a Deed<'a>,
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

    /// Adds a line and waits until it is on disk.
    pub fn note(&self, deed: &Deed) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&Line { at: Utc::now().to_rfc3339(), deed })?;
        line.push(b'\n');
        let dir = self.path.parent().unwrap_or(Path::new("."));
        files::folder(dir, 0o755)?;
        let new = !self.path.exists();
        let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        file.write_all(&line)?;
        file.sync_data()?;
        if new { files::sync_dir(dir) } else { Ok(()) }
    }
}
