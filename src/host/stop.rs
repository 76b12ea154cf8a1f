//! Ends the node: what takes work first, then the containers with a deadline, then what they need. Nothing is left running.

use super::distribution::Distribution;
use super::{heal, k3s};
use super::kubernetes::Running;
use super::settings::Settings;
use super::{flannel, place};
use crate::config::layout::Layout;
use crate::config::place::Between;
use crate::process::cgroup::{self, Cgroup};
use crate::process::{mounts, scan};
use crate::status::Problem;
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time for containers to end by themselves: PostgreSQL and Kafka write their last state.
const CONTAINERS: Duration = Duration::from_secs(30);

/// What takes work ends first, then what it needs.
const COMPONENTS_FIRST: [&str; 3] = ["kube-proxy", "kubelet", "k3s"];
const COMPONENTS_LAST: [&str; 8] = ["flanneld", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "kine", "etcd", "containerd", "wireguard"];

/// Ends everything of the node, gracefully while `running` holds its components; blocks.
pub fn all(s: &Settings, running: Option<Running>) -> Result<(), Problem> {
    if let Some(mut running) = running {
        running.stop(&COMPONENTS_FIRST);
        end_containers(&s.layout, CONTAINERS);
        // containerd sees its tasks end and lets the shims go.
        wait(Duration::from_secs(5), || !scan::marked(&s.layout.data).iter().any(|p| p.name.starts_with("containerd-shim")));
        running.stop(&COMPONENTS_LAST);
        heal::remember(&s.layout);
    }
    leftovers(&s.layout)
}

/// Ends the components alone, so that they start anew: containers and their shims go on, as after a killed host process. Blocks.
pub fn components(running: Option<Running>) {
    if let Some(mut running) = running {
        running.stop(&COMPONENTS_FIRST);
        running.stop(&COMPONENTS_LAST);
    }
}

/// Ends what is left without any help of ours: containers, shims, components; then their mounts and flannel's ways. Blocks.
pub fn leftovers(layout: &Layout) -> Result<(), Problem> {
    // Asked before the shims end: some take the folder that names their socket along, but not the socket.
    let state = Distribution::of(layout).places(layout).runtime_state;
    let (sockets, records) = (shim_sockets(&state), runc_records(&state));
    end_containers(layout, CONTAINERS);
    let pids: Vec<i32> = scan::marked(&layout.data).into_iter().map(|p| p.pid).chain(k3s::strays(layout)).collect();
    let left = scan::end(&pids, Duration::from_secs(10));
    if !left.is_empty() {
        return Err(Problem::new("STP-101", "processes of this node do not end", format!("process {left:?} hangs in the kernel"), "restart this host"));
    }
    sockets.into_iter().for_each(|socket| drop(std::fs::remove_file(socket)));
    // A containerd that ended before its containers could not have them removed.
    records.into_iter().for_each(|record| drop(std::fs::remove_dir_all(record)));
    // Only a cluster in the open mode has any; where nobody can say, there could be some.
    if !place::load(layout).is_ok_and(|p| p.between == Between::Encrypted) {
        flannel::remove()?;
    }
    let mut stuck = mounts::unmount_below(&layout.run);
    stuck.extend(mounts::unmount_below(&layout.kubernetes()));
    stuck.extend(mounts::unmount_below(&state));
    match stuck.first() {
        None => Ok(()),
        Some(point) => Err(Problem::new("STP-102", "a mount of this node stays", point.display().to_string(), "restart this host")),
    }
}

/// What runc keeps of the containers whose bundles lie below containerd's state.
fn runc_records(state: &Path) -> Vec<PathBuf> {
    let bundles = std::fs::read_dir(state.join("io.containerd.runtime.v2.task/k8s.io")).into_iter().flatten().flatten();
    bundles.map(|b| Path::new("/run/containerd/runc/k8s.io").join(b.file_name())).filter(|record| record.is_dir()).collect()
}

/// Sockets of shims, as their bundles below containerd's state name them.
fn shim_sockets(state: &Path) -> Vec<PathBuf> {
    let bundles = std::fs::read_dir(state.join("io.containerd.runtime.v2.task/k8s.io")).into_iter().flatten().flatten();
    let named = bundles.filter_map(|b| {
        let bootstrap: serde_json::Value = serde_json::from_slice(&std::fs::read(b.path().join("bootstrap.json")).ok()?).ok()?;
        Some(PathBuf::from(bootstrap["address"].as_str()?.strip_prefix("unix://")?))
    });
    named.filter(|p| p.starts_with("/run/containerd/s")).collect()
}

/// Asks every container's own program to end, waits, then ends whatever is left in the pods' control groups.
fn end_containers(layout: &Layout, limit: Duration) {
    let pods = Cgroup::new(Path::new(cgroup::MOUNT), &layout.cgroup()).child("kubepods");
    let ask = || pods.processes().into_iter().filter(|p| scan::is_container_init(*p)).for_each(|p| scan::send(p, Signal::SIGTERM));
    ask();
    if !wait(limit, || pods.processes().is_empty()) {
        tracing::warn!(processes = pods.processes().len(), "containers did not end in time; they are ended now");
    }
    scan::end(&pods.processes(), Duration::from_secs(10));
}

fn wait(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
