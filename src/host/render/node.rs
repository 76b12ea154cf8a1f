//! Configuration of what runs on every node: kubelet, kube-proxy, containerd, CNI.

use crate::config::place::Between;
use crate::host::{flannel, mesh};
use crate::host::settings::{DNS_IP, PAUSE_IMAGE, POD_CIDR, Settings};
use serde_json::json;
use std::path::Path;

/// Name of the CNI network; also names what it leaves behind.
pub const NETWORK: &str = "antihate";

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).expect("plain data") + "\n"
}

/// The kubelet's configuration (JSON, which is YAML). Images are never collected: there is no registry to get them back from.
pub fn kubelet(s: &Settings) -> String {
    let pki = s.layout.pki();
    pretty(&json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", s.layout.cgroup()),
        "containerRuntimeEndpoint": format!("unix://{}", s.layout.containerd_socket().display()),
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": s.etc("resolv.conf"),
        "address": s.node_ip.to_string(),
        "port": 10250,
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "tlsCertFile": pki.join("kubelet-server.crt"),
        "tlsPrivateKeyFile": pki.join("kubelet-server.key"),
        "tlsMinVersion": "VersionTLS12",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.join("trust.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "podLogsDir": s.layout.kubernetes().join("pod-logs"),
        "staticPodPath": "",
        "rotateCertificates": false,
        "serializeImagePulls": false,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        "evictionMinimumReclaim": {},
        "systemReserved": {"memory": "768Mi"},
        "enforceNodeAllocatable": ["pods"],
        "failSwapOn": false,
        "seccompDefault": true,
        "podPidsLimit": 4096,
        "makeIPTablesUtilChains": false,
        "containerLogMaxSize": "10Mi",
        "containerLogMaxFiles": 3,
        "shutdownGracePeriod": "0s",
        "logging": {"format": "text"},
    }))
}

/// kube-proxy in nftables mode. Pods are routed, so answers always come back through the host: nothing needs to be masqueraded,
/// and policies see who asks. It leaves the kernel's connection limits alone, which a network namespace may not change.
pub fn kube_proxy(s: &Settings) -> String {
    kube_proxy_with(s, &s.layout.pki().join("kube-proxy.kubeconfig"))
}

/// The same with the credentials that lie at `kubeconfig`.
pub fn kube_proxy_with(s: &Settings, kubeconfig: &Path) -> String {
    pretty(&json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": s.pod_cidrs(),
        "detectLocalMode": "ClusterCIDR",
        "hostnameOverride": s.node,
        "bindAddress": s.node_ip.to_string(),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": kubeconfig},
        "nftables": {"masqueradeAll": false, "minSyncPeriod": "1s", "syncPeriod": "30s"},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }))
}

/// Where a containerd has its things, and which runc it calls; without one the first in its PATH.
pub struct Runtime<'a> {
    /// Content, snapshots, lists.
    pub root: &'a Path,
    /// Running state.
    pub state: &'a Path,
    /// The socket.
    pub socket: &'a Path,
    /// The program that makes containers.
    pub runc: Option<&'a Path>,
}

/// containerd with root, state and sockets of its own, and the payload's runc.
pub fn containerd(s: &Settings) -> String {
    let (root, state) = (s.layout.kubernetes().join("containerd"), s.layout.run.join("containerd"));
    containerd_with(s, &Runtime { root: &root, state: &state, socket: &s.layout.containerd_socket(), runc: Some(&s.program("runc")) })
}

/// The same settings at other places.
pub fn containerd_with(s: &Settings, at: &Runtime) -> String {
    let runc = at.runc.map(|path| format!("BinaryName = \"{}\"\n", path.display())).unwrap_or_default();
    format!(
        r#"version = 3
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
address = "{socket}"

[ttrpc]
address = "{socket}.ttrpc"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = {oom}
netns_mounts_under_state_dir = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true
cdi_spec_dirs = ["{cdi}"]
# Otherwise every shim is asked every second for figures that the kubelet takes from the control groups itself.
stats_collect_period = "1m"

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{cni}"]
conf_dir = "{etc}/cni"
use_internal_loopback = true

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
{runc}SystemdCgroup = false
"#,
        root = at.root.display(),
        state = at.state.display(),
        socket = at.socket.display(),
        oom = s.restrict_oom,
        cdi = s.layout.cdi().display(),
        cni = s.program("cni").display(),
        etc = s.layout.rendered().display(),
    )
}

/// Each pod has a link of its own to the host and is routed, also to its neighbours: every packet passes the forward hook, where
/// the network policies are. Addresses come from this node's range; outside the cluster the policies' table hides them. A packet of a
/// pod fits through the way to other hosts, also before other hosts belong to the cluster, so that pods outlive the first one that joins.
pub fn cni(s: &Settings) -> String {
    let mtu = match s.place.between {
        Between::Encrypted => mesh::POD_MTU,
        Between::Open => flannel::POD_MTU,
    };
    let data = s.layout.kubernetes().join("cni");
    let ranges: Vec<_> = s.place.pod_ranges().into_iter().map(|subnet| json!([{"subnet": subnet}])).collect();
    let everywhere: Vec<_> = ["0.0.0.0/0", "::/0"].into_iter().take(ranges.len()).map(|dst| json!({"dst": dst})).collect();
    pretty(&json!({
        "cniVersion": "1.0.0",
        "name": NETWORK,
        "plugins": [
            {
                "type": "ptp", "mtu": mtu,
                "ipam": {
                    "type": "host-local", "dataDir": data,
                    "ranges": ranges,
                    "routes": everywhere,
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"},
        ],
    }))
}

/// What flannel is told: on one segment the other host is the next one on the way, otherwise the packets are wrapped. Which pods
/// another host has stands in its node.
pub fn flannel() -> String {
    pretty(&json!({
        "Network": POD_CIDR,
        "EnableIPv4": true,
        "EnableNFTables": true,
        "Backend": {"Type": "vxlan", "VNI": flannel::VNI, "Port": flannel::PORT, "DirectRouting": true},
    }))
}

/// What pods with the host's DNS (CoreDNS, which asks on their behalf) get to resolve names outside the cluster.
pub fn resolv_conf(s: &Settings) -> String {
    let head = "# Resolvers of the host, without those on its loopback.\n".to_string();
    s.resolvers.iter().fold(head, |text, address| format!("{text}nameserver {address}\n"))
}
