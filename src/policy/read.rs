//! From the API's objects to a [`World`].
//!
//! Left out are pods on the host's own network (nobody can select them), pods that have ended, pods without an address, and
//! pods whose namespace is not known yet: what is left out is closed.

use super::net::Net;
use super::selector::{Labels, Selector};
use super::world::{Peer, Pod, Policy, Ports, Protocol, Rule, World};
use k8s_openapi::api::core::v1::{Namespace, Pod as ApiPod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// Addresses that the network plugin gave to pods of this node, by the pod's uid. They are known before the API server hears
/// of them, and they win: what it tells of a pod whose network is gone may be another's by now.
pub type Claims = BTreeMap<String, Vec<IpAddr>>;

/// The world as the node `node` sees it.
pub fn world<'a>(
    node: &str,
    pods: impl IntoIterator<Item = &'a ApiPod>,
    namespaces: impl IntoIterator<Item = &'a Namespace>,
    policies: impl IntoIterator<Item = &'a NetworkPolicy>,
    claims: &Claims,
) -> World {
    let namespaces: HashMap<&str, Labels> = namespaces
        .into_iter()
        .filter_map(|n| Some((n.metadata.name.as_deref()?, n.metadata.labels.clone().unwrap_or_default())))
        .collect();
    let owners: HashMap<IpAddr, &str> = claims.iter().flat_map(|(uid, all)| all.iter().map(move |ip| (*ip, uid.as_str()))).collect();
    let mut pods: Vec<Pod> = pods.into_iter().filter_map(|p| pod(node, p, &namespaces, claims, &owners)).collect();
    pods.sort_by(|a, b| a.uid.cmp(&b.uid));
    let mut policies: Vec<(String, Policy)> = policies
        .into_iter()
        .filter_map(|p| Some((p.metadata.name.clone()?, policy(p)?)))
        .collect();
    policies.sort_by(|(a, one), (b, other)| (&one.namespace, a).cmp(&(&other.namespace, b)));
    World { pods, policies: policies.into_iter().map(|(_, p)| p).collect() }
}

fn pod(node: &str, pod: &ApiPod, namespaces: &HashMap<&str, Labels>, claims: &Claims, owners: &HashMap<IpAddr, &str>) -> Option<Pod> {
    let (meta, spec, status) = (&pod.metadata, pod.spec.as_ref()?, pod.status.as_ref());
    let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or_default();
    if spec.host_network == Some(true) || ["Succeeded", "Failed"].contains(&phase) {
        return None;
    }
    let (uid, namespace) = (meta.uid.clone()?, meta.namespace.clone()?);
    let told = || {
        let listed = status.iter().flat_map(|s| s.pod_ips.iter().flatten()).map(|i| i.ip.as_str());
        let one = status.and_then(|s| s.pod_ip.as_deref());
        let mut all: Vec<IpAddr> = listed.chain(one).filter_map(|ip| ip.parse().ok()).collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|ip| owners.get(ip).is_none_or(|owner| *owner == uid));
        all
    };
    let addresses = claims.get(&uid).cloned().unwrap_or_else(told);
    if addresses.is_empty() {
        return None;
    }
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always")));
    let ports = containers.flat_map(|c| c.ports.iter().flatten()).filter_map(|p| {
        Some(((p.name.clone()?, Protocol::named(p.protocol.as_deref())?), u16::try_from(p.container_port).ok()?))
    });
    Some(Pod {
        namespace_labels: namespaces.get(namespace.as_str())?.clone(),
        labels: meta.labels.clone().unwrap_or_default(),
        local: spec.node_name.as_deref() == Some(node),
        ports: ports.collect(),
        uid,
        namespace,
        addresses,
    })
}

/// Without `policyTypes` a policy concerns what arrives, and what leaves only where it has rules for that.
fn policy(object: &NetworkPolicy) -> Option<Policy> {
    let spec = object.spec.as_ref()?;
    let concerns = |direction: &str, otherwise: bool| match spec.policy_types.as_deref() {
        None | Some([]) => otherwise,
        Some(types) => types.iter().any(|t| t == direction),
    };
    let ingress = || spec.ingress.iter().flatten().map(|r| rule(r.from.as_deref(), r.ports.as_deref())).collect();
    let egress = || spec.egress.iter().flatten().map(|r| rule(r.to.as_deref(), r.ports.as_deref())).collect();
    Some(Policy {
        namespace: object.metadata.namespace.clone()?,
        pods: spec.pod_selector.as_ref().map(Selector::of).unwrap_or_default(),
        ingress: concerns("Ingress", true).then(ingress),
        egress: concerns("Egress", spec.egress.as_ref().is_some_and(|e| !e.is_empty())).then(egress),
    })
}

/// An empty list means the same as none: everything. A peer or port that cannot be read allows nothing.
fn rule(peers: Option<&[NetworkPolicyPeer]>, ports: Option<&[NetworkPolicyPort]>) -> Rule {
    Rule {
        peers: peers.filter(|p| !p.is_empty()).map(|all| all.iter().filter_map(peer).collect()),
        ports: ports.filter(|p| !p.is_empty()).map(|all| all.iter().filter_map(port).collect()),
    }
}

fn peer(peer: &NetworkPolicyPeer) -> Option<Peer> {
    if let Some(block) = &peer.ip_block {
        let except = block.except.iter().flatten().map(|e| e.parse::<Net>()).collect::<Result<_, _>>();
        return Some(Peer::Block { net: block.cidr.parse().ok()?, except: except.ok()? });
    }
    match (&peer.namespace_selector, &peer.pod_selector) {
        (None, None) => None,
        (namespaces, pods) => Some(Peer::Pods { namespaces: namespaces.as_ref().map(Selector::of), pods: pods.as_ref().map(Selector::of).unwrap_or_default() }),
    }
}

fn port(port: &NetworkPolicyPort) -> Option<Ports> {
    let protocol = Protocol::named(port.protocol.as_deref())?;
    Some(match &port.port {
        None => Ports::Numbers(protocol, 0, u16::MAX),
        Some(IntOrString::String(name)) => Ports::Named(protocol, name.clone()),
        Some(IntOrString::Int(first)) => {
            let first = u16::try_from(*first).ok()?;
            let last = port.end_port.map_or(Some(first), |e| u16::try_from(e).ok())?;
            Ports::Numbers(protocol, first, last)
        }
    })
}
