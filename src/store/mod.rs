//! PostgreSQL and SQLite: schema, sink, queries.
//!
//! The one thing that everything leans on: a consumed offset is a row, moved in the same transaction as the results and
//! only from where it is expected to be. A replay, a late twin of an analyzer, a retry after an unknown outcome
//! therefore change nothing. Posts are never updated; each lies in the partition of the day on which it was published.

/// Columns of an analysis, in the order in which both databases' `analysis` reads a row.
macro_rules! columns {
    () => {
        "platform, id, url, author, lang, text, published_at, observed_at, label, p_none, p_offensive, p_hate, model, analyzed_at"
    };
}

mod damage;
mod flush;
pub mod hub;
mod postgres;
mod queries;
mod schema;
mod sqlite;
mod sqlite_sql;
pub mod sums;

pub use damage::damage;
pub use flush::{Flush, Flushed, Span, Stored};
pub use postgres::{PgConfig, Postgres};
pub use sqlite::Sqlite;

use crate::domain::{Analysis, Label, PostRef};
use crate::status::Pipeline;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;

/// Failures of the database; all of them may pass, unless `passes` says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection.
    #[error("STO-101: the database at {at} cannot be reached")]
    Unreachable {
        /// Host and port.
        at: String,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement failed.
    #[error("STO-102: the database could not {what}")]
    Failed {
        /// What was wanted.
        what: &'static str,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schema is newer than this program.
    #[error("STO-103: the database has schema {found}, this program knows {known}")]
    Newer {
        /// Version in the database.
        found: i32,
        /// Version of this program.
        known: i32,
    },
}

impl StoreError {
    pub(crate) fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &'static str) -> impl FnOnce(E) -> StoreError {
        move |e| StoreError::Failed { what, source: e.into() }
    }
}

/// What of the latest posts is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these labels; empty means all.
    pub labels: Vec<Label>,
    /// Only this platform.
    pub platform: Option<String>,
}

/// A probe post that came out of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeSeen {
    /// When it was produced.
    pub sent_at: DateTime<Utc>,
    /// When its transaction stored it.
    pub stored_at: DateTime<Utc>,
}

/// The record of the node: PostgreSQL in the cluster, SQLite in the preview.
#[async_trait::async_trait]
pub trait Store: Send + Sync {
    /// Brings the schema up to date; safe to call from several processes at once.
    async fn migrate(&self) -> Result<(), StoreError>;
    /// The next offset of each partition, as stored.
    async fn positions(&self, topic: &str) -> Result<BTreeMap<i32, i64>, StoreError>;
    /// Stores results and positions together, or nothing.
    async fn flush(&self, flush: &Flush) -> Result<Flushed, StoreError>;
    /// Moves a position because the topic was made anew; only if it is still `from`.
    async fn reset_position(&self, topic: &str, partition: i32, from: i64, to: i64) -> Result<(), StoreError>;
    /// Notes how far the topic reaches, for the backlog.
    async fn note_ends(&self, topic: &str, next: &BTreeMap<i32, i64>) -> Result<(), StoreError>;
    /// Where an observer goes on.
    async fn cursor(&self, source: &str) -> Result<Option<Value>, StoreError>;
    /// Saves where an observer goes on.
    async fn save_cursor(&self, source: &str, cursor: &Value) -> Result<(), StoreError>;
    /// The latest posts, newest first, at most `most`.
    async fn latest(&self, most: u32, filter: &Filter) -> Result<Vec<Analysis>, StoreError>;
    /// The named posts, in no order; what is not stored is left out.
    async fn find(&self, posts: &[PostRef]) -> Result<Vec<Analysis>, StoreError>;
    /// The numbers of a post's way.
    async fn pipeline(&self) -> Result<Pipeline, StoreError>;
    /// The probe that was stored last.
    async fn last_probe(&self) -> Result<Option<ProbeSeen>, StoreError>;
    /// Connections that the database has now.
    async fn connections(&self) -> Result<i64, StoreError>;
    /// Housekeeping: partitions ahead, old probes away.
    async fn keep(&self, today: chrono::NaiveDate) -> Result<(), StoreError>;
}
