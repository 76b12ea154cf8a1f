//! Service accounts, and the rights of the few that have any.

use super::common::{ANALYZERS, COORDINATION, MONITORING, OBSERVERS, STORAGE, SYSTEM, object};
use serde_json::{Value, json};

const ACCOUNTS: [(&str, &str); 7] = [
    ("kube-system", "coredns"),
    (SYSTEM, "kafka-sa"),
    (MONITORING, "prometheus-sa"),
    (OBSERVERS, "observer-sa"),
    (ANALYZERS, "analyzer-sa"),
    (STORAGE, "postgres-sa"),
    (COORDINATION, "sample-sa"),
];

/// Accounts, the guide's role of the observers, and what cluster DNS reads.
pub fn objects() -> Vec<Value> {
    let mut all: Vec<Value> =
        ACCOUNTS.iter().map(|(ns, name)| object("v1", "ServiceAccount", Some(ns), name, &[], json!({"automountServiceAccountToken": false}))).collect();
    all.extend(observer_role());
    all.extend(dns_role());
    all
}

/// As the guide has it. The observers' pods carry no token yet, so nothing uses it.
fn observer_role() -> [Value; 2] {
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    ]);
    let binding = json!({
        "subjects": [{"kind": "ServiceAccount", "name": "observer-sa", "namespace": OBSERVERS}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "observer-role"},
    });
    [
        object("rbac.authorization.k8s.io/v1", "Role", Some(OBSERVERS), "observer-role", &[], json!({ "rules": rules })),
        object("rbac.authorization.k8s.io/v1", "RoleBinding", Some(OBSERVERS), "observer-rolebinding", &[], binding),
    ]
}

fn dns_role() -> [Value; 2] {
    let rules = json!([
        {"apiGroups": [""], "resources": ["services", "namespaces", "pods"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]);
    let binding = json!({
        "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "antihate:coredns"},
    });
    [
        object("rbac.authorization.k8s.io/v1", "ClusterRole", None, "antihate:coredns", &[], json!({ "rules": rules })),
        object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", None, "antihate:coredns", &[], binding),
    ]
}
