//! What networking.k8s.io/v1 says, read from the API's objects packet by packet, as plainly as it can be written. It shares
//! nothing with the decision that it judges but the form of a packet.

use super::net::Net;
use super::ruleset::Packet;
use super::world::Protocol;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A cluster as its API tells it.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub pods: Vec<Pod>,
    pub namespaces: Vec<Namespace>,
    pub policies: Vec<NetworkPolicy>,
}

fn labels_match(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    for (key, value) in selector.match_labels.iter().flatten() {
        if labels.get(key) != Some(value) {
            return false;
        }
    }
    for e in selector.match_expressions.iter().flatten() {
        let values = e.values.clone().unwrap_or_default();
        let holds = match e.operator.as_str() {
            "In" => labels.get(&e.key).is_some_and(|v| values.contains(v)),
            "NotIn" => !labels.get(&e.key).is_some_and(|v| values.contains(v)),
            "Exists" => labels.contains_key(&e.key),
            "DoesNotExist" => !labels.contains_key(&e.key),
            other => panic!("operator {other}"),
        };
        if !holds {
            return false;
        }
    }
    true
}

impl Cluster {
    /// Whether `node`, whose pods have addresses of `ranges`, lets the packet pass.
    pub(crate) fn passes(&self, node: &str, ranges: &[Net], packet: &Packet) -> bool {
        let (from, to) = (self.pod_at(packet.from), self.pod_at(packet.to));
        let here = |pod: Option<&Pod>| pod.is_some_and(|p| p.spec.as_ref().unwrap().node_name.as_deref() == Some(node));
        // Another host of the cluster, by the first address of its range.
        let is_host = match packet.from {
            IpAddr::V4(v4) => v4.octets()[..2] == [10, 42] && v4.octets()[3] == 0,
            IpAddr::V6(v6) => matches!(v6.segments(), [0xfd00, 0x42, 0, 0..=255, 0, 0, 0, 0]),
        };
        if is_host && !ranges.iter().any(|n| n.contains(packet.from)) {
            return true;
        }
        for (ip, pod) in [(packet.from, from), (packet.to, to)] {
            if ranges.iter().any(|n| n.contains(ip)) && !here(pod) {
                return false;
            }
        }
        if packet.from == packet.to && here(from) {
            return true;
        }
        (!here(from) || self.allows(false, from.unwrap(), packet.to, to, packet)) && (!here(to) || self.allows(true, to.unwrap(), packet.from, from, packet))
    }

    fn pod_at(&self, ip: IpAddr) -> Option<&Pod> {
        self.pods.iter().find(|p| {
            let (spec, status) = (p.spec.as_ref().unwrap(), p.status.as_ref().unwrap());
            let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
            let known = self.labels_of_namespace(p).is_some();
            known && !ended && spec.host_network != Some(true) && status.pod_ips.iter().flatten().any(|i| i.ip.parse() == Ok(ip))
        })
    }

    fn labels_of_namespace(&self, pod: &Pod) -> Option<BTreeMap<String, String>> {
        let found = self.namespaces.iter().find(|n| n.metadata.name == pod.metadata.namespace)?;
        Some(found.metadata.labels.clone().unwrap_or_default())
    }

    fn allows(&self, ingress: bool, pod: &Pod, other_ip: IpAddr, other: Option<&Pod>, packet: &Packet) -> bool {
        let mut isolated = false;
        for policy in self.policies.iter().filter(|p| p.metadata.namespace == pod.metadata.namespace) {
            let spec = policy.spec.as_ref().unwrap();
            let has_egress = spec.egress.as_ref().is_some_and(|e| !e.is_empty());
            let types = spec.policy_types.clone().filter(|t| !t.is_empty());
            let types = types.unwrap_or_else(|| if has_egress { vec!["Ingress".into(), "Egress".into()] } else { vec!["Ingress".into()] });
            let concerned = types.contains(&if ingress { "Ingress".into() } else { "Egress".into() });
            let selector = spec.pod_selector.clone().unwrap_or_default();
            if !concerned || !labels_match(&selector, &pod.metadata.labels.clone().unwrap_or_default()) {
                continue;
            }
            isolated = true;
            let rules: Vec<(Vec<NetworkPolicyPeer>, Vec<NetworkPolicyPort>)> = if ingress {
                spec.ingress.iter().flatten().map(|r| (r.from.clone().unwrap_or_default(), r.ports.clone().unwrap_or_default())).collect()
            } else {
                spec.egress.iter().flatten().map(|r| (r.to.clone().unwrap_or_default(), r.ports.clone().unwrap_or_default())).collect()
            };
            let destination = if ingress { Some(pod) } else { other };
            for (peers, ports) in rules {
                let peer_fits = peers.is_empty() || peers.iter().any(|p| self.peer_fits(p, policy, other_ip, other));
                let port_fits = ports.is_empty() || ports.iter().any(|p| port_fits(p, destination, packet));
                if peer_fits && port_fits {
                    return true;
                }
            }
        }
        !isolated
    }

    fn peer_fits(&self, peer: &NetworkPolicyPeer, policy: &NetworkPolicy, ip: IpAddr, pod: Option<&Pod>) -> bool {
        if let Some(block) = &peer.ip_block {
            let inside = |cidr: &str| cidr.parse::<Net>().unwrap().contains(ip);
            return inside(&block.cidr) && !block.except.iter().flatten().any(|e| inside(e));
        }
        let Some(pod) = pod else { return false };
        let namespace_fits = match &peer.namespace_selector {
            None => pod.metadata.namespace == policy.metadata.namespace,
            Some(selector) => labels_match(selector, &self.labels_of_namespace(pod).unwrap()),
        };
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        namespace_fits && peer.pod_selector.as_ref().is_none_or(|s| labels_match(s, &labels))
    }
}

fn port_fits(port: &NetworkPolicyPort, destination: Option<&Pod>, packet: &Packet) -> bool {
    let Some((protocol, number)) = packet.port else { return false };
    let name = |p: Protocol| match p {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    if port.protocol.as_deref().unwrap_or("TCP") != name(protocol) {
        return false;
    }
    match &port.port {
        None => true,
        Some(IntOrString::Int(first)) => (*first..=port.end_port.unwrap_or(*first)).contains(&i32::from(number)),
        Some(IntOrString::String(wanted)) => destination.is_some_and(|pod| {
            let all = pod.spec.as_ref().unwrap().containers.iter().flat_map(|c| c.ports.iter().flatten());
            all.into_iter().any(|p| {
                p.name.as_ref() == Some(wanted) && p.container_port == i32::from(number) && p.protocol.as_deref().unwrap_or("TCP") == name(protocol)
            })
        }),
    }
}
