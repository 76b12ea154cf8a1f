//! Control groups: version, controllers, and whether the node may make its own.

use super::asked::Asked;
use super::tree::{Tree, known, list};
use crate::status::check::{Check, Group};

const G: Group = Group::ControlGroups;
const MOUNT: &str = "sys/fs/cgroup";

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// One hierarchy for all.
    pub version2: bool,
    /// Controllers, of either version.
    pub controllers: Vec<String>,
    /// A group can be made.
    pub writable: bool,
    /// Processes that the outermost group may have, where it sets a limit.
    pub processes: Option<u64>,
    /// Groups that there are.
    pub groups: Option<u64>,
    /// Containers may have a view of their own.
    pub namespace: bool,
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    let version2 = tree.has(&format!("{MOUNT}/cgroup.controllers"));
    let v1 = || tree.names(MOUNT).into_iter().filter(|n| tree.has(&format!("{MOUNT}/{n}/cgroup.procs"))).collect();
    let v2 = || tree.text(&format!("{MOUNT}/cgroup.controllers")).split_whitespace().map(String::from).collect();
    let groups = tree.field("proc/cgroups", "memory").and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    Facts {
        controllers: if version2 { v2() } else { v1() },
        version2,
        writable: asked.groups_writable,
        processes: tree.number(&format!("{MOUNT}/pids.max")).or_else(|| tree.number(&format!("{MOUNT}/pids/pids.max"))),
        groups,
        namespace: tree.at("proc/self/ns/cgroup").symlink_metadata().is_ok(),
    }
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let has = |name: &str| f.controllers.iter().any(|c| c == name);
    let controller = |id, title, why, name: &str| {
        let what = format!("control groups lack {name}: the kernel or its command line switches it off");
        G.check(id, title, why, if has(name) { "there" } else { "not there" })
            .fails(!has(name), "CHK-107", what, "Boot with cgroup_enable=memory and without cgroup_disable, or mount /sys/fs/cgroup.")
    };
    let io = has("io") || has("blkio");
    vec![
        controller("control-groups.cpu", "Controller of processor time", "Kubernetes shares the processor by it", "cpu"),
        controller("control-groups.cpuset", "Controller of cores", "Kubernetes gives cores by it", "cpuset"),
        controller("control-groups.memory", "Controller of memory", "Kubernetes keeps pods within their memory by it", "memory"),
        controller("control-groups.pids", "Controller of processes", "Kubernetes keeps pods within their processes by it", "pids"),
        G.check("control-groups.io", "Controller of the disk", "one pod that writes much could keep the others from the disk", if io { "there" } else { "not there" })
            .warns(!io, "CHK-281", "control groups lack io", "Boot the distribution's own kernel."),
        G.check("control-groups.version", "Version of control groups", "Kubernetes gives version 1 up; later versions of this file may not run on it", if f.version2 { "2" } else { "1" })
            .warns(!f.version2, "CHK-280", "control groups are of version 1", "Boot with systemd.unified_cgroup_hierarchy=1, or a distribution of 2021 or later; the node works meanwhile."),
        G.check("control-groups.writable", "Groups of the node's own", "the node makes one for itself and one for each pod", if f.writable { "can be made" } else { "cannot be made" })
            .fails(!f.writable, "CHK-284", format!("no control group can be made; there are: {}", list(&f.controllers)), "Mount /sys/fs/cgroup so that root may write there; run on the host itself, not in a container."),
        G.check("control-groups.processes", "Limit of processes", "Java alone has a hundred threads, and each pod may have 4096", f.processes.map_or_else(|| "none".into(), |n| n.to_string()))
            .warns(f.processes.is_some_and(|n| n < 4096), "CHK-285", format!("a control group allows {} processes", known(f.processes)), "Raise pids.max of the group that this host lives in."),
        G.check("control-groups.left", "Groups that are left over", "thousands of forgotten groups make the kernel slow", known(f.groups))
            .warns(f.groups.is_some_and(|n| n > 5000), "CHK-286", format!("there are {} control groups of memory", known(f.groups)), "Restart the host; if it comes again, look for what makes them (`systemd-cgls`)."),
        G.check("control-groups.namespace", "View of control groups", "a container sees only its own groups by it", if f.namespace { "of its own" } else { "of the host" })
            .warns(!f.namespace, "CHK-287", "the kernel has no namespaces for control groups", "Boot the distribution's own kernel."),
    ]
}
