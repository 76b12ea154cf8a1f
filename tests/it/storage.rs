//! Volumes on a disk of their own: a small file system in a file, as a loop device of one test host.

use crate::node::rows;
use crate::support::pods::kubectl;
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, said, until};
use serde_json::Value;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(300);
/// Size of the disk.
const DISK: u64 = 4 << 30;
/// What is put into a volume that is given back, bytes.
const BALLAST: u64 = 300 << 20;

fn run(host: &TestHost, command: &[&str]) -> String {
    let out = host.command(command[0]).args(&command[1..]).output().expect("it starts");
    assert!(out.status.success(), "{command:?}: {}", said(&out));
    said(&out)
}

fn mount(host: &TestHost) {
    let at = |name: &str| host.folder().join(name).display().to_string();
    run(host, &["mount", "-o", "loop", &at("disk.img"), &at("disk")]);
}

fn up(host: &TestHost) -> Child {
    host.start_bare(&["up", "--node-ip", &host.address, "--name", "leaf-1"], "up.log")
}

fn status(host: &TestHost) -> Value {
    serde_json::from_slice(&host.antihate(&["status", "--json"]).stdout).unwrap_or_default()
}

fn detail(host: &TestHost) -> Option<String> {
    status(host)["components"].as_array()?.iter().find(|c| c["name"] == "storage")?["detail"].as_str().map(str::to_owned)
}

/// Free bytes on the disk, as its own host sees it.
fn free(host: &TestHost) -> u64 {
    let said = run(host, &["stat", "-f", "-c", "%f %S", &host.folder().join("disk").display().to_string()]);
    said.split_whitespace().map(|n| n.parse::<u64>().expect("a number")).product()
}

/// Deletes a claim together with the pod that uses it; both come again by themselves.
fn delete_claim(host: &TestHost, namespace: &str, claim: &str, app: &str) {
    let delete = |args: &[&str]| assert!(kubectl(host, &[&["delete", "-n", namespace, "--wait=false"], args].concat()).is_some());
    delete(&["pvc", claim]);
    delete(&["pod", "-l", &format!("app={app}")]);
}

fn judged(host: &TestHost, title: &str) -> Value {
    let checks: Value = serde_json::from_slice(&host.antihate(&["check", "--json"]).stdout).expect("JSON");
    checks.as_array().expect("a list").iter().find(|c| c["title"] == title).cloned().expect("the check")
}

#[test]
#[ignore = "takes four minutes. `cargo test --release --test it -- --ignored storage::`"]
fn volumes_lie_on_the_chosen_disk_come_back_when_released_and_posts_stay() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let disk = host.folder().join("disk");
    std::fs::create_dir_all(&disk).expect("a folder");
    std::fs::create_dir_all(host.data()).expect("a folder");
    let image = std::fs::File::create(host.folder().join("disk.img")).expect("a file");
    image.set_len(DISK).expect("sparse");
    run(&host, &["mkfs.ext4", "-q", &host.folder().join("disk.img").display().to_string()]);
    mount(&host);
    std::fs::write(host.data().join("settings.toml"), format!("[storage]\nfolder = {:?}\n", disk.display().to_string())).expect("settings");
    let volumes = judged(&host, "Disk of the volumes");
    assert_eq!((&volumes["verdict"], &volumes["problem"]["code"]), (&Value::from("warning"), &Value::from("CHK-118")), "a small disk cannot hold what is promised");
    let rest = judged(&host, "Encryption at rest");
    assert!(rest["problem"]["cause"].as_str().is_some_and(|c| c.contains("loop")), "it is judged by the disk of the volumes: {rest}");

    let mut node = up(&host);
    host.healthy();
    assert_eq!(std::fs::read_link(host.data().join("volumes")).expect("a link"), disk.join("antihate-volumes"));
    let used = run(&host, &["du", "-sm", &disk.join("antihate-volumes/postgres").display().to_string()]);
    assert!(used.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).is_some_and(|mb| mb > 20), "the database lies on the disk: {used}");
    let measured = |told: &String| told.contains("MiB of 4.0 GiB, kafka") && told.contains("free of 3.") && told.contains("loop");
    let told = until("status tells how full the volumes are", PATIENCE, || detail(&host).filter(measured));
    released_metrics_are_emptied(&host, &disk);
    released_posts_are_kept(&host);
    a_disk_that_is_away_is_waited_for(&host, &mut node);

    let reset = host.antihate(&["reset", "--yes"]);
    assert!(reset.status.success(), "{}", said(&reset));
    drop(node.wait());
    let left = run(&host, &["ls", "-A", &disk.display().to_string()]);
    assert_eq!(left.trim(), "lost+found", "a reset takes the volumes off the disk");
    println!("status said: {told}");
    run(&host, &["umount", &disk.display().to_string()]);
}

fn released_metrics_are_emptied(host: &TestHost, disk: &Path) {
    let ballast = disk.join("antihate-volumes/prometheus/ballast");
    run(host, &["dd", "if=/dev/urandom", &format!("of={}", ballast.display()), "bs=1M", &format!("count={}", BALLAST >> 20), "conv=fsync", "status=none"]);
    let before = free(host);
    delete_claim(host, "antihate-monitoring", "prometheus-data", "prometheus");
    let said = until("the volume is emptied", PATIENCE, || detail(host).filter(|d| d.contains("antihate-prometheus was released and emptied")));
    assert!(!said.contains("posts were kept"), "{said}");
    let gone = host.command("test").args(["-e"]).arg(&ballast).status().expect("test runs");
    assert!(!gone.success(), "nothing of it is left");
    let came_back = free(host).saturating_sub(before);
    assert!(came_back > BALLAST / 2, "the space came back: {came_back}");
    let bound = || kubectl(host, &["get", "pvc", "prometheus-data", "-n", "antihate-monitoring", "-o", "jsonpath={.status.phase}"]).filter(|p| p == "Bound");
    until("the next claim has the volume", PATIENCE, bound);
    let ready = || kubectl(host, &["get", "deployment", "prometheus", "-n", "antihate-monitoring", "-o", "jsonpath={.status.readyReplicas}"]).filter(|n| n == "1");
    until("metrics are kept again", PATIENCE, ready);
    println!("released volume: {} MiB came back", came_back >> 20);
}

fn released_posts_are_kept(host: &TestHost) {
    until("a row is written", PATIENCE, || rows(host, "CREATE TABLE of_the_test AS SELECT 4711 AS n"));
    delete_claim(host, "antihate-storage", "data-postgres-0", "postgres");
    until("the volume is kept", PATIENCE, || detail(host).filter(|d| d.contains("antihate-postgres was released") && d.contains("posts were kept")));
    let row = until("the database is there again with what it held", PATIENCE, || rows(host, "SELECT n FROM of_the_test"));
    assert_eq!(row, ["4711"]);
    until("the node is healthy again", PATIENCE, || Some(status(host)).filter(|s| s["healthy"] == true));
}

fn a_disk_that_is_away_is_waited_for(host: &TestHost, node: &mut Child) {
    let stopped = host.antihate(&["stop"]);
    assert!(stopped.status.success(), "{}", said(&stopped));
    drop(node.wait());
    run(host, &["umount", &host.folder().join("disk").display().to_string()]);
    let refused = host.antihate(&["reset", "--yes"]);
    assert!(!refused.status.success() && said(&refused).contains("RST-109"), "{}", said(&refused));
    assert_eq!(judged(host, "Disk of the volumes")["problem"]["code"], "STG-102");
    *node = up(host);
    let told = until("the node says what it waits for", PATIENCE, || Some(status(host)["summary"].as_str()?.to_owned()).filter(|s| s.contains("STG-102")));
    assert!(told.contains("the disk of the volumes is not there"), "{told}");
    mount(host);
    host.healthy();
    assert_eq!(until("the row is read", PATIENCE, || rows(host, "SELECT n FROM of_the_test")), ["4711"]);
}
