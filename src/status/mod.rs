//! Everything that a person may be told: steps, conditions, problems with code, cause and next step.

pub mod check;
mod group;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A problem as it is shown on page, command line and log, word for word the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {what}")]
pub struct Problem {
    /// Stable code, such as `UNP-301`.
    pub code: String,
    /// What happened, one sentence.
    pub what: String,
    /// Why, as far as is known.
    pub cause: String,
    /// What the reader does next.
    pub next: String,
}

impl Problem {
    /// Builds a problem from its four parts.
    pub fn new(code: &str, what: impl Into<String>, cause: impl Into<String>, next: impl Into<String>) -> Self {
        Problem { code: code.into(), what: what.into(), cause: cause.into(), next: next.into() }
    }

    /// Three lines for a terminal: code and what, cause, next step.
    pub fn render(&self) -> String {
        format!("{}: {}\n  cause: {}\n  next:  {}", self.code, self.what, self.cause, self.next)
    }
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum StepState {
    /// Not begun.
    Waiting,
    /// At work; `percent` only where it is known.
    Running { percent: Option<u8>, attempt: u32 },
    /// Finished.
    Done,
    /// Failed; it is tried again unless the problem says otherwise.
    Failed { problem: Problem },
}

/// One step of bringing the node up, as console, command line and page show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Stable identifier: `unpack`, `kubernetes`, `apply`, …
    pub id: String,
    /// What it does, in plain words.
    pub title: String,
    /// How far it is.
    #[serde(flatten)]
    pub state: StepState,
    /// What it is doing now, in plain words.
    pub detail: String,
    /// Since when it is in this state.
    pub since: DateTime<Utc>,
}

/// Health of one component: a process of the host or a workload of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Name, such as `kube-apiserver` or `antihate-storage/postgres`.
    pub name: String,
    /// `host` for processes, otherwise the namespace.
    pub place: String,
    /// Whether it does its work.
    pub healthy: bool,
    /// Why not, or a short remark.
    pub detail: String,
    /// Restarts since the node started.
    pub restarts: u32,
    /// Since when it is in this state.
    pub since: DateTime<Utc>,
}

/// Numbers of a post's way, for the pipeline strip.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Posts stored.
    pub stored: u64,
    /// Posts stored in the last minute.
    pub per_minute: u64,
    /// Messages in the topic that are not yet stored.
    pub backlog: u64,
    /// Seconds from observed to stored, 95th percentile of the last 5 minutes.
    pub delay_p95_s: Option<f64>,
    /// Messages set aside.
    pub quarantined: u64,
    /// Offsets that were skipped without a row or a quarantine entry: must be 0.
    pub lost: u64,
    /// Stored posts by label: none, offensive, hate.
    pub by_label: [u64; 3],
}

/// Link upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Upstream {
    /// No token was given yet; nothing waits for it.
    Unclaimed,
    /// Enrolling; `detail` says where it stands.
    Enrolling { detail: String },
    /// Enrolled; `connected` tells whether the last heartbeat arrived.
    Enrolled { node: String, geography: String, hub: String, connected: bool, last_seen: Option<DateTime<Utc>>, certificate_ends: DateTime<Utc> },
    /// Something stands in the way.
    Failed { problem: Problem },
}

impl Upstream {
    /// For a person.
    pub fn sentence(&self) -> String {
        match self {
            Upstream::Unclaimed => "not enrolled; nothing waits for it".into(),
            Upstream::Enrolling { detail } => format!("enrolling, {detail}"),
            Upstream::Enrolled { geography, hub, connected: true, .. } => format!("enrolled in {geography} at {hub}, connected"),
            Upstream::Enrolled { geography, hub, .. } => format!("enrolled in {geography} at {hub}, not reached now; posts are kept here"),
            Upstream::Failed { problem } => format!("failed, {problem}"),
        }
    }
}

/// Where the page is reached, and how a person knows that it is the right one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageAt {
    /// Its addresses, the best one first.
    pub addresses: Vec<String>,
    /// SHA-256 of its certificate, as browsers show it.
    pub fingerprint: String,
    /// The name of the local network that holds, such as `antihate-7f3a.local`; none where the node has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The whole node at one moment: what `status --json` prints and the page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Version of the binary.
    pub version: String,
    /// Identifier of the host process that published this; a report outlives its process, so readers check it.
    #[serde(default)]
    pub pid: u32,
    /// Name of the node.
    pub node: String,
    /// True only when a probe post came out of the database.
    pub healthy: bool,
    /// One sentence for a person.
    pub summary: String,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Components.
    pub components: Vec<Component>,
    /// The post's way.
    pub pipeline: Pipeline,
    /// The link upstream.
    pub upstream: Upstream,
    /// Where the page is reached, once it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<PageAt>,
    /// When this was put together.
    pub at: DateTime<Utc>,
}
