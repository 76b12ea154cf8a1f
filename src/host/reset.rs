//! Takes a node off its host again: after it nothing is left that was not there before.

use super::policy::claims::RESULTS;
use super::render::node::NETWORK;
use super::settings::OLD_BRIDGE;
use super::stop;
use crate::config::layout::Layout;
use crate::process::cgroup::{self, Cgroup};
use crate::process::{mounts, netlink, once};
use crate::status::Problem;
use base64::Engine as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// nftables tables that kube-proxy, the CNI plugins and the network policies make, as `family name`.
const TABLES: [(&str, &str); 6] =
    [("ip", "kube-proxy"), ("ip6", "kube-proxy"), ("inet", "cni_plugins_masquerade"), ("ip", "cni_hostport"), ("ip6", "cni_hostport"), crate::policy::TABLE];
/// What a data root holds; a folder with something else in it is not ours to remove.
const OURS: [&str; 15] = [
    "store", "current", "models", "pki", "kubernetes", "volumes", "logs", "identity", "lock", "run", "node.db", "secrets", "settings.toml", "trust", "journal",
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
    stop::leftovers(layout)?;
    network(layout)?;
    control_groups(layout)?;
    elsewhere(layout);
    for folder in [&layout.run, &layout.data] {
        if let Some(point) = mounts::unmount_below(folder).first().filter(|p| *p != folder) {
            return Err(Problem::new("RST-102", "a mount stays", point.display().to_string(), "restart this host, then reset again"));
        }
        remove(folder)?;
    }
    Ok(())
}

/// Packet filter tables, and the bridge of an earlier layout. Links of pods went with their network namespaces.
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
    for socket in shim_sockets(&layout.run.join("containerd")) {
        drop(std::fs::remove_file(socket));
    }
    for path in children(Path::new(RESULTS)) {
        if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&format!("{NETWORK}-"))) && is_of(&path, layout) {
            drop(std::fs::remove_file(path));
        }
    }
    for link in children(Path::new("/var/log/containers")) {
        if std::fs::read_link(&link).is_ok_and(|to| to.starts_with(&layout.data)) {
            drop(std::fs::remove_file(link));
        }
    }
    // Only where nothing of another owner lies in them: a folder that is not empty stays.
    for folder in ["/var/lib/cni/results", "/var/lib/cni", "/var/log/containers", "/run/containerd/s", "/run/containerd"] {
        drop(std::fs::remove_dir(folder));
    }
}

/// Whether a network plugin's result was made with this node's configuration, which names its data root.
fn is_of(result: &Path, layout: &Layout) -> bool {
    let text: serde_json::Value = std::fs::read(result).ok().and_then(|t| serde_json::from_slice(&t).ok()).unwrap_or_default();
    let config = text["config"].as_str().and_then(|c| base64::engine::general_purpose::STANDARD.decode(c).ok()).unwrap_or_default();
    String::from_utf8_lossy(&config).contains(&format!("\"{}/", layout.data.display()))
}

fn children(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect()
}

/// Sockets of shims, as their bundles below containerd's state name them.
fn shim_sockets(state: &Path) -> Vec<PathBuf> {
    let bundles = children(&state.join("io.containerd.runtime.v2.task/k8s.io"));
    let named = bundles.iter().filter_map(|b| {
        let bootstrap: serde_json::Value = serde_json::from_slice(&std::fs::read(b.join("bootstrap.json")).ok()?).ok()?;
        Some(PathBuf::from(bootstrap["address"].as_str()?.strip_prefix("unix://")?))
    });
    named.filter(|p| p.starts_with("/run/containerd/s")).collect()
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
}
