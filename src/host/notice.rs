//! Notices, beside everything else, what does not come up or breaks while it runs, and asks for it to be made anew.

use super::heal::{self, Facts};
use super::hosts::member;
use super::up::Node;
use crate::status::{NodeStatus, StepState};
use chrono::{TimeDelta, Utc};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(5);
/// How long what stands on the datastore may be unwell before the datastore is looked at.
const UNWELL: TimeDelta = TimeDelta::seconds(30);

impl Node {
    /// Returns once a part has to be made anew and the note for it lies there: the node is to end and to start again.
    pub(super) async fn notice(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let ends: Vec<_> = self.states().await.into_iter().map(|(name, state)| (name, state.failing())).collect();
            self.notice_member(&ends).await;
            let status = self.board.subscribe().borrow().clone();
            let seen = Facts { ends, imports_failed: failures(&status, "images"), ..Facts::default() };
            let (layout, suspected) = (self.settings.layout.clone(), suspected(&status));
            let asked = tokio::task::spawn_blocking(move || {
                let (part, why) = heal::decide(&heal::look(&layout, seen, suspected))?;
                Some(heal::ask_for(&layout, part, &why).inspect(|()| tracing::warn!(?part, why, "a part of the node is damaged: the node ends, makes it anew and starts again")))
            });
            match asked.await {
                Ok(Some(Ok(()))) => return,
                Ok(Some(Err(problem))) => tracing::error!(code = %problem.code, cause = %problem.cause, "{}", problem.what),
                _ => {}
            }
        }
    }

    /// Returns while etcd's member on this host seems whole, or there is none. Pods do not need it: they go on.
    async fn notice_member(&self, ends: &[(&'static str, u32)]) {
        let ends = ends.iter().find(|(name, _)| *name == "etcd").map_or(0, |(_, ends)| *ends);
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
}
