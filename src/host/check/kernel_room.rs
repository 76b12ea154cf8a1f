//! Kernel, continued: limits that a node runs into, and whether it can be trusted.

use super::kernel::Facts;
use super::tree::known;
use crate::status::check::{Check, Group};

const G: Group = Group::Kernel;
/// Bits of the kernel's own report: a program of it has died, the hardware has reported an error.
const FAULTS: u64 = 1 << 7 | 1 << 4;

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let mut all = limits(f);
    all.extend(trust(f));
    all
}

fn limits(f: &Facts) -> Vec<Check> {
    let low = |at: usize, least: u64| f.limits[at].is_some_and(|n| n < least);
    let told = |at: usize| known(f.limits[at]);
    vec![
        G.check("kernel.processes", "Processes of the host", "each pod may have 4096, and Java has dozens of threads", told(0))
            .warns(low(0, 32_768), "CHK-256", format!("the host may have {} processes", told(0)), "Raise it with `sysctl -w kernel.pid_max=4194304`, and for good in /etc/sysctl.d."),
        G.check("kernel.watchers", "Watchers of files", "containerd and the kubelet watch files of every pod", told(1))
            .warns(low(1, 128), "CHK-257", format!("a user may have {} watchers of files", told(1)), "Raise it with `sysctl -w fs.inotify.max_user_instances=512`, and for good in /etc/sysctl.d."),
        G.check("kernel.watched", "Watched files", "containerd and the kubelet watch files of every pod", told(2))
            .warns(low(2, 8_192), "CHK-258", format!("a user may watch {} files", told(2)), "Raise it with `sysctl -w fs.inotify.max_user_watches=524288`, and for good in /etc/sysctl.d."),
        G.check("kernel.files", "Open files of the host", "queue and database hold thousands open", told(3))
            .warns(low(3, 100_000), "CHK-259", format!("the host may have {} files open", told(3)), "Raise it with `sysctl -w fs.file-max=2097152`, and for good in /etc/sysctl.d."),
        G.check("kernel.mappings", "Mappings of memory", "the queue maps every segment of its log", told(4))
            .warns(low(4, 65_530), "CHK-260", format!("a program may have {} mappings of memory", told(4)), "Raise it with `sysctl -w vm.max_map_count=262144`, and for good in /etc/sysctl.d."),
        G.check("kernel.keys", "Keys in the kernel", "every container takes one", told(5))
            .warns(low(5, 1_000), "CHK-261", format!("root may have {} keys in the kernel", told(5)), "Raise it with `sysctl -w kernel.keys.root_maxkeys=1000000`, and for good in /etc/sysctl.d."),
    ]
}

fn trust(f: &Facts) -> Vec<Check> {
    let (bytes, place) = &f.core;
    let dumps = *bytes > 0 && !place.is_empty();
    let open = f.cmdline.split(' ').any(|w| w == "mitigations=off");
    let faulty = f.tainted & FAULTS != 0;
    vec![
        G.check("kernel.core-files", "Memory of crashed programs", "it would lie on disk, and posts and keys in it", if dumps { place } else { "not written" })
            .warns(dumps, "CHK-263", format!("a program that crashes writes its memory to disk ({place})"), "Start the node with `ulimit -c 0`, or set LimitCORE=0 in its unit."),
        G.check("kernel.mitigations", "Protection against weaknesses of the processor", "a program in one pod could read what another one computes", if open { "off" } else { "on" })
            .warns(open, "CHK-264", "the kernel was started without it (mitigations=off)", "Take that word out of the kernel's command line (on Debian: /etc/default/grub, then `update-grub`)."),
        G.check("kernel.faults", "Faults since boot", "a kernel that has faulted may do anything", if faulty { "reported" } else { "none" })
            .warns(faulty, "CHK-265", format!("the kernel reports a fault of its own or of the hardware (tainted is {})", f.tainted), "Read `dmesg`, then restart the host; if it comes again, look at memory and kernel."),
        G.check("kernel.random", "Random numbers", "keys are made of them when the node starts", known(f.random))
            .warns(f.random.is_some_and(|n| n < 128), "CHK-266", format!("the kernel has {} random bits at hand", known(f.random)), "Give the virtual machine a random device (virtio-rng), or install `rng-tools`."),
    ]
}
