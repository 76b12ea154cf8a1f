//! Makes the host ready: folders, what a killed predecessor left, control groups, kernel settings, rendered configuration.

use super::{host6, k3s};
use super::settings::{OLD_BRIDGE, SERVICE_CIDR, Settings, service_network};
use super::{flannel, stop, storage};
use crate::config::layout::Layout;
use crate::config::place::Between;
use crate::files;
use crate::process::cgroup::{self, Cgroup};
use crate::process::{netlink, scan};
use crate::status::Problem;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn problem(doing: &str, place: &Path, e: &std::io::Error) -> Problem {
    Problem::new("PRE-101", format!("cannot {doing} {}", place.display()), e.to_string(), "see that the place exists and root may write there, then start again")
}

/// Makes the node's folders but for the volumes', and clears them of what a killed writer left; those that hold secrets are for root only.
pub fn folders(s: &Settings) -> Result<(), Problem> {
    let layout = &s.layout;
    let k = layout.kubernetes();
    let open = [&layout.data, &layout.run, &layout.store(), &k, &layout.data.join("logs"), &layout.cdi()].map(|p| (p.clone(), 0o755));
    let closed = [layout.pki(), layout.identity(), layout.rendered(), k.join("kine"), k.join("home"), layout.run.join("tmp"), layout.data.join("secrets")].map(|p| (p, 0o700));
    for (path, mode) in open.into_iter().chain(closed) {
        let made = files::folder(&path, mode).and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)));
        made.and_then(|()| files::clear_unfinished(&path)).map_err(|e| problem("make", &path, &e))?;
    }
    files::clear_unfinished(&layout.cluster()).map_err(|e| problem("clear", &layout.cluster(), &e))
}

/// Makes the folders of the volumes, on the disk that was chosen; not before it is there.
pub fn volumes(s: &Settings) -> Result<(), Problem> {
    let layout = &s.layout;
    storage::ensure(layout, s.storage.as_deref())?;
    let made = files::folder(&layout.volumes(), 0o755).and_then(|()| std::fs::set_permissions(layout.volumes(), std::fs::Permissions::from_mode(0o755)));
    made.map_err(|e| problem("make", &layout.volumes(), &e))?;
    for folder in crate::manifests::folders(layout) {
        let made = files::folder(&folder.path, 0o755).and_then(|()| std::os::unix::fs::chown(&folder.path, Some(folder.uid), Some(folder.gid)));
        let moded = made.and_then(|()| std::fs::set_permissions(&folder.path, std::fs::Permissions::from_mode(folder.mode)));
        moded.map_err(|e| problem("make", &folder.path, &e))?;
    }
    Ok(())
}

/// Ends the components of a predecessor that was killed; containers and their shims go on, the new containerd adopts them.
pub fn leftovers(layout: &Layout) -> Result<usize, Problem> {
    let shim = |name: &str| name.starts_with("containerd-shim");
    let marked = scan::marked(&layout.data).into_iter().filter(|p| !shim(&p.name)).map(|p| p.pid);
    let found: Vec<i32> = marked.chain(k3s::strays(layout).into_iter().filter(|pid| !shim(&scan::name(*pid)))).collect();
    let left = scan::end(&found, Duration::from_secs(10));
    if !left.is_empty() {
        return Err(Problem::new("PRE-102", "processes of an earlier run do not end", format!("process {left:?} hangs in the kernel"), "restart this host"));
    }
    for socket in [layout.kine_socket(), layout.containerd_socket()] {
        drop(std::fs::remove_file(socket)); // a socket without a listener would look like one that answers late
    }
    Ok(found.len())
}

/// Makes the node's control groups.
pub fn control_groups(s: &Settings) -> Result<(), Problem> {
    let root = Cgroup::new(Path::new(cgroup::MOUNT), &s.layout.cgroup());
    let made = root.create().and_then(|()| root.child("host").create());
    made.map_err(|e| Problem::new("PRE-103", format!("cannot make the control group {}", s.layout.cgroup()), e.to_string(), "see that /sys/fs/cgroup is mounted and writable for root"))
}

/// Kernel settings of this network namespace: pods are routed, and what runs on the host itself (the API server that calls a
/// webhook) reaches services also where no default route leads: without any route the packet would never meet kube-proxy's rules.
/// Where the cluster has IPv6, the same for that.
pub fn kernel(s: &Settings) -> Result<(), Problem> {
    let forward = Path::new("/proc/sys/net/ipv4/ip_forward");
    // Where the host around us has switched it on, the file may be read-only.
    if std::fs::read_to_string(forward).map_or(true, |is| is.trim() != "1") {
        std::fs::write(forward, "1").map_err(|e| problem("write", forward, &e))?;
    }
    let (network, length) = service_network();
    netlink::route_to_loopback(network, length)
        .map_err(|e| Problem::new("PRE-107", format!("no route for {SERVICE_CIDR} can be made"), e.to_string(), "see that the link `lo` is up, then start again"))?;
    s.place.address6().map_or(Ok(()), host6::make)
}

/// Ways of flannel that lead to nobody any more: this host is alone again.
pub fn old_ways(s: &Settings) -> Result<(), Problem> {
    if s.place.between == Between::Open && !s.place.is_joined() { flannel::remove() } else { Ok(()) }
}

/// Pods of an earlier layout hang on a bridge, past the packet filter: they are ended and come again, each on a link of its own.
pub fn old_network(layout: &Layout) -> Result<(), Problem> {
    if !netlink::exists(OLD_BRIDGE) {
        return Ok(());
    }
    tracing::info!(bridge = OLD_BRIDGE, "pods of an earlier layout of the network are ended; they come again on links of their own");
    stop::leftovers(layout)?;
    netlink::remove_bridge(OLD_BRIDGE).map_err(|e| Problem::new("PRE-106", format!("the link {OLD_BRIDGE} of an earlier layout stays"), e.to_string(), "remove it with `ip link delete`, then start again"))
}

/// Writes the rendered configuration; returns what changed.
pub fn configuration(s: &Settings) -> Result<Vec<PathBuf>, Problem> {
    let mut changed = Vec::new();
    let files = s.distribution.files(s);
    for folder in files.iter().filter_map(|(path, _)| path.parent()).collect::<std::collections::BTreeSet<_>>() {
        files::clear_unfinished(folder).map_err(|e| problem("clear", folder, &e))?;
    }
    for (path, text) in files {
        if files::replace_if_changed(&path, text.as_bytes(), 0o600).map_err(|e| problem("write", &path, &e))? {
            changed.push(path);
        }
    }
    Ok(changed)
}
