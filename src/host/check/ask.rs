//! Asks the kernel and this program what the checks need beside files. The only part of the checks that does anything.

use super::asked::{Asked, Disk};
use super::{measure, ports};
use crate::config::Sizes;
use crate::config::layout::Layout;
use crate::device::found;
use crate::files;
use crate::host::settings::PORTS;
use crate::host::{facts, survey};
use crate::process::{cgroup, clock, netlink};
use chrono::Utc;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{AccessFlags, access};
use std::net::UdpSocket;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Where the node lies, or will.
    pub layout: &'a Layout,
    /// Bytes of what is not unpacked yet.
    pub need: u64,
    /// The operator names the address.
    pub address: bool,
    /// Port of the page.
    pub page: u16,
    /// Folder below which the GPU driver's files lie.
    pub driver_root: &'a Path,
    /// A node runs here: its ports are its own.
    pub running: bool,
    /// Nothing that takes time: no measurement, no question to another machine.
    pub quick: bool,
}

/// Asks everything. What only the command line knows (volumes, k3s, tries on a GPU) is left open.
pub fn ask(q: &Question) -> Asked {
    survey::awaken_overlay();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let root = nix::unistd::geteuid().is_root();
    let can = |number| facts::has_capability(&status, number);
    let host = survey::host_facts(q.layout, None);
    let limit = |what: Resource, hard: bool| getrlimit(what).map_or(0, |(soft, most)| if hard { most } else { soft });
    Asked {
        root,
        capable: can(facts::SYS_ADMIN) && can(facts::NET_ADMIN),
        resource: can(facts::SYS_RESOURCE),
        open_files: limit(Resource::RLIMIT_NOFILE, true),
        processes: limit(Resource::RLIMIT_NPROC, true),
        core_files: limit(Resource::RLIMIT_CORE, false),
        x86_64: std::env::consts::ARCH == "x86_64",
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        requested: Sizes::of(host.cpu_millis, host.memory_bytes, host.disk_bytes).requested(),
        nftables: netlink::nftables(),
        // Who is not root hears of that alone.
        groups_writable: !root || groups_writable(),
        forwarding_settable: !root || may_write(Path::new("/proc/sys/net/ipv4/ip_forward")),
        disk: disk(q),
        addresses: facts::all_addresses(),
        address_given: q.address,
        loopback: facts::has_loopback(),
        running: q.running,
        page: q.page,
        // Of a node that runs here nothing is tried: a component that is started anew would find its port taken.
        taken: PORTS.iter().map(|(port, _)| *port).chain(ports::FURTHER).chain([q.page]).filter(|port| !q.running && survey::is_taken(*port)).collect(),
        taken_udp: ports::UDP.into_iter().filter(|port| !q.running && survey::in_use(UdpSocket::bind(("0.0.0.0", *port)))).collect(),
        answers: if q.quick || host.resolvers.is_empty() { None } else { Some(measure::answers(&host.resolvers)) },
        hostname: host.hostname,
        now: Utc::now(),
        built: survey::built(),
        kept: clock::kept(),
        gpu: found::read(q.driver_root),
        gpu_tried: None,
        proxy: ["HTTPS_PROXY", "https_proxy"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty())),
        k3s: None,
    }
}

fn may_write(path: &Path) -> bool {
    access(path, AccessFlags::W_OK).is_ok()
}

fn groups_writable() -> bool {
    let mount = Path::new(cgroup::MOUNT);
    if cgroup::is_v2(mount) { may_write(mount) } else { may_write(&mount.join("memory")) }
}

fn disk(q: &Question) -> Disk {
    let folder = survey::existing(&q.layout.data);
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let counted = nix::sys::statvfs::statvfs(&folder).ok().map(|s| (s.files() as u64, s.files_available() as u64));
    let meta = std::fs::metadata(&q.layout.data).ok();
    let kubelet = q.layout.kubernetes().join("kubelet/device-plugins/kubelet.sock");
    let sockets: [PathBuf; 2] = [q.layout.containerd_socket().with_extension("sock.ttrpc"), kubelet];
    let free = |path: &Path| files::free_space(survey::existing(path)).ok();
    Disk {
        need: q.need,
        free: free(&folder).unwrap_or(0),
        total: fs2::total_space(&folder).unwrap_or(0),
        files: counted.filter(|(all, _)| *all > 0),
        writable: survey::writable(&q.layout.data),
        owner: meta.map(|m| (m.uid(), m.mode() & 0o7777)),
        socket: sockets.iter().map(|s| s.as_os_str().len()).max().unwrap_or(0),
        run_free: free(&q.layout.run).filter(|_| !q.layout.run.starts_with(&q.layout.data)),
        temporary_free: free(&std::env::temp_dir()),
        latency: if q.quick { None } else { measure::latency(&folder) },
        volumes: None,
        at_rest: None,
        folder,
    }
}
