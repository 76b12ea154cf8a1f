//! The node's state in the language of the setup screens. What a part of the node reports itself stays in English and is marked so.

use crate::setup::mask::visible;
use crate::setup::tongue::Tongue;
use crate::status::check::{Check, Group, Verdict};
use crate::status::{NodeStatus, Problem, Step, StepState};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// A moment: for machines, in full, and in relation to now.
#[derive(Serialize)]
pub struct Moment {
    machine: String,
    full: String,
    relative: String,
}

/// Puts a moment into words of the language.
pub fn moment(at: DateTime<Utc>, now: DateTime<Utc>, tongue: Tongue) -> Moment {
    let seconds = (now - at).num_seconds();
    let (unit, number) = match seconds.unsigned_abs() {
        n @ 0..=119 => ("s", n),
        n @ 120..=7199 => ("min", n / 60),
        n @ 7200..=172_799 => ("h", n / 3600),
        n => ("d", n / 86_400),
    };
    let relative = match seconds {
        -4..=4 => tongue.word("time_now"),
        5.. => tongue.word(&format!("time_ago_{unit}")),
        _ => tongue.word(&format!("time_in_{unit}")),
    };
    Moment { machine: at.to_rfc3339(), full: at.format("%Y-%m-%d %H:%M UTC").to_string(), relative: relative.replace("{n}", &number.to_string()) }
}

/// One step of the list.
#[derive(Serialize)]
struct StepView {
    title: String,
    /// The title is in English, because no catalogue knows the step.
    foreign: bool,
    state: &'static str,
    word: String,
    percent: Option<u8>,
    detail: String,
    since: Moment,
    problem: Option<Problem>,
}

/// The list of steps.
#[derive(Serialize)]
pub struct Steps {
    done: usize,
    all: usize,
    list: Vec<StepView>,
}

/// The steps of bringing the node up.
pub fn steps(status: &NodeStatus, now: DateTime<Utc>, tongue: Tongue) -> Steps {
    let done = status.steps.iter().filter(|s| s.state == StepState::Done).count();
    Steps { done, all: status.steps.len(), list: status.steps.iter().map(|s| step(s, now, tongue)).collect() }
}

fn step(step: &Step, now: DateTime<Utc>, tongue: Tongue) -> StepView {
    let (state, percent, problem) = match &step.state {
        StepState::Waiting => ("waiting", None, None),
        StepState::Running { percent, .. } => ("running", *percent, None),
        StepState::Done => ("done", None, None),
        StepState::Failed { problem } => ("failed", None, Some(problem.clone())),
    };
    let key = format!("step_{}", step.id);
    let known = tongue.words().get(&key).cloned();
    let (foreign, title) = (known.is_none(), known.unwrap_or_else(|| visible(&step.title)));
    StepView { title, foreign, state, word: tongue.word(&format!("state_{state}")), percent, detail: visible(&step.detail), since: moment(step.since, now, tongue), problem }
}

/// One check.
#[derive(Serialize)]
struct CheckView {
    title: &'static str,
    word: &'static str,
    sign: &'static str,
    seen: String,
    problem: Option<Problem>,
}

/// One group of checks.
#[derive(Serialize)]
struct GroupView {
    title: String,
    checks: Vec<CheckView>,
}

/// All of them.
#[derive(Serialize)]
pub struct Checks {
    good: usize,
    warn: usize,
    bad: usize,
    groups: Vec<GroupView>,
}

/// The checks by group, with what is wrong first.
pub fn checks(all: &[Check], tongue: Tongue) -> Checks {
    let count = |wanted: fn(&Verdict) -> bool| all.iter().filter(|c| wanted(&c.verdict)).count();
    let group = |group: Group| {
        let own: Vec<CheckView> = all.iter().filter(|c| c.group == group).map(check).collect();
        (!own.is_empty()).then(|| GroupView { title: tongue.word(&format!("group_{}", group.name().replace('-', "_"))), checks: own })
    };
    Checks {
        good: count(|v| *v == Verdict::Ok),
        warn: count(Verdict::is_warning),
        bad: count(Verdict::is_failure),
        groups: Group::ALL.into_iter().filter_map(group).collect(),
    }
}

fn check(c: &Check) -> CheckView {
    let (sign, seen) = match &c.verdict {
        Verdict::Ok => ("good", c.seen.clone()),
        Verdict::NotApplicable { reason } => ("waiting", reason.clone()),
        Verdict::Warning { .. } => ("busy", c.seen.clone()),
        Verdict::Failure { .. } => ("bad", c.seen.clone()),
    };
    CheckView { title: c.title, word: c.verdict.word(), sign, seen: visible(&seen), problem: c.problem().cloned() }
}
