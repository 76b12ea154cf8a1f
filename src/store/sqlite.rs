//! SQLite: the same record in one file, for the preview.

use super::{Filter, Flush, Flushed, ProbeSeen, Store, StoreError, sqlite_sql as sql};
use crate::domain::{Analysis, PostRef};
use crate::status::Pipeline;
use chrono::NaiveDate;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The store in SQLite; clones share it.
#[derive(Clone)]
pub struct Sqlite(Arc<Mutex<Connection>>);

impl Sqlite {
    /// Opens or makes the file.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Connection::open(path).map(Self::on).map_err(StoreError::failed("open the file"))
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Result<Self, StoreError> {
        Connection::open_in_memory().map(Self::on).map_err(StoreError::failed("open in memory"))
    }

    fn on(connection: Connection) -> Self {
        Sqlite(Arc::new(Mutex::new(connection)))
    }

    /// Runs `work` on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&mut shared.lock().unwrap_or_else(|e| e.into_inner()))).await;
        done.map_err(StoreError::failed(what))?.map_err(StoreError::failed(what))
    }
}

#[async_trait::async_trait]
impl Store for Sqlite {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.with("migrate the schema", |c| c.execute_batch(sql::SCHEMA)).await
    }

    async fn positions(&self, topic: &str) -> Result<BTreeMap<i32, i64>, StoreError> {
        let topic = topic.to_string();
        self.with("read the positions", move |c| sql::positions(c, &topic)).await
    }

    async fn flush(&self, flush: &Flush) -> Result<Flushed, StoreError> {
        let flush = flush.clone();
        self.with("store a flush", move |c| sql::flush(c, &flush)).await
    }

    async fn reset_position(&self, topic: &str, partition: i32, from: i64, to: i64) -> Result<(), StoreError> {
        let topic = topic.to_string();
        let set = "UPDATE consumed SET next_offset = ?4, topic_end = ?4 WHERE topic = ?1 AND partition = ?2 AND next_offset = ?3";
        self.with("reset a position", move |c| c.execute(set, (topic, partition, from, to)).map(drop)).await
    }

    async fn note_ends(&self, topic: &str, next: &BTreeMap<i32, i64>) -> Result<(), StoreError> {
        let (topic, next) = (topic.to_string(), next.clone());
        self.with("note the topic's ends", move |c| sql::note_ends(c, &topic, &next)).await
    }

    async fn cursor(&self, source: &str) -> Result<Option<Value>, StoreError> {
        let source = source.to_string();
        self.with("read a cursor", move |c| sql::cursor(c, &source)).await
    }

    async fn save_cursor(&self, source: &str, cursor: &Value) -> Result<(), StoreError> {
        let (source, cursor) = (source.to_string(), cursor.to_string());
        let save = "INSERT INTO observer_cursor VALUES (?1, ?2) ON CONFLICT (source) DO UPDATE SET cursor = excluded.cursor";
        self.with("save a cursor", move |c| c.execute(save, (source, cursor)).map(drop)).await
    }

    async fn latest(&self, most: u32, filter: &Filter) -> Result<Vec<Analysis>, StoreError> {
        let filter = filter.clone();
        self.with("read the latest posts", move |c| sql::latest(c, most, &filter)).await
    }

    async fn find(&self, posts: &[PostRef]) -> Result<Vec<Analysis>, StoreError> {
        let keys: Vec<String> = posts.iter().map(|p| p.key.clone()).collect();
        self.with("read posts", move |c| sql::find(c, &keys)).await
    }

    async fn pipeline(&self) -> Result<Pipeline, StoreError> {
        self.with("read the numbers", |c| sql::pipeline(c, chrono::Utc::now())).await
    }

    async fn last_probe(&self) -> Result<Option<ProbeSeen>, StoreError> {
        self.with("read the probes", |c| sql::last_probe(c)).await
    }

    async fn connections(&self) -> Result<i64, StoreError> {
        Ok(1)
    }

    async fn keep(&self, _today: NaiveDate) -> Result<(), StoreError> {
        self.with("prune the probes", |c| sql::prune_probes(c, chrono::Utc::now())).await
    }
}
