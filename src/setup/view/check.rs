//! The checks of the host as the page tells them: a group a card, what fails first.

use crate::status::Problem;
use crate::status::check::{Check, Group, Verdict, counts, sentence};
use serde::Serialize;

/// One check.
#[derive(Serialize)]
struct CheckView {
    id: &'static str,
    title: &'static str,
    /// The verdict in words, and the sign that repeats it.
    word: &'static str,
    sign: &'static str,
    seen: String,
    why: &'static str,
    problem: Option<Problem>,
}

/// One group.
#[derive(Serialize)]
struct GroupView {
    name: &'static str,
    title: &'static str,
    counts: String,
    sign: &'static str,
    checks: Vec<CheckView>,
}

/// All of them.
#[derive(Serialize)]
pub struct ChecksView {
    sentence: String,
    sign: &'static str,
    groups: Vec<GroupView>,
}

/// The view of these checks.
pub fn checks(all: &[Check]) -> ChecksView {
    let every: Vec<&Check> = all.iter().collect();
    ChecksView { sentence: sentence(all), sign: worst(&every), groups: Group::ALL.into_iter().filter_map(|g| group(g, &every)).collect() }
}

fn group(group: Group, all: &[&Check]) -> Option<GroupView> {
    let own: Vec<&Check> = all.iter().copied().filter(|c| c.group == group).collect();
    let checks = own.iter().map(|c| check(c)).collect();
    (!own.is_empty()).then(|| GroupView { name: group.name(), title: group.title(), counts: counts(&own), sign: worst(&own), checks })
}

fn check(c: &Check) -> CheckView {
    let seen = if let Verdict::NotApplicable { reason } = &c.verdict { reason.clone() } else { c.seen.clone() };
    CheckView { id: c.id, title: c.title, word: c.verdict.word(), sign: sign(&c.verdict), seen, why: c.why, problem: c.problem().cloned() }
}

fn sign(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "good",
        Verdict::NotApplicable { .. } => "waiting",
        Verdict::Warning { .. } => "busy",
        Verdict::Failure { .. } => "bad",
    }
}

fn worst(all: &[&Check]) -> &'static str {
    let any = |wanted: fn(&Verdict) -> bool| all.iter().any(|c| wanted(&c.verdict));
    if any(Verdict::is_failure) {
        "bad"
    } else if any(Verdict::is_warning) {
        "busy"
    } else {
        "good"
    }
}
