//! Damage as power cuts and failing disks leave it, on a real node: it is noticed, the part is made anew without a network, and
//! no post is touched.

mod cases;
mod forty;

use crate::node::{kill_host_process, kill9, nothing_is_left, posts, stop, up};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, until};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(600);

fn kubernetes(host: &TestHost, path: &str) -> PathBuf {
    host.data().join("kubernetes").join(path)
}

/// Fills the file, or its first 64 KiB, with bytes that mean nothing.
fn scribble(file: &Path) {
    let mut raw = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let end = raw.len().min(65_536);
    raw[..end].fill(0x5a);
    std::fs::write(file, raw).expect("written");
}

fn flip(file: &Path) {
    let mut raw = std::fs::read(file).expect("read");
    let middle = raw.len() / 2;
    raw[middle] ^= 1;
    std::fs::write(file, raw).expect("written");
}

fn forget_marks(host: &TestHost) {
    // Otherwise a part that was just made anew would be left alone for ten minutes.
    for part in ["datastore", "runtime", "checkpoints", "configuration"] {
        drop(std::fs::remove_file(kubernetes(host, &format!("rebuilt-{part}"))));
    }
}

/// Waits until these parts were made anew and the node is healthy again; tells how long it took.
fn heals(host: &TestHost, what: &str, parts: &[&str], before: usize) {
    let begun = Instant::now();
    for part in parts {
        until(&format!("{what}: the {part} is made anew"), PATIENCE, || kubernetes(host, &format!("rebuilt-{part}")).exists().then_some(()));
    }
    // The old status may still say healthy for a moment where the damage was done to a running node.
    until(&format!("{what}: healthy again"), PATIENCE, || (host.healthy()["steps"][0]["state"] == "done").then_some(()));
    let now = posts(host);
    assert!(now >= before, "{what}: {before} posts before, {now} after");
    println!("{what}: healthy again after {:.0} s, {before} posts before, {now} after", begun.elapsed().as_secs_f64());
    forget_marks(host);
}

/// A node that is healthy and has posts.
fn with_posts(host: &TestHost) -> (std::process::Child, usize) {
    let node = up(host);
    host.healthy();
    let before = posts(host);
    assert!(before > 0);
    (node, before)
}

#[test]
fn damage_that_lies_on_the_disk_at_a_start_is_made_good_and_no_post_is_touched() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let (mut node, before) = with_posts(&host);

    kill_host_process(&mut node);
    scribble(&kubernetes(&host, "kine/state.db"));
    flip(&host.data().join("pki/apiserver.crt"));
    flip(&host.data().join("pki/ca.crt"));
    node = up(&host);
    heals(&host, "killed; datastore, certificates and their authority damaged", &["datastore"], before);

    stop(&host, &mut node);
    std::fs::remove_file(kubernetes(&host, "containerd/io.containerd.metadata.v1.bolt/meta.db")).expect("removed");
    std::fs::remove_file(host.data().join("pki/encryption.yaml")).expect("removed");
    node = up(&host);
    heals(&host, "stopped; list of the runtime and key of the secrets lost", &["runtime", "datastore"], before);
    stop(&host, &mut node);
    nothing_is_left(&host);
}

#[test]
#[ignore = "takes five minutes: what is not seen at the start has to fail several times first. `cargo test --release --test it -- --ignored heal::`"]
fn damage_that_shows_only_when_a_component_fails_is_made_good_and_no_post_is_touched() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let (mut node, before) = with_posts(&host);

    stop(&host, &mut node);
    scribble(&kubernetes(&host, "containerd/io.containerd.metadata.v1.bolt/meta.db"));
    node = up(&host);
    heals(&host, "stopped; list of the runtime scribbled over", &["runtime"], before);

    scribble(&kubernetes(&host, "kine/state.db"));
    assert!(kill9(&host, "kine --endpoint") > 0);
    heals(&host, "running; datastore scribbled over, its process killed", &["datastore"], before);

    stop(&host, &mut node);
    scribble(&kubernetes(&host, "kubelet/cpu_manager_state"));
    node = up(&host);
    heals(&host, "stopped; the kubelet's checkpoint scribbled over", &["checkpoints"], before);
    stop(&host, &mut node);
}
