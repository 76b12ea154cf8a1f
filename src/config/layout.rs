//! Where everything lies on the host: one data root, one run directory, and every path below them.
//!
//! The default root uses `/run/antihate` for sockets; any other root keeps them below itself, so that
//! several nodes can share a machine, each a host of its own.

use std::path::{Path, PathBuf};

/// The data root when nobody says otherwise.
pub const DEFAULT_DATA: &str = "/var/lib/antihate";

/// All paths of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The data root.
    pub data: PathBuf,
    /// Sockets, PIN, kubelet runtime: may vanish with a restart of the machine.
    pub run: PathBuf,
}

impl Layout {
    /// The layout below `data`, which should be absolute.
    pub fn new(data: &Path) -> Layout {
        let run = if data == Path::new(DEFAULT_DATA) { PathBuf::from("/run/antihate") } else { data.join("run") };
        Layout { data: data.to_path_buf(), run }
    }

    /// Content-addressed unpacked payloads.
    pub fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    /// Link to the payload in use.
    pub fn current(&self) -> PathBuf {
        self.data.join("current")
    }

    /// Unpacked models, one folder each.
    pub fn models(&self) -> PathBuf {
        self.data.join("models")
    }

    /// Keys and certificates of the cluster.
    pub fn pki(&self) -> PathBuf {
        self.data.join("pki")
    }

    /// This host's place in its cluster, and what it was joined with.
    pub fn cluster(&self) -> PathBuf {
        self.data.join("cluster")
    }

    /// State of the cluster's components.
    pub fn kubernetes(&self) -> PathBuf {
        self.data.join("kubernetes")
    }

    /// Rendered configuration of the cluster's components.
    pub fn rendered(&self) -> PathBuf {
        self.kubernetes().join("etc")
    }

    /// Persistent data of the workloads.
    pub fn volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    /// Where an encrypted disk is mounted that takes the volumes.
    pub fn encrypted(&self) -> PathBuf {
        self.data.join("encrypted")
    }

    /// Log of one component.
    pub fn log(&self, component: &str) -> PathBuf {
        self.data.join("logs").join(format!("{component}.log"))
    }

    /// What the node knows of its enrollment.
    pub fn identity(&self) -> PathBuf {
        self.data.join("identity")
    }

    /// Host-side SQLite database.
    pub fn node_db(&self) -> PathBuf {
        self.data.join("node.db")
    }

    /// Lock of the one process that may change this node.
    pub fn lock(&self) -> PathBuf {
        self.data.join("lock")
    }

    /// The status as the running host process last published it (JSON).
    pub fn status(&self) -> PathBuf {
        self.run.join("status.json")
    }

    /// Kubeconfig of the administrator.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.pki().join("admin.kubeconfig")
    }

    /// Kubeconfig of a joined host's own process: it may look at pods, policies and hosts.
    pub fn host_kubeconfig(&self) -> PathBuf {
        self.pki().join("host.kubeconfig")
    }

    /// What kubectl sees of its environment when it asks with the credentials of `kubeconfig`.
    pub fn kubectl_environment(&self, kubeconfig: &Path) -> [(String, String); 2] {
        [("KUBECONFIG", kubeconfig), ("HOME", &self.kubernetes().join("home"))].map(|(name, path)| (name.to_owned(), path.display().to_string()))
    }

    /// The containerd socket.
    pub fn containerd_socket(&self) -> PathBuf {
        self.run.join("containerd.sock")
    }

    /// The kine socket.
    pub fn kine_socket(&self) -> PathBuf {
        self.run.join("kine.sock")
    }

    /// State of etcd's member on this host.
    pub fn etcd(&self) -> PathBuf {
        self.kubernetes().join("etcd")
    }

    /// What containerd reads to give devices to containers.
    pub fn cdi(&self) -> PathBuf {
        self.run.join("cdi")
    }

    /// Name of this node's cgroup root: fixed for the default root, otherwise made from the path.
    pub fn cgroup(&self) -> String {
        if self.data == Path::new(DEFAULT_DATA) {
            return "antihate".into();
        }
        use sha2::Digest;
        let hash = sha2::Sha256::digest(self.data.as_os_str().as_encoded_bytes());
        format!("antihate-{}", &hex::encode(hash)[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_root_runs_in_run_and_another_below_itself() {
        assert_eq!(Layout::new(Path::new(DEFAULT_DATA)).run, Path::new("/run/antihate"));
        assert_eq!(Layout::new(Path::new("/tmp/a")).run, Path::new("/tmp/a/run"));
    }

    #[test]
    fn two_roots_have_two_cgroups() {
        let (a, b) = (Layout::new(Path::new("/tmp/a")), Layout::new(Path::new("/tmp/b")));
        assert_ne!(a.cgroup(), b.cgroup());
        assert_eq!(Layout::new(Path::new(DEFAULT_DATA)).cgroup(), "antihate");
    }
}
