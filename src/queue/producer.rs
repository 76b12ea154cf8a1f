//! The producer: idempotent, `acks=all`.

use super::{Producer, QueueError, Record};
use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use std::time::Duration;

/// Produces to one topic of a Kafka broker.
pub struct KafkaProducer {
    inner: FutureProducer,
    topic: String,
}

impl KafkaProducer {
    /// A producer for `topic` at `brokers`; it connects when it first sends.
    pub fn new(brokers: &str, topic: &str) -> Result<Self, QueueError> {
        let inner = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "antihate-observer")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "zstd")
            .set("linger.ms", "5")
            .set("message.timeout.ms", "30000")
            .set("reconnect.backoff.max.ms", "2000")
            .set("log_level", "3")
            .create()
            .map_err(QueueError::Setup)?;
        Ok(KafkaProducer { inner, topic: topic.into() })
    }
}

#[async_trait::async_trait]
impl Producer for KafkaProducer {
    async fn send(&self, records: Vec<Record>) -> Result<(), QueueError> {
        let wait = Duration::from_secs(30);
        let sends = records.iter().map(|r| self.inner.send(FutureRecord::to(&self.topic).key(&r.key).payload(&r.payload), wait));
        let failed: Vec<_> = join_all(sends).await.into_iter().filter_map(Result::err).collect();
        let unsent = failed.len();
        match failed.into_iter().next() {
            None => Ok(()),
            Some((source, _)) => Err(QueueError::NotAcknowledged { unsent, source }),
        }
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        self.inner.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
    }
}
