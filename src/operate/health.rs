//! How things stand, as the reconciler tells it: two steps, the workloads, and a post's way.

use crate::cluster::workloads::Workload;
use crate::manifests::Group;
use crate::status::{Component, Pipeline, Problem, Step, StepState};
use chrono::{DateTime, Duration, Utc};
use std::collections::BTreeSet;

/// A probe younger than this proves that posts go all the way. Probes are sent every 10 seconds.
const FRESH: Duration = Duration::seconds(30);

/// What the reconciler reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The step `apply`: done when everything is applied and every workload was ready once.
    pub apply: Step,
    /// The step `healthy`: done while probe posts come out of the database.
    pub probe: Step,
    /// The workloads of the cluster.
    pub components: Vec<Component>,
    /// The numbers of a post's way; the last known ones while the database is silent.
    pub pipeline: Pipeline,
    /// True while probe posts come out of the database.
    pub healthy: bool,
}

/// What the database said.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The numbers of a post's way.
    pub pipeline: Pipeline,
    /// When the last probe was stored.
    pub probe_stored_at: Option<DateTime<Utc>>,
}

impl Report {
    /// Before anything was done.
    pub fn new(now: DateTime<Utc>) -> Report {
        let step = |id: &str, title: &str| Step { id: id.into(), title: title.into(), state: StepState::Waiting, detail: String::new(), since: now };
        Report {
            apply: step("apply", "Apply the local-node stack"),
            probe: step("healthy", "See a probe post come out of the database"),
            components: Vec::new(),
            pipeline: Pipeline::default(),
            healthy: false,
        }
    }

    /// An apply is under way. One that only checks for drift is not worth a word.
    pub(super) fn applying(&mut self, attempt: u32, detail: String, now: DateTime<Utc>) {
        if !matches!(self.apply.state, StepState::Done) {
            set(&mut self.apply, StepState::Running { percent: None, attempt }, detail, now);
        }
    }

    /// Everything is applied; the workloads may still be on their way.
    pub(super) fn applied(&mut self, summary: String, now: DateTime<Utc>) {
        match self.apply.state {
            StepState::Done if summary.is_empty() => {}
            StepState::Done => set(&mut self.apply, StepState::Done, summary, now),
            _ => set(&mut self.apply, StepState::Running { percent: None, attempt: 1 }, "applied; waiting for the workloads".into(), now),
        }
    }

    /// An apply failed.
    pub(super) fn apply_failed(&mut self, problem: Problem, now: DateTime<Utc>) {
        set(&mut self.apply, StepState::Failed { problem }, String::new(), now);
    }

    /// The API server did not say how the workloads are.
    pub(super) fn blind(&mut self, why: String, now: DateTime<Utc>) {
        for component in self.components.iter_mut().filter(|c| c.healthy) {
            (component.healthy, component.since) = (false, now);
            component.detail = why.clone();
        }
        self.probe_lost(why, now);
    }

    /// The workloads, with since-when kept where nothing changed.
    pub(super) fn components(&mut self, mut found: Vec<Component>, all_ready: bool, now: DateTime<Utc>) {
        for new in &mut found {
            let old = self.components.iter().find(|o| o.name == new.name && o.healthy == new.healthy);
            new.since = old.map_or(now, |o| o.since);
        }
        if let (StepState::Running { .. }, false) = (&self.apply.state, found.is_empty()) {
            let (ready, total) = (found.iter().filter(|c| c.healthy).count(), found.len());
            if all_ready {
                set(&mut self.apply, StepState::Done, format!("{total} workloads ready"), now);
            } else {
                let missing: Vec<&str> = found.iter().filter(|c| !c.healthy).map(|c| c.name.as_str()).collect();
                let detail = format!("{ready} of {total} workloads ready; waiting for {}", missing.join(", "));
                let state = self.apply.state.clone();
                set(&mut self.apply, state, detail, now);
            }
        }
        self.components = found;
    }

    /// What the database said, or why it said nothing.
    pub(super) fn database(&mut self, seen: Result<Seen, String>, now: DateTime<Utc>) {
        match seen {
            Ok(seen) => {
                self.pipeline = seen.pipeline;
                match seen.probe_stored_at {
                    Some(at) if now - at < FRESH => {
                        self.healthy = true;
                        set(&mut self.probe, StepState::Done, String::new(), now);
                    }
                    Some(at) => self.probe_lost(format!("the last probe post was stored {} s ago", (now - at).num_seconds()), now),
                    None => self.probe_lost("no probe post was stored yet".into(), now),
                }
            }
            Err(why) => self.probe_lost(why, now),
        }
    }

    fn probe_lost(&mut self, why: String, now: DateTime<Utc>) {
        self.healthy = false;
        set(&mut self.probe, StepState::Running { percent: None, attempt: 1 }, why, now);
    }
}

/// Changes a step; since-when stays while the kind of state stays.
fn set(step: &mut Step, state: StepState, detail: String, now: DateTime<Utc>) {
    if std::mem::discriminant(&step.state) != std::mem::discriminant(&state) {
        step.since = now;
    }
    (step.state, step.detail) = (state, detail);
}

fn workloads(groups: &[Group]) -> impl Iterator<Item = (&str, &str)> {
    groups.iter().flat_map(|g| &g.objects).filter_map(|o| {
        let kind = o.get("kind")?.as_str()?;
        let namespace = o.pointer("/metadata/namespace")?.as_str()?;
        let name = o.pointer("/metadata/name")?.as_str()?;
        matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet").then_some((namespace, name))
    })
}

/// Namespaces in which something of ours runs.
pub(super) fn namespaces(groups: &[Group]) -> Vec<&str> {
    workloads(groups).map(|(namespace, _)| namespace).collect::<BTreeSet<_>>().into_iter().collect()
}

/// One component a workload that is wanted, in the order of applying, whether it exists or not.
pub(super) fn components(groups: &[Group], found: &[Workload], now: DateTime<Utc>) -> Vec<Component> {
    let one = |(namespace, name): (&str, &str)| {
        let workload = found.iter().find(|w| w.namespace == namespace && w.name == name);
        Component {
            name: format!("{namespace}/{name}"),
            place: namespace.into(),
            healthy: workload.is_some_and(Workload::is_healthy),
            detail: workload.map_or_else(|| "not applied yet".into(), |w| w.reason.clone()),
            restarts: workload.map_or(0, |w| w.restarts),
            since: now,
        }
    };
    workloads(groups).map(one).collect()
}
