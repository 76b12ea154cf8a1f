//! Preflights: what a host must have before a node is made of it. Facts are read once; the judgement is pure.

use crate::device::Judged;
use crate::status::Problem;
use chrono::{DateTime, Utc};
use serde::Serialize;

/// What was found on the host.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Effective user is root.
    pub root: bool,
    /// Release of the kernel, such as `6.1.0`.
    pub kernel: String,
    /// Kernel offers network, mount and pid namespaces.
    pub namespaces: bool,
    /// Controllers of the control groups, of either version.
    pub controllers: Vec<String>,
    /// File systems that the kernel knows.
    pub filesystems: Vec<String>,
    /// The kernel answers an nftables request; `None` where it was not asked.
    pub nftables: Option<bool>,
    /// The host's own effective capabilities include CAP_SYS_ADMIN and CAP_NET_ADMIN.
    pub capable: bool,
    /// Processor cores.
    pub cores: usize,
    /// Memory, bytes.
    pub memory: u64,
    /// Free space where the data root will be, bytes.
    pub disk_free: u64,
    /// Space that what is not unpacked yet needs, bytes.
    pub disk_need: u64,
    /// The data root can be written.
    pub data_writable: bool,
    /// Ports of the node that others listen on, with the component that needs them.
    pub taken_ports: Vec<(u16, String)>,
    /// An IPv4 address other than the loopback's.
    pub address: bool,
    /// The clock.
    pub now: DateTime<Utc>,
    /// When this program was built.
    pub built: DateTime<Utc>,
    /// Swap, bytes.
    pub swap: u64,
    /// Open files that a process may have.
    pub open_files: u64,
    /// Processor is x86-64.
    pub x86_64: bool,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The node works, with a loss that is told.
    Warning,
    /// The node cannot work.
    Failure,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub title: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// Why it is not ok, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

const GIB: u64 = 1 << 30;
/// What the whole stack takes in memory at least.
const MEMORY: u64 = 4 * GIB;
/// What posts, logs and images need beyond the unpacked payload.
const DISK_RESERVE: u64 = 2 * GIB;

/// Judges the facts: every check, in the order of telling.
pub fn judge(f: &Facts) -> Vec<Check> {
    use Verdict::{Failure, Warning};
    let no = |list: &[String], wanted: &[&str]| -> Vec<String> {
        wanted.iter().filter(|w| !list.iter().any(|l| l == *w)).map(|w| (*w).to_owned()).collect()
    };
    let lacking = no(&f.controllers, &["cpu", "cpuset", "memory", "pids"]);
    let ports: Vec<String> = f.taken_ports.iter().map(|(p, c)| format!("{p} ({c})")).collect();
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / GIB as f64);
    let need = f.disk_need + DISK_RESERVE;
    vec![
        root(f.root),
        check("Rights of root", f.capable || !f.root, Failure, || ("CHK-102", "root lacks rights here".into(), "CAP_SYS_ADMIN or CAP_NET_ADMIN is missing, as inside a container".into(), "Run on the host itself, not in a container.".into())),
        check("Processor", f.x86_64, Failure, || ("CHK-103", "the processor is not x86-64".into(), "this file carries programs for x86-64 only".into(), "Use another host.".into())),
        check("Kernel version", at_least(&f.kernel, (5, 10)), Failure, || ("CHK-104", format!("the kernel {} is too old", f.kernel), "nftables and containers need 5.10 or later".into(), "Install Debian 12 or another system with a newer kernel.".into())),
        check("Namespaces", f.namespaces, Failure, || ("CHK-105", "the kernel lacks namespaces".into(), "/proc/self/ns has no net, mnt or pid".into(), "Boot the distribution's own kernel.".into())),
        check("Network address", f.address, Failure, || ("CHK-106", "this host has no network address".into(), "no link is up with an IPv4 address".into(), "Bring a link up, or name an address with --node-ip.".into())),
        check("Control groups", lacking.is_empty(), Failure, || ("CHK-107", format!("control groups lack {}", lacking.join(", ")), "the kernel or its command line switches them off".into(), "Boot with cgroup_enable=memory and cpuset, or mount /sys/fs/cgroup.".into())),
        check("Overlay file system", no(&f.filesystems, &["overlay"]).is_empty(), Failure, || ("CHK-108", "the kernel knows no overlay file system".into(), "/proc/filesystems does not name it".into(), "Load it with `modprobe overlay`, or boot the distribution's own kernel.".into())),
        check("Packet filter", f.nftables != Some(false), Failure, || ("CHK-109", "the kernel knows no nftables".into(), "it refused a request for its tables".into(), "Load it with `modprobe nf_tables`.".into())),
        check("Ports", ports.is_empty(), Failure, || ("CHK-110", format!("taken ports: {}", ports.join(", ")), "another program listens on them".into(), "End that program (`ss -ltnp` names it), or `antihate stop` if it is an earlier node.".into())),
        check("Space on disk", f.disk_free >= need, Failure, || ("CHK-111", format!("the disk has {} free and {} are needed", gib(f.disk_free), gib(need)), "images, models and posts lie below the data root".into(), "Free space, or choose another disk with --data.".into())),
        check("Data root", f.data_writable, Failure, || ("CHK-112", "the data root cannot be written".into(), "it, or the folder above it, is read-only or belongs to somebody else".into(), "Choose another folder with --data.".into())),
        clock(f.now, f.built),
        check("Memory", f.memory >= MEMORY, Failure, || ("CHK-114", format!("the host has {} of memory", gib(f.memory)), format!("the stack needs {}", gib(MEMORY)), "Add memory, or use another host.".into())),
        check("Cores", f.cores >= 2, Warning, || ("CHK-115", "the host has one core".into(), "classifying and storing share it".into(), "Expect a backlog under load; two cores carry the guide's volume.".into())),
        check("Swap", f.swap == 0, Warning, || ("CHK-116", format!("{} of swap are on", gib(f.swap)), "memory limits of pods do not hold with swap, and posts could lie on disk in the clear".into(), "Switch it off with `swapoff -a`, or encrypt it.".into())),
        check("Open files", f.open_files >= 65_536, Warning, || ("CHK-117", format!("a process may open {} files", f.open_files), "the container runtime wants 65,536".into(), "Raise it with `ulimit -n 1048576`; the systemd unit does.".into())),
    ]
}

/// The first check, which needs no other fact.
pub fn root(is: bool) -> Check {
    check("Runs as root", is, Verdict::Failure, || ("CHK-101", "this is not run as root".into(), "a node makes namespaces, mounts and control groups".into(), "Run the same command with sudo.".into()))
}

/// The clock, which may be set right later than a host starts.
pub fn clock(now: DateTime<Utc>, built: DateTime<Utc>) -> Check {
    check("Clock", now >= built, Verdict::Failure, || (CLOCK, format!("the clock says {}, before this program was built", now.format("%F %R")), "certificates made now would be wrong".into(), "Set the clock: `date -s '2026-11-23 12:00'`, or connect a time server.".into()))
}

/// The GPUs: a card that cannot be used is a loss, not a hindrance.
pub fn gpus(judged: &Judged) -> Check {
    let problem = judged.problems.first().cloned();
    Check { title: "GPU", verdict: if problem.is_some() { Verdict::Warning } else { Verdict::Ok }, problem }
}

/// Code of a clock that cannot be right.
pub const CLOCK: &str = "CHK-113";

type Words = (&'static str, String, String, String);

fn check(title: &'static str, holds: bool, otherwise: Verdict, words: impl FnOnce() -> Words) -> Check {
    if holds {
        return Check { title, verdict: Verdict::Ok, problem: None };
    }
    let (code, what, cause, next) = words();
    Check { title, verdict: otherwise, problem: Some(Problem::new(code, what, cause, next)) }
}

fn at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|p| p.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        Facts {
            root: true, kernel: "6.1.0-18-amd64".into(), namespaces: true, capable: true, x86_64: true,
            controllers: ["cpu", "cpuset", "memory", "pids"].map(String::from).into(),
            filesystems: vec!["overlay".into()], nftables: Some(true), cores: 2, memory: 8 * GIB, disk_free: 20 * GIB, disk_need: GIB,
            data_writable: true, taken_ports: vec![], address: true, now: DateTime::UNIX_EPOCH, built: DateTime::UNIX_EPOCH, swap: 0, open_files: 1 << 20,
        }
    }

    #[test]
    fn a_good_host_passes_every_check() {
        assert!(judge(&good()).iter().all(|c| c.verdict == Verdict::Ok));
    }

    #[test]
    fn a_card_without_a_driver_is_a_warning_and_no_card_is_none() {
        use crate::device::{Found, found::Card, judge};
        let card = Card { bus: "0000:3b:00.0".into(), driver: Some("nouveau".into()), numa: None };
        for (cards, verdict) in [(vec![], Verdict::Ok), (vec![card], Verdict::Warning)] {
            let checked = gpus(&judge(&Found { cards, ..Found::default() }, &Default::default()));
            assert_eq!(checked.verdict, verdict);
            assert_eq!(checked.problem.map(|p| p.code), (verdict == Verdict::Warning).then(|| "GPU-101".into()));
        }
    }

    #[test]
    fn each_check_fails_alone_with_its_own_code_cause_and_next_step() {
        let spoil: [(&str, fn(&mut Facts)); 17] = [
            ("CHK-101", |f| f.root = false), ("CHK-102", |f| f.capable = false), ("CHK-103", |f| f.x86_64 = false),
            ("CHK-104", |f| f.kernel = "4.19.0".into()), ("CHK-105", |f| f.namespaces = false), ("CHK-106", |f| f.address = false),
            ("CHK-107", |f| f.controllers.retain(|c| c != "memory")), ("CHK-108", |f| f.filesystems.clear()),
            ("CHK-109", |f| f.nftables = Some(false)), ("CHK-110", |f| f.taken_ports = vec![(6443, "kube-apiserver".into())]),
            ("CHK-111", |f| f.disk_free = GIB), ("CHK-112", |f| f.data_writable = false),
            ("CHK-113", |f| f.built = DateTime::UNIX_EPOCH + chrono::Days::new(1)), ("CHK-114", |f| f.memory = GIB),
            ("CHK-115", |f| f.cores = 1), ("CHK-116", |f| f.swap = GIB), ("CHK-117", |f| f.open_files = 1024),
        ];
        for (code, edit) in spoil {
            let mut facts = good();
            edit(&mut facts);
            let bad: Vec<Problem> = judge(&facts).into_iter().filter_map(|c| c.problem).collect();
            assert_eq!(bad.iter().map(|p| p.code.as_str()).collect::<Vec<_>>(), [code]);
            assert!(!bad[0].cause.is_empty() && bad[0].next.ends_with('.'), "{bad:?}");
        }
    }
}
