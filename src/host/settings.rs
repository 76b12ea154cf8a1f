//! What one node is made of, resolved: everything that its rendered configuration depends on.

use crate::config::Place;
use crate::config::place::Stack;
use super::distribution::Distribution;
use crate::config::layout::Layout;
pub use crate::manifests::network::{DNS_IP, POD_CIDR, POD_CIDR6, SERVICE_CIDR, SERVICE_CIDR6};
use super::storage::luks::Wish;
use std::fmt::Debug;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// Version of the control-group hierarchy that the host mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// One hierarchy a controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// One node, resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything lies.
    pub layout: Layout,
    /// The Kubernetes that it runs.
    pub distribution: Distribution,
    /// The unpacked Kubernetes payload.
    pub payload: PathBuf,
    /// Name of the node: a valid DNS label.
    pub node: String,
    /// Address of the node, on one of its links.
    pub node_ip: Ipv4Addr,
    /// The operator named the address: it is kept even when the host loses it.
    pub node_ip_given: bool,
    /// Its place among the hosts of its cluster.
    pub place: Place,
    /// Control groups of this host.
    pub cgroups: CgroupVersion,
    /// True where the host may not lower an oom_score_adj (no CAP_SYS_RESOURCE).
    pub restrict_oom: bool,
    /// The kernel's settings are those that a kubelet wants which may not change them.
    pub kernel_protected: bool,
    /// Resolvers of the host that a pod can reach.
    pub resolvers: Vec<std::net::IpAddr>,
    /// The folder that was chosen for the volumes, if it is not the data root.
    pub storage: Option<PathBuf>,
    /// The disk or file that takes them encrypted, and its size where it is a file.
    pub encrypt: Option<Wish>,
}

/// Port of the API server.
pub const API_PORT: u16 = 6443;
/// Address of the service `kubernetes.default`.
pub const SERVICE_IP: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 1);
/// The bridge that pods hung on in an earlier layout of the network.
pub const OLD_BRIDGE: &str = "antihate-pods";
/// The image that holds a pod's namespaces.
pub const PAUSE_IMAGE: &str = "antihate.local/pause:3.10.2";
/// TCP ports on the host that the components listen on, with the component.
pub const PORTS: [(u16, &str); 8] = [
    (crate::join::PORT, "the door for joining hosts"),
    (API_PORT, "kube-apiserver"),
    (10250, "kubelet"),
    (10248, "kubelet health"),
    (10257, "kube-controller-manager"),
    (10259, "kube-scheduler"),
    (10256, "kube-proxy health"),
    (10249, "kube-proxy metrics"),
];

/// The services' addresses: network and prefix length.
pub fn service_network() -> (Ipv4Addr, u8) {
    network(SERVICE_CIDR)
}

/// The services' IPv6 addresses.
pub fn service_network6() -> (Ipv6Addr, u8) {
    network(SERVICE_CIDR6)
}

/// All pods' IPv6 addresses.
pub fn pod_network6() -> (Ipv6Addr, u8) {
    network(POD_CIDR6)
}

fn network<T: FromStr<Err: Debug>>(block: &str) -> (T, u8) {
    let (network, length) = block.split_once('/').expect("a network");
    (network.parse().expect("an address"), length.parse().expect("a length"))
}

impl Settings {
    /// Addresses of all pods, a block for each family, as the components read lists.
    pub fn pod_cidrs(&self) -> String {
        self.blocks(POD_CIDR, POD_CIDR6)
    }

    /// Addresses of all services.
    pub fn service_cidrs(&self) -> String {
        self.blocks(SERVICE_CIDR, SERVICE_CIDR6)
    }

    fn blocks(&self, v4: &str, v6: &str) -> String {
        match self.place.stack {
            Stack::Ipv4 => v4.into(),
            Stack::Dual => format!("{v4},{v6}"),
        }
    }

    /// Addresses of the node, the one on its link first.
    pub fn node_ips(&self) -> String {
        self.place.address6().map_or_else(|| self.node_ip.to_string(), |own| format!("{},{own}", self.node_ip))
    }

    /// Credentials with which the host process asks the API server: a control plane's owner, or a joined host.
    pub fn kubeconfig(&self) -> PathBuf {
        if self.place.control { self.layout.admin_kubeconfig() } else { self.layout.host_kubeconfig() }
    }

    /// Path of a file in the payload.
    pub fn program(&self, name: &str) -> PathBuf {
        self.payload.join(name)
    }

    /// Path of a rendered configuration file.
    pub fn etc(&self, name: &str) -> PathBuf {
        self.layout.rendered().join(name)
    }

    /// PATH of the children: our shim, runc and nft come first. Without the host's `sbin` folders: a kubelet or kube-proxy that finds
    /// an `iptables` there makes tables of the host's packet filter, which are not ours to remove.
    pub fn path(&self) -> String {
        format!("{}:/usr/bin:/bin", self.payload.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_servers_service_has_the_address_that_the_stack_expects() {
        assert_eq!(SERVICE_IP.to_string(), crate::manifests::network::API_IP);
        let own = crate::config::place::host_address6(255);
        assert!(POD_CIDR6.parse::<crate::policy::Net>().is_ok_and(|net| net.contains(own.into())) && service_network6().1 == 112 && pod_network6().1 == 56);
        assert!(crate::config::place::pod_range(7).starts_with("10.42.") && POD_CIDR == "10.42.0.0/16");
    }
}
