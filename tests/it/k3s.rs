//! Nodes whose Kubernetes is a supplied binary. What runs by itself is a STAND-IN made of the embedded components, which honours the
//! contract of `appliance/k3s/CONTRACT.md`; it shows that the host process keeps its half, and nothing of k3s. A real binary is run
//! by the last test, where `ANTIHATE_K3S_FILE` names one.

use crate::cluster::keeps_its_promises;
use crate::node::{kill_host_process, lost_nothing, nothing_is_left, posts, stop};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, said, until};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(300);

/// Compiles the stand-in: the product accepts programs only, no scripts.
fn stand_in(folder: &Path) -> PathBuf {
    let (source, out) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/k3s_stand_in.rs"), folder.join("k3s"));
    let done = Command::new("rustc").args(["--edition", "2024", "-O", "-o"]).arg(&out).arg(source).output().expect("rustc");
    assert!(done.status.success(), "{}", said(&done));
    out
}

fn up(host: &TestHost, more: &[&str]) -> Child {
    host.start_bare(&[&["up", "--sample", "--node-ip", &host.address, "--name", "leaf-1"], more].concat(), "up.log")
}

/// The whole status of a healthy node. A binary that does not fit is known long before this has passed.
fn healthy(host: &TestHost) -> serde_json::Value {
    let out = host.antihate(&["status", "--wait", "--timeout", "240", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&out)));
    assert_eq!(status["healthy"], true, "{status:#}\n{}", said(&host.antihate(&["logs", "k3s", "-n", "80"])));
    status
}

fn step(status: &serde_json::Value, id: &str) -> String {
    let steps = status["steps"].as_array().expect("steps");
    steps.iter().find(|s| s["id"] == id).and_then(|s| s["detail"].as_str()).expect("the step").to_owned()
}

/// From an empty disk to healthy, over a kill and a refusal, to nothing left.
fn lives(file: &Path) {
    let switch = Switch::new();
    let host = switch.host();
    let file = file.display().to_string();
    let checked = host.antihate(&["check", "--k3s", &file, "--json"]);
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&checked.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&checked)));
    assert!(checks.iter().any(|c| c["title"] == "k3s binary" && c["verdict"] == "ok"), "{checks:#?}");

    let mut node = up(&host, &["--k3s", &file]);
    let status = healthy(&host);
    assert!(step(&status, "kubernetes").contains("k3s v1."), "{status:#}");
    let well: Vec<&str> = status["components"].as_array().expect("components").iter().filter(|c| c["place"] == "host" && c["healthy"] == true).filter_map(|c| c["name"].as_str()).collect();
    assert!(["k3s", "containerd", "kubelet", "kube-proxy", "network-policy"].iter().all(|name| well.contains(name)), "{well:?}");
    keeps_its_promises(&host);
    only_what_the_embedded_distribution_has_is_refused(&host);
    let before = posts(&host);
    assert!(before > 0);

    kill_host_process(&mut node);
    // Not named again: the node knows what it was made with.
    node = up(&host, &[]);
    let status = healthy(&host);
    assert!(step(&status, "kubernetes").contains("k3s v1.") && step(&status, "images") == "were imported already", "{status:#}");
    assert!(posts(&host) >= before, "posts outlive the kill");
    lost_nothing(&host);
    stop(&host, &mut node);
    another_file_is_refused(&host, &file);
    nothing_stays(&host);
}

/// As for any node, and nothing where k3s has its things beside.
fn nothing_stays(host: &TestHost) {
    nothing_is_left(host);
    let own = host.command("find").args(["/etc/rancher"]).output().expect("find");
    assert!(own.stdout.is_empty(), "{}", said(&own));
}

fn only_what_the_embedded_distribution_has_is_refused(host: &TestHost) {
    for args in [&["rotate-secrets", "--json"][..], &["rotate-authority", "--json"], &["kubeconfig", "--role", "viewer", "--name", "jo", "--json"]] {
        let out = host.antihate(args);
        assert!(!out.status.success() && said(&out).contains("K3S-110"), "{args:?}: {}", said(&out));
    }
}

/// The same program with one byte more is another one.
fn another_file_is_refused(host: &TestHost, file: &str) {
    let other = host.folder().join("other-k3s");
    std::fs::copy(file, &other).expect("copied");
    std::io::Write::write_all(&mut std::fs::File::options().append(true).open(&other).expect("open"), b"!").expect("written");
    let out = host.antihate(&["up", "--node-ip", &host.address, "--k3s", &other.display().to_string(), "--json"]);
    assert!(!out.status.success() && said(&out).contains("K3S-105"), "{}", said(&out));
}

#[test]
#[ignore = "takes four minutes. `cargo test --release --test it -- --ignored k3s::a_stand_in`"]
fn a_stand_in_for_k3s_carries_a_node_from_an_empty_disk_over_a_kill_to_nothing_left() {
    if !needs_the_file() {
        return;
    }
    let folder = tempfile::tempdir().expect("temp");
    lives(&stand_in(folder.path()));
}

#[test]
fn a_k3s_that_stays_silent_fails_its_step_with_its_own_words_and_is_tried_again() {
    if !needs_the_file() {
        return;
    }
    let folder = tempfile::tempdir().expect("temp");
    let (switch, file) = (Switch::new(), stand_in(folder.path()));
    let host = switch.host();
    // The stand-in refuses to serve where it finds this file; k3s itself ends in the same way on a setting that it does not take.
    let refuse = host.command("touch").arg("/run/k3s-refuse").output().expect("touch");
    assert!(refuse.status.success());
    let mut node = up(&host, &["--k3s", &file.display().to_string()]);
    let ended = until("the end of k3s is told", PATIENCE, || {
        let out = host.antihate(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&out.stdout).ok()?;
        let step = status["steps"].as_array()?.iter().find(|s| s["id"] == "kubernetes")?.to_string();
        step.contains("KUB-202").then_some(step)
    });
    assert!(ended.contains("ended with code 1"), "{ended}");
    let log = host.antihate(&["logs", "k3s"]);
    assert!(said(&log).contains("refuses"), "{}", said(&log));
    assert!(host.command("rm").arg("/run/k3s-refuse").status().expect("rm").success());
    healthy(&host);
    stop(&host, &mut node);
}

#[test]
#[ignore = "needs a k3s binary in ANTIHATE_K3S_FILE. `cargo test --release --test it -- --ignored k3s::a_real`"]
fn a_real_k3s_carries_a_node_from_an_empty_disk_over_a_kill_to_nothing_left() {
    let file = std::env::var_os("ANTIHATE_K3S_FILE").map(PathBuf::from).expect("ANTIHATE_K3S_FILE names a k3s binary");
    if needs_the_file() {
        lives(&file);
    }
}
