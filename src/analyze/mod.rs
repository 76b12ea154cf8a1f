//! Role: topic in, scores and offsets into the database.
//!
//! A window of messages is decoded, classified and stored with its offsets in one transaction; while one window is
//! being stored the next is being classified. Killed anywhere, it begins again where the database stands.
//! What it never does: trust Kafka's idea of what was consumed, or drop a message without a row that says so.

mod classify;
mod run;
mod window;

pub use classify::{Classify, Pool};
pub use run::{Analyzer, run};
pub use window::{Tracker, Window};

/// Why an analyzer starts over from the stored positions.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// The consumer ended or said so.
    #[error("ANA-101: the consumer ended: {0}")]
    Consumer(String),
    /// The classifier fails for every message: the model or its engine is broken.
    #[error("ANA-102: the classifier fails")]
    Classifier(#[source] crate::status::Problem),
    /// Someone else moved the stored positions.
    #[error("ANA-103: the stored positions are elsewhere; reading on from there")]
    Elsewhere,
    /// The topic could not be subscribed to.
    #[error(transparent)]
    Queue(#[from] crate::queue::QueueError),
    /// A message came whose offset lies before the expected one.
    #[error("ANA-104: partition {partition} went back to offset {offset}")]
    WentBack {
        /// The partition.
        partition: i32,
        /// The offset that came.
        offset: i64,
    },
}
