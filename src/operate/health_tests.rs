//! What the report says as the stack comes up, breaks and comes back.

use super::health::*;
use crate::cluster::workloads::Workload;
use crate::config::{HostFacts, Resolved, Valid};
use crate::manifests::{Credentials, Group, render};
use crate::status::{Pipeline, Problem, StepState};
use chrono::{DateTime, Duration, Utc};

fn groups() -> Vec<Group> {
    render(&Resolved::new(Valid::default(), HostFacts::example()), &Credentials::masked())
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn workload(namespace: &str, name: &str, ready: i32) -> Workload {
    let reason = if ready > 0 { String::new() } else { "ErrImagePull".into() };
    Workload { namespace: namespace.into(), name: name.into(), wanted: 1, ready, restarts: 0, reason }
}

/// Every wanted workload, all ready but the named one.
fn all_but(down: &str) -> Vec<Workload> {
    components(&groups(), &[], at(0)).iter().map(|c| c.name.split_once('/').unwrap()).map(|(ns, n)| workload(ns, n, i32::from(n != down))).collect()
}

fn seen(probe: Option<DateTime<Utc>>) -> Result<Seen, String> {
    Ok(Seen { pipeline: Pipeline { stored: 7, ..Pipeline::default() }, probe_stored_at: probe })
}

#[test]
fn a_workload_that_does_not_exist_is_a_component_that_is_not_healthy() {
    let found = components(&groups(), &[], at(0));
    assert!(found.iter().any(|c| c.name == "antihate-storage/postgres"));
    assert!(found.iter().all(|c| !c.healthy && c.detail == "not applied yet"));
}

#[test]
fn apply_is_done_only_when_every_workload_is_ready() {
    let mut report = Report::new(at(0));
    report.applied("60 objects were set".into(), at(1));
    report.components(components(&groups(), &all_but("kafka"), at(2)), false, at(2));
    assert!(matches!(report.apply.state, StepState::Running { .. }));
    assert!(report.apply.detail.ends_with("waiting for antihate-system/kafka"), "{}", report.apply.detail);
    report.components(components(&groups(), &all_but("none"), at(3)), true, at(3));
    assert_eq!((&report.apply.state, report.apply.since), (&StepState::Done, at(3)));
}

#[test]
fn since_when_stays_while_nothing_changes_and_moves_when_it_does() {
    let mut report = Report::new(at(0));
    for (time, down) in [(1, "kafka"), (2, "kafka"), (3, "none")] {
        report.components(components(&groups(), &all_but(down), at(time)), false, at(time));
    }
    let since = |name: &str| report.components.iter().find(|c| c.name == name).unwrap().since;
    assert_eq!(since("antihate-storage/postgres"), at(1));
    assert_eq!(since("antihate-system/kafka"), at(3));
}

#[test]
fn healthy_means_that_a_fresh_probe_came_out_of_the_database() {
    let mut report = Report::new(at(0));
    report.database(seen(None), at(1));
    assert!(!report.healthy);
    report.database(seen(Some(at(2))), at(3));
    assert!(report.healthy && report.probe.state == StepState::Done);
    report.database(seen(Some(at(2))), at(2) + Duration::seconds(31));
    assert!(!report.healthy);
    assert!(report.probe.detail.contains("31 s"), "{}", report.probe.detail);
}

#[test]
fn a_silent_database_keeps_the_last_numbers_and_is_not_healthy() {
    let mut report = Report::new(at(0));
    report.database(seen(Some(at(1))), at(1));
    report.database(Err("the database does not answer".into()), at(2));
    assert_eq!((report.pipeline.stored, report.healthy), (7, false));
    assert_eq!(report.probe.detail, "the database does not answer");
}

#[test]
fn a_failed_apply_is_told_and_forgotten_when_it_succeeds() {
    let mut report = Report::new(at(0));
    report.apply_failed(Problem::new("KUB-214", "w", "c", "n"), at(1));
    report.applying(2, "Database".into(), at(2));
    assert_eq!(report.apply.state, StepState::Running { percent: None, attempt: 2 });
    report.applied(String::new(), at(3));
    report.components(components(&groups(), &all_but("none"), at(4)), true, at(4));
    assert_eq!(report.apply.state, StepState::Done);
}

#[test]
fn healing_drift_is_told_without_undoing_the_step() {
    let mut report = Report::new(at(0));
    report.applied(String::new(), at(1));
    report.components(components(&groups(), &all_but("none"), at(2)), true, at(2));
    report.applying(1, "Database".into(), at(30));
    report.applied("ConfigMap a/x was set right".into(), at(31));
    assert_eq!((&report.apply.state, report.apply.detail.as_str()), (&StepState::Done, "ConfigMap a/x was set right"));
}
