//! What k3s reads: its configuration file, and the files that it names or looks for, as pure functions of the settings.
//!
//! The files of the embedded components are used again wherever k3s takes the same file; only what k3s makes itself is left to it.

use super::{data, token};
use crate::config::place;
use crate::host::render::{control, node};
use crate::host::settings::{API_PORT, DNS_IP, PAUSE_IMAGE, POD_CIDR, SERVICE_CIDR, Settings};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Packaged parts of k3s that the stack does without: it brings DNS of its own, and wants no load balancer, ingress or storage class.
const DISABLED: [&str; 6] = ["coredns", "local-storage", "metrics-server", "runtimes", "servicelb", "traefik"];
/// What k3s says to its kubelet itself: sockets and certificates that it makes.
pub(super) const KUBELET_OF_K3S: [&str; 4] = ["authentication", "containerRuntimeEndpoint", "tlsCertFile", "tlsPrivateKeyFile"];

/// All files, with the places where they are looked for.
pub fn files(s: &Settings) -> Vec<(PathBuf, String)> {
    let agent = data(&s.layout).join("agent");
    vec![
        (s.etc("audit.yaml"), control::audit_policy()),
        (s.etc("authentication.yaml"), control::authentication()),
        (s.etc("kube-proxy.yaml"), node::kube_proxy_with(s, &agent.join("kubeproxy.kubeconfig"))),
        (s.etc("cni/10-antihate.conflist"), node::cni(s)),
        (s.etc("resolv.conf"), node::resolv_conf(s)),
        (s.etc("k3s.yaml"), configuration(s)),
        // k3s reads both folders by itself: files there are laid over its own settings.
        (agent.join("etc/kubelet.conf.d/50-antihate.conf"), kubelet(s)),
        (agent.join("etc/containerd/config-v3.toml.tmpl"), containerd(s)),
    ]
}

/// One entry: a value or a list of them.
pub(super) enum Entry {
    One(Value),
    Many(Vec<String>),
}

/// The configuration file. Every value is quoted, which both YAML and JSON read alike.
pub fn configuration(s: &Settings) -> String {
    let head = "# Written by antihate at every start. What `k3s server` is told, and nothing else is told to it.\n".to_string();
    entries(s).into_iter().fold(head, |text, (name, entry)| match entry {
        Entry::One(value) => format!("{text}{name}: {value}\n"),
        Entry::Many(values) => values.into_iter().fold(format!("{text}{name}:\n"), |text, v| format!("{text}  - {}\n", Value::from(v))),
    })
}

pub(super) fn entries(s: &Settings) -> Vec<(&'static str, Entry)> {
    let one = |value: &dyn ToString| Entry::One(Value::from(value.to_string()));
    let path = |path: &Path| Entry::One(Value::from(path.display().to_string()));
    let yes = || Entry::One(Value::from(true));
    let home = data(&s.layout);
    let database = home.join("server/db/state.db").display().to_string();
    let mut all = vec![
        ("data-dir", path(&home)),
        ("token-file", path(&token(&s.layout))),
        ("write-kubeconfig", path(&home.with_file_name("k3s.yaml"))),
        ("write-kubeconfig-mode", one(&"0600")),
        ("node-name", one(&s.node)),
        ("node-ip", one(&s.node_ip)),
        ("advertise-address", one(&s.node_ip)),
        ("https-listen-port", Entry::One(Value::from(API_PORT))),
        ("tls-san", Entry::Many(vec![s.node.clone(), s.node_ip.to_string()])),
        ("cluster-cidr", one(&POD_CIDR)),
        ("service-cidr", one(&SERVICE_CIDR)),
        ("cluster-dns", one(&DNS_IP)),
        // The same promise as of the embedded datastore: what was answered lies on the disk.
        ("datastore-endpoint", one(&format!("sqlite://{database}?_journal=WAL&_synchronous=FULL&cache=shared&_busy_timeout=30000&_txlock=immediate"))),
        ("secrets-encryption", yes()),
        ("secrets-encryption-provider", one(&"secretbox")),
        // Pods are routed by ptp through the host's forward hook, where the host process keeps the network policies in force: flannel's
        // bridge would lead past them, and a second engine of policies would contradict the first.
        ("flannel-backend", one(&"none")),
        ("disable-network-policy", yes()),
        // One host: the API server reaches its kubelet directly, as the embedded one does.
        ("egress-selector-mode", one(&"disabled")),
        ("disable-cloud-controller", yes()),
        ("disable-helm-controller", yes()),
        ("disable", Entry::Many(DISABLED.map(String::from).into())),
        ("resolv-conf", path(&s.etc("resolv.conf"))),
        ("pause-image", one(&PAUSE_IMAGE)),
        ("node-label", Entry::Many(place::labels(&s.place.pools))),
        ("kube-apiserver-arg", Entry::Many(apiserver(s))),
        ("kubelet-arg", Entry::Many(vec![format!("root-dir={}", kubelet_root(s)), format!("cert-dir={}/pki", kubelet_root(s))])),
        ("kube-proxy-arg", Entry::Many(vec![format!("config={}", s.etc("kube-proxy.yaml").display())])),
    ];
    if s.kernel_protected {
        all.push(("protect-kernel-defaults", yes()));
    }
    all
}

fn kubelet_root(s: &Settings) -> String {
    s.layout.kubernetes().join("kubelet").display().to_string()
}

/// What the API server is told beyond what k3s tells it.
fn apiserver(s: &Settings) -> Vec<String> {
    vec![
        "enable-admission-plugins=NodeRestriction,DenyServiceExternalIPs".into(),
        format!("authentication-config={}", s.etc("authentication.yaml").display()),
        "tls-min-version=VersionTLS12".into(),
        format!("audit-policy-file={}", s.etc("audit.yaml").display()),
        format!("audit-log-path={}", s.layout.log("kube-audit").display()),
        "audit-log-maxsize=20".into(),
        "audit-log-maxbackup=10".into(),
        "audit-log-maxage=30".into(),
        "event-ttl=1h".into(),
    ]
}

/// The embedded kubelet's configuration without what k3s makes itself. The kubelet is a part of the one process and stays in its
/// control group.
pub(super) fn kubelet(s: &Settings) -> String {
    let mut value: Value = serde_json::from_str(&node::kubelet(s)).expect("our own text");
    let fields = value.as_object_mut().expect("an object");
    KUBELET_OF_K3S.iter().for_each(|name| drop(fields.remove(*name)));
    fields.insert("kubeletCgroups".into(), "".into());
    serde_json::to_string_pretty(&value).expect("plain data") + "\n"
}

/// The embedded containerd's configuration with k3s' places and the runc beside its own containerd.
pub(super) fn containerd(s: &Settings) -> String {
    let places = super::places(&s.layout);
    node::containerd_with(s, &node::Runtime { root: &places.runtime_root, state: &places.runtime_state, socket: Path::new(super::SOCKET), runc: None })
}
