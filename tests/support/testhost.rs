//! A test host: a network namespace with mounts and a data root of its own, on a switch that the test made. The places outside a data
//! root where Kubernetes' parts leave something (`/run`, `/var/lib`, `/var/log`) are its own and empty, so that hosts do not meet there.
//!
//! A holder process keeps the namespaces; commands enter them by its pid. Whatever is started here ends in `Drop`, by process id.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

static COUNTER: AtomicU32 = AtomicU32::new(0);
/// Places that every host has to itself.
const OWN: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// True where this machine can carry test hosts; says why not otherwise.
pub fn can_run() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let namespaces = root && Command::new("unshare").args(["--net", "--mount", "true"]).status().is_ok_and(|s| s.success());
    if !namespaces {
        eprintln!("SKIPPED: a test host needs root and the right to make network and mount namespaces");
    }
    namespaces
}

fn run(command: &mut Command) {
    let out = command.output().expect("the program can be started");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

fn ip(args: &[&str]) {
    run(Command::new("ip").args(args));
}

/// A network segment: a bridge in a namespace of its own. Nothing of it is seen by the machine's own network.
pub struct Switch {
    name: String,
    network: &'static str,
    hosts: AtomicU32,
}

impl Switch {
    /// Makes the segment 192.0.2.0/24.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Switch {
        Switch::numbered("192.0.2")
    }

    /// Makes the segment `network`.0/24.
    pub fn numbered(network: &'static str) -> Switch {
        let name = format!("ah{}x{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name]);
        ip(&["-n", &name, "link", "add", "sw0", "type", "bridge"]);
        ip(&["-n", &name, "link", "set", "sw0", "up"]);
        Switch { name, network, hosts: AtomicU32::new(0) }
    }

    /// Connects a new host with the next free address.
    pub fn host(&self) -> TestHost {
        let number = 10 + self.hosts.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}h{number}", self.name);
        let (near, port) = (format!("u{number}"), format!("p{number}"));
        ip(&["netns", "add", &name]);
        ip(&["-n", &self.name, "link", "add", &port, "type", "veth", "peer", "name", &near, "netns", &name]);
        ip(&["-n", &self.name, "link", "set", &port, "master", "sw0", "up"]);
        ip(&["-n", &name, "link", "set", &near, "name", "eth0"]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        let address = format!("{}.{number}", self.network);
        ip(&["-n", &name, "addr", "add", &format!("{address}/24"), "dev", "eth0"]);
        ip(&["-n", &name, "link", "set", "eth0", "up"]);
        TestHost::start(name, self.name.clone(), port, address)
    }
}

impl Switch {
    /// Gives a host another link to this segment.
    pub fn plug(&self, host: &TestHost, link: &str, address: &str) {
        let (port, near) = (format!("q{}{link}", host.port), format!("n{}{link}", host.port));
        ip(&["-n", &self.name, "link", "add", &port, "type", "veth", "peer", "name", &near, "netns", &host.name]);
        ip(&["-n", &self.name, "link", "set", &port, "master", "sw0", "up"]);
        ip(&["-n", &host.name, "link", "set", &near, "name", link]);
        ip(&["-n", &host.name, "addr", "add", &format!("{address}/24"), "dev", link]);
        ip(&["-n", &host.name, "link", "set", link, "up"]);
    }

    /// Its network, for a thread that wants to look at what crosses it.
    pub fn network(&self) -> std::fs::File {
        std::fs::File::open(format!("/run/netns/{}", self.name)).expect("its network")
    }
}

/// A router between segments: the first address of each. Nothing of it is seen by the machine's own network.
pub struct Router(String);

impl Router {
    /// Connects them.
    pub fn between(segments: &[&Switch]) -> Router {
        let name = format!("{}r", segments[0].name);
        ip(&["netns", "add", &name]);
        for (n, segment) in segments.iter().enumerate() {
            let near = format!("eth{n}");
            ip(&["-n", &segment.name, "link", "add", "router", "type", "veth", "peer", "name", &near, "netns", &name]);
            ip(&["-n", &segment.name, "link", "set", "router", "master", "sw0", "up"]);
            ip(&["-n", &name, "addr", "add", &format!("{}.1/24", segment.network), "dev", &near]);
            ip(&["-n", &name, "link", "set", &near, "up"]);
        }
        run(Command::new("ip").args(["netns", "exec", &name, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]));
        Router(name)
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.0]).output());
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.name]).output());
    }
}

/// One host.
pub struct TestHost {
    name: String,
    switch: String,
    port: String,
    /// Its address on the segment.
    pub address: String,
    holder: Child,
    data: tempfile::TempDir,
}

impl TestHost {
    fn start(name: String, switch: String, port: String, address: String) -> TestHost {
        let net = format!("--net=/run/netns/{name}");
        let own = format!("for place in {}; do mount -t tmpfs -o mode=755 own $place || exit 1; done; exec sleep infinity", OWN.join(" "));
        // Not `ip netns exec`: it mounts /sys anew and so hides the control groups.
        let holder = Command::new("nsenter")
            .args([net.as_str(), "unshare", "--mount", "--propagation", "private", "sh", "-c", &own])
            .stdin(Stdio::null())
            .spawn()
            .expect("nsenter starts");
        let base = std::env::var_os("ANTIHATE_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let data = tempfile::Builder::new().prefix("antihate-host-").tempdir_in(base).expect("a data folder");
        let host = TestHost { name, switch, port, address, holder, data };
        let settled = |h: &TestHost| std::fs::read_to_string(format!("/proc/{}/comm", h.holder.id())).is_ok_and(|name| name.trim() == "sleep");
        super::until("the host's namespaces stand", std::time::Duration::from_secs(20), || settled(&host).then_some(()));
        host
    }

    /// Folder for everything of this host.
    pub fn folder(&self) -> &Path {
        self.data.path()
    }

    /// Data root of the node.
    pub fn data(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// Its network, for a thread that wants to enter it.
    pub fn network(&self) -> std::fs::File {
        std::fs::File::open(format!("/run/netns/{}", self.name)).expect("its network")
    }

    /// The process that keeps its namespaces.
    pub fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// A command that will run inside this host.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.holder.id().to_string();
        command.args(["--target", &pid, "--net", "--mount", "--"]).arg(program).stdin(Stdio::null());
        command
    }

    /// Runs `antihate` here and waits for its end.
    pub fn antihate(&self, args: &[&str]) -> Output {
        self.command(super::antihate()).args(args).env("ANTIHATE_DATA", self.data()).output().expect("antihate starts")
    }

    /// Starts `antihate` here; its output goes to `<folder>/<log>`.
    pub fn start_antihate(&self, args: &[&str], log: &str) -> Child {
        self.spawn(self.command(super::antihate()).args(args), log)
    }

    /// The same with a PATH on which no program lies, as on a bare host.
    pub fn start_bare(&self, args: &[&str], log: &str) -> Child {
        // nsenter itself is found by this process's own PATH, before the new one holds.
        self.spawn(self.command("/usr/bin/env").args(["-i", "PATH=/nonexistent", &format!("ANTIHATE_DATA={}", self.data().display())]).arg(super::antihate()).args(args), log)
    }

    fn spawn(&self, command: &mut Command, log: &str) -> Child {
        let file = std::fs::File::options().create(true).append(true).open(self.folder().join(log)).expect("a log file");
        let both = file.try_clone().expect("a second handle");
        command.env("ANTIHATE_DATA", self.data()).stdout(file).stderr(both).spawn().expect("antihate starts")
    }

    /// Waits until this host's node is healthy; its whole status.
    pub fn healthy(&self) -> serde_json::Value {
        let out = self.antihate(&["status", "--wait", "--timeout", "600", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
        assert_eq!(status["healthy"], true, "{status:#}");
        status
    }

    /// After a failure the host's logs are what tells why: they are copied, below `place`, before the folder goes.
    pub fn keep_logs(&self, place: &str) {
        let Some(to) = std::env::var_os("ANTIHATE_TEST_LOGS").map(|to| PathBuf::from(to).join(place)) else { return };
        drop(std::fs::create_dir_all(&to));
        let script = "cd \"$0\" && find . -name '*.log' -type f -size -32M -print0 | xargs -0 -r cp --parents -t \"$1\"";
        drop(Command::new("sh").args(["-c", script]).arg(self.folder()).arg(&to).status());
    }

    /// Cuts or restores the link to the segment.
    pub fn link(&self, up: bool) {
        ip(&["-n", &self.switch, "link", "set", &self.port, if up { "up" } else { "down" }]);
    }

    /// Keeps this host from the others that are kept apart, without a loss of its link; or no longer.
    pub fn apart(&self, apart: bool) {
        ip(&["-n", &self.switch, "link", "set", &self.port, "type", "bridge_slave", "isolated", if apart { "on" } else { "off" }]);
    }

    /// Processes in this host's network namespace, by pid.
    pub fn processes(&self) -> Vec<i32> {
        let out = Command::new("ip").args(["netns", "pids", &self.name]).output().expect("ip runs");
        let holder = self.holder.id() as i32;
        String::from_utf8_lossy(&out.stdout).lines().filter_map(|l| l.trim().parse().ok()).filter(|p| *p != holder).collect()
    }

    /// Processes of this host's pods, without those that only hold a pod's namespaces.
    pub fn container_processes(&self) -> Vec<i32> {
        let group = antihate::config::layout::Layout::new(&self.data()).cgroup();
        let pods = antihate::process::cgroup::Cgroup::new(Path::new(antihate::process::cgroup::MOUNT), &group).child("kubepods");
        let name = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        pods.processes().into_iter().filter(|pid| name(pid).trim() != "pause").collect()
    }

    /// Where a path of this host's own places lies for who is outside.
    pub fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.holder.id()))
    }

    /// What lies at the places outside the data root that are this host's own, but for the folder that `mount` makes on every host.
    pub fn elsewhere(&self) -> String {
        let out = self.command("find").args(OWN).args(["-mindepth", "1", "-not", "-path", "/run/mount", "-not", "-path", "/run/mount/*"]).output().expect("find");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Mount points inside this host's mount namespace that lie below its folder.
    pub fn mounts(&self) -> Vec<String> {
        let text = std::fs::read_to_string(format!("/proc/{}/mountinfo", self.holder.id())).unwrap_or_default();
        let folder = self.folder().display().to_string();
        text.lines().filter_map(|l| l.split(' ').nth(4)).filter(|p| p.starts_with(&folder)).map(str::to_owned).collect()
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs("");
        }
        drop(self.antihate(&["reset", "--yes"]));
        for pid in self.processes() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        drop(self.holder.kill());
        drop(self.holder.wait());
        drop(Command::new("ip").args(["netns", "del", &self.name]).output());
    }
}

