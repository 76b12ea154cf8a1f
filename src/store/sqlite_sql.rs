//! The schema and statements on SQLite; times are microseconds since 1970.

use super::{Filter, Flush, Flushed, ProbeSeen, Stored, flush};
use crate::domain::{Analysis, Label, Post, Scores};
use crate::status::Pipeline;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde_json::Value;
use std::collections::BTreeMap;

pub const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS post (key TEXT PRIMARY KEY, platform TEXT NOT NULL, id TEXT NOT NULL, url TEXT, author TEXT, lang TEXT, text TEXT NOT NULL,
  published_at INTEGER NOT NULL, observed_at INTEGER NOT NULL, geography TEXT NOT NULL, label TEXT NOT NULL, p_none REAL NOT NULL,
  p_offensive REAL NOT NULL, p_hate REAL NOT NULL, model TEXT NOT NULL, analyzed_at INTEGER NOT NULL, stored_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS post_stored ON post (stored_at);
CREATE TABLE IF NOT EXISTS quarantine (topic TEXT, partition INTEGER, offset INTEGER, reason TEXT NOT NULL, raw BLOB NOT NULL, PRIMARY KEY (topic, partition, offset));
CREATE TABLE IF NOT EXISTS consumed (topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, lost INTEGER NOT NULL DEFAULT 0,
  topic_end INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS observer_cursor (source TEXT PRIMARY KEY, cursor TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS probe (id TEXT PRIMARY KEY, sent_at INTEGER NOT NULL, stored_at INTEGER NOT NULL);
";

pub fn positions(c: &Connection, topic: &str) -> rusqlite::Result<BTreeMap<i32, i64>> {
    let mut s = c.prepare_cached("SELECT partition, next_offset FROM consumed WHERE topic = ?1")?;
    s.query_map([topic], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
}

pub fn flush(c: &mut Connection, f: &Flush) -> rusqlite::Result<Flushed> {
    let stored = positions(c, &f.topic)?;
    let tx = c.transaction()?;
    for s in &f.spans {
        tx.execute("INSERT INTO consumed (topic, partition, next_offset) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING", (&f.topic, s.partition))?;
        let set = "UPDATE consumed SET next_offset = ?4, lost = lost + ?5, topic_end = max(topic_end, ?4) WHERE topic = ?1 AND partition = ?2 AND next_offset = ?3";
        if tx.execute(set, (&f.topic, s.partition, s.from, s.to, s.to - s.from - s.seen))? == 0 {
            tx.rollback()?;
            return Ok(flush::judge(&f.spans, |p| stored.get(&p).copied().unwrap_or(0)));
        }
    }
    let counted = insert(&tx, f)?;
    tx.commit()?;
    Ok(Flushed::Stored(counted))
}

fn insert(tx: &Transaction<'_>, f: &Flush) -> rusqlite::Result<Stored> {
    let now = Utc::now().timestamp_micros();
    let mut out = Stored::default();
    let mut put = tx.prepare_cached(
        "INSERT INTO post VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) ON CONFLICT DO NOTHING",
    )?;
    for (geography, a) in f.posts() {
        let p = &a.post;
        let new = put.execute(rusqlite::params![
            p.key(), p.platform, p.id, p.url, p.author, p.lang, p.text, p.published_at.timestamp_micros(), p.observed_at.timestamp_micros(), geography,
            a.label.as_str(), a.scores.none, a.scores.offensive, a.scores.hate, a.model, a.analyzed_at.timestamp_micros(), now
        ])?;
        out.posts += new as u64;
        out.known += 1 - new as u64;
    }
    for q in &f.set_aside {
        let put = "INSERT INTO quarantine VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
        out.set_aside += tx.execute(put, (&f.topic, q.partition, q.offset, &q.reason, &q.raw))? as u64;
    }
    for p in f.probes() {
        tx.execute("INSERT INTO probe VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING", (&p.id, p.observed_at.timestamp_micros(), now))?;
    }
    Ok(out)
}

pub fn note_ends(c: &mut Connection, topic: &str, next: &BTreeMap<i32, i64>) -> rusqlite::Result<()> {
    let tx = c.transaction()?;
    for (partition, end) in next {
        let put = "INSERT INTO consumed (topic, partition, next_offset, topic_end) VALUES (?1, ?2, 0, ?3)
          ON CONFLICT (topic, partition) DO UPDATE SET topic_end = excluded.topic_end";
        tx.execute(put, (topic, partition, end))?;
    }
    tx.commit()
}

pub fn cursor(c: &Connection, source: &str) -> rusqlite::Result<Option<Value>> {
    let text: Option<String> = c.query_row("SELECT cursor FROM observer_cursor WHERE source = ?1", [source], |r| r.get(0)).optional()?;
    Ok(text.and_then(|t| serde_json::from_str(&t).ok()))
}

pub fn latest(c: &Connection, most: u32, filter: &Filter) -> rusqlite::Result<Vec<Analysis>> {
    let labels = serde_json::to_string(&filter.labels).unwrap_or_default();
    let mut s = c.prepare_cached(concat!(
        "SELECT ", columns!(), " FROM post
         WHERE (?1 = '[]' OR label IN (SELECT value FROM json_each(?1))) AND (?2 IS NULL OR platform = ?2) ORDER BY stored_at DESC, key LIMIT ?3"
    ))?;
    s.query_map((labels, &filter.platform, most), analysis)?.collect()
}

pub fn find(c: &Connection, keys: &[String]) -> rusqlite::Result<Vec<Analysis>> {
    let mut s = c.prepare_cached(concat!("SELECT ", columns!(), " FROM post WHERE key IN (SELECT value FROM json_each(?1))"))?;
    s.query_map([serde_json::to_string(keys).unwrap_or_default()], analysis)?.collect()
}

fn time(r: &Row<'_>, i: usize) -> rusqlite::Result<DateTime<Utc>> {
    Ok(DateTime::from_timestamp_micros(r.get(i)?).unwrap_or_default())
}

fn analysis(r: &Row<'_>) -> rusqlite::Result<Analysis> {
    let post = Post {
        platform: r.get(0)?,
        id: r.get(1)?,
        url: r.get(2)?,
        author: r.get(3)?,
        lang: r.get(4)?,
        text: r.get(5)?,
        published_at: time(r, 6)?,
        observed_at: time(r, 7)?,
    };
    let label = r.get::<_, String>(8)?.parse().unwrap_or(Label::None);
    Ok(Analysis { post, label, scores: Scores { none: r.get(9)?, offensive: r.get(10)?, hate: r.get(11)? }, model: r.get(12)?, analyzed_at: time(r, 13)? })
}

pub fn pipeline(c: &Connection, now: DateTime<Utc>) -> rusqlite::Result<Pipeline> {
    let one = |sql: &str| c.query_row(sql, [], |r| r.get::<_, i64>(0)).map(|n| n.max(0) as u64);
    let ago = |seconds: i64| now.timestamp_micros() - seconds * 1_000_000;
    let mut p = Pipeline::default();
    let mut s = c.prepare_cached("SELECT count(*) FROM post WHERE label = ?1")?;
    for (i, label) in Label::ALL.into_iter().enumerate() {
        p.by_label[i] = s.query_row([label.as_str()], |r| r.get::<_, i64>(0))? as u64;
    }
    p.stored = p.by_label.iter().sum();
    p.per_minute = c.query_row("SELECT count(*) FROM post WHERE stored_at > ?1", [ago(60)], |r| r.get::<_, i64>(0))? as u64;
    p.backlog = one("SELECT coalesce(sum(max(topic_end - next_offset, 0)), 0) FROM consumed")?;
    p.lost = one("SELECT coalesce(sum(lost), 0) FROM consumed")?;
    p.quarantined = one("SELECT count(*) FROM quarantine")?;
    let mut s = c.prepare_cached("SELECT stored_at - observed_at FROM post WHERE stored_at > ?1 ORDER BY 1")?;
    let delays: Vec<i64> = s.query_map([ago(300)], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    p.delay_p95_s = delays.get((delays.len() * 95 / 100).min(delays.len().saturating_sub(1))).map(|d| *d as f64 / 1e6);
    Ok(p)
}

pub fn last_probe(c: &Connection) -> rusqlite::Result<Option<ProbeSeen>> {
    let read = |r: &Row<'_>| Ok(ProbeSeen { sent_at: time(r, 0)?, stored_at: time(r, 1)? });
    c.query_row("SELECT sent_at, stored_at FROM probe ORDER BY stored_at DESC LIMIT 1", [], read).optional()
}

pub fn prune_probes(c: &Connection, now: DateTime<Utc>) -> rusqlite::Result<()> {
    c.execute("DELETE FROM probe WHERE stored_at < ?1", [now.timestamp_micros() - 3_600_000_000]).map(drop)
}
