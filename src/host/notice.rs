//! Notices, beside everything else, what does not come up or breaks while it runs, and asks for it to be made anew.

use super::heal::{self, Facts, Part};
use super::hosts::member;
use super::inputs;
use super::up::Node;
use crate::process::supervisor::State;
use crate::status::{NodeStatus, StepState};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(5);
/// How long what stands on the datastore may be unwell before the datastore is looked at.
const UNWELL: TimeDelta = TimeDelta::seconds(30);
/// At every so manieth look the datastore's rows are remembered: each five minutes.
const REMEMBER: u32 = 60;
/// The runtime's own failures to start a container, in the words of the API. Those that only say that something is awaited are not
/// among them: a slow machine takes its time.
const FAULTS: [&str; 7] = ["CreateContainerError", "RunContainerError", "StartError", "ImageInspectError", "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"];
/// How long that may last before a fresh start, and before the runtime's store is made anew.
const STUCK: (TimeDelta, TimeDelta) = (TimeDelta::seconds(60), TimeDelta::seconds(270));

impl Node {
    /// Returns once a part has to be made anew and the note for it lies there: the node is to end and to start again.
    pub(super) async fn notice(&self) -> Part {
        let mut finished = false;
        for look in 1_u32.. {
            tokio::time::sleep(EVERY).await;
            let states = self.states().await;
            self.notice_member(states.iter().find(|(name, _)| *name == "etcd").map_or(0, |(_, state)| state.failing())).await;
            let status = self.board.subscribe().borrow().clone();
            if status.healthy && !finished {
                finished = inputs::finish(&self.settings.layout).is_ok();
            }
            if look.is_multiple_of(REMEMBER) && status.healthy {
                let layout = self.settings.layout.clone();
                drop(tokio::task::spawn_blocking(move || heal::remember(&layout)).await);
            }
            let seen = facts(&status, &states, Utc::now());
            let (layout, suspected) = (self.settings.layout.clone(), suspected(&status));
            let asked = tokio::task::spawn_blocking(move || {
                let (part, why) = heal::decide(&heal::look(&layout, seen, suspected))?;
                tracing::warn!(?part, why, "a part of the node is damaged: the node ends, makes it anew and starts again");
                Some(heal::ask_for(&layout, part, &why).map(|()| part))
            });
            match asked.await {
                Ok(Some(Ok(part))) => return part,
                Ok(Some(Err(problem))) => tracing::error!(code = %problem.code, cause = %problem.cause, "{}", problem.what),
                _ => {}
            }
        }
        unreachable!("it looks as long as the node runs")
    }

    /// Returns while etcd's member on this host seems whole, or there is none. Pods do not need it: they go on.
    async fn notice_member(&self, ends: u32) {
        let Some(why) = member::notice(&self.settings, ends) else { return };
        tracing::warn!(why, "etcd's member on this host is damaged: the components end, it is made anew, and they start again");
        match member::ask_for(&self.settings.layout, &why) {
            Ok(()) => {
                self.hosts.regroup.cancel();
                std::future::pending::<()>().await;
            }
            Err(problem) => tracing::error!(code = %problem.code, cause = %problem.cause, "{}", problem.what),
        }
    }
}

/// What is seen of the components, without a look at the disk.
fn facts(status: &NodeStatus, states: &[(&'static str, State)], now: DateTime<Utc>) -> Facts {
    let all_run = !states.is_empty() && states.iter().all(|(_, state)| state.failing() == 0);
    Facts {
        ends: states.iter().map(|(name, state)| (*name, state.failing())).collect(),
        imports_failed: failures(status, "images"),
        unready: if all_run { failures(status, "kubernetes") } else { 0 },
        came_back: states.iter().any(|(name, state)| *name == "kine" && came_back(state)),
        stuck: stuck(status, now - STUCK.0),
        stuck_for_long: stuck(status, now - STUCK.1).is_some(),
        ..Facts::default()
    }
}

/// True when it was started again and has stayed for a moment: one that ends at once is another matter.
fn came_back(state: &State) -> bool {
    state.restarts > 0 && state.pid.is_some() && state.began.is_some_and(|at| at.elapsed() > EVERY)
}

/// The first workload of ours that is unwell since before `when` because of the runtime, in words.
fn stuck(status: &NodeStatus, when: DateTime<Utc>) -> Option<String> {
    let at_fault = |detail: &str| FAULTS.iter().any(|word| detail.starts_with(word));
    let first = status.components.iter().find(|c| c.place != "host" && !c.healthy && c.since < when && at_fault(&c.detail))?;
    Some(format!("{} does not start: {}", first.name, first.detail.split(':').next().unwrap_or_default()))
}

/// How often a step failed in a row.
fn failures(status: &NodeStatus, step: &str) -> u32 {
    status.steps.iter().find(|s| s.id == step).map_or(0, |s| if let StepState::Running { attempt, .. } = s.state { attempt.saturating_sub(1) } else { 0 })
}

/// Whether the datastore may be at fault: Kubernetes does not start, or what stands on it is unwell for some time.
fn suspected(status: &NodeStatus) -> bool {
    let unwell = |name: &str, since| ["kine", "kube-apiserver", "k3s"].contains(&name) && Utc::now() - since > UNWELL;
    failures(status, "kubernetes") > 0 || status.components.iter().any(|c| !c.healthy && unwell(&c.name, c.since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::board::Board;
    use crate::status::Component;

    #[test]
    fn the_datastore_is_suspected_when_kubernetes_does_not_start_or_its_api_is_long_unwell() {
        let board = Board::new("n");
        let now = || board.subscribe().borrow().clone();
        assert!(!suspected(&now()));
        board.step("kubernetes", StepState::Running { percent: None, attempt: 2 }, "");
        assert!(suspected(&now()));
        assert_eq!((failures(&now(), "kubernetes"), failures(&now(), "images")), (1, 0));
        board.step("kubernetes", StepState::Done, "");
        let part = |minutes| Component { name: "kine".into(), place: "host".into(), healthy: false, detail: String::new(), restarts: 0, since: Utc::now() - TimeDelta::minutes(minutes) };
        board.components(true, vec![part(0)]);
        assert!(!suspected(&now()), "a moment is no reason");
        let mut old = now();
        old.components = vec![part(2)];
        assert!(suspected(&old));
    }

    #[test]
    fn containers_that_do_not_start_by_the_runtimes_fault_are_told_from_those_that_crash_or_wait() {
        let mut status = Board::new("n").subscribe().borrow().clone();
        let part = |detail: &str, seconds| Component { name: "kafka".into(), place: "n".into(), healthy: false, detail: detail.into(), restarts: 0, since: Utc::now() - TimeDelta::seconds(seconds) };
        for (detail, seconds, is) in [
            ("ErrImagePull: not found", 30, (false, false)),
            ("ErrImagePull: not found", 70, (true, false)),
            ("CreateContainerError: no such snapshot", 280, (true, true)),
            ("ContainerCreating", 900, (false, false)),
            ("CrashLoopBackOff: back-off", 900, (false, false)),
            ("Insufficient memory", 900, (false, false)),
        ] {
            status.components = vec![part(detail, seconds)];
            let seen = facts(&status, &[], Utc::now());
            assert_eq!((seen.stuck.is_some(), seen.stuck_for_long), is, "{detail} for {seconds} s");
        }
    }

    #[test]
    fn a_node_that_is_not_ready_is_no_fault_of_the_runtime_while_a_component_ends() {
        let board = Board::new("n");
        board.step("kubernetes", StepState::Running { percent: None, attempt: 3 }, "");
        let status = board.subscribe().borrow().clone();
        let ending = State { failures: 1, ..State::default() };
        let unready = |states: &[(&'static str, State)]| facts(&status, states, Utc::now()).unready;
        let back = |restarts, seconds| came_back(&State { restarts, pid: Some(7), began: std::time::Instant::now().checked_sub(Duration::from_secs(seconds)), ..State::default() });
        assert_eq!((back(0, 60), back(1, 1), back(1, 60)), (false, false, true));
        assert_eq!((unready(&[("kubelet", State::default())]), unready(&[("kubelet", ending)]), unready(&[])), (2, 0, 0));
    }
}
