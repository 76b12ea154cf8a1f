//! `observe`: one platform in, topic out.

use super::{Database, start_telemetry, until_signal};
use crate::fetch::{Client, Limits};
use crate::observe::{Import, Mastodon, Observer, Rss, Source};
use crate::queue::KafkaProducer;
use crate::task::Tasks;
use crate::telemetry::{Collector, Registry};
use anyhow::Context;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Copy, ValueEnum)]
enum Platform {
    Rss,
    Mastodon,
    Import,
}

/// Observes a platform and hands its posts to the topic.
#[derive(Args)]
#[command(after_help = "Example: KAFKA_BROKER=localhost:9092 POSTGRES_HOST=localhost FEED_URLS=https://example.org/feed antihate-worker observe --platform rss")]
pub struct Observe {
    /// Which platform.
    #[arg(long, value_enum)]
    platform: Platform,
    /// Kafka's address, host:port.
    #[arg(long, env = "KAFKA_BROKER", default_value = "kafka.antihate-system:9092")]
    kafka_broker: String,
    #[command(flatten)]
    database: Database,
    /// Geography that the posts are observed for.
    #[arg(long, env = "GEOGRAPHY", default_value = "")]
    geography: String,
    /// Hashtags to follow, comma separated; without any, the public timeline.
    #[arg(long, env = "HASHTAGS", value_delimiter = ',')]
    hashtags: Vec<String>,
    /// Feeds to read, comma separated.
    #[arg(long, env = "FEED_URLS", value_delimiter = ',')]
    feed_urls: Vec<String>,
    /// Base address of a Mastodon server.
    #[arg(long, env = "MASTODON_URL")]
    mastodon_url: Option<String>,
    /// Access token for it, where it wants one.
    #[arg(long, env = "MASTODON_TOKEN", hide_env_values = true)]
    mastodon_token: Option<String>,
    /// Read a timeline from its beginning instead of from now on.
    #[arg(long, env = "BACKFILL", default_value_t = false, action = clap::ArgAction::Set)]
    backfill: bool,
    /// Folder whose files are imported.
    #[arg(long, env = "IMPORT_DIR", default_value = "/import")]
    import_dir: PathBuf,
    /// Seconds between two rounds.
    #[arg(long, env = "POLL_SECONDS", default_value_t = 30.0)]
    poll_seconds: f64,
    /// Requests a minute.
    #[arg(long, env = "REQUESTS_PER_MINUTE", default_value_t = 300)]
    requests_per_minute: usize,
    /// Address of /health, /ready and /metrics.
    #[arg(long, env = "METRICS_ADDR", default_value = "0.0.0.0:9090")]
    metrics_addr: SocketAddr,
}

impl Observe {
    pub async fn run(self) -> anyhow::Result<()> {
        let registry = Registry::default();
        let mut tasks = Tasks::new(CancellationToken::new());
        let health = start_telemetry(&mut tasks, self.metrics_addr, registry.clone()).await?;
        let observer = Observer {
            producer: Arc::new(KafkaProducer::new(&self.kafka_broker, crate::wire::ANALYSIS_QUEUE)?),
            store: self.database.open()?,
            geography: self.geography.clone(),
            every: Duration::try_from_secs_f64(self.poll_seconds).context("POLL_SECONDS is no time")?,
            metrics: Collector::new(&registry, self.kind()),
            health,
        };
        tasks.start("observe", crate::observe::run(observer, self.sources()?, tasks.stop()));
        until_signal(tasks).await
    }

    fn kind(&self) -> &'static str {
        match self.platform {
            Platform::Rss => "rss",
            Platform::Mastodon => "mastodon",
            Platform::Import => "import",
        }
    }

    fn sources(&self) -> anyhow::Result<Vec<Box<dyn Source>>> {
        let client = Client::new(Limits { per_minute: self.requests_per_minute.max(1), ..Limits::default() })?;
        let url = |text: &str| url::Url::parse(text.trim()).with_context(|| format!("{text:?} is no address"));
        let sources: Vec<Box<dyn Source>> = match self.platform {
            Platform::Import => vec![Box::new(Import::new(self.import_dir.clone()))],
            Platform::Rss => {
                let feeds = self.feed_urls.iter().filter(|f| !f.trim().is_empty()).map(|f| url(f));
                feeds.map(|f| Ok(Box::new(Rss::new(client.clone(), f?)) as Box<dyn Source>)).collect::<anyhow::Result<_>>()?
            }
            Platform::Mastodon => {
                let base = url(self.mastodon_url.as_deref().context("MASTODON_URL is not set: it names the server to read")?)?;
                let timeline = |tag| Mastodon::new(client.clone(), base.clone(), tag, self.mastodon_token.clone().filter(|t| !t.is_empty()), self.backfill);
                let tags: Vec<&str> = self.hashtags.iter().map(|t| t.trim()).filter(|t| !t.is_empty()).collect();
                match tags.is_empty() {
                    true => vec![Box::new(timeline(None))],
                    false => tags.into_iter().map(|t| Box::new(timeline(Some(t))) as Box<dyn Source>).collect(),
                }
            }
        };
        anyhow::ensure!(!sources.is_empty(), "FEED_URLS is not set: it names the feeds to read");
        Ok(sources)
    }
}
