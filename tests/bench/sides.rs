//! The two sides of the node's benchmarks, each a test host of its own: the one file, and a shell script (`cluster.sh`) that
//! starts the same Kubernetes components with default settings.

use crate::api;
use crate::procs::{self, command};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{antihate, until};
use antihate::config::layout::Layout;
use antihate::host::facts;
use antihate::pki::cluster::{ClusterNames, ensure};
use antihate::process::cgroup::{Cgroup, MOUNT};
use antihate::process::scan;
use chrono::Utc;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Name of the node on both sides.
pub const NODE: &str = "leaf-1";
const PATIENCE: Duration = Duration::from_secs(900);

/// Something that makes a host a node.
pub trait Side {
    /// Its host.
    fn host(&self) -> &TestHost;
    /// Folder of its keys.
    fn pki(&self) -> PathBuf;
    /// Starts it; the moment of its exec.
    fn start(&mut self) -> Instant;
    /// Ends it and waits for that.
    fn stop(&mut self);
    /// Forgets the cluster; what was unpacked and imported stays.
    fn forget(&self);

    /// Starts it; seconds until its node is Ready.
    fn seconds_to_ready(&mut self) -> f64 {
        let begun = self.start();
        (api::node_ready(self.host(), &self.pki(), NODE) - begun).as_secs_f64()
    }
}

fn remove(paths: &[PathBuf]) {
    for path in paths {
        drop(std::fs::remove_dir_all(path));
    }
}

/// The one file.
pub struct Ours {
    host: TestHost,
    arguments: Vec<&'static str>,
    process: Option<Child>,
}

impl Ours {
    /// On a new host, with these arguments beside the usual.
    pub fn new(switch: &Switch, arguments: &[&'static str]) -> Ours {
        Ours { host: switch.host(), arguments: arguments.to_vec(), process: None }
    }

    /// Its files.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.host.data())
    }

    /// What it last published of itself.
    pub fn status(&self) -> serde_json::Value {
        std::fs::read(self.layout().status()).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Waits until a probe post came out of the database; the moment at which it was published.
    pub fn healthy(&self) -> Instant {
        until("the node is healthy", PATIENCE, || (self.status()["healthy"] == true).then(Instant::now))
    }

    /// Its host process.
    pub fn pid(&self) -> i32 {
        self.process.as_ref().expect("it was started").id() as i32
    }

    /// Its control group.
    pub fn group(&self) -> Cgroup {
        Cgroup::new(Path::new(MOUNT), &self.layout().cgroup())
    }

    /// How many workloads the stack has.
    pub fn workloads(&self) -> usize {
        let sample = self.arguments.iter().copied().filter(|a| *a == "--sample");
        let out = self.host.antihate(&["manifests"].into_iter().chain(sample).collect::<Vec<_>>());
        let kinds = ["kind: Deployment", "kind: StatefulSet", "kind: DaemonSet"];
        String::from_utf8_lossy(&out.stdout).lines().filter(|l| kinds.contains(l)).count()
    }
}

impl Side for Ours {
    fn host(&self) -> &TestHost {
        &self.host
    }

    fn pki(&self) -> PathBuf {
        self.layout().pki()
    }

    fn start(&mut self) -> Instant {
        let address = self.host.address.clone();
        let arguments = [&["up", "--node-ip", address.as_str(), "--name", NODE], self.arguments.as_slice()].concat();
        let begun = Instant::now();
        self.process = Some(self.host.start_antihate(&arguments, "up.log"));
        begun
    }

    fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let out = self.host.antihate(&["stop"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        drop(process.wait());
    }

    fn forget(&self) {
        let k = self.layout().kubernetes();
        remove(&[k.join("kine"), k.join("kubelet"), self.pki()]);
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        // Without a promise: the host's own end resets the node and ends what is left.
        if let Some(mut process) = self.process.take() {
            drop(self.host.antihate(&["reset", "--yes"]));
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// What the script unpacks: the same Kubernetes, model and images as the one file, packed by tar and zstd.
pub struct Archives {
    _folder: tempfile::TempDir,
    kubernetes: PathBuf,
    images: PathBuf,
}

impl Archives {
    /// Packs them from a node that was unpacked for this purpose.
    pub fn make(switch: &Switch) -> Archives {
        let base = std::env::var_os("ANTIHATE_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = tempfile::Builder::new().prefix("antihate-bench-").tempdir_in(base).expect("a folder");
        let mut ours = Ours::new(switch, &[]);
        ours.seconds_to_ready();
        let made = Archives { kubernetes: folder.path().join("kubernetes.tar.zst"), images: folder.path().join("images.tar.zst"), _folder: folder };
        sh("tar -C \"$0\" -ch current models | zstd -q -10 -T0 -o \"$1\"", &[&ours.host.data(), &made.kubernetes]);
        sh("\"$0\" payload export | zstd -q -10 -T0 -o \"$1\"", &[&antihate(), &made.images]);
        made
    }
}

fn sh(script: &str, arguments: &[&Path]) {
    let done = Command::new("bash").args(["-o", "pipefail", "-c", script]).args(arguments).status().expect("bash");
    assert!(done.success(), "{script}");
}

/// The shell script.
pub struct Plain<'a> {
    host: TestHost,
    archives: &'a Archives,
    images: bool,
    process: Option<Child>,
    group: Cgroup,
    group_name: String,
}

impl<'a> Plain<'a> {
    /// On a new host, with keys made beforehand; `images`: imports them beside the start.
    pub fn new(switch: &Switch, archives: &'a Archives, images: bool) -> Plain<'a> {
        let host = switch.host();
        let group_name = format!("antihate-bench-{}-{}", std::process::id(), host.address.replace('.', "-"));
        let group = Cgroup::new(Path::new(MOUNT), &group_name);
        group.create().and_then(|()| group.child("host").create()).expect("a control group");
        let names = ClusterNames {
            node: NODE.into(),
            node_ip: host.address.parse().expect("an address"),
            service_ip: antihate::host::settings::SERVICE_IP,
            api_port: antihate::host::settings::API_PORT,
            id: "1".into(),
        };
        let plain = Plain { host, archives, images, process: None, group, group_name };
        std::fs::create_dir_all(plain.pki()).expect("a folder");
        ensure(&plain.pki(), &names, time::OffsetDateTime::now_utc()).expect("keys");
        plain
    }

    fn root(&self) -> PathBuf {
        self.host.folder().join("plain")
    }

    /// Waits until the images are imported.
    pub fn imported(&self) {
        until("the images are imported", PATIENCE, || self.root().join("imported").exists().then_some(()));
    }

    /// Its components: without the script, and without the shims, which belong to pods.
    pub fn components(&self) -> Vec<i32> {
        let script = self.process.as_ref().map(|p| p.id() as i32);
        let mut pids = self.group.child("host").processes();
        pids.retain(|p| Some(*p) != script && !command(*p).contains("containerd-shim"));
        pids
    }

    /// Gives it the stack that the one file carries, and waits until every pod is Ready.
    pub fn carry(&self, arguments: &[&str]) {
        let since = Utc::now();
        for folder in antihate::manifests::folders(&Layout::new(&self.root())) {
            std::fs::create_dir_all(&folder.path).expect("a folder");
            std::os::unix::fs::chown(&folder.path, Some(folder.uid), Some(folder.gid)).expect("its owner");
            std::fs::set_permissions(&folder.path, std::os::unix::fs::PermissionsExt::from_mode(folder.mode)).expect("its mode");
        }
        let root = self.root().display().to_string();
        let size = [format!("--cpus={}", procs::cores()), format!("--memory-gib={}", procs::memory_gib())];
        let rendered = Command::new(antihate()).args(["manifests", "--json", "--data", &root]).args(&size).args(arguments).output().expect("antihate starts");
        let objects: serde_json::Value = serde_json::from_slice(&rendered.stdout).expect("JSON");
        let file = self.host.folder().join("objects.json");
        std::fs::write(&file, rendered.stdout).expect("written");
        let mut apply = self.host.command(self.root().join("current/kubernetes"));
        apply.arg("kubectl").arg("--kubeconfig").arg(self.pki().join("admin.kubeconfig")).args(["apply", "--server-side", "-f"]).arg(&file);
        let done = apply.env("HOME", self.host.folder()).output().expect("kubectl starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let kinds = ["Deployment", "StatefulSet", "DaemonSet"];
        let workloads = objects["items"].as_array().expect("a list").iter().filter(|o| kinds.iter().any(|k| o["kind"] == *k)).count();
        api::pods_ready(&self.host, &self.pki(), workloads, since);
    }
}

impl Side for Plain<'_> {
    fn host(&self) -> &TestHost {
        &self.host
    }

    fn pki(&self) -> PathBuf {
        self.host.folder().join("keys")
    }

    fn start(&mut self) -> Instant {
        let unpacked = self.root().join("current").exists();
        let log = std::fs::File::options().create(true).append(true).open(self.host.folder().join("plain.log")).expect("a log");
        let mut command = self.host.command(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/cluster.sh"));
        command.env("ROOT", self.root()).env("KEYS", self.pki()).env("CGROUP", &self.group_name).env("NODE", NODE).env("IP", &self.host.address);
        if !unpacked {
            command.env("ARCHIVE", &self.archives.kubernetes);
        }
        if self.images && !unpacked {
            command.env("IMAGES", &self.archives.images);
        }
        let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        command.env("RESTRICT", (!facts::has_capability(&own, facts::SYS_RESOURCE)).to_string());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let begun = Instant::now();
        self.process = Some(command.spawn().expect("the script starts"));
        begun
    }

    fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        scan::send(process.id() as i32, nix::sys::signal::Signal::SIGTERM);
        drop(process.wait());
        let left = scan::end(&self.group.processes(), Duration::from_secs(10));
        assert!(left.is_empty(), "processes of the script do not end: {left:?}");
    }

    fn forget(&self) {
        remove(&["kine", "kubelet"].map(|n| self.root().join(n)));
    }
}

impl Drop for Plain<'_> {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // The script first, or it would be ended with its children and could not be told from a failure.
            drop(process.kill());
            drop(process.wait());
        }
        scan::end(&self.group.processes(), Duration::from_secs(10));
        for _ in 0..50 {
            if self.group.remove().is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        eprintln!("the control group {} stays", self.group_name);
    }
}
