//! Role: keeps the record: schema and partitions, how far the topic reaches, and a probe that goes a post's whole way.
//!
//! It runs beside the analyzer, in every replica: each duty may be done twice without harm. It never touches a post.

use crate::domain::Post;
use crate::queue::{Ends, Producer, Record};
use crate::store::Store;
use crate::telemetry::AnalyzerMetrics;
use crate::wire::QueueMessage;
use chrono::Utc;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Platform name of probe posts; the store keeps them apart from posts.
pub const PROBE: &str = "probe";

/// What the keeper works with.
#[derive(Clone)]
pub struct Keeper {
    /// The topic's name.
    pub topic: String,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Where probes go.
    pub producer: Arc<dyn Producer>,
    /// How far the topic reaches.
    pub ends: Arc<dyn Ends>,
    /// Where backlog and connections are shown.
    pub metrics: AnalyzerMetrics,
    /// Pause between two probes.
    pub probe_every: Duration,
}

/// Pause between two looks at the topic's ends.
const LOOK: Duration = Duration::from_secs(2);
/// Housekeeping comes once in so many looks.
const HOUSEKEEPING: u32 = 300;

/// Keeps the record until `stop`; whatever fails is said once a minute at most and tried again.
pub async fn keep(keeper: Keeper, stop: CancellationToken) -> Result<(), String> {
    let look = async {
        for turn in 0u32.. {
            if turn % HOUSEKEEPING == 0 {
                say("housekeeping", turn, keeper.store.keep(Utc::now().date_naive()).await);
            }
            say("looking at the topic's ends", turn, keeper.look().await);
            tokio::time::sleep(LOOK).await;
        }
    };
    let probe = async {
        for turn in 0u32.. {
            say("sending a probe", turn, keeper.send_probe().await);
            tokio::time::sleep(keeper.probe_every).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        () = look => Err("the look at the topic ended".into()),
        () = probe => Err("the probing ended".into()),
    }
}

fn say<T, E: std::error::Error>(what: &str, turn: u32, done: Result<T, E>) {
    if let (Err(e), true) = (done, turn.is_multiple_of(30)) {
        tracing::warn!(error = %e, cause = e.source().map(|c| c.to_string()), "{what} failed and is tried again");
    }
}

impl Keeper {
    async fn look(&self) -> Result<(), Box<Failure>> {
        let ends = self.ends.ends().await.map_err(|e| Box::new(Failure::Topic(e)))?;
        let next = ends.into_iter().map(|(partition, (_, next))| (partition, next)).collect();
        self.note(&next).await.map_err(|e| Box::new(Failure::Store(e)))
    }

    async fn note(&self, next: &BTreeMap<i32, i64>) -> Result<(), crate::store::StoreError> {
        self.store.note_ends(&self.topic, next).await?;
        let stored = self.store.positions(&self.topic).await?;
        for (partition, end) in next {
            self.metrics.lag(&self.topic, *partition, (end - stored.get(partition).copied().unwrap_or(0)).max(0));
        }
        self.metrics.backends(self.store.connections().await?);
        Ok(())
    }

    /// Sends one probe and returns its identity.
    pub async fn send_probe(&self) -> Result<String, crate::queue::QueueError> {
        let (record, id) = probe(Utc::now());
        self.producer.send(vec![record]).await.map(|()| id)
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Topic(crate::queue::QueueError),
    #[error(transparent)]
    Store(crate::store::StoreError),
}

/// A probe post as it stands on the topic, and its identity.
fn probe(now: chrono::DateTime<Utc>) -> (Record, String) {
    let id = uuid::Uuid::now_v7().to_string();
    let post = Post {
        platform: PROBE.into(),
        id: id.clone(),
        url: None,
        author: None,
        lang: Some("en".into()),
        text: "This is a probe of the node itself.".into(),
        published_at: now,
        observed_at: now,
    };
    let key = post.key().into_bytes();
    let message = QueueMessage { v: QueueMessage::VERSION, geography: String::new(), post };
    (Record { key, payload: serde_json::to_vec(&message).unwrap_or_default() }, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_a_message_like_any_other() {
        let (record, id) = probe(Utc::now());
        let message = QueueMessage::decode(&record.payload).expect("a probe can be read");
        assert_eq!((message.post.platform.as_str(), message.post.id), (PROBE, id));
    }
}
