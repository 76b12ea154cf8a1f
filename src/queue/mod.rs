//! The topic: produce and consume. Sole home of rdkafka.
//!
//! A [`Producer`] returns once everything is acknowledged. A consumer is told where to begin by whoever keeps the
//! positions (the database), never by Kafka's own commits; it hands on [`Event`]s in order through a channel.
//! [`memory::Topic`] is the same in one process, for the preview and for tests.

mod admin;
mod consumer;
pub mod memory;
mod producer;

pub use admin::{Admin, ensure_topic};
pub use consumer::{Consumer, ConsumerConfig};
pub use producer::KafkaProducer;

use std::collections::BTreeMap;

/// A record to produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key; equal keys go to the same partition.
    pub key: Vec<u8>,
    /// The value.
    pub payload: Vec<u8>,
}

/// A record that was consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The value.
    pub payload: Vec<u8>,
}

/// What a consumer hands on, in this order for each partition: where it begins, then records with rising offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A partition is ours from this offset on; what came before of it is void.
    Begin {
        /// The partition.
        partition: i32,
        /// The offset of the next record that is expected.
        offset: i64,
    },
    /// A record.
    Received(Received),
    /// The consumer cannot go on; the owner starts a new one.
    Failed(String),
}

/// Failures of the topic.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// A client could not be set up.
    #[error("QUE-101: the Kafka client could not be set up")]
    Setup(#[source] rdkafka::error::KafkaError),
    /// Not everything was acknowledged; sending again is safe.
    #[error("QUE-102: {unsent} records were not acknowledged")]
    NotAcknowledged {
        /// How many.
        unsent: usize,
        /// The first reason.
        #[source]
        source: rdkafka::error::KafkaError,
    },
    /// An administrative request failed.
    #[error("QUE-103: the broker did not answer the request to {what}")]
    Admin {
        /// What was asked.
        what: &'static str,
        /// What the client said.
        #[source]
        source: rdkafka::error::KafkaError,
    },
    /// The broker refused an administrative request.
    #[error("QUE-104: the broker refused to {what}: {why}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The broker's code.
        why: String,
    },
}

/// Whatever takes records.
#[async_trait::async_trait]
pub trait Producer: Send + Sync {
    /// Returns once every record is acknowledged; on an error some may be in the topic nevertheless.
    async fn send(&self, records: Vec<Record>) -> Result<(), QueueError>;
}

/// Whatever knows how far the topic reaches.
#[async_trait::async_trait]
pub trait Ends: Send + Sync {
    /// For each partition the first offset that is still there and the one that comes next.
    async fn ends(&self) -> Result<BTreeMap<i32, (i64, i64)>, QueueError>;
}

/// Says where to begin in these partitions; asked from the consumer's own thread at each assignment.
/// An error makes the consumer fail, so that nothing is read from a wrong place.
pub type Positions = dyn Fn(&[i32]) -> Result<BTreeMap<i32, i64>, String> + Send + Sync;

/// Whatever can be consumed: each call starts a new consumer, which ends when its receiver is dropped.
pub trait Subscribe: Send + Sync {
    /// Starts consuming.
    fn subscribe(&self, positions: std::sync::Arc<Positions>) -> Result<Subscription, QueueError>;
}

/// A running consumer; dropping it ends the consumer.
pub struct Subscription {
    /// Its events.
    pub events: tokio::sync::mpsc::Receiver<Event>,
    /// Tells the topic how far we are, for those who look at it with Kafka's tools; nothing depends on it.
    pub progress: std::sync::Arc<dyn Fn(&BTreeMap<i32, i64>) + Send + Sync>,
}
