//! Which Kubernetes a node runs, and all that the host process has to know of it: the one seam between the steps and what they run.
//!
//! Two answers: the embedded distribution, one child a component, and a k3s binary that the operator supplies, one child. Every
//! question here is answered from a value; only [`Distribution::of`] reads the disk, for commands that have nothing but a data root.

use super::k3s::{self, K3s};
use super::probe::{Credentials, Probe};
use super::render::{self, commands::{self, Component}};
use super::settings::{API_PORT, Settings};
use crate::config::layout::Layout;
use std::path::PathBuf;

/// The Kubernetes of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// The one that this program carries.
    #[default]
    Embedded,
    /// A k3s binary of the operator's.
    K3s(K3s),
}

/// Where a distribution keeps what can be made anew or has to be taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The SQLite file with every object of the cluster; its folder holds nothing else.
    pub database: PathBuf,
    /// containerd's content, snapshots and lists.
    pub runtime_root: PathBuf,
    /// containerd's running state: mounts and sockets.
    pub runtime_state: PathBuf,
}

/// How containerd is spoken to: `ctr`, however it is called.
pub struct Ctr {
    /// The program.
    pub program: PathBuf,
    /// Its `argv[0]`.
    pub name: &'static str,
    /// What stands before the words of ctr.
    pub first: Vec<String>,
}

impl Distribution {
    /// What the node below `layout` was made with.
    pub fn of(layout: &Layout) -> Distribution {
        k3s::recorded(layout).map_or(Distribution::Embedded, |record| Distribution::K3s(record.k3s))
    }

    /// What is started, in this order.
    pub fn components(&self, s: &Settings) -> Vec<Component> {
        match self {
            Distribution::Embedded => commands::all(s),
            Distribution::K3s(k3s) => vec![k3s.component(s)],
        }
    }

    /// True for what needs no API server; all others wait for it.
    pub fn starts_first(&self, component: &str) -> bool {
        ["kine", "etcd", "containerd", "kube-apiserver", k3s::NAME].contains(&component)
    }

    /// What has no process of its own to watch and is asked all the same.
    pub fn parts(&self) -> &'static [&'static str] {
        match self {
            Distribution::Embedded => &[],
            Distribution::K3s(_) => &k3s::PARTS,
        }
    }

    /// Who serves the Kubernetes API.
    pub fn api(&self) -> &'static str {
        match self {
            Distribution::Embedded => "kube-apiserver",
            Distribution::K3s(_) => k3s::NAME,
        }
    }

    /// Where and what to ask for each component's health.
    pub fn probe_of(&self, s: &Settings, component: &str) -> Option<Probe> {
        Some(match component {
            "kine" => Probe::Socket(s.layout.kine_socket()),
            "containerd" => Probe::Socket(self.containerd_socket(s)),
            "kube-apiserver" => Probe::Https(API_PORT, "/livez"),
            "kube-controller-manager" => Probe::Https(10257, "/healthz"),
            "kube-scheduler" => Probe::Https(10259, "/healthz"),
            "kubelet" => Probe::Http(10248, "/healthz"),
            "kube-proxy" => Probe::Http(10256, "/healthz"),
            "etcd" => Probe::Http(2381, "/readyz"),
            super::flannel::NAME => Probe::Link(super::flannel::LINK),
            "wireguard" => Probe::Socket(super::mesh::socket(&s.layout)),
            k3s::NAME => Probe::Https(API_PORT, "/readyz"),
            _ => return None,
        })
    }

    /// Configuration files that are written before the start.
    pub fn files(&self, s: &Settings) -> Vec<(PathBuf, String)> {
        match self {
            Distribution::Embedded => render::files(s).into_iter().map(|(name, text)| (s.etc(name), text)).collect(),
            Distribution::K3s(_) => k3s::render::files(s),
        }
    }

    /// What every child gets in its environment beside what is common.
    pub fn environment(&self, layout: &Layout) -> Vec<(&'static str, String)> {
        match self {
            Distribution::Embedded => vec![("GOMEMLIMIT", "900MiB".into())],
            // All components share one heap. The folder is named here because `k3s ctr` reads no configuration file.
            Distribution::K3s(_) => vec![("GOMEMLIMIT", "2GiB".into()), (k3s::DATA_VARIABLE, k3s::data(layout).display().to_string())],
        }
    }

    /// Whose certificate the host process shows to the API server.
    pub fn credentials(&self, layout: &Layout) -> Credentials {
        match self {
            Distribution::Embedded => Credentials::of(&layout.pki()),
            Distribution::K3s(_) => k3s::credentials(layout),
        }
    }

    /// How images are brought in.
    pub fn ctr(&self, s: &Settings) -> Ctr {
        let address = self.containerd_socket(s).display().to_string();
        let words = ["--address", &address, "--namespace", "k8s.io"].map(String::from);
        match self {
            Distribution::Embedded => Ctr { program: s.program("kubernetes"), name: "ctr", first: words.into() },
            Distribution::K3s(k3s) => Ctr { program: k3s.program(&s.layout), name: k3s::NAME, first: ["ctr".to_string()].into_iter().chain(words).collect() },
        }
    }

    /// Where things lie.
    pub fn places(&self, layout: &Layout) -> Places {
        let k = layout.kubernetes();
        match self {
            Distribution::Embedded => {
                Places { database: k.join("kine/state.db"), runtime_root: k.join("containerd"), runtime_state: layout.run.join("containerd") }
            }
            Distribution::K3s(_) => k3s::places(layout),
        }
    }

    /// Folders outside data root and run directory that are this node's alone.
    pub fn elsewhere(&self, layout: &Layout) -> Vec<PathBuf> {
        match self {
            Distribution::Embedded => Vec::new(),
            Distribution::K3s(_) => k3s::elsewhere(layout),
        }
    }

    /// In words, for the status.
    pub fn named(&self) -> Option<String> {
        match self {
            Distribution::Embedded => None,
            Distribution::K3s(k3s) => Some(format!("k3s {}, sum {}", k3s.version, &k3s.sha256[..12])),
        }
    }

    fn containerd_socket(&self, s: &Settings) -> PathBuf {
        match self {
            Distribution::Embedded => s.layout.containerd_socket(),
            Distribution::K3s(_) => k3s::SOCKET.into(),
        }
    }
}
