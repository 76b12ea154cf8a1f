//! System: rights, limits of this process, and what else runs here.

use super::asked::Asked;
use super::tree::{Tree, known, list};
use crate::status::Problem;
use crate::status::check::{Check, Group, Verdict};

const G: Group = Group::System;
/// Traces of another Kubernetes.
const OTHERS: [&str; 5] = ["etc/kubernetes/manifests", "var/lib/rancher/k3s/server", "var/lib/rancher/rke2", "var/lib/k0s", "var/snap/microk8s"];
/// Traces of a container around us.
const AROUND: [&str; 3] = [".dockerenv", "run/.containerenv", "run/systemd/container"];

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What is asked of the kernel: root, its rights, CAP_SYS_RESOURCE.
    pub root: bool,
    pub capable: bool,
    pub resource: bool,
    /// Open files and processes that this process may have.
    pub open_files: u64,
    pub processes: u64,
    /// systemd runs.
    pub systemd: bool,
    /// Another Kubernetes, a container around us, as traces.
    pub others: Vec<&'static str>,
    pub around: Vec<&'static str>,
    /// The machine's own number.
    pub identity: String,
    /// An update waits for a restart.
    pub restart: bool,
    /// A proxy that requests are to be sent to.
    pub proxy: Option<String>,
    /// The k3s binary that is wished for: its version.
    pub k3s: Option<Result<String, Problem>>,
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    Facts {
        root: asked.root,
        capable: asked.capable,
        resource: asked.resource,
        open_files: asked.open_files,
        processes: asked.processes,
        systemd: tree.has("run/systemd/system"),
        others: tree.those(&OTHERS),
        around: tree.those(&AROUND),
        identity: tree.text("etc/machine-id"),
        restart: tree.has("run/reboot-required"),
        proxy: asked.proxy.clone(),
        k3s: asked.k3s.clone(),
    }
}

/// The first check, which needs no other fact.
pub fn root(is: bool) -> Check {
    G.check("system.root", "Runs as root", "a node makes namespaces, mounts and control groups", if is { "yes" } else { "no" })
        .fails(!is, "CHK-101", "this is not run as root", "Run the same command with sudo.")
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let mut all = rights(f);
    all.extend(around(f));
    all
}

fn rights(f: &Facts) -> Vec<Check> {
    let capable = f.capable || !f.root;
    vec![
        root(f.root),
        G.check("system.rights", "Rights of root", "a node makes mounts and links, for which CAP_SYS_ADMIN and CAP_NET_ADMIN are needed", if capable { "whole" } else { "cut" })
            .fails(!capable, "CHK-102", "root lacks rights here, as inside a container", "Run on the host itself, not in a container."),
        G.check("system.scores", "Right to choose what ends first", "where memory runs out, pods should end before Kubernetes does", if f.resource { "there" } else { "not there" })
            .warns(!f.resource && f.root, "CHK-351", "root may not lower the score by which programs are ended (CAP_SYS_RESOURCE is missing)", "Nothing has to be done: the node works without. In a container or a unit with limits, add that capability."),
        G.check("system.open-files", "Open files", "the container runtime wants 65,536", known(Some(f.open_files)))
            .warns(f.open_files < 65_536, "CHK-117", format!("a process may open {} files", f.open_files), "Raise it with `ulimit -n 1048576`; the systemd unit does."),
        G.check("system.processes", "Processes of root", "pods' processes are root's to start", known(Some(f.processes)))
            .warns(f.processes < 8_192, "CHK-350", format!("root may have {} processes", f.processes), "Raise it with `ulimit -u unlimited`; the systemd unit does."),
    ]
}

fn around(f: &Facts) -> Vec<Check> {
    let nameless = f.identity.len() < 32;
    let proxy = f.proxy.clone().unwrap_or_default();
    let (version, refused) = match &f.k3s {
        Some(Ok(version)) => (version.clone(), None),
        Some(Err(problem)) => (String::new(), Some(problem.clone())),
        None => (String::new(), None),
    };
    vec![
        G.check("system.container", "Container around us", "kernel settings, devices and mounts may be refused in one", list(&f.around))
            .warns(!f.around.is_empty(), "CHK-354", format!("this runs in a container (/{})", list(&f.around)), "Run on the host itself; if it has to be, give the container every right (`--privileged`)."),
        G.check("system.kubernetes", "Another Kubernetes", "two on one host take each other's ports, addresses and packet filter rules", list(&f.others))
            .warns(!f.others.is_empty(), "CHK-353", format!("another Kubernetes was installed here (/{})", list(&f.others)), "Stop and remove it before this one starts."),
        G.check("system.service", "Starting with the host", "after a power cut the node is to come back by itself", if f.systemd { "systemd" } else { "no systemd" })
            .warns(!f.systemd, "CHK-352", "there is no systemd here: `antihate install` cannot make a unit", "Have whatever starts programs here run `antihate up`."),
        G.check("system.identity", "Number of the machine", "two machines that were copied from one image are told apart by it", if nameless { "none" } else { "there" })
            .warns(nameless, "CHK-355", "the machine has no number of its own (/etc/machine-id)", "Make one with `systemd-machine-id-setup`."),
        G.check("system.restart", "Updates that wait", "the running kernel is older than the one on disk, and modules that fit it may be gone", if f.restart { "a restart is due" } else { "none" })
            .warns(f.restart, "CHK-356", "an update waits for a restart (/run/reboot-required)", "Restart the host before the node is made."),
        G.check("system.proxy", "Proxy", "requests of this program to its own Kubernetes would go there too", if proxy.is_empty() { "none" } else { &proxy })
            .warns(!proxy.is_empty(), "CHK-357", format!("a proxy is set (HTTPS_PROXY is {proxy})"), "Start it without: `env -u HTTPS_PROXY -u https_proxy antihate up`."),
        G.check("system.k3s", "k3s binary", "it runs Kubernetes here instead of the embedded one", version)
            .only_if(f.k3s.is_some(), "no k3s binary is asked for")
            .judged(refused.map_or(Verdict::Ok, |problem| Verdict::Failure { problem })),
    ]
}
