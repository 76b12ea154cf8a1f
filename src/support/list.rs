//! The list of what a support bundle takes, and of what it never takes. Who adds a line answers for what the source can hold.

use crate::config::layout::Layout;
use crate::status::check::Check;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest time of one part.
const LIMIT: Duration = Duration::from_secs(15);
/// Bytes of a log, from its end.
const LOG: u64 = 512 << 10;
/// Bytes of anything else, from its beginning.
const FACTS: u64 = 256 << 10;

/// What is never taken, and why.
pub const LEFT_OUT: [(&str, &str); 6] = [
    ("volumes, database, topics", "they hold posts"),
    ("logs of PostgreSQL and Kafka", "they can quote rows"),
    ("logs of the pods that read and classify posts", "what a platform answers can stand in them"),
    ("keys, pass phrases, tokens, kubeconfigs", "they are secret; where one is quoted elsewhere, it is taken out"),
    ("audit logs", "they tell which person did what"),
    ("settings of sources", "addresses and hashtags tell whom the site watches"),
];

/// Host components whose logs are taken: none of them sees a post.
const LOGS: [&str; 11] =
    ["kine", "etcd", "containerd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "flanneld", "wireguard", "k3s"];

/// Files of the kernel and of the system; none of them names a person.
const SYSTEM: [(&str, &str); 17] = [
    ("/etc/os-release", "which system this is"),
    ("/proc/version", "which kernel"),
    ("/proc/cmdline", "how the kernel was started"),
    ("/proc/cpuinfo", "processors"),
    ("/proc/meminfo", "memory"),
    ("/proc/loadavg", "how busy the host is"),
    ("/proc/uptime", "since when it runs"),
    ("/proc/mounts", "file systems"),
    ("/proc/partitions", "disks"),
    ("/proc/diskstats", "what the disks did"),
    ("/proc/cgroups", "control groups"),
    ("/proc/modules", "kernel modules"),
    ("/proc/swaps", "swap"),
    ("/proc/net/dev", "network interfaces"),
    ("/proc/net/route", "routes"),
    ("/proc/pressure/memory", "waiting for memory"),
    ("/proc/driver/nvidia/version", "GPU driver"),
];

/// Where a part comes from.
pub enum Source {
    /// The caller gave it.
    Given(Vec<u8>),
    /// So many bytes from the end of a file.
    Tail(PathBuf, u64),
    /// So many bytes from the beginning of a file.
    Head(PathBuf, u64),
    /// What a program prints, with its arguments and its whole environment.
    Program(PathBuf, &'static str, Vec<&'static str>, Vec<(String, String)>),
    /// Names, sizes and modes below a folder, without contents and without the folders named.
    Names(PathBuf, &'static [&'static str]),
    /// The settings, without what they say of sources.
    Settings(PathBuf),
}

/// One part of the bundle.
pub struct Part {
    /// Its name in the archive.
    pub name: String,
    /// What it is for, in plain words.
    pub what: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// How long it may take.
    pub limit: Duration,
}

impl Part {
    fn new(name: String, what: &'static str, source: Source) -> Part {
        Part { name, what, source, limit: LIMIT }
    }

    /// The checks of the host, as `antihate check --json` prints them.
    pub fn checks(checks: &[Check]) -> Part {
        let bytes = serde_json::to_vec_pretty(checks).expect("plain data");
        Part::new("node/check.json".into(), "whether the host is fit for a node", Source::Given(bytes))
    }
}

/// Everything that is taken from the node at `layout`, and nothing else.
pub fn parts(layout: &Layout) -> Vec<Part> {
    let mut all = vec![
        Part::new("node/status.json".into(), "where the node stood, as it told last", Source::Head(layout.status(), FACTS)),
        Part::new("node/settings.toml".into(), "settings, without sources", Source::Settings(layout.data.join("settings.toml"))),
        Part::new("node/files.txt".into(), "names and sizes of the node's files", Source::Names(layout.data.clone(), &["volumes", "encrypted", "store", "containerd", "pod-logs", "run"])),
        Part::new("node/journal".into(), "what was begun and done", Source::Tail(layout.data.join("journal"), FACTS)),
    ];
    all.extend(LOGS.map(|name| Part::new(format!("logs/{name}.log"), "log of a component of the host", Source::Tail(layout.log(name), LOG))));
    all.extend(SYSTEM.map(|(path, what)| Part::new(format!("system{path}"), what, Source::Head(path.into(), FACTS))));
    all.extend(programs(layout));
    all
}

/// What our own programs tell; the host's are never asked, they may be missing or other ones.
fn programs(layout: &Layout) -> Vec<Part> {
    let bin = layout.current();
    let env = layout.kubectl_environment(&kubeconfig(layout)).to_vec();
    let kubectl = |name: &str, what, args: &[&'static str]| {
        let args = [args, &["--request-timeout=10s"]].concat();
        Part::new(format!("cluster/{name}.txt"), what, Source::Program(bin.join("kubernetes"), "kubectl", args, env.clone()))
    };
    vec![
        kubectl("nodes", "hosts of the cluster", &["get", "nodes", "-o", "wide"]),
        kubectl("pods", "programs of the node", &["get", "pods", "-A", "-o", "wide"]),
        kubectl("workloads", "what should run", &["get", "deployments,statefulsets,daemonsets,jobs", "-A", "-o", "wide"]),
        kubectl("volumes", "volumes and their claims", &["get", "persistentvolumes,persistentvolumeclaims", "-A"]),
        kubectl("policies", "which programs may speak to which", &["get", "networkpolicies", "-A"]),
        kubectl("events", "what happened lately", &["get", "events", "-A", "--sort-by=.lastTimestamp"]),
        Part::new("network/rules.txt".into(), "packet filter", Source::Program(bin.join("nft"), "nft", vec!["list", "ruleset"], Vec::new())),
    ]
}

/// The administrator's where there is a control plane, otherwise the host's own.
fn kubeconfig(layout: &Layout) -> PathBuf {
    let own = |path: PathBuf| Some(path).filter(|p| Path::exists(p));
    own(layout.admin_kubeconfig()).or_else(|| own(layout.host_kubeconfig())).unwrap_or_else(|| layout.admin_kubeconfig())
}
