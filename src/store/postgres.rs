//! PostgreSQL: one connection that renews itself, one upsert a flush.
//!
//! A flush commits asynchronously on purpose: if the server dies before its log reaches the disk, results and positions
//! are lost together, and that part of the topic is read again.

use super::{Filter, Flush, Flushed, ProbeSeen, Store, StoreError, Stored, flush, queries, schema};
use crate::domain::{Analysis, PostRef};
use crate::status::Pipeline;
use crate::task::Companion;
use chrono::NaiveDate;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{Client, Config, NoTls, Statement};

/// Where the database is.
#[derive(Clone)]
pub struct PgConfig {
    /// Host name, address, or folder of the socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Role.
    pub user: String,
    /// Its password; empty where the server trusts the role.
    pub password: String,
    /// Database.
    pub database: String,
}

/// The store in PostgreSQL.
pub struct Postgres {
    config: PgConfig,
    session: Mutex<Option<Session>>,
}

struct Session {
    client: Client,
    insert: Option<Statement>,
    driver: Companion,
}

/// A statement may take this long; a flush of thousands of posts takes a fraction of it.
const PATIENCE: Duration = Duration::from_secs(30);

impl Postgres {
    /// A store that connects when it is first used.
    pub fn new(config: PgConfig) -> Self {
        Postgres { config, session: Mutex::new(None) }
    }

    async fn connect(&self) -> Result<Session, StoreError> {
        let c = &self.config;
        let mut config = Config::new();
        config.host(&c.host).port(c.port).user(&c.user).dbname(&c.database).application_name("antihate");
        config.connect_timeout(Duration::from_secs(5)).keepalives_idle(Duration::from_secs(10));
        config.tcp_user_timeout(Duration::from_secs(15));
        config.options("-c statement_timeout=30000 -c idle_in_transaction_session_timeout=30000 -c timezone=UTC");
        if !c.password.is_empty() {
            config.password(&c.password);
        }
        let at = format!("{}:{}", c.host, c.port);
        let (client, connection) = config.connect(NoTls).await.map_err(|e| StoreError::Unreachable { at, source: e.into() })?;
        let driver = Companion::start(async move {
            if let Err(e) = connection.await {
                tracing::debug!(error = %e, "a database connection ended");
            }
        });
        Ok(Session { client, insert: None, driver })
    }

    /// The connection, renewed if it ended.
    async fn session(&self) -> Result<MutexGuard<'_, Option<Session>>, StoreError> {
        let mut guard = self.session.lock().await;
        if guard.as_ref().is_none_or(|s| s.client.is_closed() || !s.driver.is_running()) {
            *guard = None;
            *guard = Some(self.connect().await?);
        }
        Ok(guard)
    }

    /// Runs `work` on the connection; after a failure or 30 s the connection is given up, so that nothing half done
    /// remains open on it.
    async fn with<T>(&self, work: impl AsyncFnOnce(&mut Session) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut guard = self.session().await?;
        let Some(session) = guard.as_mut() else { unreachable!("session() leaves a connection") };
        let result = match tokio::time::timeout(PATIENCE, work(session)).await {
            Ok(result) => result,
            Err(e) => Err(StoreError::Failed { what: "answer in time", source: e.into() }),
        };
        if result.is_err() {
            *guard = None;
        }
        result
    }
}

#[async_trait::async_trait]
impl Store for Postgres {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.with(async |s| schema::migrate(&mut s.client).await).await
    }

    async fn positions(&self, topic: &str) -> Result<BTreeMap<i32, i64>, StoreError> {
        self.with(async |s| queries::positions(&s.client, topic).await).await
    }

    async fn flush(&self, flush: &Flush) -> Result<Flushed, StoreError> {
        self.with(async |s| flush_once(s, flush).await).await
    }

    async fn reset_position(&self, topic: &str, partition: i32, from: i64, to: i64) -> Result<(), StoreError> {
        self.with(async |s| queries::reset_position(&s.client, topic, partition, from, to).await).await
    }

    async fn note_ends(&self, topic: &str, next: &BTreeMap<i32, i64>) -> Result<(), StoreError> {
        self.with(async |s| queries::note_ends(&s.client, topic, next).await).await
    }

    async fn cursor(&self, source: &str) -> Result<Option<Value>, StoreError> {
        self.with(async |s| queries::cursor(&s.client, source).await).await
    }

    async fn save_cursor(&self, source: &str, cursor: &Value) -> Result<(), StoreError> {
        self.with(async |s| queries::save_cursor(&s.client, source, cursor).await).await
    }

    async fn latest(&self, most: u32, filter: &Filter) -> Result<Vec<Analysis>, StoreError> {
        self.with(async |s| queries::latest(&s.client, most, filter).await).await
    }

    async fn find(&self, posts: &[PostRef]) -> Result<Vec<Analysis>, StoreError> {
        self.with(async |s| queries::find(&s.client, posts).await).await
    }

    async fn pipeline(&self) -> Result<Pipeline, StoreError> {
        self.with(async |s| queries::pipeline(&s.client).await).await
    }

    async fn last_probe(&self) -> Result<Option<ProbeSeen>, StoreError> {
        self.with(async |s| queries::last_probe(&s.client).await).await
    }

    async fn connections(&self) -> Result<i64, StoreError> {
        self.with(async |s| queries::connections(&s.client).await).await
    }

    async fn keep(&self, today: NaiveDate) -> Result<(), StoreError> {
        self.with(async |s| {
            schema::partitions(&mut s.client, today).await?;
            queries::prune_probes(&s.client).await
        })
        .await
    }
}

async fn flush_once(session: &mut Session, f: &Flush) -> Result<Flushed, StoreError> {
    let failed = StoreError::failed::<tokio_postgres::Error>;
    if session.insert.is_none() {
        session.insert = Some(session.client.prepare(queries::INSERT).await.map_err(failed("prepare the upsert"))?);
    }
    let Some(insert) = session.insert.clone() else { unreachable!("prepared above") };
    let tx = session.client.transaction().await.map_err(failed("begin a flush"))?;
    tx.batch_execute("SET LOCAL synchronous_commit = off").await.map_err(failed("begin a flush"))?;
    if !queries::advance(&tx, f).await? {
        tx.rollback().await.map_err(failed("give up a flush"))?;
        let stored = queries::positions(&session.client, &f.topic).await?;
        return Ok(flush::judge(&f.spans, |p| stored.get(&p).copied().unwrap_or(0)));
    }
    let labels = queries::insert_posts(&tx, &insert, f).await?;
    let posts: u64 = labels.iter().sum();
    let known = f.posts().count() as u64 - posts;
    let set_aside = queries::set_aside(&tx, f).await?;
    queries::insert_probes(&tx, f).await?;
    queries::count(&tx, labels, known, set_aside).await?;
    tx.commit().await.map_err(failed("commit a flush"))?;
    Ok(Flushed::Stored(Stored { posts, known, set_aside }))
}
