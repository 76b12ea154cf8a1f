//! Role: platforms in, topic out; one file a platform.
//!
//! A round: read a page of the source from the cursor, hand its posts to the topic, wait for every acknowledgement,
//! then save the new cursor in the database. Killed anywhere, the page is read again: posts may reach the topic twice,
//! never not at all, and the store knows each by its key.
//! What it never does: decide what a post means, or write a post to the database.

mod import;
mod mastodon;
mod rss;
mod run;
pub mod sample;
mod text;

pub use import::Import;
pub use mastodon::Mastodon;
pub use rss::Rss;
pub use run::{Observer, run};

use crate::domain::Post;
use crate::fetch::FetchError;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::time::Duration;

/// What a source gave from one cursor position.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    /// New posts, oldest first.
    pub posts: Vec<Post>,
    /// Saved before the posts are handed on, where the source gives a post no date and ours must survive a kill.
    pub before: Option<Value>,
    /// Where to go on once the posts are acknowledged.
    pub cursor: Value,
    /// Whether there is more to read at once.
    pub more: bool,
    /// What could not be read, by a short stable word; it is counted and passed.
    pub bad: Vec<&'static str>,
    /// How long the source asks to be left alone.
    pub pause: Option<Duration>,
}

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The request failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The answer is not what the platform promises.
    #[error("OBS-201: {what} cannot be read: {why}")]
    Unreadable {
        /// Which source.
        what: String,
        /// What the parser said, without any content.
        why: String,
    },
    /// A file or folder could not be read.
    #[error("OBS-202: {path} cannot be read")]
    File {
        /// The path.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl SourceError {
    /// A short stable word for the error metric.
    pub fn kind(&self) -> &'static str {
        match self {
            SourceError::Fetch(e) => e.kind(),
            SourceError::Unreadable { .. } => "unreadable",
            SourceError::File { .. } => "file",
        }
    }
}

/// A platform: reads a page from a cursor. `Value::Null` is the cursor of the first time.
#[async_trait::async_trait]
pub trait Source: Send {
    /// Name of the source, unique in the node; the cursor is kept under it.
    fn name(&self) -> String;
    /// Reads on from `cursor`; `now` becomes the posts' `observed_at`.
    async fn next(&mut self, cursor: &Value, now: DateTime<Utc>) -> Result<Page, SourceError>;
    /// Called once the page's cursor is saved.
    async fn settle(&mut self) {}
}

/// The publication date as it is carried: what the platform says, unless that lies in the future.
fn sane_date(said: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    said.filter(|at| *at <= now + chrono::Duration::hours(1) && *at > DateTime::UNIX_EPOCH)
}
