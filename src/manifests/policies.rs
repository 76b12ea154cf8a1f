//! Network policies: default deny in every namespace, and what the post's way needs.
//!
//! They are objects only: no engine on the node enforces them yet, and the page must not say otherwise.

use super::common::{ANALYZERS, COORDINATION, MONITORING, OBSERVERS, STORAGE, SYSTEM, object};
use super::namespaces::ALL;
use serde_json::{Value, json};

const API: &str = "networking.k8s.io/v1";

/// Default deny first, then the exceptions.
pub fn objects() -> Vec<Value> {
    let deny = |ns: &&str| object(API, "NetworkPolicy", Some(ns), "default-deny-ingress", &[], json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}));
    let mut all: Vec<Value> = ALL.iter().map(deny).collect();
    all.push(ingress(STORAGE, "analyzer-to-storage", json!({"app": "postgres"}), &[ANALYZERS, OBSERVERS], 5432));
    all.push(coordination());
    all.push(ingress(SYSTEM, "posts-to-queue", json!({"app": "kafka"}), &[ANALYZERS, OBSERVERS], 9092));
    all.push(ingress(OBSERVERS, "monitoring-to-observers", json!({"component": "observation"}), &[MONITORING], 9090));
    all.push(ingress(ANALYZERS, "monitoring-to-analyzers", json!({"component": "analysis"}), &[MONITORING], 9091));
    all.push(ingress(COORDINATION, "observers-to-sample", json!({"app": "sample"}), &[OBSERVERS], 8080));
    all
}

fn ingress(namespace: &str, name: &str, pods: Value, from: &[&str], port: u16) -> Value {
    let from: Vec<Value> = from.iter().map(|ns| json!({"namespaceSelector": {"matchLabels": {"name": ns}}})).collect();
    let spec = json!({
        "podSelector": {"matchLabels": pods},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": from, "ports": [{"protocol": "TCP", "port": port}]}],
    });
    object(API, "NetworkPolicy", Some(namespace), name, &[], json!({ "spec": spec }))
}

/// The guide's: metadata sync may reach every namespace.
fn coordination() -> Value {
    let spec = json!({
        "podSelector": {"matchLabels": {"component": "metadata-sync"}},
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"namespaceSelector": {}}]}],
    });
    object(API, "NetworkPolicy", Some(COORDINATION), "coordination-full-access", &[], json!({ "spec": spec }))
}
