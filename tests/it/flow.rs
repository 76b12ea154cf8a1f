//! A post's way on real parts: the sample site, observer and analyzer as processes, a real Kafka, a real PostgreSQL.

use crate::support::servers::{Kafka, PostgreSql, Process, alone, free_port};
use crate::support::until;
use antihate::observe::sample::Site;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Everything that a post passes, each part killable.
struct Flow {
    sql: PostgreSql,
    kafka: Kafka,
    _sample: Process,
    observer: Process,
    analyzer: Process,
    dir: tempfile::TempDir,
    model: PathBuf,
    sample_port: u16,
}

fn model() -> Option<PathBuf> {
    let named = std::env::var_os("ANTIHATE_TEST_MODEL").map(PathBuf::from);
    let dir = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/text"));
    let there = dir.join("model.toml").exists();
    if !there {
        eprintln!("SKIPPED: no model folder at models/text, and ANTIHATE_TEST_MODEL names none");
    }
    there.then_some(dir)
}

impl Flow {
    fn start(posts: u64) -> Option<Flow> {
        let (model, sql, kafka) = (model()?, PostgreSql::new()?, Kafka::new()?);
        let (dir, sample_port) = (tempfile::tempdir().expect("temp"), free_port());
        let mut sample = worker("sample");
        sample.env("SAMPLE_ADDR", format!("127.0.0.1:{sample_port}")).env("SAMPLE_COUNT", posts.to_string());
        let sample = Process::start(sample, &dir.path().join("sample.log"), None);
        let observer = Process::start(Command::new("true"), &dir.path().join("none"), None);
        let analyzer = Process::start(Command::new("true"), &dir.path().join("none"), None);
        let mut flow = Flow { sql, kafka, _sample: sample, observer, analyzer, dir, model, sample_port };
        flow.start_analyzer();
        flow.start_observer();
        Some(flow)
    }

    fn set(&self, role: &str) -> Command {
        let mut c = worker(role);
        c.env("KAFKA_BROKER", self.kafka.address()).env("POSTGRES_HOST", format!("127.0.0.1:{}", self.sql.port));
        c.env("METRICS_ADDR", "127.0.0.1:0").env("GEOGRAPHY", "Testland");
        c
    }

    fn start_observer(&mut self) {
        let mut c = self.set("observe");
        c.args(["--platform", "mastodon"]).env("MASTODON_URL", format!("http://127.0.0.1:{}", self.sample_port));
        c.env("BACKFILL", "true").env("REQUESTS_PER_MINUTE", "100000").env("POLL_SECONDS", "0.2");
        self.observer = Process::start(c, &self.dir.path().join("observer.log"), None);
    }

    fn start_analyzer(&mut self) {
        let mut c = self.set("analyze");
        c.env("MODEL_PATH", &self.model).env("PROBE_SECONDS", "2");
        self.analyzer = Process::start(c, &self.dir.path().join("analyzer.log"), None);
    }

    fn kill(&mut self, turn: usize) {
        match turn % 4 {
            0 => {
                self.analyzer.kill9();
                self.start_analyzer();
            }
            1 => {
                self.observer.kill9();
                self.start_observer();
            }
            2 => {
                self.kafka.kill9();
                self.kafka.start();
            }
            _ => {
                self.sql.kill9();
                self.sql.start();
            }
        }
    }

    fn number(&self, sql: &str) -> i64 {
        self.sql.psql("antihate_leaf", sql).and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    fn stored(&self) -> i64 {
        self.number("SELECT count(*) FROM post")
    }

    /// Waits until everything observed is stored; the limit only guards against hanging forever.
    fn settle(&self, posts: i64) {
        until("every post is stored and the topic read to its end", Duration::from_secs(900), || {
            let behind = self.number("SELECT coalesce(sum(topic_end - next_offset), -1) FROM consumed");
            (self.stored() >= posts && (0..=3).contains(&behind)).then_some(())
        });
    }

    /// Key and hash of the text of every row.
    fn rows(&self) -> Vec<String> {
        self.sql.rows("SELECT key || ' ' || encode(sha256(convert_to(text, 'UTF8')), 'hex') FROM post")
    }
}

fn worker(role: &str) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_antihate-worker"));
    c.arg(role);
    c
}

/// What the sample site serves, computed without it.
fn expected(posts: u64) -> BTreeSet<String> {
    let site = Site::bulk(posts, chrono::Utc::now());
    let line = |n| {
        let p = site.post(n);
        let text = format!("{} #{}", p.text, p.tag);
        format!("mastodon:{} {}", p.uri(), hex::encode(Sha256::digest(text.as_bytes())))
    };
    (0..posts).map(line).collect()
}

fn compare(rows: Vec<String>, posts: u64) {
    let (n, got) = (rows.len(), rows.into_iter().collect::<BTreeSet<String>>());
    let want = expected(posts);
    assert_eq!((want.difference(&got).count(), got.difference(&want).count()), (0, 0), "posts missing, posts that nobody wrote");
    assert_eq!(n, got.len(), "posts stored twice");
}

#[test]
fn killing_observer_analyzer_kafka_and_postgresql_loses_no_post_and_doubles_none() {
    let _one = alone();
    let posts: u64 = std::env::var("ANTIHATE_FLOW_POSTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let Some(mut flow) = Flow::start(posts) else { return };
    let begun = Instant::now();
    until("the first posts are stored", Duration::from_secs(300), || (flow.stored() > 0).then_some(()));
    let mut kills = [0; 4];
    for turn in 0.. {
        // The next kill comes when posts flow again: parts that are all down at once would only wait for each other.
        let before = flow.stored();
        flow.kill(turn);
        kills[turn % 4] += 1;
        until("posts flow again", Duration::from_secs(300), || (flow.stored() > before).then_some(()));
        if flow.stored() >= posts as i64 {
            break;
        }
    }
    flow.settle(posts as i64);
    compare(flow.rows(), posts);
    let tally = flow.sql.rows("SELECT none + offensive + hate, known, quarantined FROM tally");
    let lost = flow.number("SELECT coalesce(sum(lost), 0) FROM consumed");
    println!("{posts} posts, kills of analyzer, observer, Kafka, PostgreSQL: {kills:?}, stored|known|set aside {tally:?}, lost {lost}, {:.0} s", begun.elapsed().as_secs_f64());
    assert_eq!(lost, 0);
    assert!(tally[0].starts_with(&format!("{posts}|")), "the tally agrees with the rows");
    assert!(kills.iter().all(|k| *k > 0), "every part was killed while posts flowed: {kills:?}");
}

#[test]
fn replaying_the_topic_three_times_changes_nothing() {
    let _one = alone();
    let posts = 400;
    let Some(mut flow) = Flow::start(posts) else { return };
    flow.settle(posts as i64);
    flow.observer.kill9();
    let all = "SELECT md5(string_agg(p::text, ',' ORDER BY key)) FROM post p";
    let before = flow.sql.rows(all);
    for turn in 1..=3 {
        flow.analyzer.kill9();
        flow.sql.rows("UPDATE consumed SET next_offset = 0");
        flow.start_analyzer();
        until("the replay is through", Duration::from_secs(300), || {
            (flow.number("SELECT known FROM tally") >= turn * posts as i64 && flow.number("SELECT sum(topic_end - next_offset) FROM consumed") <= 3).then_some(())
        });
        assert_eq!(flow.sql.rows(all), before);
    }
    compare(flow.rows(), posts);
    assert_eq!(flow.number("SELECT sum(lost) FROM consumed"), 0);
}

#[test]
fn a_poisonous_message_is_set_aside_with_its_reason_and_passed() {
    let _one = alone();
    let Some(flow) = Flow::start(50) else { return };
    flow.settle(50);
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        use antihate::queue::{KafkaProducer, Producer, Record};
        let producer = KafkaProducer::new(&flow.kafka.address(), antihate::wire::ANALYSIS_QUEUE).expect("producer");
        let poison: [&[u8]; 4] = [b"", b"{", b"{\"v\":9}", b"\xff\xfe"];
        producer.send(poison.iter().map(|p| Record { key: vec![1], payload: p.to_vec() }).collect()).await.expect("sent");
    });
    let reasons = until("the poison is set aside", Duration::from_secs(120), || {
        Some(flow.sql.rows("SELECT reason FROM quarantine ORDER BY 1")).filter(|r| r.len() == 4)
    });
    assert_eq!(reasons, ["not-json", "not-json", "not-json", "wrong-shape"]);
    let probes = "SELECT count(*) FROM probe WHERE stored_at > (SELECT max(at) FROM quarantine)";
    until("a probe comes through after it", Duration::from_secs(60), || (flow.number(probes) > 0).then_some(()));
    assert_eq!(flow.stored(), 50);
}
