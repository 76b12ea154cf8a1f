//! Every refusal has its own code, and a file that is accepted is copied, remembered and held to.

use super::binary::*;
use super::{K3s, Record, record, recorded};
use crate::config::layout::Layout;
use crate::status::Problem;
use std::path::Path;

fn code(result: Result<impl Sized, Problem>) -> String {
    let problem = result.map(drop).expect_err("refused");
    assert!(!problem.cause.is_empty() && problem.next.ends_with('.'), "{problem:?}");
    problem.code
}

fn elf(class: u8, machine: u8) -> Vec<u8> {
    let mut head = vec![0u8; 64];
    head[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1]);
    head[18] = machine;
    head
}

fn looked(head: Vec<u8>, mode: u32) -> Looked {
    Looked { head, mode, sha256: String::new() }
}

#[test]
fn what_is_not_a_program_for_this_processor_is_refused() {
    assert!(judge_kind(&looked(elf(2, 62), 0o755)).is_ok());
    assert_eq!(code(judge_kind(&looked(b"#!/bin/sh\nexec k3s \"$@\"\n".to_vec(), 0o755))), "K3S-102");
    assert_eq!(code(judge_kind(&looked(Vec::new(), 0o755))), "K3S-102");
    assert_eq!(code(judge_kind(&looked(elf(2, 183), 0o755))), "K3S-103", "arm64");
    assert_eq!(code(judge_kind(&looked(elf(1, 40), 0o755))), "K3S-103", "32 bits");
    assert_eq!(code(judge_kind(&looked(elf(2, 62), 0o644))), "K3S-104");
}

#[test]
fn the_operators_sum_holds_before_the_builders_and_that_before_the_remembered_one() {
    assert_eq!(pin(Some("a"), Some("b"), Some("c")), Some((Pin::Given, "a")));
    assert_eq!(pin(None, Some("b"), Some("c")), Some((Pin::BuiltIn, "b")));
    assert_eq!(pin(None, None, Some("c")), Some((Pin::Remembered, "c")));
    assert_eq!(pin(None, None, None), None);
    assert!(judge_sum("ab", None).is_ok() && judge_sum("ab", Some((Pin::Given, "AB"))).is_ok());
    for from in [Pin::Given, Pin::BuiltIn, Pin::Remembered] {
        assert_eq!(code(judge_sum("ab", Some((from, "cd")))), "K3S-105");
    }
}

#[test]
fn a_version_beside_the_stacks_own_is_taken_and_one_further_away_is_not() {
    let said = |v: &str| format!("k3s version {v} (0123abcd)\ngo version go1.26.7\n");
    for good in ["v1.36.3+k3s1", "v1.37.0-rc.1+k3s1", "v1.37.2+k3s1", "v1.38.0+k3s2"] {
        assert_eq!(judge_version(&said(good)).unwrap(), good);
    }
    for far in ["v1.35.9+k3s1", "v1.39.0+k3s1", "v2.37.0+k3s1"] {
        assert_eq!(code(judge_version(&said(far))), "K3S-107");
    }
    for strange in ["", "k3s version dev (HEAD)", "containerd github.com/containerd/containerd/v2 v2.4.2", "k3s version v1 (x)"] {
        assert_eq!(code(judge_version(strange)), "K3S-106", "{strange:?}");
    }
}

#[test]
fn the_versions_that_fit_are_those_beside_the_embedded_one() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/appliance/kubernetes/payload.toml")).unwrap();
    let list: toml::Table = text.parse().unwrap();
    let entry = list["entry"].as_array().unwrap().iter().find(|e| e["name"].as_str() == Some("kubernetes")).unwrap();
    assert!(entry["version"].as_str().unwrap().starts_with(&format!("v{}.{}.", STACK.0, STACK.1)));
}

/// A real program that is not k3s: `/bin/sh` says nothing of a version of k3s.
#[test]
fn a_program_that_is_not_k3s_is_refused_after_it_was_asked_and_leaves_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(&dir.path().join("data"));
    let wish = Wish { file: Some("/bin/sh".into()), sha256: None };
    assert_eq!(code(choose(&wish, &layout)), "K3S-106");
    assert!(recorded(&layout).is_none());
    assert_eq!(code(check(&wish, &layout).unwrap()), "K3S-106");
}

#[test]
fn a_file_that_is_not_there_or_has_another_sum_is_never_run() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(&dir.path().join("data"));
    let wish = |file: &str, sha256: Option<&str>| Wish { file: Some(file.into()), sha256: sha256.map(String::from) };
    assert_eq!(code(choose(&wish("/nonexistent/k3s", None), &layout)), "K3S-101");
    assert_eq!(code(choose(&wish("/", None), &layout)), "K3S-101");
    assert_eq!(code(choose(&wish("/bin/sh", Some(&"0".repeat(64))), &layout)), "K3S-105");
    assert_eq!(choose(&Wish::default(), &layout).unwrap(), None, "nothing is wished for");
}

#[test]
fn a_node_of_the_embedded_distribution_is_not_turned_into_one_of_k3s() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    std::fs::create_dir_all(layout.kubernetes().join("kine")).unwrap();
    std::fs::write(layout.kubernetes().join("kine/state.db"), "x").unwrap();
    assert_eq!(code(choose(&Wish { file: Some("/bin/sh".into()), sha256: None }, &layout)), "K3S-108");
}

#[test]
fn what_was_accepted_runs_again_without_being_named_and_is_refused_once_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    let sum = look(Path::new("/bin/sh"), None).unwrap().sha256;
    let k3s = K3s { sha256: sum, version: "v1.37.2+k3s1".into() };
    std::fs::create_dir_all(k3s.program(&layout).parent().unwrap()).unwrap();
    std::fs::copy("/bin/sh", k3s.program(&layout)).unwrap();
    let remember = |k3s: &K3s| record(&layout, &Record { k3s: k3s.clone(), foreign_password: false }).unwrap();
    remember(&k3s);
    assert_eq!(choose(&Wish::default(), &layout).unwrap(), Some(k3s.clone()));
    let other = Wish { file: Some("/bin/cat".into()), sha256: None };
    assert_eq!(code(choose(&other, &layout)), "K3S-105", "another file without a word of the operator");
    remember(&K3s { version: "v1.30.0+k3s1".into(), ..k3s.clone() });
    assert_eq!(code(choose(&Wish::default(), &layout)), "K3S-107");
    remember(&k3s);
    std::fs::write(k3s.program(&layout), "changed").unwrap();
    assert_eq!(code(choose(&Wish::default(), &layout)), "K3S-105");
}
