//! The metrics of the pods, under the names that dashboards and alert rules of the platform expect.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::{Arc, Mutex};

/// All metrics of one process; clones share them.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<prometheus_client::registry::Registry>>);

impl Registry {
    /// The metrics in the text format that Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(|e| e.into_inner());
        match prometheus_client::encoding::text::encode(&mut text, &registry) {
            Ok(()) => text,
            Err(_) => String::from("# EOF\n"),
        }
    }

    fn with(&self, register: impl FnOnce(&mut prometheus_client::registry::Registry)) {
        register(&mut self.0.lock().unwrap_or_else(|e| e.into_inner()));
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByCollector {
    collector_type: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByError {
    collector_type: String,
    kind: String,
}

/// What an observer counts.
#[derive(Clone)]
pub struct Collector {
    kind: String,
    posts: Family<ByCollector, Counter>,
    errors: Family<ByError, Counter>,
    last_success: Family<ByCollector, Gauge>,
}

impl Collector {
    /// Registers the metrics of the observer for platform `kind`.
    pub fn new(registry: &Registry, kind: &str) -> Self {
        let made = Collector { kind: kind.into(), posts: Family::default(), errors: Family::default(), last_success: Family::default() };
        registry.with(|r| {
            r.register("collector_posts", "Posts handed to the topic and acknowledged", made.posts.clone());
            r.register("collector_errors", "Failed attempts to read a source or to write to the topic", made.errors.clone());
            r.register("collector_last_success_timestamp_seconds", "When the source was last read to its end", made.last_success.clone());
        });
        made.posts(0);
        made
    }

    fn label(&self) -> ByCollector {
        ByCollector { collector_type: self.kind.clone() }
    }

    /// Counts acknowledged posts.
    pub fn posts(&self, n: u64) {
        self.posts.get_or_create(&self.label()).inc_by(n);
    }

    /// Counts a failure; `kind` is a short stable word.
    pub fn error(&self, kind: &str) {
        self.errors.get_or_create(&ByError { collector_type: self.kind.clone(), kind: kind.into() }).inc();
    }

    /// Notes that the source was read to its end at `unix` seconds.
    pub fn success(&self, unix: i64) {
        self.last_success.get_or_create(&self.label()).set(unix);
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByPartition {
    topic: String,
    partition: i32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

/// What an analyzer counts.
#[derive(Clone)]
pub struct AnalyzerMetrics {
    processed: Family<ByResult, Counter>,
    errors: Counter,
    lag: Family<ByPartition, Gauge>,
    backends: Gauge,
    flush_seconds: Histogram,
    classify_seconds: Histogram,
}

impl AnalyzerMetrics {
    /// Registers the metrics of an analyzer.
    pub fn new(registry: &Registry) -> Self {
        let buckets = || Histogram::new([0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]);
        let made = AnalyzerMetrics {
            processed: Family::default(),
            errors: Counter::default(),
            lag: Family::default(),
            backends: Gauge::default(),
            flush_seconds: buckets(),
            classify_seconds: buckets(),
        };
        registry.with(|r| {
            r.register("analyzer_processed", "Messages taken from the topic and stored, by result", made.processed.clone());
            r.register("analyzer_errors", "Flushes and classifications that had to be tried again", made.errors.clone());
            r.register("kafka_consumer_lag", "Messages in the topic that are not yet stored", made.lag.clone());
            r.register("pg_stat_database_numbackends", "Connections to the database", made.backends.clone());
            r.register("analyzer_flush_seconds", "Duration of one transaction", made.flush_seconds.clone());
            r.register("analyzer_classify_seconds", "Duration of classifying one window", made.classify_seconds.clone());
        });
        made.processed(0, 0, 0);
        made
    }

    /// Counts messages by what became of them.
    pub fn processed(&self, stored: u64, doubles: u64, set_aside: u64) {
        for (result, n) in [("stored", stored), ("known", doubles), ("set-aside", set_aside)] {
            self.processed.get_or_create(&ByResult { result }).inc_by(n);
        }
    }

    /// Counts one attempt that failed and is repeated.
    pub fn error(&self) {
        self.errors.inc();
    }

    /// Notes how far storing is behind a partition's end.
    pub fn lag(&self, topic: &str, partition: i32, messages: i64) {
        self.lag.get_or_create(&ByPartition { topic: topic.into(), partition }).set(messages);
    }

    /// Notes how many connections the database has.
    pub fn backends(&self, n: i64) {
        self.backends.set(n);
    }

    /// Notes the duration of a flush.
    pub fn flushed(&self, seconds: f64) {
        self.flush_seconds.observe(seconds);
    }

    /// Notes the duration of a classification.
    pub fn classified(&self, seconds: f64) {
        self.classify_seconds.observe(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_carry_the_names_that_the_alert_rules_use() {
        let registry = Registry::default();
        let c = Collector::new(&registry, "rss");
        c.posts(3);
        c.error("timeout");
        let a = AnalyzerMetrics::new(&registry);
        a.processed(2, 0, 1);
        a.lag("analysis-queue", 1, 7);
        let text = registry.encode();
        for line in [
            "collector_posts_total{collector_type=\"rss\"} 3",
            "collector_errors_total{collector_type=\"rss\",kind=\"timeout\"} 1",
            "analyzer_processed_total{result=\"stored\"} 2",
            "kafka_consumer_lag{topic=\"analysis-queue\",partition=\"1\"} 7",
        ] {
            assert!(text.lines().any(|l| l == line), "missing {line} in\n{text}");
        }
    }
}
