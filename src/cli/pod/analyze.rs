//! `analyze`: topic in, database out; and the keeping of the record beside it.

use super::{Database, start_telemetry, until_signal};
use crate::analyze::{Analyzer, Classify, Pool};
use crate::inference::{Classifier, EngineKind, Options};
use crate::queue::{Admin, Consumer, ConsumerConfig, KafkaProducer, ensure_topic};
use crate::record::Keeper;
use crate::status::Problem;
use crate::store::Store;
use crate::task::Tasks;
use crate::telemetry::{AnalyzerMetrics, Health, Registry};
use crate::wire::ANALYSIS_QUEUE;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Classifies the posts on the topic and stores them.
#[derive(Args)]
#[command(after_help = "Example: KAFKA_BROKER=localhost:9092 POSTGRES_HOST=localhost MODEL_PATH=models/text antihate-worker analyze")]
pub struct Analyze {
    /// Kafka's address, host:port.
    #[arg(long, env = "KAFKA_BROKER", default_value = "kafka.antihate-system:9092")]
    kafka_broker: String,
    #[command(flatten)]
    database: Database,
    /// Consumer group.
    #[arg(long, env = "KAFKA_CONSUMER_GROUP", default_value = "analyzer-text-group")]
    group: String,
    /// Folder of the model.
    #[arg(long, env = "MODEL_PATH", default_value = "/models/text")]
    model_path: PathBuf,
    /// Engine: tract, onnxruntime-int8 or onnxruntime-f32; without it, the binary's own.
    #[arg(long, env = "ENGINE")]
    engine: Option<String>,
    /// Posts a batch.
    #[arg(long, env = "BATCH_SIZE", default_value_t = 32)]
    batch_size: usize,
    /// Tokens a post at most.
    #[arg(long, env = "MAX_SEQUENCE_LENGTH", default_value_t = 512)]
    max_sequence_length: usize,
    /// Classifiers at work at once; without it, one a core.
    #[arg(long, env = "ANALYZER_THREADS")]
    threads: Option<usize>,
    /// Posts a window.
    #[arg(long, env = "ANALYZER_WINDOW", default_value_t = 512)]
    window: usize,
    /// Partitions of the topic, if it has to be made.
    #[arg(long, env = "TOPIC_PARTITIONS", default_value_t = 4)]
    partitions: i32,
    /// Seconds between two probes.
    #[arg(long, env = "PROBE_SECONDS", default_value_t = 10)]
    probe_seconds: u64,
    /// Address of /health, /ready and /metrics.
    #[arg(long, env = "METRICS_ADDR", default_value = "0.0.0.0:9091")]
    metrics_addr: SocketAddr,
}

impl Analyze {
    pub async fn run(self, dynamic: bool) -> anyhow::Result<()> {
        let registry = Registry::default();
        let metrics = AnalyzerMetrics::new(&registry);
        let mut tasks = Tasks::new(CancellationToken::new());
        let health = start_telemetry(&mut tasks, self.metrics_addr, registry).await?;
        let classifier = self.classifier(dynamic)?;
        let store: Arc<dyn Store> = self.database.open()?;
        self.prepare(&*store, &health).await?;
        let ends = Arc::new(Admin::new(&self.kafka_broker, ANALYSIS_QUEUE)?);
        let consumer = ConsumerConfig { brokers: self.kafka_broker.clone(), topic: ANALYSIS_QUEUE.into(), group: self.group.clone() };
        let keeper = Keeper {
            topic: ANALYSIS_QUEUE.into(),
            store: self.database.open()?, // a connection of its own: looking must not wait for a flush
            producer: Arc::new(KafkaProducer::new(&self.kafka_broker, ANALYSIS_QUEUE)?),
            ends: ends.clone(),
            metrics: metrics.clone(),
            probe_every: Duration::from_secs(self.probe_seconds.max(1)),
        };
        let analyzer = Analyzer {
            topic: ANALYSIS_QUEUE.into(),
            source: Arc::new(Consumer(consumer)),
            ends,
            store,
            classifier,
            window: self.window.max(1),
            linger: Duration::from_millis(100),
            metrics,
            health,
        };
        tasks.start("analyze", crate::analyze::run(analyzer, tasks.stop()));
        tasks.start("record", crate::record::keep(keeper, tasks.stop()));
        until_signal(tasks).await
    }

    fn classifier(&self, dynamic: bool) -> anyhow::Result<Arc<dyn Classify>> {
        let own = if dynamic { "onnxruntime-int8" } else { "tract" };
        let named = self.engine.as_deref().filter(|e| !e.is_empty()).unwrap_or(own);
        let named = if named == "onnxruntime" { "onnxruntime-int8" } else { named };
        let engine: EngineKind = named.parse().map_err(|e: String| anyhow::anyhow!("ENGINE: {e}"))?;
        let mut options = Options { engine, max_length: self.max_sequence_length, ..Options::default() };
        options.limits.posts = self.batch_size.max(1);
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let first = Classifier::open(&self.model_path, options).map_err(Problem::from)?;
        Ok(Arc::new(Pool::new(first, self.threads.unwrap_or(cores))?))
    }

    /// Waits for topic and database, and makes what they lack.
    async fn prepare(&self, store: &dyn Store, health: &Health) -> anyhow::Result<()> {
        let mut said = String::new();
        loop {
            let topic = ensure_topic(&self.kafka_broker, ANALYSIS_QUEUE, self.partitions, 1).await.map_err(anyhow::Error::from);
            let schema = store.migrate().await.map_err(anyhow::Error::from);
            let ahead = store.keep(chrono::Utc::now().date_naive()).await.map_err(anyhow::Error::from);
            let Err(e) = topic.and(schema.and(ahead)) else { return Ok(()) };
            if format!("{e:#}") != said {
                said = format!("{e:#}");
                tracing::info!(reason = said, "waiting for topic and database");
            }
            health.ready(Err(said.clone()));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
