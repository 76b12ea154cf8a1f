//! Kernel: version, the parts that containers need, and limits that a node runs into.

use super::asked::Asked;
use super::kernel_room::LIMITS;
use super::parts::Parts;
use super::tree::{Tree, field, list};
use crate::status::check::{Check, Group};

const G: Group = Group::Kernel;
/// nftables and containers work from here on.
const OLDEST: (u32, u32) = (5, 10);
const NAMESPACES: [&str; 3] = ["net", "mnt", "pid"];
const SECOND: [&str; 3] = ["ipc", "uts", "user"];

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Release, such as `6.1.0`.
    pub release: String,
    /// Namespaces that it offers.
    pub namespaces: Vec<String>,
    /// File systems that it knows.
    pub filesystems: Vec<String>,
    /// It answers an nftables request; `None` where it was not asked.
    pub nftables: Option<bool>,
    /// Links for pods, WireGuard, connection tracking: `None` where it does not tell its parts.
    pub links: Option<bool>,
    pub wireguard: Option<bool>,
    pub tracking: Option<bool>,
    /// It filters system calls.
    pub seccomp: bool,
    /// SELinux is in force.
    pub selinux: bool,
    /// It takes no module any more.
    pub closed: bool,
    /// What each of [`LIMITS`] allows.
    pub limits: [Option<u64>; LIMITS.len()],
    /// Bytes that a crashed program may leave on disk, and where.
    pub core: (u64, String),
    /// What it was started with.
    pub cmdline: String,
    /// Its report about itself.
    pub tainted: u64,
    /// Random bits at hand.
    pub random: Option<u64>,
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    let release = tree.text("proc/sys/kernel/osrelease");
    let parts = Parts::new(tree, &release);
    Facts {
        namespaces: NAMESPACES.iter().chain(&SECOND).filter(|n| tree.at(&format!("proc/self/ns/{n}")).symlink_metadata().is_ok()).map(|n| (*n).into()).collect(),
        filesystems: tree.text("proc/filesystems").lines().filter_map(|l| l.split_whitespace().last()).map(String::from).collect(),
        nftables: asked.nftables,
        links: parts.has("veth"),
        wireguard: parts.has("wireguard"),
        tracking: parts.has("nf_conntrack"),
        seccomp: tree.has("proc/sys/kernel/seccomp") || field(&tree.text("proc/self/status"), "Seccomp").is_some(),
        selinux: tree.text("sys/fs/selinux/enforce") == "1",
        closed: tree.text("proc/sys/kernel/modules_disabled") == "1",
        limits: LIMITS.each_ref().map(|limit| limit.read(tree)),
        core: (asked.core_files, tree.text("proc/sys/kernel/core_pattern")),
        cmdline: tree.text("proc/cmdline"),
        tainted: tree.number("proc/sys/kernel/tainted").unwrap_or(0),
        random: tree.number("proc/sys/kernel/random/entropy_avail"),
        release,
    }
}

fn at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|p| p.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let mut all = must(f);
    all.extend(parts(f));
    all.extend(super::kernel_room::judge(f));
    all
}

fn must(f: &Facts) -> Vec<Check> {
    let lacking = |wanted: &[&'static str]| -> Vec<&'static str> { wanted.iter().copied().filter(|n| !f.namespaces.iter().any(|x| x == n)).collect() };
    let (first, second) = (lacking(&NAMESPACES), lacking(&SECOND));
    let overlay = f.filesystems.iter().any(|n| n == "overlay");
    vec![
        G.check("kernel.version", "Kernel version", "nftables and containers need 5.10 or later", f.release.clone())
            .fails(!at_least(&f.release, OLDEST), "CHK-104", format!("the kernel {} is too old", f.release), "Install Debian 12 or another system with a newer kernel."),
        G.check("kernel.namespaces", "Namespaces", "every pod has a network, mounts and processes of its own", list(&f.namespaces))
            .fails(!first.is_empty(), "CHK-105", format!("the kernel lacks the namespaces {}", list(&first)), "Boot the distribution's own kernel."),
        G.check("kernel.more-namespaces", "Further namespaces", "pods are separated further by names, shared memory and users of their own", list(&f.namespaces))
            .warns(!second.is_empty(), "CHK-251", format!("the kernel lacks the namespaces {}", list(&second)), "Boot the distribution's own kernel."),
        G.check("kernel.overlay", "Overlay file system", "containers' file systems are put together of layers", if overlay { "known" } else { "not known" })
            .fails(!overlay, "CHK-108", "the kernel knows no overlay file system: /proc/filesystems does not name it", "Load it with `modprobe overlay`, or boot the distribution's own kernel."),
        G.check("kernel.nftables", "Packet filter", "services and network policies are rules of nftables", match f.nftables { Some(true) => "answers", Some(false) => "refuses", None => "not asked" })
            .fails(f.nftables == Some(false), "CHK-109", "the kernel knows no nftables: it refused a request for its tables", "Load it with `modprobe nf_tables`."),
    ]
}

fn parts(f: &Facts) -> Vec<Check> {
    const UNTOLD: &str = "this kernel does not tell which parts it has";
    let told = |part: Option<bool>| if part == Some(true) { "there" } else { "not there" };
    vec![
        G.check("kernel.links", "Links for pods", "every pod hangs on a pair of links (veth)", told(f.links))
            .only_if(f.links.is_some(), UNTOLD)
            .warns(f.links == Some(false), "CHK-252", "the kernel has no veth links", "Install the distribution's full kernel (on Debian: `linux-image-amd64`), not one for the cloud or for containers alone."),
        G.check("kernel.wireguard", "WireGuard", "hosts are joined by it; without the kernel's own a slower program does it", told(f.wireguard))
            .only_if(f.wireguard.is_some(), UNTOLD)
            .warns(f.wireguard == Some(false), "CHK-253", "the kernel has no WireGuard", "Nothing has to be done on a host that stays alone. Otherwise install the distribution's full kernel."),
        G.check("kernel.tracking", "Connection tracking", "services send each connection to one pod and remember it", told(f.tracking))
            .only_if(f.tracking.is_some(), UNTOLD)
            .warns(f.tracking == Some(false), "CHK-254", "the kernel has no connection tracking (nf_conntrack)", "Install the distribution's full kernel."),
        G.check("kernel.seccomp", "Filter of system calls", "what a container may ask of the kernel is narrowed by it", if f.seccomp { "there" } else { "not there" })
            .warns(!f.seccomp, "CHK-250", "the kernel has no filter for system calls (seccomp)", "Boot the distribution's own kernel."),
        G.check("kernel.modules", "Further modules", "parts that are loaded when they are first needed", if f.closed { "forbidden" } else { "allowed" })
            .warns(f.closed, "CHK-262", "the kernel takes no module any more (kernel.modules_disabled)", "Load overlay, veth, nf_tables and nf_conntrack before that is set, at every boot."),
        G.check("kernel.selinux", "SELinux", "files of the node carry no labels of SELinux, which may then refuse them to pods", if f.selinux { "in force" } else { "not in force" })
            .warns(f.selinux, "CHK-255", "SELinux is in force", "If pods are refused files (`ausearch -m avc`), set it to permissive with `setenforce 0`."),
    ]
}
