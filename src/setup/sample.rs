//! A small node for the page's own tests: mild posts, one of each state.

use super::{Packed, PackedPart, Provider, TokenFacts};
use crate::domain::{Analysis, Label, Post, PostRef, Role, Scores};
use crate::status::check::{Check, Group};
use crate::status::{Component, NodeStatus, Pipeline, Problem, Step, StepState, Upstream};
use chrono::{DateTime, Duration, Utc};
use std::sync::Mutex;
use tokio::sync::watch;

/// The moment at which the sample node stands.
pub fn moment() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(20_000)
}

/// A healthy node that is not enrolled.
pub fn status() -> NodeStatus {
    let step = |id: &str, title: &str| Step { id: id.into(), title: title.into(), state: StepState::Done, detail: String::new(), since: moment() };
    let component = |name: &str, healthy| Component { name: name.into(), place: "host".into(), healthy, detail: "runs".into(), restarts: 0, since: moment() };
    NodeStatus {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        node: "sample".into(),
        healthy: true,
        summary: "Posts are observed, classified and stored.".into(),
        steps: vec![step("unpack", "Unpack what the file carries"), step("apply", "Bring up the parts")],
        components: vec![component("kube-apiserver", true), component("antihate-storage/postgres", false)],
        pipeline: Pipeline { stored: 100, per_minute: 12, by_label: [90, 6, 4], delay_p95_s: Some(0.4), ..Pipeline::default() },
        upstream: Upstream::Unclaimed,
        page: None,
        at: moment(),
    }
}

/// A post with a result.
pub fn post(id: &str, text: &str) -> Analysis {
    let at = moment();
    Analysis {
        post: Post { platform: "rss".into(), id: id.into(), url: Some("https://social.example/1".into()), author: Some("@sample".into()), lang: Some("en".into()), text: text.into(), published_at: at, observed_at: at },
        label: Label::None,
        scores: Scores { none: 0.9, offensive: 0.07, hate: 0.03 },
        model: "sample@1".into(),
        analyzed_at: at,
    }
}

/// A node in memory.
pub struct SampleNode {
    /// Sends a new state to the page.
    pub status: watch::Sender<NodeStatus>,
    /// What the store answers.
    pub posts: Mutex<Result<Vec<Analysis>, Problem>>,
    /// Tokens that were sent.
    pub sent: Mutex<Vec<String>>,
}

impl SampleNode {
    /// With these posts.
    pub fn new(posts: Vec<Analysis>) -> Self {
        SampleNode { status: watch::channel(status()).0, posts: Mutex::new(Ok(posts)), sent: Mutex::default() }
    }
}

#[async_trait::async_trait]
impl Provider for SampleNode {
    fn status(&self) -> watch::Receiver<NodeStatus> {
        self.status.subscribe()
    }

    async fn latest_posts(&self, limit: usize) -> Result<Vec<Analysis>, Problem> {
        self.posts.lock().expect("lock").clone().map(|mut p| { p.truncate(limit); p })
    }

    async fn posts(&self, named: &[PostRef]) -> Result<Vec<Analysis>, Problem> {
        self.posts.lock().expect("lock").clone().map(|mut p| { p.retain(|a| named.contains(&a.post.reference())); p })
    }

    async fn component_log(&self, name: &str, lines: usize) -> Result<Vec<String>, Problem> {
        Ok((0..lines.min(3)).map(|n| format!("{name} line {n} <b>&</b>")).collect())
    }

    async fn checks(&self) -> Vec<Check> {
        let check = |group: Group, id, title| group.check(id, title, "it matters", "seen <b>");
        vec![
            check(Group::Memory, "memory.swap", "Swap").warns(true, "CHK-116", "2.0 GiB of swap are on", "Run `swapoff -a`."),
            check(Group::Disk, "disk.space", "Space on disk"),
            check(Group::Gpu, "gpu.driver", "Driver").only_if(false, "there is no GPU here"),
        ]
    }

    fn decode_token(&self, token: &str) -> Result<TokenFacts, Problem> {
        match token {
            "good-token" => Ok(TokenFacts { geography: "sample-land".into(), hub: "hub.example:7443".into(), expires: None, words: "amber birch cedar dune".into() }),
            _ => Err(Problem::new("ENR-101", "This is not a token", "its check digits do not fit", "copy the whole token and paste it again")),
        }
    }

    fn kubeconfig(&self, name: &str, role: Role) -> Result<(String, u16), Problem> {
        Ok((format!("sample kubeconfig of {name}, {}", role.name()), 7))
    }

    async fn support(&self) -> Result<Packed, Problem> {
        let part = |name: &str, problem: Option<&str>| PackedPart { name: name.into(), what: "log of a component of the host".into(), problem: problem.map(Into::into) };
        let parts = vec![part("logs/kubelet.log", None), part("logs/etcd.log", Some("not on this host"))];
        Ok(Packed { name: "antihate-support-sample.tar.zst.age".into(), bytes: b"sample bundle".as_slice().into(), phrase: "ABCD-EFGH-JKMN-PQRS-TVWX-YZ01".to_owned().into(), parts, removed: 2 })
    }

    fn never_in_support(&self) -> &'static [(&'static str, &'static str)] {
        &[("volumes, database, topics", "they hold posts")]
    }

    async fn enroll(&self, token: &str) -> Result<(), Problem> {
        self.sent.lock().expect("lock").push(token.to_owned());
        Ok(())
    }
}
