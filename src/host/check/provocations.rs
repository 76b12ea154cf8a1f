//! Changes of a sound host, one a check: system, processor, memory, disk, kernel.

use super::sound::Host;
use crate::config::GIB;
use crate::status::Problem;
use std::time::Duration;

/// A check, and the change that makes it speak.
pub type Provocation = (&'static str, fn(&mut Host));

pub const SYSTEM: &[Provocation] = &[
    ("system.root", |h| h.asked.root = false),
    ("system.rights", |h| h.asked.capable = false),
    ("system.scores", |h| h.asked.resource = false),
    ("system.open-files", |h| h.asked.open_files = 1024),
    ("system.processes", |h| h.asked.processes = 1024),
    ("system.container", |h| h.put(".dockerenv", "")),
    ("system.kubernetes", |h| h.put("etc/kubernetes/manifests/x.yaml", "")),
    ("system.service", |h| h.gone("run/systemd/system")),
    ("system.identity", |h| h.put("etc/machine-id", "uninitialized\n")),
    ("system.restart", |h| h.put("run/reboot-required", "")),
    ("system.proxy", |h| h.asked.proxy = Some("http://proxy.example:3128".into())),
    ("system.k3s", |h| h.asked.k3s = Some(Err(Problem::new("K3S-102", "the k3s file is not a program", "it is a text", "Give the binary.")))),
];

pub const PROCESSOR: &[Provocation] = &[
    ("processor.architecture", |h| h.asked.x86_64 = false),
    ("processor.cores", |h| h.asked.cores = 1),
    ("processor.vectors", |h| h.edit("proc/cpuinfo", "avx2", "avx")),
    ("processor.ciphers", |h| h.edit("proc/cpuinfo", " aes", "")),
    ("processor.offline", |h| h.put("sys/devices/system/cpu/offline", "2-3\n")),
    ("processor.governor", |h| h.put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")),
    ("processor.emulated", |h| h.edit("proc/cpuinfo", "A Sound Processor", "QEMU TCG CPU version 2.5+")),
    ("processor.weaknesses", |h| h.put("sys/devices/system/cpu/vulnerabilities/mds", "Vulnerable: no microcode\n")),
    ("processor.stolen", |h| h.edit("proc/stat", " 100 0 0", " 5000 0 0")),
    ("processor.load", |h| h.put("proc/loadavg", "30.0 29.5 12.0 9/200 4242\n")),
    ("processor.limit", |h| h.put("sys/fs/cgroup/cpu.max", "150000 100000\n")),
    ("processor.requests", |h| h.asked.requested.0 = 5000),
];

pub const MEMORY: &[Provocation] = &[
    ("memory.total", |h| h.edit("proc/meminfo", "MemTotal: 16777216", "MemTotal: 2621440")),
    ("memory.limit", |h| h.put("sys/fs/cgroup/memory.max", "8589934592\n")),
    ("memory.available", |h| h.edit("proc/meminfo", "MemAvailable: 12582912", "MemAvailable: 1048576")),
    ("memory.requests", |h| h.asked.requested.1 = 20_000),
    ("memory.swap", |h| h.edit("proc/meminfo", "SwapTotal: 0", "SwapTotal: 2097152")),
    ("memory.huge-pages", |h| h.edit("proc/meminfo", "HugePages_Total: 0", "HugePages_Total: 4096")),
    ("memory.promises", |h| h.put("proc/sys/vm/overcommit_memory", "2\n")),
    ("memory.broken", |h| h.edit("proc/meminfo", "HardwareCorrupted: 0", "HardwareCorrupted: 4")),
    ("memory.errors", |h| h.put("sys/devices/system/edac/mc/mc0/ue_count", "3\n")),
    ("memory.pressure", |h| h.edit("proc/pressure/memory", "avg60=0.10", "avg60=44.00")),
    ("memory.panic", |h| h.put("proc/sys/vm/panic_on_oom", "1\n")),
    ("memory.ended", |h| h.edit("proc/vmstat", "oom_kill 0", "oom_kill 2")),
];

pub const DISK: &[Provocation] = &[
    ("disk.space", |h| h.asked.disk.need = 60 * GIB),
    ("disk.writable", |h| h.asked.disk.writable = false),
    ("disk.size", |h| (h.asked.disk.total, h.asked.disk.free) = (30 * GIB, 20 * GIB)),
    ("disk.used", |h| h.asked.disk.free = 9 * GIB),
    ("disk.files", |h| h.asked.disk.files = Some((6_000_000, 1000))),
    ("disk.run", |h| h.asked.disk.run_free = Some(1 << 20)),
    ("disk.temporary", |h| h.asked.disk.temporary_free = Some(0)),
    ("disk.programs", |h| h.edit("proc/self/mountinfo", "relatime", "relatime,noexec")),
    ("disk.sockets", |h| h.asked.disk.socket = 120),
    ("disk.kind", |h| h.edit("proc/self/mountinfo", "ext4", "nfs4")),
    ("disk.owner", |h| h.asked.disk.owner = Some((0, 0o777))),
    ("disk.barriers", |h| h.edit("proc/self/mountinfo", "vda rw", "vda rw,nobarrier")),
    ("disk.latency", |h| h.asked.disk.latency = Some(Duration::from_millis(80))),
    ("disk.turning", |h| h.put("sys/dev/block/254:0/queue/rotational", "1\n")),
    ("disk.errors", |h| h.put("sys/fs/ext4/vda/errors_count", "7\n")),
    ("disk.mirrors", |h| h.put("sys/block/md0/md/degraded", "1\n")),
    ("disk.volumes", |h| h.asked.disk.volumes.as_mut().expect("a disk").free = GIB),
    ("disk.encryption", |h| h.asked.disk.at_rest.as_mut().expect("a disk").encrypted = false),
];

pub const KERNEL: &[Provocation] = &[
    ("kernel.version", |h| {
        h.put("proc/sys/kernel/osrelease", "4.19.0-26-amd64\n");
        h.put("boot/config-4.19.0-26-amd64", "CONFIG_VETH=m\nCONFIG_WIREGUARD=m\nCONFIG_NF_CONNTRACK=m\n");
    }),
    ("kernel.namespaces", |h| h.gone("proc/self/ns/net")),
    ("kernel.more-namespaces", |h| h.gone("proc/self/ns/user")),
    ("kernel.overlay", |h| h.edit("proc/filesystems", "overlay", "aufs")),
    ("kernel.nftables", |h| h.asked.nftables = Some(false)),
    ("kernel.links", |h| h.edit("lib/modules/6.1.0-18-amd64/modules.dep", "veth", "dummy")),
    ("kernel.wireguard", |h| h.edit("lib/modules/6.1.0-18-amd64/modules.dep", "/wireguard.ko", "/x.ko")),
    ("kernel.tracking", |h| h.edit("lib/modules/6.1.0-18-amd64/modules.dep", "nf_conntrack", "x")),
    ("kernel.seccomp", |h| h.edit("proc/self/status", "Seccomp", "Nothing")),
    ("kernel.modules", |h| h.put("proc/sys/kernel/modules_disabled", "1\n")),
    ("kernel.selinux", |h| h.put("sys/fs/selinux/enforce", "1")),
    ("kernel.processes", |h| h.put("proc/sys/kernel/pid_max", "4096\n")),
    ("kernel.watchers", |h| h.put("proc/sys/fs/inotify/max_user_instances", "16\n")),
    ("kernel.watched", |h| h.put("proc/sys/fs/inotify/max_user_watches", "100\n")),
    ("kernel.files", |h| h.put("proc/sys/fs/file-max", "4096\n")),
    ("kernel.mappings", |h| h.put("proc/sys/vm/max_map_count", "1000\n")),
    ("kernel.keys", |h| h.put("proc/sys/kernel/keys/root_maxkeys", "200\n")),
    ("kernel.core-files", |h| h.asked.core_files = u64::MAX),
    ("kernel.mitigations", |h| h.put("proc/cmdline", "quiet mitigations=off\n")),
    ("kernel.faults", |h| h.put("proc/sys/kernel/tainted", "128\n")),
    ("kernel.random", |h| h.put("proc/sys/kernel/random/entropy_avail", "12\n")),
];
