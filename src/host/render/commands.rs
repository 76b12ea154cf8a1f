//! The command line of every component, in the order in which they are started.

use crate::config::place::{self, Between, Datastore};
use crate::host::flannel;
use crate::host::settings::{API_PORT, Settings};
use std::path::PathBuf;

/// One component: what to run, and how long it may take to end.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Name: what it is called in logs, status and `argv[0]`.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Seconds between asking it to end and ending it.
    pub grace_s: u64,
}

pub(in crate::host) fn component(s: &Settings, name: &'static str, grace_s: u64, args: Vec<String>) -> Component {
    Component { name, program: s.program("kubernetes"), args, grace_s }
}

/// All components in starting order.
pub fn all(s: &Settings) -> Vec<Component> {
    let mut all = Vec::new();
    if s.place.control {
        all.push(datastore(s));
    }
    all.push(component(s, "containerd", 10, vec!["--config".into(), s.etc("containerd.toml").display().to_string()]));
    if s.place.control {
        all.push(component(s, "kube-apiserver", 15, apiserver(s)));
        all.push(component(s, "kube-controller-manager", 5, controller_manager(s)));
        all.push(component(s, "kube-scheduler", 5, scheduler(s)));
    }
    all.push(component(s, "kubelet", 10, kubelet(s)));
    all.push(component(s, "kube-proxy", 5, vec![format!("--config={}", s.etc("kube-proxy.yaml").display())]));
    if s.place.is_joined() && s.place.between == Between::Open {
        all.push(component(s, flannel::NAME, 5, flanneld(s)));
    }
    all
}

/// flannel keeps the ways to the other hosts' pods; the name of the node comes by the environment.
fn flanneld(s: &Settings) -> Vec<String> {
    vec![
        format!("--kubeconfig-file={}", s.layout.pki().join("flannel.kubeconfig").display()),
        format!("--net-config-path={}", s.etc("flannel.json").display()),
        format!("--public-ip={}", s.node_ip),
    ]
}

/// WireGuard in user space: it makes `link` and serves it. Started beside the others where the kernel has none.
pub fn wireguard(s: &Settings, link: String) -> Component {
    component(s, "wireguard", 5, vec![link])
}

/// The component that keeps the cluster's objects on this host.
pub fn datastore(s: &Settings) -> Component {
    match s.place.datastore {
        Datastore::Kine | Datastore::Moving => component(s, "kine", 5, kine(s)),
        Datastore::Etcd => component(s, "etcd", 10, super::etcd::command(s)),
    }
}

/// The datastore of one control plane: SQLite, every commit synced to disk.
fn kine(s: &Settings) -> Vec<String> {
    let db = s.layout.kubernetes().join("kine").join("state.db");
    let endpoint =
        format!("sqlite://{}?_journal=WAL&_synchronous=FULL&cache=shared&_busy_timeout=30000&_txlock=immediate&_stmt_cache_size=20", db.display());
    vec![
        format!("--endpoint={endpoint}"),
        format!("--listen-address=unix://{}", s.layout.kine_socket().display()),
        // How often each of some sixty watches is told the newest revision although nothing happened; the API server tells its own
        // clients each minute, and asks at once where it has to know. etcd does it every ten minutes.
        "--watch-progress-notify-interval=1m".into(),
        // Every write wakes who waits for changes; this looks for those of other processes, and there are none.
        "--datastore-poll-interval=10s".into(),
    ]
}

fn apiserver(s: &Settings) -> Vec<String> {
    let pki = |f: &str| s.layout.pki().join(f).display().to_string();
    let mut args = vec![
        format!("--advertise-address={}", s.node_ip),
        "--bind-address=0.0.0.0".into(),
        format!("--secure-port={API_PORT}"),
        format!("--service-cluster-ip-range={}", s.service_cidrs()),
        format!("--authorization-config={}", s.etc(super::control::AUTHORIZATION).display()),
        "--enable-admission-plugins=NodeRestriction,DenyServiceExternalIPs".into(),
        // Who may run such pods is the matter of Pod Security: our namespaces are restricted. Device plugins of a GPU need it elsewhere.
        "--allow-privileged=true".into(),
        format!("--authentication-config={}", s.etc("authentication.yaml").display()),
        format!("--client-ca-file={}", pki("trust.crt")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        "--tls-min-version=VersionTLS12".into(),
        format!("--kubelet-certificate-authority={}", pki("trust.crt")),
        format!("--kubelet-client-certificate={}", pki("apiserver-kubelet-client.crt")),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet-client.key")),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        format!("--service-account-key-file={}", pki("sa.pub")),
        format!("--service-account-signing-key-file={}", pki("sa.key")),
        format!("--requestheader-client-ca-file={}", pki("front-proxy-ca.crt")),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        format!("--proxy-client-cert-file={}", pki("front-proxy-client.crt")),
        format!("--proxy-client-key-file={}", pki("front-proxy-client.key")),
        format!("--encryption-provider-config={}", pki("encryption.yaml")),
        "--encryption-provider-config-automatic-reload=true".into(),
        format!("--audit-policy-file={}", s.etc("audit.yaml").display()),
        format!("--audit-log-path={}", s.layout.log("kube-audit").display()),
        "--audit-log-maxsize=20".into(),
        "--audit-log-maxbackup=10".into(),
        "--audit-log-maxage=30".into(),
        "--profiling=false".into(),
        "--event-ttl=1h".into(),
        "--storage-media-type=application/vnd.kubernetes.protobuf".into(),
    ];
    args.extend(match s.place.datastore {
        Datastore::Kine | Datastore::Moving => vec![format!("--etcd-servers=unix://{}", s.layout.kine_socket().display())],
        Datastore::Etcd => super::etcd::client(s),
    });
    args
}

fn serving(s: &Settings) -> [String; 4] {
    let pki = |f: &str| s.layout.pki().join(f).display().to_string();
    [
        "--bind-address=127.0.0.1".into(),
        format!("--tls-cert-file={}", pki("components.crt")),
        format!("--tls-private-key-file={}", pki("components.key")),
        "--profiling=false".into(),
    ]
}

fn controller_manager(s: &Settings) -> Vec<String> {
    let pki = |f: &str| s.layout.pki().join(f).display().to_string();
    let config = pki("controller-manager.kubeconfig");
    let mut args: Vec<String> = serving(s).into();
    args.extend([
        format!("--kubeconfig={config}"),
        format!("--authentication-kubeconfig={config}"),
        format!("--authorization-kubeconfig={config}"),
        format!("--root-ca-file={}", pki("trust.crt")),
        format!("--service-account-private-key-file={}", pki("sa.key")),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        "--use-service-account-credentials=true".into(),
        format!("--leader-elect={}", s.place.elects()),
        "--allocate-node-cidrs=false".into(),
        format!("--cluster-cidr={}", s.pod_cidrs()),
        format!("--service-cluster-ip-range={}", s.service_cidrs()),
        "--controllers=*,bootstrap-signer-controller,token-cleaner-controller".into(),
    ]);
    args
}

fn scheduler(s: &Settings) -> Vec<String> {
    let config = s.layout.pki().join("scheduler.kubeconfig").display().to_string();
    let mut args: Vec<String> = serving(s).into();
    args.extend([
        format!("--config={}", s.etc("scheduler.yaml").display()),
        format!("--authentication-kubeconfig={config}"),
        format!("--authorization-kubeconfig={config}"),
    ]);
    args
}

fn kubelet(s: &Settings) -> Vec<String> {
    let mut args = vec![
        format!("--config={}", s.etc("kubelet.yaml").display()),
        format!("--kubeconfig={}", s.layout.pki().join("kubelet.kubeconfig").display()),
        format!("--root-dir={}", s.layout.kubernetes().join("kubelet").display()),
        format!("--cert-dir={}", s.layout.kubernetes().join("kubelet").join("pki").display()),
        format!("--hostname-override={}", s.node),
        format!("--node-ip={}", s.node_ips()),
        format!("--node-labels={}", place::labels(&s.place.pools).join(",")),
        // What containers use is read so often. Evictions are decided on figures of their own, which are read when they are needed.
        "--housekeeping-interval=30s".into(),
    ];
    args.extend(place::taint(&s.place.pools).map(|taint| format!("--register-with-taints={taint}")));
    args
}
