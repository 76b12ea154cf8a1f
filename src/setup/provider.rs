//! What the page reads and asks of the node; the host and the preview each supply one.

use crate::domain::{Analysis, PostRef, Role};
use crate::status::check::Check;
use crate::status::{NodeStatus, Problem};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// An enrollment token as it was decoded on this machine; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// Geography that the token belongs to.
    pub geography: String,
    /// Host and port of the hub.
    pub hub: String,
    /// Until when the token is good, if it says so.
    pub expires: Option<DateTime<Utc>>,
    /// Words that stand for the hub's certificate authority, to compare with the person who gave the token.
    pub words: String,
}

/// A support bundle that can be given away.
#[derive(Debug)]
pub struct Packed {
    /// How the file should be called.
    pub name: String,
    /// The encrypted file.
    pub bytes: Bytes,
    /// What opens it; nothing else keeps it.
    pub phrase: Zeroizing<String>,
    /// Its parts: name, what it is for, why it is not there.
    pub parts: Vec<PackedPart>,
    /// How many secrets were taken out of logs.
    pub removed: usize,
}

/// A part of a support bundle.
#[derive(Clone, Debug, Serialize)]
pub struct PackedPart {
    /// Its name in the archive.
    pub name: String,
    /// What it is for.
    pub what: String,
    /// Why it is not there.
    pub problem: Option<String>,
}

/// The node behind the page. Every call may be slow or fail: the page waits for none longer than about a second.
#[async_trait::async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The node's state, replaced whenever something changes.
    fn status(&self) -> watch::Receiver<NodeStatus>;

    /// The newest posts with their results, newest first; a problem when the store does not answer.
    async fn latest_posts(&self, limit: usize) -> Result<Vec<Analysis>, Problem>;

    /// The named posts, in no order; what is not stored is left out.
    async fn posts(&self, named: &[PostRef]) -> Result<Vec<Analysis>, Problem>;

    /// The last log lines of a component named as in [`NodeStatus::components`], oldest first, without post text.
    async fn component_log(&self, name: &str, lines: usize) -> Result<Vec<String>, Problem>;

    /// The checks of the host, looked at now, without what takes time; none where there is no host of its own.
    async fn checks(&self) -> Vec<Check> {
        Vec::new()
    }

    /// Whether an owner is led through the setup here; a host that joined another one follows that one's.
    fn has_setup(&self) -> bool {
        true
    }

    /// Whether what is written into `settings.toml` is taken up by what runs here.
    fn follows_settings(&self) -> bool {
        true
    }

    /// Decodes a token without sending anything; the problem never repeats the token.
    fn decode_token(&self, token: &str) -> Result<TokenFacts, Problem>;

    /// Enrolls with the token; returns when the hub has answered. Asked twice with one token, it does it once.
    async fn enroll(&self, token: &str) -> Result<(), Problem>;

    /// Credentials for the cluster, for a user of this name and role, and how many days they hold; they cannot be taken back before.
    fn kubeconfig(&self, name: &str, role: Role) -> Result<(String, u16), Problem>;

    /// Makes a support bundle, encrypted with a fresh phrase; takes up to half a minute.
    async fn support(&self) -> Result<Packed, Problem>;

    /// What never goes into one, each with why.
    fn never_in_support(&self) -> &'static [(&'static str, &'static str)];
}
