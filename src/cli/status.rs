//! `antihate status`: where the node stands, as its host process last published it.

use super::{Context, DataArg};
use crate::config::layout::Layout;
use crate::host::board::published;
use crate::host::guard;
use crate::status::{NodeStatus, Problem, Step, StepState};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long `--wait` waits for a host process to begin, or to begin again, before it says that none runs.
const ABSENT: Duration = Duration::from_secs(15);

/// Shows where the node stands. Exit code 0: healthy; 1: not healthy, or no node runs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate status\n  antihate status --wait --timeout 300\n  antihate status --json")]
pub struct Status {
    #[command(flatten)]
    data: DataArg,
    /// Wait until the node is healthy; ends with CLI-102 when no node has run for 15 seconds.
    #[arg(long)]
    wait: bool,
    /// Longest wait in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

impl Status {
    /// Reads, waits if asked, prints.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        let status = if self.wait { wait(&layout, Duration::from_secs(self.timeout), ABSENT) } else { published(&layout) }?;
        let text = if context.json { serde_json::to_string_pretty(&status)? + "\n" } else { render(&status) };
        std::io::stdout().lock().write_all(text.as_bytes())?;
        Ok(if status.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Reads until the node is healthy, `limit` has passed, or no host process has run for as long as `absent`.
fn wait(layout: &Layout, limit: Duration, absent: Duration) -> Result<NodeStatus, Problem> {
    let deadline = Instant::now() + limit;
    let mut seen = Instant::now();
    loop {
        let found = published(layout);
        if found.is_ok() || guard::is_held(layout) {
            seen = Instant::now();
        }
        if found.as_ref().is_ok_and(|s| s.healthy) || Instant::now() >= deadline || seen.elapsed() >= absent {
            return found;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn render(status: &NodeStatus) -> String {
    let mut out = String::new();
    let health = if status.healthy { "healthy" } else { "not healthy yet" };
    let _ = writeln!(out, "{} (antihate {}): {health}. {}", status.node, status.version, status.summary);
    if let Some(page) = &status.page {
        let _ = writeln!(out, "The page: {}", page.addresses.join("  "));
    }
    for step in &status.steps {
        let _ = writeln!(out, "  {:<8} {}{}", word(step), step.title, remark(&step.detail));
        if let StepState::Failed { problem } = &step.state {
            let _ = writeln!(out, "{}", problem.render());
        }
    }
    let p = &status.pipeline;
    let _ = writeln!(out, "Posts: {} stored, {} in the last minute, backlog {}, set aside {}, lost {}.", p.stored, p.per_minute, p.backlog, p.quarantined, p.lost);
    let _ = writeln!(out, "Upstream: {}.", status.upstream.sentence());
    for component in status.components.iter().filter(|c| !c.healthy) {
        let _ = writeln!(out, "  not well: {} ({}){}", component.name, component.place, remark(&component.detail));
    }
    let well = status.components.iter().filter(|c| c.healthy).count();
    let _ = writeln!(out, "Components: {well} of {} well. As of {}.", status.components.len(), status.at.format("%F %T UTC"));
    out
}

fn word(step: &Step) -> &'static str {
    match step.state {
        StepState::Waiting => "waiting",
        StepState::Running { .. } => "running",
        StepState::Done => "done",
        StepState::Failed { .. } => "failed",
    }
}

fn remark(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Upstream;

    #[test]
    fn without_a_host_process_the_last_status_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        crate::files::replace(&layout.status(), b"{}", 0o600).unwrap();
        assert_eq!(published(&layout).unwrap_err().code, "CLI-102");
    }

    #[test]
    fn the_report_of_a_dead_process_is_not_shown_to_its_successor() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let mut status = crate::host::board::Board::new("leaf-1").subscribe().borrow().clone();
        let publish = |status: &NodeStatus| crate::files::replace(&layout.status(), &serde_json::to_vec(status).unwrap(), 0o600).unwrap();
        let held = std::fs::File::create(layout.lock()).unwrap();
        fs2::FileExt::lock_exclusive(&held).unwrap();
        publish(&status);
        assert!(published(&layout).is_ok());
        status.pid = i32::MAX as u32;
        publish(&status);
        let refused = published(&layout).unwrap_err();
        assert!(refused.code == "CLI-102" && refused.cause.contains("is gone"), "{refused:?}");
    }

    #[test]
    fn waiting_ends_when_no_host_process_runs() {
        let dir = tempfile::tempdir().unwrap();
        let waited = wait(&Layout::new(dir.path()), Duration::from_secs(3600), Duration::from_millis(1));
        assert_eq!(waited.unwrap_err().code, "CLI-102");
    }

    #[test]
    fn a_failed_step_shows_code_cause_and_next_step() {
        let problem = Problem::new("CHK-104", "port 6443 is taken", "process 7 listens on it", "end it");
        let now = chrono::Utc::now();
        let step = Step { id: "prepare".into(), title: "Prepare this host".into(), state: StepState::Failed { problem }, detail: String::new(), since: now };
        let status = NodeStatus {
            version: "0".into(), pid: 0, node: "leaf-1".into(), healthy: false, summary: String::new(), steps: vec![step],
            components: vec![], pipeline: Default::default(), upstream: Upstream::Unclaimed, page: None, at: now,
        };
        let text = render(&status);
        assert!(["CHK-104", "process 7", "end it", "lost 0"].iter().all(|part| text.contains(part)), "{text}");
    }
}
