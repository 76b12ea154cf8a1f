//! Where the node stands, in one place: the page, the command line and the status file all read what is published here.

use super::guard;
use crate::config::layout::Layout;
use crate::files;
use crate::process::scan::alive;
use crate::status::{Component, NodeStatus, Pipeline, Problem, Step, StepState, Upstream};
use chrono::Utc;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// Publishes the node's status.
#[derive(Clone)]
pub struct Board {
    status: watch::Sender<NodeStatus>,
}

/// Steps of the host with their titles, in order.
pub const STEPS: [(&str, &str); 7] = [
    ("prepare", "Prepare this host"),
    ("unpack", "Verify and unpack Kubernetes"),
    ("keys", "Make keys and certificates"),
    ("kubernetes", "Start Kubernetes"),
    ("images", "Import the images"),
    ("apply", "Apply the local-node stack"),
    ("healthy", "See a probe post come out of the database"),
];

/// What the last step says on a joined host, where the posts are another host's matter.
pub const JOINED: &str = "every component of this host answers";

impl Board {
    /// A board on which every step waits.
    pub fn new(node: &str) -> Board {
        let now = Utc::now();
        let step = |(id, title): (&str, &str)| Step { id: id.into(), title: title.into(), state: StepState::Waiting, detail: String::new(), since: now };
        let status = NodeStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            node: node.into(),
            healthy: false,
            summary: "Starting.".into(),
            steps: STEPS.into_iter().map(step).collect(),
            components: Vec::new(),
            pipeline: Pipeline::default(),
            upstream: Upstream::Unclaimed,
            page: None,
            at: now,
        };
        Board { status: watch::channel(status).0 }
    }

    /// What others watch.
    pub fn subscribe(&self) -> watch::Receiver<NodeStatus> {
        self.status.subscribe()
    }

    /// Changes the status; observers hear of it only when something other than the time changed.
    pub fn change(&self, edit: impl FnOnce(&mut NodeStatus)) {
        self.status.send_if_modified(|status| {
            let before = status.clone();
            edit(status);
            status.summary = summary(status);
            let changed = *status != before;
            if changed {
                status.at = Utc::now();
            }
            changed
        });
    }

    /// Moves a step to `state` with a remark.
    pub fn step(&self, id: &str, state: StepState, detail: impl Into<String>) {
        let detail = detail.into();
        self.change(|status| {
            let Some(step) = status.steps.iter_mut().find(|s| s.id == id) else { return };
            if std::mem::discriminant(&step.state) != std::mem::discriminant(&state) {
                step.since = Utc::now();
            }
            (step.state, step.detail) = (state, detail);
        });
    }

    /// Replaces all components of `place` ("host" or "cluster") by `now`, keeping since-when where nothing changed.
    pub fn components(&self, of_host: bool, now: Vec<Component>) {
        self.change(|status| {
            let (same, mut kept): (Vec<_>, Vec<_>) = status.components.drain(..).partition(|c| (c.place == "host") == of_host);
            let merged = now.into_iter().map(|mut new| {
                if let Some(old) = same.iter().find(|o| o.name == new.name && o.place == new.place && o.healthy == new.healthy) {
                    new.since = old.since;
                }
                new
            });
            kept.extend(merged);
            kept.sort_by_key(|c| c.place != "host");
            status.components = kept;
        });
    }
}

/// One sentence for a person.
fn summary(status: &NodeStatus) -> String {
    let failed = status.steps.iter().find_map(|s| match &s.state {
        StepState::Failed { problem } => Some((s, problem)),
        _ => None,
    });
    if let Some((step, problem)) = failed {
        return format!("{} failed: {problem}. It is tried again.", step.title);
    }
    if let Some(step) = status.steps.iter().find(|s| !matches!(s.state, StepState::Done)) {
        return format!("{}.", step.title);
    }
    match status.components.iter().find(|c| !c.healthy) {
        _ if status.healthy && gpu_lost(status) => "Healthy: a probe post came out of the database. Degraded: CPU, because a GPU cannot be used.".into(),
        _ if status.healthy && status.steps.last().is_some_and(|s| s.detail == JOINED) => format!("Healthy: {JOINED}."),
        _ if status.healthy => "Healthy: a probe post came out of the database.".into(),
        Some(c) => format!("{} does not work: {}", c.name, c.detail),
        None => "Waiting for the probe post.".into(),
    }
}

/// A GPU is there, or was, that cannot be used: what could run on it runs on the processor.
fn gpu_lost(status: &NodeStatus) -> bool {
    status.components.iter().any(|c| c.place == "host" && c.name == super::gpu::NAME && !c.healthy && c.detail.starts_with("degraded"))
}

/// Writes every change to `path` until the board ends, at most twice a second.
pub async fn keep_file(mut status: watch::Receiver<NodeStatus>, path: PathBuf) {
    loop {
        let now = status.borrow_and_update().clone();
        let text = serde_json::to_vec_pretty(&now).expect("plain data");
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || files::replace(&target, &text, 0o644)).await;
        if let Ok(Err(e)) = written {
            tracing::warn!(path = %path.display(), error = %e, "the status file cannot be written");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// The published status, refused when the process that published it is gone.
pub fn published(layout: &Layout) -> Result<NodeStatus, Problem> {
    let path = layout.status();
    let none = |cause: String| Problem::new("CLI-102", "no node runs here", cause, "Start it with `antihate up`.");
    if !guard::is_held(layout) {
        return Err(none(format!("nothing holds {}", layout.lock().display())));
    }
    let text = std::fs::read(&path).map_err(|e| none(format!("{}: {e}", path.display())))?;
    let status: NodeStatus = serde_json::from_slice(&text).map_err(|e| none(format!("{} is not a status: {e}", path.display())))?;
    if !alive(status.pid as i32) {
        return Err(none(format!("process {} published {} and is gone", status.pid, path.display())));
    }
    Ok(status)
}

/// A failed step as the log shows it.
pub fn log_failure(id: &str, problem: &Problem) {
    tracing::error!(step = id, code = %problem.code, cause = %problem.cause, next = %problem.next, "{}", problem.what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_the_step_at_work_and_a_failure_before_it() {
        let board = Board::new("leaf");
        board.step("prepare", StepState::Done, "");
        assert_eq!(board.subscribe().borrow().summary, "Verify and unpack Kubernetes.");
        board.step("unpack", StepState::Failed { problem: Problem::new("UNP-301", "no space", "", "") }, "");
        assert!(board.subscribe().borrow().summary.contains("UNP-301"));
    }

    #[test]
    fn a_lost_gpu_is_told_beside_the_health_of_the_node() {
        let board = Board::new("leaf");
        board.change(|s| (s.steps, s.healthy) = (Vec::new(), true));
        let gpu = |healthy| Component { name: "gpu".into(), place: "host".into(), healthy, detail: "degraded: CPU. GPU-105".into(), restarts: 0, since: Utc::now() };
        board.components(true, vec![gpu(false)]);
        assert!(board.subscribe().borrow().summary.contains("Degraded: CPU"));
        board.components(true, vec![gpu(true)]);
        assert!(!board.subscribe().borrow().summary.contains("Degraded"));
    }

    #[test]
    fn components_of_the_host_do_not_displace_those_of_the_cluster() {
        let board = Board::new("leaf");
        let at = |name: &str, place: &str| Component { name: name.into(), place: place.into(), healthy: true, detail: "".into(), restarts: 0, since: Utc::now() };
        board.components(false, vec![at("postgres", "antihate-storage")]);
        board.components(true, vec![at("kubelet", "host")]);
        let names: Vec<String> = board.subscribe().borrow().components.iter().map(|c| c.name.clone()).collect();
        assert_eq!(names, ["kubelet", "postgres"]);
    }

    #[test]
    fn a_change_that_changes_nothing_wakes_nobody() {
        let board = Board::new("leaf");
        let mut watch = board.subscribe();
        board.step("prepare", StepState::Done, "");
        watch.mark_unchanged();
        board.step("prepare", StepState::Done, "");
        assert!(!watch.has_changed().unwrap());
    }
}
