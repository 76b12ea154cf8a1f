//! A k3s binary that the operator supplies, as the second distribution: where it keeps what, and what a node remembers of it.
//!
//! Its life: [`binary`] looks at the file, refuses it or copies it below the data root; [`render`] writes what it reads; one child
//! `k3s server` is started and asked through the same checks as the embedded components. `appliance/k3s/CONTRACT.md` tells what is
//! relied on. It is never patched, never given arguments other than its configuration file, and never trusted unread.

pub mod binary;
#[cfg(test)]
mod binary_tests;
pub mod render;
#[cfg(test)]
mod render_tests;

use super::distribution::Places;
use super::probe::Credentials;
use super::render::commands::Component;
use super::settings::{API_PORT, Settings};
use crate::config::layout::Layout;
use crate::files;
use crate::process::cgroup::{self, Cgroup};
use crate::status::Problem;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

/// What the child is called.
pub const NAME: &str = "k3s";
/// What runs inside of it and is asked by itself.
pub const PARTS: [&str; 3] = ["containerd", "kubelet", "kube-proxy"];
/// The folder that k3s uses for running state; it cannot be told another one.
pub const STATE: &str = "/run/k3s";
/// Its containerd's socket, for the same reason.
pub const SOCKET: &str = "/run/k3s/containerd/containerd.sock";
/// Where it keeps the password by which a node proves that it is the same one; again, fixed.
pub const NODE_PASSWORD: &str = "/etc/rancher/node/password";
/// The port behind which k3s has its API server; what everybody asks is the one before it.
pub const INNER_PORT: u16 = API_PORT + 1;
/// Where it links its kubeconfig to.
pub const KUBECONFIG_LINK: &str = "/etc/rancher/k3s/k3s.yaml";
/// Variable by which it knows its data folder where it reads no configuration file.
pub const DATA_VARIABLE: &str = "K3S_DATA_DIR";

/// One k3s binary, looked at and accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct K3s {
    /// Its sum.
    pub sha256: String,
    /// Its version as it says, such as `v1.37.2+k3s1`.
    pub version: String,
}

/// What a node remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The binary.
    pub k3s: K3s,
    /// Another k3s had left its password on this host before: then it is not ours to remove.
    pub foreign_password: bool,
}

fn home(layout: &Layout) -> PathBuf {
    layout.kubernetes().join(NAME)
}

/// Its data folder.
pub fn data(layout: &Layout) -> PathBuf {
    home(layout).join("data")
}

/// The file with the token that it is given.
pub fn token(layout: &Layout) -> PathBuf {
    home(layout).join("token")
}

fn record_file(layout: &Layout) -> PathBuf {
    home(layout).join("node.json")
}

/// What the node below `layout` remembers, if it was made with k3s.
pub fn recorded(layout: &Layout) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(record_file(layout)).ok()?).ok()
}

/// Remembers.
pub fn record(layout: &Layout, record: &Record) -> std::io::Result<()> {
    files::replace(&record_file(layout), &serde_json::to_vec(record).expect("plain data"), 0o600)
}

/// Folders outside of data root and run directory that are to go with the node.
pub fn elsewhere(layout: &Layout) -> Vec<PathBuf> {
    let foreign = recorded(layout).is_some_and(|r| r.foreign_password);
    let node = Path::new(NODE_PASSWORD).parent().expect("a folder");
    // Where its kubeconfig is written to another place, k3s leaves a link to it at the usual one.
    let link = Path::new(KUBECONFIG_LINK);
    let ours = std::fs::read_link(link).is_ok_and(|to| to.starts_with(&layout.data));
    let linked = ours.then(|| link.parent().map(Path::to_path_buf)).flatten();
    [Some(PathBuf::from(STATE)), (!foreign).then(|| node.to_path_buf()), linked].into_iter().flatten().collect()
}

/// Where things lie.
pub fn places(layout: &Layout) -> Places {
    Places {
        database: data(layout).join("server/db/state.db"),
        runtime_root: data(layout).join("agent/containerd"),
        runtime_state: Path::new(STATE).join("containerd"),
    }
}

/// The administrator's certificate, where k3s puts it on its first start.
pub fn credentials(layout: &Layout) -> Credentials {
    let tls = data(layout).join("server/tls");
    Credentials { trust: tls.join("server-ca.crt"), certificate: tls.join("client-admin.crt"), key: tls.join("client-admin.key") }
}

/// Processes of this node that its mark does not find: k3s writes its title over its own environment. All are in the control
/// group that only this node's components are put into.
pub fn strays(layout: &Layout) -> Vec<i32> {
    recorded(layout).map(|_| Cgroup::new(Path::new(cgroup::MOUNT), &layout.cgroup()).child("host").processes()).unwrap_or_default()
}

/// Folders, the token, and the names under which the rest of the program finds what k3s makes; returns what was made.
pub fn prepare(layout: &Layout) -> Result<Vec<String>, Problem> {
    let failed = |path: &Path, e: &std::io::Error| Problem::new("K3S-112", format!("cannot make {}", path.display()), e.to_string(), "see that the data root is whole and writable, then start again");
    for folder in [home(layout), data(layout), data(layout).join("server/db")] {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|e| failed(&folder, &e))?;
    }
    let mut made = Vec::new();
    let token = token(layout);
    if std::fs::metadata(&token).map_or(0, |m| m.len()) == 0 {
        files::replace(&token, random().as_bytes(), 0o600).map_err(|e| failed(&token, &e))?;
        made.push("token".into());
    }
    for (name, target) in [
        (layout.admin_kubeconfig(), data(layout).join("server/cred/admin.kubeconfig")),
        (layout.log("containerd"), data(layout).join("agent/containerd/containerd.log")),
    ] {
        if std::fs::read_link(&name).ok().as_ref() != Some(&target) {
            drop(std::fs::remove_file(&name));
            symlink(&target, &name).map_err(|e| failed(&name, &e))?;
        }
    }
    Ok(made)
}

/// 256 bits from the kernel.
fn random() -> String {
    let mut raw = [0u8; 32];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut f| std::io::Read::read_exact(&mut f, &mut raw));
    read.expect("the kernel gives random numbers");
    hex::encode(raw)
}

impl K3s {
    /// The accepted copy.
    pub fn program(&self, layout: &Layout) -> PathBuf {
        home(layout).join("bin").join(&self.sha256).join(NAME)
    }

    /// The one child: everything that it is to do stands in its configuration.
    pub fn component(&self, s: &Settings) -> Component {
        let args = ["server", "--config", &s.etc("k3s.yaml").display().to_string()].map(String::from).into();
        Component { name: NAME, program: self.program(&s.layout), args, grace_s: 20 }
    }
}

/// The problem of a command that works on what only the embedded distribution has.
pub fn not_here(layout: &Layout, what: &str, instead: &str) -> Result<(), Problem> {
    let refused = || Problem::new("K3S-110", format!("{what} is not for a node with k3s"), "its keys are made and kept by k3s", instead);
    if recorded(layout).is_some() { Err(refused()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::distribution::Distribution;

    fn node() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        std::fs::create_dir_all(layout.pki()).unwrap();
        std::fs::create_dir_all(layout.data.join("logs")).unwrap();
        (dir, layout)
    }

    #[test]
    fn a_node_is_of_the_embedded_distribution_unless_it_remembers_k3s() {
        let (_dir, layout) = node();
        assert_eq!(Distribution::of(&layout), Distribution::Embedded);
        assert!(not_here(&layout, "x", "y").is_ok() && strays(&layout).is_empty());
        let k3s = K3s { sha256: "a".repeat(64), version: "v1.37.2+k3s1".into() };
        record(&layout, &Record { k3s: k3s.clone(), foreign_password: false }).unwrap();
        assert_eq!(Distribution::of(&layout), Distribution::K3s(k3s));
        assert_eq!(not_here(&layout, "x", "y").unwrap_err().code, "K3S-110");
    }

    #[test]
    fn the_token_is_made_once_and_what_k3s_will_make_has_the_names_that_the_program_knows() {
        let (_dir, layout) = node();
        assert_eq!(prepare(&layout).unwrap(), ["token"]);
        let first = std::fs::read(token(&layout)).unwrap();
        assert!(prepare(&layout).unwrap().is_empty() && std::fs::read(token(&layout)).unwrap() == first && first.len() == 64);
        assert!(!layout.admin_kubeconfig().exists(), "k3s has not run");
        let made = data(&layout).join("server/cred/admin.kubeconfig");
        std::fs::create_dir_all(made.parent().unwrap()).unwrap();
        std::fs::write(&made, "kind: Config").unwrap();
        assert_eq!(std::fs::read_to_string(layout.admin_kubeconfig()).unwrap(), "kind: Config");
    }

    #[test]
    fn a_password_that_another_k3s_left_is_not_taken_away() {
        let (_dir, layout) = node();
        let k3s = K3s { sha256: "a".repeat(64), version: "v1.37.2+k3s1".into() };
        for (foreign_password, count) in [(true, 1), (false, 2)] {
            record(&layout, &Record { k3s: k3s.clone(), foreign_password }).unwrap();
            assert_eq!(elsewhere(&layout).len(), count);
        }
    }
}
