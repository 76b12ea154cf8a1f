//! Small looks at the host that several parts share, and the facts that the stack's sizes follow from.

use super::check::{limits, tree::Tree};
use super::facts;
use super::settings::PORTS;
use crate::config::HostFacts;
use crate::config::layout::Layout;
use chrono::{DateTime, Utc};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Seconds since 1970 at which this program was written at the earliest; the build may give a later time.
const WRITTEN: i64 = 1_795_392_000; // 2026-11-23

/// When this program was built.
pub fn built() -> DateTime<Utc> {
    let given = option_env!("ANTIHATE_BUILT").and_then(|s| s.parse().ok()).unwrap_or(WRITTEN);
    DateTime::from_timestamp(given, 0).unwrap_or_default()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A line of `/proc/meminfo`, in bytes.
pub fn meminfo(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Asks the kernel for a file system, which makes it load a module that it has and did not need yet. Nothing is mounted: an overlay
/// that names no layers is refused.
pub fn awaken_overlay() {
    let _ = nix::mount::mount(None::<&str>, "/", Some("overlay"), nix::mount::MsFlags::empty(), None::<&str>);
}

/// The same for the driver that makes a disk of a file: opening its control node loads it, and nobody but udev makes that node before.
/// What fails here is told by whoever needs the driver.
pub fn awaken_loop() {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let node = Path::new("/dev/loop-control");
    let _ = mknod(node, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, makedev(10, 237));
    drop(std::fs::File::open(node));
}

/// Waits until the node's ports are free, at most `limit`. Processes that are ended close their ports a little later: one that a
/// killed parent took along has lost its environment, by which it would be found, before it closes its files.
pub fn await_free_ports(limit: Duration) {
    let deadline = Instant::now() + limit;
    while !taken_ports().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ports of the node that something else listens on.
fn taken_ports() -> Vec<(u16, String)> {
    PORTS.iter().filter(|(port, _)| is_taken(*port)).map(|(port, who)| (*port, who.to_string())).collect()
}

/// Something listens on this TCP port.
pub fn is_taken(port: u16) -> bool {
    in_use(TcpListener::bind(("0.0.0.0", port)))
}

/// A socket could not be bound because another has its port.
pub fn in_use<T>(bound: std::io::Result<T>) -> bool {
    bound.is_err_and(|e| e.kind() == std::io::ErrorKind::AddrInUse)
}

/// What there is of the way to `path`.
pub fn existing(path: &Path) -> &Path {
    path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"))
}

/// A file can be made at `path`, or above it.
pub fn writable(path: &Path) -> bool {
    tempfile::Builder::new().prefix(".antihate-check-").tempfile_in(existing(path)).is_ok()
}

/// The folder whose disk takes the volumes: the one that was chosen, or the one they lie in.
pub fn volumes_disk(layout: &Layout, chosen: Option<&Path>) -> PathBuf {
    let volumes = layout.volumes();
    existing(chosen.unwrap_or(&volumes)).to_path_buf()
}

/// Reads what the sizes of the stack follow from.
pub fn host_facts(layout: &Layout, chosen: Option<&Path>) -> HostFacts {
    let tree = Tree::new(Path::new("/"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = meminfo(&read("/proc/meminfo"), "MemTotal");
    let (cpu_millis, memory_bytes) = limits::scaled(cores, memory, (limits::cores(&tree), limits::memory(&tree)));
    HostFacts {
        hostname: facts::hostname(),
        cpu_millis,
        memory_bytes,
        disk_bytes: fs2::total_space(volumes_disk(layout, chosen)).unwrap_or(0),
        resolvers: facts::resolvers(&read("/etc/resolv.conf")),
        data: layout.data.clone(),
    }
}

/// The address that the node would choose now.
pub fn address() -> Option<std::net::Ipv4Addr> {
    facts::choose_address(&facts::addresses(), facts::default_link(&read("/proc/net/route")).as_deref())
}

/// Lets this process and its children open as many files as the host allows.
pub fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without effect where the host forbids it; the preflight warns of too low a limit.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_bytes() {
        assert_eq!(meminfo("MemTotal:  2 kB\nSwapTotal: 0 kB\n", "MemTotal"), 2048);
    }

    #[test]
    fn a_port_that_another_program_listens_on_is_found() {
        // Port 6443 may be in use on the machine that runs this test; then it is found as well.
        let _held = TcpListener::bind(("127.0.0.1", 10259));
        assert!(taken_ports().iter().any(|(port, who)| *port == 10259 && who == "kube-scheduler"));
    }

    #[test]
    fn a_port_that_is_closed_a_little_later_is_waited_for() {
        let held = TcpListener::bind(("127.0.0.1", 10256));
        let closing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(held);
        });
        await_free_ports(Duration::from_secs(10));
        assert!(closing.is_finished() || !taken_ports().is_empty());
        closing.join().expect("it ends");
    }

    #[test]
    fn the_clock_of_the_build_lies_in_the_past_of_this_test() {
        assert!(built() <= Utc::now());
    }
}
