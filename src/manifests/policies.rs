//! Network policies: default deny in every namespace of ours, in both directions, and what a post's way needs.
//!
//! Each way is declared once, as a [`Link`], and opened at both of its ends. The ingress half is the guide's. What follows for
//! every pair of workloads stands in `tests/golden/reachability.txt`. Not opened, because Kubernetes' semantics leave it open:
//! traffic between a pod and its own node, by which the kubelet asks for health and the host reaches the database.

use super::common::{ANALYZERS, COORDINATION, MONITORING, OBSERVERS, STORAGE, SYSTEM, object};
use super::namespaces::ALL;
use super::{dns, network};
use serde_json::{Value, json};

const API: &str = "networking.k8s.io/v1";
/// Port of the API server itself, behind its service.
const API_SERVER: u16 = 6443;
/// Addresses of a link only: no site is there, but many a cloud's store of credentials.
const LINK_LOCAL: [&str; 2] = ["169.254.0.0/16", "fe80::/10"];

/// A way that connections take: from all pods of some namespaces to some pods of another.
struct Link {
    name: &'static str,
    from: &'static [&'static str],
    to: &'static str,
    label: (&'static str, &'static str),
    ports: &'static [(&'static str, u16)],
}

const LINKS: [Link; 6] = [
    Link { name: "analyzer-to-storage", from: &[ANALYZERS, OBSERVERS], to: STORAGE, label: ("app", "postgres"), ports: &[("TCP", 5432)] },
    Link { name: "posts-to-queue", from: &[ANALYZERS, OBSERVERS], to: SYSTEM, label: ("app", "kafka"), ports: &[("TCP", 9092)] },
    Link { name: "observers-to-sample", from: &[OBSERVERS], to: COORDINATION, label: ("app", "sample"), ports: &[("TCP", 8080)] },
    Link { name: "monitoring-to-observers", from: &[MONITORING], to: OBSERVERS, label: ("component", "observation"), ports: &[("TCP", 9090)] },
    Link { name: "monitoring-to-analyzers", from: &[MONITORING], to: ANALYZERS, label: ("component", "analysis"), ports: &[("TCP", 9091)] },
    Link { name: "monitoring-to-dns", from: &[MONITORING], to: dns::NAMESPACE, label: ("app", "coredns"), ports: &[("TCP", 9153)] },
];

/// The ports of cluster DNS, on its pods: policies are judged after service addresses were replaced.
const DNS_PORTS: [(&str, u16); 2] = [("UDP", dns::PORT), ("TCP", dns::PORT)];

/// Default deny first, then the exceptions.
pub fn objects() -> Vec<Value> {
    let mut all: Vec<Value> = ALL.iter().flat_map(|ns| closed(ns)).collect();
    for link in &LINKS {
        all.push(arriving(link));
        all.extend(link.from.iter().map(|ns| leaving(ns, link)));
    }
    all.extend([observers_to_outside(), cluster_dns(), coordination()]);
    all
}

/// Nothing in, nothing out but questions to cluster DNS.
fn closed(namespace: &str) -> [Value; 3] {
    let deny = |name: &str, direction: &str| policy(namespace, name, json!({"podSelector": {}, "policyTypes": [direction]}));
    let dns = json!([{"to": [pods_of(dns::NAMESPACE, ("app", "coredns"))], "ports": ports(&DNS_PORTS)}]);
    [
        deny("default-deny-ingress", "Ingress"),
        deny("default-deny-egress", "Egress"),
        policy(namespace, "to-dns", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": dns})),
    ]
}

/// The end of a link where connections arrive.
fn arriving(link: &Link) -> Value {
    let from: Vec<Value> = link.from.iter().map(|ns| json!({"namespaceSelector": {"matchLabels": {"name": ns}}})).collect();
    let spec = json!({
        "podSelector": {"matchLabels": {link.label.0: link.label.1}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": from, "ports": ports(link.ports)}],
    });
    policy(link.to, link.name, spec)
}

/// The end of a link that connections leave.
fn leaving(namespace: &str, link: &Link) -> Value {
    let egress = json!([{"to": [pods_of(link.to, link.label)], "ports": ports(link.ports)}]);
    policy(namespace, link.name, json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": egress}))
}

/// Observers ask sites: whatever is not the cluster's own.
fn observers_to_outside() -> Value {
    let egress = json!([{"to": outside(), "ports": [{"protocol": "TCP"}]}]);
    let spec = json!({"podSelector": {"matchLabels": {"component": "observation"}}, "policyTypes": ["Egress"], "egress": egress});
    policy(OBSERVERS, "observers-to-outside", spec)
}

/// Cluster DNS answers every pod, and asks the host's resolvers and the API server.
fn cluster_dns() -> Value {
    let spec = json!({
        "podSelector": {"matchLabels": {"app": "coredns"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"namespaceSelector": {}}], "ports": ports(&DNS_PORTS)}],
        "egress": [{"to": outside(), "ports": ports(&[("UDP", 53), ("TCP", 53), ("TCP", API_SERVER)])}],
    });
    policy(dns::NAMESPACE, "cluster-dns", spec)
}

/// The guide's: metadata sync may reach every namespace.
fn coordination() -> Value {
    let spec = json!({
        "podSelector": {"matchLabels": {"component": "metadata-sync"}},
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"namespaceSelector": {}}]}],
    });
    policy(COORDINATION, "coordination-full-access", spec)
}

fn policy(namespace: &str, name: &str, spec: Value) -> Value {
    object(API, "NetworkPolicy", Some(namespace), name, &[], json!({ "spec": spec }))
}

/// Pods of a namespace by label. The namespace by the label that the API server itself gives it: `kube-system` has no other.
fn pods_of(namespace: &str, label: (&str, &str)) -> Value {
    json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": {label.0: label.1}},
    })
}

fn ports(all: &[(&str, u16)]) -> Vec<Value> {
    all.iter().map(|(protocol, port)| json!({"protocol": protocol, "port": port})).collect()
}

/// Addresses outside the cluster.
fn outside() -> Value {
    let inside = [network::POD_CIDR, network::SERVICE_CIDR, LINK_LOCAL[0]];
    let inside6 = [network::POD_CIDR6, network::SERVICE_CIDR6, LINK_LOCAL[1]];
    json!([{"ipBlock": {"cidr": "0.0.0.0/0", "except": inside}}, {"ipBlock": {"cidr": "::/0", "except": inside6}}])
}
