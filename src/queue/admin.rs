//! What is asked of the broker beside producing and consuming: the topic, and how far it reaches.

use super::{Ends, QueueError};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Creates `topic` if it is not there yet. Messages are kept 7 days; a time-stamp is the broker's.
pub async fn ensure_topic(brokers: &str, topic: &str, partitions: i32, replication: i32) -> Result<(), QueueError> {
    let client: AdminClient<DefaultClientContext> = config(brokers).create().map_err(QueueError::Setup)?;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication)).set("retention.ms", "604800000");
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let results = client.create_topics([&new], &options).await.map_err(|source| QueueError::Admin { what: "create the topic", source })?;
    match results.into_iter().next() {
        Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
            Err(QueueError::Refused { what: "create the topic", why: code.to_string() })
        }
        _ => Ok(()),
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "antihate-admin").set("log_level", "3").set("reconnect.backoff.max.ms", "2000");
    config
}

/// Asks how far a topic reaches.
#[derive(Clone)]
pub struct Admin {
    inner: Arc<BaseConsumer>,
    topic: String,
}

impl Admin {
    /// A client for `topic` at `brokers`.
    pub fn new(brokers: &str, topic: &str) -> Result<Self, QueueError> {
        let inner = config(brokers).create().map_err(QueueError::Setup)?;
        Ok(Admin { inner: Arc::new(inner), topic: topic.into() })
    }

    fn read(&self) -> Result<BTreeMap<i32, (i64, i64)>, QueueError> {
        let failed = |source| QueueError::Admin { what: "tell the ends of the topic", source };
        let data = self.inner.fetch_metadata(Some(&self.topic), PATIENCE).map_err(failed)?;
        let partitions: Vec<i32> = data.topics().iter().flat_map(|t| t.partitions()).map(|p| p.id()).collect();
        partitions.into_iter().map(|p| Ok((p, self.inner.fetch_watermarks(&self.topic, p, PATIENCE).map_err(failed)?))).collect()
    }
}

#[async_trait::async_trait]
impl Ends for Admin {
    async fn ends(&self) -> Result<BTreeMap<i32, (i64, i64)>, QueueError> {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || this.read()).await {
            Ok(result) => result,
            Err(e) => Err(QueueError::Refused { what: "tell the ends of the topic", why: e.to_string() }),
        }
    }
}
