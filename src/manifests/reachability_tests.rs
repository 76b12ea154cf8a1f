//! Who reaches whom by the rendered policies: computed twice, compared, and compared with the declared list.

use super::*;
use crate::config::{HostFacts, Valid};
use crate::policy::naive::Cluster;
use crate::policy::{Claims, Net, Packet, Protocol, RuleSet, decide, world};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

const NODE: &str = "leaf-1";
/// A port that nobody declares: where it is open, every one is.
const UNDECLARED: u16 = 9;
/// Ports that are asked for outside the stack's pods.
const ELSEWHERE: [(Protocol, u16); 4] = [(Protocol::Tcp, UNDECLARED), (Protocol::Tcp, 6443), (Protocol::Tcp, 53), (Protocol::Udp, 53)];
/// Stands for every address that is not the cluster's.
const OUTSIDE: &str = "192.0.2.200";

/// The stack's pods, and a pod without labels in every namespace, for everything else that may come to run there.
struct Stack {
    cluster: Cluster,
    names: BTreeMap<IpAddr, String>,
    ports: BTreeSet<(Protocol, u16)>,
}

fn stack() -> Stack {
    let groups = render(&Resolved::new(Valid::parse("sample = true\n[node]\nname = \"leaf-1\"").unwrap(), HostFacts::example()), &Credentials::masked());
    let objects: Vec<Value> = groups.into_iter().flat_map(|g| g.objects).collect();
    let of = |kind: &str| objects.iter().filter(|o| o["kind"] == kind).cloned().collect::<Vec<_>>();
    let mut namespaces = of("Namespace");
    namespaces.extend(["kube-system", "default"].map(|n| json!({"metadata": {"name": n}})));
    let mut pods: Vec<(String, String, Value)> = [of("Deployment"), of("StatefulSet")]
        .concat()
        .iter()
        .map(|w| (text(&w["metadata"]["namespace"]), text(&w["metadata"]["name"]), w["spec"]["template"].clone()))
        .collect();
    for namespace in &mut namespaces {
        let name = text(&namespace["metadata"]["name"]);
        // As the API server does.
        namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.clone().into();
        pods.push((name, "*".into(), json!({"metadata": {}, "spec": {"containers": [{"name": "c"}]}})));
    }
    let mut stack = Stack { cluster: Cluster::default(), names: BTreeMap::from([(OUTSIDE.parse().unwrap(), "outside".into())]), ports: BTreeSet::from(ELSEWHERE) };
    for (n, (namespace, name, template)) in pods.into_iter().enumerate() {
        let ip = format!("10.42.0.{}", n + 2);
        let ports = template["spec"]["containers"].as_array().unwrap().iter().flat_map(|c| c["ports"].as_array().cloned().unwrap_or_default());
        stack.ports.extend(ports.map(|p| (Protocol::named(p["protocol"].as_str()).unwrap(), p["containerPort"].as_u64().unwrap() as u16)));
        let mut pod = template;
        pod["metadata"]["namespace"] = namespace.clone().into();
        pod["metadata"]["uid"] = format!("{n}").into();
        pod["spec"]["nodeName"] = NODE.into();
        pod["status"] = json!({"phase": "Running", "podIPs": [{"ip": ip}]});
        stack.names.insert(ip.parse().unwrap(), format!("{namespace}/{name}"));
        stack.cluster.pods.push(serde_json::from_value(pod).unwrap());
    }
    stack.cluster.namespaces = namespaces.into_iter().map(|n| serde_json::from_value(n).unwrap()).collect();
    stack.cluster.policies = of("NetworkPolicy").into_iter().map(|p| serde_json::from_value(p).unwrap()).collect();
    stack
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Stack {
    /// One line a pair between which anything passes; a pod and itself are left out.
    fn reachability(&self) -> String {
        let ranges: Vec<Net> = vec!["10.42.0.0/24".parse().unwrap()];
        let rules: RuleSet = decide(&world(NODE, &self.cluster.pods, &self.cluster.namespaces, &self.cluster.policies, &Claims::new()), &ranges);
        let mut lines = Vec::new();
        for (from, a) in &self.names {
            for (to, b) in self.names.iter().filter(|(to, _)| *to != from) {
                let passes = |port: &Option<(Protocol, u16)>| {
                    let packet = Packet { from: *from, to: *to, port: *port };
                    let naive = self.cluster.passes(NODE, &ranges, &packet);
                    assert_eq!(rules.passes(&packet), naive, "{a} -> {b} {port:?}");
                    naive
                };
                let asked: Vec<Option<(Protocol, u16)>> = std::iter::once(None).chain(self.ports.iter().copied().map(Some)).collect();
                let open: Vec<&Option<(Protocol, u16)>> = asked.iter().filter(|p| passes(p)).collect();
                if open.len() == asked.len() {
                    lines.push(format!("{a} -> {b}: everything"));
                } else if open.contains(&&Some((Protocol::Tcp, UNDECLARED))) {
                    lines.push(format!("{a} -> {b}: TCP"));
                } else if !open.is_empty() {
                    let words: Vec<String> = open.iter().map(|p| p.map_or("others".into(), |(p, n)| format!("{} {n}", p.word().to_uppercase()))).collect();
                    lines.push(format!("{a} -> {b}: {}", words.join(", ")));
                }
            }
        }
        lines.sort();
        lines.join("\n") + "\n"
    }
}

#[test]
fn who_reaches_whom_is_what_the_declared_list_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reachability.txt");
    let found = stack().reachability();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), found, "UPDATE_GOLDEN=1 rewrites it");
}

#[test]
fn every_namespace_of_ours_is_closed_in_both_directions() {
    let stack = stack();
    for namespace in namespaces::ALL {
        for direction in ["Ingress", "Egress"] {
            let closes = |p: &&k8s_openapi::api::networking::v1::NetworkPolicy| {
                let spec = p.spec.as_ref().unwrap();
                let everything = spec.pod_selector.as_ref().is_some_and(|s| s.match_labels.is_none() && s.match_expressions.is_none());
                p.metadata.namespace.as_deref() == Some(namespace) && everything && spec.policy_types.as_deref() == Some(&[direction.to_owned()]) && spec.ingress.is_none() && spec.egress.is_none()
            };
            assert_eq!(stack.cluster.policies.iter().filter(closes).count(), 1, "{namespace} {direction}");
        }
    }
}
