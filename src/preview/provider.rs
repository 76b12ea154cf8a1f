//! The preview behind the page: answers from the store.

use crate::domain::{Analysis, PostRef, Role};
use crate::setup::{Packed, Provider, TokenFacts};
use crate::status::{Component, NodeStatus, Pipeline, Problem, Step, StepState, Upstream};
use crate::store::{Filter, Store};
use chrono::Utc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the numbers are read.
const LOOK: Duration = Duration::from_secs(1);
/// A probe that is older than this no longer shows that posts come through, in seconds.
const FRESH_S: i64 = 30;

/// What the page asks of a preview.
pub struct PreviewProvider {
    store: Arc<dyn Store>,
    status: watch::Receiver<NodeStatus>,
}

/// Keeps the status true.
pub struct Watching {
    store: Arc<dyn Store>,
    status: watch::Sender<NodeStatus>,
}

impl PreviewProvider {
    /// The provider, and what keeps its status.
    pub fn new(store: Arc<dyn Store>) -> (PreviewProvider, Watching) {
        let (send, status) = watch::channel(status_of(Pipeline::default(), false));
        (PreviewProvider { store: store.clone(), status }, Watching { store, status: send })
    }
}

impl Watching {
    /// Reads the store until `stop`.
    pub async fn run(self, stop: CancellationToken) -> Result<(), String> {
        while !stop.is_cancelled() {
            let probe = self.store.last_probe().await.ok().flatten();
            let healthy = probe.is_some_and(|p| (Utc::now() - p.stored_at).num_seconds() <= FRESH_S);
            let pipeline = self.store.pipeline().await.map_err(|e| e.to_string())?;
            self.status.send_replace(status_of(pipeline, healthy));
            tokio::select! { () = tokio::time::sleep(LOOK) => {}, () = stop.cancelled() => {} }
        }
        Ok(())
    }
}

fn status_of(pipeline: Pipeline, healthy: bool) -> NodeStatus {
    let now = Utc::now();
    let state = if healthy { StepState::Done } else { StepState::Running { percent: None, attempt: 1 } };
    let step = Step { id: "healthy".into(), title: "See a probe post come out of the database".into(), state, detail: String::new(), since: now };
    let part = |name: &str| Component { name: name.into(), place: "host".into(), healthy, detail: String::new(), restarts: 0, since: now };
    let summary = if healthy { "This is a preview: it observes, classifies and stores in one process." } else { "The preview is starting." };
    NodeStatus {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        node: "preview".into(),
        healthy,
        summary: summary.into(),
        steps: vec![step],
        components: vec![part("preview")],
        pipeline,
        upstream: Upstream::Unclaimed,
        page: None,
        at: now,
    }
}

fn not_here() -> Problem {
    Problem::new("PRV-103", "a preview does not enroll", "it has no identity and keeps nothing", "Make a node with `antihate up` and enroll that.")
}

#[async_trait::async_trait]
impl Provider for PreviewProvider {
    fn status(&self) -> watch::Receiver<NodeStatus> {
        self.status.clone()
    }

    async fn latest_posts(&self, limit: usize) -> Result<Vec<Analysis>, Problem> {
        let most = u32::try_from(limit).unwrap_or(u32::MAX);
        self.store.latest(most, &Filter::default()).await.map_err(|e| super::failed("read its posts", &e))
    }

    async fn posts(&self, named: &[PostRef]) -> Result<Vec<Analysis>, Problem> {
        self.store.find(named).await.map_err(|e| super::failed("read its posts", &e))
    }

    async fn component_log(&self, _: &str, _: usize) -> Result<Vec<String>, Problem> {
        Ok(vec!["A preview writes its log to the terminal that it was started from.".into()])
    }

    fn follows_settings(&self) -> bool {
        false
    }

    fn decode_token(&self, _: &str) -> Result<TokenFacts, Problem> {
        Err(not_here())
    }

    async fn enroll(&self, _: &str) -> Result<(), Problem> {
        Err(not_here())
    }

    fn kubeconfig(&self, _: &str, _: Role) -> Result<(String, u16), Problem> {
        Err(Problem::new("PRV-104", "a preview has no cluster", "it runs in one process", "Make a node with `antihate up`."))
    }

    async fn support(&self) -> Result<Packed, Problem> {
        Err(Problem::new("PRV-105", "a preview has no support bundle", "it runs in one process and writes its log to the terminal", "Copy the terminal's text, or make a node with `antihate up`."))
    }

    fn never_in_support(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}
