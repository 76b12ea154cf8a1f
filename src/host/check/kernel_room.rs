//! Kernel, continued: limits that a node runs into, and whether it can be trusted.

use super::ceiling::Ceiling;
use super::kernel::Facts;
use super::tree::known;
use crate::status::check::{Check, Group};

const G: Group = Group::Kernel;
/// Bits of the kernel's own report: a program of it has died, the hardware has reported an error.
const FAULTS: u64 = 1 << 7 | 1 << 4;

/// Its limits.
pub const LIMITS: [Ceiling; 6] = [
    Ceiling { file: "kernel/pid_max", named: ("kernel.processes", "Processes of the host", "each pod may have 4096, and Java has dozens of threads"), least: 32_768, told: ("CHK-256", "the host may have {} processes"), enough: 4_194_304 },
    Ceiling { file: "fs/inotify/max_user_instances", named: ("kernel.watchers", "Watchers of files", "containerd and the kubelet watch files of every pod"), least: 128, told: ("CHK-257", "a user may have {} watchers of files"), enough: 512 },
    Ceiling { file: "fs/inotify/max_user_watches", named: ("kernel.watched", "Watched files", "containerd and the kubelet watch files of every pod"), least: 8_192, told: ("CHK-258", "a user may watch {} files"), enough: 524_288 },
    Ceiling { file: "fs/file-max", named: ("kernel.files", "Open files of the host", "queue and database hold thousands open"), least: 100_000, told: ("CHK-259", "the host may have {} files open"), enough: 2_097_152 },
    Ceiling { file: "vm/max_map_count", named: ("kernel.mappings", "Mappings of memory", "the queue maps every segment of its log"), least: 65_530, told: ("CHK-260", "a program may have {} mappings of memory"), enough: 262_144 },
    Ceiling { file: "kernel/keys/root_maxkeys", named: ("kernel.keys", "Keys in the kernel", "every container takes one"), least: 1_000, told: ("CHK-261", "root may have {} keys in the kernel"), enough: 1_000_000 },
];

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    LIMITS.iter().zip(f.limits).map(|(limit, found)| limit.judge(G, found)).chain(trust(f)).collect()
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
