//! A6: processor time of observer, Kafka, analyzer and PostgreSQL while posts come as often as in the guide.

use crate::measure::{figure, model, pairs, tokenizer, window};
use crate::procs::{cpu, told, tree};
use crate::support::servers::{Kafka, PostgreSql, Process, free_port};
use crate::support::until;
use antihate::inference::{onnxruntime_library, text};
use antihate::observe::sample::Site;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

/// 500,000 posts a day.
const RATE: f64 = 500_000.0 / 86_400.0;
/// Posts whose tokens are counted.
const COUNTED: u64 = 2000;

/// Everything that a post passes, and the site that it comes from, whose cost does not count.
struct Way {
    sql: PostgreSql,
    kafka: Kafka,
    observer: Process,
    analyzer: Process,
    _site: Process,
    _logs: tempfile::TempDir,
}

impl Way {
    fn start() -> Option<Way> {
        let (sql, kafka) = (PostgreSql::new()?, Kafka::new()?);
        let (logs, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let worker = env!("CARGO_BIN_EXE_antihate-worker");
        // The engine of the analyzer image, where its library is to be had.
        let analyzer = onnxruntime_library().map_or(worker, |_| env!("CARGO_BIN_EXE_antihate-analyzer"));
        let run = |program: &str, role: &str, own: &[(&str, String)]| {
            let mut c = Command::new(program);
            c.args(role.split(' ')).envs(own.iter().map(|(k, v)| (*k, v.as_str())));
            c.env("KAFKA_BROKER", kafka.address()).env("POSTGRES_HOST", format!("127.0.0.1:{}", sql.port)).env("METRICS_ADDR", "127.0.0.1:0");
            Process::start(c, &logs.path().join("log"), None)
        };
        let site = run(worker, "sample", &[("SAMPLE_ADDR", format!("127.0.0.1:{port}")), ("SAMPLE_RATE", RATE.to_string())]);
        let analyzer = run(analyzer, "analyze", &[("MODEL_PATH", model().display().to_string())]);
        let from = [("MASTODON_URL", format!("http://127.0.0.1:{port}")), ("BACKFILL", "true".into())];
        let observer = run(worker, "observe --platform mastodon", &from);
        Some(Way { sql, kafka, observer, analyzer, _site: site, _logs: logs })
    }

    fn stored(&self) -> f64 {
        self.sql.psql("antihate_leaf", "SELECT count(*) FROM post").and_then(|n| n.parse().ok()).unwrap_or(0.0)
    }

    /// Seconds of processor time of each part so far.
    fn usage(&self) -> BTreeMap<String, f64> {
        let parts = [("observer", self.observer.id()), ("Kafka", self.kafka.id()), ("analyzer", self.analyzer.id()), ("PostgreSQL", self.sql.id())];
        parts.into_iter().map(|(name, id)| (name.to_string(), tree(id as i32).into_iter().map(cpu).sum())).collect()
    }
}

pub fn a6() {
    let Some(way) = Way::start() else { return };
    until("the first posts are stored", Duration::from_secs(300), || (way.stored() > 0.0).then_some(()));
    // Java compiles, and what the site had before is read.
    std::thread::sleep(Duration::from_secs(window()));
    let (begun, before, posts) = (Instant::now(), way.usage(), way.stored());
    let (mut windows, mut last) = (Vec::new(), (Instant::now(), sum(&before)));
    for _ in 0..pairs() {
        std::thread::sleep(Duration::from_secs(window()));
        let now = (Instant::now(), sum(&way.usage()));
        windows.push(((now.1 - last.1) / (now.0 - last.0).as_secs_f64(), 1.0));
        last = now;
    }
    let lasted = begun.elapsed().as_secs_f64();
    let parts: BTreeMap<String, f64> = way.usage().into_iter().map(|(n, c)| (n.clone(), (c - before[&n]) / lasted)).collect();
    let rate = (way.stored() - posts) / lasted;
    let engine = if onnxruntime_library().is_some() { "ONNX Runtime int8" } else { "tract f32, for want of ORT_DYLIB_PATH" };
    let what = format!("A6 cores used by observer, Kafka, analyzer ({engine}) and PostgreSQL at {RATE:.2} posts a second; baseline one core");
    figure(&what, ("cores", 3), &format!("windows of {} s", window()), &windows);
    println!("A6 cores by part: {}; {rate:.2} posts stored a second, {:.0} tokens each", told(&parts, 3), tokens());
}

fn sum(usage: &BTreeMap<String, f64>) -> f64 {
    usage.values().sum()
}

/// Mean tokens of the site's posts.
fn tokens() -> f64 {
    let (tokens, site) = (tokenizer(&model()), Site::endless(RATE));
    let total: usize = (0..COUNTED).map(|n| tokens.ids(&text::normalise(&site.post(n).text)).len()).sum();
    total as f64 / COUNTED as f64
}
