//! The node's half: asks for an identity, keeps it safe, renews it, says how the node fares.
//!
//! Nothing waits for it: without a token or without a link the node does all its other work. It never sends
//! anything before the other end has proved to hold the pinned key, and it stops for good when it is revoked.

pub(super) mod exchange;
mod facts;
pub(super) mod identity;
pub(super) mod link;
mod plan;
mod run;

pub use exchange::join;
pub use identity::{Folder, Identity};
pub use run::{Edge, Handle, Reporter};

use crate::enroll::refusal::Refusal;
use crate::status::Problem;
use std::path::PathBuf;

/// What the owner of the machine has decided.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Geography that the node is configured for, if any; a token of another one is refused.
    pub geography: Option<String>,
    /// Site that the node is configured for, if any.
    pub site: Option<String>,
    /// Added to this machine's clock, in seconds; other than 0 in tests of a wrong clock.
    pub clock_offset_s: i64,
}

impl Options {
    /// Now by this machine's clock, seconds since 1970.
    fn now(&self) -> i64 {
        chrono::Utc::now().timestamp() + self.clock_offset_s
    }
}

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The protocol says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file of the identity failed.
    #[error("cannot {doing} {path}")]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// A key or certificate failed.
    #[error("the device key or certificate cannot be used")]
    Pki(#[from] crate::pki::enroll::Error),
    /// Another process enrolls this node.
    #[error("another process is changing the identity of this node: {holder}")]
    Busy { holder: String },
    /// The node has an identity already.
    #[error("this node is already enrolled as {node} in geography {geography}")]
    Already { node: String, geography: String },
}

impl Error {
    /// As it is shown to a person.
    pub fn problem(&self) -> Problem {
        let what = self.to_string();
        let deep = std::error::Error::source(self).map(ToString::to_string).unwrap_or_default();
        match self {
            Error::Refused(refusal) => refusal.problem(),
            Error::File { .. } => Problem::new("ENR-121", what, deep, "Check free space and permissions of that folder, then try again with the same token."),
            Error::Pki(_) => Problem::new("ENR-122", what, deep, "If the file is damaged, remove the identity folder and enroll with a new token."),
            Error::Busy { .. } => Problem::new("ENR-123", what, "The identity is changed by one process at a time.", "Wait a minute and try again."),
            Error::Already { .. } => Problem::new("ENR-124", what, "A node has one identity at a time.", "Nothing needs to be done. To give it another identity: antihate enroll --replace TOKEN."),
        }
    }

    /// Whether trying again later can succeed without a person.
    fn passes(&self) -> bool {
        match self {
            Error::Refused(refusal) => refusal.passes(),
            Error::File { .. } | Error::Busy { .. } => true,
            Error::Pki(_) | Error::Already { .. } => false,
        }
    }
}
