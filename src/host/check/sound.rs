//! A made-up host on which everything is as it should be.

use super::asked::{Asked, Disk};
use super::{Check, run};
use crate::config::GIB;
use crate::device::found::{Card, Gpu, SHARED};
use crate::device::{Found, library::Library};
use crate::host::facts::Address;
use crate::host::storage::{Step, check, encryption};
use chrono::{DateTime, Days};
use std::time::Duration;

/// The made-up host.
pub struct Host {
    dir: tempfile::TempDir,
    pub asked: Asked,
}

const FILES: &[(&str, &str)] = &[
    ("proc/cpuinfo", "processor\t: 0\nmodel name\t: A Sound Processor\nflags\t\t: fpu sse4_2 avx2 aes\n"),
    ("proc/stat", "cpu  1000 0 1000 8000 0 0 0 100 0 0\ncpu0 1 1 1 1 1 1 1 9999 0 0\n"),
    ("proc/loadavg", "0.10 0.20 0.30 1/200 4242\n"),
    ("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 12582912 kB\nSwapTotal: 0 kB\nHardwareCorrupted: 0 kB\nHugePages_Total: 0\nHugepagesize: 2048 kB\n"),
    ("proc/pressure/memory", "some avg10=0.00 avg60=0.10 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
    ("proc/vmstat", "oom_kill 0\noom_kill_other 7\n"),
    ("proc/cmdline", "root=/dev/vda ro quiet\n"),
    ("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t80\t1\n"),
    ("proc/filesystems", "nodev\tsysfs\n\text4\nnodev\toverlay\n"),
    ("proc/self/mountinfo", "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"),
    ("proc/self/status", "Name:\tx\nSeccomp:\t0\n"),
    ("proc/net/route", "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\neth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\nveth1\t05002A0A\t00000000\t0001\t0\t0\t0\tFFFFFFFF\n"),
    ("proc/net/dev", "Inter-|\n  eth0: 9000 5000 0 0 0 0 0 0 9000 5000 0 0\n"),
    ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
    ("proc/sys/kernel/pid_max", "4194304\n"),
    ("proc/sys/kernel/core_pattern", "core\n"),
    ("proc/sys/kernel/tainted", "0\n"),
    ("proc/sys/kernel/random/entropy_avail", "256\n"),
    ("proc/sys/kernel/keys/root_maxkeys", "1000000\n"),
    ("proc/sys/kernel/modules_disabled", "0\n"),
    ("proc/sys/fs/file-max", "9223372036854775807\n"),
    ("proc/sys/fs/inotify/max_user_instances", "128\n"),
    ("proc/sys/fs/inotify/max_user_watches", "60000\n"),
    ("proc/sys/vm/overcommit_memory", "0\n"),
    ("proc/sys/vm/panic_on_oom", "0\n"),
    ("proc/sys/vm/max_map_count", "65530\n"),
    ("proc/sys/net/ipv4/ip_forward", "0\n"),
    ("proc/sys/net/ipv4/conf/all/rp_filter", "2\n"),
    ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
    ("proc/sys/net/ipv4/neigh/default/gc_thresh3", "1024\n"),
    ("proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
    ("proc/sys/net/core/somaxconn", "4096\n"),
    ("lib/modules/6.1.0-18-amd64/modules.dep", "kernel/drivers/net/veth.ko:\nkernel/drivers/net/wireguard/wireguard.ko:\nkernel/net/netfilter/nf_conntrack.ko:\n"),
    ("lib/modules/6.1.0-18-amd64/modules.builtin", "kernel/fs/ext4/ext4.ko\n"),
    ("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n"),
    ("sys/fs/ext4/vda/errors_count", "0\n"),
    ("sys/dev/block/254:0/queue/rotational", "0\n"),
    ("sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "schedutil\n"),
    ("sys/devices/system/edac/mc/mc0/ue_count", "0\n"),
    ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
    ("sys/class/rtc/rtc0/since_epoch", "1728000000\n"),
    ("sys/class/net/eth0/mtu", "1500\n"),
    ("sys/class/net/eth0/speed", "1000\n"),
    ("etc/resolv.conf", "search example.org\nnameserver 192.0.2.1\n"),
    ("etc/hosts", "127.0.0.1 localhost\n"),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ("run/systemd/system/x", ""),
    ("run/systemd/timesync/synchronized", ""),
];

fn gpu() -> Found {
    let gpu = Gpu { bus: "0000:3b:00.0".into(), model: "Stand-in".into(), device: Some((1, 1)), ..Gpu::default() };
    let card = Card { bus: gpu.bus.clone(), driver: Some("nvidia".into()), numa: None };
    let library = Library { version: "580.1".into(), ..Library::default() };
    Found { cards: vec![card], driver: Some("580.1".into()), gpus: vec![gpu], library: Some(library), shared: SHARED.map(String::from).into() }
}

fn asked() -> Asked {
    let now = DateTime::UNIX_EPOCH + Days::new(20_000);
    let volumes = check::Disk { folder: "/srv".into(), step: Ok(Step::Go), free: 60 * GIB, used: 0, promised: 40 * GIB };
    let at_rest = encryption::Facts { device: Some("dm-0".into()), encrypted: true, dm_crypt: true };
    let disk = Disk {
        folder: "/var/lib/antihate".into(), need: GIB, free: 50 * GIB, total: 100 * GIB, files: Some((6_000_000, 5_000_000)), writable: true, owner: Some((0, 0o755)), socket: 60,
        run_free: Some(GIB), temporary_free: Some(GIB), latency: Some(Duration::from_millis(1)), volumes: Some(volumes), at_rest: Some(at_rest),
    };
    Asked {
        root: true, capable: true, resource: true, open_files: 1 << 20, processes: 1 << 16, core_files: 0, x86_64: true, cores: 4, requested: (500, 1400),
        nftables: Some(true), groups_writable: true, forwarding_settable: true, disk, addresses: vec![Address { link: "eth0".into(), ip: [192, 0, 2, 7].into() }],
        address_given: false, loopback: true, hostname: "leaf-1".into(), running: false, page: 8443, taken: vec![], taken_udp: vec![], answers: Some(true),
        now, built: now - Days::new(10), kept: Some((true, 0.01)), gpu: gpu(), gpu_tried: Some(Ok(1)), proxy: None, k3s: Some(Ok("v1.37.2+k3s1".into())),
    }
}

impl Host {
    pub fn sound() -> Host {
        let host = Host { dir: tempfile::tempdir().expect("a folder"), asked: asked() };
        FILES.iter().for_each(|(path, text)| host.put(path, text));
        let names = ["net", "mnt", "pid", "ipc", "uts", "user", "cgroup"].map(|n| format!("proc/self/ns/{n}"));
        let controllers = ["cpu", "cpuset", "memory", "pids", "blkio"].map(|n| format!("sys/fs/cgroup/{n}/cgroup.procs"));
        names.iter().chain(&controllers).for_each(|path| host.put(path, "1\n"));
        host
    }

    pub fn put(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    pub fn gone(&self, path: &str) {
        let path = self.dir.path().join(path);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.expect("removed");
    }

    /// Changes a word of a file, which must be there.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.dir.path().join(path)).expect("readable");
        assert!(text.contains(from), "{path} does not hold {from}");
        self.put(path, &text.replacen(from, to, 1));
    }

    pub fn checks(&self) -> Vec<Check> {
        run(self.dir.path(), &self.asked)
    }
}
