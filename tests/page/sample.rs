//! The sample node behind the walk: mild posts of our own, and the states that a node goes through.

use super::payloads;
use antihate::domain::{Analysis, Label, Post, PostRef, Role, Scores};
use antihate::config::layout::Layout;
use antihate::host::check::{self, Check, Question};
use antihate::setup::{Packed, PackedPart, Provider, TokenFacts};
use antihate::status::{Component, NodeStatus, Pipeline, Problem, Step, StepState, Upstream};
use chrono::{DateTime, Duration, Utc};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::sync::watch;

/// The one token that the sample hub takes.
pub const TOKEN: &str = "sample-token-0123456789";
/// Payloads that are shown at one time.
pub const BATCH: usize = 20;

const TEXTS: &[(&str, &str, Label, [f32; 3])] = &[
    ("rss", "The new tram line opens on Monday, and the first week is free for everyone who wants to try it.", Label::None, [0.98, 0.01, 0.01]),
    ("mastodon", "What a silly, useless referee. Go home and take your broken whistle with you!", Label::Offensive, [0.11, 0.84, 0.05]),
    ("mastodon", "People from over there should never be let in here, none of them.", Label::Hate, [0.08, 0.19, 0.73]),
    ("rss", "Der Wochenmarkt zieht wegen der Bauarbeiten bis zum Herbst auf den Platz vor der alten Post um.", Label::None, [0.96, 0.03, 0.01]),
    ("import", "Bread recipe: flour, water, salt, and a night of patience.", Label::None, [0.99, 0.01, 0.0]),
    ("mastodon", "Does anyone know whether the library is open on the holiday? The page says one thing and the door another.", Label::None, [0.97, 0.02, 0.01]),
];

/// The mild texts.
pub fn texts() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(_, text, _, _)| *text)
}

/// A node whose state is named in `<dir>/state` and whose posts by the number in `<dir>/batch` (0: the mild ones).
pub struct SampleNode {
    dir: PathBuf,
    status: watch::Sender<NodeStatus>,
    /// Tokens that were sent to the hub.
    pub sent: Mutex<Vec<String>>,
}

impl SampleNode {
    /// Healthy, with mild posts.
    pub fn new(dir: &Path) -> Self {
        SampleNode { dir: dir.to_owned(), status: watch::channel(status("good")).0, sent: Mutex::default() }
    }

    fn told(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.join(file)).unwrap_or_default().trim().to_owned()
    }
}

#[async_trait::async_trait]
impl Provider for SampleNode {
    fn status(&self) -> watch::Receiver<NodeStatus> {
        self.status.send_replace(status(&self.told("state")));
        self.status.subscribe()
    }

    async fn latest_posts(&self, limit: usize) -> Result<Vec<Analysis>, Problem> {
        if self.told("state") == "preparing" {
            return Err(Problem::new("STO-101", "The store does not answer yet", "it is being brought up", "wait; the list appears by itself"));
        }
        let batch: usize = self.told("batch").parse().unwrap_or(0);
        let posts: Vec<Analysis> = match batch {
            0 => TEXTS.iter().enumerate().map(|(n, t)| post(n, t)).collect(),
            n => payloads::all().iter().enumerate().skip((n - 1) * BATCH).take(BATCH).map(|(at, text)| hostile(at, text)).collect(),
        };
        Ok(posts.into_iter().take(limit).collect())
    }

    async fn posts(&self, named: &[PostRef]) -> Result<Vec<Analysis>, Problem> {
        let mut all = self.latest_posts(usize::MAX).await?;
        all.retain(|a| named.contains(&a.post.reference()));
        Ok(all)
    }

    async fn component_log(&self, name: &str, lines: usize) -> Result<Vec<String>, Problem> {
        let line = |n: usize| format!("{} INFO {name}: round {n} took {} ms", Utc::now().format("%H:%M:%S"), 3 + n % 7);
        Ok((0..lines.min(40)).map(line).collect())
    }

    fn decode_token(&self, token: &str) -> Result<TokenFacts, Problem> {
        if token != TOKEN {
            return Err(Problem::new("ENR-101", "This is not a whole token", "its check digits do not fit", "copy it again from the first to the last character"));
        }
        let expires = Some(Utc::now() + Duration::hours(20));
        Ok(TokenFacts { geography: "sample-land".into(), hub: "hub.sample-land.example:7443".into(), expires, words: "amber birch cedar dune".into() })
    }

    fn kubeconfig(&self, name: &str, role: Role) -> Result<(String, u16), Problem> {
        Ok((format!("sample kubeconfig of {name}, {}", role.name()), 7))
    }

    /// Those of the machine on which the walk runs.
    async fn checks(&self) -> Vec<Check> {
        let layout = Layout::new(&self.dir);
        let question = Question { layout: &layout, need: 0, address: false, page: check::PAGE, driver_root: Path::new("/"), running: false, quick: true };
        check::run(Path::new("/"), &check::ask(&question))
    }

    async fn support(&self) -> Result<Packed, Problem> {
        let part = |name: &str, what: &str, problem: Option<&str>| PackedPart { name: name.into(), what: what.into(), problem: problem.map(Into::into) };
        let parts = vec![part("node/status.json", "where the node stood, as it told last", None), part("logs/kubelet.log", "log of a component of the host", None), part("logs/etcd.log", "log of a component of the host", Some("not on this host"))];
        Ok(Packed { name: "antihate-support-20241004T000000Z.tar.zst.age".into(), bytes: vec![7; 40_000].into(), phrase: "ABCD-EFGH-JKMN-PQRS-TVWX-YZ01".to_owned().into(), parts, removed: 2 })
    }

    fn never_in_support(&self) -> &'static [(&'static str, &'static str)] {
        &antihate::support::LEFT_OUT
    }

    async fn enroll(&self, token: &str) -> Result<(), Problem> {
        self.sent.lock().expect("lock").push(token.to_owned());
        std::fs::write(self.dir.join("state"), "enrolled").expect("state");
        Ok(())
    }
}

fn post(n: usize, (platform, text, label, [none, offensive, hate]): &(&str, &str, Label, [f32; 3])) -> Analysis {
    let at = Utc::now() - Duration::seconds(7 + 41 * n as i64);
    let post = Post {
        platform: (*platform).into(), id: format!("sample/{n}"), url: Some(format!("https://social.example/@sample/{n}")), author: Some("@sample@social.example".into()),
        lang: Some(if text.starts_with("Der") { "de" } else { "en" }.into()), text: (*text).into(), published_at: at, observed_at: at,
    };
    Analysis { post, label: *label, scores: Scores { none: *none, offensive: *offensive, hate: *hate }, model: "antihate-text@0.1.0".into(), analyzed_at: at }
}

/// The payload stands in every field that a platform fills.
fn hostile(n: usize, text: &str) -> Analysis {
    let mut analysis = post(n, &("import", text, Label::None, [0.9, 0.05, 0.05]));
    let some = |limit: usize| text.chars().take(limit).collect::<String>();
    analysis.post.author = Some(some(500));
    analysis.post.lang = Some(some(60));
    analysis.post.id = format!("{n}-{}", some(200));
    analysis.post.url = Some(format!("javascript:{}", some(200)));
    analysis
}

/// One of the states `good`, `preparing`, `failed`, `enrolled`.
fn status(name: &str) -> NodeStatus {
    let now = Utc::now();
    let enrolled = Upstream::Enrolled {
        node: "node-7f3a".into(), geography: "sample-land".into(), hub: "hub.sample-land.example:7443".into(), connected: true,
        last_seen: Some(now - Duration::seconds(12)), certificate_ends: now + Duration::days(29),
    };
    let (healthy, summary) = match name {
        "preparing" => (false, "The parts of the node are being brought up. This takes about a minute."),
        "failed" => (false, "The disk is full: nothing is lost, and nothing new can be stored."),
        _ => (true, "Posts are observed, classified and stored. The last probe came through 4 s ago."),
    };
    let pipeline = match name {
        "preparing" => Pipeline::default(),
        _ => Pipeline { stored: 20_417, per_minute: 118, backlog: 3, delay_p95_s: Some(0.42), quarantined: 2, lost: 0, by_label: [18_944, 1_021, 452] },
    };
    NodeStatus {
        version: env!("CARGO_PKG_VERSION").into(), pid: std::process::id(), node: "node-7f3a".into(), healthy, summary: summary.into(), steps: steps(name, now), components: components(name, now),
        pipeline, upstream: if name == "enrolled" { enrolled } else { Upstream::Unclaimed }, page: None, at: now,
    }
}

fn steps(name: &str, now: DateTime<Utc>) -> Vec<Step> {
    let titles = ["Check this machine", "Unpack what the file carries", "Make keys and certificates", "Start Kubernetes", "Bring in the images", "Bring up the parts", "Send a probe post through"];
    let ids = ["prepare", "unpack", "keys", "kubernetes", "images", "apply", "healthy"];
    let full = Problem::new("UNP-301", "The disk is full", "the data folder needs 1.2 GB and has 0.3 GB", "make room or choose another folder with --data, then start again");
    let state = |at: usize| match (name, at) {
        ("preparing", 0..=3) | ("failed", 0) => (StepState::Done, ""),
        ("preparing", 4) => (StepState::Running { percent: Some(62), attempt: 1 }, "antihate.local/kafka, 3 of 7"),
        ("failed", 1) => (StepState::Failed { problem: full.clone() }, ""),
        ("preparing" | "failed", _) => (StepState::Waiting, ""),
        _ => (StepState::Done, ""),
    };
    let step = |(at, title): (usize, &&str)| {
        let (state, detail) = state(at);
        Step { id: ids[at].into(), title: (*title).into(), state, detail: detail.into(), since: now - Duration::seconds(38) }
    };
    titles.iter().enumerate().map(step).collect()
}

fn components(name: &str, now: DateTime<Utc>) -> Vec<Component> {
    let names = ["kine", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd", "kubelet", "kube-proxy", "antihate-storage/postgres", "antihate-system/kafka", "antihate-analyzers/analyzer-text", "antihate-observers/observer-rss"];
    let well = |at: usize| name != "preparing" || at < 7;
    let part = |(at, name): (usize, &&str)| Component {
        name: (*name).into(), place: name.split_once('/').map_or("host", |(place, _)| place).into(), healthy: well(at),
        detail: if well(at) { "answers" } else { "its image is being brought in" }.into(), restarts: u32::from(at == 9), since: now - Duration::minutes(at as i64 + 2),
    };
    names.iter().enumerate().map(part).collect()
}
