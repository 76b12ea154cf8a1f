//! Role: observe, analyze and page in one process, without root and without Kubernetes.
//!
//! The same roles as on a node, on SQLite and a topic, both in memory. It is for looking at the product and for trying a
//! feed: nothing survives the process, and nothing is sent upstream.

mod provider;

use crate::analyze::{Analyzer, Pool};
use crate::fetch::{Client, Limits};
use crate::inference::{Classifier, Options as ModelOptions};
use crate::observe::{Mastodon, Observer, Rss, Source, sample};
use crate::queue::memory::Topic;
use crate::record::Keeper;
use crate::setup::{Invitation, Options as PageOptions, Page};
use crate::status::Problem;
use crate::store::{Sqlite, Store};
use crate::task::Tasks;
use crate::telemetry::{AnalyzerMetrics, Collector, Health, Registry};
use crate::wire::ANALYSIS_QUEUE;
use provider::PreviewProvider;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a preview is made of.
pub struct Preview {
    /// Where its page's certificate and PIN lie.
    pub data: PathBuf,
    /// Folder of the model.
    pub model: PathBuf,
    /// A feed to read instead of the sample site.
    pub feed: Option<url::Url>,
    /// Posts a second of the sample site.
    pub rate: f64,
    /// Where the page listens.
    pub page: SocketAddr,
}

/// How long an observer or analyzer may be silent before it counts as stuck.
const STUCK: Duration = Duration::from_secs(120);
/// Posts a window: small, so that a first look does not wait.
const WINDOW: usize = 64;

impl Preview {
    /// Runs until `stop`; `invite` hears where the page is.
    pub async fn run(self, stop: CancellationToken, invite: impl FnOnce(Invitation)) -> Result<(), Problem> {
        let mut tasks = Tasks::new(stop.clone());
        let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory().map_err(stored)?);
        store.migrate().await.map_err(stored)?;
        let topic = Arc::new(Topic::new(2));
        let (provider, watching) = PreviewProvider::new(store.clone());
        let options = PageOptions { bind: self.page, data: self.data.clone(), run: self.data.join("run"), node: "preview".into(), name: tokio::sync::watch::channel(None).1 };
        let page = Page::open(options, Arc::new(provider))?;
        invite(page.invitation());
        let page_stop = stop.clone();
        tasks.start("page", async move { page.serve(page_stop).await.map_err(|p| p.to_string()) });
        tasks.start("status", watching.run(stop.clone()));
        self.start_analyzer(&mut tasks, &topic, &store)?;
        self.start_observer(&mut tasks, &topic, &store).await?;
        let ended = tasks.join_any().await;
        tasks.shutdown(Duration::from_secs(5)).await;
        ended.map_err(|e| Problem::new("PRV-101", "the preview ended", e.to_string(), "Start it again."))
    }

    fn start_analyzer(&self, tasks: &mut Tasks, topic: &Arc<Topic>, store: &Arc<dyn Store>) -> Result<(), Problem> {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let first = Classifier::open(&self.model, ModelOptions::default()).map_err(Problem::from)?;
        let metrics = AnalyzerMetrics::new(&Registry::default());
        let keeper = Keeper {
            topic: ANALYSIS_QUEUE.into(),
            store: store.clone(),
            producer: topic.clone(),
            ends: topic.clone(),
            metrics: metrics.clone(),
            probe_every: Duration::from_secs(5),
        };
        let analyzer = Analyzer {
            topic: ANALYSIS_QUEUE.into(),
            source: topic.clone(),
            ends: topic.clone(),
            store: store.clone(),
            classifier: Arc::new(Pool::new(first, cores)?),
            window: WINDOW,
            linger: Duration::from_millis(100),
            metrics,
            health: Health::new(STUCK),
        };
        tasks.start("analyze", crate::analyze::run(analyzer, tasks.stop()));
        tasks.start("record", crate::record::keep(keeper, tasks.stop()));
        Ok(())
    }

    async fn start_observer(&self, tasks: &mut Tasks, topic: &Arc<Topic>, store: &Arc<dyn Store>) -> Result<(), Problem> {
        let client = Client::new(Limits::default()).map_err(|e| failed("make an HTTP client", &e))?;
        let source: Box<dyn Source> = match &self.feed {
            Some(feed) => Box::new(Rss::new(client, feed.clone())),
            None => {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|e| failed("serve the sample site", &e))?;
                let at = listener.local_addr().map_err(|e| failed("serve the sample site", &e))?;
                tasks.start("sample-site", sample::serve(listener, sample::Site::endless(self.rate), tasks.stop()));
                let base = url::Url::parse(&format!("http://{at}")).expect("an address is a URL");
                Box::new(Mastodon::new(client, base, None, None, true))
            }
        };
        let observer = Observer {
            producer: topic.clone(),
            store: store.clone(),
            geography: "preview".into(),
            every: Duration::from_secs(1),
            metrics: Collector::new(&Registry::default(), "preview"),
            health: Health::new(STUCK),
        };
        tasks.start("observe", crate::observe::run(observer, vec![source], tasks.stop()));
        Ok(())
    }
}

fn stored(e: crate::store::StoreError) -> Problem {
    failed("open its database", &e)
}

fn failed(what: &str, e: &dyn std::error::Error) -> Problem {
    let deep = e.source().map(|s| format!("; {s}")).unwrap_or_default();
    Problem::new("PRV-102", format!("the preview cannot {what}"), format!("{e}{deep}"), "See that its folder can be written, or name another one with --data.")
}
