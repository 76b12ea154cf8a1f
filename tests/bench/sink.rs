//! P3: rows a second of the store's flush, beside what else brings rows into PostgreSQL.

use crate::measure::{Posts, figure, pairs};
use crate::support::servers::PostgreSql;
use antihate::domain::{Analysis, Label, Post, Scores};
use antihate::store::{Flush, Postgres, Span, Store};
use chrono::Utc;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Statement};

const FLUSH: usize = 500;
const ROWS: usize = 20_000;
/// Of statements that each wait for the disk there are fewer.
const ALONE: usize = 2_000;
const COLUMNS: &str = "day, key, platform, id, url, author, lang, text, published_at, observed_at, geography, label, p_none, p_offensive, p_hate, model, analyzed_at";

pub fn p3() {
    let Some(sql) = PostgreSql::new() else { return };
    let runtime = Runtime::new().expect("a runtime");
    let rows: Vec<Analysis> = Posts::new().take(ROWS).enumerate().map(analysis).collect();
    let store = sql.store();
    runtime.block_on(async {
        store.migrate().await.expect("a schema");
        store.keep(Utc::now().date_naive()).await.expect("partitions");
    });
    let flushes = flushes(&rows);
    let one = OneByOne::connect(&runtime, sql.port);
    let mut psql = Psql::start(&sql, &rows);
    let empty = || ["TRUNCATE post, consumed", "CHECKPOINT"].map(|s| sql.psql("antihate_leaf", s).expect("emptied"));
    let (mut alone, mut together, mut copied, mut bulk) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pairs() {
        let timed = |work: &mut dyn FnMut() -> usize| {
            empty();
            let begun = Instant::now();
            work() as f64 / begun.elapsed().as_secs_f64()
        };
        let ours = timed(&mut || runtime.block_on(flush(&store, &flushes)));
        alone.push((ours, timed(&mut || runtime.block_on(one.alone(&rows[..ALONE])))));
        together.push((ours, timed(&mut || runtime.block_on(one.together(&rows)))));
        copied.push((ours, timed(&mut || psql.copy(true))));
        bulk.push((ours, timed(&mut || psql.copy(false))));
    }
    let ours = format!("P3 the store's flush, {FLUSH} rows with upsert, offsets and counters, asynchronous commit; baseline");
    let tell = |what: &str, pairs: &[(f64, f64)]| figure(&format!("{ours} {what}"), ("rows/s", 0), "pairs", pairs);
    tell("INSERT row by row, each its own transaction", &alone);
    tell(&format!("INSERT row by row, prepared, {FLUSH} in a transaction, asynchronous commit"), &together);
    tell(&format!("\\copy of {FLUSH} rows a statement, asynchronous commit"), &copied);
    tell(&format!("one \\copy of all {ROWS} rows"), &bulk);
}

fn analysis((n, text): (usize, String)) -> Analysis {
    let now = Utc::now();
    let post = Post {
        platform: "mastodon".into(),
        id: format!("https://social.example/users/u{}/statuses/{:018}", n % 97, n * 7919),
        url: Some(format!("https://social.example/@u{}/{n}", n % 97)),
        author: Some(format!("u{}", n % 97)),
        lang: Some("en".into()),
        text,
        published_at: now,
        observed_at: now,
    };
    let scores = Scores { none: 0.9, offensive: 0.07, hate: 0.03 };
    Analysis { post, label: Label::ALL[n % 3], scores, model: "text@1".into(), analyzed_at: now }
}

fn flushes(rows: &[Analysis]) -> Vec<Flush> {
    let one = |(n, part): (usize, &[Analysis])| Flush {
        topic: "bench".into(),
        analyses: part.iter().map(|a| ("Testland".into(), a.clone())).collect(),
        set_aside: Vec::new(),
        spans: vec![Span { partition: 0, from: (n * FLUSH) as i64, to: (n * FLUSH + part.len()) as i64, seen: part.len() as i64 }],
    };
    rows.chunks(FLUSH).enumerate().map(one).collect()
}

async fn flush(store: &Postgres, flushes: &[Flush]) -> usize {
    for f in flushes {
        store.flush(f).await.expect("stored");
    }
    flushes.iter().map(|f| f.analyses.len()).sum()
}

/// A sink as it is often written: a prepared statement a row.
struct OneByOne {
    client: Client,
    insert: Statement,
}

impl OneByOne {
    fn connect(runtime: &Runtime, port: u16) -> OneByOne {
        runtime.block_on(async {
            let config = format!("host=127.0.0.1 port={port} user=antihate dbname=antihate_leaf");
            let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("a connection");
            drop(tokio::spawn(connection));
            let places = (1..=17).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ");
            let insert = client.prepare(&format!("INSERT INTO post ({COLUMNS}) VALUES ({places}) ON CONFLICT (day, key) DO NOTHING")).await;
            OneByOne { client, insert: insert.expect("a statement") }
        })
    }

    async fn alone(&self, rows: &[Analysis]) -> usize {
        for a in rows {
            let (p, s) = (&a.post, &a.scores);
            let (day, key) = (p.published_at.date_naive(), p.key());
            self.client
                .execute(&self.insert, &[
                    &day, &key, &p.platform, &p.id, &p.url, &p.author, &p.lang, &p.text, &p.published_at, &p.observed_at, &"Testland", &a.label.as_str(),
                    &s.none, &s.offensive, &s.hate, &a.model, &a.analyzed_at,
                ])
                .await
                .expect("inserted");
        }
        rows.len()
    }

    async fn together(&self, rows: &[Analysis]) -> usize {
        for part in rows.chunks(FLUSH) {
            self.client.batch_execute("BEGIN; SET LOCAL synchronous_commit = off").await.expect("begun");
            self.alone(part).await;
            self.client.batch_execute("COMMIT").await.expect("committed");
        }
        rows.len()
    }
}

/// A psql that copies files which lie ready.
struct Psql {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    parts: Vec<PathBuf>,
    whole: PathBuf,
    _folder: tempfile::TempDir,
}

impl Psql {
    fn start(sql: &PostgreSql, rows: &[Analysis]) -> Psql {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: String, rows: &[Analysis]| {
            let path = folder.path().join(name);
            let mut file = csv::WriterBuilder::new().has_headers(false).from_path(&path).expect("a file");
            rows.iter().for_each(|a| file.write_record(record(a)).expect("written"));
            file.flush().expect("written");
            path
        };
        let parts = rows.chunks(FLUSH).enumerate().map(|(n, part)| write(format!("{n}.csv"), part)).collect();
        let whole = write("whole.csv".into(), rows);
        let mut child = sql.client("antihate_leaf").env("PGOPTIONS", "-c synchronous_commit=off").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql starts");
        let (to, from) = (child.stdin.take().expect("its input"), BufReader::new(child.stdout.take().expect("its output")));
        Psql { child, to, from, parts, whole, _folder: folder }
    }

    /// Copies all rows, in parts or at once.
    fn copy(&mut self, in_parts: bool) -> usize {
        let files = if in_parts { &self.parts[..] } else { std::slice::from_ref(&self.whole) };
        for file in files {
            writeln!(self.to, "\\copy post ({COLUMNS}) FROM '{}' (FORMAT csv)\n\\echo done", file.display()).expect("psql listens");
            let mut line = String::new();
            self.from.read_line(&mut line).expect("psql answers");
            assert_eq!(line.trim(), "done");
        }
        ROWS
    }
}

fn record(a: &Analysis) -> Vec<String> {
    let p = &a.post;
    let time = |t: chrono::DateTime<Utc>| t.to_rfc3339();
    let own = |t: &Option<String>| t.clone().unwrap_or_default();
    vec![
        p.published_at.date_naive().to_string(), p.key(), p.platform.clone(), p.id.clone(), own(&p.url), own(&p.author), own(&p.lang), p.text.clone(),
        time(p.published_at), time(p.observed_at), "Testland".into(), a.label.as_str().into(), a.scores.none.to_string(),
        a.scores.offensive.to_string(), a.scores.hate.to_string(), a.model.clone(), time(a.analyzed_at),
    ]
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
