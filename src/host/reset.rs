//! Takes a node off its host again: after it nothing is left that was not there before.

use super::mesh;
use super::distribution::Distribution;
use super::policy::claims::RESULTS;
use super::render::node::NETWORK;
use super::settings::{OLD_BRIDGE, SERVICE_CIDR, service_network};
use super::{host6, place, stop, storage};
use crate::config::layout::Layout;
use crate::device::plugin;
use crate::process::cgroup::{self, Cgroup};
use crate::process::{mounts, netlink, once};
use crate::status::Problem;
use base64::Engine as _;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// nftables tables that kube-proxy, the CNI plugins and the network policies make, as `family name`.
const TABLES: [(&str, &str); 6] =
    [("ip", "kube-proxy"), ("ip6", "kube-proxy"), ("inet", "cni_plugins_masquerade"), ("ip", "cni_hostport"), ("ip6", "cni_hostport"), crate::policy::TABLE];
/// Where containerd keeps a folder for each sandbox, below its root.
const SANDBOXES: &str = "io.containerd.grpc.v1.cri/sandboxes";
/// What a data root holds; a folder with something else in it is not ours to remove.
const OURS: [&str; 22] = [
    "cluster", "encrypted", "store", "current", "models", "pki", "kubernetes", "volumes", "logs", "identity", "inputs", "lock", "run", "node.db", "secrets", "settings.toml", "trust", "journal", "users", "setup", "mdns", "support",
];

/// True when every name in the data root is one that a node makes there (or one of its own files beside them).
pub fn is_a_data_root(names: &[String]) -> bool {
    names.iter().all(|n| n.starts_with(".tmp-") || OURS.iter().any(|o| n == o || n.strip_prefix(o).is_some_and(|rest| rest.starts_with(['-', '.']))))
}

/// Ends the node and removes everything of it. The caller holds the node's lock. Blocks.
pub fn everything(layout: &Layout) -> Result<(), Problem> {
    let names: Vec<String> = std::fs::read_dir(&layout.data).into_iter().flatten().flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    if !is_a_data_root(&names) {
        let cause = format!("it holds {}", names.join(", "));
        return Err(Problem::new("RST-101", format!("{} is not the data root of a node", layout.data.display()), cause, "name the right folder with --data; nothing was removed"));
    }
    let elsewhere_on_disk = storage::elsewhere(layout)?;
    stop::leftovers(layout)?;
    network(layout)?;
    control_groups(layout)?;
    elsewhere(layout);
    // Before the link to it goes with the data root.
    elsewhere_on_disk.iter().try_for_each(|folder| remove(folder))?;
    storage::luks::erase(layout)?;
    for folder in [&layout.run, &layout.data] {
        if let Some(point) = mounts::unmount_below(folder).first().filter(|p| *p != folder) {
            return Err(Problem::new("RST-102", "a mount stays", point.display().to_string(), "restart this host, then reset again"));
        }
        remove(folder)?;
    }
    Ok(())
}

/// Packet filter tables, the mesh, the route of the services, and the bridge of an earlier layout. Links of pods went with their network namespaces.
fn network(layout: &Layout) -> Result<(), Problem> {
    let nft = layout.current().join("nft");
    if nft.exists() {
        let known = once::run(&nft, "nft", &["list", "tables"], &[], |_| Ok::<(), ()>(())).map(|(o, _)| o.stdout).unwrap_or_default();
        for (family, name) in wanted_gone(&String::from_utf8_lossy(&known)) {
            let deleted = once::run(&nft, "nft", &["delete", "table", family, name], &[], |_| Ok::<(), ()>(()));
            if !deleted.as_ref().is_ok_and(|(o, _)| o.ok) {
                let cause = deleted.map_or_else(|e| e.to_string(), |(o, _)| o.stderr);
                return Err(Problem::new("RST-103", format!("the packet filter table {family} {name} stays"), cause, "remove it with `nft delete table`, then reset again"));
            }
        }
    }
    mesh::remove(layout)?;
    let (services, length) = service_network();
    netlink::remove_route_to_loopback(services, length)
        .map_err(|e| Problem::new("RST-108", format!("the route for {SERVICE_CIDR} stays"), e.to_string(), "remove it with `ip route delete`, then reset again"))?;
    if let Some(own) = place::load(layout).ok().and_then(|place| place.address6()) {
        host6::remove(own)?;
    }
    netlink::remove_bridge(OLD_BRIDGE).map_err(|e| Problem::new("RST-104", format!("the link {OLD_BRIDGE} stays"), e.to_string(), "remove it with `ip link delete`, then reset again"))
}

/// Which of our tables the listing of `nft list tables` names.
fn wanted_gone(listing: &str) -> Vec<(&'static str, &'static str)> {
    TABLES.into_iter().filter(|(family, name)| listing.lines().any(|l| l.trim() == format!("table {family} {name}"))).collect()
}

/// The kernel lets go of an emptied control group a moment after its last process.
fn control_groups(layout: &Layout) -> Result<(), Problem> {
    let root = Cgroup::new(Path::new(cgroup::MOUNT), &layout.cgroup());
    for _ in 0..50 {
        if root.remove().is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let cause = format!("processes {:?} are in it", root.processes());
    Err(Problem::new("RST-105", format!("the control group {} stays", layout.cgroup()), cause, "end these processes, then reset again"))
}

/// Files that Kubernetes' parts put at fixed places outside the data root.
fn elsewhere(layout: &Layout) {
    for result in plugin_results(Path::new(RESULTS), layout) {
        drop(std::fs::remove_file(result));
    }
    for link in children(Path::new("/var/log/containers")) {
        if std::fs::read_link(&link).is_ok_and(|to| to.starts_with(&layout.data)) {
            drop(std::fs::remove_file(link));
        }
    }
    for folder in Distribution::of(layout).elsewhere(layout) {
        drop(std::fs::remove_dir_all(&folder));
        drop(folder.parent().map(std::fs::remove_dir)); // only an empty one goes
    }
    plugin::clean(Path::new(plugin::FOLDER));
    // Only where nothing of another owner lies in them: a folder that is not empty stays.
    for folder in ["/var/lib/cni/results", "/var/lib/cni", "/var/log/containers", "/run/containerd/s", "/run/containerd/runc/k8s.io", "/run/containerd/runc", "/run/containerd"] {
        drop(std::fs::remove_dir(folder));
    }
}

/// Results that the network plugins keep of this node's pods: those of our network, whose configuration names this data root,
/// and the loopbacks of the same sandboxes, whose configuration names nobody.
pub(super) fn plugin_results(folder: &Path, layout: &Layout) -> Vec<PathBuf> {
    let results: Vec<_> = children(folder).into_iter().filter_map(|path| Some((serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?, path))).collect();
    let ours = |r: &serde_json::Value| r["networkName"] == NETWORK && configuration(r).contains(&format!("\"{}/", layout.data.display()));
    let known = children(&Distribution::of(layout).places(layout).runtime_root.join(SANDBOXES));
    let mut sandboxes: BTreeSet<String> = known.iter().filter_map(|p| Some(p.file_name()?.to_str()?.to_string())).collect();
    sandboxes.extend(results.iter().filter(|(r, _)| ours(r)).filter_map(|(r, _)| Some(r["containerId"].as_str()?.to_string())));
    let gone = |r: &serde_json::Value| ours(r) || (r["networkName"] == "cni-loopback" && r["containerId"].as_str().is_some_and(|id| sandboxes.contains(id)));
    results.into_iter().filter(|(r, _)| gone(r)).map(|(_, path)| path).collect()
}

/// The configuration that a result was made with.
fn configuration(result: &serde_json::Value) -> String {
    let raw = result["config"].as_str().and_then(|c| base64::engine::general_purpose::STANDARD.decode(c).ok()).unwrap_or_default();
    String::from_utf8_lossy(&raw).into_owned()
}

fn children(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect()
}

fn remove(folder: &Path) -> Result<(), Problem> {
    let failed = |e: std::io::Error| Problem::new("RST-106", format!("{} cannot be removed", folder.display()), e.to_string(), "remove it by hand");
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        // A data root that is a disk of its own stays as an empty folder.
        Err(_) if children(folder).is_empty() => Ok(()),
        other => other.map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_tables_go() {
        let listing = "table ip kube-proxy\ntable inet filter\ntable ip6 kube-proxy\ntable inet kube-proxy\ntable inet antihate-policy\n";
        assert_eq!(wanted_gone(listing), [("ip", "kube-proxy"), ("ip6", "kube-proxy"), ("inet", "antihate-policy")]);
    }

    #[test]
    fn a_folder_with_something_foreign_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("letters.txt"), "mine").unwrap();
        assert_eq!(everything(&Layout::new(dir.path())).unwrap_err().code, "RST-101");
        assert!(dir.path().join("letters.txt").exists());
        assert!(is_a_data_root(&["store".into(), "node.db-wal".into(), "lock".into()]));
        assert!(!is_a_data_root(&["storefront".into()]));
    }

    #[test]
    fn results_of_this_nodes_sandboxes_go_and_those_of_others_stay() {
        let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let layout = Layout::new(dir.path());
        std::fs::create_dir_all(layout.kubernetes().join("containerd").join(SANDBOXES).join("s3")).unwrap();
        let of = |data: &Path| base64::engine::general_purpose::STANDARD.encode(format!(r#"{{"store":"{}/x"}}"#, data.display()));
        let write = |network: &str, id: &str, config: String| {
            let text = serde_json::json!({"networkName": network, "containerId": id, "config": config}).to_string();
            std::fs::write(folder.path().join(format!("{network}-{id}")), text).unwrap();
        };
        for (id, data) in [("s1", dir.path()), ("s2", Path::new("/srv/other"))] {
            write(NETWORK, id, of(data));
            write("cni-loopback", id, String::new());
        }
        write("cni-loopback", "s3", String::new());
        std::fs::write(folder.path().join("not-json"), "?").unwrap();
        let mut gone: Vec<_> = plugin_results(folder.path(), &layout).into_iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_string()).collect();
        gone.sort();
        assert_eq!(gone, [format!("{NETWORK}-s1"), "cni-loopback-s1".into(), "cni-loopback-s3".into()]);
    }
}
