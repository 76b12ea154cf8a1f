//! The statements on PostgreSQL.

use super::{Filter, Flush, ProbeSeen, StoreError};
use crate::domain::{Analysis, Label, Post, PostRef, Scores};
use crate::status::Pipeline;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio_postgres::{Client, Row, Statement, Transaction};

/// One upsert for a whole flush; sorted by key, so that two flushes lock rows in the same order.
pub const INSERT: &str = "WITH new AS (
  INSERT INTO post (day, key, platform, id, url, author, lang, text, published_at, observed_at, geography,
                    label, p_none, p_offensive, p_hate, model, analyzed_at)
  SELECT * FROM unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::real[], $14::real[], $15::real[], $16::text[], $17::timestamptz[])
  ON CONFLICT (day, key) DO NOTHING RETURNING label)
SELECT count(*) FILTER (WHERE label = 'none'), count(*) FILTER (WHERE label = 'offensive'), count(*) FILTER (WHERE label = 'hate') FROM new";

const ADVANCE: &str = "UPDATE consumed c SET next_offset = s.t, lost = lost + s.l, topic_end = greatest(topic_end, s.t)
FROM (SELECT * FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[]) AS u(p, f, t, l) ORDER BY p) s
WHERE c.topic = $1 AND c.partition = s.p AND c.next_offset = s.f";

const LATEST: &str = concat!("SELECT ", columns!(), "
FROM post WHERE stored_at > clock_timestamp() - make_interval(mins => $1) AND (cardinality($2::text[]) = 0 OR label = ANY ($2))
AND ($3::text IS NULL OR platform = $3) ORDER BY stored_at DESC, key LIMIT $4");

const FIND: &str = concat!("SELECT ", columns!(), "
FROM post WHERE (day, key) IN (SELECT * FROM unnest($1::date[], $2::text[]))");

const PIPELINE: &str = "SELECT t.none, t.offensive, t.hate, t.quarantined, c.lost::bigint, c.backlog::bigint, r.minute, r.p95
FROM tally t,
 (SELECT coalesce(sum(lost), 0) AS lost, coalesce(sum(greatest(topic_end - next_offset, 0)), 0) AS backlog FROM consumed) c,
 (SELECT count(*) FILTER (WHERE stored_at > clock_timestamp() - interval '1 minute') AS minute,
   percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM stored_at - observed_at)::float8) AS p95
  FROM post WHERE stored_at > clock_timestamp() - interval '5 minutes') r";

fn failed(what: &'static str) -> impl FnOnce(tokio_postgres::Error) -> StoreError {
    StoreError::failed(what)
}

pub async fn positions(client: &Client, topic: &str) -> Result<BTreeMap<i32, i64>, StoreError> {
    let rows = client.query("SELECT partition, next_offset FROM consumed WHERE topic = $1", &[&topic]).await;
    Ok(rows.map_err(failed("read the positions"))?.iter().map(|r| (r.get(0), r.get(1))).collect())
}

/// Moves every position of the flush, or says that one is elsewhere.
pub async fn advance(tx: &Transaction<'_>, f: &Flush) -> Result<bool, StoreError> {
    let partitions: Vec<i32> = f.spans.iter().map(|s| s.partition).collect();
    let from: Vec<i64> = f.spans.iter().map(|s| s.from).collect();
    let to: Vec<i64> = f.spans.iter().map(|s| s.to).collect();
    let lost: Vec<i64> = f.spans.iter().map(|s| s.to - s.from - s.seen).collect();
    if from.contains(&0) {
        let first = "INSERT INTO consumed (topic, partition, next_offset) SELECT $1, p, 0 FROM unnest($2::int[]) p ON CONFLICT DO NOTHING";
        tx.execute(first, &[&f.topic, &partitions]).await.map_err(failed("begin a partition's position"))?;
    }
    let moved = tx.execute(ADVANCE, &[&f.topic, &partitions, &from, &to, &lost]).await.map_err(failed("move the positions"))?;
    Ok(moved == f.spans.len() as u64)
}

/// Inserts the posts that are new; returns how many of each label.
pub async fn insert_posts(tx: &Transaction<'_>, insert: &Statement, f: &Flush) -> Result<[u64; 3], StoreError> {
    let mut rows: Vec<(String, &str, &Analysis)> = f.posts().map(|(g, a)| (a.post.key(), g.as_str(), a)).collect();
    if rows.is_empty() {
        return Ok([0; 3]);
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    fn column<'a, T>(rows: &'a [(String, &str, &'a Analysis)], of: impl Fn(&'a Analysis) -> T) -> Vec<T> {
        rows.iter().map(|(_, _, a)| of(a)).collect()
    }
    let days: Vec<NaiveDate> = column(&rows, |a| a.post.published_at.date_naive());
    let keys: Vec<&str> = rows.iter().map(|(k, _, _)| k.as_str()).collect();
    let geographies: Vec<&str> = rows.iter().map(|(_, g, _)| *g).collect();
    let row = tx
        .query_one(insert, &[
            &days, &keys, &column(&rows, |a| &a.post.platform), &column(&rows, |a| &a.post.id), &column(&rows, |a| &a.post.url),
            &column(&rows, |a| &a.post.author), &column(&rows, |a| &a.post.lang), &column(&rows, |a| &a.post.text),
            &column(&rows, |a| a.post.published_at), &column(&rows, |a| a.post.observed_at), &geographies,
            &column(&rows, |a| a.label.as_str()), &column(&rows, |a| a.scores.none), &column(&rows, |a| a.scores.offensive),
            &column(&rows, |a| a.scores.hate), &column(&rows, |a| &a.model), &column(&rows, |a| a.analyzed_at),
        ])
        .await
        .map_err(failed("store the posts"))?;
    Ok([0, 1, 2].map(|i| row.get::<_, i64>(i) as u64))
}

pub async fn set_aside(tx: &Transaction<'_>, f: &Flush) -> Result<u64, StoreError> {
    let mut n = 0;
    for q in &f.set_aside {
        let sql = "INSERT INTO quarantine (topic, partition, \"offset\", reason, raw) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        n += tx.execute(sql, &[&f.topic, &q.partition, &q.offset, &q.reason, &q.raw]).await.map_err(failed("set a message aside"))?;
    }
    Ok(n)
}

pub async fn insert_probes(tx: &Transaction<'_>, f: &Flush) -> Result<(), StoreError> {
    for p in f.probes() {
        let sql = "INSERT INTO probe (id, sent_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        tx.execute(sql, &[&p.id, &p.observed_at]).await.map_err(failed("store a probe"))?;
    }
    Ok(())
}

pub async fn count(tx: &Transaction<'_>, labels: [u64; 3], known: u64, set_aside: u64) -> Result<(), StoreError> {
    let sql = "UPDATE tally SET none = none + $1, offensive = offensive + $2, hate = hate + $3, known = known + $4, quarantined = quarantined + $5";
    let [a, b, c] = labels.map(|n| n as i64);
    tx.execute(sql, &[&a, &b, &c, &(known as i64), &(set_aside as i64)]).await.map_err(failed("count"))?;
    Ok(())
}

pub async fn reset_position(client: &Client, topic: &str, partition: i32, from: i64, to: i64) -> Result<(), StoreError> {
    let sql = "UPDATE consumed SET next_offset = $4, topic_end = $4 WHERE topic = $1 AND partition = $2 AND next_offset = $3";
    client.execute(sql, &[&topic, &partition, &from, &to]).await.map_err(failed("reset a position")).map(drop)
}

pub async fn note_ends(client: &Client, topic: &str, next: &BTreeMap<i32, i64>) -> Result<(), StoreError> {
    let (p, e): (Vec<i32>, Vec<i64>) = next.iter().map(|(p, e)| (*p, *e)).unzip();
    let sql = "INSERT INTO consumed (topic, partition, next_offset, topic_end) SELECT $1, p, 0, e FROM unnest($2::int[], $3::bigint[]) AS u(p, e)
      ON CONFLICT (topic, partition) DO UPDATE SET topic_end = excluded.topic_end WHERE consumed.topic_end <> excluded.topic_end";
    client.execute(sql, &[&topic, &p, &e]).await.map_err(failed("note the topic's ends")).map(drop)
}

pub async fn cursor(client: &Client, source: &str) -> Result<Option<Value>, StoreError> {
    let row = client.query_opt("SELECT cursor FROM observer_cursor WHERE source = $1", &[&source]).await;
    Ok(row.map_err(failed("read a cursor"))?.map(|r| r.get(0)))
}

pub async fn save_cursor(client: &Client, source: &str, cursor: &Value) -> Result<(), StoreError> {
    let sql = "INSERT INTO observer_cursor (source, cursor) VALUES ($1, $2)
      ON CONFLICT (source) DO UPDATE SET cursor = excluded.cursor, saved_at = clock_timestamp()";
    client.execute(sql, &[&source, cursor]).await.map_err(failed("save a cursor")).map(drop)
}

/// Looks at the last minutes first: the index on time then reads a few pages instead of all days.
pub async fn latest(client: &Client, most: u32, filter: &Filter) -> Result<Vec<Analysis>, StoreError> {
    let labels: Vec<&str> = filter.labels.iter().map(|l| l.as_str()).collect();
    let mut rows = Vec::new();
    for minutes in [2i32, 60, 1440, 60 * 24 * 365 * 10] {
        rows = client.query(LATEST, &[&minutes, &labels, &filter.platform, &i64::from(most)]).await.map_err(failed("read the latest posts"))?;
        if rows.len() >= most as usize {
            break;
        }
    }
    Ok(rows.iter().map(analysis).collect())
}

/// The named posts; the day leads to one partition each.
pub async fn find(client: &Client, posts: &[PostRef]) -> Result<Vec<Analysis>, StoreError> {
    let (days, keys): (Vec<NaiveDate>, Vec<&str>) = posts.iter().map(|p| (p.day, p.key.as_str())).unzip();
    let rows = client.query(FIND, &[&days, &keys]).await.map_err(failed("read posts"))?;
    Ok(rows.iter().map(analysis).collect())
}

fn analysis(r: &Row) -> Analysis {
    let post = Post {
        platform: r.get(0),
        id: r.get(1),
        url: r.get(2),
        author: r.get(3),
        lang: r.get(4),
        text: r.get(5),
        published_at: r.get(6),
        observed_at: r.get(7),
    };
    let label = r.get::<_, &str>(8).parse().unwrap_or(Label::None);
    Analysis { post, label, scores: Scores { none: r.get(9), offensive: r.get(10), hate: r.get(11) }, model: r.get(12), analyzed_at: r.get(13) }
}

pub async fn pipeline(client: &Client) -> Result<Pipeline, StoreError> {
    let row = client.query_one(PIPELINE, &[]).await.map_err(failed("read the numbers"))?;
    let n = |i: usize| row.get::<_, i64>(i).max(0) as u64;
    Ok(Pipeline {
        stored: n(0) + n(1) + n(2),
        per_minute: n(6),
        backlog: n(5),
        delay_p95_s: row.get(7),
        quarantined: n(3),
        lost: n(4),
        by_label: [n(0), n(1), n(2)],
    })
}

pub async fn last_probe(client: &Client) -> Result<Option<ProbeSeen>, StoreError> {
    let row = client.query_opt("SELECT sent_at, stored_at FROM probe ORDER BY stored_at DESC LIMIT 1", &[]).await;
    Ok(row.map_err(failed("read the probes"))?.map(|r| ProbeSeen { sent_at: r.get::<_, DateTime<Utc>>(0), stored_at: r.get(1) }))
}

pub async fn prune_probes(client: &Client) -> Result<(), StoreError> {
    let sql = "DELETE FROM probe WHERE stored_at < clock_timestamp() - interval '1 hour'";
    client.execute(sql, &[]).await.map_err(failed("prune the probes")).map(drop)
}

pub async fn connections(client: &Client) -> Result<i64, StoreError> {
    let row = client.query_one("SELECT sum(numbackends)::bigint FROM pg_stat_database", &[]).await;
    Ok(row.map_err(failed("count its connections"))?.get(0))
}
