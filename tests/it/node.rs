//! The whole path on the one file, in test hosts: empty disk, healthy, posts under kills, killed host process, enrolled, reset.

use crate::bundle;
use crate::cluster::keeps_its_promises;
use crate::enrollment::HubHost;
use crate::hardened::is_hardened;
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, until};
use crate::walk::walk;
use antihate::config::layout::Layout;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

/// Guards against hanging forever; no promise about time.
const PATIENCE: Duration = Duration::from_secs(900);
/// Posts that are imported while parts are killed.
const POSTS: usize = 20_000;

fn text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn detail<'a>(status: &'a serde_json::Value, step: &str) -> &'a str {
    let steps = status["steps"].as_array().expect("steps");
    steps.iter().find(|s| s["id"] == step).and_then(|s| s["detail"].as_str()).expect("the step")
}

/// One line a row of a query in the node's own database.
pub fn rows(host: &TestHost, sql: &str) -> Option<Vec<String>> {
    let psql = ["kubectl", "exec", "-n", "antihate-storage", "postgres-0", "-c", "postgres", "--", "psql", "-h", "/tmp", "-U", "antihate", "-d", "antihate_leaf", "-Atc", sql];
    let out = host.antihate(&psql);
    out.status.success().then(|| text(&out).lines().map(str::to_owned).collect())
}

/// Ends hard whatever of this node has `part` in its command line; the number ended.
pub fn kill9(host: &TestHost, part: &str) -> usize {
    // A pod's processes lie in the node's control group, which is named after the data root; its components too.
    let group = format!("/{}/", Layout::new(&host.data()).cgroup());
    let own = |pid: &i32| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        read("cmdline").replace('\0', " ").contains(part) && read("cgroup").contains(&group)
    };
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    let hit: Vec<i32> = pids.filter(own).collect();
    for pid in &hit {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
    }
    hit.len()
}

/// Writes so many posts as one file of JSON Lines, by renaming, as the observer asks for.
pub fn write_posts(folder: &Path, count: usize) -> BTreeSet<String> {
    let (mut lines, mut expected) = (String::new(), BTreeSet::new());
    for n in 0..count {
        let text = format!("Post {n} about the weather over the harbour, written for a test.");
        writeln!(lines, "{}", serde_json::json!({"id": format!("p{n}"), "text": text, "lang": "en"})).expect("a string");
        expected.insert(format!("import:p{n} {}", hex::encode(Sha256::digest(text.as_bytes()))));
    }
    std::fs::write(folder.join("posts.jsonl.part"), lines).expect("written");
    std::fs::rename(folder.join("posts.jsonl.part"), folder.join("posts.jsonl")).expect("renamed");
    expected
}

/// Imported posts in the database; none where it could not be asked, which is not the same as no posts.
pub fn imported(host: &TestHost) -> Option<usize> {
    rows(host, "SELECT count(*) FROM post WHERE platform = 'import'")?.first()?.parse().ok()
}

/// Posts in the database, as soon as it can be asked.
pub fn posts(host: &TestHost) -> usize {
    until("the database is asked", PATIENCE, || rows(host, "SELECT count(*) FROM post")?.first()?.parse().ok())
}

/// Nothing that was read from the topic is missing in the database.
pub fn lost_nothing(host: &TestHost) {
    let lost = until("the database is asked", PATIENCE, || rows(host, "SELECT coalesce(sum(lost), 0) FROM consumed"));
    assert_eq!(lost, ["0"]);
}

/// 20,000 posts through the real cluster while every part is killed; keys and hashes must be the same at both ends.
fn posts_survive_kills(host: &TestHost) {
    let expected = write_posts(&host.data().join("volumes/import"), POSTS);
    until("the first imported posts are stored", PATIENCE, || imported(host).filter(|n| *n > 0));
    let parts = ["antihate-analyzer", "observe --platform import", "kafka.Kafka", "postgres -D"];
    let mut killed = [0; 4];
    for turn in 0..8 {
        killed[turn % 4] += kill9(host, parts[turn % 4]);
        std::thread::sleep(Duration::from_secs(3));
    }
    until("all posts are stored", PATIENCE, || imported(host).filter(|n| *n >= POSTS));
    let sql = "SELECT key || ' ' || encode(sha256(convert_to(text, 'UTF8')), 'hex') FROM post WHERE platform = 'import'";
    let stored = until("the rows are read", PATIENCE, || rows(host, sql));
    let (n, stored) = (stored.len(), stored.into_iter().collect::<BTreeSet<_>>());
    assert!(stored == expected, "{} missing, {} strange", expected.difference(&stored).count(), stored.difference(&expected).count());
    assert_eq!(n, stored.len(), "posts stored twice");
    assert!(killed.iter().all(|k| *k > 0), "every part was killed: {killed:?}");
    lost_nothing(host);
    println!("{POSTS} posts, processes killed (analyzer, observer, Kafka, PostgreSQL) {killed:?}: none lost, none doubled");
}

/// With a PATH that holds nothing: the node brings every program that it calls, `nft`, `runc` and the network plugins too.
pub fn up(host: &TestHost) -> Child {
    host.start_bare(&["up", "--sample", "--node-ip", &host.address, "--name", "leaf-1"], "up.log")
}

/// Ends the host process hard, wherever it is. The child is nsenter, which has become it.
pub fn kill_host_process(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

pub fn stop(host: &TestHost, child: &mut Child) {
    let out = host.antihate(&["stop"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    drop(child.wait());
}

pub fn nothing_is_left(host: &TestHost) {
    let out = host.antihate(&["reset", "--yes"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!host.data().exists(), "the data root is gone");
    assert_eq!(host.mounts(), Vec::<String>::new());
    assert_eq!(host.processes(), Vec::<i32>::new());
    let links = text(&host.command("ip").args(["-o", "link"]).output().expect("ip"));
    assert!(!links.contains("antihate") && links.lines().count() == 2, "{links}");
    let tables = text(&host.command("nft").args(["list", "tables"]).output().expect("nft"));
    assert_eq!(tables.trim(), "", "no nftables table is left");
    let routes = text(&host.command("ip").args(["route"]).output().expect("ip"));
    assert_eq!(routes.lines().count(), 1, "only the route of the host's own link is left: {routes}");
    let group = Layout::new(&host.data()).cgroup();
    let groups = text(&host.command("find").args(["/sys/fs/cgroup", "-type", "d", "-path", &format!("*{group}*")]).output().expect("find"));
    assert_eq!(groups, "", "no control group is left");
    assert_eq!(host.elsewhere(), "", "no file is left outside the data root");
}

#[test]
fn an_empty_disk_becomes_a_healthy_node_that_loses_no_post_enrolls_goes_on_after_kills_and_leaves_nothing() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let (host, upstream) = (switch.host(), switch.host());
    let hub = HubHost::start(&upstream);
    let token = hub.token();
    let begun = Instant::now();
    let mut node = up(&host);
    // The owner walks through the page meanwhile and enrolls there; without a browser the command does it.
    if !walk(&host, &token, &upstream.address) {
        host.healthy();
        let joined = host.antihate(&["enroll", &token, "--json"]);
        assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
    }
    host.healthy();
    println!("healthy and enrolled {:.1} s after the start on an empty disk", begun.elapsed().as_secs_f64());
    until("the hub hears that the node is healthy", PATIENCE, || (hub.nodes()[0]["report"]["healthy"] == true).then_some(()));

    keeps_its_promises(&host);
    is_hardened(&host);
    posts_survive_kills(&host);
    bundle::s6_holds_no_secret_and_no_post(&host, &token);

    kill_host_process(&mut node);
    let begun = Instant::now();
    node = up(&host);
    let status = host.healthy();
    println!("healthy {:.1} s after the host process was killed and started again", begun.elapsed().as_secs_f64());
    assert_eq!(detail(&status, "unpack"), "was unpacked already");
    assert_eq!(detail(&status, "images"), "were imported already");
    // The pods outlived the kill and the node is healthy; the kubelet, through which the question goes, may still be registering.
    let kept = until("the database is asked", PATIENCE, || imported(&host));
    assert_eq!(kept, POSTS, "posts survive the kill of the host process");

    stop(&host, &mut node);
    bundle::works_while_the_node_is_down(&host);
    nothing_is_left(&host);
}

#[test]
fn killed_at_each_step_of_the_first_start_it_comes_to_the_same_end() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    STEPS.iter().for_each(|step| killed_in(&host, step));
    let other = host.antihate(&["up", "--sample", "--node-ip", &host.address, "--name", "leaf-2"]);
    let told = String::from_utf8_lossy(&other.stderr);
    assert!(other.status.code() == Some(1) && told.contains("PRE-111") && told.contains("leaf-1 before, leaf-2 now"), "{told}");
    let mut node = up(&host);
    let status = host.healthy();
    assert_eq!(status["pipeline"]["lost"], 0);
    stop(&host, &mut node);
    nothing_is_left(&host);
}

/// The steps of a start in which it is killed.
pub const STEPS: [&str; 6] = ["prepare", "unpack", "keys", "kubernetes", "images", "apply"];

/// Starts the node and kills its host process once the step is reached.
pub fn killed_in(host: &TestHost, step: &str) {
    let mut node = up(host);
    until("the step is reached", PATIENCE, || reached(host, step).then_some(()));
    kill_host_process(&mut node);
}

/// True when the step runs or has run, read from the status file: the process is killed right after.
pub fn reached(host: &TestHost, step: &str) -> bool {
    let out = host.antihate(&["status", "--json"]);
    let Ok(status) = serde_json::from_slice::<serde_json::Value>(&out.stdout) else { return false };
    let steps = status["steps"].as_array().cloned().unwrap_or_default();
    steps.iter().any(|s| s["id"] == step && s["state"] != "waiting")
}
