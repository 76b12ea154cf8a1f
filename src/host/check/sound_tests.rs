//! What holds for all checks together.

use super::sound::Host;
use super::{Check, Group, Question, Verdict, ask, run};
use crate::config::layout::Layout;
use crate::device::Found;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn a_sound_host_passes_every_check_and_none_is_skipped() {
    let bad: Vec<Check> = Host::sound().checks().into_iter().filter(|c| c.verdict != Verdict::Ok).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn there_are_more_than_eighty_checks_each_with_a_name_of_its_own_and_all_its_words() {
    let checks = Host::sound().checks();
    let ids: BTreeSet<&str> = checks.iter().map(|c| c.id).collect();
    assert_eq!(ids.len(), checks.len(), "a name is used twice");
    assert!(checks.len() >= 80, "{}", checks.len());
    for c in &checks {
        assert!(c.id.starts_with(&format!("{}.", c.group.name())), "{} is not of its group", c.id);
        assert!(c.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'), "{}", c.id);
        assert!(!c.title.is_empty() && !c.why.is_empty() && !c.why.ends_with('.') && !c.seen.is_empty(), "{c:?}");
    }
    let groups: Vec<Group> = Group::ALL.into_iter().filter(|g| checks.iter().any(|c| c.group == *g)).collect();
    assert_eq!(groups, Group::ALL);
    assert!(Group::ALL.iter().all(|g| Group::parse(g.name()) == Some(*g)));
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&format!("{} named checks", checks.len())), "the README tells another number than {}", checks.len());
}

#[test]
fn the_names_are_those_that_are_written_down() {
    let told: String = Host::sound().checks().iter().map(|c| format!("{}\n  {}: {}\n", c.id, c.title, c.why)).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checks.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &told).expect("written");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), told, "UPDATE_GOLDEN=1 rewrites {}", path.display());
}

#[test]
fn as_json_a_check_has_its_verdict_beside_its_problem() {
    let mut host = Host::sound();
    (host.asked.root, host.asked.gpu, host.asked.gpu_tried) = (false, Found::default(), None);
    let told = serde_json::to_value(host.checks()).expect("JSON");
    let of = |id: &str| told.as_array().expect("a list").iter().find(|c| c["id"] == id).expect("the check").clone();
    let root = of("system.root");
    assert_eq!((&root["verdict"], &root["problem"]["code"], &root["group"]), (&"failure".into(), &"CHK-101".into(), &"system".into()));
    assert_eq!(of("memory.swap")["verdict"], "ok");
    let gpu = of("gpu.driver");
    assert_eq!((&gpu["verdict"], &gpu["reason"]), (&"not-applicable".into(), &"there is no GPU here".into()));
}

#[test]
fn this_very_machine_is_read_without_a_mishap() {
    let layout = Layout::new(Path::new("/tmp/antihate-no-such-node"));
    let question = Question { layout: &layout, need: 0, address: false, page: 8443, driver_root: Path::new("/"), running: false, quick: true };
    let (began, checks) = (Instant::now(), run(Path::new("/"), &ask(&question)));
    assert_eq!(checks.len(), Host::sound().checks().len());
    assert!(began.elapsed() < Duration::from_secs(5), "a start would wait");
}
