//! The observer's loop: page, acknowledgements, cursor; patient with whatever is away.

use super::Source;
use crate::queue::{Producer, Record};
use crate::store::Store;
use crate::telemetry::{Collector, Health};
use crate::wire::QueueMessage;
use chrono::Utc;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What an observer works with.
#[derive(Clone)]
pub struct Observer {
    /// Where posts go.
    pub producer: Arc<dyn Producer>,
    /// Where cursors are kept.
    pub store: Arc<dyn Store>,
    /// The observer's geography, carried in each message.
    pub geography: String,
    /// Pause between rounds once a source is read to its end.
    pub every: Duration,
    /// Counters.
    pub metrics: Collector,
    /// What `/health` and `/ready` say.
    pub health: Health,
}

/// Pause after a failure; the source's own limits come on top.
const RETRY: Duration = Duration::from_secs(2);

/// Observes all `sources` in turn until `stop`. Failures are counted, shown by `/ready`, and tried again.
pub async fn run(observer: Observer, mut sources: Vec<Box<dyn Source>>, stop: CancellationToken) -> Result<(), String> {
    let turns = async {
        loop {
            let mut pause = observer.every;
            for source in &mut sources {
                if let Err((kind, why)) = observer.drain(source.as_mut()).await {
                    tracing::warn!(source = source.name(), why, "a round failed and is tried again");
                    observer.metrics.error(kind);
                    observer.health.ready(Err(why));
                    pause = pause.min(RETRY);
                }
            }
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        never = turns => never,
    }
}

impl Observer {
    /// Reads one source to its end.
    async fn drain(&self, source: &mut dyn Source) -> Result<(), (&'static str, String)> {
        let name = source.name();
        let mut cursor = self.store.cursor(&name).await.map_err(|e| ("store", chain(&e)))?.unwrap_or(Value::Null);
        loop {
            self.health.turn();
            let page = source.next(&cursor, Utc::now()).await.map_err(|e| (e.kind(), chain(&e)))?;
            page.bad.iter().for_each(|kind| self.metrics.error(kind));
            if let Some(before) = &page.before {
                self.store.save_cursor(&name, before).await.map_err(|e| ("store", chain(&e)))?;
            }
            let n = page.posts.len();
            self.hand_on(page.posts).await?;
            if page.cursor != cursor {
                self.store.save_cursor(&name, &page.cursor).await.map_err(|e| ("store", chain(&e)))?;
                cursor = page.cursor;
            }
            source.settle().await;
            self.metrics.posts(n as u64);
            self.health.ready(Ok(()));
            if let Some(pause) = page.pause {
                tokio::time::sleep(pause).await;
            }
            if !page.more {
                self.metrics.success(Utc::now().timestamp());
                return Ok(());
            }
        }
    }

    /// Returns once the topic has acknowledged every post.
    async fn hand_on(&self, posts: Vec<crate::domain::Post>) -> Result<(), (&'static str, String)> {
        let records = posts.into_iter().map(|post| {
            let key = post.key().into_bytes();
            let message = QueueMessage { v: QueueMessage::VERSION, geography: self.geography.clone(), post };
            serde_json::to_vec(&message).map(|payload| Record { key, payload })
        });
        let records: Vec<Record> = records.collect::<Result<_, _>>().map_err(|e| ("encode", e.to_string()))?;
        if records.is_empty() {
            return Ok(());
        }
        self.producer.send(records).await.map_err(|e| ("topic", chain(&e)))
    }
}

/// An error with its causes, on one line.
fn chain(e: &dyn std::error::Error) -> String {
    let mut line = e.to_string();
    let mut cause = e.source();
    while let Some(c) = cause {
        line.push_str(": ");
        line.push_str(&c.to_string());
        cause = c.source();
    }
    line
}
