//! Clusters at random, small and full of special cases, with the packets worth asking about.

use super::naive::Cluster;
use super::ruleset::Packet;
use super::world::Protocol;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::net::IpAddr;

/// The node whose rules are decided.
pub(super) const NODE: &str = "here";
/// Its pods' addresses.
pub(super) const RANGES: [&str; 2] = ["10.42.0.0/24", "fd00:42::/64"];

const BLOCKS: [&str; 12] = [
    "0.0.0.0/0", "10.42.0.0/16", "10.42.0.0/29", "10.42.0.4/32", "192.0.2.0/24", "192.0.2.128/25",
    "::/0", "fd00:42::/56", "fd00:42::/64", "fd00:42::4/126", "fd00:42::4/128", "2001:db8::/33",
];

fn labels(rng: &mut StdRng) -> Value {
    let mut all = json!({});
    for (key, values) in [("app", ["a", "b"]), ("tier", ["x", "y"])] {
        if rng.gen_bool(0.7) {
            all[key] = (*values.choose(rng).unwrap()).into();
        }
    }
    all
}

fn selector(rng: &mut StdRng) -> Value {
    let mut selector = json!({});
    if rng.gen_bool(0.3) {
        return selector;
    }
    if rng.gen_bool(0.5) {
        selector["matchLabels"] = labels(rng);
    }
    if rng.gen_bool(0.5) {
        let key = *["app", "tier", "none"].choose(rng).unwrap();
        let values = *[["a", "x"], ["b", "y"]].choose(rng).unwrap();
        selector["matchExpressions"] = match rng.gen_range(0..4) {
            0 => json!([{"key": key, "operator": "In", "values": values}]),
            1 => json!([{"key": key, "operator": "NotIn", "values": values}]),
            2 => json!([{"key": key, "operator": "Exists"}]),
            _ => json!([{"key": key, "operator": "DoesNotExist"}]),
        };
    }
    selector
}

fn peer(rng: &mut StdRng) -> Value {
    match rng.gen_range(0..5) {
        0 => json!({"podSelector": selector(rng)}),
        1 => json!({"namespaceSelector": selector(rng)}),
        2 => json!({"namespaceSelector": selector(rng), "podSelector": selector(rng)}),
        3 => json!({"ipBlock": {"cidr": BLOCKS.choose(rng).unwrap()}}),
        _ => {
            let holes: Vec<&&str> = BLOCKS.choose_multiple(rng, 2).collect();
            json!({"ipBlock": {"cidr": BLOCKS.choose(rng).unwrap(), "except": holes}})
        }
    }
}

fn port(rng: &mut StdRng) -> Value {
    let protocol = *["TCP", "UDP", "SCTP"].choose(rng).unwrap();
    match rng.gen_range(0..5) {
        0 => json!({}),
        1 => json!({"protocol": protocol}),
        2 => json!({"protocol": protocol, "port": *[80, 81, 90].choose(rng).unwrap()}),
        3 => json!({"protocol": protocol, "port": 80, "endPort": *[80, 81, 65535].choose(rng).unwrap()}),
        _ => json!({"protocol": protocol, "port": *["web", "data"].choose(rng).unwrap()}),
    }
}

fn rules(rng: &mut StdRng, peers: &str) -> Value {
    let one = |rng: &mut StdRng| {
        let mut rule = json!({});
        let (n, m) = (rng.gen_range(0..3), rng.gen_range(0..3));
        if n > 0 || rng.gen_bool(0.2) {
            rule[peers] = (0..n).map(|_| peer(rng)).collect();
        }
        if m > 0 || rng.gen_bool(0.2) {
            rule["ports"] = (0..m).map(|_| port(rng)).collect();
        }
        rule
    };
    (0..rng.gen_range(0..3)).map(|_| one(rng)).collect()
}

fn policy(rng: &mut StdRng, n: usize) -> Value {
    let mut spec = json!({"podSelector": selector(rng)});
    if rng.gen_bool(0.6) {
        spec["ingress"] = rules(rng, "from");
    }
    if rng.gen_bool(0.6) {
        spec["egress"] = rules(rng, "to");
    }
    match rng.gen_range(0..5) {
        0 => spec["policyTypes"] = json!(["Ingress"]),
        1 => spec["policyTypes"] = json!(["Egress"]),
        2 => spec["policyTypes"] = json!(["Ingress", "Egress"]),
        3 => spec["policyTypes"] = json!([]),
        _ => {}
    }
    json!({"metadata": {"name": format!("p{n}"), "namespace": namespace(rng)}, "spec": spec})
}

/// The last one is not among the namespaces that the cluster tells of.
fn namespace(rng: &mut StdRng) -> &'static str {
    let all = ["one", "two", "three", "unknown"];
    if rng.gen_bool(0.95) { all[rng.gen_range(0..3)] } else { all[3] }
}

fn pod(rng: &mut StdRng, n: usize) -> Value {
    let here = rng.gen_bool(0.7);
    let third = u8::from(!here);
    let mut ips = vec![json!({"ip": format!("10.42.{third}.{}", n + 2)})];
    if rng.gen_bool(0.5) {
        let net = if here { "fd00:42:" } else { "fd00:42:0:1:" };
        ips.push(json!({"ip": format!("{net}:{:x}", n + 2)}));
    }
    if rng.gen_bool(0.1) {
        ips.clear();
    }
    let ports = json!([
        {"name": "web", "containerPort": *[80, 81].choose(rng).unwrap(), "protocol": *["TCP", "SCTP"].choose(rng).unwrap()},
        {"name": "data", "containerPort": 90, "protocol": *["TCP", "UDP"].choose(rng).unwrap()},
    ]);
    let mut spec = json!({"nodeName": if here { NODE } else { "there" }, "containers": [{"name": "c", "ports": ports}]});
    if rng.gen_bool(0.1) {
        spec["hostNetwork"] = true.into();
    }
    let phase = if rng.gen_bool(0.85) { "Running" } else { ["Succeeded", "Failed"].choose(rng).unwrap() };
    json!({
        "metadata": {"name": format!("pod{n}"), "uid": format!("u{n}"), "namespace": namespace(rng), "labels": labels(rng)},
        "spec": spec,
        "status": {"phase": phase, "podIPs": ips},
    })
}

/// The cluster of this number: always the same.
pub(super) fn cluster(seed: u64) -> Cluster {
    let mut rng = StdRng::seed_from_u64(seed);
    let rng = &mut rng;
    let namespaces = ["one", "two", "three"].map(|n| json!({"metadata": {"name": n, "labels": labels(rng)}}));
    let read = |v: Value| serde_json::from_value(v).expect("a namespace");
    Cluster {
        namespaces: namespaces.into_iter().map(read).collect(),
        pods: (0..rng.gen_range(1..9)).map(|n| serde_json::from_value(pod(rng, n)).expect("a pod")).collect(),
        policies: (0..rng.gen_range(0..6)).map(|n| serde_json::from_value(policy(rng, n)).expect("a policy")).collect(),
    }
}

/// Every pair of addresses that means anything there, on ports at and beside the borders of the rules.
pub(super) fn packets(cluster: &Cluster) -> Vec<Packet> {
    let told = cluster.pods.iter().flat_map(|p| p.status.iter().flat_map(|s| s.pod_ips.iter().flatten())).map(|i| i.ip.as_str());
    let beside4 = ["10.42.0.77", "10.42.9.9", "10.42.9.0", "10.42.0.0", "192.0.2.1", "192.0.2.200"];
    let beside6 = ["fd00:42::77", "fd00:42:0:9::9", "fd00:42:0:9::", "fd00:42::", "2001:db8::1", "2001:db8:8000::1"];
    let beside = beside4.into_iter().chain(beside6);
    let all: Vec<IpAddr> = told.chain(beside).map(|ip| ip.parse().expect("an address")).collect();
    let mut ports = vec![None];
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        ports.extend([79, 80, 81, 82, 90, 65535].map(|n| Some((protocol, n))));
    }
    let pairs = all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))).filter(|(a, b)| a.is_ipv4() == b.is_ipv4());
    pairs.flat_map(|(from, to)| ports.iter().map(move |port| Packet { from, to, port: *port })).collect()
}
